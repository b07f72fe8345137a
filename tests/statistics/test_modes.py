"""Counting modes: closed forms, and the error rate of "this class is drawn"."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seeingkit.errors import TallyError
from seeingkit.results import ConfusionTable, ModesResult
from seeingkit.statistics.modes import count_modes, divergence, mistaken_shares

Counts = NDArray[np.int64]


def names(size: int) -> list[str]:
    return [str(k) for k in range(size)]


def table(counts: NDArray[np.generic], readings: int = 1) -> ConfusionTable:
    return ConfusionTable(counts=tuple(map(tuple, counts.tolist())), readings=readings)


def rates_of(counts: NDArray[np.float64], readings: int) -> NDArray[np.float64]:
    """(L, L) rates at which a word of so many readings (row) is read as another, written out."""
    single, found = counts / counts.sum(axis=1, keepdims=True), np.ones((1, 1))
    for _ in range(readings):
        found = np.kron(found, single)
    return found


def test_the_divergence_of_known_shares() -> None:
    real, generated = np.array([500_000, 500_000]), np.array([75, 25])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergence(generated, real) == pytest.approx(expected, rel=1e-5)
    assert divergence(np.array([0, 7]), np.array([0, 0])) == pytest.approx(math.log(2))


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12))
@settings(max_examples=50, deadline=None)
def test_a_divergence_is_finite_and_not_negative(counts: list[int]) -> None:
    generated = np.array([*counts, 1])
    value = divergence(generated, np.roll(generated, 1))
    assert 0 <= value < math.inf


def test_equal_sides_show_the_bias_that_the_formula_gives() -> None:
    """KL of n of L equal shares from as many: about (L - 1) / 2n of each side."""
    even = np.full(1_000, 26)
    found = count_modes(even, even, names(1_000))
    assert found.kl == 0
    assert found.kl_expected == pytest.approx(999 / 26_000, rel=0.05)
    assert found.kl_range[0] < found.kl_expected < found.kl_range[1]
    assert found.p_value == 1
    assert (found.real_seen, found.generated_seen, found.drawn) == (1_000, 1_000, None)
    assert found.expected_seen > 999.5


def test_words_are_mistaken_as_the_product_of_their_readings() -> None:
    single = np.array([[8.0, 2.0], [1.0, 9.0]])
    whole = rates_of(single, 3)
    assert whole.shape == (8, 8)
    assert np.allclose(whole.sum(axis=1), 1)
    assert whole[0, 7] == pytest.approx(0.2**3)
    shares = np.random.default_rng(0).dirichlet(np.ones(8))
    direct = (shares / whole.diagonal()) @ whole - shares
    assert np.allclose(mistaken_shares(shares, single, 3), direct)


def test_a_reader_without_mistakes_claims_what_it_reads() -> None:
    counts = np.diag([100_000] * 4)
    generated = np.array([50, 50, 0, 1])
    found = count_modes(np.full(4, 25), generated, names(4), confusion=table(counts))
    assert [mode.drawn for mode in sorted(found.modes, key=lambda m: m.index)] == [1, 1, 0, 1]
    assert found.mistaken_seen == pytest.approx(0, abs=0.01)
    shares = {mode.index: mode.generated_share for mode in found.modes}
    assert shares[0] == pytest.approx(50 / 101)


def test_a_class_that_mistakes_explain_is_not_called_drawn() -> None:
    """One digit in twenty is read as the other: 50 of 1,000 readings of it say nothing."""
    counts = np.array([[950, 50], [50, 950]])
    found = count_modes(
        np.array([500, 500]), np.array([950, 50]), names(2), confusion=table(counts)
    )
    drawn = {mode.index: mode for mode in found.modes}
    assert drawn[0].drawn and not drawn[1].drawn
    assert drawn[1].mistaken == pytest.approx(50, rel=0.1)
    assert drawn[1].generated_share is not None and drawn[1].generated_share < 0.005
    more = count_modes(
        np.array([500, 500]), np.array([850, 150]), names(2), confusion=table(counts)
    )
    assert all(mode.drawn for mode in more.modes)


@pytest.mark.parametrize(
    ("real", "generated", "labels", "fault"),
    [
        ([1, 1], [1], 2, "2 labels"),
        ([0, 0], [1, 1], 2, "each side"),
        ([1, -1], [1, 1], 2, "below 0"),
        ([1, 1, 1], [1, 1, 1], 3, "confusion of 2 labels"),
    ],
)
def test_counts_that_do_not_fit_are_refused(
    real: list[int], generated: list[int], labels: int, fault: str
) -> None:
    confusion = table(np.eye(2, dtype=int)) if labels == 3 else None
    with pytest.raises(TallyError, match=fault):
        count_modes(np.array(real), np.array(generated), names(labels), confusion=confusion)


def test_a_table_without_images_of_a_class_is_refused() -> None:
    with pytest.raises(ValueError, match="needs labelled images"):
        table(np.array([[1, 0], [0, 0]]))
    with pytest.raises(ValueError, match="2 x 2"):
        ConfusionTable(counts=((1, 2), (3,)))


# ------------------------------------------------------------------------------------ simulations


def read(shares: NDArray[np.float64], n: int, readings: int, seed: int) -> ModesResult:
    """Modes of images with these shares, read by a network whose table of confusion is estimated.

    True rates: 98 % right, the rest anywhere, unevenly; the table is of 250 images a class.
    """
    random = np.random.default_rng(seed)
    size = round(len(shares) ** (1 / readings))
    wrong = random.dirichlet(np.full(size, 0.3), size) * (1 - np.eye(size))
    rates = 0.98 * np.eye(size) + 0.02 * wrong / wrong.sum(axis=1, keepdims=True)
    labelled = np.array([random.multinomial(250, row) for row in rates])
    whole = rates_of(rates, readings)
    even = np.full(len(shares), 1 / len(shares))
    generated, real = random.multinomial(n, shares @ whole), random.multinomial(n, even @ whole)
    confusion = table(labelled, readings)
    return count_modes(real, generated, names(len(shares)), confusion=confusion, seed=seed)


def collapsed(random: np.random.Generator, labels: int, kept: int) -> NDArray[np.float64]:
    shares = np.zeros(labels)
    shares[random.choice(labels, kept, replace=False)] = random.dirichlet(np.full(kept, 2.0))
    return shares


def false_share(labels: int, kept: int, readings: int, n: int, runs: int) -> tuple[float, int]:
    """Mean share of false claims among the claims, and the runs with any."""
    shares_of_false, any_false = [], 0
    for seed in range(runs):
        shares = collapsed(np.random.default_rng([seed, 1]), labels, kept)
        found = read(shares, n, readings, seed)
        claimed = [mode for mode in found.modes if mode.drawn]
        false = [mode for mode in claimed if shares[mode.index] == 0]
        shares_of_false.append(len(false) / max(1, len(claimed)))
        any_false += bool(false)
    return float(np.mean(shares_of_false)), any_false


@pytest.mark.slow
def test_classes_that_are_never_drawn_are_seldom_claimed() -> None:
    mean, _ = false_share(10, 4, 1, 2_500, runs=40)
    assert mean <= 0.05


def test_ten_of_a_thousand_modes_are_read_as_hundreds_and_ten_are_claimed() -> None:
    shares = collapsed(np.random.default_rng(3), 1_000, 10)
    found = read(shares, 26_000, 3, seed=3)
    assert found.generated_seen > 60
    claimed = {mode.index for mode in found.modes if mode.drawn}
    assert len(claimed - set(np.flatnonzero(shares).tolist())) <= 1
    assert len(claimed) >= 9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "kept", "readings", "n", "runs"),
    [(10, 4, 1, 2_500, 400), (10, 1, 1, 10_000, 400), (1_000, 10, 3, 26_000, 40)],
)
def test_false_claims_stay_below_the_level(
    labels: int, kept: int, readings: int, n: int, runs: int
) -> None:
    mean, _ = false_share(labels, kept, readings, n, runs)
    assert mean <= 0.05


@pytest.mark.slow
def test_equal_shares_are_called_unequal_at_the_stated_rate() -> None:
    random, even, rejected = np.random.default_rng(5), np.full(10, 0.1), 0
    for seed in range(60):
        real, generated = random.multinomial(1_000, even, 2)
        rejected += count_modes(real, generated, names(10), seed=seed).p_value <= 0.05
    assert rejected <= 8  # 3 expected; more in 1 % of such tests
