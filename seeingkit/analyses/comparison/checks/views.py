"""A second look at the same images: at another scale, or by another segmenter.

Guarantees: a second view is a tally like any other (chunks, resuming, images that cannot be read),
under an identity of its own; the images are a deterministic choice, and both views' rows are
brought together by their ids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional

from seeingkit.contracts import Segmenter, Vocabulary
from seeingkit.errors import TallyError, UsageError
from seeingkit.models.wrapped import WrappedSegmenter
from seeingkit.results import ResolutionResult
from seeingkit.tallies import Tally
from seeingkit.tallies.vocabularies.classmap import normalised, synonyms

SCALE = 0.5
"""Sides are reduced by this factor unless another is asked for."""


class SoftenedSegmenter(WrappedSegmenter):
    """A segmenter that sees images with less detail, at their own size.

    Each image is reduced by ``scale``, in (0, 1), with antialiasing and enlarged again, both
    bilinear; so it works with segmenters that take one size only, and imitates a soft generator.
    """

    def __init__(self, segmenter: Segmenter, scale: float = SCALE) -> None:
        super().__init__(segmenter)
        self.scale = float(scale)

    @property
    def thread_safe(self) -> bool:  # type: ignore[override]
        """As the other segmenter."""
        return self.segmenter.thread_safe

    def added_options(self) -> dict[str, Any]:
        """The scale."""
        return {"softened": self.scale}

    def soften(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) with the detail of (scale · H, scale · W), at their own size."""
        size = images.shape[-2:]
        small = tuple(max(1, round(side * self.scale)) for side in size)
        reduced = functional.interpolate(images, small, mode="bilinear", antialias=True)
        return functional.interpolate(reduced, tuple(size), mode="bilinear")

    def segment(self, images: Tensor) -> Tensor:
        """As the segmenter's, of the softened images."""
        return self.segmenter.label_maps(self.soften(images))

    def statistics(self, images: Tensor) -> Tensor:
        """As the segmenter's, of the softened images."""
        return self.segmenter.statistics(self.soften(images))

    def score(self, images: Tensor, label: int) -> Tensor:
        """As the segmenter's, of the softened images."""
        return self.segmenter.score(self.soften(images), label)


@dataclass(frozen=True)
class View:
    """A second look at the images."""

    kind: Literal["scale", "segmenter"]
    segmenter: Segmenter
    words: str
    """For people: "at 0.5 of the detail", "by espnetv2"."""


def second_view(
    mode: str,
    segmenter: Segmenter,
    second: Segmenter | None = None,
    resolution: ResolutionResult | None = None,
) -> View:
    """What a mode means.

    Args:
        mode: ``scale`` (half of the detail; where the resolutions do not match, what brings them
            together), ``scale:0.75``, or a second segmenter as ``family[:weights]``.
        second: the second segmenter, where it is loaded already; ``mode`` is then its name.
        resolution: of the two sides, if it is known.

    Raises:
        UsageError: a factor that is none, or the same segmenter again.
        UnknownNameError, WeightsError: no such segmenter.
    """
    name, _, factor = mode.partition(":")
    if second is None and name == "scale":
        held = held_pixels(resolution)
        usual = SCALE if held is None else round(max(0.02, min(held) / max(held)), 3)
        try:
            scale = float(factor) if factor else usual
        except ValueError:
            scale = math.nan
        if not 0.01 <= scale < 1:
            raise UsageError(f"sensitivity {mode!r}: give a factor between 0.01 and 1: scale:0.75")
        return View("scale", SoftenedSegmenter(segmenter, scale), f"at {scale:g} of the detail")
    if second is None:
        from seeingkit.models.loading import load_segmenter

        second = load_segmenter(mode, device=str(segmenter.device))
    if second.info.identity() == segmenter.info.identity():
        raise UsageError(f"sensitivity {mode!r}: this is the segmenter of the comparison; name one")
    return View("segmenter", second, f"by {mode}")


def held_pixels(resolution: ResolutionResult | None) -> tuple[int, int] | None:
    """Pixels that real and generated images hold, where they do not match."""
    if resolution is None or not resolution.mismatch:
        return None
    sides = (resolution.real, resolution.generated)
    known = [[v for v in (side.stored, side.detail) if v is not None] for side in sides]
    return (min(known[0]), min(known[1])) if all(known) else None


def same_images(first: Tally, second: Tally, name: str = "images") -> tuple[Tally, Tally]:
    """The rows of both tallies that are about the same images, in the order of the second.

    Raises:
        TallyError: fewer than two such images.
    """
    places = {item: row for row, item in enumerate(first.ids)}
    kept = [row for row, item in enumerate(second.ids) if item in places]
    if len(kept) < 2:
        raise TallyError(f"{name}: the two views have {len(kept)} images in common; 2 are needed")
    return first.take([places[second.ids[row]] for row in kept]), second.take(kept)


def matched(first: Vocabulary, second: Vocabulary) -> dict[int, int]:
    """Numbers of the labels of one vocabulary in another, by name.

    A name matches the same name, whatever its case and hyphens, else the first of its synonyms
    ("person, individual" and "Person"). Names that mean several labels of a vocabulary match none.
    """
    if first == second:
        return {k: k for k in range(len(first))}
    found: dict[int, int] = {}
    for key in (normalised, lambda name: next(iter(synonyms(name)), name)):
        ours, theirs = ([key(label.name) for label in side] for side in (first, second))
        for number, name in enumerate(ours):
            if number not in found and ours.count(name) == theirs.count(name) == 1:
                found[number] = theirs.index(name)
    return found
