"""What a page to paint on shows: brushes, and images at the layer."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.stage import dissect_layers
from seeingkit.analyses.painting.brushes import brushes_of, units_by_agreement, units_by_effect
from seeingkit.analyses.painting.photo import invert_for, photo_start
from seeingkit.contracts import Generator, State
from seeingkit.contracts.generators import check_images
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import quantise
from seeingkit.models.editfiles import edited_generator, start_state
from seeingkit.report.painting import Brush, Canvas, PaintingPage
from seeingkit.results.edits import LatentStart, PhotoStart

from .painted_units import units_of_run
from .painting_models import DISSECTED, PaintingModels, Wish

SEARCHED = 200
"""Images of each of two series, in which units are searched; of more classes as many as these."""


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


def prepare_easel(models: PaintingModels, wish: Wish) -> Easel:
    """Find brushes, and take the images to the layer.

    Args:
        models: of ``open_models``.
        wish: the same as there.

    Raises:
        UsageError: no unit has a label, or a class that no image shows.
        ModelError: the photo could not be inverted.

    ::

        wish = Wish(units={"tree": [112, 13]})
        prepare_easel(open_models("progan:minichurches", wish), wish).page.brushes
    """
    ranking = _ranking(models, wish)
    if not ranking:
        raise UsageError(
            f"no unit of {models.subject.layer!r} has a label; name units with --units "
            "CLASS=1,2,3, search them with --choose CLASS, or name another --layer"
        )
    subject, seed, labels = models.subject, models.seed, models.labels
    brushes = brushes_of(subject, ranking, images=wish.search, seed=seed, labels=labels)
    return _easel(models, brushes, _starts(models, wish))


def _ranking(models: PaintingModels, wish: Wish) -> Mapping[str, Sequence[int]]:
    subject, seed, labels = models.subject, models.seed, models.labels
    if wish.units:
        return wish.units
    if wish.dissection is not None:
        return units_of_run(wish.dissection, subject.generator, subject.boundary.name)
    drawn = list(labels) or None
    every = SamplerSource(subject.generator, 1, seed, drawn, preset=subject.preset).every_class
    if wish.choose:
        many = max(SEARCHED, every)
        return units_by_effect(subject, wish.choose, images=many, seed=seed, labels=labels)
    many = max(DISSECTED, 2 * every)  # two of each class, to be exchanged with each other
    source = SamplerSource(subject.generator, many, seed, drawn, preset=subject.preset)
    chosen = DissectionConfig(layers=(subject.layer,), level_images=max(DISSECTED, every))
    return units_by_agreement(dissect_layers(source, subject.segmenter, chosen)[0])


def _starts(models: PaintingModels, wish: Wish) -> list[LatentStart | PhotoStart]:
    labels, seed = models.labels, models.images_seed
    if wish.photo is None or models.photo is None:
        return [
            LatentStart(seed=seed, index=k, label=labels[k % len(labels)] if labels else None)
            for k in wish.indices
        ]
    digest = hashlib.sha256(wish.photo.read_bytes()).hexdigest()
    label, options = labels[0] if labels else None, dict(wish.inverter or {})
    layer = models.subject.layer
    found, state = invert_for(models.generator, models.photo, layer, label=label, **options)
    return [photo_start(found, state, digest, label)]


def _easel(
    models: PaintingModels, brushes: tuple[Brush, ...], starts: Sequence[LatentStart | PhotoStart]
) -> Easel:
    generator, layer = models.generator, models.subject.boundary
    canvases, states = [], []
    for start in starts:
        with torch.no_grad():
            state = generator.advance(start_state(start, generator), layer.name)
            image = generator.advance(state).x
        check_images(image, generator.info, 1)
        states.append(state)
        if isinstance(start, LatentStart):
            words = str(start.index) if start.label is None else f"{start.index} ({start.label})"
            file = f"seed{start.seed}-{start.index:06d}"
        else:
            words, file = f"your photo, {start.psnr:.1f} dB", "photo"
        canvases.append(Canvas(words, file, start, png_bytes(image)))
    page = PaintingPage(
        generator=edited_generator(generator, models.name),
        layer=layer.name,
        extent=models.subject.extent,
        span=layer.window,
        size=generator.info.resolution,
        seed=models.images_seed,
        brushes=brushes,
        canvases=tuple(canvases),
    )
    return Easel(generator, layer.name, page, tuple(states))


def png_bytes(image: Tensor) -> bytes:
    """An image (1, 3, R, R) in [-1, 1] as the PNG that every command counts.

    >>> png_bytes(torch.zeros(1, 3, 8, 8))[:4]
    b'\\x89PNG'
    """
    stream = io.BytesIO()
    Image.fromarray(quantise(image)[0].cpu().numpy()).save(stream, "PNG")
    return stream.getvalue()
