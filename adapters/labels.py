"""Class labels of conditional generators: checked, and as one-hot or weighted class vectors.

Guarantees that every family refuses the same inputs in the same words: labels are whole numbers
from 0 to classes - 1, one a row; class vectors are (N, classes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import Latent
from seeingkit.errors import UsageError


def class_vectors(
    family: str, classes: int, rows: int, *, label: Tensor | None, c: Tensor | None
) -> Tensor:
    """The class vectors of a batch: as given in ``c``, or the one-hot vectors of ``label``.

    Args:
        family: registered name, for messages.
        classes: number of classes of the network.
        rows: N, the batch size.
        label: (N,) of any integer type, on any device, or None.
        c: (N, classes), one weight for each class, or None.

    Returns:
        (N, classes) float32, on the device of the input.

    Raises:
        UsageError: neither or both are given, or one is not as above.

    >>> class_vectors("biggan", 3, 2, label=torch.tensor([2, 0]), c=None).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return attribute_vectors(family, (classes,), rows, label=label, c=c)


def attribute_vectors(
    family: str, sizes: Sequence[int], rows: int, *, label: Tensor | None, c: Tensor | None
) -> Tensor:
    """The class vectors of a batch where a class is one value of each of several attributes.

    Args:
        family: registered name, for messages.
        sizes: numbers of values of each attribute; classes are all combinations, numbered with the
            last attribute fastest.
        rows: N, the batch size.
        label: (N,) of any integer type, on any device, or None.
        c: (N, sum of sizes), the joined vectors themselves, or None.

    Returns:
        (N, sum of sizes) float32: the one-hot vectors of all attributes, one after another.

    Raises:
        UsageError: neither or both are given, or one is not as above.

    >>> attribute_vectors("progan", (2, 3), 1, label=torch.tensor([4]), c=None).tolist()
    [[0.0, 1.0, 0.0, 1.0, 0.0]]
    """
    classes, width = math.prod(sizes), sum(sizes)
    if (label is None) == (c is None):
        raise UsageError(
            f"{family} is conditional: give either label (N,) from 0 to {classes - 1} or "
            f"c (N, {width}){'' if c is None else ', not both'}"
        )
    if c is not None:
        return checked_vectors(family, "c", c, (rows, width))
    assert label is not None
    rest, parts = checked_labels(family, label, classes, rows), list[Tensor]()
    for size in reversed(sizes):
        parts.append(F.one_hot(rest % size, size).float())
        rest = rest // size
    return torch.cat(parts[::-1], dim=1)


def checked_class(family: str, classes: int, latent: Latent, rows: int) -> Tensor:
    """The class of each row of a latent: ``label``, or the class vectors ``c``.

    Returns:
        (N,) int64, or (N, classes) float32.

    Raises:
        UsageError: neither or both are given, or one is not as in ``class_vectors``.

    >>> checked_class("resnet-gan", 3, {"label": torch.tensor([2, 0])}, 2).tolist()
    [2, 0]
    """
    label, c = latent.get("label"), latent.get("c")
    vectors = class_vectors(family, classes, rows, label=label, c=c)
    return vectors if label is None else checked_labels(family, label, classes, rows)


def checked_labels(family: str, label: Tensor, classes: int, rows: int) -> Tensor:
    """Labels as int64 (N,).

    Raises:
        UsageError: not whole numbers, not one a row, or out of range (of labels that lie on a
            CUDA device, the device raises it, as an error of its own).
    """
    fractional = label.is_floating_point() or label.is_complex() or label.dtype == torch.bool
    if tuple(label.shape) != (rows,) or fractional:
        raise UsageError(
            f"{family}: label is {label.dtype} of shape {tuple(label.shape)}, expected whole "
            f"numbers of shape ({rows},)"
        )
    known, promised = (
        ((label >= 0) & (label < classes)).all(),
        f"{family}: labels are whole numbers from 0 to {classes - 1}",
    )
    if label.device.type == "cuda":  # the device looks at them, and nobody waits for it
        torch._assert_async(known, promised)
    elif not bool(known):
        raise UsageError(f"{promised}, not {label.tolist()[:8]}")
    return label.to(torch.int64)


def checked_vectors(family: str, name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A latent's entry ``name`` as float32.

    Raises:
        UsageError: it has another shape, or is complex.
    """
    if tuple(value.shape) != shape or value.is_complex():
        raise UsageError(
            f"{family}: {name} has shape {tuple(value.shape)} ({value.dtype}), expected {shape}"
        )
    return value.float()
