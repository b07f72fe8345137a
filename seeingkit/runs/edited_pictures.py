"""Pictures of an intervention: images without and with the edit, and where the class is in each.

Guarantees: pictures and masks are those that were counted, made in the same groups; the first
images are chosen by nothing, the others by the change of the class, and each says which it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seeingkit.analyses.interventions.differences import column_of
from seeingkit.analyses.interventions.effects import Floats
from seeingkit.analyses.interventions.parts import GROUP
from seeingkit.analyses.interventions.stage import Intervened
from seeingkit.images.preprocess import quantise
from seeingkit.results import InterventionResults
from seeingkit.results.interventions import EditedImage
from seeingkit.system.writing import make_folder

from .unit_pictures import save_masks, save_photo

EACH = 8
"""Images of each group: with the largest change, and the first ones."""
FOLDER = "edited"


class _Pair(NamedTuple):
    """8-bit pictures (H, W, 3) and masks (H', W') of an image before and after."""

    photos: tuple[Tensor, Tensor]
    masks: tuple[Tensor, Tensor]


def shown_class(found: InterventionResults) -> str | None:
    """The class that pictures mark: the one that was asked for, else the most changed that is
    claimed to change; None without a claim.

    ``shown_class(results)``.
    """
    claimed = [one.label for one in found.effect.classes if one.area_claim != "no evidence"]
    return found.label or next(iter(claimed), None)


def draw_pairs(run: Path, found: Intervened) -> InterventionResults:
    """Write the pictures of a run, and give its results with the records of them::

    draw_pairs(run.path, execute(asked)).pictures
    """
    shown, subject = shown_class(found.results), found.subject
    vocabulary, measured = subject.segmenter.vocabulary, found.measured
    label = None if shown is None else vocabulary.index(shown)
    before = after = np.full(len(found.sample), np.nan)
    size: Floats = np.asarray(measured.moved[0])
    if label is not None:
        column = column_of(vocabulary, label)
        before = measured.before[:, column] * (100 / measured.pixels)
        after = measured.after[0, :, column] * (100 / measured.pixels)
        size = np.abs(after - before)
    order = np.argsort(-size, kind="stable")[:EACH]
    groups: list[tuple[Literal["largest", "first"], int]] = [
        ("largest", int(row)) for row in order if size[row] > 0
    ]
    groups += [("first", row) for row in range(min(EACH, len(size)))]
    files = _draw(run, found, sorted({row for _, row in groups}), label)
    pictures = [
        EditedImage(
            image=int(found.sample.indices[row]),
            group=group,
            before=None if label is None else float(before[row]),
            after=None if label is None else float(after[row]),
            moved=float(measured.moved[0, row]),
            files=files[row][0],
            masks=files[row][1],
        )
        for group, row in groups
    ]
    told: dict[str, object] = {"shown": shown, "pictures": pictures}
    if (context := found.results.context) is not None:
        name = f"{FOLDER}/mean.png"
        save_photo(run / name, _mean_image(found))
        told["context"] = context.model_copy(update={"mean": name})
    return found.results.model_copy(update=told)


def _mean_image(found: Intervened) -> Tensor:
    """The mean of the first ``GROUP`` images without an edit, (H, W, 3) uint8."""
    rows = range(min(GROUP, len(found.sample)))
    with torch.no_grad():
        images = found.subject.images(found.subject.start(found.sample, rows))
    return quantise(images.clamp(-1, 1).mean(0, keepdim=True))[0].cpu()


Names = tuple[str, str]


def _draw(
    run: Path, found: Intervened, rows: list[int], label: int | None
) -> dict[int, tuple[Names, Names]]:
    """Write the pictures of some rows; their files by row."""
    make_folder(run / FOLDER)
    files: dict[int, tuple[Names, Names]] = {}
    for start in sorted({row // GROUP * GROUP for row in rows}):
        group = range(start, min(start + GROUP, len(found.sample)))
        wanted = [row for row in rows if row in group]
        for row, pair in zip(wanted, _pairs(found, group, wanted, label), strict=True):
            stem = f"{FOLDER}/{int(found.sample.indices[row]):06d}"
            photos, masks = (
                (f"{stem}-before{end}.png", f"{stem}-after{end}.png") for end in ("", "-mask")
            )
            for k in (0, 1):
                save_photo(run / photos[k], pair.photos[k])
                save_masks(run / masks[k], [pair.masks[k]])
            files[row] = photos, masks
    return files


def _pairs(found: Intervened, group: range, wanted: list[int], label: int | None) -> list[_Pair]:
    """The pictures of some rows of a group, which is made whole, as when it was counted."""
    subject, sample = found.subject, found.sample
    with torch.no_grad():
        state = subject.start(sample, group)
        edit = found.edit.edit(subject.layer, group)
        both = subject.images(state), subject.images(state, [edit])
        maps = [subject.label_maps(images) for images in both]
    vocabulary = subject.segmenter.vocabulary
    if label is None:
        moved = maps[0][:, 0] != maps[1][:, 0]
        masks = [moved, moved]
    else:
        plane = column_of(vocabulary, label) // len(vocabulary)
        masks = [one[:, plane] == label for one in maps]
    levels = [quantise(images).cpu() for images in both]
    rows = [row - group.start for row in wanted]
    return [
        _Pair((levels[0][k], levels[1][k]), (masks[0][k].cpu(), masks[1][k].cpu())) for k in rows
    ]
