"""Turns repeats into rates with standard errors: false claims, coverage, power, bias.

Every function takes findings and returns rows (dictionaries) for a table; a rate comes with the
standard error over repeats, because classes of one repeat are not independent. What could not be
measured is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .running import Finding
from .trials import DISTANCE, P_VALUES, VERDICTS

COMMON = 0.01
"""Classes in at least this share of images: those for which coverage is promised."""

Row = dict[str, Any]


class Rate(NamedTuple):
    """A share or mean over repeats and its standard error."""

    value: float
    error: float

    @classmethod
    def of_share(cls, hits: int, n: int) -> Rate:
        """Binomial; at 0 and n the error of one half of a hit."""
        middle = min(max(hits, 0.5), n - 0.5) / n
        return cls(hits / n, float(np.sqrt(middle * (1 - middle) / n)))

    @classmethod
    def of_means(cls, values: NDArray[np.float64]) -> Rate | None:
        """Mean of one number a repeat; None of fewer than two, which have no error."""
        values = values[np.isfinite(values)]
        if len(values) < 2:
            return None
        return cls(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def nulls(found: Iterable[Finding]) -> Iterator[Finding]:
    """Findings with nothing planted."""
    return (f for f in found if f.cell.plant is None)


def planted(found: Iterable[Finding]) -> Iterator[Finding]:
    """Findings with something planted."""
    return (f for f in found if f.cell.plant is not None)


def head(finding: Finding) -> Row:
    """The columns that say which cell a row is of."""
    cell = finding.cell
    return {"source": cell.source, "n": cell.n, "repeats": finding.repeats}


def distance(finding: Finding, name: str) -> NDArray[np.float64]:
    """(R,) one number of the distance."""
    values: NDArray[np.float64] = finding.arrays["distance"][:, DISTANCE.index(name)]
    return values


def false_claims(finding: Finding) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(R,) number of claims that are wrong, and of all claims, two questions for each class.

    A claim about area is right if the mean area did change in that direction. One about images
    counts those above a threshold that the run itself chose; it is wrong if neither the area nor
    the presence of the class changed, or both changed the other way.
    """
    claims = finding.arrays["claims"]
    directions = finding.truth.directions()
    wrong_area = (claims[:, :, 0] != 0) & (claims[:, :, 0] != directions[:, 0])
    wrong_images = (claims[:, :, 1] != 0) & (claims[:, :, 1, None] != directions).all(axis=2)
    return (wrong_area.sum(axis=1) + wrong_images.sum(axis=1)), (claims != 0).sum(axis=(1, 2))


def null_claims(found: Sequence[Finding]) -> list[Row]:
    """Under the null every claim is false: how many runs make one."""
    rows = []
    for finding in nulls(found):
        wrong, _ = false_claims(finding)
        rows.append(
            {
                **head(finding),
                "any": Rate.of_share(int((wrong > 0).sum()), finding.repeats),
                "mean": Rate.of_means(wrong.astype(float)),
            }
        )
    return rows


def planted_claims(found: Sequence[Finding]) -> list[Row]:
    """Mean share of wrong claims among all claims, over all omissions of a source at one n."""
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in planted(found):
        groups.setdefault((finding.cell.source, finding.cell.n), []).append(finding)
    rows = []
    for (source, n), members in groups.items():
        shares, claims = [], []
        for finding in members:
            wrong, all_of_them = false_claims(finding)
            shares.append(wrong / np.maximum(all_of_them, 1))
            claims.append(all_of_them)
        rates = [share.mean() for share in shares]
        rows.append(
            {
                "source": source,
                "n": n,
                "omissions": len(members),
                "repeats": sum(map(len, shares)),
                "fdp": Rate.of_means(np.concatenate(shares)),
                "worst": float(max(rates)),
                "claims": float(np.concatenate(claims).mean()),
            }
        )
    return rows


def randomised(p: NDArray[np.float64], permutations: int, seed: int = 0) -> NDArray[np.float64]:
    """Permutation p-values without their steps: p - U / (1 + permutations), U uniform in [0, 1)."""
    rng = np.random.default_rng(seed)
    return p - rng.random(len(p)) / (1 + permutations)


def uniformity(p: NDArray[np.float64]) -> float | None:
    """p-value of the Kolmogorov-Smirnov test that these are uniform; None below 20 values."""
    p = p[np.isfinite(p)]
    return float(stats.kstest(p, "uniform").pvalue) if len(p) >= 20 else None


def p_values(found: Sequence[Finding]) -> list[Row]:
    """Under the null p-values are uniform: Kolmogorov-Smirnov tests and share at most 0.05."""
    rows = []
    for finding in nulls(found):
        p = finding.arrays["p"]
        common = finding.truth.presence >= COMMON
        rare = (finding.truth.presence > 0) & ~common
        row = head(finding)
        fsd = distance(finding, "p_value")
        if finding.cell.permutations:
            row["fsd_ks"] = uniformity(randomised(fsd, finding.cell.permutations))
            row["fsd_low"] = Rate.of_share(int((fsd <= 0.05).sum()), len(fsd))
        for column, name in enumerate(P_VALUES):
            tests = [uniformity(p[:, k, column]) for k in np.flatnonzero(common)]
            done = np.array([test for test in tests if test is not None])
            # Classes that share an image are not independent; the error takes them to be.
            low = int((done <= 0.05).sum())
            row[f"{name} ks"] = Rate.of_share(low, len(done)) if len(done) else None
            row[f"{name} classes"] = len(done)
            for band, members in (("common", common), ("rare", rare)):
                row[f"{name} {band}"] = Rate.of_means(_below(p[:, members, column], 0.05))
        rows.append(row)
    return rows


def _below(p: NDArray[np.float32], level: float) -> NDArray[np.float64]:
    """(R,) share of the tested classes with p at most the level; NaN where none was tested."""
    tested = np.isfinite(p)
    with np.errstate(invalid="ignore"):
        low = np.where(tested, p <= level, False).sum(axis=1)
        share: NDArray[np.float64] = low / tested.sum(axis=1)
    return share


def power(found: Sequence[Finding]) -> list[Row]:
    """How often the class that suffered is claimed to be less, or in fewer images."""
    rows = []
    for finding in planted(found):
        plant = finding.cell.plant
        assert plant is not None
        verdict = finding.arrays["verdict"][:, plant.label]
        lost = (finding.arrays["claims"][:, plant.label] < 0).any(axis=1)
        rows.append(
            {
                **head(finding),
                "planted": plant.words(finding.source.classes),
                "kind": plant.kind,
                "class": finding.source.classes[plant.label],
                "presence": float(finding.truth.presence[plant.label]),
                "share": plant.share,
                "found": Rate.of_share(int(lost.sum()), finding.repeats),
                "omitted": float((verdict == VERDICTS.index("omitted")).mean()),
            }
        )
    return rows


def bias(found: Sequence[Finding]) -> list[Row]:
    """Mean of the FSD variants against the truth."""
    rows = []
    for finding in found:
        plant = finding.cell.plant
        value, floor = distance(finding, "value"), distance(finding, "floor")
        reduced = distance(finding, "bias_reduced")
        row: Row = {
            **head(finding),
            "planted": plant.words(finding.source.classes) if plant else "nothing",
            "plant": plant,
            "truth": finding.truth.fsd,
            "large": finding.truth.fsd_large,
            "value": Rate.of_means(value),
            "floor": Rate.of_means(floor),
            "minus_floor": Rate.of_means(value - floor),
            "reduced": Rate.of_means(reduced),
        }
        mean = row["reduced"]
        if mean is not None and mean.error > 0:
            row["z"] = (mean.value - finding.truth.fsd) / mean.error
        rows.append(row)
    return rows
