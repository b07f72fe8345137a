"""Gain against price: which of many choices no other one beats, and the one at the knee.

Choosing nothing is always a choice, of gain 0 and price 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.errors import UsageError


def frontier(gains: Sequence[float], prices: Sequence[float]) -> list[int]:
    """Numbers of the choices that no other one, nor choosing nothing, beats; cheapest first.

    One choice beats another where it gains at least as much, costs no more, and is better in one of
    both; of equal ones the first counts.

    Args:
        gains, prices: of each choice; prices are at least 0.

    Raises:
        UsageError: as many of both are needed, and no NaN.

    >>> frontier([0.3, 0.2, 0.1, -0.1], [0.2, 0.1, 0.15, 0.0])
    [1, 0]
    """
    if len(gains) != len(prices) or any(one != one for one in (*gains, *prices)):
        raise UsageError("each choice needs a gain and a price")
    order = sorted(range(len(gains)), key=lambda k: (prices[k], -gains[k], k))
    found, best = [], 0.0
    for k in order:
        if gains[k] > best:
            found.append(k)
            best = gains[k]
    return found


def knee(gains: Sequence[float], prices: Sequence[float], most: float = 1.0) -> int | None:
    """The choice with the greatest gain − price; None where nothing gains anything.

    Gain and price are shares in [0, 1] of what is to change and of what is not, so this is Youden's
    J (Cancer 1950): of the curve of gain against price the point farthest above the chord from
    changing nothing, (0, 0), to changing all, (1, 1). No choice moves by what others are there, as
    it would with a chord to the most costly one.

    Args:
        gains, prices: of each choice.
        most: the highest price that is allowed.

    >>> prices = [k / 100 for k in range(101)]
    >>> knee([price**0.5 for price in prices], prices)  # the slope of the root is 1 at 1/4
    25
    """
    able = [k for k in frontier(gains, prices) if prices[k] <= most]
    return max(able, key=lambda k: (gains[k] - prices[k], -prices[k])) if able else None
