"""Pictures of traced classes: the same images without and with the edit, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from seeingkit.analyses.interventions.differences import column_of
from seeingkit.analyses.interventions.effects import Intervention
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.analyses.tracing.excess import Scaled
from seeingkit.analyses.tracing.missing import Drawn
from seeingkit.images.preprocess import quantise
from seeingkit.models.geometry import cell_size
from seeingkit.system.writing import atomic_write, make_folder

FOLDER = "tracing"
IMAGES = 6
"""Pictures of a class."""
SIDE = 192
"""Longest side in pixels of one picture."""


@dataclass(frozen=True)
class TracedPictures:
    """Draws into a run directory.

    Attributes:
        run: its path.
    """

    run: Path

    def draw(self, subject: Subject, found: Drawn | Scaled, label: int) -> tuple[str, str]:
        """Write two strips of ``IMAGES`` pictures, before and after; returns their files.

        Of an insertion those rows that gain most of the class, with the patch outlined in the
        picture after; of scaled units those images that have most of it.
        """
        measured = found.measured
        column = column_of(subject.segmenter.vocabulary, label)
        before, after = measured.before[:, column], measured.after[0][:, column]
        score = after - before if isinstance(found, Drawn) else before
        rows = _first_of_images(np.argsort(-score, kind="stable"), measured.images)[:IMAGES]
        sample = Sample(
            [found.sample.indices[k] for k in rows], found.sample.seed, found.sample.labels
        )
        if isinstance(found, Drawn):
            mask = found.mask[rows]
            change = Intervention.insertion(found.units, found.k, mask)
        else:
            mask = None
            change = Intervention.ablation(found.units, alpha=found.strength)
        with torch.no_grad():
            state = subject.start(sample, range(len(rows)))
            plain = quantise(subject.images(state))
            edit = change.edit(subject.layer, range(len(rows)))
            edited = quantise(subject.images(state, [edit]))
        name = subject.segmenter.vocabulary.names[label]
        stem = f"{FOLDER}/{label:04d}-{_slug(name)}"
        make_folder(self.run / FOLDER)
        files = f"{stem}-before.png", f"{stem}-after.png"
        boxes: list[Box | None] = [None] * len(rows)
        if mask is not None:
            boxes = [_box(subject, one) for one in mask]
        _save(self.run / files[0], plain, [None] * len(rows))
        _save(self.run / files[1], edited, boxes)
        return files


def _first_of_images(order: np.ndarray, images: np.ndarray) -> list[int]:
    """Rows in this order, without a second of an image."""
    seen: set[int] = set()
    rows = []
    for row in order.tolist():
        if int(images[row]) not in seen:
            seen.add(int(images[row]))
            rows.append(row)
    return rows


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower())[:40]


Box = tuple[float, float, float, float]
"""Left, top, right, bottom in widths and heights of the image."""


def _box(subject: Subject, mask: Tensor) -> Box:
    """Where a patch lies."""
    rows, columns = mask[0].nonzero().T
    (height, width), (top, left) = cell_size(subject.boundary), subject.boundary.window[:2]
    ends = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
    return (
        left + width * ends[0],
        top + height * ends[1],
        left + width * ends[2],
        top + height * ends[3],
    )


def _save(path: Path, pictures: Tensor, boxes: list[Box | None]) -> None:
    """Pictures (N, H, W, 3) side by side as one PNG."""
    made = []
    for each, box in zip(pictures.cpu().numpy(), boxes, strict=True):
        picture = Image.fromarray(each)
        if max(picture.size) > SIDE:
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        if max(picture.size) < SIDE:
            scale = SIDE // max(picture.size)
            size = picture.width * scale, picture.height * scale
            picture = picture.resize(size, Image.Resampling.NEAREST)
        if box is not None:
            sides = (picture.width, picture.height) * 2
            corners = [int(np.clip(e * s, 0, s - 1)) for e, s in zip(box, sides, strict=True)]
            ImageDraw.Draw(picture).rectangle(corners, outline=(255, 255, 255), width=1)
        made.append(np.asarray(picture))
    strip = np.concatenate(made, axis=1)
    with atomic_write(path) as stream:
        Image.fromarray(strip).save(stream, "PNG")
