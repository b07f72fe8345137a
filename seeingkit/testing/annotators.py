"""Checks of annotators of any unit, as ``seeingkit.contracts`` promises them.

Guarantee: the numbers of an annotator that passes fit its vocabulary and unit, and do not depend on
the batch an image was in.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from seeingkit.contracts import Annotator

from .checks import (
    BATCH_TOLERANCE,
    Check,
    checks_in,
    noise_images,
    require,
    require_again,
    require_json,
    require_same,
    side_by_side,
)


def identity_is_json(annotator: Annotator, images: Tensor) -> None:
    """The identity can be written down and compared."""
    require_json(annotator.info.identity(), "info.identity()")


def vocabulary_unique(annotator: Annotator, images: Tensor) -> None:
    """No label occurs twice in a category, and no plane twice."""
    vocabulary = annotator.vocabulary
    require(len(vocabulary) > 0, "the vocabulary is empty")
    pairs = Counter((label.category, label.name) for label in vocabulary)
    double = [f"{category} {name!r}" for (category, name), n in pairs.items() if n > 1]
    require(not double, f"the vocabulary has {', '.join(double[:3])} twice")
    require(all(label.name for label in vocabulary), "a label has no name")
    planes = vocabulary.planes
    require(len(planes) > 0 and len(set(planes)) == len(planes), f"planes are {planes}")


def statistics_fit_the_unit(annotator: Annotator, images: Tensor) -> None:
    """Statistics are (N, planes x labels) finite numbers that the unit allows."""
    found, vocabulary = annotator.statistics(images), annotator.vocabulary
    expected = (len(images), len(vocabulary.planes) * len(vocabulary))
    shape = tuple(found.shape)
    message = f"statistics are {shape}, expected {expected} (images, planes x labels)"
    require(shape == expected, message)
    if vocabulary.unit == "pixels":
        require(found.dtype == torch.int64, f"pixels are {found.dtype}, not int64")
    require(bool(torch.isfinite(found.double()).all()), "statistics hold NaN or Inf")
    low, high = float(found.min()), float(found.max())
    require(low >= 0, f"statistics go down to {low:g}; a {vocabulary.unit} is not negative")
    if vocabulary.unit == "class":
        one = bool(((found == 0) | (found == 1)).all()) and bool((found.sum(1) == 1).all())
        require(one, "an image of a classifier has one class: 1 for it, 0 for all others")
    if vocabulary.unit == "probability":
        require(high <= 1, f"statistics go up to {high:g}; a probability is at most 1")


def statistics_repeat(annotator: Annotator, images: Tensor) -> None:
    """The same images give the same numbers, whatever was seen in between."""
    first = annotator.statistics(images).clone()
    annotator.statistics(images.flip(3))
    require_again(annotator.statistics(images), first, "statistics of the same images")


def statistics_by_image(annotator: Annotator, images: Tensor) -> None:
    """An image alone and among others gets the same numbers, within ``BATCH_TOLERANCE``."""
    together = annotator.statistics(images)
    for i in range(len(images)):
        alone = annotator.statistics(images[i : i + 1])
        require_same(alone, together[i : i + 1], f"image {i} alone", BATCH_TOLERANCE)


def statistics_side_by_side(annotator: Annotator, images: Tensor) -> None:
    """An annotator that is ``thread_safe`` gives two threads at once what it gives each alone."""
    if not annotator.thread_safe or annotator.device.type != "cpu":
        return
    other = images.flip(0, 3).contiguous()
    for alone, again in side_by_side(annotator.statistics, images, other):
        require_again(again, alone, "statistics while another thread asks")


def annotator_checks(images: Tensor | None = None) -> list[tuple[str, Check[Annotator]]]:
    """Name and function of each check of an annotator; a function raises AssertionError.

    Args:
        images: (N, 3, H, W) float32 in [-1, 1] with N at least 2, or None for ``noise_images``.

    >>> annotator_checks()[0][0]
    'identity_is_json'
    """
    return checks_in(__name__, noise_images() if images is None else images)
