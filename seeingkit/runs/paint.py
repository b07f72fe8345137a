"""The command ``paint``: a page on which units are painted, and the replay of what was painted.

Guarantees: names, layers, units and files are checked before any image is made; a page is written
only where its network draws as the generator does; files that are replayed name no code.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.stage import dissect_layers
from seeingkit.analyses.interventions.subjects import Subject
from seeingkit.analyses.painting.brushes import brushes_of, units_by_agreement, units_by_effect
from seeingkit.analyses.painting.photo import invert_for, photo_start
from seeingkit.contracts import Generator, Segmenter, State
from seeingkit.contracts.generators import check_images
from seeingkit.errors import RunError, SourceError, UsageError, printable
from seeingkit.images import SamplerSource, open_images
from seeingkit.images.preprocess import quantise
from seeingkit.models.editfiles import edited_generator, replay, start_state
from seeingkit.models.programs import Program, program_of
from seeingkit.models.registry import registry
from seeingkit.models.resolved import resolve as resolve_model
from seeingkit.report.painting import (
    Brush,
    Canvas,
    PaintingPage,
    program_data,
    render_painting,
)
from seeingkit.results.edits import LONGEST_FILE, EditFile, LatentStart, PhotoStart, parse_edits
from seeingkit.specs import DataSpec
from seeingkit.system.devices import resolve_device
from seeingkit.system.writing import atomic_write, refuse_special, write_text
from seeingkit.tallies.vocabularies.merging import in_classes

from .dissect import dissection_run_config
from .inversions import generator_preset
from .painted_units import units_of_run
from .plan import resolve
from .sides import located

DISSECTED = 160
"""Images of each of two series, from which brushes come unasked."""
CELLS = 8
"""Cells a side of the map that is painted unasked, in images of up to 256 pixels."""


@dataclass(frozen=True)
class Wish:
    """What a page is to show.

    Attributes:
        layer: boundary with a map; empty: ``usual_layer``.
        units: of each class, strongest first.
        choose: classes whose units are searched by their causal effect.
        dissection: run directory of a dissection of that layer, which gives units.
        indices: images of the series; labels: classes of a conditional generator.
        photo: a picture of the user's, painted on in place of the series.
        search: images of other series that values come from.
        inverter: options of the inversion of the photo, and ``method``.
    """

    layer: str = ""
    units: Mapping[str, Sequence[int]] | None = None
    choose: Sequence[str] = ()
    dissection: Path | None = None
    indices: Sequence[int] = tuple(range(12))
    labels: str | None = None
    photo: Path | None = None
    search: int = 128
    inverter: Mapping[str, Any] | None = None

    def check(self) -> None:
        """Refuse what cannot be right, before any work.

        Raises:
            UsageError: several sources of units, no images.
            SourceError: a photo that is no file.
        """
        if sum(map(bool, (self.units, self.choose, self.dissection))) > 1:
            raise UsageError("units come from --units, --choose or --dissection: give one of them")
        if not len(self.indices) or min(self.indices) < 0:
            raise UsageError("images are numbers from 0, at least one")
        if self.search < 1:
            raise UsageError(f"search {self.search} images: at least one is needed")
        if self.photo is not None and not self.photo.is_file():
            raise SourceError(f"{self.photo}: no such photo; name a picture file")


@dataclass(frozen=True)
class Easel:
    """Everything a page is made of: a generator, brushes, images.

    Attributes:
        generator, layer: that is painted.
        page: without a program: as the local server shows it.
        states: of the images at the layer.
    """

    generator: Generator
    layer: str
    page: PaintingPage
    states: tuple[State, ...]


def prepare_easel(gan: str | None = None, wish: Wish | None = None, **settings: Any) -> Easel:
    """Load the models and find brushes.

    Args:
        gan: ``family`` or ``family:weights``; default: the usual generator.
        wish: layer, units, images.
        settings: fields of ``seeingkit.runs.config.Config`` (seed, weights, segmenter, device, …).

    Raises:
        UsageError, UnknownNameError: names that cannot be right.

    ::

        prepare_easel("progan:minichurches", Wish(units={"tree": [112, 13]})).page.brushes
    """
    wish = wish or Wish()
    wish.check()
    layers = [wish.layer] if wish.layer else []
    config = dissection_run_config(gan, layers=layers, level_images=DISSECTED, **settings)
    plan = located(resolve(config))
    assert plan.generated.generator is not None and plan.segmenter is not None
    generator = plan.generated.generator.load(plan.device)
    if not isinstance(generator, Generator):
        raise UsageError(f"{plan.generated.name} gives images only; name a generator with layers")
    layer = generator.boundary(wish.layer or usual_layer(generator)).name
    if generator.boundary(layer).kind != "feature" or generator.boundary(layer).extent is None:
        raise UsageError(f"{layer!r} has no map of cells to paint in; name a layer with --layer")
    classes = labels_for(wish.labels, generator)
    segmenter = cast("Segmenter", plan.segmenter.load(plan.device))
    segmenter = in_classes(segmenter, plan.config.classes)
    subject = Subject(generator, segmenter, layer, plan.preset)
    seed, labels = plan.config.seed, tuple(classes or ())
    ranking: Mapping[str, Sequence[int]]
    if wish.units:
        ranking = wish.units
    elif wish.dissection is not None:
        ranking = units_of_run(wish.dissection, generator, layer)
    elif wish.choose:
        ranking = units_by_effect(subject, wish.choose, seed=seed, labels=labels)
    else:
        source = SamplerSource(generator, DISSECTED, seed, classes, preset=plan.preset)
        chosen = DissectionConfig(layers=(layer,), level_images=DISSECTED)
        ranking = units_by_agreement(dissect_layers(source, segmenter, chosen)[0])
    if not ranking:
        raise UsageError(
            f"no unit of {layer!r} has a label; name units with --units CLASS=1,2,3, search them "
            "with --choose CLASS, or name another --layer"
        )
    brushes = brushes_of(subject, ranking, images=wish.search, seed=seed, labels=labels)
    name = plan.generated.generator.name
    return _easel(
        generator, name, layer, brushes, _starts(generator, layer, wish, seed, labels), seed
    )


def usual_layer(generator: Generator) -> str:
    """The last layer whose map has at most 8 cells a side (R / 32 above 256 pixels).

    Raises:
        UsageError: the generator has no layer with a map.

    >>> usual_layer(seeingkit.load_generator("progan:minichurches"))
    'r8.conv1'
    """
    maps = [b for b in generator.boundaries if b.kind == "feature" and b.extent is not None]
    if not maps:
        raise UsageError(f"{generator.info.family} has no layer with a map to paint in")
    most = max(CELLS, generator.info.resolution // 32)
    small = [b for b in maps if b.extent is not None and max(b.extent) <= most]
    return (small or maps[:1])[-1].name


def _starts(
    generator: Generator, layer: str, wish: Wish, seed: int, labels: Sequence[int]
) -> list[LatentStart | PhotoStart]:
    if wish.photo is None:
        return [
            LatentStart(seed=seed, index=k, label=labels[k % len(labels)] if labels else None)
            for k in wish.indices
        ]
    source = open_images(str(wish.photo), preset=generator_preset(generator))
    images, _, skipped = source.load([0])
    source.close()
    if images is None or skipped:
        raise SourceError(f"{wish.photo}: {skipped[0].reason}")
    digest = hashlib.sha256(wish.photo.read_bytes()).hexdigest()
    label, options = labels[0] if labels else None, dict(wish.inverter or {})
    found, state = invert_for(generator, images, layer, label=label, **options)
    return [photo_start(found, state, digest, label)]


def _easel(
    generator: Generator,
    name: str,
    layer: str,
    brushes: tuple[Brush, ...],
    starts: Sequence[LatentStart | PhotoStart],
    seed: int,
) -> Easel:
    canvases, states = [], []
    for start in starts:
        with torch.no_grad():
            state = generator.advance(start_state(start, generator), layer)
            image = generator.advance(state).x
        check_images(image, generator.info, 1)
        states.append(state)
        if isinstance(start, LatentStart):
            words = str(start.index) if start.label is None else f"{start.index} ({start.label})"
            file = f"seed{start.seed}-{start.index:06d}"
        else:
            words, file = f"your photo, {start.psnr:.1f} dB", "photo"
        canvases.append(Canvas(words, file, start, png_bytes(image)))
    boundary = generator.boundary(layer)
    assert boundary.extent is not None
    page = PaintingPage(
        generator=edited_generator(generator, name),
        layer=layer,
        extent=boundary.extent,
        span=boundary.window,
        size=generator.info.resolution,
        seed=seed,
        brushes=brushes,
        canvases=tuple(canvases),
    )
    return Easel(generator, layer, page, tuple(states))


def png_bytes(image: Tensor) -> bytes:
    """An image (1, 3, R, R) in [-1, 1] as the PNG that every command counts.

    >>> png_bytes(torch.zeros(1, 3, 8, 8))[:4]
    b'\\x89PNG'
    """
    stream = io.BytesIO()
    Image.fromarray(quantise(image)[0].cpu().numpy()).save(stream, "PNG")
    return stream.getvalue()


# --------------------------------------------------------------------------------------- the page


def offline_page(easel: Easel) -> str:
    """The page that draws by itself.

    Raises:
        ModelError: a network that a page cannot run.
        UsageError: a page that would be too large.

    ::

        offline_page(prepare_easel("progan:minichurches"))
    """
    generator, page = easel.generator, easel.page
    classes = [one.start.label for one in page.canvases]
    labels = [classes[0]] if classes[0] is not None else None
    latents = [generator.latents([k], seed=page.seed, labels=labels) for k in (0, 1)]
    program = program_of(generator, easel.layer, (latents[0], latents[1]))
    canvases = [
        Canvas(one.name, one.file, one.start, one.picture, _inputs(program, state))
        for one, state in zip(page.canvases, easel.states, strict=True)
    ]
    whole = PaintingPage(
        **{**vars(page), "canvases": tuple(canvases), "program": _program(program)}
    )
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
        gan, wish, settings: of ``prepare_easel``.
        out: the HTML file.

    Raises:
        ModelError: a network that a page cannot run: use ``seeingkit paint --serve``.

    ::

        paint("progan:minichurches", Wish(layer="r8.conv1"), out="painting.html")
    """
    path = Path(out)
    refuse_special(path)
    return write_text(path, offline_page(prepare_easel(gan, wish, **settings)))


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
