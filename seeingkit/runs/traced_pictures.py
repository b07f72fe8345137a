"""Pictures of traced classes: the same images without and with the edit, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seeingkit.analyses.interventions.differences import column_of
from seeingkit.analyses.interventions.effects import Intervention
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.analyses.tracing.excess import Scaled
from seeingkit.analyses.tracing.missing import Drawn
from seeingkit.images.preprocess import quantise
from seeingkit.models.geometry import cell_size
from seeingkit.system.writing import make_folder

from .strips import Box, save_strip, slug

FOLDER = "tracing"
IMAGES = 6
"""Pictures of a class."""


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
        stem = f"{FOLDER}/{label:04d}-{slug(name)}"
        make_folder(self.run / FOLDER)
        files = f"{stem}-before.png", f"{stem}-after.png"
        boxes: list[Box | None] = [None] * len(rows)
        if mask is not None:
            boxes = [_box(subject, one) for one in mask]
        save_strip(self.run / files[0], plain, [None] * len(rows))
        save_strip(self.run / files[1], edited, boxes)
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
