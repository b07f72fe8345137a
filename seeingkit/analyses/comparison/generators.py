"""Several generators against the same real images: which is nearer, and in which classes?

Guarantees: every generator is compared with the real images as ``compare`` does it; all differences
rest on the same real images; a claim is made only at an error rate that counts all pairs and
classes of the run (``statistics.contrasts``, ``statistics.closeness``, docs/generators.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special, stats

from seeingkit.errors import TallyError, printable
from seeingkit.results import (
    ClassDifference,
    ClassQuestion,
    DistanceDifference,
    Frame,
    FSDResult,
    GeneratorResult,
    GeneratorsResults,
    RealControl,
    Results,
    SkippedItem,
)
from seeingkit.statistics.arrays import Floats
from seeingkit.statistics.claims import QUESTIONS
from seeingkit.statistics.closeness import Closeness, closeness
from seeingkit.statistics.contrasts import SharedPool
from seeingkit.statistics.exchange import exchange_p_value
from seeingkit.statistics.nearness import joint, nearness
from seeingkit.system.progress import progress_bar
from seeingkit.tallies import Tally
from seeingkit.tallies.vocabularies import ClassMap

from .compare import Comparison, compare
from .defaults import PERMUTATIONS
from .tables import contrast_table, difference_table, generators_class_table

if TYPE_CHECKING:
    import altair as alt

FEW = 6
"""Generators of which each pair is tested by permutations; of more, all pairs at once."""


@dataclass(frozen=True)
class GeneratorsComparison:
    """Several generators and what was found between them.

    A notebook shows it in words and a table; ``print`` of it gives all findings in sentences.

    >>> rows = np.random.default_rng(0).dirichlet([4, 2, 1], 300)
    >>> real, near, far = (Tally.from_fractions(x) for x in (rows, rows[::-1], rows[:, ::-1]))
    >>> found = compare_generators(real, {"near": near, "far": far}, permutations=99)
    >>> round(float(found.fsd["far"]))
    3840
    >>> list(found.differences["nearer"])
    ['near']
    >>> sorted(found.omitted.items())
    [('far', ['label 0']), ('near', [])]

    Attributes:
        comparisons: each generator with the real images, in the order given.
        results: their differences.
    """

    comparisons: tuple[Comparison, ...]
    results: GeneratorsResults

    @property
    def fsd(self) -> dict[str, FSDResult]:
        """The distance of each generator from the real images, percent², by its name."""
        return {each.name: each.fsd for each in self.results.generators}

    @property
    def omitted(self) -> dict[str, list[str]]:
        """The classes that each generator leaves out, by its name."""
        names = (each.name for each in self.results.generators)
        return {name: each.omitted for name, each in zip(names, self.comparisons, strict=True)}

    @property
    def classes(self) -> Frame:
        """A table as ``Comparison.classes``, of all generators: one row a generator and class."""
        nothing = self.comparisons[0].real.vocabulary.has_background
        return generators_class_table(self.results, has_background=nothing)

    @property
    def differences(self) -> Frame:
        """A table of the differences of the distances: one row a pair of generators.

        A ``pandas.DataFrame`` or a ``Table``, as ``Comparison.classes``; ``attrs`` explains the
        columns.
        """
        return difference_table(self.results)

    @property
    def contrasts(self) -> Frame:
        """A table of who draws more of a class, and who is surely closer to the real images.

        One row a pair of generators and class; areas in percent of the image, images as shares.
        """
        return contrast_table(self.results)

    def plot(self, layout: Literal["wide", "narrow"] = "wide") -> alt.TopLevelMixin:
        """The figure of class areas with a line for each generator: as ``Comparison.plot``."""
        from seeingkit.report import generators_chart

        return generators_chart(self.results, layout)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        values = (f"{printable(name)} {float(fsd):,.4g}" for name, fsd in self.fsd.items())
        return (
            f"GeneratorsComparison({self.results.n_real:,} real images, FSD: {', '.join(values)})"
        )

    def __str__(self) -> str:
        from seeingkit.report import summarise_generators

        return "\n".join(map(printable, summarise_generators(self.results).text.split("\n")))

    def _repr_html_(self) -> str:
        from seeingkit.report import generators_html

        return generators_html(self.results)


def compare_generators(
    real: Tally,
    generated: Sequence[Tally] | Mapping[str, Tally],
    *,
    seed: int = 0,
    level: float = 0.05,
    permutations: int = PERMUTATIONS,
    classes: ClassMap | str | Path | None = None,
    force: bool = False,
) -> GeneratorsComparison:
    """Which of several generators is nearer to the real images, as a whole and in each class?

    Args:
        real: tally of the real images.
        generated: a tally of each generator, or tallies by name.
        seed, level, permutations, classes, force: as of ``compare``; the level is also that of
            "nearer" over all pairs, and of each kind of claim about classes.

    Raises:
        TallyError: fewer than two generators, or tallies that do not fit each other.
        UsageError: as of ``compare``.

    >>> rows = np.random.default_rng(0).dirichlet([4, 2, 1], 300)
    >>> real, near, far = (Tally.from_fractions(x) for x in (rows, rows[::-1], rows[:, ::-1]))
    >>> found = compare_generators(real, {"near": near, "far": far}, permutations=99)
    >>> found.results.differences[0].nearer
    'near'
    """
    names = list(generated) if isinstance(generated, Mapping) else []
    tallies = list(generated.values() if isinstance(generated, Mapping) else generated)
    settings: dict[str, Any] = {"seed": seed, "level": level, "permutations": permutations}
    if len(tallies) < 2:
        raise TallyError(f"two generators or more are compared, there are {len(tallies)}")
    comparisons = [
        compare(real, one, classes=classes, force=force, evidence=False, **settings)
        for one in tallies
    ]
    return contrast_comparisons(comparisons, names, **settings)


def contrast_comparisons(
    comparisons: Sequence[Comparison],
    names: Sequence[str] = (),
    folders: Sequence[str] = (),
    *,
    seed: int = 0,
    level: float = 0.05,
    permutations: int = PERMUTATIONS,
) -> GeneratorsComparison:
    """The differences between comparisons with the same real images.

    Args:
        names: of the generators; default: as their results name them.
        folders: of their own results.
        seed, level, permutations: as of ``compare_generators``.

    Raises:
        TallyError: the comparisons have different real images or classes.
    """
    check_shared(comparisons)
    real = comparisons[0].real
    names = list(names) or generator_names(comparisons)
    shared = SharedPool(
        real.sparse_percent(0), [c.generated.sparse_percent(0) for c in comparisons], seed=seed
    )
    pairs = list(combinations(range(len(comparisons)), 2))
    results = [c.results for c in comparisons]
    first = results[0]
    differences = _differences(shared, pairs, names, level, permutations)
    found = GeneratorsResults(
        data=first.data,
        n_real=first.n_real,
        segmenter=first.segmenter,
        preset=first.preset,
        level=level,
        generators=[
            GeneratorResult(
                name=name,
                folder=folder,
                n=each.n_generated,
                generator=each.generator,
                source=each.generated,
                fsd=each.fsd,
                classes=each.classes,
            )
            for name, folder, each in zip(names, folders or [""] * len(names), results, strict=True)
        ],
        control=real_control(real, seed=seed, level=level, permutations=permutations),
        differences=differences,
        classes=_class_differences(shared, pairs, names, real, level),
        skipped=skipped_once(results),
        warnings=[
            *shared_warnings(names, [each.warnings for each in results]),
            *flagged(
                names, results, so=", so a claim of who is closer in these classes may be, too"
            ),
        ],
    )
    return GeneratorsComparison(tuple(comparisons), found)


def check_shared(comparisons: Sequence[Comparison]) -> None:
    """Refuse comparisons that do not share their real images.

    Raises:
        TallyError: they have different real images or classes.
    """
    real = comparisons[0].real
    for other in comparisons[1:]:
        if not _same_images(other.real, real):
            raise TallyError(
                "the generators were compared with different real images or classes; compare them "
                "with one tally of as many images as each generator has"
            )


def _same_images(a: Tally, b: Tally) -> bool:
    """Whether two tallies hold the same rows of the same classes."""
    if a is b:
        return True
    if a.ids != b.ids or a.vocabulary != b.vocabulary:
        return False
    return bool((a.sparse_percent(0) != b.sparse_percent(0)).nnz == 0)


def generator_names(comparisons: Sequence[Comparison]) -> list[str]:
    """Names of the generators; those of equal names are numbered."""
    plain = [c.results.generated.name for c in comparisons]
    seen: Counter[str] = Counter()
    found = []
    for name in plain:
        seen[name] += 1
        found.append(f"{name} ({seen[name]})" if plain.count(name) > 1 else name)
    return found


def skipped_once(results: Sequence[Results]) -> list[SkippedItem]:
    """The images that were not used in any of the comparisons, each once."""
    every = (item for each in results for item in each.skipped)
    return list({(item.source, item.item, item.reason): item for item in every}.values())


def shared_warnings(names: Sequence[str], warnings: Sequence[list[str]]) -> list[str]:
    """Warnings that all comparisons share once; others after the name they are about."""
    found = [text for text in warnings[0] if all(text in other for other in warnings)]
    for name, own in zip(names, warnings, strict=True):
        found += [f"{name}: {text}" for text in own if text not in found]
    return found


def flagged(names: Sequence[str], results: Sequence[Results], so: str = "") -> list[str]:
    """For each generator the classes whose difference from real images may be the segmenter's.

    Args:
        so: what follows from it, as the end of the sentence.
    """
    found = []
    for name, each in zip(names, results, strict=True):
        share = each.segmenter_share
        labels = [c.label for c in share.classes if c.flagged] if share is not None else []
        if labels:
            found.append(
                f"{name}: the difference from the real images in {', '.join(labels)} may be "
                f"segmentation error{so}."
            )
    return found


def real_control(real: Tally, *, seed: int, level: float, permutations: int) -> RealControl | None:
    """One random half of the real images against the other."""
    half = len(real) // 2
    if half < 2:
        return None
    order = np.random.default_rng([seed, 8]).permutation(len(real))
    sides = [real.take(np.sort(part)) for part in (order[:half], order[half : 2 * half])]
    found = compare(
        *sides, seed=seed, level=level, permutations=permutations, force=True, evidence=False
    ).results
    claimed = [record.label for record in found.classes if record.verdict != "no evidence"]
    return RealControl(n=half, fsd=found.fsd, claimed=claimed)


def _simultaneous(
    shared: SharedPool, names: Sequence[str], level: float
) -> list[DistanceDifference]:
    """The differences of many generators: permutations of each pair could not bear their number."""

    def alike(first: int, second: int, enough: float) -> float:
        rows = (shared.pool.rows[shared.measured[k].members] for k in (first, second))
        return exchange_p_value(shared.real, *rows, enough=enough, seed=shared.seed)

    distances = joint(shared.measured)
    found = nearness(distances, alike, level=level, seed=shared.seed)
    records = []
    for a, b in combinations(range(len(names)), 2):
        p = found.p_alike[a, b]
        records.append(
            DistanceDifference(
                first=names[a],
                second=names[b],
                value=float(distances.values[a] - distances.values[b]),
                ci_low=float(found.low[a, b]),
                ci_high=float(found.high[a, b]),
                confidence=float(1 - 2 * special.ndtr(-found.critical)),
                standard_error=float(found.errors[a, b]),
                p_swap=float(alike(a, b, 0.0) if np.isnan(p) else p),
                nearer=names[a] if found.nearer[a, b] else names[b] if found.nearer[b, a] else None,
            )
        )
    return records


def _differences(
    shared: SharedPool,
    pairs: Sequence[tuple[int, int]],
    names: Sequence[str],
    level: float,
    permutations: int,
) -> list[DistanceDifference]:
    if len(names) > FEW and permutations:
        return _simultaneous(shared, names, level)
    confidence = 1 - level / len(pairs)
    found = []
    with progress_bar("swap tests", permutations * len(pairs), "permutations") as bar:
        for pair in pairs:
            contrast = shared.contrast(
                *pair,
                permutations=permutations,
                confidence=confidence,
                progress=lambda _: bar.advance(1),
            )
            nearer = contrast.nearer
            found.append(
                DistanceDifference(
                    first=names[pair[0]],
                    second=names[pair[1]],
                    value=contrast.value,
                    ci_low=contrast.low,
                    ci_high=contrast.high,
                    confidence=confidence,
                    standard_error=contrast.error,
                    p_swap=contrast.p_swap,
                    permutations=permutations,
                    nearer=None if nearer is None else names[pair[nearer]],
                )
            )
    return found


def _class_differences(
    shared: SharedPool,
    pairs: Sequence[tuple[int, int]],
    names: Sequence[str],
    real: Tally,
    level: float,
) -> list[ClassDifference]:
    """Both questions about every class and pair, each at its part of the level."""
    background = real.vocabulary.has_background
    kept = [k for k, index in enumerate(shared.pool.live.tolist()) if index or not background]
    asked = [closeness(shared, *pair) for pair in pairs]
    questions = [
        _questions([answers[which] for answers in asked], pairs, names, kept, level / QUESTIONS)
        for which in range(QUESTIONS)
    ]
    labels = real.vocabulary.labels
    found = []
    for at, pair in enumerate(pairs):
        for column, k in enumerate(kept):
            index = int(shared.pool.live[k])
            found.append(
                ClassDifference(
                    first=names[pair[0]],
                    second=names[pair[1]],
                    label=labels[index].name,
                    category=labels[index].category,
                    index=index,
                    speck_area=float(shared.pool.area_threshold[k]),
                    area=questions[0][at][column],
                    images=questions[1][at][column],
                )
            )
    return sorted(found, key=lambda r: (-r.area.real, r.index))


def _questions(
    answers: Sequence[Closeness],
    pairs: Sequence[tuple[int, int]],
    names: Sequence[str],
    kept: Sequence[int],
    level: float,
) -> list[list[ClassQuestion]]:
    """The records of one question, (pairs, classes), with q over all of them."""

    def adjusted(p: list[Floats]) -> Floats:
        table = np.stack(p)[:, kept]
        if not table.size:
            return table
        return np.asarray(stats.false_discovery_control(table.ravel())).reshape(table.shape)

    q_more = adjusted([one.p_more for one in answers])
    q_closer = adjusted([one.p_closer for one in answers])
    records = []
    for at, (one, pair) in enumerate(zip(answers, pairs, strict=True)):
        row = []
        for column, k in enumerate(kept):
            more = int(one.second[k] > one.first[k])
            closer = int(not one.first_closer[k])
            row.append(
                ClassQuestion(
                    real=float(one.real[k]),
                    first=float(one.first[k]),
                    second=float(one.second[k]),
                    p_more=float(one.p_more[k]),
                    q_more=float(q_more[at, column]),
                    more=names[pair[more]] if q_more[at, column] <= level else None,
                    p_closer=float(one.p_closer[k]),
                    q_closer=float(q_closer[at, column]),
                    closer=names[pair[closer]] if q_closer[at, column] <= level else None,
                )
            )
        records.append(row)
    return records
