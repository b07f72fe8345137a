"""How often stated 95 % intervals hold the truth: classes by presence, FSD, the planted class.

Every function takes findings and returns rows (dictionaries) for a table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .running import Finding
from .summary import COMMON, Rate, Row, distance, head, nulls, planted
from .trials import ABSENT, INSIDE, INTERVALS

PAIRED = {"area": ("area", "generated area"), "presence": ("presence", "generated presence")}

COVERAGE_RANGE = (0.93, 0.97)
"""Promised coverage of 95 % intervals of classes in at least 1 % of the images."""

BEYOND_CHANCE = 0.01
"""p-value of one class's coverage at which it lies outside that range."""


def class_coverage(finding: Finding, kind: str, classes: NDArray[np.bool_]) -> Row | None:
    """Coverage of one kind of interval over these classes.

    Keys: ``pooled`` over classes, ``lowest`` and ``highest`` of a single class, ``chance``: the
    lowest that exact 95 % intervals of as many classes show in 1 of 2 cases, ``classes``: how many
    have intervals enough, ``below`` and ``above``: how many of them lie below 93 and above 97 %
    beyond chance (p ≤ 0.01 each). None where there is no interval at all.
    """
    columns = [INTERVALS.index(name) for name in PAIRED.get(kind, (kind,))]
    if "presence" in kind:  # of a class in every image there is nothing to estimate
        classes = classes & (finding.truth.presence < 1)
    inside = finding.arrays["inside"][:, classes][:, :, columns]
    there = inside != ABSENT
    if not there.any():
        return None
    hits = (inside == INSIDE).sum(axis=2)
    tries = there.sum(axis=2)
    with np.errstate(invalid="ignore"):
        single = hits.sum(axis=0) / tries.sum(axis=0)
        a_run = hits.sum(axis=1) / tries.sum(axis=1)
    enough = tries.sum(axis=0) >= 20
    single, held, there_are = single[enough], hits.sum(axis=0)[enough], tries.sum(axis=0)[enough]
    draws = int(np.median(tries.sum(axis=0)))
    least, most = COVERAGE_RANGE
    chance = stats.binom.ppf(1 - 0.5 ** (1 / max(1, len(single))), max(draws, 1), 0.95)
    return {
        "pooled": Rate.of_means(a_run),
        "lowest": float(single.min()) if len(single) else None,
        "highest": float(single.max()) if len(single) else None,
        "chance": float(chance / max(draws, 1)),
        "classes": len(single),
        "below": int((stats.binom.cdf(held, there_are, least) <= BEYOND_CHANCE).sum()),
        "above": int((stats.binom.sf(held - 1, there_are, most) <= BEYOND_CHANCE).sum()),
    }


BANDS = ((COMMON, 1.01), (0.001, COMMON), (0.0, 0.001))
KINDS = ("area", "presence", "area difference", "presence difference", "difference if present")


def null_coverage(found: Sequence[Finding]) -> list[Row]:
    """Coverage of class intervals with nothing planted, by band of presence."""
    rows = []
    for finding in nulls(found):
        presence = finding.truth.presence
        for low, high in BANDS:
            members = (presence >= low) & (presence < high) & (presence > 0)
            if members.any():
                row: Row = {**head(finding), "from": low}
                row |= {kind: class_coverage(finding, kind, members) for kind in KINDS}
                rows.append(row)
    return rows


def distance_coverage(found: Sequence[Finding]) -> list[Row]:
    """Coverage of the interval of FSD, with nothing planted and with something."""
    rows = []
    for finding in found:
        low, high = distance(finding, "ci_low"), distance(finding, "ci_high")
        there = np.isfinite(low) & np.isfinite(high)
        truth = finding.truth.fsd
        if not there.any() or not finding.source.plentiful(finding.cell.n):
            continue
        slack = 1e-9 * (1 + truth)
        below, above = truth < low[there] - slack, truth > high[there] + slack
        n = int(there.sum())
        plant = finding.cell.plant
        rows.append(
            {
                **head(finding),
                "planted": plant.words(finding.source.classes) if plant else "nothing",
                "null": plant is None,
                "truth": truth,
                "coverage": Rate.of_share(int((~below & ~above).sum()), n),
                "truth_below": float(below.mean()),
                "truth_above": float(above.mean()),
            }
        )
    return rows


def planted_class_coverage(found: Sequence[Finding]) -> list[Row]:
    """Coverage of the intervals of the class that suffered."""
    rows = []
    for finding in planted(found):
        plant = finding.cell.plant
        assert plant is not None
        members = np.zeros(len(finding.truth.area), dtype=bool)
        members[plant.label] = True
        row: Row = {**head(finding), "planted": plant.words(finding.source.classes)}
        row["partly"] = plant.share < 1 or plant.keep > 0
        for kind in KINDS[2:]:
            found_here = class_coverage(finding, kind, members)
            row[kind] = found_here["pooled"] if found_here else None
        rows.append(row)
    return rows
