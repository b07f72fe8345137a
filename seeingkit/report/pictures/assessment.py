"""Pictures of an assessment as data URIs: requests, and images without and with the edits.

All of them together fit the budget of the page; where they would not, images get smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seeingkit.results import AssessedImage, AssessmentResults
from seeingkit.results.assessment import RequestPicture

from .files import read_photo
from .interventions import LEVELS
from .marks import ONLY
from .units import BUDGET
from .uris import indexed_uri, photo_uri

OUTSIDE = (70, 140, 220)
"""Colour of changed labels where no edit is meant to act."""


@dataclass(frozen=True)
class AssessedPictures:
    """The pictures of one image.

    Attributes:
        record: of the image.
        before, after: data URIs of the image; match: of the matching places, clear elsewhere;
            changed: of the labels that change, at matching places and outside in two colours.
    """

    record: AssessedImage
    before: str
    after: str
    match: str
    changed: str


@dataclass(frozen=True)
class RequestPictures:
    """The pictures of one region of a request.

    Attributes:
        edit: name of the edit; record: of the region.
        photo, mask: data URIs; the mask is clear outside of the region.
    """

    edit: str
    record: RequestPicture
    photo: str
    mask: str


@dataclass(frozen=True)
class AssessmentPictures:
    """All pictures of a page.

    Attributes:
        images, requests: in the order of the records.
        aspect: width over height of an image.
    """

    images: list[AssessedPictures]
    requests: list[RequestPictures]
    aspect: float


def assessment_pictures(run_dir: Path, results: AssessmentResults) -> AssessmentPictures:
    """The pictures at the first level of detail at which all fit.

    Raises:
        RunError: a picture is missing or damaged; names it.

    ``assessment_pictures(Path("runs/tree"), results).images``
    """
    regions = [(edit.name, one) for edit in results.edits for one in edit.request]
    names = {name for one in results.pictures for name in one.files}
    names |= {one.file for _, one in regions}
    photos = {name: read_photo(run_dir, name) for name in names}
    masks = {one.mask: read_photo(run_dir, one.mask)[:, :, 0] >= 128 for _, one in regions}
    masks |= {n: read_photo(run_dir, n)[:, :, 0] >= 128 for o in results.pictures for n in o.masks}
    shown = {name: _mask_uri(mask.astype(np.uint8)) for name, mask in masks.items()}
    both = {}
    for one in results.pictures:
        match, changed = (masks[name] for name in one.masks)
        inside = changed & _resized(match, changed.shape)
        both[one.image] = _mask_uri(changed.astype(np.uint8) + (changed & ~inside))
    drawn: dict[str, str] = {}
    for level in LEVELS:
        drawn = {name: photo_uri(pixels, level) for name, pixels in photos.items()}
        if sum(map(len, [*drawn.values(), *shown.values(), *both.values()])) <= BUDGET:
            break
    height, width = next(iter(photos.values())).shape[:2] if photos else (1, 1)
    images = [
        AssessedPictures(
            one, drawn[one.files[0]], drawn[one.files[1]], shown[one.masks[0]], both[one.image]
        )
        for one in results.pictures
    ]
    requests = [
        RequestPictures(name, one, drawn[one.file], shown[one.mask]) for name, one in regions
    ]
    return AssessmentPictures(images, requests, width / height)


def _mask_uri(numbers: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return indexed_uri(numbers.astype(np.uint8), [(0, 0, 0), ONLY, OUTSIDE])


def _resized(
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], shape: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """A mask at another size, each pixel the nearest one."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, mask.shape, strict=True)
    )
    return np.asarray(mask[np.ix_(rows, columns)], dtype=np.bool_)
