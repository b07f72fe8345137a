"""Units whose maps agree with regions that a person painted.

Guarantees: masks and maps meet on one grid (``models.geometry``); what place alone gives is taken
off, by the masks of the other images; masks are decoded within the sizes of ``results.marks``;
marks that do not fit are refused before any image is made.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import UsageError
from seeingkit.models.editfiles import check_generator
from seeingkit.models.geometry import to_image_grid
from seeingkit.results.marks import Mark, Marks

from ..curves import check_fresh
from ..subjects import Sample, Starts, Subject
from .scores import Ranking

SIDE = 64
"""Pixels of a side on which masks and maps are compared, at most."""
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Shares of a unit's values below the levels that are tried."""


def marked_sample(marks: Marks) -> Sample:
    """The images that were painted on, in the order of the marks.

    Raises:
        UsageError: fewer than two, or classes of some alone.
    """
    if len(marks.images) < 2:
        raise UsageError("marks of one image do not tell a unit from its place; paint two or more")
    labels = [mark.label for mark in marks.images]
    if any(label is None for label in labels) and any(label is not None for label in labels):
        raise UsageError("some marks name the class of their image and some do not")
    if labels[0] is not None:
        raise UsageError("marks on images of a conditional generator cannot be ranked by yet")
    return Sample(tuple(mark.index for mark in marks.images), marks.seed)


def mask_of(mark: Mark, side: int = SIDE) -> NDArray[np.bool_]:
    """Where a mark is: (H, W) bool of at most ``side`` pixels a side.

    Raises:
        UsageError: its PNG cannot be read.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(mark.png), formats=["PNG"]) as picture,
        ):
            painted = picture.convert("RGBA")
    except (OSError, EOFError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(f"the mask of image {mark.index} cannot be read ({error})") from None
    ground = Image.new("RGBA", painted.size, "black")
    grey = Image.alpha_composite(ground, painted).convert("L")
    scale = max(1.0, max(grey.size) / side)
    small = grey.resize(
        (max(1, round(grey.width / scale)), max(1, round(grey.height / scale))),
        Image.Resampling.BOX,
    )
    return np.asarray(small) >= 128


def check_marks(subject: Subject, sample: Sample, marks: Marks) -> None:
    """Refuse marks by which units cannot be ranked, or not for a test on some images.

    Args:
        subject: generator and layer.
        sample: images of the test.
        marks: painted regions.

    Raises:
        UsageError: as of ``by_marks``, or marks on images of the test.

    ::

        check_marks(subject, Sample(range(300)), read_marks("marks.json"))
    """
    painted_masks(subject, marks)
    check_fresh(subject, sample, [marked_sample(marks)])


def painted_masks(subject: Subject, marks: Marks) -> NDArray[np.bool_]:
    """The masks of marks that fit a generator and its layer, (N, H, W) bool::

        painted_masks(subject, read_marks("marks.json")).shape

    Raises:
        UsageError: as of ``by_marks``.
    """
    check_generator(marks.generator, subject.generator, "marks")
    marked_sample(marks)
    if subject.boundary.extent is None:
        raise UsageError(
            f"{subject.layer!r} has no map, so its units have no place that could agree with "
            "painted regions; name a layer with a map"
        )
    masks = np.stack([mask_of(mark) for mark in marks.images])
    if not masks.any():
        raise UsageError("nothing is painted in the marks: their masks have no white")
    if (masks == masks[0]).all():
        raise UsageError(
            "all masks of the marks are the same, which does not tell a unit from its place; paint "
            "images whose faults lie elsewhere"
        )
    return masks


def by_marks(subject: Subject, marks: Marks) -> Ranking:
    """Rank units by the IoU of their maps with the painted regions, over what place alone gives.

    Score: IoU over all marked images − IoU with the masks of the next image, at the level where the
    difference is greatest.

    Raises:
        UsageError: marks of another generator or of other options, of fewer than two images, of a
            conditional generator, masks that cannot be read, are all empty or all the same; a
            layer without a map.

    ::

        by_marks(subject, read_marks("marks.json")).order[:5]
    """
    masks = painted_masks(subject, marks)
    sample = marked_sample(marks)
    size = (int(masks.shape[1]), int(masks.shape[2]))
    starts = Starts(subject, sample)
    x = starts[range(len(sample))].x.float()
    scores = np.zeros(subject.units)
    own = torch.from_numpy(masks)
    other = own.roll(-1, 0)
    for unit in range(subject.units):  # one at a time: memory does not grow with the layer
        maps = to_image_grid(x[:, unit : unit + 1], subject.boundary, size)[:, 0].cpu()
        scores[unit] = max(
            _iou(maps > level, own) - _iou(maps > level, other) for level in _levels(maps)
        )
    order = sorted(range(subject.units), key=lambda unit: (-scores[unit], unit))
    return Ranking(tuple(order), scores, (1,) * subject.units, len(sample))


def _levels(maps: torch.Tensor) -> list[float]:
    values = np.quantile(maps.numpy(), SHARES)
    return [float(value) for value in np.unique(values)]


def _iou(found: torch.Tensor, wanted: torch.Tensor) -> float:
    either = int((found | wanted).sum())
    return int((found & wanted).sum()) / either if either else 0.0
