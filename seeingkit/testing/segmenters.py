"""Checks of segmenters, as ``seeingkit.contracts`` promises them.

Guarantee: the pixel counts of a segmenter that passes add up to the pixels of each plane, do not
depend on the batch an image was in, and its score can be optimised.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from seeingkit.contracts import Segmenter

from .annotators import (
    identity_is_json,
    statistics_fit_the_unit,
    statistics_side_by_side,
    vocabulary_unique,
)
from .checks import Check, checks_in, named, noise_images, require, require_same

FLIPPED_PIXELS = 1e-3
"""Share of pixels whose label may depend on the batch (near ties, decided by rounding)."""
SCORE_TOLERANCE = 1e-4
"""Largest difference between a score alone and in a batch."""


def labels_in_range(segmenter: Segmenter, images: Tensor) -> None:
    """Segmentations are int64 numbers of the vocabulary."""
    maps = segmenter.segment(images)
    require(maps.dtype == torch.int64, f"labels are {maps.dtype}, not int64")
    low, high, size = int(maps.min()), int(maps.max()), len(segmenter.vocabulary)
    require(low >= 0 and high < size, f"labels go from {low} to {high}, there are {size}")


def planes_as_declared(segmenter: Segmenter, images: Tensor) -> None:
    """A segmentation has one plane for each that the vocabulary declares."""
    shape, planes = tuple(segmenter.segment(images).shape), segmenter.vocabulary.planes
    fits = len(shape) == 4 and shape[:2] == (len(images), len(planes)) and min(shape) > 0
    require(fits, f"a segmentation is {shape}, declared ({len(images)}, {len(planes)}, H, W)")


def labels_repeat(segmenter: Segmenter, images: Tensor) -> None:
    """The same images give the same labels, whatever was seen in between."""
    first = segmenter.segment(images).clone()
    segmenter.segment(images.flip(3))
    require_same(segmenter.segment(images), first, "labels of the same images")


def batch_invariance(segmenter: Segmenter, images: Tensor) -> None:
    """An image alone and among others gets the same labels, scores and counts."""
    together, label = segmenter.segment(images), _common(segmenter, images)[0]
    scores = segmenter.score(images, label)
    for i in range(len(images)):
        alone = segmenter.segment(images[i : i + 1])
        require(alone.shape[1:] == together.shape[1:], f"image {i} alone: {tuple(alone.shape)}")
        flipped = float((alone[0] != together[i]).double().mean())
        require(flipped <= FLIPPED_PIXELS, f"image {i} alone: {flipped:.2%} other labels")
        score = segmenter.score(images[i : i + 1], label)
        require_same(score[0], scores[i], f"score of image {i} alone", SCORE_TOLERANCE)


def statistics_count_pixels(segmenter: Segmenter, images: Tensor) -> None:
    """Statistics count the labels of each plane, plane-major, and sum to its pixels."""
    maps = segmenter.segment(images)
    n, planes, height, width = maps.shape
    unit = segmenter.vocabulary.unit
    require(unit == "pixels", f"a segmenter counts pixels; its vocabulary says {unit}")
    size = len(segmenter.vocabulary)
    counts = segmenter.statistics(images)
    found, expected = tuple(counts.shape), f"({n}, {planes} x {size})"
    require(found == (n, planes * size), f"statistics are {found}, expected {expected}")
    by_plane = counts.reshape(n, planes, size)
    sums = by_plane.sum(2)
    fits, first = bool((sums == height * width).all()), float(sums.flatten()[0])
    require(fits, f"a plane's counts sum to {first:g}, it has {height * width} pixels")
    for label in range(size):
        covered = (maps == label).sum((2, 3)).to(by_plane)
        require_same(by_plane[:, :, label], covered, f"counts of label {label}")


def score_in_range(segmenter: Segmenter, images: Tensor) -> None:
    """Scores are (N, H', W') numbers in [0, 1]."""
    for label in _common(segmenter, images):
        score = segmenter.score(images, label)
        fits = score.ndim == 3 and len(score) == len(images) and score.is_floating_point()
        given = f"{score.dtype} {tuple(score.shape)}"
        require(fits, f"score of label {label} is {given}, expected (N, H, W)")
        low, high = float(score.min()), float(score.max())
        require(low >= 0 and high <= 1, f"score of label {label} goes from {low:g} to {high:g}")


def score_differentiable(segmenter: Segmenter, images: Tensor) -> None:
    """A finite gradient leads from the score to the images; it is not zero for all labels."""
    sizes = []
    for label in _common(segmenter, images):
        with torch.enable_grad():
            x = images.clone().requires_grad_()
            score = segmenter.score(x, label)
            require(score.requires_grad, f"score of label {label} has no gradient")
            (gradient,) = torch.autograd.grad(score.sum(), x, allow_unused=True)
        require(gradient is not None, f"score of label {label} does not depend on the images")
        require(bool(torch.isfinite(gradient).all()), f"gradient of label {label} is not finite")
        sizes.append(float(gradient.abs().max()))
    require(max(sizes) > 0, "the gradient of every score is zero everywhere")


def scores_of_several_labels(segmenter: Segmenter, images: Tensor) -> None:
    """``scores`` gives (N, labels, H', W'), each as ``score`` gives it, in the order asked for."""
    labels = _common(segmenter, images)[::-1]
    found = segmenter.scores(images, labels)
    require(found.shape[:2] == (len(images), len(labels)), f"scores are {tuple(found.shape)}")
    for k, label in enumerate(labels):
        alone = segmenter.score(images, label)
        require_same(found[:, k], alone, f"scores of label {label}", SCORE_TOLERANCE)


def images_untouched(segmenter: Segmenter, images: Tensor) -> None:
    """Nothing changes the images it is given."""
    given = images.clone()
    segmenter.segment(given)
    require_same(given, images, "images after segment")
    segmenter.statistics(given)
    require_same(given, images, "images after statistics")
    segmenter.score(given, 0)
    require_same(given, images, "images after score")


def _common(segmenter: Segmenter, images: Tensor) -> list[int]:
    """Up to three labels: the two that cover most of the first plane, and the last."""
    maps = segmenter.segment(images)[:, 0]
    ranked = [label for label, _ in Counter(maps.flatten().tolist()).most_common(2)]
    return list(dict.fromkeys([*ranked, len(segmenter.vocabulary) - 1]))


def segmenter_checks(images: Tensor | None = None) -> list[tuple[str, Check[Segmenter]]]:
    """Name and function of each check of a segmenter; a function raises AssertionError.

    Args:
        images: as of ``annotator_checks``.

    >>> [name for name, _ in segmenter_checks()][:2]
    ['identity_is_json', 'vocabulary_unique']
    """
    given = noise_images() if images is None else images
    shared = (
        identity_is_json,
        vocabulary_unique,
        statistics_fit_the_unit,
        statistics_side_by_side,
    )
    return [*(named(function, given) for function in shared), *checks_in(__name__, given)]
