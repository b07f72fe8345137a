"""``seeingkit figure``: figures for a paper, from finished runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from seeingkit.errors import ExitCode

from .options import CONTENT, PRINT, Json, Texts, option
from .output import print_json, say

content = partial(option, panel=CONTENT)
printed = partial(option, panel=PRINT)

_KINDS = (
    "classes: areas, real and generated; compare: several generators in one panel; pair: photos, "
    "reconstructions, what vanished; depth: quality by cut; overview: classes and pairs."
)
Runs = Annotated[list[Path], typer.Argument(help="Run directories.", show_default=False)]
Kind = Annotated[str, content(_KINDS)]
Classes = Annotated[Texts, content("Show this class; may be repeated.", "--class")]
Limit = Annotated[int | None, content("Show so many classes, or photos.")]
Names = Annotated[Texts, content("Name of a generator, in the order of runs.", "--name")]
FigureOut = Annotated[
    Path | None, printed("File with its format as ending, or folder. Default: RUN/figures.")
]
Width = Annotated[float, printed("Width in mm.")]
FontSize = Annotated[float, printed("Size of the text in points.")]
Formats = Annotated[Texts, printed("svg, pdf or png; may be repeated. Default: all.", "--format")]
Dpi = Annotated[int, printed("Pixels to the inch, of png and of photos.")]


def figure(
    runs: Runs,
    kind: Kind = "classes",
    classes: Classes = None,
    limit: Limit = None,
    names: Names = None,
    out: FigureOut = None,
    width: Width = 174.0,
    font_size: FontSize = 8.0,
    formats: Formats = None,
    dpi: Dpi = 300,
    json: Json = False,
) -> int:
    """Draw a figure for a paper from finished runs: SVG, PDF and PNG at the size of print."""
    from seeingkit.report import write_paper_figure

    drawn = write_paper_figure(
        runs,
        kind,
        out,
        width=width,
        font_size=font_size,
        formats=formats or (),
        dpi=dpi,
        classes=classes or (),
        limit=limit,
        names=names or (),
    )
    if json:
        print_json(drawn.to_dict())
        return ExitCode.DONE
    for path in drawn.files:
        say(str(path))
    say()
    say(drawn.caption)
    for note in drawn.notes:
        say(f"! {note}")
    return ExitCode.DONE
