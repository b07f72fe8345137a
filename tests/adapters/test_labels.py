"""Class labels of conditional generators (``adapters.labels``)."""

from __future__ import annotations

import doctest

import pytest
import torch
from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit_adapters import labels
from seeingkit_adapters.labels import attribute_vectors, checked_class, class_vectors


def test_labels_become_one_hot_vectors_and_class_vectors_stay() -> None:
    for kind in (torch.int64, torch.int32, torch.uint8):
        vectors = class_vectors("family", 3, 2, label=torch.tensor([2, 0], dtype=kind), c=None)
        assert vectors.dtype == torch.float32
        assert torch.equal(vectors, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    soft = torch.tensor([[0.5, 0.25, 0.25]])
    assert torch.equal(class_vectors("family", 3, 1, label=None, c=soft), soft)
    whole = class_vectors("family", 3, 1, label=None, c=torch.tensor([[0, 1, 0]]))
    assert torch.equal(whole, torch.tensor([[0.0, 1.0, 0.0]]))
    none = class_vectors("family", 3, 0, label=torch.empty(0, dtype=torch.int64), c=None)
    assert none.shape == (0, 3)


def test_classes_are_all_combinations_of_attributes() -> None:
    sizes = (2, 3, 2)
    vectors = attribute_vectors("family", sizes, 12, label=torch.arange(12), c=None)
    assert vectors.shape == (12, 7) and len(vectors.unique(dim=0)) == 12
    parts = vectors.split(sizes, dim=1)
    assert all(bool((part.sum(1) == 1).all()) for part in parts)
    first, second, third = (part.argmax(1) for part in parts)
    assert torch.equal(first * 6 + second * 2 + third, torch.arange(12))
    with pytest.raises(UsageError, match=r"from 0 to 11 or c \(N, 7\)$"):
        attribute_vectors("family", sizes, 1, label=None, c=None)


def test_the_class_of_a_latent_is_one_of_label_and_c() -> None:
    label = torch.tensor([1, 0], dtype=torch.int32)
    assert checked_class("family", 2, {"label": label}, 2).dtype == torch.int64
    soft = torch.tensor([[0.5, 0.5]])
    assert torch.equal(checked_class("family", 2, {"c": soft}, 1), soft)
    with pytest.raises(UsageError, match="not both"):
        checked_class("family", 2, {"c": soft, "label": label[:1]}, 1)


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(labels).attempted
    assert not doctest.testmod(labels).failed


@pytest.mark.parametrize(
    ("label", "c", "message"),
    [
        (None, None, r"family is conditional: give either label \(N,\) from 0 to 2 or c \(N, 3\)$"),
        (torch.tensor([0, 1]), torch.zeros(2, 3), "not both$"),
        (torch.tensor([0, 3]), None, r"from 0 to 2, not \[0, 3\]"),
        (torch.tensor([-1, 0]), None, r"from 0 to 2, not \[-1, 0\]"),
        (torch.tensor([0]), None, r"of shape \(1,\), expected whole numbers of shape \(2,\)"),
        (torch.tensor([0.0, 1.0]), None, "label is torch.float32"),
        (torch.tensor([True, False]), None, "label is torch.bool"),
        (torch.tensor([0j, 1j]), None, "label is torch.complex64"),
        (None, torch.zeros(2, 4), r"c has shape \(2, 4\) .* expected \(2, 3\)"),
        (None, torch.zeros(2, 3, dtype=torch.complex64), "torch.complex64"),
    ],
)
def test_other_labels_are_refused(label: Tensor | None, c: Tensor | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        class_vectors("family", 3, 2, label=label, c=c)
