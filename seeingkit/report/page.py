"""The page of a run: one HTML file that opens offline and asks nothing of any network.

All text is escaped by the templates; scripts, styles and data come from ``templates``. Files appear
whole or not at all. A page can be made again from the files of a finished run alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

from seeingkit.errors import RunError, StorageError
from seeingkit.results import (
    AnyResults,
    GeneratorsResults,
    InversionResults,
    Manifest,
    Results,
)
from seeingkit.system.writing import write_text

from .cautions import page_cautions
from .figures.charts import Layout, validated_whole, write_figure
from .figures.classes import build_chart, figure_rows
from .figures.contributions import build_contribution_chart, contributions
from .figures.generators import build_generators_chart, generator_rows
from .pictures import PagePictures, fit_pictures
from .pictures.gallery import FOLDER, Gallery
from .pictures.uris import image_uri
from .runfiles import read_run
from .sections.classes import class_rows, example_rows, legends
from .sections.classpages import class_pages, first_pair, lead
from .sections.evidence import conditions_section, evidence_sections, fidelity_section
from .sections.generators import generators_values
from .sections.inversions import Inversions
from .sections.method import method_card
from .sections.modes import modes_section, sample_sheets
from .sections.repair import repair_section
from .sections.tracing import tracing_section
from .selection import LABELS, judged
from .templates import Section, asset, embedded_script, json_data, policy, render
from .templates.library import chart_library
from .unitpages import unit_page, write_unit_figures
from .words.answer import answer_of
from .words.definitions import definitions, terms
from .words.findings import summarise
from .words.inversions import InversionSummary, more_often_sentence
from .words.names import titles

PAGE = "report.html"
SKIPPED_SHOWN = 200
"""At most so many skipped images are listed."""
CAUTIONS_SHOWN = 4
"""Cautions that are not folded."""
TABLE_ROWS = 40
"""Rows of the table of classes that are shown at once."""
COLUMNS = (
    ("label", "class", "text"),
    ("verdict", "verdict", "text"),
    ("real", "real area", "number"),
    ("generated", "generated area", "number"),
    ("relative", "relative difference", "number"),
    ("interval", "interval", "number"),
    ("realpresence", "in real images", "number"),
    ("generatedpresence", "in generated images", "number"),
    ("q", "q", "number"),
    ("category", "category", "text"),
)
"""Key, title and kind of the columns of that table; the last one where there are several."""


def write_report(
    run_dir: Path,
    results: AnyResults,
    manifest: Manifest,
    gallery: Gallery | None = None,
    *,
    sections: Sequence[Section] = (),
) -> Path:
    """Write ``report.html`` and ``figures/`` into a run.

    Figures are ``classes`` and ``fsd-contributions`` of a comparison, ``classes`` of several
    generators, ``inversion-depth`` of inversions at several cuts, ``units`` of a dissection,
    ``unit-counts`` of compared layers, and ``effects``, ``curve`` and ``units`` of an intervention,
    each as ``.svg`` and ``.png``.

    Args:
        run_dir: an existing run directory; pictures of inversions are read from it.
        results, manifest: the findings of the run, and its settings.
        gallery: example images, or None.
        sections: sections of other stages, shown between the examples and the method.

    Returns:
        path of the page.

    Raises:
        RunError: the directory does not exist, or a picture that a record of an inversion names
            is missing, damaged, or not inside it.
        StorageError: a file cannot be written; the results are as they were.
    """
    if not run_dir.is_dir():
        raise RunError(f"no run directory {run_dir}: give the folder that a run has written")
    try:
        with nullcontext() if isinstance(results, InversionResults) else validated_whole():
            svg = _write_figures(run_dir / "figures", results)
            inversions = _inversions(results, run_dir)
            if inversions is not None:
                inversions.write_figures(run_dir / "figures")
            text = render_page(
                results, manifest, gallery, sections=sections, svg=svg, run_dir=run_dir
            )
        return write_text(run_dir / PAGE, text)
    except StorageError as error:
        again = f"the results are kept, and seeingkit report {run_dir} makes the page of them"
        raise StorageError(f"{error}; {again}", error.errno) from error


def _write_figures(folder: Path, results: AnyResults) -> str:
    """The figures of a comparison, as files; returns the SVG of the classes, else nothing."""
    if isinstance(results, GeneratorsResults):
        write_figure(build_generators_chart(generator_rows(results)), folder, "classes")
    write_unit_figures(results, folder)
    if not isinstance(results, Results):
        return ""
    path, _ = write_figure(build_chart(figure_rows(results)[:LABELS]), folder, "classes")
    if bars := contributions(results):
        write_figure(build_contribution_chart(bars), folder, "fsd-contributions")
    return path.read_text(encoding="utf-8")


def _inversions(results: AnyResults, run_dir: Path | None) -> Inversions | None:
    if not isinstance(results, Results | InversionResults):
        return None
    return Inversions.of(results, run_dir)


def render_page(
    results: AnyResults,
    manifest: Manifest,
    gallery: Gallery | None,
    *,
    sections: Sequence[Section] = (),
    svg: str = "",
    run_dir: Path | None = None,
) -> str:
    """The whole page as text.

    Args:
        results, manifest, gallery, sections: as for ``write_report``.
        svg: the static figure of a comparison, for printing and without scripts.
        run_dir: the directory with the pictures of inversions, if there are any.

    Raises:
        RunError: a picture of an inversion cannot be used, or ``run_dir`` is needed.
    """
    from markupsafe import Markup

    inversions = _inversions(results, run_dir)
    pictures = fit_pictures(gallery, None if inversions is None else inversions.cards)
    script, style = asset("page.js"), asset("style.css")
    if isinstance(results, Results):
        script += asset("figure.js") + asset("classes.js") + asset("examples.js")
    if inversions is not None:
        script += asset("inversions.js")
        style += asset("inversions.css")
        sections = [*sections, inversions.method()]
    vega, data, template = "", dict[str, Any](), "generators.html.j2"
    if isinstance(results, GeneratorsResults):
        values = {**generators_values(results), "sections": sections}
    elif isinstance(results, Results):
        template, vega = "comparison.html.j2", embedded_script(chart_library())
        further = (
            modes_section(results, run_dir),
            tracing_section(results, run_dir),
            repair_section(results, run_dir),
        )
        sections = [*(each for each in further if each is not None), *sections]
        values = _comparison_values(results, inversions, gallery, pictures, sections)
        values["sheets"] = sample_sheets(results, run_dir)
        data = {"rows": values["rows"], "specs": _specs(), "limit": LABELS}
        data["legends"] = legends(pictures)
    elif isinstance(results, InversionResults):
        template = "inversion_page.html.j2"
        values = _inversion_values(results, inversions, pictures, sections)
    else:
        units = unit_page(results, run_dir)
        template, values, data = units.template, units.values, units.data
        values["sections"] = [*values["sections"], *sections]
        script, style = script + units.script, style + units.style
    return render(
        template,
        policy=policy(*filter(None, (vega, script))),
        style=Markup(style),
        vega=Markup(vega),
        script=Markup(script),
        data=Markup(json_data(data)),
        svg=image_uri("svg+xml", svg.encode()),
        results=results,
        manifest=manifest,
        card=method_card(results, manifest),
        skipped_shown=SKIPPED_SHOWN,
        cautions_shown=CAUTIONS_SHOWN,
        terms=_terms(results, inversions is not None),
        title=str(manifest.config.get("title") or ""),
        **values,
    )


def _terms(results: AnyResults, inversion: bool) -> list[tuple[str, str]]:
    """The words that the page explains."""
    return terms(
        comparison=isinstance(results, Results | GeneratorsResults),
        between=isinstance(results, Results) and results.paired is None,
        inversion=inversion,
    )


@functools.lru_cache(maxsize=1)
def _specs() -> dict[str, Any]:
    """The interactive figure in both layouts, without rows."""
    layouts: tuple[Layout, ...] = get_args(Layout)
    return {name: build_chart([], layout=name, legends=False).to_dict() for name in layouts}


def _generated_name(results: Results) -> str:
    """The generated side as it was named, with the edits of its generator."""
    generator, name = results.generator, results.generated.name
    edited = generator is not None and generator.name.startswith(f"{name} + ")
    return generator.name if generator is not None and edited else name


def _comparison_values(
    results: Results,
    inversions: Inversions | None,
    gallery: Gallery | None,
    pictures: PagePictures,
    sections: Sequence[Section],
) -> dict[str, Any]:
    """The words and numbers of a page that compares two sets of images."""
    summary, answer = summarise(results), answer_of(results)
    classes = class_rows(results)
    spoken_of = judged(results)
    others = filter(None, (conditions_section(results), fidelity_section(results)))
    cards, examples = pictures.cards, example_rows(gallery, pictures, results)
    pages = class_pages(results, answer, cards, examples)
    categories = sorted({row.record.category for row in classes})
    said = inversions.words if inversions else InversionSummary()
    surely = inversions.more_often if inversions else []
    shown = lead(cards, [*(record.label for record in answer.classes), *surely])
    return {
        "names": titles([results.data.name, _generated_name(results)]),
        "answer": answer,
        "lead": shown,
        "lead_number": cards.index(shown.card) if shown else 0,
        "pair": None if shown else first_pair(results, examples, pictures.scenes),
        "headline": summary.headline,
        "details": [*summary.details, *said.vanished, *said.quality],
        "cautions": page_cautions(results),
        "sections": [*evidence_sections(results, pictures.scenes), *others, *sections],
        "pages": pages,
        "paged": {page.record.index for page in pages if page.record},
        "pictured": {p.record.index for p in pages if p.record and (p.cards or p.examples)},
        "with": inversions.context(cards) if inversions else {},
        "cards": cards,
        "photos": len(inversions.groups) if inversions else 0,
        "rows": figure_rows(results),
        "limit": LABELS,
        "table_rows": TABLE_ROWS,
        "columns": COLUMNS if len(categories) > 1 else COLUMNS[:-1],
        "classes": classes,
        "flagged": any(row.flag for row in classes),
        "omitted": sum(record.omitted for record in spoken_of),
        "seen": sum(record.real_area > 0 for record in spoken_of),
        "unseen": sum(record.real_area == 0 for record in spoken_of),
        "materials": sum(row.record.category == "material" for row in classes),
        "categories": categories,
        "galleries": any(page.examples for page in pages),
        "definitions": definitions(results),
    }


def _inversion_values(
    results: InversionResults,
    inversions: Inversions | None,
    pictures: PagePictures,
    sections: Sequence[Section],
) -> dict[str, Any]:
    """The words and numbers of a page of inversions alone."""
    words = inversions.words if inversions else InversionSummary()
    headline = words.vanished[0] if words.vanished else "No photo was inverted."
    if inversions and inversions.more_often:
        headline = more_often_sentence(inversions.more_often)
    groups = inversions.groups if inversions else []
    cards = pictures.cards
    vanishes = [inversions.photos(cards)] if inversions and cards else []
    return {
        "names": titles([results.generator.name, results.data.name]),
        "headline": headline,
        "details": [*(line for line in words.vanished if line != headline), *words.quality],
        "cautions": page_cautions(results),
        "sections": [*vanishes, *sections],
        "photos": len(groups),
        "first": inversions.first if inversions and groups else None,
        "more_often": inversions.more_often if inversions else [],
    }


def rebuild_report(
    run_dir: Path, *, title: str | None = None, sections: Sequence[Section] = ()
) -> Path:
    """Write the report again from ``results.json``, ``manifest.json`` and pictures alone.

    Pictures are those in ``gallery/`` and those that the records of inversions name::

        rebuild_report(Path("runs/church"))

    Args:
        run_dir: the directory of a finished run.
        title: another than that of the run; empty: made of names.
        sections: further sections, shown between the examples and the method.

    Returns:
        path of the page.

    Raises:
        RunError: naming the file that is missing or does not fit.
    """
    results, manifest = read_run(run_dir)
    if title is not None:
        manifest = manifest.model_copy(update={"config": {**manifest.config, "title": title}})
    gallery = Gallery.load(run_dir) if (run_dir / FOLDER).is_dir() else None
    return write_report(run_dir, results, manifest, gallery, sections=sections)
