"""Small models whose answers are known in closed form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seeingkit.analyses.comparison.compare import Comparison, compare
from seeingkit.contracts import (
    Annotator,
    AnnotatorInfo,
    GeneratorInfo,
    ImageSource,
    Label,
    Latent,
    LatentSpec,
    Sampler,
    Segmenter,
    SegmenterInfo,
    Skipped,
    Vocabulary,
)
from seeingkit.errors import ImageError
from seeingkit.tallies import Tally, tally
from seeingkit.tallies.counted import CountedSource


class LevelSegmenter(Segmenter):
    """Label = which third of [-1, 1] the red channel lies in: dark, middle, bright (1, 2, 3)."""

    def __init__(self, name: str = "levels", delay: float = 0.0) -> None:
        self.vocabulary = Vocabulary(tuple(map(Label, ("-", "dark", "middle", "bright"))))
        self.info = SegmenterInfo(family=name)
        self.delay, self.seen = delay, 0
        self.memory: int | None = None

    def segment(self, images: Tensor) -> Tensor:
        if self.memory is not None and len(images) > self.memory:
            raise torch.OutOfMemoryError("too many")
        time.sleep(self.delay * len(images))
        self.seen += len(images)
        red = images[:, :1]
        return 1 + (red > -1 / 3).long() + (red > 1 / 3).long()

    def score(self, images: Tensor, label: int) -> Tensor:
        centre = (-2 / 3, 0.0, 2 / 3)[label - 1]
        return torch.exp(-((images[:, 0] - centre) ** 2))


class Digits(Annotator):
    """How likely an image is dark and bright: numbers without masks."""

    def __init__(self) -> None:
        labels = (Label("dark"), Label("bright"))
        self.vocabulary = Vocabulary(labels, has_background=False, unit="probability")
        self.info = AnnotatorInfo(family="digits")

    def statistics(self, images: Tensor) -> Tensor:
        bright = torch.sigmoid(images.mean((1, 2, 3)))
        return torch.stack([1 - bright, bright], 1)


class Noise(ImageSource):
    """Image i is noise of RandomState(i); some numbers cannot be read."""

    def __init__(self, n: int, bad: Sequence[int] = (), name: str = "noise") -> None:
        self.name, self.bad = name, set(bad)
        self.ids = [f"noise-{k}" for k in range(n)]
        self.fingerprint = f"noise {sorted(self.bad)} {name}"

    def read(self, indices: Sequence[int]) -> Tensor:
        rows = []
        for k in indices:
            if k in self.bad:
                raise ImageError(self.ids[k], "broken on purpose")
            draw = torch.Generator().manual_seed(int(k))
            rows.append(torch.rand(3, 6, 5, generator=draw) * 2 - 1)
        return torch.stack(rows)

    def load(self, indices: Sequence[int]) -> tuple[Tensor | None, list[int], list[Skipped]]:
        return super().load(indices)


class CountedNoise(CountedSource):
    """Images of which half is dark and half bright, as somebody counted; no pictures."""

    def __init__(self, n: int, name: str = "counted") -> None:
        self.name, self.fingerprint = name, f"counted {n} {name}"
        self.ids = [f"counted-{k}" for k in range(n)]

    def stored_tally(self, vocabulary: Vocabulary) -> Tally:
        row = [0.0, 0.5, 0.0, 0.5]
        return Tally.from_fractions([row] * len(self), vocabulary, ids=self.ids)


class FlatSampler(Sampler):
    """A picture of one brightness: tanh of the latent's only number."""

    def __init__(self) -> None:
        self.info = GeneratorInfo(family="flat", resolution=8, latent=(LatentSpec(shape=(1,)),))

    def __call__(self, latent: Latent) -> Tensor:
        return torch.tanh(latent["z"]).reshape(-1, 1, 1, 1).expand(-1, 3, 8, 8).clone()


def looked_at(
    real: ImageSource,
    generated: ImageSource,
    folder: Path,
    segmenter: Segmenter | None = None,
    **options: Any,
) -> Comparison:
    """Both sides counted into a store in the folder, and compared without permutations."""
    segmenter = segmenter or LevelSegmenter()
    sides = [tally(source, segmenter, store=folder) for source in (real, generated)]
    return compare(sides[0], sides[1], permutations=0, **options)
