"""The frontier and its knee, against closed forms and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.errors import UsageError
from seeingkit.statistics.frontiers import frontier, knee

NUMBERS = st.integers(-4, 8).map(lambda k: k / 8)
CHOICES = st.lists(st.tuples(NUMBERS, NUMBERS.map(abs)), max_size=12)


@given(CHOICES)
def test_the_frontier_is_that_of_brute_force(choices: list[tuple[float, float]]) -> None:
    gains, prices = [c[0] for c in choices], [c[1] for c in choices]
    found = frontier(gains, prices)
    for k, (gain, price) in enumerate(choices):
        others = [(0.0, 0.0), *(c for j, c in enumerate(choices) if j != k)]
        beaten = any(g >= gain and p <= price and (g, p) != (gain, price) for g, p in others)
        twin = choices.index((gain, price)) < k or (gain, price) == (0.0, 0.0)
        assert (k in found) == (not beaten and not twin)
    assert [prices[k] for k in found] == sorted(prices[k] for k in found)
    chosen = knee(gains, prices)
    assert (chosen is None) == (not found) and (chosen is None or chosen in found)


@pytest.mark.parametrize("power", [0.5, 0.25, 0.75])
def test_the_knee_of_a_power_is_where_its_slope_is_one(power: float) -> None:
    prices = np.linspace(0, 1, 2001)
    chosen = knee((prices**power).tolist(), prices.tolist())
    assert chosen is not None
    assert prices[chosen] == pytest.approx(power ** (1 / (1 - power)), abs=6e-4)


@given(CHOICES, NUMBERS, NUMBERS.map(abs))
def test_a_further_choice_is_taken_or_changes_nothing(
    choices: list[tuple[float, float]], gain: float, price: float
) -> None:
    gains, prices = [c[0] for c in choices], [c[1] for c in choices]
    before, after = knee(gains, prices), knee([*gains, gain], [*prices, price])
    assert after in (before, len(choices)) or after is None or before is None or (
        gains[after] - prices[after] == gains[before] - prices[before]
    )  # fmt: skip


def test_the_ends() -> None:
    assert knee([0.1, 0.4, 1.0], [0.3, 0.6, 1.0]) == 2  # nowhere above the chord
    assert knee([0.2], [0.7]) == 0
    assert knee([0.2, 0.3], [0.0, 0.0]) == 1
    assert knee([-0.2, 0.0], [0.1, 0.1]) is None
    assert knee([0.5, 0.6], [0.1, 0.9], most=0.5) == 0
    assert knee([0.5, 0.7], [0.1, 0.2], most=0.2) == 1
    assert knee([0.5], [0.1], most=0.05) is None
    for wrong in ([0.1], [float("nan"), 0.1]):
        with pytest.raises(UsageError, match="each choice needs a gain and a price"):
            frontier(wrong, [0.1, 0.2])
