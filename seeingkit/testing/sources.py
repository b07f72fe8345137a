"""Checks of image sources, as ``seeingkit.contracts`` promises them.

Guarantee: an image of a source that passes has one name and one content, however it is read.
"""

from __future__ import annotations

import torch

from seeingkit.contracts import GeneratorInfo, ImageSource
from seeingkit.specs import Preset

from .checks import Check, checks_in, require, require_json, require_same

_MOST = 8  # images looked at: the first few and the last


def _indices(source: ImageSource) -> list[int]:
    count = len(source)
    return list(dict.fromkeys([*range(min(count, _MOST - 1)), count - 1]))


def ids_unique(source: ImageSource) -> None:
    """There is one id, a string that is not empty, for each image."""
    ids = list(source.ids)
    require(len(ids) == len(source), f"{len(ids)} ids for {len(source)} images")
    require(len(ids) > 0, "the source is empty")
    require(all(isinstance(i, str) and i for i in ids), "an id is empty or no string")
    require(len(set(ids)) == len(ids), f"{len(ids) - len(set(ids))} ids occur twice")


def images_in_range(source: ImageSource) -> None:
    """Images are finite float32 (N, 3, H, W) in [-1, 1]."""
    for i in _indices(source):
        image = source.read([i])
        shape = tuple(image.shape)
        fits = len(shape) == 4 and shape[:2] == (1, 3) and min(shape) > 0
        require(fits, f"image {source.ids[i]!r} is {shape}, expected (1, 3, H, W)")
        require(image.dtype == torch.float32, f"image {source.ids[i]!r} is {image.dtype}")
        require(bool(torch.isfinite(image).all()), f"image {source.ids[i]!r} holds NaN or Inf")
        low, high = float(image.min()), float(image.max())
        require(low >= -1 and high <= 1, f"image {source.ids[i]!r} goes from {low:g} to {high:g}")


def order_is_kept(source: ImageSource) -> None:
    """Several images read at once, in any order and repeatedly, are those read one by one."""
    indices = _indices(source)
    alone = {i: source.read([i]) for i in indices}
    first = alone[indices[0]].shape
    same = [i for i in reversed(indices) if alone[i].shape == first]  # only these fit one batch
    together = source.read(same)
    require(len(together) == len(same), f"{len(together)} images for {len(same)} indices")
    for row, i in enumerate(same):
        require_same(together[row : row + 1], alone[i], f"image {source.ids[i]!r} in a batch")


def load_agrees(source: ImageSource) -> None:
    """``load`` gives what ``read`` gives, with the indices, and accounts for every image."""
    index = _indices(source)[-1]
    images, good, skipped = source.load([index])
    require(len(good) + len(skipped) == 1, f"{len(good)} images and {len(skipped)} skipped of 1")
    require(good == [index] and images is not None, f"image {source.ids[index]!r} was skipped")
    assert images is not None
    require_same(images, source.read([index]), f"image {source.ids[index]!r} loaded")


def fingerprint_is_stable(source: ImageSource) -> None:
    """The fingerprint is a string that reading does not change."""
    before, ids = source.fingerprint, list(source.ids)
    require(isinstance(before, str) and bool(before), f"the fingerprint is {before!r}")
    source.read([0])
    require(source.fingerprint == before, "the fingerprint changed while images were read")
    require(list(source.ids) == ids, "the ids changed while images were read")


def fingerprint_has_one_value(source: ImageSource) -> None:
    """``compute_fingerprint`` gives the fingerprint; ``digest`` tells images and orders apart."""
    same = source.compute_fingerprint() == source.fingerprint
    require(same, "compute_fingerprint() gives another value than the fingerprint")
    if len(source) > 1:
        digests = [source.digest(order) for order in ([0, 1], [1, 0], [0])]
        require(len(set(digests)) == 3, "digest() does not tell images and their order apart")
        require(source.digest([0, 1]) == digests[0], "digest() of the same images changes")


def first_images_stay(source: ImageSource) -> None:
    """``first(n)`` of an endless source keeps the first images, and all else that it says."""
    n = max(1, len(source) // 2)
    few = source.first(n)
    if few is None:
        return  # a finite collection
    require(len(few) == n, f"first({n}) has {len(few)} images")
    require(list(few.ids) == list(source.ids[:n]), f"first({n}) has other ids")
    require_same(few.read([0]), source.read([0]), f"image {source.ids[0]!r} of first({n})")
    for what in ("kind", "preset", "seed", "generator", "label_names"):
        require(getattr(few, what) == getattr(source, what), f"first({n}) has another {what}")
    require(few.condition(0) == source.condition(0), f"first({n}) has another condition(0)")


def optional_members(source: ImageSource) -> None:
    """Preset, generator and conditions are what the contract says, or None."""
    preset, made_by = source.preset, source.generator
    require(preset is None or isinstance(preset, Preset), f"preset is {type(preset).__name__}")
    known = made_by is None or isinstance(made_by, GeneratorInfo)
    require(known, f"generator is {type(made_by).__name__}")
    classes = 0 if made_by is None else len(made_by.class_names)
    for i in _indices(source):
        condition = source.condition(i)
        if made_by is None and condition is not None:  # listed by a data set
            require(type(condition) is int and condition >= 0, f"image {i} has class {condition!r}")
            continue
        if not classes:
            require(condition is None, f"image {i} has class {condition}, but there are no classes")
            continue
        fits = isinstance(condition, int) and 0 <= condition < classes
        require(fits, f"image {i} has class {condition!r}; the classes are 0 to {classes - 1}")


def description_is_json(source: ImageSource) -> None:
    """What a report says of the source can be written as JSON."""
    require(isinstance(source.name, str) and bool(source.name), f"the name is {source.name!r}")
    require_json(source.describe(), "describe()")


def source_checks() -> list[tuple[str, Check[ImageSource]]]:
    """Name and function of each check of an image source; a function raises AssertionError.

    >>> [name for name, _ in source_checks()][:2]
    ['ids_unique', 'images_in_range']
    """
    return checks_in(__name__)
