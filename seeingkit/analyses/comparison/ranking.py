"""Many generators against the same real images: a ranking with its doubt, and classes by groups.

Guarantees: the ranking is a function of the comparisons, the names and the seed; every generator
and control has the numbers of its own comparison; a claim is made only at an error rate that counts
all pairs, or all classes and pairs (``statistics.nearness``, ``statistics.classgroups``,
docs/generators.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import sparse

from seeingkit.errors import TallyError, UsageError
from seeingkit.results import (
    ClassRanking,
    RankedClass,
    RankedMember,
    RankedPair,
    RankingResults,
    Verdict,
)
from seeingkit.statistics.arrays import Booleans, Integers
from seeingkit.statistics.classgroups import ClassClaims, ClassTable, class_claims, class_table
from seeingkit.statistics.exchange import exchange_p_value
from seeingkit.statistics.frechet import moments
from seeingkit.statistics.letters import letters, rank_intervals
from seeingkit.statistics.nearness import (
    Distances,
    Nearness,
    measure,
    nearness,
)
from seeingkit.system.progress import progress_bar

from .compare import Comparison
from .defaults import PERMUTATIONS
from .generators import (
    check_shared,
    flagged,
    generator_names,
    real_control,
    shared_warnings,
    skipped_once,
)


def rank_generators(
    comparisons: Sequence[Comparison],
    names: Sequence[str] = (),
    *,
    controls: Sequence[Comparison] = (),
    control_names: Sequence[str] = (),
    seed: int = 0,
    level: float = 0.05,
    permutations: int = PERMUTATIONS,
) -> RankingResults:
    """Rank up to a hundred generators by their distance from the same real images.

    Args:
        comparisons: of each generator with the real images, not ``paired`` and without ``groups``;
            evidence in them is not used.
        names: of the generators; default: as their results name them.
        controls: other real images compared with the same real images, as if they were generated.
            Without any, one half of the real images is compared with the other (``halves``).
        control_names: of the controls; default: "real images", numbered.
        seed: of halves and draws.
        level: family-wise error rate of "nearer", and as in ``RankingResults`` of the classes.
        permutations: of the comparison of the halves of the real images.

    Raises:
        TallyError: fewer than two members, different real images or classes, or comparisons within
            pairs or of groups.
        UsageError: names that are not unique or not one each.

    >>> rows = np.random.default_rng(0).dirichlet([4, 2, 1], 400).reshape(4, 100, 3)
    >>> rows[3] = rows[3][:, ::-1]
    >>> real, near, again, far = map(seeingkit.Tally.from_fractions, rows)
    >>> found = [seeingkit.compare(real, x, evidence=False) for x in (far, near, again)]
    >>> ranking = rank_generators(found[:2], ["far", "near"], controls=found[2:])
    >>> [(m.name, m.letters, m.best_rank, m.worst_rank) for m in ranking.members]
    [('near', 'a', 1, 1), ('real images', 'a', None, None), ('far', 'b', 2, 2)]
    """
    members = [*comparisons, *controls]
    _check(members)
    named = _names(comparisons, controls, names, control_names)
    real = members[0].real
    rows = [c.generated.sparse_percent(0) for c in members]
    real_rows = real.sparse_percent(0)
    live = _live([real_rows, *rows])
    used = [sparse.csr_array(each[:, live]) for each in rows]
    with progress_bar("ranking", len(members), "generators") as bar:
        distances = measure(real_rows[:, live], used, seed=seed, progress=lambda _: bar.advance(1))
    order = np.argsort(distances.values, kind="stable")
    members, named = [members[k] for k in order], [named[k] for k in order]
    rows, used = [rows[k] for k in order], [used[k] for k in order]
    distances = Distances(distances.values[order], distances.covariance[np.ix_(order, order)])
    of_real = moments(real_rows[:, live])

    def alike(first: int, second: int, enough: float) -> float:
        return exchange_p_value(of_real, used[first], used[second], enough=enough, seed=seed)

    found = nearness(distances, alike, level=level, seed=seed)
    control = np.array([k >= len(comparisons) for k in order])
    first = members[0].results
    return RankingResults(
        data=first.data,
        n_real=first.n_real,
        segmenter=first.segmenter,
        preset=first.preset,
        level=level,
        critical=found.critical,
        members=_members(members, named, control, distances, found),
        differences=_differences(named, distances, found),
        classes=_classes(members, class_table([real_rows, *rows]), level),
        halves=None
        if controls
        else real_control(real, seed=seed, level=level, permutations=permutations),
        skipped=skipped_once([c.results for c in members]),
        warnings=[
            *shared_warnings(named, [c.results.warnings for c in members]),
            *flagged(named, [c.results for c in members]),
        ],
    )


def _check(members: Sequence[Comparison]) -> None:
    if len(members) < 2:
        raise TallyError(f"two generators or more are ranked, there are {len(members)}")
    check_shared(members)
    for each in members:
        if each.results.paired is not None or each.results.groups is not None:
            raise TallyError(
                "comparisons within pairs or of groups of images cannot be ranked; compare the "
                "generators without --paired and --groups"
            )


def _names(
    comparisons: Sequence[Comparison],
    controls: Sequence[Comparison],
    names: Sequence[str],
    control_names: Sequence[str],
) -> list[str]:
    """Names of all members, which must be unique."""
    names = list(names) or generator_names(comparisons)
    usual = [f"real images ({k})" for k in range(1, len(controls) + 1)]
    known = list(control_names) or (usual if len(usual) > 1 else ["real images"] * len(usual))
    for given, those, what in ((names, comparisons, "generators"), (known, controls, "controls")):
        if len(given) != len(those):
            raise UsageError(f"{len(given)} names for {len(those)} {what}; give one each")
    every = [*names, *known]
    twice = sorted({name for name in every if every.count(name) > 1})
    if twice:
        raise UsageError(f"two members of a ranking are named {twice[0]!r}; names must be unique")
    return every


def _live(rows: Sequence[sparse.csr_array]) -> Integers:
    """Labels that occur in any image."""
    return np.flatnonzero(sum(np.asarray(each.sum(axis=0)).ravel() for each in rows))


def _members(
    members: Sequence[Comparison],
    names: Sequence[str],
    control: Booleans,
    distances: Distances,
    found: Nearness,
) -> list[RankedMember]:
    groups = letters(found.nearer)
    made = ~control
    best, worst = rank_intervals(found.nearer[np.ix_(made, made)])
    places = np.cumsum(made) - 1
    records = []
    for k, (each, name) in enumerate(zip(members, names, strict=True)):
        ranks = {}
        if made[k]:
            place = int(places[k])
            ranks = {
                "rank": place + 1,
                "best_rank": int(best[place]),
                "worst_rank": int(worst[place]),
            }
        verdicts = [(c.label, c.verdict) for c in each.results.classes if _is_class(each, c.index)]
        records.append(
            RankedMember(
                name=name,
                control=bool(control[k]),
                n=each.results.n_generated,
                generator=each.results.generator,
                source=each.results.generated,
                fsd=each.results.fsd,
                distance=float(distances.values[k]),
                standard_error=float(np.sqrt(distances.covariance[k, k])),
                letters=groups[k],
                beside_controls=None
                if control[k] or not control.any()
                else not bool(found.nearer[control, k].any()),
                omitted=[label for label, verdict in verdicts if verdict == "omitted"],
                claimed=[label for label, verdict in verdicts if verdict != "no evidence"],
                **ranks,
            )
        )
    return records


def _is_class(comparison: Comparison, index: int) -> bool:
    """Whether a label is a class, and not "no object"."""
    return index > 0 or not comparison.real.vocabulary.has_background


def _differences(names: Sequence[str], distances: Distances, found: Nearness) -> list[RankedPair]:
    records = []
    for a, b in combinations(range(len(names)), 2):
        nearer = names[a] if found.nearer[a, b] else names[b] if found.nearer[b, a] else None
        records.append(
            RankedPair(
                first=names[a],
                second=names[b],
                value=float(distances.values[a] - distances.values[b]),
                ci_low=float(found.low[a, b]),
                ci_high=float(found.high[a, b]),
                standard_error=float(found.errors[a, b]),
                p_alike=None if np.isnan(found.p_alike[a, b]) else float(found.p_alike[a, b]),
                nearer=nearer,
            )
        )
    return records


def _classes(members: Sequence[Comparison], table: ClassTable, level: float) -> list[RankedClass]:
    """Both questions about every class; the first set of the table is the real images."""
    labels = members[0].real.vocabulary.labels
    kept = np.array([_is_class(members[0], int(k)) for k in table.labels], dtype=bool)
    sides = [side.of(kept) for side in table.sides]
    real, thresholds = sides[0], table.thresholds[kept]
    verdicts: list[dict[int, Verdict]] = [
        {c.index: c.verdict for c in each.results.classes} for each in members
    ]
    answers = class_claims(sides[1:], level=level)
    records = []
    for k, index in enumerate(table.labels[kept].tolist()):
        area, images = (_class_ranking(found, k) for found in answers)
        records.append(
            RankedClass(
                label=labels[index].name,
                category=labels[index].category,
                index=index,
                real_area=float(real.areas[k] / real.n),
                real_images=float(real.seen[k] / real.n),
                speck_area=float(thresholds[k]),
                verdicts=[own.get(index, "no evidence") for own in verdicts],
                area=area,
                images=images,
            )
        )
    return sorted(records, key=lambda r: (-r.real_area, r.index))


def _class_ranking(found: ClassClaims, label: int) -> ClassRanking:
    values = found.values[:, label]
    groups: list[str] = []
    if found.more[label].any():
        order = np.argsort(-values, kind="stable")
        named = letters(found.more[label][np.ix_(order, order)])
        groups = [named[place] for place in np.argsort(order, kind="stable")]
    return ClassRanking(
        values=values.tolist(),
        low=found.low[:, label].tolist(),
        high=found.high[:, label].tolist(),
        p_equal=float(found.p_equal[label]),
        q_equal=float(found.q_equal[label]),
        letters=groups,
    )
