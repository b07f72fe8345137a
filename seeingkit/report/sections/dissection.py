"""The page of a dissection: the answer, layers, cards of units, all units, how sure they are.

A pure function of ``results.json`` and of the pictures that it names. Cards are made for the units
with pictures alone; the table of all units is data that the page's script shows a part at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.errors import RunError
from seeingkit.results import DissectionResults, UnitResult

from ..figures.charts import themed_figures, write_figure
from ..figures.units import build_units_chart, categories
from ..pictures.colours import class_colour
from ..pictures.marks import css_colour
from ..pictures.units import unit_masks, unit_photos
from ..templates import Section, render
from ..words.dissection import (
    by_iou_words,
    classes_words,
    null_sentence,
    ratio,
    response_words,
    shown_words,
    summarise_dissection,
)
from ..words.names import titles
from ..words.numbers import probability, share
from .unit_contrasts import panel_section

ROWS = 50
"""Rows of the table of all units that stand in the page without any script."""


@dataclass(frozen=True)
class ClassOfUnits:
    """The cards of a class.

    Attributes:
        units: with pictures, clearest first; total: with this label, in all layers.
        colour: of the class, as CSS.
    """

    label: str
    category: str
    colour: str
    units: list[UnitResult]
    total: int


def write_dissection_figure(results: DissectionResults, folder: Path) -> None:
    """Write the figure of units by layer, as ``units.svg`` and ``units.png``."""
    write_figure(build_units_chart(results), folder, "units")


def dissection_values(results: DissectionResults, run_dir: Path | None) -> dict[str, Any]:
    """The words, numbers and pictures of the page.

    Raises:
        RunError: pictures are needed and there is no folder to read them from, or one is damaged.
    """
    if run_dir is None and results.pictures:
        raise RunError("a page with pictures of units needs the run directory they are in")
    words = summarise_dissection(results)
    photos, aspect = ({}, 1.0) if run_dir is None else unit_photos(run_dir, results)
    groups = classes_of_units(results)
    return {
        "names": titles([results.generator.name, results.segmenter.name]),
        "headline": words.headline,
        "details": words.details,
        "cautions": list(words.cautions),
        "sections": [*_compared(results), _sure(results)],
        "figures": themed_figures(lambda layout: build_units_chart(results, layout)),
        "groups": groups,
        "photos": photos,
        "aspect": f"{aspect:.4f}",
        "masks": {} if run_dir is None else unit_masks(run_dir, results.units),
        "shown": shown_words(results),
        "responses": response_words(results),
        "several": len(categories(results)) > 1,
        "categories": categories(results),
        "labels": [(group.label, group.total) for group in groups],
        "rows": sorted(results.units, key=_order)[:ROWS],
        "classes_words": classes_words,
        "ratio": ratio,
        "q": probability,
        "share_of": share,
    }


def _order(unit: UnitResult) -> tuple[bool, float]:
    return unit.label is None, -unit.excess


def classes_of_units(results: DissectionResults) -> list[ClassOfUnits]:
    """The labelled classes, of most units first."""
    found: dict[str, list[UnitResult]] = {}
    for unit in sorted(results.units, key=_order):
        if unit.label is not None:
            found.setdefault(unit.label, []).append(unit)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return [
        ClassOfUnits(
            label,
            units[0].category,
            css_colour(class_colour(label)),
            [unit for unit in units if unit.masks],
            len(units),
        )
        for label, units in ordered
    ]


def unit_data(results: DissectionResults) -> dict[str, Any]:
    """All units for the page's script: names by number, and a row of numbers for each unit."""
    layers = {layer.name: k for k, layer in enumerate(results.layers)}
    names = list(dict.fromkeys(unit.nearest for unit in results.units))
    kinds = list(dict.fromkeys(unit.category for unit in results.units))
    places = {name: k for k, name in enumerate(names)}
    return {
        "layers": list(layers),
        "names": names,
        "kinds": kinds,
        "rows": [_data_row(unit, layers, places, kinds) for unit in results.units],
    }


def _data_row(
    unit: UnitResult, layers: Mapping[str, int], names: Mapping[str, int], kinds: list[str]
) -> list[float | int]:
    numbers = (unit.iou, unit.low, unit.high, unit.chance, unit.excess)
    return [
        layers[unit.layer],
        unit.unit,
        names[unit.nearest],
        int(unit.label is not None),
        kinds.index(unit.category),
        *(round(value, 5) for value in numbers),
        float(f"{unit.q:.3g}"),
        round(unit.active, 5),
    ]


def photo_rules(photos: Mapping[int, str]) -> str:
    """Style rules by which each image stands in the page once, however many units show it."""
    return "".join(f".p{image}{{background-image:url({uri})}}\n" for image, uri in photos.items())


def _compared(results: DissectionResults) -> list[Section]:
    """The section on layers beside each other, of a run of several."""
    if results.compared is None:
        return []
    return [panel_section(results.compared, title="Layers compared")]


def _sure(results: DissectionResults) -> Section:
    """The section on doubt: the null, its rate, and what IoU alone would label."""
    settings = results.settings
    rate = f"of the pairs that the test claims at most {share(settings.fdr)} are wrong on average"
    answer = f"Labels have a null: {rate}." if settings.tested else "These labels have no null."
    body = render(
        "dissection_doubt.html.j2",
        results=results,
        settings=settings,
        null=null_sentence(results),
        by_iou=by_iou_words,
        share_of=share,
    )
    return Section("sure", "How sure", body, answer=answer, appendix=False)
