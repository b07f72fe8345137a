"""Figures for a paper, made of finished runs: chosen, drawn at the size of print, and written.

Nothing is computed anew: all numbers are those of ``results.json``, all pictures those of the
run's folder. The kinds are those of the figures of Bau et al. 2019: class areas (Figure 1a),
photos beside their reconstructions (1b), and several generators in one figure. Importing this
loads neither Altair nor vl-convert.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.results import (
    AnyResults,
    ClassResult,
    GeneratorsResults,
    InversionResults,
    Results,
)

from ..runfiles import read_run
from ..selection import LABELS, in_figure
from ..words.captions import areas_caption, depth_caption, pairs_caption
from ..words.generators import summarise_generators
from ..words.inversions import describe_inversions
from ..words.losses import group_photos, key_order, method_rows, sweep_rows
from ..words.numbers import count, listing
from .charts import Layout, validated_whole
from .classes import rows_of
from .depth import build_depth_chart, depth_rows
from .facets import build_facets
from .generators import COLOURS, build_generators_chart, series_rows
from .panel import choose_pairs, draw_panel
from .printing import (
    Drawing,
    Part,
    PrintSize,
    check_pixels,
    figure_paths,
    fitted_chart,
    refuse_other_figure,
    stacked,
    write_drawing,
)
from .series import Compared, compared

_CLASS, _SIDE_BY_SIDE = 16.0, 7.0  # least units of a class, and of a generator within it
_AXES = 70.0  # units beside the classes, about
_TWO_PANELS = 460.0  # units from which on the panels of depth are side by side
_PREFIX = "paper-"  # of file names in a run's figures/, beside those of its report


@dataclass(frozen=True)
class PaperFigure:
    """A figure that was written.

    Attributes:
        files: one a format.
        caption: what it shows, as a caption for the paper.
        notes: what is not in it, or limits what it says, a sentence each.
    """

    files: tuple[Path, ...]
    caption: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values."""
        files = [str(path) for path in self.files]
        return {"files": files, "caption": self.caption, "notes": list(self.notes)}


@dataclass(frozen=True)
class _Request:
    """What to draw: runs, choice of classes, names, and the size of the page."""

    runs: Mapping[Path, AnyResults]
    size: PrintSize
    classes: tuple[str, ...]
    limit: int | None
    names: tuple[str, ...]
    notes: list[str]

    def one(self, kind: str) -> tuple[Path, Results | InversionResults]:
        """The only run, with inversions."""
        if len(self.runs) > 1:
            raise UsageError(f"--kind {kind} shows one run, and {len(self.runs)} are named")
        ((run, results),) = self.runs.items()
        if not isinstance(results, Results | InversionResults) or not results.inversions:
            raise RunError(
                f"{run}: no photos were inverted, so there is no figure of --kind {kind}: "
                "analyze or invert with an inversion method, and name that run"
            )
        return run, results


def write_paper_figure(
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    kind: str = "classes",
    out: str | os.PathLike[str] | None = None,
    *,
    width: float = 174.0,
    font_size: float = 8.0,
    formats: Sequence[str] = (),
    dpi: int = 300,
    classes: Sequence[str] = (),
    limit: int | None = None,
    names: Sequence[str] = (),
) -> PaperFigure:
    """Draw a figure for a paper from finished runs, as SVG, PDF and PNG of a size in mm::

        figure = write_paper_figure("runs/church", "classes", "figures", width=84)
        print(figure.caption)

    >>> write_paper_figure("runs/nothing", "classes")
    Traceback (most recent call last):
    seeingkit.errors.RunError: runs/nothing: no such folder; name a run directory, as analyze ...

    Args:
        runs: folders of finished runs; several: of generators against the same real images.
        kind: ``classes``: areas and differences, a panel each generator; ``compare``: several
            generators in one panel; ``pair``: photos, reconstructions and what vanished;
            ``depth``: quality by cut; ``overview``: classes, and below them pairs.
        out: a file ending in its format, or a folder; default: ``figures/`` of the only run.
        width: of the figure in mm; font_size: of its text in points; dpi: of PNG.
        formats: of ``svg``, ``pdf``, ``png``; empty: that of the file, else all three.
        classes: labels to show, in place of the largest (areas) or worst (pairs).
        limit: this many classes, or blocks of photos.
        names: of the generators, in their order, in place of their own.

    Returns:
        the files, a caption, and notes on what is not shown.

    Raises:
        UsageError: an unknown kind, format or class, or a size that does not fit.
        RunError: a run cannot be used, two do not fit each other, or a file is not ours.
        StorageError: a file cannot be written.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of figure", kind, KINDS)
    named = [runs] if isinstance(runs, (str, os.PathLike)) else list(runs)
    folders = list(dict.fromkeys(Path(run) for run in named))
    if not folders:
        raise UsageError("name a run directory, as analyze prints it: runs/…")
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit}: give at least 1")
    _refuse_unused(kind, classes=classes, limit=limit, names=names)
    size = PrintSize(width, font_size, dpi)
    found = {folder: read_run(folder)[0] for folder in folders}
    paths = figure_paths(*_place(folders, kind, out), formats)
    for path in paths:
        refuse_other_figure(path)
    request = _Request(found, size, tuple(classes), limit, tuple(names), [])
    with validated_whole():
        drawing = KINDS[kind](request)
        if any(path.suffix.lower() == ".png" for path in paths):
            check_pixels(drawing, size)
        for path in paths:
            write_drawing(drawing, size, path)
    return PaperFigure(tuple(paths), drawing.caption, tuple(request.notes))


def _refuse_unused(kind: str, **given: Any) -> None:
    unused = {"depth": ("classes", "limit", "names"), "pair": ("names",)}
    for name in unused.get(kind, ()):
        if given[name]:
            option = {"classes": "class", "names": "name"}.get(name, name)
            raise UsageError(f"--kind {kind} has no --{option}; leave it out")


def _place(
    folders: Sequence[Path], kind: str, out: str | os.PathLike[str] | None
) -> tuple[Path, str]:
    """The file or folder of a figure, and the name of files in a folder."""
    if out is not None:
        return Path(out), kind
    if len(folders) > 1:
        raise UsageError(f"{len(folders)} runs: name a file or folder for the figure with --out")
    return folders[0] / "figures", f"{_PREFIX}{kind}"


# ------------------------------------------------------------------------------------------ areas


def _classes(request: _Request) -> Drawing:
    """Areas and differences of each generator, a panel each."""
    sides = compared(request.runs, request.names, most=len(COLOURS))
    return _areas(request, sides, _CLASS, series=False)


def _compare(request: _Request) -> Drawing:
    """Areas and differences of several generators in one panel."""
    sides = compared(request.runs, request.names, most=len(COLOURS))
    if len(sides) < 2:
        raise UsageError(
            "--kind compare shows several generators: name several runs against the same real "
            "images, or a run of compare REAL FIRST SECOND"
        )
    return _areas(request, sides, max(_CLASS, _SIDE_BY_SIDE * len(sides)), series=True)


def _areas(request: _Request, sides: Sequence[Compared], least: float, *, series: bool) -> Drawing:
    known = _chosen(sides, request)
    shown = _fitting(known, request, least)
    part = fitted_chart(_painter(sides, shown, series=series), request.size)
    _note_omitted(sides, shown, request)
    caption = areas_caption(
        [(side.name, side.n, side.fsd) for side in sides],
        (sides[0].n_real, sides[0].real),
        shown,
        limited=len(shown) < len(known) and not request.classes,
        paired=any(side.paired for side in sides),
        series=series,
    )
    whole = list(request.runs.values())[-1]
    if isinstance(whole, GeneratorsResults) and len(request.runs) == 1 and not request.names:
        caption += f" {summarise_generators(whole).headline}"
    return Drawing((part,), part.height, "Class areas in real and generated images", caption)


def _painter(
    sides: Sequence[Compared], shown: Sequence[ClassResult], *, series: bool
) -> Callable[[float], Any]:
    """Draws the chart of these classes, with panels as wide as it is told."""
    indices = {record.index for record in shown}
    kept = {side.name: [c for c in side.classes if c.index in indices] for side in sides}
    if not series:
        facets = {name: rows_of(records) for name, records in kept.items()}
        heights = (90.0, 130.0) if len(sides) == 1 else (75.0, 100.0)
        return lambda width: build_facets(facets, width=width, heights=heights)
    rows = series_rows(kept)

    def draw(width: float) -> Any:
        chart = build_generators_chart(rows)
        for panel, height in zip(chart.vconcat, (95.0, 140.0), strict=True):
            panel.width, panel.height = width, height
        return chart

    return draw


def _chosen(sides: Sequence[Compared], request: _Request) -> list[ClassResult]:
    """The classes that are named, or all that a figure may show, by real area."""
    known = sorted(filter(in_figure, sides[0].classes), key=lambda c: (-c.real_area, c.index))
    if not known:
        raise RunError(f"{next(iter(request.runs))}: no class is in the real images")
    for name in request.classes:
        if name not in {record.label for record in known}:
            raise UnknownNameError("class in the real images", name, {c.label for c in known})
    return [c for c in known if not request.classes or c.label in request.classes]


def _fitting(known: list[ClassResult], request: _Request, least: float) -> list[ClassResult]:
    """As many of the classes as are asked for, or else as have room."""
    room = int((request.size.units - _AXES) // least)
    wanted = len(known) if request.classes else max(1, min(LABELS, room))
    wanted = min(len(known), request.limit or wanted)
    if wanted > room:
        raise UsageError(
            f"{count(max(0, room), 'class', 'classes')} can stand side by side in "
            f"{request.size.width:g} mm at {request.size.font_size:g} points, and {wanted} are "
            "asked for: give a larger --width, a smaller --font-size or fewer classes"
        )
    shown = known[:wanted]
    if len(shown) < len(known) and not request.limit:
        request.notes.append(
            f"the {len(shown)} of {count(len(known), 'class', 'classes')} with the largest real "
            "area are shown (--limit, --class)"
        )
    return shown


def _note_omitted(
    sides: Sequence[Compared], shown: Sequence[ClassResult], request: _Request
) -> None:
    indices = {record.index for record in shown}
    for side in sides:
        lost = [
            c.label for c in side.classes if c.omitted and in_figure(c) and c.index not in indices
        ]
        if lost:
            whose = f" of {side.name}" if len(sides) > 1 else ""
            request.notes.append(f"omitted and not in the figure{whose}: {listing(lost)}")


# ------------------------------------------------------------------------------------- inversions


def _pair(request: _Request) -> Drawing:
    """Photos, reconstructions, and what vanished."""
    part, caption = _pairs(request, "pair", request.classes, request.limit)
    return Drawing((part,), part.height, "Photos and their reconstructions", caption)


def _pairs(
    request: _Request, kind: str, named: Sequence[str], limit: int | None
) -> tuple[Part, str]:
    run, results = request.one(kind)
    if results.inversion is None:
        raise RunError(f"{run}: results.json has inversions, but not how they were made")
    groups, key = group_photos(results.inversions), key_order(results.inversions)[0]
    if not any(record.classes for record in results.inversions):
        raise RunError(
            f"{run}: no classes of photos were measured, so none can be shown to vanish: "
            "invert with a segmenter"
        )
    pairs = choose_pairs(groups, results.vanishing, key, named=named, limit=limit)
    if not pairs:
        raise RunError(f"{run}: no class vanishes from its photos; name one with --class")
    part = draw_panel(run, pairs, results.inversion, request.size)
    found = results.inversions, results.calibrations, results.vanishing
    request.notes.extend(describe_inversions(*found).cautions)
    marked = bool(results.inversion.labels) and any(
        pair.group.first.reconstruction_labels is not None for pair in pairs
    )
    labels = [pair.label for pair in pairs]
    photos = len({pair.group.image for pair in pairs})
    return part, pairs_caption(key, photos, labels, marked=marked)


def _depth(request: _Request) -> Drawing:
    """Quality of reconstruction and area lost, by the depth of the cut."""
    run, results = request.one("depth")
    records = results.inversions
    groups = group_photos(records)
    sweep = sweep_rows(method_rows(groups, records, results.calibrations), records)
    if not sweep:
        cuts = listing(list(dict.fromkeys(r.cut for r in records if r.cut))) or "none"
        raise RunError(
            f"{run}: has no method with several cuts (its cuts: {cuts}), so nothing can be drawn "
            "by depth: run it with --cut default,next"
        )
    rows = depth_rows(sweep)
    layout: Layout = "wide" if request.size.units >= _TWO_PANELS else "narrow"

    def draw(width: float) -> Any:
        chart: Any = build_depth_chart(rows, layout)
        for panel in chart.hconcat if layout == "wide" else chart.vconcat:
            panel.width, panel.height = width, 130.0
        return chart

    two = layout == "wide" and any(row["lost"] is not None for row in rows)
    part = fitted_chart(draw, request.size, columns=2 if two else 1)
    labels = sorted({label for group in groups for label in group.focus})
    title = "Reconstruction and lost area by depth of the cut"
    return Drawing((part,), part.height, title, depth_caption(sweep, labels))


def _overview(request: _Request) -> Drawing:
    """Class areas, and below them the photos of the worst classes."""
    request.one("overview")
    above = _classes(request)
    part, caption = _pairs(request, "overview", (), 2)
    parts, height = stacked((*above.parts, part))
    title = "Classes that a generator omits, in its images and in photos"
    return Drawing(parts, height, title, f"Above: {above.caption} Below: {caption}")


KINDS: Mapping[str, Callable[[_Request], Drawing]] = {
    "classes": _classes,
    "compare": _compare,
    "pair": _pair,
    "depth": _depth,
    "overview": _overview,
}
"""The kinds of figures, by name."""
