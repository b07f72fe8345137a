"""Digits as image sources, alone and stacked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.errors import UsageError
from seeingkit.images.preprocess import apply, to_tensor
from seeingkit.specs import Preset

from .catalog import DigitOptions, StackedOptions
from .pictures import SHA256, digits, framed

NAMES = tuple(str(digit) for digit in range(10))


class DigitImages(ImageSource):
    """The digits of one split, white on black.

    Args:
        options: split and size of the pictures.
        preset: preprocessing of each picture, the same as of a file.

    >>> from seeingkit.models.registry import find_preset
    >>> source = DigitImages(DigitOptions(), find_preset("native"))
    >>> len(source), source.read([0]).shape
    (2500, torch.Size([1, 3, 32, 32]))
    """

    preset: Preset
    kind = "photographs of handwriting"
    name = "digits"
    class_names = NAMES
    classes_by = "label names"

    def __init__(self, options: DigitOptions, preset: Preset) -> None:
        self.options, self.preset = options, preset
        self.digits = digits(options.split)
        # By place, not by number: in the published file all digits of a kind stand together.
        self.ids = [f"{options.split}-{k:04d}" for k in range(len(self.digits.pixels))]
        drawn = {**options.model_dump(), "file": SHA256, "preset": preset.identity()}
        text = json.dumps(["digits", drawn], sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def condition(self, index: int) -> int:
        """The digit that was written."""
        return int(self.digits.digits[index])

    def stored_side(self, index: int) -> int:
        """Side of every picture in pixels, before the preset."""
        return self.options.size

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1]."""
        pixels = framed(self.digits.pixels[list(indices)], self.options.size)
        return _prepared(np.repeat(pixels[..., None], 3, axis=3), indices, self)

    def describe(self) -> dict[str, Any]:
        """A JSON-able record: name, kind, images, fingerprint, split."""
        return super().describe() | {"split": self.options.split}


class StackedDigits(ImageSource):
    """Three digits, drawn with a seed, as the colours of one picture (Metz et al. 2017, 3.3.1).

    Args:
        options: split, size, seed and number of pictures.
        preset: preprocessing of each picture, the same as of a file.

    >>> from seeingkit.models.registry import find_preset
    >>> source = StackedDigits(StackedOptions(n=3), find_preset("native"))
    >>> source.ids[0], source.read([0]).shape
    ('stack0-000000', torch.Size([1, 3, 32, 32]))
    """

    preset: Preset
    kind = "photographs of handwriting"
    name = "stacked-digits"

    def __init__(self, options: StackedOptions, preset: Preset) -> None:
        self.options, self.preset, self.seed = options, preset, options.seed
        self.digits = digits(options.split)
        self.ids = [f"stack{options.seed}-{k:06d}" for k in range(options.n)]
        drawn = {**options.model_dump(exclude={"n"}), "file": SHA256, "preset": preset.identity()}
        text = json.dumps(["stacked-digits", drawn], sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def first(self, n: int) -> StackedDigits:
        """The same series with another number of pictures."""
        return StackedDigits(self.options.model_copy(update={"n": n}), self.preset)

    def stored_side(self, index: int) -> int:
        """Side of every picture in pixels, before the preset."""
        return self.options.size

    def stack(self, index: int) -> list[int]:
        """Places of the three digits of picture ``index`` in the split.

        Raises:
            UsageError: no picture has that index.
        """
        if not 0 <= index < len(self):
            raise UsageError(f"stacked-digits has pictures 0 to {len(self) - 1}, not {index}")
        random = np.random.Generator(np.random.PCG64([self.options.seed, index]))
        return [int(random.random() * len(self.digits.pixels)) for _ in range(3)]

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1]."""
        chosen = np.array([self.stack(int(k)) for k in indices])
        pixels = framed(self.digits.pixels[chosen.ravel()], self.options.size)
        side = self.options.size
        stacked = pixels.reshape(len(chosen), 3, side, side).transpose(0, 2, 3, 1)
        return _prepared(stacked, indices, self)

    def describe(self) -> dict[str, Any]:
        """A JSON-able record: name, kind, images, fingerprint, seed, split."""
        return super().describe() | {"split": self.options.split}


def _prepared(
    pixels: NDArray[np.uint8], indices: Sequence[int], source: DigitImages | StackedDigits
) -> Tensor:
    """Pictures (N, H, W, 3) uint8 after the preset: (N, 3, H, W) float32 in [-1, 1]."""
    pictures = zip(pixels, indices, strict=True)
    return torch.stack(
        [
            to_tensor(apply(Image.fromarray(picture), source.preset, source.ids[int(k)]))
            for picture, k in pictures
        ]
    )


def load(options: DigitOptions, preset: Preset) -> DigitImages:
    """The data set ``digits``, as the registry calls it."""
    return DigitImages(options, preset)


def load_stacked(options: StackedOptions, preset: Preset) -> StackedDigits:
    """The data set ``stacked-digits``, as the registry calls it."""
    return StackedDigits(options, preset)
