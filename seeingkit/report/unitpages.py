"""Pages about units of a generator: their template, words and numbers, data, scripts and styles.

One entry a kind of results (``PAGES``): a new kind of page about units is a line here, a section in
``sections/`` and a template.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from seeingkit.results import (
    AnyResults,
    ArtifactResults,
    AssessmentResults,
    DissectionResults,
    InterventionResults,
    UnitContrastsResults,
)

from .sections.artifacts import artifacts_values
from .sections.assessment import assessment_values, write_assessment_figures
from .sections.dissection import (
    dissection_values,
    photo_rules,
    unit_data,
    write_dissection_figure,
)
from .sections.interventions import intervention_values, write_intervention_figures
from .sections.unit_contrasts import unit_contrasts_values, write_unit_counts_figures
from .templates import asset


class UnitPage(NamedTuple):
    """The body of a page.

    Attributes:
        template: name of its file.
        values: words and numbers; ``sections`` among them.
        data: for its script; script, style: beside those of every page.
    """

    template: str
    values: dict[str, Any]
    data: dict[str, Any]
    script: str
    style: str


def _dissection(results: Any, run_dir: Path | None) -> UnitPage:
    values = dissection_values(results, run_dir)
    style = asset("dissection.css") + photo_rules(values["photos"])
    data = unit_data(results)
    return UnitPage("dissection.html.j2", values, data, asset("dissection.js"), style)


def _intervention(results: Any, run_dir: Path | None) -> UnitPage:
    values = intervention_values(results, run_dir)
    script, style = asset("intervention.js"), asset("intervention.css")
    return UnitPage("intervention.html.j2", values, {}, script, style)


def _unit_contrasts(results: Any, run_dir: Path | None) -> UnitPage:
    values, style = unit_contrasts_values(results), asset("dissection.css")
    return UnitPage("unit_contrasts.html.j2", values, {}, "", style)


def _artifacts(results: Any, run_dir: Path | None) -> UnitPage:
    values, style = artifacts_values(results, run_dir), asset("artifacts.css")
    return UnitPage("artifacts.html.j2", values, {}, "", style)


def _assessment(results: Any, run_dir: Path | None) -> UnitPage:
    values, script = assessment_values(results, run_dir), asset("intervention.js")
    style = asset("intervention.css") + asset("assessment.css")
    return UnitPage("assessment.html.j2", values, {}, script, style)


PAGES: dict[type[AnyResults], Callable[[Any, Path | None], UnitPage]] = {
    DissectionResults: _dissection,
    InterventionResults: _intervention,
    UnitContrastsResults: _unit_contrasts,
    ArtifactResults: _artifacts,
    AssessmentResults: _assessment,
}
"""How the body of each kind of page about units is made."""


def unit_page(results: AnyResults, run_dir: Path | None) -> UnitPage:
    """The body of a page about units.

    Raises:
        RunError: a picture that a record names cannot be used.
    """
    return PAGES[type(results)](results, run_dir)


def write_unit_figures(results: AnyResults, folder: Path) -> None:
    """The figures of results about units, as files."""
    if isinstance(results, DissectionResults):
        write_dissection_figure(results, folder)
    if isinstance(results, UnitContrastsResults):
        write_unit_counts_figures(results.panels, folder)
    if isinstance(results, InterventionResults):
        write_intervention_figures(results, folder)
    if isinstance(results, AssessmentResults):
        write_assessment_figures(results, folder)
