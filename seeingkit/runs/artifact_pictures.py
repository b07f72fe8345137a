"""Pictures of a search for artifact units: suspicious units, and images without and with them.

Guarantees: a strip has images in the upper row and the same images with units ablated below them,
as a PNG would hold them; which images are shown depends on numbers and seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from seeingkit.analyses.interventions.artifacts.stage import Artifacts
from seeingkit.analyses.interventions.effects import Floats, Intervention
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.images.preprocess import quantise
from seeingkit.results import ArtifactPair, ArtifactResults, ArtifactUnit
from seeingkit.system.writing import atomic_write, make_folder

UNITS = 12
"""Units with pictures, at most."""
IMAGES = 6
"""Images of a unit."""
PAIRS = 6
"""Images without and with the ablation of each kind: most changed, and drawn."""
SIDE = 256
"""Longest side in pixels of an image in a strip."""
FOLDER = "artifacts"


def draw_artifacts(
    run: Path, subject: Subject, sample: Sample, found: Artifacts, results: ArtifactResults
) -> ArtifactResults:
    """Write the pictures of a run; returns the results, which name them.

    Args:
        run: its directory.
        subject, sample: generator and images of the tests.
        found: of the search.
        results: without pictures.
    """
    make_folder(run / FOLDER)
    alpha = results.settings.alpha
    many = min(UNITS, max(len(test.units) for test in results.tests))
    units = [_unit(run, subject, found.searched, one, alpha) for one in results.units[:many]]
    pairs = []
    for image, why in chosen_images(found.moved, results.seed):
        file = f"{FOLDER}/image-{sample.indices[image]:06d}.png"
        _save(run / file, _strip(subject, sample, [image], results.pictured, alpha))
        moved = float(found.moved[image])
        pairs.append(
            ArtifactPair(image=int(sample.indices[image]), moved=moved, why=why, strip=file)
        )
    update = {"units": [*units, *results.units[many:]], "pairs": pairs}
    return results.model_copy(update=update)


def chosen_images(moved: Floats, seed: int) -> list[tuple[int, Literal["most changed", "drawn"]]]:
    """Rows of the images that are shown: those that change most, then some drawn of the others.

    >>> chosen_images(np.array([0.1, 0.5, 0.0]), 0)[0]
    (1, 'most changed')
    """
    order = [int(row) for row in np.argsort(-moved, kind="stable")]
    first, rest = order[:PAIRS], sorted(order[PAIRS:])
    drawn = np.random.default_rng([seed, 41]).permutation(len(rest))[:PAIRS]
    found: list[tuple[int, Literal["most changed", "drawn"]]] = []
    found += [(row, "most changed") for row in first]
    found += [(rest[k], "drawn") for k in sorted(drawn.tolist())]
    return found


def _unit(
    run: Path, subject: Subject, searched: Sample, unit: ArtifactUnit, alpha: float
) -> ArtifactUnit:
    places = {int(index): row for row, index in enumerate(searched.indices)}
    rows = [places[image] for image in unit.strongest[:IMAGES]]
    file = f"{FOLDER}/unit-{unit.unit:05d}.png"
    _save(run / file, _strip(subject, searched, rows, [unit.unit], alpha))
    return unit.model_copy(update={"strip": file})


def _strip(
    subject: Subject, sample: Sample, rows: Sequence[int], units: Sequence[int], alpha: float
) -> Image.Image:
    """Images of a sample side by side, and below them the same with units ablated."""
    change = Intervention.ablation(units, alpha=alpha).edit(subject.layer, range(len(rows)))
    with torch.no_grad():
        state = subject.start(sample, rows)
        both = [quantise(subject.images(state, edits)).cpu().numpy() for edits in ((), (change,))]
    return Image.fromarray(np.concatenate([_beside(images) for images in both], axis=0))


def _beside(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    made = []
    for image in images:
        picture = Image.fromarray(image)
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        made.append(np.asarray(picture))
    return np.concatenate(made, axis=1)


def _save(path: Path, picture: Image.Image) -> None:
    with atomic_write(path) as stream:
        picture.save(stream, "PNG")
