"""Random inputs of a generator: their shapes and distributions, and drawing by image number.

Guarantees: row ``k`` depends on (seed, image number k) only, never on the batch it was drawn in;
the same numbers on every machine.

Conventions (option ``latents`` of a generator): ``seeds``, the default, takes row i from
``RandomState(seed + i)``, as NVIDIA's tools do; ``sequence`` takes row i of
``RandomState(seed).standard_normal((n, D))``, as the code of Bau et al. 2019 does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from seeingkit.errors import UsageError

Latent = Mapping[str, Tensor]
"""Batch-first: ``{"z": (N, D)}``, or ``{"image": (N, C, H, W)}`` in [-1, 1] of a model that
translates images; plus, if the model is conditional, ``{"label": (N,)}`` int64, or for some
``{"c": (N, classes)}`` float32, one weight a class."""

Distribution = Literal["normal", "uniform", "discrete", "image"]


SERIES = 1_000_000
"""Distance of the seeds of two series of images. Image i of seed s has the latent of s + i in the
usual convention, so seeds that are near to each other have nearly the same images."""


class Series(IntEnum):
    """Series of latents beside that of a run (0), each for one purpose: nothing that is chosen in
    one is measured in it. Number 7 is left out: seeds of patched samples lie there.

    Attributes:
        LEVELS: levels and candidates of a dissection.
        PRESENT, OTHER: images in which units and inserted values are searched.
        EFFECT: effects of interventions; SINGLE: of single units.
        STRENGTH, TRACED: strengths, and effects, of a tracing.
        ARTIFACTS: rankings of artifact units.
        PAINTING: images that a person paints on.
        KEYS: images whose keys an edit of a weight leaves as they are.
        REWRITTEN: effects of such edits.
        REPAIR, REPAIRED: images in which edits of a repair are compared, and its effects.
        SWEPT: images on which site, rank and strength of an edit are chosen.

    >>> further_seed(7, Series.PRESENT)
    2000007
    """

    LEVELS = 1
    PRESENT = 2
    OTHER = 3
    EFFECT = 4
    SINGLE = 5
    STRENGTH = 6
    ARTIFACTS = 8
    TRACED = 9
    PAINTING = 10
    KEYS = 11
    REWRITTEN = 12
    SWEPT = 13
    REPAIR = 14
    REPAIRED = 15


def further_seed(seed: int, number: int) -> int:
    """The seed of a further series, which shares no image with the first million of this one.

    >>> further_seed(7, 2)
    2000007
    """
    return (seed + number * SERIES) % 2**32


class LatentSpec(BaseModel):
    """One input tensor of a generator.

    Attributes:
        name: its key in a latent.
        shape: without the batch axis.
        distribution: ``normal`` (mean 0, variance 1) and ``uniform`` are float32; ``discrete`` is
            int64; an ``image`` is given, never drawn (image-to-image models).
        low, high: of ``uniform``: low <= value < high; default -1 and 1.
        categories: of ``discrete``: values 0 to categories - 1, each equally likely.

    >>> LatentSpec(shape=(128,), distribution="uniform", low=0.0).bounds
    (0.0, 1.0)
    """

    model_config = ConfigDict(frozen=True)

    name: str = "z"
    shape: tuple[int, ...]
    distribution: Distribution = "normal"
    low: float | None = None
    high: float | None = None
    categories: int | None = None

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.categories is not None) != (self.distribution == "discrete"):
            raise ValueError("categories belong to a discrete latent, and only there")
        if self.categories is not None and self.categories < 1:
            raise ValueError("a discrete latent has at least one category")
        bounds = (self.low, self.high)
        if self.distribution != "uniform" and bounds != (None, None):
            raise ValueError("low and high belong to a uniform latent")
        if self.distribution == "uniform":
            low, high = self.bounds
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"a uniform latent goes from low to high, not {low} to {high}")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Where a uniform latent begins and ends."""
        return -1.0 if self.low is None else self.low, 1.0 if self.high is None else self.high

    def identity(self) -> dict[str, Any]:
        """The JSON-able part that changes the values."""
        return self.model_dump(mode="json", exclude_none=True)

    def row(self, stream: np.random.RandomState) -> NDArray[Any]:
        """One row, drawn from a stream of random numbers.

        Raises:
            UsageError: an image, which is given and not drawn.
        """
        size = math.prod(self.shape)
        if self.distribution == "image":
            raise UsageError(f"latent {self.name!r} is an image: give it, it cannot be drawn")
        if self.distribution == "discrete":
            return stream.randint(0, self.categories, size, dtype=np.int64).reshape(self.shape)
        if self.distribution == "uniform":
            return stream.uniform(*self.bounds, size).reshape(self.shape)
        return stream.randn(size).reshape(self.shape)


def draw_latents(
    specs: Sequence[LatentSpec], indices: Sequence[int], *, seed: int = 0, convention: str = "seeds"
) -> dict[str, Tensor]:
    """Latents of the given image numbers, on the CPU.

    Args:
        specs: the random inputs; one stream of numbers serves them in this order.
        indices: image numbers, not negative.
        seed: of the run.
        convention: ``seeds`` or ``sequence`` (see this module).

    Returns:
        for each input (N, …) float32, or int64 where it is discrete.

    Raises:
        UsageError: an input that is given and not drawn; ``sequence`` with an input that is not
            normal.

    >>> draw_latents([LatentSpec(shape=(128,))], [0, 5, 6], seed=1)["z"].shape
    torch.Size([3, 128])
    """
    if convention == "sequence":
        return _rows_of_sequence(specs, indices, seed)
    rows: dict[str, list[NDArray[Any]]] = {part.name: [] for part in specs}
    for i in indices:
        stream = _stream(seed, i)
        for part in specs:
            rows[part.name].append(part.row(stream))
    return {part.name: _tensor(part, rows[part.name]) for part in specs}


def _tensor(part: LatentSpec, rows: Sequence[NDArray[Any]]) -> Tensor:
    kind = np.int64 if part.distribution == "discrete" else np.float32
    values = np.stack(rows) if rows else np.empty((0, *part.shape))
    return torch.from_numpy(values.astype(kind))


def _rows_of_sequence(
    specs: Sequence[LatentSpec], indices: Sequence[int], seed: int
) -> dict[str, Tensor]:
    other = next((part for part in specs if part.distribution != "normal"), None)
    if other is not None:
        raise UsageError(
            f"latent {other.name!r} is {other.distribution}; latents=sequence is for normal ones"
        )
    sizes = [math.prod(part.shape) for part in specs]
    flat = torch.from_numpy(sequence_latents(indices, sum(sizes), seed))
    return {
        part.name: piece.reshape(len(indices), *part.shape)
        for part, piece in zip(specs, flat.split(sizes, dim=1), strict=True)
    }


def seeds_latents(indices: Sequence[int], dim: int, seed: int) -> NDArray[np.float64]:
    """Row i = ``RandomState(seed + i).randn(dim)``: the convention of NVIDIA's tools, (N, dim).

    >>> np.array_equal(seeds_latents([2], 4, seed=5)[0], np.random.RandomState(7).randn(4))
    True
    """
    rows = np.empty((len(indices), dim))
    for row, i in zip(rows, indices, strict=True):
        row[:] = _stream(seed, i).randn(dim)
    return rows


def sequence_latents(indices: Sequence[int], dim: int, seed: int) -> NDArray[np.float32]:
    """Row i of ``RandomState(seed).standard_normal((n, dim))``: the paper's code, (N, dim).

    >>> sequence_latents([7, 2], 128, seed=5).shape
    (2, 128)
    """
    if not len(indices):
        return np.empty((0, dim), np.float32)
    rows = 1 << max(10, int(max(indices)).bit_length())  # a prefix does not depend on the size
    picked: NDArray[np.float32] = _sequence(seed, rows, dim)[np.asarray(indices)]
    return picked


def _stream(seed: int, index: int) -> np.random.RandomState:
    return np.random.RandomState((seed + int(index)) % 2**32)


@functools.lru_cache(maxsize=4)
def _sequence(seed: int, rows: int, dim: int) -> NDArray[np.float32]:
    return np.random.RandomState(seed).standard_normal((rows, dim)).astype(np.float32)
