"""What an intervention was asked for, checked against the layer before any image is made.

Guarantees: images that are measured, images of single units, and images that are searched are of
other series of latents; images that a dissection ranked units with are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.contracts import Boundary
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.results.interventions import AgreementRanking
from seeingkit.system.addresses import Place

from .cells import box_mask
from .config import InterventionConfig
from .curves import check_fresh
from .effects import Intervention
from .places import cell_grid
from .subjects import Sample, Subject, search_seeds

PROBED = 7
"""Pictures of an image that is searched: of the class, without an edit, and five probes."""


@dataclass(frozen=True)
class Request:
    """An intervention that has been asked for; making one checks it, before any image is made.

    Args:
        subject: generator, layer and segmenter.
        config: what is done and measured.
        n, seed: images, and the seed of the run.
        labels: classes of a conditional generator, in turn; empty: all.
        level: false discovery rate of claims.
        agreement: units ranked by a dissection.
        store: folder of counts (``parts``); None: nothing is kept.

    Raises:
        UsageError: units, places or numbers that the layer does not have.
        UnknownNameError: no such class.

    ::

        Request(subject, InterventionConfig(layer="r8.conv1", units=(3,)), n=100).pictures()
    """

    subject: Subject
    config: InterventionConfig
    n: int
    seed: int = 0
    labels: tuple[int, ...] = ()
    level: float = 0.05
    agreement: AgreementRanking | None = None
    store: Place | None = None

    def __post_init__(self) -> None:
        config, subject = self.config, self.subject
        config.check()
        if self.n < 2:
            raise UsageError(f"n = {self.n}: an effect needs at least two images")
        if not 0 < self.level < 1:
            raise UsageError(f"level = {self.level:g}: the level is between 0 and 1")
        subject.checked(config.units)
        most = max((config.choose or 0, *config.curve))
        if most > subject.units:
            raise UsageError(f"{most} units: {subject.layer!r} has {subject.units}")
        if config.label is not None:
            subject.label(config.label)
        if subject.boundary.kind == "style":
            check_style(subject.boundary, config)
        if config.box is not None:
            box_mask(subject.boundary, config.box)
        if config.context and not cell_grid(subject.extent, config.context):
            raise UsageError(
                f"context = {config.context}: the map of {subject.layer!r} is "
                f"{' x '.join(map(str, subject.extent))} cells; give a smaller step"
            )
        subject.check_classes(self.labels, **self.numbers)
        if (known := self.agreement) is not None:
            subject.checked(known.ranking)
            used = ((known.seed, known.images), (known.level_seed, known.level_images))
            for sample in (self.sample, self.singles):
                if sample is not None:
                    evaluated = [Sample(range(many), seed) for seed, many in used]
                    check_fresh(subject, sample, evaluated)

    @property
    def sample(self) -> Sample:
        """The images that the effect is measured on."""
        return Sample(range(self.n), further_seed(self.seed, Series.EFFECT), self.labels)

    @property
    def singles(self) -> Sample | None:
        """The images on which each unit is changed alone."""
        each = self.config.each
        seed = further_seed(self.seed, Series.SINGLE)
        return Sample(range(each), seed, self.labels) if each else None

    @property
    def label(self) -> int | None:
        """The number of the class."""
        return None if self.config.label is None else self.subject.label(self.config.label)

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers of images of the samples, by option."""
        config, found = self.config, {"n": self.n}
        optimised = config.choose is not None and config.by == "optimised"
        found |= {"search": config.search} if optimised or self.needs_means else {}
        return found | ({"each": config.each} if config.each else {})

    def pictures(self) -> int:
        """How many pictures are generated and segmented, but for those that are stored already."""
        config, units = self.config, self.subject.units
        optimised = config.choose is not None and config.by == "optimised"
        found = self.n * (2 + config.random + (config.insert and self.label is not None))
        found += config.search * PROBED if optimised else 0
        found += config.search if self.needs_means and not optimised else 0
        sides = 1 if config.label is None else 2
        found += config.each * (1 + sides * units) if config.each else 0
        lines = 1 + bool(config.each) + (self.agreement is not None)
        if config.curve:
            found += self.n * (1 + len(set(config.curve)) * (lines + config.random))
        if config.context:
            found += self.n * (2 + len(cell_grid(self.subject.extent, config.context)))
        return found

    @property
    def needs_means(self) -> bool:
        """Whether the class's mean of each unit is inserted anywhere."""
        config = self.config
        return (bool(config.insert or config.context) and not config.values) or (
            bool(config.each) and config.label is not None
        )

    @property
    def mask(self) -> Tensor | None:
        """The cells where units are changed, (h, w); None: all."""
        box = self.config.box
        return None if box is None else box_mask(self.subject.boundary, box)

    @property
    def searched(self) -> tuple[Sample, Sample]:
        """The images in which cells of the class, and others, are searched."""
        first, second = search_seeds(self.seed)
        rows = range(self.config.search)
        return Sample(rows, first, self.labels), Sample(rows, second, self.labels)


def check_style(style: Boundary, config: InterventionConfig) -> None:
    """Refuse what a style cannot have, for it has no map: places, and means where a class is.

    Raises:
        UsageError: names it, and what to do.

    >>> style = Boundary("r8.conv1.style", 2, (512,), "style")
    >>> check_style(style, InterventionConfig(layer="r8.conv1.style", units=(3,)))
    """
    means = bool(config.each) and config.label is not None
    needs = {
        "leave the box out": config.box is not None,
        "to choose units needs places where a class is; name --units": config.choose is not None,
        "a map of insertions needs places": bool(config.context),
        "an insertion needs values; give --value": config.insert and not config.values,
        "single units are inserted as means of a class, which needs places": means,
    }
    asked = next((what for what, there in needs.items() if there), None)
    if asked is not None:
        raise UsageError(f"{style.name} is a style and has no map: {asked}")


@dataclass(frozen=True)
class Edits:
    """The edit for any units: the values that were given, else ``k`` of all units of the layer."""

    units: tuple[int, ...]
    config: InterventionConfig
    mask: Tensor | None
    k: Tensor | None

    @property
    def given(self) -> Tensor | None:
        """Values that were given, one for each unit."""
        values = self.config.values
        return torch.tensor(values, dtype=torch.float32) if values else None

    def of(self, numbers: tuple[int, ...]) -> Intervention:
        """The edit of these units; random ones are set to the same values as the chosen ones."""
        if not self.config.insert:
            return Intervention.ablation(numbers, self.mask)
        if (given := self.given) is not None:
            return Intervention(numbers, given, 1.0, self.mask)
        assert self.k is not None
        return Intervention.insertion(numbers, self.k, self.mask)

    def values(self, available: int) -> Tensor:
        """(U,) what an insertion sets each unit of the layer to."""
        found = torch.zeros(available) if self.k is None else self.k
        if (given := self.given) is not None:
            return found.index_put((torch.tensor(self.units),), given.to(found))
        return found
