"""Is the amount of a class different? Three tests of one question, and what they say together.

Guarantees: where the two sides have one distribution, the combined p-value is at most α in a share
α of cases (by relabelling; below α = 1 − confidence by extrapolation); it never rests on a change
that the mean area does not follow.

The amount is the mean area over all images. It is presence times area given presence, and a test of
one factor can be far more powerful than that of the product: that a rare class has vanished is
plainer from the number of images than from an area that is mostly zero. But factors can also
cancel: a segmenter strews specks of a few pixels over soft images, so that presence rises, area
given presence falls, and the amount is as it was. So a factor counts where the amount *follows* it:
it has changed in the same direction, by at least half as much on a logarithmic scale.

The combined p is the share of relabelled images whose smallest counting p is at most the observed
one, s. Where fewer than a share α are, it is 1 − (1 − s)^κ, Tippett's (1931) rule for κ independent
tests; κ is not known here, for the tests depend on each other, and is taken such that the two agree
at α.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .presence import presence_p_values
from .products import Side
from .resampling import Relabelled
from .welch import (
    Values,
    area_statistics,
    calibration,
    given_statistics,
    p_values,
)

FEW = 5
"""Images that must show a label on each side before its area given presence is tested."""

FOLLOWS = 0.5
"""Share of a factor's change (logarithms) that the amount must show for the factor to count."""

MOST_TESTS = 3.0
"""κ without relabelling: as if the three tests were independent."""


class Tests(NamedTuple):
    """P-values of each label (d,), NaN where there is nothing to test.

    Attributes:
        presence, given, area: of the three tests.
        combined: of the amount.
        by_presence: the smallest p that counts is that of the presence.
        presence_counts: the amount follows the presence.
    """

    presence: Values
    given: Values
    area: Values
    combined: Values
    by_presence: NDArray[np.bool_]
    presence_counts: NDArray[np.bool_]


def amount_tests(
    first: Side, second: Side, relabelled: Relabelled | None, confidence: float
) -> Tests:
    """Tests of all labels: real images first.

    Args:
        first, second: sums (d,) of the sides.
        relabelled: calibrates the tests of areas and the combination.
        confidence: at 1 − confidence the calibration is exact.
    """
    drawn = None
    if relabelled is not None:
        other = relabelled.total.without(relabelled.first)
        drawn = (relabelled.first, other)
    area_t, given_t = area_statistics(first, second), given_statistics(first, second)
    drawn_area = area_statistics(*drawn) if drawn else None
    drawn_given = given_statistics(*drawn) if drawn else None
    critical = calibration(area_t, drawn_area, confidence)
    critical_given = calibration(given_t, drawn_given, confidence)
    tests = _counted(
        first,
        second,
        p_values(area_t, critical, confidence),
        p_values(given_t, critical_given, confidence),
    )
    if drawn is None or drawn_area is None or drawn_given is None:
        return tests._replace(combined=_tippett(tests.combined, MOST_TESTS))
    least = _counted(
        *drawn,
        p_values(drawn_area, critical, confidence),
        p_values(drawn_given, critical_given, confidence),
    ).combined
    return tests._replace(combined=_among(tests.combined, least, 1 - confidence))


def _counted(first: Side, second: Side, p_area: Values, p_given: Values) -> Tests:
    """The tests of one division (d,) or many (B, d); ``combined`` is the smallest p that counts."""
    shape = first.areas.shape
    p_presence = presence_p_values(
        first.shown.ravel(), first.n, second.shown.ravel(), second.n
    ).reshape(shape)
    everywhere = first.shown + second.shown == first.n + second.n
    p_presence = np.where(everywhere, np.nan, p_presence)
    p_given = np.where(np.minimum(first.shown, second.shown) < FEW, np.nan, p_given)
    with np.errstate(divide="ignore", invalid="ignore"):
        amount = np.log(second.areas / second.n) - np.log(first.areas / first.n)
        presence = np.log(second.shown / second.n) - np.log(first.shown / first.n)
        given = amount - presence
        presence_counts = _follows(amount, presence) & np.isfinite(p_presence)
        given_counts = _follows(amount, given) & np.isfinite(p_given)
    by_presence = np.where(presence_counts, p_presence, 1.0)
    least = np.minimum(p_area, np.where(given_counts, p_given, 1.0))
    return Tests(
        p_presence,
        p_given,
        p_area,
        np.minimum(least, by_presence),
        by_presence < least,
        presence_counts,
    )


def _follows(amount: Values, factor: Values) -> NDArray[np.bool_]:
    same = np.sign(amount) == np.sign(factor)
    return np.asarray(same & (np.abs(amount) >= FOLLOWS * np.abs(factor)), dtype=np.bool_)


def _tippett(least: Values, tests: Values | float) -> Values:
    """1 − (1 − s)^κ, exact for tiny s."""
    return np.asarray(-np.expm1(tests * np.log1p(-np.minimum(least, 1 - 1e-16))))


def _among(least: Values, relabelled: Values, alpha: float) -> Values:
    """(d,) p of the smallest p-values ``least`` among those of relabelled images (B, d)."""
    ordered = np.sort(relabelled, axis=0)
    rank = max(1, int(np.floor(alpha * (len(ordered) + 1))))
    edge = np.clip(ordered[rank - 1], 1e-12, alpha)
    # At least one test counts, and three dependent ones are no more than three.
    kappa = np.clip(np.log1p(-alpha) / np.log1p(-edge), 1.0, MOST_TESTS)
    as_small = (ordered <= least).sum(axis=0)
    return np.where(
        as_small < rank,
        np.minimum(_tippett(least, kappa), alpha),
        (1 + as_small) / (1 + len(ordered)),
    )
