"""Checks of classifiers, as ``seeingkit.contracts`` promises them.

Guarantee: an image of a classifier that passes has one class, the same alone and among others, and
its table of confusion is about its own labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seeingkit.contracts import Classifier

from .annotators import (
    identity_is_json,
    statistics_by_image,
    statistics_fit_the_unit,
    statistics_repeat,
    statistics_side_by_side,
    vocabulary_unique,
)
from .checks import Check, checks_in, named, noise_images, require


def classes_are_numbers(classifier: Classifier, images: Tensor) -> None:
    """Classes are (N,) int64 numbers of the vocabulary, and its unit says so."""
    unit = classifier.vocabulary.unit
    require(unit == "class", f"a classifier names classes; its vocabulary says {unit}")
    found, size = classifier.classify(images), len(classifier.vocabulary)
    shape = tuple(found.shape)
    require(shape == (len(images),), f"classes are {shape}, expected ({len(images)},)")
    require(found.dtype == torch.int64, f"classes are {found.dtype}, not int64")
    low, high = int(found.min()), int(found.max())
    require(low >= 0 and high < size, f"classes go from {low} to {high}, there are {size}")


def statistics_are_the_classes(classifier: Classifier, images: Tensor) -> None:
    """Statistics are 1 for the class of each image."""
    found = classifier.statistics(images).argmax(1)
    fits = bool((found == classifier.classify(images)).all())
    require(fits, "statistics name other classes than classify")


def confusion_fits(classifier: Classifier, images: Tensor) -> None:
    """A table of confusion has as many labels as the vocabulary, and changes no identity."""
    table = classifier.info.confusion
    if table is None:
        return
    size = len(classifier.vocabulary)
    require(table.labels == size, f"a confusion of {table.labels} labels, of {size}")
    known = "confusion" in classifier.info.identity()
    require(not known, "the table of confusion is part of the identity")


def classifier_checks(images: Tensor | None = None) -> list[tuple[str, Check[Classifier]]]:
    """Name and function of each check of a classifier; a function raises AssertionError.

    Args:
        images: as of ``annotator_checks``.

    >>> [name for name, _ in classifier_checks()][-1]
    'confusion_fits'
    """
    given = noise_images() if images is None else images
    shared = (
        identity_is_json,
        vocabulary_unique,
        statistics_fit_the_unit,
        statistics_repeat,
        statistics_by_image,
        statistics_side_by_side,
    )
    return [*(named(function, given) for function in shared), *checks_in(__name__, given)]
