"""The report of a run: one HTML file that opens offline, and the paper's figure as SVG and PNG.

A report is a pure function of ``results.json``, ``manifest.json`` and the ``gallery/`` folder, so
it can be made again from the files of a run alone. Importing this loads neither torch nor the
chart libraries; Altair, vl-convert and Jinja are imported when a page is written.
"""

from __future__ import annotations

from .galleries import Gallery, GalleryClass, GalleryImage, choose_classes, pick_examples
from .page import Section, rebuild_report, write_report
from .summary import Summary, summarise, summary_html

__all__ = [
    "Gallery",
    "GalleryClass",
    "GalleryImage",
    "Section",
    "Summary",
    "choose_classes",
    "pick_examples",
    "rebuild_report",
    "summarise",
    "summary_html",
    "write_report",
]
