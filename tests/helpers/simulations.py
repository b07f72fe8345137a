"""Simulations of two lengths: a short one for every change, and a long one among the slow tests."""

from __future__ import annotations

import pytest
from scipy import stats


def repeats(few: int, many: int) -> pytest.MarkDecorator:
    """Give a test ``times``: ``few``, and ``many`` where slow tests run."""
    return pytest.mark.parametrize("times", [few, pytest.param(many, marks=pytest.mark.slow)])


def most(times: int, rate: float, chance: float) -> int:
    """The number that events of a rate exceed in so many tries with at most this chance."""
    return int(stats.binom.isf(chance, times, rate))


def fewest(times: int, rate: float, chance: float) -> int:
    """The number that events of a rate stay below in so many tries with at most this chance."""
    return int(stats.binom.ppf(chance, times, rate))
