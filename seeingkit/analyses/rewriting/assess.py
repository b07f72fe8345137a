"""What edits of a generator did, all together: from models and images to the records of a run.

Guarantees: images are those of a series of their own; requests, sites and wanted classes are
checked before any image is made; all numbers of an edit rest on one set of counts, which a run that
was killed meets again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seeingkit.contracts import RewritableGenerator, Segmenter
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit, other_options
from seeingkit.results.assessment import AssessedEdit, DistanceClaim, EditedDistance, Share
from seeingkit.results.effects import Effect
from seeingkit.specs import Preset
from seeingkit.statistics.frechet import Rows
from seeingkit.statistics.gains import PairedDistances
from seeingkit.statistics.ratios import Ratio
from seeingkit.system.addresses import Place

from ..interventions.differences import effect
from ..interventions.effects import Floats, Measured
from ..interventions.subjects import Sample
from .bench import Bench
from .effects import WholeSubject, in_front
from .matching import Matcher, matcher_of
from .outcomes import Outcome, copied_classes, outcome
from .plan import bench_of, usual_moments
from .regions import Request
from .requestfiles import request_of


@dataclass(frozen=True, eq=False)
class Target:
    """One edit, and where it is meant to act.

    Attributes:
        name: of its file.
        edit: it.
        bench: the generator at its site, with the edits before it alone.
        request: what it was planned for; None: it does not say.

    ``targets_of(generator, ["tower2tree"])[0].request``
    """

    name: str
    edit: WeightEdit
    bench: Bench
    request: Request | None


@dataclass(frozen=True, eq=False)
class Assessing:
    """Models and images of an assessment, checked.

    Attributes:
        generator: with the edits.
        targets: one for each edit.
        segmenter: names the classes.
        sample: images that effects are measured on.
        preset: of pictures before they are segmented.
        wanted: classes; empty: those of the copied regions.
        seed: of the run; level: of each question.
        store: folder of counts; None: nowhere.
        warnings: about the models.
    """

    generator: RewrittenGenerator
    targets: tuple[Target, ...]
    segmenter: Segmenter
    sample: Sample
    preset: Preset
    wanted: tuple[str, ...] = ()
    seed: int = 0
    level: float = 0.05
    store: Place | None = None
    warnings: tuple[str, ...] = ()

    @property
    def subject(self) -> WholeSubject:
        """The generator without the edits in front of all of their sites."""
        base = self.generator.base
        first = in_front(base, [target.bench.site for target in self.targets])
        return WholeSubject(base, self.segmenter, first, self.preset)


class Assessed(NamedTuple):
    """An assessment in numbers.

    Attributes:
        edits: records, without pictures; outcomes, matchers: of each edit.
        effect: on every class.
    """

    edits: list[AssessedEdit]
    outcomes: list[Outcome]
    matchers: list[Matcher | None]
    effect: Effect

    @property
    def measured(self) -> Measured:
        """Pixels of each class of the images without and with all edits."""
        return self.outcomes[0].measured


def sample_of(n: int, seed: int = 0, labels: Sequence[int] = ()) -> Sample:
    """The images that edits are assessed on.

    >>> sample_of(100).seed
    12000000
    """
    return Sample(range(n), further_seed(seed, Series.REWRITTEN), tuple(labels))


def targets_of(generator: RewrittenGenerator, names: Sequence[str]) -> tuple[Target, ...]:
    """Where each edit of a generator is meant to act.

    Args:
        generator: with the edits.
        names: of their files.

    Raises:
        UsageError: no edit, or a request whose regions do not fit the site.
        RunError: a request that cannot be read.

    ``targets_of(seeingkit.load_generator("progan", edits=["a.safetensors"]), ["a"])[0].name``
    """
    if not generator.edits:
        raise UsageError("no edit to assess: name its file")
    found = []
    for number, (name, edit) in enumerate(zip(names, generator.edits, strict=True)):
        before = RewrittenGenerator(generator.base, generator.edits[:number])
        site, request = before.site(edit.site), None
        if edit.request is not None and "object" in edit.request:
            request = request_of(dict(edit.request), name)
            _check_options(name, edit, generator.base, request)
            request.copy.area(site.values)
            for region in request.contexts:
                region.area(site.keys)
        bench = Bench(before, site) if request is None else bench_of(before, site, request)
        found.append(Target(name, edit, bench, request))
    return tuple(found)


def _check_options(
    name: str, edit: WeightEdit, base: RewritableGenerator, request: Request
) -> None:
    """Refuse a request whose images, by their numbers, are others with these options."""
    every = (request.copy, request.paste, *request.context)
    if len(request.photos) == len(every) or "options" not in edit.about:
        return
    if words := other_options(edit, base):
        raise UsageError(
            f"{name}: {words}; but the images that its request numbers are others then, so its "
            "context is not where the masks say: assess it with the options that it was planned "
            "with (--gan-option)"
        )


def assess(asked: Assessing) -> Assessed:
    """Measure edits on fresh images.

    Args:
        asked: models and images.

    Raises:
        UnknownNameError: a wanted class that the segmenter lacks.
        ModelError: the generator or the segmenter gives what it must not.

    ``assess(asked).edits[0].success.value``
    """
    for name in asked.wanted:
        asked.segmenter.vocabulary.index(name)
    edits, outcomes, matchers = [], [], []
    for target in asked.targets:
        matcher, wanted = _matching(asked, target)
        found = outcome(
            asked.generator.base,
            asked.generator.edits,
            matcher,
            asked.segmenter,
            asked.sample,
            wanted=wanted,
            preset=asked.preset,
            store=asked.store,
        )
        outcomes.append(found)
        matchers.append(matcher)
        edits.append(_record(asked, target, matcher, found))
    first = outcomes[0].measured
    told = effect(first, asked.segmenter.vocabulary, seed=asked.seed, level=asked.level)
    return Assessed(edits, outcomes, matchers, told)


def _matching(asked: Assessing, target: Target) -> tuple[Matcher | None, tuple[str, ...]]:
    """The matcher of an edit, and its wanted classes."""
    request, bench = target.request, target.bench
    if request is None:
        return None, ()
    labels = request.labels
    wanted = asked.wanted or copied_classes(
        bench, request.copy, asked.segmenter, preset=asked.preset
    )
    moments = usual_moments(
        bench.generator, bench.site, asked.seed, labels=labels, folder=asked.store
    )
    matcher = matcher_of(bench.generator, bench.site.name, request, moments)
    return matcher, wanted


def _record(
    asked: Assessing, target: Target, matcher: Matcher | None, found: Outcome
) -> AssessedEdit:
    edit, matched = target.edit, found.rows.matched
    success = found.success
    most = asked.level / len(asked.targets)
    return AssessedEdit(
        name=target.name,
        digest=edit.digest(),
        site=edit.site,
        rank=edit.rank,
        strength=edit.strength,
        solver=str(edit.about.get("solver", "")),
        wanted=list(found.wanted),
        matching=matcher is not None,
        context_share=None if matcher is None else matcher.context_share,
        usual_share=None if matcher is None else matcher.usual_share,
        images=int((matched > 0).sum()),
        area=float(100 * matched.mean() / found.pixels),
        before=share(found.before),
        after=share(found.after),
        success=share(success),
        converted=share(found.converted),
        claimed=success.p is not None and success.p <= most,
        outside=share(found.outside),
        labels_outside=share(found.labels_outside),
    )


def share(found: Ratio) -> Share:
    """A number of an outcome as a record.

    >>> share(Ratio(0.5, None, None, None, 2)).value
    0.5
    """
    return Share(value=found.value, low=found.low, high=found.high, p=found.p)


def areas_of(counts: Floats, labels: int, pixels: int) -> Floats:
    """Areas in percent of the first plane, (n, labels), of counts (n, planes · labels).

    >>> areas_of(np.array([[1.0, 3.0, 4.0, 0.0]]), 2, 4).tolist()
    [[25.0, 75.0]]
    """
    return np.asarray(100.0 * counts[:, :labels] / pixels)


def distance_change(
    real: Rows, found: Assessed, labels: int, *, seed: int = 0, level: float = 0.05
) -> EditedDistance:
    """The distance from real images without and with the edits, image by image.

    Args:
        real: (N, labels) areas of real images in percent.
        found: of ``assess``.
        labels: of the vocabulary.
        seed: of halves and exchanges.
        level: 1 − confidence of the interval of the gain.

    Raises:
        TallyError: fewer than two images on a side.

    ``distance_change(tally.percent(), found, len(vocabulary)).claim``
    """
    measured = found.measured
    before, after = (
        areas_of(counts.astype(np.float64), labels, measured.pixels)
        for counts in (measured.before, measured.after[0])
    )
    pairs = PairedDistances(real, before, [after], seed=seed)
    gain = pairs.gain(0, confidence=1 - level)
    without, with_edits = pairs.distance(), pairs.distance(0)
    claim: DistanceClaim = "nearer" if gain.sure else "farther" if gain.harm else "no evidence"
    return EditedDistance(
        before=without.value,
        before_error=without.error,
        after=with_edits.value,
        after_error=with_edits.error,
        gain=gain.value,
        low=gain.low,
        high=gain.high,
        error=gain.error,
        confidence=gain.confidence,
        p_swap=gain.p_swap,
        claim=claim,
    )
