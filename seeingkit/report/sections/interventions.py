"""The page of an intervention: the answer, pairs of images, classes, curve, single units, contexts.

A pure function of ``results.json`` and of the pictures that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.errors import RunError
from seeingkit.results import AssessmentResults, InterventionResults
from seeingkit.results.interventions import ClassEffect, Control

from ..figures.charts import Layout, themed_figures, write_figure
from ..figures.interventions import (
    asked_of,
    build_curve_chart,
    build_effect_chart,
    build_single_chart,
)
from ..pictures.interventions import heat_map, pair_pictures
from ..templates import Section, render
from ..words.interventions import images_words, left_words, summarise_intervention
from ..words.names import titles
from ..words.numbers import area, change, interval, number, probability, share

if TYPE_CHECKING:
    import altair as alt

ROWS = 20
"""Classes of the table that are not folded, besides all with a claim."""
UNITS = 40
"""Single units of the table."""


@dataclass(frozen=True)
class EffectRow:
    """One class of the table.

    Attributes:
        record: its numbers; control: of random units, where they were compared.
    """

    record: ClassEffect
    control: Control | None

    @property
    def claims(self) -> str:
        """``less area, in fewer images``; ``no evidence`` without any."""
        both = (self.record.area_claim, self.record.images_claim)
        return ", ".join(one for one in both if one != "no evidence") or "no evidence"

    @property
    def mark(self) -> str:
        """The verdict whose colour the claim has."""
        both = (self.record.area_claim, self.record.images_claim)
        if "less area" in both or "in fewer images" in both:
            return "omitted"
        more = "more area" in both or "in more images" in both
        return "excess" if more else "no-evidence"


def figures_of(
    results: InterventionResults,
) -> dict[str, Callable[[Layout], alt.TopLevelMixin]]:
    """The figures of the page, by name: ``effects``, and where there is one ``curve``, ``units``.

    ``figures_of(results)["effects"]("wide")``.
    """
    found: dict[str, Callable[[Layout], alt.TopLevelMixin]] = {}
    if results.effect.classes:
        found["effects"] = lambda layout: build_effect_chart(results, layout)
    if results.curve is not None:
        found["curve"] = lambda layout: build_curve_chart(results, layout)
    if results.single is not None and results.single.effects:
        found["units"] = lambda layout: build_single_chart(results, layout)
    return found


def write_intervention_figures(results: InterventionResults, folder: Path) -> None:
    """Write the figures as ``NAME.svg`` and ``NAME.png``."""
    for name, draw in figures_of(results).items():
        write_figure(draw("wide"), folder, name)


def intervention_values(results: InterventionResults, run_dir: Path | None) -> dict[str, Any]:
    """The words, numbers and pictures of the page.

    Raises:
        RunError: pictures are needed and there is no folder to read them from, or one is damaged.
    """
    if run_dir is None and results.pictures:
        raise RunError("a page with pictures of images needs the run directory they are in")
    words = summarise_intervention(results)
    pairs, aspect = ([], 1.0) if run_dir is None else pair_pictures(run_dir, results)
    rows = effect_rows(results)
    single = results.single
    return {
        "names": titles([results.generator.name, results.segmenter.name]),
        "headline": words.headline,
        "details": words.details,
        "cautions": list(words.cautions),
        "sections": [_sure(results)],
        "figures": {name: themed_figures(draw) for name, draw in figures_of(results).items()},
        "groups": [
            (title, [pair for pair in pairs if pair.record.group == group])
            for group, title in (
                ("largest", "Where it changes most"),
                ("first", "The first images, chosen by nothing"),
            )
        ],
        "aspect": f"{aspect:.4f}",
        "random": results.random,
        "asked": results.label,
        "first_rows": rows[:ROWS],
        "more_rows": rows[ROWS:],
        "single_rows": [] if single is None else single.effects[:UNITS],
        "heat": heat_map(run_dir, results),
        "area": area,
        "change": change,
        "interval": interval,
        "points": number,
        "probability": probability,
        "share": share,
        "left": left_words,
    }


def effect_rows(results: InterventionResults | AssessmentResults) -> list[EffectRow]:
    """The classes: the one that was asked for, those with a claim, then by their change.

    ``effect_rows(results)[0].claims``.
    """
    random, label = asked_of(results)
    controls = {} if random is None else {one.label: one for one in random.classes}
    rows = [EffectRow(one, controls.get(one.label)) for one in results.effect.classes]
    return sorted(rows, key=lambda row: (row.record.label != label, row.claims == "no evidence"))


def _sure(results: InterventionResults) -> Section:
    """The section on doubt: nulls, error rates, images."""
    rate = share(results.effect.level)
    answer = f"Claims have a null: of those that are made at most {rate} are wrong on average."
    body = render("intervention_doubt.html.j2", results=results, images=images_words(results))
    return Section("sure", "How sure", body, answer=answer, appendix=False)
