"""Per-class comparison: is this label's area different, by how much, and which classes are missing.

For each label: mean area and presence on both sides; the relative difference
(generated − real) / real (Bau et al. 2019, figure 4; ``fsd.py``) with a 95 % interval by Fieller's
theorem for a ratio of independent means; the p-value of Welch's test that the mean areas are equal
(Welch 1947); a q-value by Benjamini & Hochberg 1995 over all labels that occur at all.

Why a test of means and not of ranks or of presence: the claim is about area, and a segmenter strews
specks of a few pixels over blurred images, which change ranks and presence but no area to speak of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..results import ClassResult, Verdict
from .frechet import Rows

OMITTED_BELOW = -0.5
"""A significant loss of at least half of a class's area is called an omission."""


def fieller_interval(
    real: NDArray[np.float64], generated: NDArray[np.float64], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Interval of mean(generated) / mean(real) − 1 for independent samples.

    Fieller 1954, with normal quantiles; the lower end is cut at −1 because areas are not negative.
    None where the real mean is not distinguishable from zero (the interval is unbounded).
    """
    n, m = len(real), len(generated)
    if n < 2 or m < 2 or real.mean() == 0:
        return None
    x, y = real.mean(), generated.mean()
    vx, vy = real.var(ddof=1) / n, generated.var(ddof=1) / m
    t = stats.norm.ppf((1 + confidence) / 2)
    a = x * x - t * t * vx
    if a <= 0:
        return None
    root = np.sqrt(max(0.0, (x * y) ** 2 - a * (y * y - t * t * vy)))
    low, high = (x * y - root) / a, (x * y + root) / a
    return max(-1.0, float(low) - 1), float(high) - 1


def class_p_value(real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
    """Two-sided p of "the mean area is equal" (Welch's t); 1 where nothing varies.

    Two sides that never vary but differ (all of one label against none) give 0.
    """
    n, m = len(real), len(generated)
    difference = float(real.mean() - generated.mean()) if n and m else 0.0
    if min(n, m) < 2 or difference == 0:
        return 1.0
    if real.var() == 0 and generated.var() == 0:
        return 0.0
    test = stats.ttest_ind_from_stats(
        *(real.mean(), real.std(ddof=1), n),
        *(generated.mean(), generated.std(ddof=1), m),
        equal_var=False,
    )
    return float(test.pvalue)


def compare_classes(
    real: Rows,
    generated: Rows,
    labels: Sequence[tuple[str, str]],
    *,
    level: float = 0.05,
) -> list[ClassResult]:
    """One record per label that occurs on either side, by real area, largest first.

    Args:
        real, generated: (N, L), (M, L) areas in percent.
        labels: L pairs (name, category).
        level: false discovery rate at which verdicts are given.
    """
    occurring = [
        k for k in range(len(labels)) if (real[:, k] > 0).any() or (generated[:, k] > 0).any()
    ]
    p_values = np.array([class_p_value(real[:, k], generated[:, k]) for k in occurring])
    q_values = stats.false_discovery_control(p_values) if len(occurring) else p_values
    records = []
    for k, p, q in zip(occurring, p_values, q_values, strict=True):
        x, y = real[:, k], generated[:, k]
        relative = float(y.mean() / x.mean() - 1) if x.mean() > 0 else None
        interval = fieller_interval(x, y)
        verdict = _verdict(relative, float(q), level)
        records.append(
            ClassResult(
                label=labels[k][0],
                category=labels[k][1],
                index=k,
                real_area=float(x.mean()),
                generated_area=float(y.mean()),
                relative_difference=relative,
                ci_low=interval[0] if interval else None,
                ci_high=interval[1] if interval else None,
                real_presence=float((x > 0).mean()),
                generated_presence=float((y > 0).mean()),
                p_value=float(p),
                q_value=float(q),
                omitted=verdict == "omitted",
                verdict=verdict,
            )
        )
    return sorted(records, key=lambda r: (-r.real_area, -r.generated_area, r.index))


def _verdict(relative: float | None, q: float, level: float) -> Verdict:
    if q > level:
        return "no evidence"
    if relative is None or relative > 0:
        return "excess"
    if relative <= OMITTED_BELOW:
        return "omitted"
    return "reduced" if relative < 0 else "no evidence"
