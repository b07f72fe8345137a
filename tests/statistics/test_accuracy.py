"""Confusion matrix, pixel accuracy and mean IoU against counts made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.errors import TallyError, UsageError
from seeingkit.statistics.accuracy import (
    confusion,
    intersection_over_union,
    mean_iou,
    pixel_accuracy,
)

TRUTH = torch.tensor([[0, 0, 0, 1], [1, 2, 2, 255]])
PREDICTED = torch.tensor([[0, 0, 1, 1], [2, 2, 0, 3]])


def test_counts_by_hand() -> None:
    matrix = confusion(PREDICTED, TRUTH, 4, ignore=255)
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert pixel_accuracy(matrix) == 4 / 7
    assert intersection_over_union(matrix)[:3].tolist() == pytest.approx([2 / 4, 1 / 3, 1 / 3])
    assert math.isnan(intersection_over_union(matrix)[3])
    assert mean_iou(matrix) == pytest.approx((1 / 2 + 1 / 3 + 1 / 3) / 3, rel=1e-15)


def test_a_label_that_is_only_predicted_counts_as_wrong() -> None:
    matrix = confusion(torch.tensor([0, 1]), torch.tensor([0, 0]), 2)
    assert mean_iou(matrix) == pytest.approx((1 / 2 + 0) / 2)


def test_ignored_labels_may_be_several_and_inside_the_range() -> None:
    matrix = confusion(PREDICTED, TRUTH, 4, ignore=[255, 0])
    assert int(matrix.sum()) == 4
    assert matrix[0].tolist() == [0, 0, 0, 0]


def test_types_may_differ() -> None:
    small = confusion(PREDICTED.to(torch.uint8), TRUTH.to(torch.uint8), 4, ignore=255)
    assert torch.equal(small, confusion(PREDICTED, TRUTH, 4, ignore=255))


@settings(deadline=None)  # a busy machine is not a fault
@given(
    st.integers(1, 5).flatmap(
        lambda labels: st.tuples(
            st.just(labels),
            st.lists(
                st.tuples(st.integers(0, labels - 1), st.integers(0, labels - 1)),
                min_size=1,
                max_size=30,
            ),
        )
    ),
    st.integers(0, 30),
)
def test_parts_add_up_and_agree_with_plain_counting(
    case: tuple[int, list[tuple[int, int]]], cut: int
) -> None:
    labels, pairs = case
    truth, predicted = (torch.tensor(column) for column in zip(*pairs, strict=True))
    whole = confusion(predicted, truth, labels)
    parts = sum(
        confusion(predicted[part], truth[part], labels)
        for part in (slice(None, cut), slice(cut, None))
    )
    assert torch.equal(whole, torch.as_tensor(parts))
    assert whole.tolist() == [[pairs.count((t, p)) for p in range(labels)] for t in range(labels)]
    assert pixel_accuracy(whole) == sum(t == p for t, p in pairs) / len(pairs)
    unions = [
        sum(t == p == k for t, p in pairs) / sum(k in pair for pair in pairs)
        for k in range(labels)
        if any(k in pair for pair in pairs)
    ]
    assert mean_iou(whole) == pytest.approx(sum(unions) / len(unions))
    assert 0 <= mean_iou(whole) <= 1


@settings(deadline=None)  # a busy machine is not a fault
@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_the_truth_itself_is_perfect(numbers: list[int]) -> None:
    matrix = confusion(torch.tensor(numbers), torch.tensor(numbers), 4)
    assert pixel_accuracy(matrix) == 1.0
    assert mean_iou(matrix) == 1.0


@pytest.mark.parametrize(
    ("predicted", "truth", "labels", "message"),
    [
        (torch.zeros(2, 3).long(), torch.zeros(3, 2).long(), 2, "same shape"),
        (torch.zeros(2), torch.zeros(2).long(), 2, "predicted labels are torch.float32"),
        (torch.zeros(2).long(), torch.zeros(2), 2, "true labels are torch.float32"),
        (torch.tensor([0, 2]), torch.tensor([0, 0]), 2, "predicted label 2 is outside 0..1"),
        (torch.tensor([0, 0]), torch.tensor([0, -1]), 2, "true label -1 is outside 0..1"),
        (torch.tensor([0]), torch.tensor([0]), 0, "at least one label"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    predicted: torch.Tensor, truth: torch.Tensor, labels: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        confusion(predicted, truth, labels)


def test_nothing_counted_has_no_accuracy() -> None:
    nothing = confusion(PREDICTED, torch.full_like(TRUTH, 255), 4, ignore=255)
    for figure in (pixel_accuracy, mean_iou, intersection_over_union):
        with pytest.raises(TallyError, match="counts no pixel"):
            figure(nothing)
        with pytest.raises(UsageError, match="square"):
            figure(torch.ones(2, 3))
