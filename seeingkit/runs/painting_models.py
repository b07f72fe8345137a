"""The models of a page to paint on, by their names, and the user's photo.

Guarantees: names, layers, units and the photo are checked before any image is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from seeingkit.analyses.comparison.conditions import labels_for
from seeingkit.analyses.interventions.subjects import Subject
from seeingkit.contracts import Generator
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import SourceError, UsageError
from seeingkit.images import open_images
from seeingkit.models.programs import Program, program_of
from seeingkit.report.painting import check_size

from .dissect import dissection_run_config
from .inversions import generator_preset
from .plan import resolve
from .sides import located, shown_segmenter

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
        indices: images of the series ``PAINTING``; labels: classes of a conditional generator.
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
class PaintingModels:
    """The models of a page, loaded, and what can be known before any image is made.

    Attributes:
        subject: generator, layer and segmenter.
        name: of the generator, as it was asked for.
        seed: of the run; labels: classes of a conditional generator, in turn.
        photo: (1, 3, R, R) in [-1, 1], or None.
    """

    subject: Subject
    name: str
    seed: int
    labels: tuple[int, ...]
    photo: Tensor | None

    @property
    def images_seed(self) -> int:
        """The seed of the images that are painted on: a series of their own, which no test of what
        was painted rests on.
        """
        return further_seed(self.seed, Series.PAINTING)

    @property
    def generator(self) -> Generator:
        """The generator."""
        return self.subject.generator

    def program(self, images: int = 1) -> Program:
        """The rest of the generator, for a page that draws by itself.

        Args:
            images: that the page is to hold.

        Raises:
            ModelError: a network that a page cannot run.
            UsageError: one that is too large for a page.
        """
        labels = self.labels[:1] or None
        first, second = (self.generator.latents([k], seed=self.seed, labels=labels) for k in (0, 1))
        program = program_of(self.generator, self.subject.layer, (first, second))
        held = sum(math.prod(shape) for _, shape in program.inputs)
        check_size((program.numbers + images * held) * 16 // 3)  # characters of base64
        return program


def open_models(
    gan: str | None = None, wish: Wish | None = None, **settings: Any
) -> PaintingModels:
    """Load the models of a page, and refuse what cannot be right before any image is made.

    Args:
        gan: ``family`` or ``family:weights``; default: the usual generator.
        wish: layer, units, images.
        settings: fields of ``seeingkit.runs.config.Config`` (seed, weights, segmenter, device, …).

    Raises:
        UsageError, UnknownNameError: names that cannot be right.
        SourceError: a photo that cannot be read.

    ::

        open_models("progan:minichurches", Wish(layer="r8.conv1")).subject.units
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
    layer = generator.boundary(wish.layer or usual_layer(generator))
    if layer.kind != "feature" or layer.extent is None:
        raise UsageError(
            f"{layer.name!r} has no map of cells to paint in; name a layer with --layer"
        )
    labels = tuple(labels_for(wish.labels, generator) or ())
    subject = Subject(generator, shown_segmenter(plan), layer.name, plan.preset)
    subject.check_classes(labels, search=wish.search)
    for name, units in (wish.units or {}).items():
        subject.label(name)
        subject.checked(units)
    for name in wish.choose:
        subject.label(name)
    photo = None if wish.photo is None else _photo(wish.photo, generator)
    return PaintingModels(subject, plan.generated.generator.name, plan.config.seed, labels, photo)


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


def _photo(path: Path, generator: Generator) -> Tensor:
    source = open_images(str(path), preset=generator_preset(generator))
    images, _, skipped = source.load([0])
    source.close()
    if images is None or skipped:
        raise SourceError(f"{path}: {skipped[0].reason}")
    return images
