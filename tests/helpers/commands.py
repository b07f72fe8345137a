"""The command line in the process of the tests, and pictures to give it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seeingkit.__main__ import main


def command(
    *words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Run ``seeingkit`` in this process: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["seeingkit", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


def pictures(folder: Path, n: int, seed: int, side: int = 64) -> None:
    """A folder of noise pictures, ``0.png`` and on."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for k in range(n):
        pixels = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
