"""The page on which units are painted: one HTML file, offline, or the page of the local server.

Guarantees: the page makes no request to any network (its content security policy forbids it; the
local server's page may ask that server alone); nothing in it is code but the scripts of this room.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seeingkit.errors import UsageError
from seeingkit.results.edits import PNG_URI, EditedGenerator, LatentStart, PhotoStart

from .pictures.colours import class_colour
from .templates import asset, json_data, policy, render

USUAL_UNITS = 20
"""Units that a brush changes until the slider is moved; GANPaint offers 4, 10 and 15."""
LARGEST_PAGE = 20_000_000
"""Characters of an offline page at most: browsers open larger ones slowly."""


@dataclass(frozen=True)
class Brush:
    """A class that can be drawn and erased.

    Attributes:
        label: of the class.
        units: of the layer, strongest first.
        values: that drawing sets them to, one for each.

    >>> Brush("tree", (112, 13), (1.5, 0.25)).units
    (112, 13)
    """

    label: str
    units: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.units or len(self.units) != len(self.values):
            raise UsageError(f"brush {self.label!r}: give units, and one value for each")


@dataclass(frozen=True)
class Canvas:
    """An image that can be painted on.

    Attributes:
        name: below its small picture; file: part of the names of files that are saved.
        start: for the file of edits.
        picture: PNG of the image as the generator draws it.
        inputs: of the program, float32: x at the layer, then what is carried; empty where a
            server draws.
    """

    name: str
    file: str
    start: LatentStart | PhotoStart
    picture: bytes
    inputs: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class PaintingPage:
    """What the page shows.

    Attributes:
        generator, layer: that is painted.
        extent: height and width of the layer's map in cells.
        span: top, left, bottom, right of the map in heights and widths of the image.
        size: pixels a side of an image.
        seed: of the images.
        brushes, canvases: at least one of each.
        program: the rest of the generator (``program_data``); None: a server draws.
    """

    generator: EditedGenerator
    layer: str
    extent: tuple[int, int]
    span: tuple[float, float, float, float]
    size: int
    seed: int
    brushes: tuple[Brush, ...]
    canvases: tuple[Canvas, ...]
    program: dict[str, Any] | None = None

    @property
    def title(self) -> str:
        """Heading of the page."""
        return f"Painting with units: {self.generator.name}, {self.layer}"


def program_data(
    inputs: Sequence[tuple[str, Sequence[int]]],
    operations: Sequence[tuple[str, Sequence[Any], Sequence[int]]],
    constants: Sequence[tuple[Sequence[int], bytes]],
) -> dict[str, Any]:
    """A program (``seeingkit.models.programs``) as the page holds it.

    Args:
        inputs: names and shapes.
        operations: names, arguments, shapes of the results.
        constants: shapes, and float32 numbers as bytes.

    >>> program_data([("x", (1, 2))], [("tanh", ({"value": 0},), (1, 2))], [])["weights"]
    ''
    """
    places, start = [], 0
    for shape, numbers in constants:
        places.append([list(shape), start])
        start += len(numbers) // 4
    whole = b"".join(numbers for _, numbers in constants)
    return {
        "inputs": [[name, list(shape)] for name, shape in inputs],
        "operations": [[name, list(args), list(shape)] for name, args, shape in operations],
        "constants": places,
        "weights": base64.b64encode(whole).decode(),
    }


def render_painting(page: PaintingPage) -> str:
    """The page as text.

    Raises:
        UsageError: without brushes or images, or larger than ``LARGEST_PAGE``.

    ::

        write_text(Path("painting.html"), render_painting(page))
    """
    from markupsafe import Markup

    if not page.brushes or not page.canvases:
        raise UsageError("a page to paint on needs at least one brush and one image")
    served = page.program is None
    script = "".join(map(asset, ("painting_png.js", "painting_brush.js", "painting.js")))
    colours = ["#{:02x}{:02x}{:02x}".format(*class_colour(brush.label)) for brush in page.brushes]
    further = "connect-src 'self'" if served else "worker-src blob:"
    most = len(page.brushes[0].units)
    text = render(
        "painting.html.j2",
        policy=f"{policy(script)}; {further}",
        style=Markup(asset("style.css") + asset("painting.css")),
        script=Markup(script),
        worker=Markup("" if served else asset("painting_worker.js")),
        data=Markup(json_data(_data(page, colours))),
        page=page,
        colours=colours,
        pictures=[PNG_URI + base64.b64encode(one.picture).decode() for one in page.canvases],
        served=served,
        most=most,
        usual=min(USUAL_UNITS, most),
    )
    check_size(len(text))
    return str(text)


def check_size(characters: int) -> None:
    """Refuse a page that would be too large.

    Raises:
        UsageError: says what to do.

    >>> check_size(1000)
    """
    if characters > LARGEST_PAGE:
        raise UsageError(
            f"the page would have {characters / 1e6:.0f} MB; paint fewer images or at a later "
            "layer, or use the local page, with --serve"
        )


def _data(page: PaintingPage, colours: Sequence[str]) -> dict[str, Any]:
    return {
        "served": page.program is None,
        "generator": page.generator.model_dump(mode="json"),
        "layer": page.layer,
        "extent": list(page.extent),
        "window": list(page.span),
        "size": page.size,
        "seed": page.seed,
        "file": _file_name(f"{page.generator.name}-{page.layer}"),
        "brushes": [
            {
                "label": one.label,
                "units": list(one.units),
                "values": list(one.values),
                "colour": rgb,
            }
            for one, rgb in zip(page.brushes, colours, strict=True)
        ],
        "starts": [
            {
                "start": one.start.model_dump(mode="json"),
                "file": _file_name(one.file),
                "inputs": [base64.b64encode(numbers).decode() for numbers in one.inputs],
            }
            for one in page.canvases
        ],
        "program": page.program,
    }


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:80] or "painting"
