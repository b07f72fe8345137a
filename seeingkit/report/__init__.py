"""The report of a run: one HTML file that opens offline, and its figures as SVG and PNG.

A report is a pure function of ``results.json``, ``manifest.json``, the ``gallery/`` folder and the
pictures that records of inversions name, so it can be made again from the files of a run alone.
Importing this loads neither torch nor the chart libraries; Altair, vl-convert and Jinja are
imported when a page is written.
"""

from __future__ import annotations

from .cautions import page_cautions, with_cautions
from .figures.paper import PaperFigure, write_paper_figure
from .notebook import (
    artifacts_html,
    assessment_html,
    comparison_chart,
    dissection_chart,
    dissection_html,
    generators_chart,
    generators_html,
    intervention_chart,
    intervention_html,
    inversions_html,
    summary_html,
    unit_contrasts_html,
    unit_counts_chart,
)
from .page import rebuild_report, write_report
from .pictures.gallery import Gallery, GalleryClass, GalleryImage, GalleryScene
from .selection import choose_classes, choose_scenes, pick_examples
from .templates import Section
from .words.artifacts import summarise_artifacts
from .words.dissection import summarise_dissection
from .words.findings import Summary, summarise
from .words.generators import summarise_generators
from .words.interventions import summarise_intervention
from .words.inversions import summarise_inversions
from .words.rewriting import summarise_assessment
from .words.unit_contrasts import summarise_unit_contrasts

__all__ = [
    "Gallery",
    "GalleryClass",
    "GalleryImage",
    "GalleryScene",
    "PaperFigure",
    "Section",
    "Summary",
    "artifacts_html",
    "assessment_html",
    "choose_classes",
    "choose_scenes",
    "comparison_chart",
    "dissection_chart",
    "dissection_html",
    "generators_chart",
    "generators_html",
    "intervention_chart",
    "intervention_html",
    "inversions_html",
    "page_cautions",
    "pick_examples",
    "rebuild_report",
    "summarise",
    "summarise_artifacts",
    "summarise_assessment",
    "summarise_dissection",
    "summarise_generators",
    "summarise_intervention",
    "summarise_inversions",
    "summarise_unit_contrasts",
    "summary_html",
    "unit_contrasts_html",
    "unit_counts_chart",
    "with_cautions",
    "write_paper_figure",
    "write_report",
]
