"""Shifted and reordered numbers of true labels are found, and poor segmenters are left alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from seeingkit.statistics.renumbering import FEW_IMAGES, Renumbering, better_numbers, folded, moved

L = 12


def counts_of(recall: float, rng: np.random.Generator, labels: int = L) -> NDArray[np.int64]:
    """Confusion of a segmenter that errs at random; areas of the labels differ a hundredfold."""
    areas = rng.permutation(np.geomspace(1_000, 100_000, labels))
    rates = (1 - recall) * rng.dirichlet(np.ones(labels), labels) + recall * np.eye(labels)
    return np.rint(areas[:, None] * rates).astype(np.int64)


def better(
    counts: NDArray[np.int64], numbers: Sequence[int], images: int = FEW_IMAGES
) -> Renumbering | None:
    """``better_numbers`` of labels that are all shown by as many images."""
    return better_numbers(counts, numbers, np.full(counts.shape[1], images))


def in_maps(counts: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Rows by number in label maps that are ``shift`` too high, with one row beyond the last."""
    rows = np.zeros((len(counts) + 1, counts.shape[1]), np.int64)
    for k, row in enumerate(counts):
        if 0 <= k + shift < len(rows):
            rows[k + shift] = row
    return rows


NUMBERS = (*range(L), -1)


@pytest.mark.parametrize("shift", [1, -1])
@pytest.mark.parametrize("seed", range(5))
def test_a_shift_is_found_with_both_accuracies(shift: int, seed: int) -> None:
    counts = counts_of(0.8, np.random.default_rng(seed))
    found = better(in_maps(counts, shift), NUMBERS)
    assert found is not None and found.shift == shift and found.order == ()
    kept = counts if shift == 1 else counts[1:]  # number -1 is in no map
    right = counts.diagonal()[0 if shift == 1 else 1 :].sum()
    assert found.accuracy == pytest.approx(right / kept.sum())
    given = folded(in_maps(counts, shift), NUMBERS)
    assert found.given == given.diagonal().sum() / given.sum()


@pytest.mark.parametrize("seed", range(5))
def test_another_order_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = counts_of(0.9, rng)
    order = np.roll(np.arange(L), 4)
    found = better(counts[order], range(L))
    assert found is not None and found.shift is None
    assert found.accuracy == pytest.approx(counts.diagonal().sum() / counts.sum())
    assert set(found.order) <= {(k, int(order[k])) for k in range(L)} and len(found.order) >= 7
    assert better(counts[order], range(L), images=FEW_IMAGES - 1) is None


@pytest.mark.parametrize("recall", [0.0, 0.1, 0.3, 0.6, 0.95])
def test_a_poor_segmenter_is_no_reason(recall: float) -> None:
    for seed in range(40):
        counts = counts_of(recall, np.random.default_rng(seed))
        assert better(in_maps(counts, 0), NUMBERS) is None


def test_one_name_for_everything_is_no_reason() -> None:
    counts = np.zeros((L, L), np.int64)
    counts[:, 3] = np.geomspace(10, 100_000, L)  # nearly all is the last label
    assert better(counts, range(L)) is None
    counts[:, 3], counts[L - 1, L - 2] = 0, 100_000
    assert better(counts, range(L)) is None  # one label, called by its neighbour's name


@pytest.mark.parametrize("shown", [1, 2, 3, 4])
def test_few_labels_are_no_reason(shown: int) -> None:
    """Even in perfect agreement under a shift: 2 / 11^3 is above 0.001, 2 / 11^4 is below."""
    counts = np.zeros((L + 1, L), np.int64)
    for k in range(shown):
        counts[k + 1, k] = 1000
    assert (better(counts, NUMBERS) is not None) == (shown == 4)


def test_few_labels_in_the_list_are_no_reason() -> None:
    assert better(np.array([[0, 0], [9, 0]]), (0, 1)) is None
    assert better(np.roll(np.eye(3, dtype=np.int64) * 99, 1, axis=0), (0, 1, 2)) is None


def test_a_collapse_onto_a_merged_class_is_one_agreement() -> None:
    """Eight numbers mean "other" after a shift and are called so: one label, not eight."""
    counts = np.zeros((L, 6), np.int64)
    counts[:, 5] = 1000
    numbers = (5, 5, 5, 5, 5, 0, 5, 1, 5, 2, 3, 4)
    assert better(counts, numbers) is None


def test_numbers_move_as_the_shift_says() -> None:
    assert moved((7, 8, 9, -1), 1).tolist() == [-1, 7, 8, 9]
    assert moved((7, 8, 9, -1), -1).tolist() == [8, 9, -1, -1]
    counts = np.arange(12).reshape(4, 3)
    assert folded(counts, (2, -1, 0, 2)).tolist() == [[6, 7, 8], [0, 0, 0], [9, 11, 13]]
    assert better(np.zeros((4, 3), np.int64), (0, 1, 2, -1)) is None
