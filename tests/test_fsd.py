"""FSD against the reference formula, closed forms and properties."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from seeingkit import Tally, fsd
from seeingkit.errors import TallyError
from seeingkit.statistics import (
    bias_reduced,
    disjoint_half_floor,
    fsd_of_rows,
    moments,
    permutation_p_value,
)


def reference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Mean and covariance term with scipy's general matrix square root."""
    difference = a.mean(0) - b.mean(0)
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of singular products
        root = scipy.linalg.sqrtm(s @ t)
    return float(difference @ difference), float(
        np.trace(s) + np.trace(t) - 2 * np.trace(root).real
    )


def tallies(n: int, m: int, labels: int, live: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Long-tailed area rows in percent, with some labels that never occur."""
    rng = np.random.default_rng(seed)
    weight = np.zeros(labels)
    weight[:live] = 1 / np.arange(1, live + 1)

    def rows(count: int) -> np.ndarray:
        raw = rng.gamma(0.5, 1, (count, labels)) * weight * (rng.random((count, labels)) < 0.6)
        raw[:, 0] += 0.05
        return 100 * raw / raw.sum(1, keepdims=True)

    return rows(n), rows(m)


@pytest.mark.parametrize(
    ("n", "m", "labels", "live"),
    [(400, 300, 20, 20), (500, 500, 60, 40), (50, 40, 336, 120), (30, 200, 80, 80)],
)
def test_equals_the_reference_formula(n: int, m: int, labels: int, live: int) -> None:
    a, b = tallies(n, m, labels, live, seed=n)
    found = fsd_of_rows(a, b)
    mean, cov = reference(a, b)
    assert found.mean_term == pytest.approx(mean, rel=1e-9)
    assert found.value == pytest.approx(mean + cov, rel=1e-6)
    assert found.value == pytest.approx(found.mean_term + found.cov_term, rel=1e-12)
    assert fsd_of_rows(sparse.csr_array(a), sparse.csr_array(b)).value == pytest.approx(
        found.value, rel=1e-7
    )  # roots of eigenvalues near zero carry the square root of rounding


def test_closed_form_of_diagonal_covariances() -> None:
    # x in {±a} on independent axes: covariance diag(a² n/(n-1)); commuting, so the covariance
    # term is the sum of squared differences of standard deviations.
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], float)
    a, b = 50 + signs * [3, 5], 40 + signs * [1, 9]
    scale = np.sqrt(4 / 3)
    found = fsd_of_rows(a, b)
    assert found.mean_term == pytest.approx(200)
    assert found.cov_term == pytest.approx((2 * scale) ** 2 + (4 * scale) ** 2)


rows = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.tuples(
        st.just(seed), st.integers(2, 30), st.integers(2, 30), st.integers(1, 12)
    )
)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_properties(case: tuple[int, int, int, int]) -> None:
    seed, n, m, labels = case
    a, b = tallies(n, m, labels, labels, seed)
    rng = np.random.default_rng(seed)
    ab = fsd_of_rows(a, b)
    assert np.isfinite(ab).all() and isinstance(ab.value, float) and ab.value >= 0
    assert fsd_of_rows(a, a) == (0, 0, 0)
    assert fsd_of_rows(b, a).value == ab.value
    scale = 1e-7 * (1 + np.trace(np.atleast_2d(np.cov(a, rowvar=False))) + ab.value)
    order, classes = rng.permutation(n), rng.permutation(labels)
    assert fsd_of_rows(a[order], b).value == pytest.approx(ab.value, abs=scale)
    assert fsd_of_rows(a[:, classes], b[:, classes]).value == pytest.approx(ab.value, abs=scale)
    assert fsd_of_rows(a / 10, b / 10).value == pytest.approx(ab.value / 100, abs=scale)
    wide = np.pad(a, ((0, 0), (2, 3))), np.pad(b, ((0, 0), (2, 3)))
    assert fsd_of_rows(*wide).value == pytest.approx(ab.value, abs=scale)


def test_public_function_takes_fractions_and_tallies() -> None:
    a, b = tallies(60, 50, 8, 8, seed=1)
    by_rows = fsd(a / 100, b / 100)
    assert by_rows.to_dict() == {**by_rows._asdict(), "unit": "percent^2"}
    assert f"{by_rows.value:.4g}" in by_rows._repr_html_()
    assert by_rows.value == pytest.approx(fsd_of_rows(a, b).value, rel=1e-9)
    assert fsd(Tally.from_fractions(a / 100), Tally.from_fractions(b / 100)) == by_rows


def test_refusals() -> None:
    with pytest.raises(TallyError, match="at least 2 images"):
        fsd(np.ones((1, 2)) / 2, np.ones((5, 2)) / 2)
    with pytest.raises(TallyError, match="labels"):
        fsd(np.ones((4, 2)) / 2, np.ones((5, 3)) / 3)
    with pytest.raises(TallyError, match="percent given"):
        fsd(np.full((4, 2), 50.0), np.full((4, 2), 50.0))
    with pytest.raises(TallyError, match="NaN"):
        moments(np.array([[np.nan, 1], [1, 2]]))


def test_floor_matches_what_two_samples_of_that_size_give() -> None:
    a, _ = tallies(4000, 2, 30, 30, seed=3)
    fresh = [fsd_of_rows(*tallies(1000, 1000, 30, 30, seed=100 + k)).value for k in range(12)]
    floor = disjoint_half_floor(a[:1000], 1000, 1000, seed=0)
    assert floor is not None
    assert floor.half == 500
    assert floor.value == pytest.approx(np.mean(fresh), rel=0.35)
    assert disjoint_half_floor(a[:3], 3, 3) is None


def test_bias_reduction_moves_towards_the_truth() -> None:
    values, reduced = [], []
    for k in range(8):
        a, b = tallies(600, 600, 30, 30, seed=200 + k)
        full = fsd_of_rows(a, b)
        less = bias_reduced(a, b, full, seed=k)
        assert less is not None
        values.append(full.value)
        reduced.append(less)
    assert abs(np.mean(reduced)) < 0.35 * np.mean(values)  # the truth is 0
    assert bias_reduced(a[:20], b[:20], full) is None


def test_permutation_p_is_uniform_under_the_null_and_small_otherwise() -> None:
    null = []
    for k in range(60):
        a, b = tallies(60, 50, 6, 6, seed=300 + k)
        p = permutation_p_value(a, b, fsd_of_rows(a, b), permutations=39, seed=k)
        assert p is not None
        null.append(p)
    assert 0.35 < np.mean(null) < 0.65
    assert np.mean(np.array(null) <= 0.1) < 0.25
    a, b = tallies(200, 200, 6, 6, seed=9)
    b[:, 2] = 0
    p = permutation_p_value(a, b, fsd_of_rows(a, b), permutations=99)
    assert p == pytest.approx(0.01)


def test_permutation_moments_from_totals_equal_direct_ones() -> None:
    # With one permutation the p-value is 1 or 1/2, so compare through many seeds with brute force.
    a, b = tallies(12, 9, 5, 5, seed=5)
    pooled = np.vstack([a, b])
    observed = fsd_of_rows(a, b)
    rng = np.random.default_rng(7)
    count = 0
    for _ in range(50):
        order = rng.permutation(21)
        first, rest = np.sort(order[:12]), np.sort(order[12:])
        count += fsd_of_rows(pooled[first], pooled[rest]).value >= observed.value * (1 - 1e-9)
    assert permutation_p_value(a, b, observed, permutations=50, seed=7) == (1 + count) / 51
    dense = permutation_p_value(a, b, observed, permutations=50, seed=7)
    s = permutation_p_value(
        sparse.csr_array(a), sparse.csr_array(b), observed, permutations=50, seed=7
    )
    assert s == dense
