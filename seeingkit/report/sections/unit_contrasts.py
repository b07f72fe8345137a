"""Layers beside each other, on their own page and on that of a dissection of several layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seeingkit.results import UnitContrastsResults, UnitPanel

from ..figures.charts import themed_figures, write_figure
from ..figures.unit_counts import build_unit_counts_chart
from ..templates import Section, render
from ..words.names import titles
from ..words.unit_contrasts import (
    claim_words,
    difference_words,
    measure_words,
    number_words,
    panel_sentences,
    quantity_name,
    summarise_unit_contrasts,
)

SHOWN = 40
"""Sure differences in the table of a page."""
LEVEL = 0.05
"""Error rate of the layers of one dissection (``analyses.dissection.contrasts``)."""


def panel_section(
    panel: UnitPanel, error: float = LEVEL, *, id: str = "compared", title: str = ""
) -> Section:
    """A panel as a section: figure, numbers, sure differences, and the claim in words.

    Args:
        panel: layers that are compared with each other.
        error: probability of any wrong claim.
        id, title: of the section; default: the panel's title.
    """
    sure = sorted((one for one in panel.differences if one.claimed), key=lambda one: one.adjusted)
    said = panel_sentences(panel)
    body = render(
        "unit_panel.html.j2",
        panel=panel,
        figures=themed_figures(lambda layout: build_unit_counts_chart(panel, layout)),
        measure=measure_words(panel),
        name_of=quantity_name,
        words_of=number_words,
        differences=[(one, *difference_words(one, panel)) for one in sure[:SHOWN]],
        more=max(0, len(sure) - SHOWN),
        claim=claim_words([panel], error),
    )
    answer = said[0] if said else "No difference between the layers is sure."
    return Section(id, title or panel.title, body, answer=answer, appendix=False)


def write_unit_counts_figures(panels: list[UnitPanel], folder: Path) -> None:
    """Write the figure of each panel, as ``unit-counts.svg`` and ``.png``, ``unit-counts-2`` …"""
    for number, panel in enumerate(panels):
        name = "unit-counts" + (f"-{number + 1}" if number else "")
        write_figure(build_unit_counts_chart(panel), folder, name)


def unit_contrasts_values(results: UnitContrastsResults) -> dict[str, Any]:
    """The words, numbers and sections of the page of ``compare-units``."""
    words = summarise_unit_contrasts(results)
    panels = results.panels
    return {
        "names": titles(list(dict.fromkeys(one.name for one in results.networks))),
        "headline": words.headline,
        "details": words.details,
        "cautions": list(words.cautions),
        "layers": sum(len(panel.layers) for panel in panels),
        "tests": sum(panel.tests for panel in panels),
        "sure": sum(one.claimed for panel in panels for one in panel.differences),
        "sections": [
            *(panel_section(one, results.level, id=f"panel-{k}") for k, one in enumerate(panels)),
        ],
    }
