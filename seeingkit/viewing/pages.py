"""The pages: the list of runs, one run, runs side by side, and a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from seeingkit.errors import RunError
from seeingkit.report import (
    summarise,
    summarise_artifacts,
    summarise_assessment,
    summarise_dissection,
    summarise_generators,
    summarise_intervention,
    summarise_inversions,
    summarise_unit_contrasts,
)
from seeingkit.report.words.findings import Summary
from seeingkit.results import (
    AnyResults,
    ArtifactResults,
    AssessmentResults,
    DissectionResults,
    GeneratorsResults,
    InterventionResults,
    InversionResults,
    UnitContrastsResults,
)

from . import choosing, comparing
from .choosing import ORDERS, Choice
from .comparing import Caution, Column, columns
from .files import FIGURES, REPORT, served_files
from .library import Library, Listing
from .records import Run, read_findings
from .templates import render

KNOWN_CHOICES: tuple[comparing.Choice, ...] = get_args(comparing.Choice)


def runs_page(
    listing: Listing, root: Path, base: str, asked: Mapping[str, str], ticked: Sequence[str]
) -> str:
    """The list of runs.

    Args:
        base: the address that all begin with, ``/TOKEN/``.
        asked: the query: ``q``, ``generator``, ``data``, ``omitted``, ``order``.
        ticked: keys of runs that are chosen for a comparison; those that the filter hides stay so.
    """
    runs = list(listing.runs.values())
    options = choosing.options(runs)
    choice = Choice.of(asked, options)
    keys = {run.title: key for key, run in listing.runs.items()}
    chosen = choice.chosen(runs)
    shown = [(keys[run.title], run) for run in chosen]
    known = [key for key in dict.fromkeys(ticked) if key in listing.runs]
    hidden = [(key, listing.runs[key]) for key in known if listing.runs[key] not in chosen]
    reports = {key: _has_report(run, root) for key, run in shown}
    return render(
        "runs.html.j2",
        base=base,
        root=root,
        total=len(runs),
        shown=shown,
        reports=reports,
        choice=choice,
        filtered=choice != Choice(order=choice.order),
        options=options,
        orders={name: words for name, (words, _, _) in ORDERS.items()},
        ticked=set(known),
        hidden=hidden,
        folders=listing.folders,
    )


def _has_report(run: Run, root: Path) -> bool:
    return run.state != "unreadable" and REPORT in served_files(run.folder, root)


def run_page(library: Library, key: str, run: Run, base: str) -> str:
    """One run: its findings in words, its report, figures and files."""
    files = served_files(run.folder, library.root)
    words, fault = None, ""
    if run.state in ("finished", "not ended"):
        try:
            words = _in_words(read_findings(run.folder, library.root))
        except RunError as error:  # it has changed since it was listed
            fault = str(error)
    figures = [name for name in files if name.startswith(f"{FIGURES}/") and name.endswith(".svg")]
    return render(
        "run.html.j2",
        base=base,
        key=key,
        run=run,
        words=words,
        fault=fault,
        files=files,
        figures=figures,
        parts=library.parts(run),
    )


def _in_words(findings: AnyResults) -> Summary:
    if isinstance(findings, InversionResults):
        lines = summarise_inversions(findings.inversions, findings.calibrations, findings.vanishing)
        first, *rest = [*lines, "No photo was inverted."]
        return Summary(first, tuple(rest[:-1]), tuple(findings.warnings))
    if isinstance(findings, DissectionResults):
        return summarise_dissection(findings)
    if isinstance(findings, UnitContrastsResults):
        return summarise_unit_contrasts(findings)
    if isinstance(findings, ArtifactResults):
        return summarise_artifacts(findings)
    if isinstance(findings, AssessmentResults):
        return summarise_assessment(findings)
    if isinstance(findings, InterventionResults):
        return summarise_intervention(findings)
    if isinstance(findings, GeneratorsResults):
        return summarise_generators(findings)
    return summarise(findings)


_WITHOUT_DISTANCE = {
    "dissection": "a dissection",
    "units compared": "a comparison of units",
    "artifact units": "a search for artifact units",
    "intervention": "an intervention",
    "assessment": "an assessment of edits",
}
"""Kinds of runs that compare no images, in words."""


def compare_page(
    library: Library, base: str, asked: Mapping[str, str], ticked: Sequence[str]
) -> tuple[int, str]:
    """Runs side by side; a status and the page, or one that says why there is none.

    Args:
        asked: the query: ``show`` (``comparing.Choice``) and ``label``, a part of a label.
        ticked: keys of the runs.
    """
    found: list[Column] = []
    notes: list[str] = []
    runs = library.find(*ticked)
    if missing := len(set(ticked)) - len(runs):
        notes.append(f"{missing} of the chosen runs is not there any more: go back and load again.")
    for key, run in runs.items():
        try:
            own = columns(read_findings(run.folder, library.root), run.title, key)
        except RunError as error:
            notes.append(f"{run.title}: {error}.")
            continue
        found += own
        if not own:
            what = _WITHOUT_DISTANCE.get(run.kind, "a run of inversions")
            notes.append(f"{run.title}: {what} has no distance and no matrix.")
    if len(found) < 2:
        words = "Choose two or more runs that compare images, or one of several generators."
        return 404, message_page(base, "Nothing to compare", [words, *notes])
    choice = next((name for name in KNOWN_CHOICES if name == asked.get("show")), KNOWN_CHOICES[0])
    text = asked.get("label", "")[: choosing.LONGEST]
    settings, cautions = comparing.settings(found)
    rows, total = comparing.class_rows(found, choice, text)
    bars, end = comparing.bars(found)
    page = render(
        "compare.html.j2",
        base=base,
        keys=list(runs),
        columns=found,
        notes=notes,
        settings=settings,
        cautions=cautions,
        verdict=comparing.verdict_of(cautions),
        total=any(caution.total for caution in cautions),
        distances=comparing.distances(found),
        bars=bars,
        end=end,
        rows=rows,
        known=total,
        choice=choice,
        text=text,
    )
    return 200, page


def message_page(base: str, title: str, lines: Sequence[str]) -> str:
    """A page that says something, with a way back to the list."""
    return render("message.html.j2", base=base, title=title, lines=lines)


__all__ = ["Caution", "compare_page", "message_page", "run_page", "runs_page"]
