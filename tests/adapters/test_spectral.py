"""Spectral norms of weights files: against singular values and torch's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError
from seeingkit_adapters.spectral import divide, iterated_norm, stored_norm, unfolded

FILE = Path("g.pth")


def matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), seed=st.integers(0, 50))
def test_singular_vectors_give_the_largest_singular_value(
    rows: int, columns: int, seed: int
) -> None:
    weight = matrix(rows, columns, seed)
    left, values, right = torch.linalg.svd(weight)
    largest = values[0]
    stored = stored_norm(FILE, "w", weight, left[:, 0], right[0])
    iterated = iterated_norm(FILE, "w", weight, 3 * left[:, 0], 1e-12)
    assert torch.allclose(stored.abs(), largest, rtol=1e-4)
    assert torch.allclose(iterated, largest, rtol=1e-4)


@given(seed=st.integers(0, 50))
def test_an_iteration_comes_nearer_and_never_beyond(seed: int) -> None:
    weight = matrix(5, 7, seed)
    largest = float(torch.linalg.matrix_norm(weight, 2))
    u = matrix(5, 1, seed + 1)[:, 0]
    before = float((weight.T @ u).norm() / u.norm())
    after = float(iterated_norm(FILE, "w", weight, u, 1e-12))
    assert before <= after * (1 + 1e-5) and after <= largest * (1 + 1e-5)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(3, 4), torch.ones(1, 3)),
        (nn.Conv2d(2, 3, 3), torch.ones(1, 2, 5, 5)),
        (nn.Conv2d(4, 2, 1), torch.ones(1, 4, 5, 5)),
    ],
    ids=str,
)
def test_torchs_own_evaluation_is_what_is_read(layer: nn.Module, x: Tensor) -> None:
    normed = nn.utils.spectral_norm(layer)
    normed(x)
    normed.eval()(x)
    found = unfolded(FILE, {f"a.{key}": value for key, value in normed.state_dict().items()})
    assert found.kinds == {"stored"} and found.tensors.keys() == {"a.weight", "a.bias"}
    mine = found.tensors["a.weight"] / found.divisors["a.weight"]
    assert torch.allclose(mine, normed.weight, atol=1e-6)


def test_the_first_axis_counts_for_transposed_convolutions() -> None:
    """Torch's own would take the second one."""
    weight = torch.zeros(2, 3, 1, 1)
    weight[0, :, 0, 0] = 5.0
    found = unfolded(
        FILE,
        {
            "l.weight_bar": weight,
            "l.weight_u": torch.tensor([1.0, 1.0]),
            "l.weight_v": torch.ones(3),
        },
    )
    assert found.kinds == {"bar"}
    assert float(found.divisors["l.weight"]) == pytest.approx(5 * 3**0.5)


def test_weights_are_divided_once_and_checked() -> None:
    network = nn.Linear(2, 2, bias=False).requires_grad_(False)
    network.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    divide(network, {"weight": torch.tensor(2.0)}, FILE)
    assert network.weight.tolist() == [[1.0, 0.0], [0.0, 2.0]]
    network.weight.fill_(1e38)
    with pytest.raises(StateMismatchError, match="g.pth: weight holds NaN or Inf"):
        divide(network, {"weight": torch.tensor(1e-20)}, FILE)


VECTORS = {"weight_u": torch.ones(2), "weight_v": torch.ones(3)}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a.weight_orig": torch.ones(2, 3)}, "missing key a.weight_u"),
        ({"a.sn_u": torch.ones(1, 2), "a.sn_sigma": torch.ones(1)}, "a.weight is missing"),
        (
            {
                "a.weight_orig": torch.ones(4),
                "a.weight_u": torch.ones(4),
                "a.weight_v": torch.ones(1),
            },
            "expected",
        ),
        (
            {
                "a.weight_orig": torch.ones(2, 3),
                "a.weight": torch.ones(2, 3),
                **{f"a.{key}": value for key, value in VECTORS.items()},
            },
            "there twice",
        ),
        (
            {
                "a.weight_orig": torch.ones(2, 3),
                "a.weight_u": torch.tensor([1.0, float("nan")]),
                "a.weight_v": torch.ones(3),
            },
            "a.weight_u holds NaN",
        ),
        (
            {
                "a.weight_bar": torch.zeros(2, 3),
                **{f"a.{key}": value for key, value in VECTORS.items()},
            },
            "a.weight has spectral norm 0",
        ),
    ],
)
def test_misfits_are_refused_by_name(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(StateMismatchError, match=message):
        unfolded(FILE, state)
