"""Golden cases: small files in authentic formats with the numbers that the original code gave."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Stated in every golden README: max|a - b| <= 1e-4 * max(1, max|expected|)."""

NOT_YET_READ: frozenset[str] = frozenset()
"""Golden families without an adapter. What today's adapters make of their files is not tested."""


@dataclass(frozen=True)
class Golden:
    """One case: its folder, ``case.json`` and the arrays of ``expected.npz`` as tensors."""

    folder: Path
    case: dict[str, Any]
    arrays: dict[str, Tensor]

    def file(self, name: str | None = None) -> Path:
        """A file of the case; without a name, the one file beside the expected numbers."""
        if name is not None:
            return self.folder / name
        others = sorted(
            path
            for path in self.folder.iterdir()
            if path.name not in ("case.json", "expected.npz", "README.md")
        )
        assert len(others) == 1, f"{self.folder} has several files: {others}"
        return others[0]


def golden(shared: Path, family: str, name: str) -> Golden:
    """The case ``golden/<family>/<name>`` of the shared folder."""
    folder = shared / "golden" / family / name
    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    with np.load(folder / "expected.npz") as stored:
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files}
    return Golden(folder, case, arrays)


def agree(found: Tensor, expected: Tensor) -> None:
    """Both have the same shape and differ by no more than the stated tolerance."""
    assert tuple(found.shape) == tuple(expected.shape), (found.shape, expected.shape)
    bound = TOLERANCE * max(1.0, float(expected.abs().max()) if expected.numel() else 1.0)
    difference = float((found - expected).abs().max()) if expected.numel() else 0.0
    assert difference <= bound, f"max difference {difference:.3g} > {bound:.3g}"
