"""Figures at the size of print: charts fitted to a width, and SVG, PDF and PNG files of that size.

A drawing is measured in units in which the text of axes has ``charts.LABEL_SIZE``; the width in
millimetres and the size of that text in points say how large a unit is on paper. So lines and
marks grow with the text. Text stays text in SVG and PDF, and PDF has its fonts embedded.
Importing this loads neither Altair nor vl-convert.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.system import seals
from seeingkit.system.failures import told
from seeingkit.system.writing import atomic_write, refuse_special

from ..templates import render
from . import charts

if TYPE_CHECKING:
    from markupsafe import Markup

FORMATS = ("svg", "pdf", "png")
MARKER = "made by seeingkit figure"
"""Stands in every file; in SVG and PDF with the digest of the file, which others may edit."""
POINTS, MILLIMETRES = 72.0, 25.4
"""Of an inch."""
_WIDTHS, _FONT_SIZES, _RESOLUTIONS = (20.0, 2000.0), (2.0, 72.0), (36, 2400)
_TOP = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"[^>]*>')
_PIXELS = 100_000_000
_NAMES = re.compile(rb"(?:^ +/[A-Za-z]+\d+ \d+ 0 R\n){2,}", re.MULTILINE)
_NEAR = 3.0  # units by which a fitted chart may be narrower than the page
_AXES = 64.0  # units beside a panel, about
_TRIES = 6
_LEGENDS: tuple[Mapping[str, int], ...] = ({}, {"columnPadding": 6}, {"columns": 2}, {"columns": 1})
"""Settings of legends, from the usual to the narrowest."""


@dataclass(frozen=True)
class PrintSize:
    """The size of a figure on paper.

    Attributes:
        width: in mm.
        font_size: of the text of axes and captions, in points.
        dpi: pixels to the inch, of PNG files and of pictures inside the others.

    >>> round(PrintSize(width=88.9, font_size=11).units)
    252
    """

    width: float = 174.0
    font_size: float = 8.0
    dpi: int = 300

    def __post_init__(self) -> None:
        bounds = {"width": _WIDTHS, "font_size": _FONT_SIZES, "dpi": _RESOLUTIONS}
        units = {"width": "mm", "font_size": "points", "dpi": "pixels to the inch"}
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                said = name.replace("_", " ")
                raise UsageError(f"{said} {value:g}: give {low:g} to {high:g} {units[name]}")

    @property
    def unit(self) -> float:
        """Points of a unit of the drawing."""
        return self.font_size / charts.LABEL_SIZE

    @property
    def units(self) -> float:
        """The width in units of the drawing."""
        return self.width / MILLIMETRES * POINTS / self.unit

    def millimetres(self, units: float) -> float:
        """So many units of the drawing in mm."""
        return units * self.unit * MILLIMETRES / POINTS


@dataclass(frozen=True)
class Part:
    """Markup of SVG in a drawing, in its units."""

    body: Markup
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """Parts of a figure of this height, in units; as wide as the page they are made for.

    Attributes:
        title: of the file.
        caption: what the figure shows, for the paper and for those who cannot see it.
    """

    parts: tuple[Part, ...]
    height: float
    title: str
    caption: str


def stacked(parts: Sequence[Part], spacing: float = 10.0) -> tuple[tuple[Part, ...], float]:
    """The parts one below the other, and their height."""
    placed: list[Part] = []
    height = 0.0
    for part in parts:
        top = height + (spacing if placed else 0.0)
        placed.append(Part(part.body, part.width, part.height, part.x, top))
        height = top + part.height
    return tuple(placed), height


def fitted_chart(draw: Callable[[float], Any], size: PrintSize, *, columns: int = 1) -> Part:
    """A chart with all its labels as wide as the page.

    Args:
        draw: an Altair chart whose panels are so wide, in units.
        size: of the page.
        columns: how many panels are side by side.

    Raises:
        UsageError: the labels alone are wider.
    """
    for tighter in _LEGENDS:
        if (part := _fitted(draw, size.units, columns, tighter)) is not None:
            return part
    raise UsageError(
        f"the labels of this figure do not fit {size.width:g} mm at {size.font_size:g} points: "
        "give a larger --width, a smaller --font-size or shorter names with --name"
    )


def _fitted(
    draw: Callable[[float], Any], target: float, columns: int, legend: Mapping[str, int]
) -> Part | None:
    """The chart with legends of these settings; None where it stays wider than the target."""
    from markupsafe import Markup

    plot = max(2.0 * charts.LABEL_SIZE, target / columns - _AXES)
    before = 0.0
    for _ in range(_TRIES):
        chart = draw(plot)
        for name, value in legend.items():
            chart.config.legend[name] = value
        svg = charts.chart_svg(chart)
        top = _TOP.match(svg)
        assert top is not None, svg[:200]
        width, height = float(top[1]), float(top[2])
        # Vega rounds to whole units; what is missing stands left and right of the chart.
        if 0 <= target - width <= _NEAR:
            body = Markup(svg[top.end() : svg.rindex("</svg>")])
            return Part(body, target, height, x=round((target - width) / 2, 3))
        plot += (target - _NEAR / 2 - width) / columns
        if plot < charts.LABEL_SIZE or (abs(width - before) < 1 and width > target):
            break  # not the panels, but the legend is as wide
        before = width
    return None


def drawing_svg(drawing: Drawing, size: PrintSize, *, points: bool = False) -> str:
    """A drawing as SVG text; ``points``: its size in numbers, as many as points, not in mm."""
    width, height = size.width, size.millimetres(drawing.height)
    scale, ending = (POINTS / MILLIMETRES, "") if points else (1.0, "mm")
    text = render(
        "figure.svg.j2",
        width=f"{width * scale:.7g}{ending}",
        height=f"{height * scale:.7g}{ending}",
        box_width=f"{size.units:.7g}",
        box_height=f"{drawing.height:.7g}",
        title=drawing.title,
        caption=drawing.caption,
        paper=charts.PRINT_COLOURS["paper"],
        parts=drawing.parts,
    )
    # A name that looks like a seal would be one.
    return str(text).replace(seals.MARK, seals.MARK.replace("-", " "))


def check_pixels(drawing: Drawing, size: PrintSize) -> None:
    """Raise a ``UsageError`` where a PNG of the drawing would have too many pixels."""
    lengths = size.width, size.millimetres(drawing.height)
    width, height = (round(length / MILLIMETRES * size.dpi) for length in lengths)
    if width * height > _PIXELS:
        raise UsageError(
            f"{width:,} × {height:,} pixels are too many for a PNG: give a smaller --dpi or "
            "--width, or other formats"
        )


def write_drawing(drawing: Drawing, size: PrintSize, path: Path) -> None:
    """Write a drawing in the format that the end of the path names.

    Raises:
        RunError: something is there that this has not written.
        StorageError: the file cannot be written.
    """
    import vl_convert

    kind = path.suffix.lower().removeprefix(".")
    if kind == "svg":
        data = f"{drawing_svg(drawing, size)}<!-- {MARKER}, {seals.BLANK} -->\n".encode()
    elif kind == "pdf":
        # A comment after the end of a PDF is allowed, and read by nothing.
        data = _in_order(vl_convert.svg_to_pdf(drawing_svg(drawing, size, points=True)))
        data += f"\n% {MARKER}, {seals.BLANK}\n".encode()
    else:
        data = vl_convert.svg_to_png(drawing_svg(drawing, size, points=True), ppi=size.dpi)
        data = _marked_png(data, size.dpi)
    with atomic_write(refuse_other_figure(path)) as stream:
        stream.write(data if kind == "png" else seals.seal(data))


def _in_order(pdf: bytes) -> bytes:
    """A PDF whose names of pictures and states are sorted: svg2pdf lists them in any order.

    Only lines beside each other change their places, so that all objects stay where they are.
    """
    return _NAMES.sub(lambda found: b"".join(sorted(found[0].splitlines(keepends=True))), pdf)


def _marked_png(data: bytes, dpi: int) -> bytes:
    from PIL import Image, PngImagePlugin

    with Image.open(io.BytesIO(data)) as found:
        picture = found.convert("RGB")
    words = PngImagePlugin.PngInfo()
    words.add_text("Software", f"{MARKER} {_pixels_digest(picture)}")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=words, dpi=(dpi, dpi), optimize=True)
    return buffer.getvalue()


def _pixels_digest(picture: Any) -> str:
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()


def _as_drawn(data: bytes) -> bool:
    """Whether the pixels of a PNG are those that it was written with; programs keep its words."""
    from PIL import Image

    with suppress(OSError, ValueError, SyntaxError), Image.open(io.BytesIO(data)) as picture:
        words = str(picture.info.get("Software", ""))
        return words == f"{MARKER} {_pixels_digest(picture.convert('RGB'))}"
    return False


def refuse_other_figure(path: Path) -> Path:
    """Where a figure may be written: behind a link, which stays one.

    Raises:
        RunError: something is there that is not a figure of ours, or one that was edited.

    >>> refuse_other_figure(Path("new.svg")).name
    'new.svg'
    """
    with told(path):
        target = path.resolve() if path.is_symlink() else path
        refuse_special(target)
        if not target.exists():
            return target
        data = target.read_bytes()
    fault = "is not a figure of this command"
    if MARKER.encode() in data:
        fault = "has been edited"
        if target.suffix.lower() == ".png":
            if _as_drawn(data):
                return target
        else:
            with suppress(seals.BrokenSealError):
                seals.check_seal(data)
                return target
    raise RunError(f"{path}: {fault}, so it is not replaced; name another --out")


def figure_paths(out: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """The files of a figure.

    Args:
        out: a file whose ending is its format, or a folder.
        name: of the files in a folder, without ending.
        formats: those to write; empty: that of the file, or all.

    Raises:
        UsageError: a format that there is not, or another one than that of the file.

    >>> [str(path) for path in figure_paths(Path("a.pdf"), "classes", ())]
    ['a.pdf']
    """
    wanted = list(dict.fromkeys(one.lower() for one in formats))
    for one in wanted:
        if one not in FORMATS:
            raise UnknownNameError("format", one, FORMATS)
    ending = out.suffix.lower().removeprefix(".")
    if not ending or out.is_dir():
        return [out / f"{name}.{one}" for one in wanted or FORMATS]
    if ending not in FORMATS:
        raise UnknownNameError("format", ending, FORMATS, hint=f"(of --out {out})")
    if wanted and wanted != [ending]:
        other = next(one for one in wanted if one != ending)
        raise UsageError(f"--out {out} is one {ending} file, not {other}: give a folder instead")
    return [out]
