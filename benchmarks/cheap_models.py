"""Models of a few operations, so that what is measured is the work around them."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seeingkit import AutoStaged
from seeingkit.contracts import ImageSource, Label, Segmenter, SegmenterInfo, Vocabulary
from seeingkit.errors import WeightsError
from seeingkit.models.probe import put_info
from seeingkit.models.registry import PluginRecord, registry
from seeingkit.specs import (
    DataSpec,
    GanSpec,
    Options,
    Preset,
    Register,
    SegmenterSpec,
    hookimpl,
)
from seeingkit.system.cache import file_sha256

SIDE = 16


class Patches(ImageSource):
    """Image k is of RandomState(k): a few grey patches."""

    preset = Preset(name="native", size=None, crop=False)

    def __init__(self, n: int, name: str = "patches") -> None:
        self.name, self.fingerprint = name, f"patches of {name}"
        self.ids = [f"{name}-{k}" for k in range(n)]
        self._salt = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, 16, 16) in [-1, 1]."""
        rows = []
        for k in indices:
            levels = np.random.RandomState((self._salt + int(k)) % 2**32).rand(4, 4) * 2 - 1
            rows.append(np.kron(levels, np.ones((4, 4))))
        images = torch.from_numpy(np.stack(rows)).float()
        return images[:, None].expand(-1, 3, -1, -1).clone()


class Levels(Segmenter):
    """The label of a pixel is one of 24 levels of its red."""

    def __init__(self, seconds: float = 0.0) -> None:
        names = ["-", *(f"level {k}" for k in range(24))]
        self.vocabulary = Vocabulary(tuple(Label(name) for name in names))
        self.info = SegmenterInfo(family="levels")
        self.seconds = seconds

    def segment(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) labels; ``seconds`` for each image."""
        time.sleep(self.seconds * len(images))
        return 1 + ((images[:, :1] + 1) * 12).long().clamp(0, 23)

    def score(self, images: Tensor, label: int) -> Tensor:
        """(N, H, W) nearness to a level."""
        return -(images[:, 0] - (label / 12 - 1)).abs()


class _Painter(nn.Module):
    def __init__(self, shade: float) -> None:
        super().__init__()
        self.shade = shade
        torch.manual_seed(0)
        self.first = nn.Linear(8, 8 * 4 * 4)
        self.second = nn.Conv2d(8, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        """(N, 8) to (N, 3, 16, 16)."""
        x = self.first(z).reshape(-1, 8, 4, 4)
        return torch.tanh(
            self.shade + self.second(x.repeat_interleave(4, 2).repeat_interleave(4, 3))
        )


class PainterOptions(Options):
    """Options of the generator."""

    shade: float = 0.0


def painter(weights: Path | None = None, options: PainterOptions | None = None) -> AutoStaged:
    """A generator of 16 pixels with one boundary inside; its file is a number, a further shade.

    Raises:
        WeightsError: the file holds no number.
    """
    options = options or PainterOptions()
    shade = options.shade
    if weights is not None:
        try:
            shade += float(weights.read_text("utf-8"))
        except ValueError as error:
            raise WeightsError(f"{weights}: holds no number") from error
    found = AutoStaged(_Painter(shade), {"h4": "first"}, latent=8)
    sha256 = None if weights is None else file_sha256(weights)
    info = {"family": "painter", "options": options.model_dump(), "weights_sha256": sha256}
    put_info(found, found.info.model_copy(update=info))
    return found


class PatchesOptions(Options):
    """Options of the data set."""

    n: int = 10_000


def patches(options: PatchesOptions, preset: Preset) -> Patches:
    """The data set, as the registry calls it."""
    return Patches(options.n)


def levels(weights: Path | None, options: object) -> Levels:
    """The segmenter, as the registry calls it: half a millisecond an image."""
    return Levels(0.0005)


@hookimpl
def seeingkit_register(register: Register) -> None:
    """The three specs, for this process (``register_all``) or as an entry point."""
    here = __name__
    register(
        GanSpec(
            name="painter",
            summary="for measurements",
            needs_weights=False,
            target=f"{here}:painter",
            options=PainterOptions,
        )
    )
    register(
        SegmenterSpec(
            name="levels", summary="for measurements", needs_weights=False, target=f"{here}:levels"
        )
    )
    register(
        DataSpec(
            name="patches",
            summary="for measurements",
            target=f"{here}:patches",
            options=PatchesOptions,
            preset="native",
            segmenter="levels",
            gan="painter",
        )
    )


def register_all() -> None:
    """Make the three known by name in this process."""
    registry().add(sys.modules[__name__], PluginRecord("cheap", "benchmarks", "0", __name__))
