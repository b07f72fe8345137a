"""Suites' folders for tests: small and real, of made-up tallies that are compared and ranked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seeingkit import Tally, compare
from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.analyses.comparison.ranking import rank_generators
from seeingkit.contracts import Label, Vocabulary
from seeingkit.results import (
    InversionRecord,
    InversionSettings,
    LostClass,
    SuiteCell,
    SuiteGenerator,
    SuiteRanking,
    SuiteResults,
)

LABELS = ("sky", "tree", "building", "person", "boat", "water")
AREAS = (6.0, 4.0, 8.0, 0.7, 0.5, 0.9)
"""Concentrations of the areas of the made-up real images; a small one is often absent."""
REPORT = (
    "<!DOCTYPE html>\n<html><head><title>report</title></head><body>\n<header>\n<h1>report</h1>"
    "</header>\n<main>A made-up report.</main></body></html>\n"
)

Loss = Mapping[str, float]
"""The share of a class's images that a generator leaves it out of."""


def made_rows(n: int, loss: Loss, labels: Sequence[str], rng: np.random.Generator) -> NDArray[Any]:
    """(n, L) areas in [0, 1] of made-up images, with some classes left out of some of them."""
    areas = np.resize(AREAS, len(labels))
    rows = rng.dirichlet(areas, n)
    rows[rows < 0.01] = 0.0
    for label, share in loss.items():
        lost = rng.random(n) < share
        rows[lost, labels.index(label)] = 0.0
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def make_suite(
    folder: Path,
    generators: Mapping[str, Loss],
    *,
    labels: Sequence[str] = LABELS,
    rankings: Sequence[str] = ("photos",),
    controls: int = 1,
    failed: Mapping[str, str] | None = None,
    waiting: Sequence[str] = (),
    steps: Mapping[str, tuple[str, float]] | None = None,
    inverted: Sequence[str] = (),
    categories: Mapping[str, str] | None = None,
    n: int = 300,
    title: str = "",
) -> Path:
    """Write a suite of made-up images, each ranking with another seed; returns its folder.

    Args:
        generators: what each leaves out, by its name.
        rankings: their names.
        controls: sets of real images that stand in the place of generated ones.
        failed, waiting: further generators, the failed ones with their reasons.
        steps: series and training step of some generators.
        inverted: generators with two inverted photos of the fourth class.
    """
    names = [*generators, *(failed or {}), *waiting]
    entries = [_entry(name, (steps or {}).get(name)) for name in names]
    records, cells = [], []
    for k, ranking in enumerate(rankings):
        done = bool(generators)
        if done:
            classes = [Label(x, (categories or {}).get(x, "object")) for x in labels]
            _rank(folder, ranking, generators, classes, controls, n, seed=k)
        for name in names:
            cell = _cell(ranking, name, failed or {}, waiting)
            cells.append(cell)
            if cell.folder:
                _write_cell(folder / cell.folder, labels, name in inverted, seed=names.index(name))
        records.append(
            SuiteRanking(
                name=ranking,
                data="made-up photos",
                segmenter="made up",
                seed=k,
                n=n,
                state="done" if done else "waiting",
                generators=list(generators),
            )
        )
    suite = SuiteResults(title=title, generators=entries, rankings=records, cells=cells)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(suite.model_dump_json(), encoding="utf-8")
    return folder


def _entry(name: str, step: tuple[str, float] | None) -> SuiteGenerator:
    if step is None:
        return SuiteGenerator(name=name, source="made up", options={"truncation": 0.7})
    return SuiteGenerator(
        name=name,
        source="made up",
        weights=f"{name}.pkl",
        series=step[0],
        step=step[1],
        step_unit="kimg",
    )


def _cell(ranking: str, name: str, failed: Mapping[str, str], waiting: Sequence[str]) -> SuiteCell:
    if name in failed:
        return SuiteCell(generator=name, ranking=ranking, state="failed", reason=failed[name])
    if name in waiting:
        return SuiteCell(generator=name, ranking=ranking, state="waiting", reason="not run yet")
    folder = f"cells/{ranking}/{cell_folder(name)}"
    return SuiteCell(generator=name, ranking=ranking, state="done", folder=folder, seconds=1.5)


def cell_folder(name: str) -> str:
    """A folder's name for a generator of any name."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:40] or "_"


def _rank(
    folder: Path,
    ranking: str,
    generators: Mapping[str, Loss],
    labels: Sequence[Label],
    controls: int,
    n: int,
    seed: int,
) -> None:
    rng = np.random.default_rng([seed, 1])
    names = [label.name for label in labels]

    def tally(loss: Loss) -> Tally:
        vocabulary = Vocabulary(tuple(labels), has_background=False)
        return Tally.from_fractions(made_rows(n, loss, names, rng), vocabulary)

    real = tally({})

    def compared(loss: Loss) -> Comparison:
        return compare(real, tally(loss), permutations=49, evidence=False)

    found = rank_generators(
        [compared(loss) for loss in generators.values()],
        list(generators),
        controls=[compared({}) for _ in range(controls)],
        permutations=49,
        seed=seed,
    )
    path = folder / "rankings" / ranking / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(found.model_dump_json(), encoding="utf-8")


def _write_cell(cell: Path, labels: Sequence[str], inverted: bool, seed: int) -> None:
    cell.mkdir(parents=True, exist_ok=True)
    (cell / "report.html").write_text(REPORT, encoding="utf-8")
    content: dict[str, Any] = {"kind": "comparison", "inversions": []}
    if inverted:
        settings = InversionSettings(preset="fast", labels=["-", *labels])
        content["inversion"] = settings.model_dump(mode="json")
        records = [_inverted(cell, labels, photo, seed) for photo in range(2)]
        content["inversions"] = [record.model_dump(mode="json") for record in records]
    (cell / "results.json").write_text(json.dumps(content), encoding="utf-8")


def _inverted(cell: Path, labels: Sequence[str], photo: int, seed: int) -> InversionRecord:
    """A photo with a square of the fourth class, of which the reconstruction keeps a part."""
    label, number, side = labels[3], 4, 64
    rng = np.random.default_rng(photo)
    picture = np.full((side, side, 3), (120, 160, 210), np.uint8)
    picture[side // 2 :] = (90, 130, 80)
    picture += rng.integers(0, 20, picture.shape, dtype=np.uint8)
    before = np.ones((side, side), np.uint8)
    before[side // 2 :] = 2
    after = before.copy()
    top, left, size = 30 + 4 * photo, 12 + 10 * photo, 16
    picture[top : top + size, left : left + size] = (190, 60, 50)
    before[top : top + size, left : left + size] = number
    kept = seed % 3 * 6
    made = np.clip(picture.astype(int) + rng.integers(-8, 8, picture.shape), 0, 255).astype(
        np.uint8
    )
    made[top : top + size, left : left + size - kept] = (100, 140, 90)
    after[top : top + size, left + size - kept : left + size] = number
    inside = cell / "inversions"
    inside.mkdir(exist_ok=True)
    names = {}
    for name, values in (("photo", picture), ("made", made), ("before", before), ("after", after)):
        names[name] = f"inversions/{photo}-{name}.png"
        Image.fromarray(values).save(cell / names[name])
    areas = [100 * float((m == number).mean()) for m in (before, after)]
    lost = 1 - areas[1] / areas[0]
    return InversionRecord(
        image=f"photo {photo}.png",
        method="layered+r",
        cut="r4",
        psnr=22.5,
        lost={label: lost},
        photo=names["photo"],
        reconstruction=names["made"],
        photo_labels=names["before"],
        reconstruction_labels=names["after"],
        picked_for=label,
        classes=[
            LostClass(label=label, photo_area=areas[0], reconstruction_area=areas[1], lost=lost)
        ],
    )
