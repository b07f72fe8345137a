"""The page of a run: one HTML file that opens offline and asks nothing of any network.

A strict content security policy forbids every request; scripts run only if their hash is in it, so
that no name of a class or file can become code. All text is escaped by the template, and data
inside scripts is JSON without ``<``, ``>`` and ``&``. Files are written to a temporary name first.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from seeingkit.errors import RunError
from seeingkit.results import (
    SCHEMA_VERSION,
    InversionResults,
    Manifest,
    Results,
)

from .figures.classes import LABELS, build_chart, figure_rows, write_figures
from .figures.contributions import write_contribution_figure
from .pictures.encoding import (
    BUDGET,
    LEVELS,
    Picture,
    ScenePictures,
    encode_at,
    encode_scenes,
    image_uri,
    weight,
)
from .pictures.gallery import FOLDER, Gallery, Side
from .pictures.inversions import Card
from .sections.classes import class_rows
from .sections.conditions import conditions_section
from .sections.evidence import evidence_sections, fidelity_section
from .sections.inversions import Inversions
from .sections.method import method_card
from .templates import FOLDER as TEMPLATES
from .templates import Section, environment
from .words.cautions import skipped_caution
from .words.definitions import definitions
from .words.findings import judged, summarise
from .words.inversions import InversionSummary
from .words.numbers import area

PAGE = "report.html"
SKIPPED_SHOWN = 200
_Model = TypeVar("_Model", Results, InversionResults, Manifest)

Shown = list[dict[Side, tuple[Picture, ...]]]
"""The pictures of a gallery: of each class and side."""


def write_report(
    run_dir: Path,
    results: Results | InversionResults,
    manifest: Manifest,
    gallery: Gallery | None = None,
    *,
    sections: Sequence[Section] = (),
) -> Path:
    """Write ``report.html`` and ``figures/`` into a run.

    Figures are ``classes`` and ``fsd-contributions`` of a comparison, and ``inversion-depth`` of
    inversions at several cuts, each as ``.svg`` and ``.png``.

    Args:
        run_dir: an existing run directory; pictures of inversions are read from it.
        results, manifest: what the run found, and how.
        gallery: example images, or None.
        sections: sections of other stages, shown between the examples and the method.

    Returns:
        path of the page.

    Raises:
        RunError: if the directory does not exist or cannot be written, or a picture that a
            record of an inversion names is missing, damaged, or not inside it.
    """
    if not run_dir.is_dir():
        raise RunError(f"no run directory {run_dir}: give the folder that a run has written")
    try:
        svg = ""
        if isinstance(results, Results):
            path, _ = write_figures(results, run_dir / "figures")
            svg = path.read_text(encoding="utf-8")
            write_contribution_figure(results, run_dir / "figures")
        inversions = Inversions.of(results, run_dir)
        if inversions is not None:
            inversions.write_figures(run_dir / "figures")
        text = render_page(results, manifest, gallery, sections=sections, svg=svg, run_dir=run_dir)
        partial = run_dir / f"{PAGE}.{os.getpid()}.part"
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(run_dir / PAGE)
    except OSError as error:
        raise RunError(f"cannot write the report into {run_dir}: {error}") from error
    return run_dir / PAGE


def rebuild_report(run_dir: Path, *, sections: Sequence[Section] = ()) -> Path:
    """Write the report again from ``results.json``, ``manifest.json`` and pictures alone.

    Pictures are those in ``gallery/`` and those that the records of inversions name.

    Raises:
        RunError: naming the file that is missing or does not fit.
    """
    found = _read(run_dir / "results.json")
    results: Results | InversionResults
    if _kind(found) == "inversion":
        results = _record(run_dir / "results.json", found, InversionResults)
    else:
        results = _record(run_dir / "results.json", found, Results)
    manifest = _record(run_dir / "manifest.json", _read(run_dir / "manifest.json"), Manifest)
    gallery = Gallery.load(run_dir) if (run_dir / FOLDER).is_dir() else None
    return write_report(run_dir, results, manifest, gallery, sections=sections)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error


def _kind(text: bytes) -> str | None:
    """What the results say that they are; what cannot be read is for the record to name."""
    try:
        return str(json.loads(text).get("kind"))
    except (ValueError, AttributeError, RecursionError):
        return None


def _record(path: Path, text: bytes, model: type[_Model]) -> _Model:
    try:
        record = model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise RunError(f"{path} does not fit at {where}: {first['msg']}") from error
    if record.schema_version != SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema_version {record.schema_version}, this version reads "
            f"{SCHEMA_VERSION}: use the version that wrote it"
        )
    return record


def render_page(
    results: Results | InversionResults,
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
        run_dir: where the pictures of inversions are, if there are any.

    Raises:
        RunError: a picture of an inversion cannot be used, or ``run_dir`` is needed.
    """
    from markupsafe import Markup

    inversions = Inversions.of(results, run_dir)
    pictures, scenes, cards = _encode(gallery, inversions)
    script, style = _text("page.js", "script"), _text("style.css", "style")
    if inversions is not None:
        script += _text("inversions.js", "script")
        style += _text("inversions.css", "style")
        sections = [*sections, inversions.method()]
    if isinstance(results, Results):
        others = filter(None, (conditions_section(results), fidelity_section(results)))
        sections = [*evidence_sections(results, scenes), *others, *sections]
    vega = _inline(_vega(), "script") if isinstance(results, Results) else ""
    values: dict[str, Any] = {
        "policy": _policy(*filter(None, (vega, script))),
        "style": Markup(style),
        "vega": Markup(vega),
        "script": Markup(script),
        "results": results,
        "manifest": manifest,
        "card": method_card(results, manifest),
        "skipped_shown": SKIPPED_SHOWN,
    }
    if isinstance(results, InversionResults):
        gallery_sections = [inversions.gallery(cards, lead=False)] if inversions and cards else []
        values |= {
            **_inversion_findings(results, inversions),
            "sections": [*gallery_sections, *sections],
            "data": Markup(_json({})),
        }
        return environment().get_template("inversion_page.html.j2").render(values)
    rows = figure_rows(results)
    galleries, legends = _galleries(gallery, pictures, results)
    legends |= _scene_legends(scenes)
    data = {"rows": rows, "specs": _specs(), "limit": LABELS, "legends": legends}
    classes = class_rows(results)
    summary = summarise(results)
    values |= {
        "headline": summary.headline,
        "details": [*summary.details, *(inversions.words.vanished[:1] if inversions else ())],
        "cautions": summary.cautions,
        "sections": sections,
        "vanishes": inversions.gallery(cards) if inversions and cards else None,
        "data": Markup(_json(data)),
        "svg": image_uri("svg+xml", svg.encode()),
        "rows": rows,
        "limit": LABELS,
        "classes": classes,
        "flagged": any(row.flag for row in classes),
        "omitted": sum(record.omitted for record in judged(results)),
        "seen": sum(record.real_area > 0 for record in judged(results)),
        "materials": sum(row.record.category == "material" for row in classes),
        "unseen": sum(record.real_area == 0 for record in judged(results)),
        "categories": sorted({row.record.category for row in classes}),
        "galleries": galleries,
        "definitions": definitions(results),
    }
    return environment().get_template("comparison.html.j2").render(values)


def _encode(
    gallery: Gallery | None, inversions: Inversions | None
) -> tuple[Shown, list[ScenePictures], list[Card]]:
    """All pictures of the page, in as much detail as its budget allows."""
    shown: Shown = []
    scenes: list[ScenePictures] = []
    cards: list[Card] = []
    for level in LEVELS:
        if gallery is not None:
            shown, scenes = encode_at(gallery, level), encode_scenes(gallery, level)
        cards = inversions.cards(level) if inversions is not None else []
        whole = weight(shown) + sum(entry.weight for entry in scenes)
        if whole + sum(card.weight for card in cards) <= BUDGET:
            break
    return shown, scenes, cards


def _inversion_findings(results: InversionResults, inversions: Inversions | None) -> dict[str, Any]:
    """The words and numbers at the top of a page of inversions alone."""
    words = inversions.words if inversions is not None else InversionSummary()
    cautions = [*words.cautions, *skipped_caution(results.skipped), *results.warnings]
    groups = inversions.groups if inversions is not None else []
    return {
        "headline": words.vanished[0] if words.vanished else "No photo was inverted.",
        "details": [*words.vanished[1:], *words.quality],
        "cautions": list(dict.fromkeys(cautions)),
        "photos": len(groups),
        "first": inversions.first if inversions is not None and groups else None,
        "hit": sum(any(entry.omitted for entry in group.first.classes) for group in groups),
    }


Legends = dict[str, list[tuple[str, str, str]]]
"""Label, colour and area of what is in a picture, by the key of the picture."""


def _legend(picture: Picture) -> list[tuple[str, str, str]]:
    return [(name, colour, area(percent)) for name, colour, percent in picture.legend]


def _scene_legends(scenes: Sequence[ScenePictures]) -> Legends:
    sides = [(entry, "real", entry.real) for entry in scenes]
    sides += [(entry, "generated", entry.nearest) for entry in scenes if entry.nearest]
    return {f"{entry.key}.{side}": _legend(picture) for entry, side, picture in sides}


def _galleries(
    gallery: Gallery | None, pictures: Shown, results: Results
) -> tuple[list[dict[str, Any]], Legends]:
    """What the template shows of each class, and the legend of each picture by its key."""
    if gallery is None:
        return [], {}
    records = {record.index: record for record in results.classes}
    shown: list[dict[str, Any]] = []
    legends: Legends = {}
    for c, (entry, sides) in enumerate(zip(gallery.classes, pictures, strict=True)):
        keyed = {}
        for side, row in sides.items():
            keyed[side] = [(f"{c}.{side}.{k}", picture) for k, picture in enumerate(row)]
            legends |= {key: _legend(picture) for key, picture in keyed[side]}
        shown.append({"label": entry.label, "record": records.get(entry.index), "sides": keyed})
    return shown, legends


@functools.lru_cache(maxsize=1)
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one classic script that needs no network."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return "(function () {\n" + bundle + "\n})();"


@functools.lru_cache(maxsize=1)
def _specs() -> dict[str, Any]:
    return {
        layout: build_chart([], layout=layout, legends=False).to_dict()
        for layout in ("wide", "narrow")
    }


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise RunError("the results hold a number that is not finite: run again") from error
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _text(name: str, element: str) -> str:
    return _inline((TEMPLATES / name).read_text(encoding="utf-8"), element)


def _inline(text: str, element: str) -> str:
    """Our own script or style, checked that it cannot end its element early."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if f"</{element}" in text.lower() or "<!--" in text or "\0" in text:
        raise RunError(f"the {element} of the report page cannot be embedded: it closes itself")
    return text


def _policy(*scripts: str) -> str:
    """Content security policy: nothing from outside, no script but these, no eval."""
    hashes = " ".join(
        "'sha256-" + base64.b64encode(hashlib.sha256(s.encode()).digest()).decode("ascii") + "'"
        for s in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
