"""The page of an assessment of edits: the answer, each edit, images, classes, distance.

A pure function of ``results.json`` and of the pictures that it names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seeingkit.errors import RunError
from seeingkit.results import AssessmentResults

from ..figures.charts import Layout, themed_figures, write_figure
from ..figures.interventions import build_effect_chart
from ..pictures.assessment import AssessmentPictures, assessment_pictures
from ..templates import Section, render
from ..words.names import titles
from ..words.numbers import area, between, change, interval, number, probability, share
from ..words.rewriting import assessed_images, ends_of, points, summarise_assessment
from .interventions import ROWS, effect_rows

GROUPS = (
    ("match", "Where most of the image matches"),
    ("first", "The first images, chosen by nothing"),
    ("outside", "Where most changes outside of the matching places"),
)
"""Groups of images, and their titles."""
ROLES = {"copy": "copied", "paste": "pasted here", "context": "context"}
"""Words under the pictures of a request."""


def write_assessment_figures(results: AssessmentResults, folder: Path) -> None:
    """Write the figure of the classes as ``effects.svg`` and ``effects.png``."""
    if results.effect.classes:
        write_figure(build_effect_chart(results, "wide"), folder, "effects")


def assessment_values(results: AssessmentResults, run_dir: Path | None) -> dict[str, Any]:
    """The words, numbers and pictures of the page.

    Raises:
        RunError: pictures are needed and there is no folder to read them from, or one is damaged.
    """
    if run_dir is None and results.pictures:
        raise RunError("a page with pictures of images needs the run directory they are in")
    words = summarise_assessment(results)
    none = AssessmentPictures([], [], 1.0)
    drawn = none if run_dir is None else assessment_pictures(run_dir, results)
    rows = effect_rows(results)
    figures = {}
    if results.effect.classes:

        def draw(layout: Layout) -> Any:
            return build_effect_chart(results, layout)

        figures["effects"] = themed_figures(draw)
    return {
        "names": titles([results.generator.name, results.data.name]),
        "headline": words.headline,
        "details": words.details,
        "cautions": list(words.cautions),
        "sections": [_sure(results)],
        "figures": figures,
        "groups": [
            (title, [one for one in drawn.images if one.record.group == group])
            for group, title in GROUPS
        ],
        "requests": [
            (edit, [one for one in drawn.requests if one.edit == edit.name])
            for edit in results.edits
        ],
        "roles": ROLES,
        "aspect": f"{drawn.aspect:.4f}",
        "random": None,
        "asked": None,
        "first_rows": rows[:ROWS],
        "more_rows": rows[ROWS:],
        "area": area,
        "between": between,
        "change": change,
        "ends": ends_of,
        "interval": interval,
        "points": points,
        "probability": probability,
        "quantity": number,
        "share": share,
    }


def _sure(results: AssessmentResults) -> Section:
    """The section on doubt: matching places, nulls, error rates, images."""
    rate = share(results.level)
    body = render("assessment_doubt.html.j2", results=results, images=assessed_images(results))
    answer = f"Each question has an error rate of {rate}: success, classes, distance."
    return Section("sure", "How sure", body, answer=answer, appendix=False)
