"""Power: the stated probability is what happens, and more images never see less."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.errors import UsageError
from seeingkit.statistics.power import (
    critical_counts,
    detection_probability,
    images_needed,
    power,
    smallest_presence,
)
from seeingkit.statistics.presence import presence_p_values


def share_found(n: int, m: int, p: float, kept: float, threshold: float) -> float:
    """What happens: the share of 20,000 samples in which the loss is found."""
    rng = np.random.default_rng(0)
    x, y = rng.binomial(n, p, 20_000), rng.binomial(m, kept * p, 20_000)
    found = (presence_p_values(x, n, y, m) <= threshold) & (y / m < x / n)
    return float(found.mean())


@pytest.mark.parametrize(("n", "m", "classes"), [(500, 500, 100), (2000, 800, 216), (40, 90, 5)])
def test_stated_power_is_what_happens(n: int, m: int, classes: int) -> None:
    result = power(n, m, classes_tested=classes, power=0.9)
    assert result.threshold == pytest.approx(0.05 / classes)
    assert result.all_removed is not None and result.half_removed is not None
    assert result.all_removed < result.half_removed
    for smallest, kept in ((result.all_removed, 0.0), (result.half_removed, 0.5)):
        found = share_found(n, m, smallest, kept, result.threshold)
        assert found == pytest.approx(0.9, abs=0.01)  # five standard errors


def test_the_cases_that_must_be_found_are() -> None:
    threshold = 0.05 / 336
    assert detection_probability(2000, 2000, 0.027, 0.0, threshold) > 0.99
    assert detection_probability(10_000, 10_000, 0.027, 0.5, threshold) > 0.95


def test_closed_form_of_total_loss() -> None:
    # One class, one side certain: x of n shown and none of m is found if 2 C(n, x) / C(n + m, x)
    # is at most 5 %. With n = m = 10: x = 5 gives 2 · 252 / 15,504 = 3.3 %, x = 4 gives 8.7 %.
    result = power(10, 10, classes_tested=1, power=0.5)
    # P(Bin(10, p) >= 5) = 1/2 at the median of Beta(5, 6).
    assert result.all_removed is not None
    assert detection_probability(10, 10, result.all_removed, 0.0, 0.05) == pytest.approx(
        0.5, rel=1e-5
    )
    assert critical_counts(np.array([4.0, 5.0, 10.0]), 10, 10, 0.05).tolist() == [-1, 0, 5]


@settings(max_examples=12)
@given(
    st.integers(20, 400),
    st.integers(20, 400),
    st.integers(1, 100),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.8, 0.95]),
)
def test_a_stricter_threshold_or_more_power_needs_a_larger_share(
    n: int, m: int, classes: int, kept: float, wanted: float
) -> None:
    threshold = 0.05 / classes
    base = smallest_presence(n, m, threshold, kept=kept, power=wanted)
    strict = smallest_presence(n, m, threshold / 3, kept=kept, power=wanted)
    sure = smallest_presence(n, m, threshold, kept=kept, power=0.99)
    larger = smallest_presence(4 * n, 4 * m, threshold, kept=kept, power=wanted)
    for harder in (strict, sure):
        assert harder is None or (base is not None and harder >= base * (1 - 1e-5))
    assert base is None or (larger is not None and larger < base)
    if base is not None:
        assert detection_probability(n, m, base, kept, threshold) >= wanted - 1e-9
        assert detection_probability(n, m, 0.98 * base, kept, threshold) < wanted


@settings(max_examples=12)
@given(st.floats(0.02, 0.6), st.floats(1e-4, 0.2), st.floats(0.5, 0.98))
def test_images_needed_is_the_first_number_from_which_it_is_always_found(
    share: float, threshold: float, wanted: float
) -> None:
    needed = images_needed(share, threshold, wanted)
    assert needed == 1 or (
        detection_probability(needed - 1, needed - 1, share, 0.0, threshold) < wanted
    )
    for n in {*range(needed, needed + 12), 2 * needed, 5 * needed}:
        assert detection_probability(n, n, share, 0.0, threshold) >= wanted - 1e-9


def test_too_few_images_can_show_no_loss() -> None:
    result = power(3, 3, classes_tested=300)
    assert result.all_removed is None and result.half_removed is None
    thirteen = power(13, 13, classes_tested=20)
    assert thirteen.all_removed is not None and thirteen.half_removed is None


def test_images_needed_falls_with_presence() -> None:
    needed = power(2000, 2000, classes_tested=216).images_needed
    assert list(needed) == ["10 %", "5 %", "2.7 %", "1 %", "0.5 %", "0.1 %"]
    assert list(needed.values()) == sorted(needed.values())
    found = share_found(needed["1 %"], needed["1 %"], 0.01, 0.0, 0.05 / 216)
    assert found == pytest.approx(0.95, abs=0.01)


def test_bad_numbers_are_named() -> None:
    with pytest.raises(UsageError, match="at least 1 image"):
        power(0, 5, classes_tested=1)
    with pytest.raises(UsageError, match="between 0 and 1"):
        power(5, 5, classes_tested=1, power=1.0)
