"""Pictures of an assessment: requests, and images without and with the edits.

Guarantees: pictures and masks are those that were counted, made in the same groups; the first
images are chosen by nothing, the others by numbers of the images, and each says which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seeingkit.analyses.interventions.parts import GROUP
from seeingkit.analyses.interventions.subjects import Integers
from seeingkit.analyses.rewriting.assess import Assessed, Assessing, Target
from seeingkit.analyses.rewriting.matching import grown
from seeingkit.analyses.rewriting.outcomes import LEVELS
from seeingkit.analyses.rewriting.regions import PhotoRegion, Region
from seeingkit.images.preprocess import quantise
from seeingkit.results import AssessmentResults
from seeingkit.results.assessment import AssessedImage, Group, RequestPicture, Role
from seeingkit.system.writing import make_folder

from .unit_pictures import save_masks, save_photo

EACH = 8
"""Images of each group."""
CONTEXTS = 6
"""Contexts of a request that are shown."""
FOLDER = "edited"


def draw_assessment(
    run: Path, asked: Assessing, found: Assessed, results: AssessmentResults
) -> AssessmentResults:
    """Write the pictures of a run; returns the results, which name them::

        draw_assessment(run.path, asked, found, results).pictures

    Args:
        run: its directory.
        asked, found: of the assessment.
        results: without pictures.
    """
    make_folder(run / FOLDER)
    rows = chosen_rows(found)
    drawn: dict[int, AssessedImage] = {}
    for start in sorted({row // GROUP * GROUP for _, row in rows}):
        group = range(start, min(start + GROUP, len(asked.sample)))
        wanted = sorted({row for _, row in rows if row in group})
        drawn |= _draw(run, asked, found, group, wanted)
    edits = [
        record.model_copy(update={"request": _request(run, k, target)})
        for k, (record, target) in enumerate(zip(results.edits, asked.targets, strict=True))
    ]
    pictures = [drawn[row].model_copy(update={"group": group}) for group, row in rows]
    return results.model_copy(update={"edits": edits, "pictures": pictures})


def chosen_rows(found: Assessed) -> list[tuple[Group, int]]:
    """Rows of the images that are shown: of which most matches, the first ones, and those that
    change most outside of the matching places.

    ``chosen_rows(found)[0]``
    """
    matched = np.sum([one.rows.matched for one in found.outcomes], axis=0)
    outside = np.min([one.rows.change_outside for one in found.outcomes], axis=0)
    first = range(min(EACH, len(matched)))
    groups: dict[Group, Sequence[int]] = {
        "match": strongest(matched),
        "first": first,
        "outside": strongest(outside),
    }
    return [(group, row) for group, rows in groups.items() for row in rows]


@torch.no_grad()
def _draw(
    run: Path, asked: Assessing, found: Assessed, group: range, wanted: list[int]
) -> dict[int, AssessedImage]:
    """Write the pictures of some rows of a group, which is made whole, as when it was counted."""
    subject = asked.subject
    state = subject.start(asked.sample, group)
    images = subject.images(state), asked.generator.advance(state).x
    maps = [subject.label_maps(each)[:, 0] for each in images]
    size = (int(images[0].shape[-2]), int(images[0].shape[-1]))
    there = torch.zeros(len(state.x), *size, dtype=torch.bool)
    for matcher in found.matchers:
        if matcher is not None:
            there |= grown(matcher.places(state), size).cpu()
    levels = [quantise(each).cpu() for each in images]
    moved = (levels[1].int() - levels[0].int()).abs().sum(-1).double() / LEVELS
    changed = (maps[0] != maps[1]).cpu()
    drawn = {}
    for row in wanted:
        k, number = row - group.start, int(asked.sample.indices[row])
        stem = f"{FOLDER}/{number:06d}"
        files = (f"{stem}-before.png", f"{stem}-after.png")
        masks = (f"{stem}-match.png", f"{stem}-changed.png")
        for name, photo in zip(files, levels, strict=True):
            save_photo(run / name, photo[k])
        for name, mask in zip(masks, (there[k], changed[k]), strict=True):
            save_masks(run / name, [mask])
        rest = moved[k][~there[k]]
        drawn[row] = AssessedImage(
            image=number,
            group="first",
            matched=float(there[k].double().mean()),
            moved=float(changed[k].double().mean()),
            outside=float(rest.mean()) if len(rest) else None,
            files=files,
            masks=masks,
        )
    return drawn


def _request(run: Path, edit: int, target: Target) -> list[RequestPicture]:
    """Write the pictures of what an edit was planned for."""
    if (request := target.request) is None:
        return []
    regions: list[tuple[Role, Region]] = [("copy", request.copy), ("paste", request.paste)]
    regions += [("context", region) for region in request.contexts[:CONTEXTS]]
    found = []
    for k, (role, region) in enumerate(regions):
        stem, photo = f"{FOLDER}/request-{edit}-{k}", ""
        if isinstance(region, PhotoRegion):
            if region.inverted is None:
                continue  # an object whose classes are named: an edit holds no photo
            image, photo = region.found.image, region.photo
        else:
            image = target.bench.image(region)
        save_photo(run / f"{stem}.png", quantise(image)[0].cpu())
        area: Tensor = region.area((int(image.shape[-2]), int(image.shape[-1])))
        half = area >= 0.5
        save_masks(run / f"{stem}-mask.png", [half if bool(half.any()) else area > 0])
        files = {"file": f"{stem}.png", "mask": f"{stem}-mask.png"}
        found.append(RequestPicture(role=role, image=region.index, photo=photo, **files))
    return found


def strongest(values: Integers, most: int = EACH) -> list[int]:
    """Rows of the greatest numbers above 0, greatest first.

    >>> strongest(np.array([0, 2, 5]))
    [2, 1]
    """
    order = np.argsort(-values, kind="stable")[:most]
    return [int(row) for row in order if values[row] > 0]
