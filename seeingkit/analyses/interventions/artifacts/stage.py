"""A search for artifact units: rank, test on fresh images, and tell what else the ablation does.

Guarantees: units are ranked on images and real images that no test sees (``Series.ARTIFACTS``,
``split_real``); all tests rest on the same images, without and with each ablation; the error rate
of all tests together is that of ``level`` (Bonferroni over the numbers of units); the same
arguments give the same records, whatever the batch size but for rounding in the networks.

``gain`` needs two things: the interval of the gain is above 0, and so is that of the gain less the
mean gain of random units. Each of the two alone is claimed wrongly in at most ``level``, half of it
as the gain it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.results.artifacts import ArtifactTest, ArtifactUnit, GainClaim, RandomSet
from seeingkit.results.interventions import Effect
from seeingkit.results.marks import Marks
from seeingkit.statistics.gains import Gain, PairedDistances
from seeingkit.statistics.resampling import ENOUGH
from seeingkit.system.addresses import Place

from ..curves import check_fresh
from ..differences import effect
from ..effects import Floats, Intervention, Measured, measure, random_sets
from ..subjects import Sample, Starts, Subject
from .config import ArtifactsConfig
from .marks import by_marks, marked_sample
from .real import RealRows
from .scores import Ranking, by_ablation, by_images, peaks, strongest
from .spaces import AreaSpace, Space, sample_rows

SHOWN = 8
"""Strongest images of a unit that its record names."""
_ORDER: dict[GainClaim, int] = {"gain": 0, "gain of any units": 1, "no evidence": 2, "loss": 3}


class Artifacts(NamedTuple):
    """What a search found.

    Attributes:
        ranking: of the units; units: its records.
        searched: the images of the search.
        tests: one a number of units.
        best: place among the tests of the units that are shown.
        effect: of their ablation on every class.
        moved: (n,) share of the pixels of each image that change their class by it.
    """

    ranking: Ranking
    units: list[ArtifactUnit]
    searched: Sample
    tests: list[ArtifactTest]
    best: int
    effect: Effect
    moved: Floats


def check_search(subject: Subject, sample: Sample, config: ArtifactsConfig) -> None:
    """Refuse what cannot be searched or tested, before any image is made.

    Raises:
        UsageError: more units than the layer has, or too few images.
    """
    if max(config.units) > subject.units // 2:
        raise UsageError(
            f"{max(config.units)} of the {subject.units} units of {subject.layer!r}: random units "
            f"would be mostly the same; ask for at most {subject.units // 2}"
        )
    if len(sample) < ENOUGH:
        raise UsageError(f"n = {len(sample)}: a test of a gain needs at least {ENOUGH} images")
    if (config.ranking == "marks") != (config.marks is not None):
        raise UsageError(
            "a ranking by marks needs the file of painted regions, and only it: give both "
            "ranking marks and marks FILE"
        )
    searched = {} if config.ranking == "marks" else {"search": config.search}
    subject.check_classes(sample.labels, n=len(sample), **searched)


def search_sample(sample: Sample, config: ArtifactsConfig) -> Sample:
    """The images that units are ranked on: of a series of their own.

    >>> search_sample(Sample(range(300)), ArtifactsConfig(search=100)).seed
    8000000
    """
    seed = further_seed(sample.seed, Series.ARTIFACTS)
    return Sample(range(config.search), seed, sample.labels)


def find_artifacts(
    subject: Subject,
    sample: Sample,
    space: Space,
    real: RealRows,
    config: ArtifactsConfig,
    *,
    marks: Marks | None = None,
    level: float = 0.05,
    store: Place | None = None,
) -> Artifacts:
    """Rank the units of a layer, and test whether ablating the first ones brings images nearer.

    Args:
        subject: generator, layer and segmenter.
        sample: the fresh images of the tests.
        space: in which distances are taken.
        real: rows in this space.
        config: ranking, numbers of units, strength.
        marks: painted regions, for that ranking.
        level: error rate of all tests together.
        store: folder of counts (``parts``); None: nothing is kept.

    Raises:
        UsageError: settings that do not fit, or marks of images of the test.

    ::

        find_artifacts(subject, Sample(range(300)), AreaSpace(segmenter), real, ArtifactsConfig())
    """
    check_search(subject, sample, config)
    searched, ranking, values = _ranked(subject, sample, space, real, config, marks, store)
    chosen = [ranking.order[:many] for many in config.units]
    sets = [random_sets(units, subject.units, config.random, sample.seed) for units in chosen]
    edits = [*chosen, *(units for some in sets for units in some)]
    changes = [Intervention.ablation(units, alpha=config.alpha) for units in edits]
    measured = measure(subject, sample, changes, "tests", store=store)
    rows = _rows(subject, sample, space, changes, measured)
    paired = PairedDistances(real.test, rows[0], rows[1:], seed=sample.seed)
    tests = []
    for k, units in enumerate(chosen):
        first = len(chosen) + k * config.random
        others = dict(zip(range(first, first + config.random), sets[k], strict=True))
        tests.append(_test(paired, measured, k, units, others, 1 - level / len(chosen)))
    best = min(range(len(tests)), key=lambda k: (_ORDER[tests[k].claim], -tests[k].gain))
    vocabulary = subject.segmenter.vocabulary
    found = effect(measured, vocabulary, best, seed=sample.seed, level=level)
    records = _records(ranking, values, searched)
    return Artifacts(ranking, records, searched, tests, best, found, measured.moved[best])


def _ranked(
    subject: Subject,
    sample: Sample,
    space: Space,
    real: RealRows,
    config: ArtifactsConfig,
    marks: Marks | None,
    store: Place | None,
) -> tuple[Sample, Ranking, Floats]:
    """The images of the search, the ranking, and the peaks of each unit in the images."""
    if config.ranking == "marks":
        if marks is None:
            raise UsageError("a ranking by marks needs the painted regions")
        searched = marked_sample(marks)
        check_fresh(subject, sample, [searched])
        ranking = by_marks(subject, marks)
        return searched, ranking, peaks(subject, Starts(subject, searched))
    searched = search_sample(sample, config)
    starts = Starts(subject, searched)
    if config.ranking == "images":
        ranking = by_images(subject, starts, space, real.search, seed=sample.seed)
    else:
        most = max(config.units)
        ranking = by_ablation(
            subject, starts, space, real.search, alpha=config.alpha, most=most, store=store
        )
    return searched, ranking, peaks(subject, starts)


def _rows(
    subject: Subject,
    sample: Sample,
    space: Space,
    changes: Sequence[Intervention],
    measured: Measured,
) -> list[Floats]:
    """Rows of the images without an edit and with each; areas are those that were counted."""
    if not isinstance(space, AreaSpace):
        return sample_rows(subject, sample, space, changes, "features")
    counts = [measured.before, *measured.after]
    return [100.0 * each[:, : subject.labels] / measured.pixels for each in counts]


def _test(
    paired: PairedDistances,
    measured: Measured,
    k: int,
    units: tuple[int, ...],
    others: dict[int, tuple[int, ...]],
    confidence: float,
) -> ArtifactTest:
    gain = paired.gain(k, confidence=confidence)
    against = paired.against(k, list(others), confidence=confidence)
    before, after = paired.distance(), paired.distance(k)
    drawn = [
        RandomSet(units=list(some), gain=paired.distance().value - paired.distance(other).value)
        for other, some in others.items()
    ]
    return ArtifactTest(
        name=f"{len(units)} unit{'' if len(units) == 1 else 's'}",
        units=list(units),
        before=before.value,
        before_error=before.error,
        after=after.value,
        after_error=after.error,
        gain=gain.value,
        low=gain.low,
        high=gain.high,
        error=gain.error,
        p_swap=gain.p_swap,
        random=drawn,
        against=against.value,
        against_low=against.low,
        against_high=against.high,
        as_good=sum(one.gain >= gain.value for one in drawn),
        confidence=confidence,
        moved=float(measured.moved[k].mean()),
        claim=claim_of(gain, against),
    )


def claim_of(gain: Gain, against: Gain) -> GainClaim:
    """The claim of a gain and of the gain over random units.

    >>> claim_of(Gain(3, 1, 5, 1, 0.95), Gain(2, -1, 5, 1, 0.95))
    'gain of any units'
    """
    if gain.sure:
        return "gain" if against.sure else "gain of any units"
    return "loss" if gain.harm else "no evidence"


def _records(ranking: Ranking, values: Floats, searched: Sample) -> list[ArtifactUnit]:
    rows = strongest(values, SHOWN)
    return [
        ArtifactUnit(
            unit=unit,
            score=float(ranking.scores[unit]),
            round=ranking.rounds[unit],
            strongest=[int(searched.indices[row]) for row in rows[unit]],
        )
        for unit in ranking.order
    ]
