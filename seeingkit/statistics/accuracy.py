"""How well a segmentation agrees with true labels: confusion matrix, pixel accuracy, mean IoU.

Guarantees that pixels are counted exactly (int64), that confusion matrices of parts of a set add up
to that of the whole, and that a label that is neither true nor predicted anywhere changes nothing.

Definitions as in Long, Shelhamer and Darrell, CVPR 2015, section 5: with n[i, j] pixels of true
label i predicted as j, pixel accuracy is Σ n[i, i] / Σ n, and the IoU of label i is
n[i, i] / (Σ_j n[i, j] + Σ_j n[j, i] - n[i, i]).
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from seeingkit.errors import TallyError, UsageError

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def confusion(
    predicted: Tensor, truth: Tensor, labels: int, ignore: int | Collection[int] = ()
) -> Tensor:
    """Pixels of each true label by predicted label.

    Args:
        predicted: label numbers, any shape and integer type.
        truth: label numbers, the same shape.
        labels: how many labels there are; numbers run from 0 to ``labels - 1``.
        ignore: true label number(s) whose pixels are left out, such as "unlabelled"; they may be
            outside the range of labels (255 is common).

    Returns:
        (labels, labels) int64 on the device of ``predicted``: true label by row, predicted by
        column. Matrices of several images or batches may be added.

    Raises:
        UsageError: shapes that differ, types that are not integers, or a number out of range among
            the pixels that count (a class numbering that does not fit).
    """
    if labels < 1:
        raise UsageError(f"confusion needs at least one label, not {labels}")
    if predicted.shape != truth.shape:
        raise UsageError(
            f"predicted labels {tuple(predicted.shape)} and true labels {tuple(truth.shape)} "
            "must have the same shape"
        )
    for what, numbers in (("predicted", predicted), ("true", truth)):
        if numbers.dtype not in _INTEGERS:
            raise UsageError(f"{what} labels are {numbers.dtype}, expected integers")
    ignored = [ignore] if isinstance(ignore, int) else sorted(ignore)
    truth = truth.to(predicted.device, torch.int64).flatten()
    predicted = predicted.to(torch.int64).flatten()
    if ignored:
        counted = ~torch.isin(truth, torch.tensor(ignored, device=truth.device))
        truth, predicted = truth[counted], predicted[counted]
    for what, numbers in (("predicted", predicted), ("true", truth)):
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < labels:
            wrong = numbers[(numbers < 0) | (numbers >= labels)][0]
            raise UsageError(
                f"{what} label {int(wrong)} is outside 0..{labels - 1}; "
                "check the numbering, or ignore it"
            )
    counts = torch.bincount(truth * labels + predicted, minlength=labels * labels)
    return counts.reshape(labels, labels)


def _checked(matrix: Tensor) -> Tensor:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"a confusion matrix is square, not {tuple(matrix.shape)}")
    if not int(matrix.sum()):
        raise TallyError("the confusion matrix counts no pixel; every true label was ignored")
    return matrix


def pixel_accuracy(matrix: Tensor) -> float:
    """Share of the counted pixels whose label is right, in [0, 1].

    Args:
        matrix: (labels, labels) counts from ``confusion``.

    Raises:
        UsageError: the matrix is not square.
        TallyError: it counts no pixel.
    """
    _checked(matrix)
    return int(matrix.diagonal().sum()) / int(matrix.sum())


def intersection_over_union(matrix: Tensor) -> Tensor:
    """IoU of each label: (labels,) float64 in [0, 1]; NaN where it is neither true nor predicted.

    Takes and refuses what ``pixel_accuracy`` does.
    """
    counts = _checked(matrix).to(torch.float64)
    right = counts.diagonal()
    return right / (counts.sum(dim=0) + counts.sum(dim=1) - right)


def mean_iou(matrix: Tensor) -> float:
    """Mean IoU over the labels that are true or predicted somewhere, in [0, 1].

    Args:
        matrix: (labels, labels) counts from ``confusion``, summed over the whole set first (a mean
            of the mean IoUs of single images is another quantity).

    Raises:
        UsageError, TallyError: as ``pixel_accuracy``.
    """
    return float(intersection_over_union(matrix).nanmean())
