"""What an edit of a weight does to every class: the same images without and with it.

Guarantees: measured on images of a series of their own, which no edit was planned with; areas are
compared within pairs of latents, as of ``interventions.differences``, with its error rate; counts
are stored and met again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from seeingkit.contracts import RewritableGenerator, Segmenter, Site, State
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit
from seeingkit.results.effects import Effect
from seeingkit.specs import PRESETS, Preset
from seeingkit.system.addresses import Place
from seeingkit.system.tensors import tensor_digest

from ..interventions.differences import effect
from ..interventions.effects import measure
from ..interventions.subjects import Sample, Subject


class WholeSubject(Subject):
    """A subject at any boundary: where its weights change, nothing is edited at a place."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"batch = {self.batch}: take at least one image at a time")
        self.generator.boundary(self.layer)


@dataclass(frozen=True, eq=False)
class WeightChange:
    """Other weights from a boundary on.

    Attributes:
        params: replacements, as of ``Generator.advance``.
    """

    params: Mapping[str, Tensor]

    def images(self, subject: Subject, state: State, rows: range) -> Tensor:
        """The images of some rows with these weights."""
        return subject.generator.advance(state, params=self.params).x

    def check(self, subject: Subject, sample: Sample) -> None:
        """Nothing to refuse: shapes were checked when the edits were put together."""

    def identity(self, rows: range) -> list[object]:
        """Names and digests of the weights."""
        return ["weights", {name: tensor_digest(w) for name, w in sorted(self.params.items())}]


def in_front(generator: RewritableGenerator, sites: Sequence[Site]) -> str:
    """Name of the boundary in front of all sites.

    ``in_front(generator, [generator.site("r32.conv0"), generator.site("r16.conv1")])``
    """
    starts = [generator.boundary(site.before) for site in sites]
    return min(starts, key=lambda boundary: boundary.index).name


def edit_effect(
    generator: RewritableGenerator,
    edits: Sequence[WeightEdit],
    segmenter: Segmenter,
    *,
    n: int = 100,
    seed: int = 0,
    labels: Sequence[int] = (),
    preset: Preset | None = None,
    level: float = 0.05,
    store: Place | None = None,
) -> Effect:
    """Measure edits on fresh images.

    Args:
        generator: without them; other edits that it has count as its own.
        edits: of it.
        segmenter: names the classes.
        n: images.
        seed: of the run; the images are those of the series ``REWRITTEN``.
        labels: classes of a conditional generator, in turn; default: all.
        preset: of pictures before they are segmented; default: ``native``.
        level: false discovery rate of claims over the classes.
        store: folder in which counts are kept; None: nowhere.

    Raises:
        UsageError: no edit, or edits of another generator.

    ``edit_effect(generator, [edit], segmenter).classes[0].label``
    """
    if not edits:
        raise UsageError("no edit to measure")
    rewritten = RewrittenGenerator(generator, edits)
    first = in_front(generator, [generator.site(edit.site) for edit in edits])
    subject = WholeSubject(generator, segmenter, first, preset or PRESETS["native"])
    sample = Sample(range(n), further_seed(seed, Series.REWRITTEN), tuple(labels))
    change = WeightChange(rewritten.weights)
    measured = measure(subject, sample, [change], "images with the edit", store=store)
    return effect(measured, segmenter.vocabulary, seed=seed, level=level)
