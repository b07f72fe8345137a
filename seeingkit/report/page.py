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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..errors import RunError
from ..results import SCHEMA_VERSION, Manifest, ModelRecord, Results, SourceRecord
from .figure import LABELS, build_chart, figure_rows, write_figures
from .galleries import FOLDER, Gallery
from .summary import is_background, judged, summarise
from .wording import area, change, count, duration, interval, number, probability, share

if TYPE_CHECKING:
    from markupsafe import Markup

PAGE = "report.html"
SKIPPED_SHOWN = 200
_HERE = Path(__file__).parent

DEFINITIONS: tuple[tuple[str, str, str], ...] = (
    ("area", "pixels with the label ÷ all pixels of an image, averaged over the images of a side, "
     "in percent", "Bau et al. 2019"),
    ("relative difference", "(generated area − real area) ÷ real area", "Bau et al. 2019, fsd.py"),
    ("95 % interval", "Fieller's interval for a ratio of two independent means; never below −100 %",
     "Fieller 1954"),
    ("presence", "share of the images with at least one pixel of the label", ""),
    ("p", "two-sided p-value of Welch's test that the mean areas are equal", "Welch 1947"),
    ("q", "p-value adjusted for the number of labels looked at: among labels with q at or below "
     "the level, at most that share are false finds on average", "Benjamini and Hochberg 1995"),
    ("omitted", "q at or below the level, and at least half of the real area gone", ""),
    ("reduced, excess", "q at or below the level with less than half of the area gone, or with "
     "more area than in the real images", ""),
    ("FSD", "Fréchet Segmentation Distance: squared distance between the mean areas of all labels, "
     "plus tr(S + T − 2 (S T)^½) of their covariances S and T, in percent²", "Bau et al. 2019"),
    ("floor", "FSD that two disjoint samples of the real images would give at these sizes", ""),
    ("bias-reduced FSD", "half-sample Richardson extrapolation, 2 × FSD(n) − mean FSD(n/2); may be "
     "slightly negative", "Richardson 1911"),
    ("permutation p", "share of random divisions of all images into two sides whose FSD is at "
     "least the observed one, the observed one counted in", "Phipson and Smyth 2010"),
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A further section of the page, from a stage that has one to show.

    Attributes:
        id: anchor of the section.
        title: its heading, plain text.
        body: safe markup; whoever makes it escapes the names in it.
    """

    id: str
    title: str
    body: Markup


def write_report(
    run_dir: Path,
    results: Results,
    manifest: Manifest,
    gallery: Gallery | None = None,
    *,
    sections: Sequence[Section] = (),
) -> Path:
    """Write ``report.html``, ``figures/classes.svg`` and ``figures/classes.png`` into a run.

    Args:
        run_dir: an existing run directory.
        results, manifest: what the run found, and how.
        gallery: example images, or None.
        sections: sections of other stages, shown between the examples and the method.

    Returns:
        path of the page.

    Raises:
        RunError: if the directory does not exist or cannot be written.
    """
    if not run_dir.is_dir():
        raise RunError(f"no run directory {run_dir}: give the folder that a run has written")
    try:
        svg, _ = write_figures(results, run_dir / "figures")
        text = render_page(
            results, manifest, gallery, sections=sections, svg=svg.read_text(encoding="utf-8")
        )
        partial = run_dir / f"{PAGE}.{os.getpid()}.part"
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(run_dir / PAGE)
    except OSError as error:
        raise RunError(f"cannot write the report into {run_dir}: {error}") from error
    return run_dir / PAGE


def rebuild_report(run_dir: Path, *, sections: Sequence[Section] = ()) -> Path:
    """Write the report again from ``results.json``, ``manifest.json`` and ``gallery/`` alone.

    Raises:
        RunError: naming the file that is missing or does not fit.
    """
    loaded: list[Any] = []
    models: dict[str, type[Results | Manifest]] = {
        "results.json": Results,
        "manifest.json": Manifest,
    }
    for name, model in models.items():
        try:
            record = model.model_validate_json((run_dir / name).read_bytes())
        except OSError as error:
            raise RunError(f"cannot read {run_dir / name}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole file"
            raise RunError(f"{run_dir / name} does not fit at {where}: {first['msg']}") from error
        if record.schema_version != SCHEMA_VERSION:
            raise RunError(
                f"{run_dir / name} has schema_version {record.schema_version}, this version reads "
                f"{SCHEMA_VERSION}: use the version that wrote it"
            )
        loaded.append(record)
    gallery = Gallery.load(run_dir) if (run_dir / FOLDER).is_dir() else None
    return write_report(run_dir, loaded[0], loaded[1], gallery, sections=sections)


def render_page(
    results: Results,
    manifest: Manifest,
    gallery: Gallery | None,
    *,
    sections: Sequence[Section] = (),
    svg: str,
) -> str:
    """The whole page as text; ``svg`` is the static figure for printing and without scripts."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        area=area, change=change, number=number, probability=probability, share=share,
        exact=repr,
    )  # fmt: skip
    environment.globals.update(interval=interval, count=count)
    rows = figure_rows(results)
    galleries, legends = _galleries(gallery, results)
    vega = _inline(_vega(), "script")
    script = _inline((_HERE / "page.js").read_text(encoding="utf-8"), "script")
    style = _inline((_HERE / "style.css").read_text(encoding="utf-8"), "style")
    data = {"rows": rows, "specs": _specs(), "limit": LABELS, "legends": legends}
    classes = [record for record in results.classes if not is_background(record)]
    return environment.get_template("template.html.j2").render(
        policy=_policy(vega, script),
        style=Markup(style),
        vega=Markup(vega),
        script=Markup(script),
        data=Markup(_json(data)),
        svg=f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')}",
        results=results,
        manifest=manifest,
        summary=summarise(results),
        rows=rows,
        limit=LABELS,
        classes=classes,
        omitted=sum(record.omitted for record in judged(results)),
        seen=sum(record.real_area > 0 for record in judged(results)),
        materials=sum(record.category == "material" for record in classes),
        unseen=sum(record.real_area == 0 for record in judged(results)),
        categories=sorted({record.category for record in classes}),
        galleries=galleries,
        sections=sections,
        card=_card(results, manifest),
        definitions=DEFINITIONS,
        skipped_shown=SKIPPED_SHOWN,
    )


def _galleries(
    gallery: Gallery | None, results: Results
) -> tuple[list[dict[str, Any]], dict[str, list[tuple[str, str, str]]]]:
    """What the template shows of each class, and the legend of each picture by its key."""
    if gallery is None:
        return [], {}
    from .pictures import encode_gallery

    records = {record.index: record for record in results.classes}
    shown: list[dict[str, Any]] = []
    legends: dict[str, list[tuple[str, str, str]]] = {}
    for c, (entry, sides) in enumerate(zip(gallery.classes, encode_gallery(gallery), strict=True)):
        keyed = {}
        for side, pictures in sides.items():
            keyed[side] = [(f"{c}.{side}.{k}", picture) for k, picture in enumerate(pictures)]
            for key, picture in keyed[side]:
                legends[key] = [
                    (name, colour, area(percent)) for name, colour, percent in picture.legend
                ]
        shown.append({"label": entry.label, "record": records.get(entry.index), "sides": keyed})
    return shown, legends


def _card(results: Results, manifest: Manifest) -> list[tuple[str, list[tuple[str, str]]]]:
    """The method card: groups of (name, value), all plain text."""
    groups = [
        ("Real images", _source(results.data, results.n_real)),
        ("Generated images", _source(results.generated, results.n_generated)),
    ]
    if results.generator is not None:
        groups.append(("Generator", _model(results.generator)))
    groups.append(("Segmenter", _model(results.segmenter)))
    fsd = results.fsd
    groups.append(
        (
            "Statistics",
            [
                ("false discovery rate", f"{results.level:g}"),
                ("permutations", f"{fsd.permutations:,}"),
                ("floor measured on halves of", _plain(fsd.floor_halves)),
                *((f"preset: {key}", _plain(value)) for key, value in results.preset.items()),
            ],
        )
    )
    run = [("seeingkit", manifest.seeingkit), ("started", manifest.started)]
    run.append(("finished", manifest.finished or "not recorded"))
    groups.append(("Run", run))
    groups.append(("Options", [(key, _plain(value)) for key, value in manifest.config.items()]))
    groups.append(("Versions", list(manifest.versions.items())))
    groups.append(("Hashes", list(manifest.hashes.items())))
    timings = [(key, duration(seconds)) for key, seconds in manifest.timings.items()]
    groups.append(("Time taken", timings))
    return [(title, entries) for title, entries in groups if entries]


def _source(source: SourceRecord, used: int) -> list[tuple[str, str]]:
    return [
        ("name", source.name),
        ("kind", source.kind),
        ("used / available", f"{used:,} / {source.images:,}"),
        ("seed", _plain(source.seed)),
        ("fingerprint", source.fingerprint),
        *((key, _plain(value)) for key, value in source.details.items()),
    ]


def _model(model: ModelRecord) -> list[tuple[str, str]]:
    return [
        ("name", model.name),
        ("family", model.family),
        ("parameters", f"{model.parameters:,}"),
        ("resolution", f"{model.resolution} px" if model.resolution else "any"),
        ("weights SHA-256", model.weights_sha256 or "none"),
        ("licence", model.licence),
        *((f"option: {key}", _plain(value)) for key, value in model.options.items()),
    ]


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


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
