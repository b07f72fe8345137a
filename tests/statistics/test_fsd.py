"""FSD against the reference formula, closed forms and properties; its moments and its parts."""

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
from seeingkit.statistics import Pool, fsd_of_rows, labelsums, moments
from seeingkit.statistics.frechet import (
    Moments,
    distance_value,
    factor,
    frechet,
    influence,
    transport,
)
from tests.helpers.area_rows import gaussian, hard_case, long_tailed


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


@pytest.mark.parametrize(
    ("n", "m", "labels", "live"),
    [(400, 300, 20, 20), (500, 500, 60, 40), (50, 40, 336, 120), (30, 200, 80, 80)],
)
def test_equals_the_reference_formula(n: int, m: int, labels: int, live: int) -> None:
    a, b = long_tailed(n, labels, n, live), long_tailed(m, labels, n + 1, live)
    found = fsd_of_rows(a, b)
    mean, cov = reference(a, b)
    assert found.mean_term == pytest.approx(mean, rel=1e-9)
    assert found.value == pytest.approx(mean + cov, rel=1e-6)
    assert found.value == pytest.approx(found.mean_term + found.cov_term, rel=1e-12)
    assert fsd_of_rows(sparse.csr_array(a), sparse.csr_array(b)).value == pytest.approx(
        found.value, rel=1e-7
    )  # roots of eigenvalues near zero carry the square root of rounding
    assert distance_value(moments(a), moments(b)) == pytest.approx(found.value, rel=1e-7)


def test_closed_form_of_diagonal_covariances() -> None:
    # x in {±a} on independent axes: covariance diag(a² n/(n-1)); commuting, so the covariance
    # term is the sum of squared differences of standard deviations.
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], float)
    a, b = 50 + signs * [3, 5], 40 + signs * [1, 9]
    scale = np.sqrt(4 / 3)
    found = fsd_of_rows(a, b)
    assert found.mean_term == pytest.approx(200)
    assert found.cov_term == pytest.approx((2 * scale) ** 2 + (4 * scale) ** 2)
    parts = transport(moments(a), moments(b))
    assert parts.mean_terms == pytest.approx([100, 100])
    assert parts.cov_terms == pytest.approx([4 * 4 / 3, 16 * 4 / 3])
    assert parts.forth == pytest.approx(np.diag([1 / 3, 9 / 5]))
    assert parts.back == pytest.approx(np.diag([3, 5 / 9]))


cases = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3, 5, 17, 30]),
    st.sampled_from([2, 4, 30, 60]),
    st.integers(1, 12),
    st.integers(0, 5),
    st.integers(0, 5),
)


@settings(max_examples=150)
@given(cases)
def test_properties(case: tuple[int, int, int, int, int, int]) -> None:
    seed, n, m, labels, first, second = case
    rng = np.random.default_rng(seed)
    a, b = hard_case(n, labels, first, rng), hard_case(m, labels, second, rng)
    ab = fsd_of_rows(a, b)
    assert np.isfinite(ab).all() and isinstance(ab.value, float) and ab.value >= 0
    assert fsd_of_rows(a, a) == (0, 0, 0)
    assert fsd_of_rows(b, a) == ab
    near = pytest.approx(ab.value, rel=1e-7, abs=1e-7 * (1 + a.var(0).sum() + b.var(0).sum()))
    order, classes = rng.permutation(n), rng.permutation(labels)
    assert fsd_of_rows(a[order], b).value == near
    assert fsd_of_rows(a[:, classes], b[:, classes]).value == near
    assert 100 * fsd_of_rows(a / 10, b / 10).value == near  # percent²
    wide = np.pad(a, ((0, 0), (2, 3))), np.pad(b, ((0, 0), (2, 3)))
    assert fsd_of_rows(*wide).value == near
    rows = np.vstack([a, b])
    assert fsd_of_rows(rows, rows).value == 0
    parts = transport(moments(a), moments(b))
    assert (parts.mean_terms >= 0).all() and (parts.cov_terms >= 0).all()
    assert parts.mean_terms.sum() == pytest.approx(ab.mean_term, rel=1e-9)
    assert parts.mean_terms.sum() + parts.cov_terms.sum() == near
    there_and_back = transport(moments(b), moments(a))
    assert there_and_back.cov_terms == pytest.approx(parts.cov_terms, abs=1e-4 * (1 + ab.value))


def test_no_labels_and_constant_images() -> None:
    empty = np.zeros((4, 3))
    assert fsd_of_rows(empty, empty) == (0, 0, 0)
    parts = transport(moments(empty[:, :0]), moments(empty[:, :0]))
    assert parts.cov_terms.shape == (0,)
    same = np.tile([30.0, 70.0], (5, 1))
    assert fsd_of_rows(same, same[:2]).value == pytest.approx(0, abs=1e-20)
    assert fsd_of_rows(same, same[:, ::-1]) == (3200, 3200, 0)


def test_a_factor_is_exact_for_every_rank() -> None:
    rng = np.random.default_rng(0)
    for rank in (0, 1, 3, 7):
        root = rng.normal(size=(7, rank))
        found = factor(root @ root.T)
        assert found.shape == (7, rank)
        assert found @ found.T == pytest.approx(root @ root.T, abs=1e-12)


@pytest.mark.parametrize("labels", [1, 6])
def test_transport_maps_one_covariance_to_the_other(labels: int) -> None:
    a = long_tailed(80, labels, 1) + gaussian(80, np.full(labels, 9.0), np.ones(labels), 2)
    b = long_tailed(90, labels, 3) + gaussian(90, np.full(labels, 9.0), np.ones(labels), 4)
    real, generated = moments(a), moments(b)
    parts = transport(real, generated)
    assert parts.forth @ real.cov @ parts.forth == pytest.approx(generated.cov)
    assert parts.back @ generated.cov @ parts.back == pytest.approx(real.cov)
    assert parts.forth @ parts.back == pytest.approx(np.eye(labels))


def test_contributions_of_a_singular_pair_are_a_coupling() -> None:
    # Fewer images than labels: each label's term is still E|X − Y|² of that label, so it lies
    # between the squared difference and the squared sum of its standard deviations.
    a, b = long_tailed(8, 30, 5), long_tailed(12, 30, 6)
    real, generated = moments(a), moments(b)
    parts = transport(real, generated)
    s, t = np.sqrt(np.diag(real.cov)), np.sqrt(np.diag(generated.cov))
    assert (parts.cov_terms >= (s - t) ** 2 - 1e-9).all()
    assert (parts.cov_terms <= (s + t) ** 2 + 1e-9).all()
    assert parts.cov_terms.sum() == pytest.approx(frechet(real, generated).cov_term, rel=1e-8)


def weighted(rows: np.ndarray, weights: np.ndarray) -> Moments:
    """Moments of the distribution that gives each row its weight (ddof 0)."""
    mean = weights @ rows
    centred = rows - mean
    return Moments(len(rows), mean, (centred * weights[:, None]).T @ centred)


def test_influence_is_the_derivative() -> None:
    a = long_tailed(60, 5, 1) + gaussian(60, np.full(5, 9.0), np.ones(5), 2)
    b = long_tailed(70, 5, 3) + gaussian(70, np.full(5, 7.0), np.full(5, 2.0), 4)
    even, other = np.full(60, 1 / 60), weighted(b, np.full(70, 1 / 70))
    own = weighted(a, even)
    found = influence(a, own, other, transport(own, other).forth)
    assert influence(sparse.csr_array(a), own, other, transport(own, other).forth) == pytest.approx(
        found
    )
    assert found.mean() == pytest.approx(0, abs=1e-9 * np.abs(found).max())
    step = 1e-5
    for image in (0, 7, 59):
        ends = []
        for sign in (1, -1):
            weights = (1 - sign * step) * even
            weights[image] += sign * step
            ends.append(distance_value(weighted(a, weights), other))
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(found[image], rel=1e-5, abs=1e-4)


def test_influence_predicts_the_spread_far_from_the_null() -> None:
    n, m = 400, 300
    mean, sd = np.array([30.0, 20, 10, 5]), np.array([4.0, 3, 2, 1])
    values, predicted = [], []
    for k in range(300):
        a, b = gaussian(n, mean, sd, 2 * k), gaussian(m, mean[::-1], sd + 1, 2 * k + 1)
        real, generated = moments(a), moments(b)
        values.append(distance_value(real, generated))
        if k < 20:
            ways = transport(real, generated)
            predicted.append(
                influence(a, real, generated, ways.forth).var() / n
                + influence(b, generated, real, ways.back).var() / m
            )
    assert np.sqrt(np.mean(predicted)) == pytest.approx(np.std(values), rel=0.12)


@pytest.mark.parametrize("most", [labelsums.MOST_PRODUCTS, 0])
@pytest.mark.parametrize("kind", range(6))
def test_pool_sums_equal_direct_sums(kind: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelsums, "MOST_PRODUCTS", most)
    rng = np.random.default_rng(kind)
    a, b = hard_case(23, 9, kind, rng), hard_case(40, 9, kind, rng)
    a[:, 4] = b[:, 4] = 0
    pool = Pool(sparse.csr_array(a), b)
    rows = np.vstack([a, b])[:, pool.live]
    assert 4 not in pool.live
    assert (rows > 0).any(0).all()
    assert pool.rows.toarray() == pytest.approx(rows)
    assert (len(pool), pool.n, pool.m, pool.real_mask().sum()) == (63, 23, 40, 23)
    masks = (rng.random((63, 37)) < rng.random(37)).astype(float)
    masks[:2] = 1  # at least two images in each
    everything, side = pool.sums(np.ones((63, 1)))[0], pool.side(np.ones(63))
    for mask, found in zip(masks.T, pool.sums(masks), strict=True):
        part = rows[mask > 0]
        assert found.n == len(part)
        assert found.areas == pytest.approx(part.sum(0))
        of_labels = pool.side(mask)
        assert (of_labels.shown == (part > 0).sum(0)).all()
        assert found.products == pytest.approx(part.T @ part, abs=1e-9)
        direct = moments(part)
        assert found.moments().mean == pytest.approx(direct.mean)
        assert found.moments().cov == pytest.approx(direct.cov, abs=1e-9)
        rest, left = everything.without(found), rows[mask == 0]
        assert rest.n == len(left)
        shown = side.without(of_labels).shown
        assert (shown == (left > 0).sum(0)).all()
        assert rest.products == pytest.approx(left.T @ left, abs=1e-8)
        # What only one part shows must leave exactly nothing in the other.
        assert (rest.areas[shown == 0] == 0).all()


def test_entries_of_a_sparse_row_that_mean_one_label_are_one_area() -> None:
    rows = np.array([[30.0, 70], [0, 100]])
    twice = sparse.csr_array(([10.0, 20, 70, 0, 100], [0, 0, 1, 0, 1], [0, 3, 5]), shape=(2, 2))
    pools = [Pool(r, rows) for r in (twice, rows)]
    assert [pool.side(np.ones(4)).shown.tolist() for pool in pools] == [[2, 4], [2, 4]]
    found, expected = (pool.sums(np.ones((4, 1)))[0] for pool in pools)
    assert found.products == pytest.approx(expected.products)


def test_public_function_takes_fractions_and_tallies() -> None:
    a, b = long_tailed(60, 8, 1), long_tailed(50, 8, 2)
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
    with pytest.raises(TallyError, match="2 labels cannot be compared with 3"):
        fsd_of_rows(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(TallyError, match="percent given"):
        fsd(np.full((4, 2), 50.0), np.full((4, 2), 50.0))
    with pytest.raises(TallyError, match="NaN"):
        moments(np.array([[np.nan, 1], [1, 2]]))
