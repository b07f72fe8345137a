"""The command ``paint``: a page on which units are painted, and the replay of what was painted.

Guarantees: a network that no page can run is refused before any long work; files that are replayed
name no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from seeingkit.contracts import Generator, State
from seeingkit.contracts.generators import check_images
from seeingkit.errors import RunError, UsageError, printable
from seeingkit.models.editfiles import replay
from seeingkit.models.programs import Program
from seeingkit.models.registry import registry
from seeingkit.models.resolved import resolve as resolve_model
from seeingkit.report.painting import program_data, render_painting
from seeingkit.results.edits import LONGEST_FILE, EditFile, parse_edits
from seeingkit.specs import DataSpec
from seeingkit.system.devices import resolve_device
from seeingkit.system.writing import atomic_write, refuse_special, write_text

from .easel import Easel, png_bytes, prepare_easel
from .painting_models import Wish, open_models

# --------------------------------------------------------------------------------------- the page


def offline_page(easel: Easel, program: Program) -> str:
    """The page that draws by itself.

    Args:
        easel: brushes and images.
        program: of the same models (``PaintingModels.program``).

    Raises:
        UsageError: a page that would be too large.

    ::

        offline_page(prepare_easel(models, wish), models.program())
    """
    canvases = [
        replace(canvas, inputs=_inputs(program, state))
        for canvas, state in zip(easel.page.canvases, easel.states, strict=True)
    ]
    whole = replace(easel.page, canvases=tuple(canvases), program=_program(program))
    return render_painting(whole)


def _inputs(program: Program, state: State) -> tuple[bytes, ...]:
    tensors = {"x": state.x, **state.carry}
    return tuple(_numbers(tensors[name]) for name, _ in program.inputs)


def _numbers(tensor: Tensor) -> bytes:
    return tensor.detach().float().cpu().contiguous().numpy().astype("<f4").tobytes()


def _program(program: Program) -> dict[str, Any]:
    return program_data(
        program.inputs,
        [(one.name, one.args, one.shape) for one in program.operations],
        [(tuple(constant.shape), _numbers(constant)) for constant in program.constants],
    )


def paint(
    gan: str | None = None, wish: Wish | None = None, *, out: str | Path, **settings: Any
) -> Path:
    """Write a page on which units are painted; it opens offline in any browser.

    Args:
        gan, wish, settings: of ``open_models``.
        out: the HTML file.

    Raises:
        ModelError: a network that a page cannot run: use ``seeingkit paint --serve``.

    ::

        paint("progan:minichurches", Wish(layer="r8.conv1"), out="painting.html")
    """
    path, wish = Path(out), wish or Wish()
    refuse_special(path)
    models = open_models(gan, wish, **settings)
    program = models.program(1 if wish.photo else len(wish.indices))  # before the long work
    return write_text(path, offline_page(prepare_easel(models, wish), program))


# ------------------------------------------------------------------------------------- the replay


def read_edits(path: Path) -> EditFile:
    """A file of edits, read with its size checked first.

    Raises:
        RunError: missing, too large, or no file of edits.

    ::

        read_edits(Path("edits.json")).start
    """
    try:
        if not path.is_file():
            raise RunError(f"{printable(path)}: no such file of edits")
        if path.stat().st_size > 4 * LONGEST_FILE:
            raise RunError(f"{printable(path)}: too large for a file of edits")
        return parse_edits(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{printable(path)} cannot be read: {printable(error)}") from error


def replay_edits(
    edits: Path,
    gan: str | None = None,
    *,
    out: str | Path,
    weights: str | Path | None = None,
    gan_options: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> Path:
    """Draw the picture of a file of edits, as PNG.

    Args:
        edits: the file.
        gan: the generator that it is of; default: the usual generator. The name in the file is
            never loaded: it may be anyone's.
        out: the PNG.
        weights, gan_options: of the generator.
        device: where to compute.

    Raises:
        RunError: no file of edits.
        UsageError: edits of another generator, or that do not fit it.

    ::

        replay_edits(Path("edits.json"), "progan:minichurches", out="picture.png")
    """
    path = Path(out)
    refuse_special(path)
    file = read_edits(edits)
    usual = cast("DataSpec", registry().find("data", registry().default("data")))
    name = gan or usual.gan or registry().default("gan")
    found = resolve_model("gan", name, weights=weights, options=gan_options)
    generator = found.load(resolve_device(device))
    if not isinstance(generator, Generator):
        raise UsageError(f"{found.name} gives images only; edits need a generator with layers")
    image = replay(file, generator)
    check_images(image, generator.info, 1)
    if not bool(torch.isfinite(image).all()):
        raise UsageError("the edited picture has NaN or Inf; the edits insert too large values")
    with atomic_write(path) as stream:
        stream.write(png_bytes(image))
    return path
