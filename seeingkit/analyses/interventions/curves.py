"""The effect on a class against the number of units that are ablated, for several rankings.

Guarantees: images that a ranking was chosen with are refused; all rankings are measured on the same
images, so their gaps are paired; p of gaps are corrected over all gaps of the curve (Benjamini and
Hochberg 1995). A ranking that orders *the class's own* effect on these images would be flattered;
on other images it is not.

As Bau et al. (ICLR 2019, figure 9): units are set to 0 everywhere, the first j of a ranking at a
time, and the area of the class that is left is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats
from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit.results.curves import Band, Curve, CurveGap, CurveLine, CurvePoint
from seeingkit.statistics.arrays import defined
from seeingkit.system.addresses import Place

from .differences import MISS, by_image, column_of, flip_test
from .effects import Floats, Intervention, measure, random_sets
from .subjects import Sample, Subject

NUMBERS = (1, 2, 5, 10, 20)
"""Units that are ablated, by default."""


def curve(
    subject: Subject,
    sample: Sample,
    rankings: Mapping[str, Sequence[int]],
    label: int,
    *,
    numbers: Sequence[int] = NUMBERS,
    random: int = 5,
    chosen_with: Sequence[Sample] = (),
    seed: int = 0,
    level: float = 0.05,
    mask: Tensor | None = None,
    store: Place | None = None,
) -> Curve:
    """Measure a class after ablating the first units of each ranking.

    Args:
        subject, sample: the images.
        rankings: units of the layer, the most important first, by the name of the ranking.
        label: the class.
        numbers: how many units are ablated; those beyond a ranking's length are left out of it.
        random: random rankings, as a band.
        chosen_with: images that the rankings were found with.
        seed: of random rankings and sign flips.
        level: false discovery rate of the gaps.
        mask: cells where units are ablated, (h, w); None: everywhere.
        store: folder of counts, as of ``measure``.

    Raises:
        UsageError: no ranking, a unit that does not exist, fewer than two images, or images that a
            ranking was chosen with.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> subject = Subject(generator, segmenter, "r8.conv1")
    >>> found = curve(subject, Sample(range(2)), {"mine": [13, 112]}, 3, numbers=[1], random=1)
    >>> found.lines[0].points[0].units
    1
    """
    check_fresh(subject, sample, chosen_with)
    orders = {name: subject.checked(order) for name, order in rankings.items()}
    steps = sorted({int(number) for number in numbers if number > 0})
    if not orders or not all(orders.values()) or not steps:
        raise UsageError("a curve needs a ranking of units, and numbers of units above 0")
    if len(set(sample.indices)) < 2:
        raise UsageError("a curve needs at least two images")
    drawn = random_sets(range(max(steps)), subject.units, random, seed)
    keys = [(name, j) for name, order in orders.items() for j in steps if j <= len(order)]
    sets = [orders[name][:j] for name, j in keys]
    band = [(k, j) for j in steps if j <= subject.units for k in range(random)]
    sets += [drawn[k][:j] for k, j in band]
    edits = [Intervention.ablation(units, mask) for units in sets]
    found = measure(subject, sample, edits, "curve", store=store, tables=0)
    column = column_of(subject.segmenter.vocabulary, label)
    scale = 100 / found.pixels
    before = by_image(found.before[:, column], found.images) * scale
    areas = [by_image(each[:, column], found.images) * scale for each in found.after]
    after = dict(zip(keys, areas, strict=False))
    moved = dict(zip(keys, found.moved.mean(axis=1).tolist(), strict=False))
    randomly = dict(zip(band, areas[len(keys) :], strict=True))
    lines = [
        CurveLine(
            name=name,
            ranking=list(order),
            points=[
                _point(j, before, after[name, j], moved[name, j], seed)
                for j in steps
                if (name, j) in after
            ],
        )
        for name, order in orders.items()
    ]
    return Curve(
        label=subject.segmenter.vocabulary.names[label],
        n=len(before),
        seed=sample.seed,
        before=float(before.mean()),
        level=level,
        lines=lines,
        random=[
            _band(j, before, [randomly[k, j] for k in range(random)])
            for j in dict.fromkeys(j for _, j in band)
        ],
        gaps=_gaps(list(orders), steps, after, seed, level),
    )


def check_fresh(subject: Subject, sample: Sample, chosen_with: Sequence[Sample]) -> None:
    """Refuse images that something was chosen with.

    Raises:
        UsageError: some are the same.
    """
    sequence = subject.generator.info.options.get("latents") == "sequence"
    if any(sample.overlaps(other, sequence=sequence) for other in chosen_with):
        raise UsageError(
            f"some of the images (seed {sample.seed}) were used to choose the units; measure the "
            "effect on others, such as of a seed that is far from it"
        )


def _point(units: int, before: Floats, after: Floats, moved: float, seed: int) -> CurvePoint:
    test = flip_test(before, after, seed)
    low, high = test.ratio_interval(MISS)
    return CurvePoint(
        units=units,
        area=float(after.mean()),
        remaining=defined(test.ratio),
        remaining_low=defined(low),
        remaining_high=defined(high),
        moved=moved,
    )


def _band(units: int, before: Floats, after: Sequence[Floats]) -> Band:
    whole = float(before.mean())
    left = np.array([each.mean() / whole if whole else np.nan for each in after])
    return Band(
        units=units, mean=float(left.mean()), lowest=float(left.min()), highest=float(left.max())
    )


def _gaps(
    names: Sequence[str],
    steps: Sequence[int],
    after: Mapping[tuple[str, int], Floats],
    seed: int,
    level: float,
) -> list[CurveGap]:
    """Every ranking against each later one, at each number of units that both have."""
    pairs = [
        (first, second, j)
        for k, first in enumerate(names)
        for second in names[k + 1 :]
        for j in steps
        if (first, j) in after and (second, j) in after
    ]
    tests = [flip_test(after[b, j], after[a, j], seed) for a, b, j in pairs]
    p = np.array([test.p for test in tests])
    q = stats.false_discovery_control(p) if len(p) else p
    gaps = []
    for (first, second, j), test, adjusted in zip(pairs, tests, q, strict=True):
        low, high = test.mean_interval(MISS)
        gaps.append(
            CurveGap(
                first=first,
                second=second,
                units=j,
                difference=test.mean,
                low=defined(low),
                high=defined(high),
                p=test.p,
                q=float(adjusted),
                claimed=bool(adjusted <= level),
            )
        )
    return gaps
