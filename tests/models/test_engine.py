"""The engine on a generator whose every number can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seeingkit.contracts import (
    Boundary,
    GeneratorInfo,
    LatentSpec,
    State,
    seeds_latents,
    sequence_latents,
)
from seeingkit.errors import ModelError, UnknownNameError, UsageError
from seeingkit.models.edits import AddEdit, Edit, UnitEdit, run
from seeingkit.models.staged import StagedAdapter

INFO = GeneratorInfo(
    family="linear", resolution=2, latent=(LatentSpec(shape=(3,)),), class_names=("no", "yes")
)
SIDE = 2


class Linear(nn.Module):
    """r = A z with A = [[1, 0, 1], [0, 2, 0]]; image channel c = r · B_c + label, B = 1, 2, 3."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]]))
        self.b = nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))

    def units(self, z: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        r = (z @ self.a.T)[:, :, None, None].expand(-1, -1, SIDE, SIDE)
        return r, {"shift": carry["label"].to(z)}

    def paint(self, r: Tensor, carry: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        image = torch.einsum("cu,nuhw->nchw", self.b, r)
        return image + carry["shift"][:, None, None, None], {}


BOUNDARIES = (
    Boundary("input", 0, (3,), "latent"),
    Boundary("r2", 1, (2, SIDE, SIDE), "feature", (SIDE, SIDE), aliases=("units", "layer1")),
    Boundary("image", 2, (3, SIDE, SIDE), "image", (SIDE, SIDE)),
)


@pytest.fixture
def generator() -> StagedAdapter:
    module = Linear()
    return StagedAdapter(module, INFO, BOUNDARIES, [module.units, module.paint])


Z = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]])
UNITS = torch.tensor([[4.0, 4.0], [0.5, -2.0]])  # A z
LATENT = {"z": Z, "label": torch.tensor([0, 1])}
IMAGE = torch.tensor([[4.0, 4.0, 8.0], [1.5, -1.0, -0.5]])  # B A z + label


def flat(image: Tensor) -> Tensor:
    """The colour of an image that has one colour, (N, C)."""
    assert torch.equal(image, image[:, :, :1, :1].expand_as(image))
    return image[:, :, 0, 0]


# -------------------------------------------------------------------------------------- passing


def test_the_hand_computed_image(generator: StagedAdapter) -> None:
    assert torch.equal(flat(generator(LATENT)), IMAGE)
    state = generator.advance(generator.begin(LATENT), "r2")
    assert state.at == "r2"
    assert torch.equal(flat(state.x), UNITS)
    assert torch.equal(state.carry["shift"], torch.tensor([0.0, 1.0]))
    assert torch.equal(flat(generator.advance(state).x), IMAGE)
    assert not generator.advance(state).carry


def test_aliases_lead_to_the_boundary(generator: StagedAdapter) -> None:
    for name in ("r2", "units", "layer1"):
        assert generator.boundary(name) is BOUNDARIES[1]
        assert generator.advance(generator.begin(LATENT), name).at == "r2"


def test_advance_to_where_it_stands_is_the_state(generator: StagedAdapter) -> None:
    state = generator.advance(generator.begin(LATENT), "r2")
    same = generator.advance(state, "units")
    assert same.at == "r2" and torch.equal(same.x, state.x)
    assert same.carry.keys() == state.carry.keys()


def test_gradients_are_the_matrices(generator: StagedAdapter) -> None:
    z = Z.clone().requires_grad_()
    state = generator.advance(generator.begin({**LATENT, "z": z}), "r2")
    image = generator.advance(state).x
    (at_r,) = torch.autograd.grad(image.sum(), state.x, retain_graph=True)
    assert torch.equal(at_r, torch.full_like(state.x, 2.0))  # the columns of B sum to 2
    (at_z,) = torch.autograd.grad(image.sum(), z)
    # 4 pixels x (2, 2) A = (8, 16, 8)
    assert torch.equal(at_z, torch.tensor([[8.0, 16.0, 8.0]]).expand(2, -1))


def test_params_replace_for_one_call(generator: StagedAdapter) -> None:
    b = torch.zeros(3, 2)
    b[0, 0] = 10.0
    b.requires_grad_()
    image = generator.advance(generator.begin(LATENT), params={"b": b}).x
    assert torch.equal(flat(image), torch.tensor([[40.0, 0.0, 0.0], [6.0, 1.0, 1.0]]))
    (gradient,) = torch.autograd.grad(image[:, 0].sum(), b)
    assert torch.equal(gradient[0], 4 * UNITS.sum(0))
    assert torch.equal(gradient[1:], torch.zeros(2, 2))
    assert torch.equal(flat(generator(LATENT)), IMAGE)
    with pytest.raises(UsageError, match="'c'"):
        generator.advance(generator.begin(LATENT), params={"c": b})


def test_construction_freezes(generator: StagedAdapter) -> None:
    assert not generator.module.training
    assert not any(p.requires_grad for p in generator.module.parameters())
    assert not generator(LATENT).requires_grad
    assert generator.device == torch.device("cpu")
    assert generator.to("cpu") is generator


# ---------------------------------------------------------------------------------------- edits


@pytest.mark.parametrize(
    ("edits", "units"),
    [
        ([UnitEdit("r2", (0,))], [[0.0, 4.0], [0.0, -2.0]]),
        ([UnitEdit("layer1", (1,), alpha=0.25, value=8.0)], [[4.0, 5.0], [0.5, 0.5]]),
        ([UnitEdit("r2", (1, 0), value=torch.tensor([7.0, 9.0]))], [[9.0, 7.0], [9.0, 7.0]]),
        ([AddEdit("r2", torch.tensor([1.0, -1.0]).reshape(2, 1, 1))], [[5.0, 3.0], [1.5, -3.0]]),
        # Order matters: add then ablate, ablate then add.
        ([AddEdit("r2", torch.ones(())), UnitEdit("r2", (0,))], [[0.0, 5.0], [0.0, -1.0]]),
        ([UnitEdit("r2", (0,)), AddEdit("r2", torch.ones(()))], [[1.0, 5.0], [1.0, -1.0]]),
    ],
)
def test_edits_by_hand(
    generator: StagedAdapter, edits: list[UnitEdit | AddEdit], units: list[list[float]]
) -> None:
    end, kept = run(generator, generator.begin(LATENT), edits=edits, keep=["units"])
    want = torch.tensor(units)
    torch.testing.assert_close(flat(kept["units"]), want)
    image = want @ generator.module.b.T + torch.tensor([[0.0], [1.0]])
    torch.testing.assert_close(flat(end.x), image)


def test_an_edit_of_no_units_changes_nothing(generator: StagedAdapter) -> None:
    end, _ = run(generator, generator.begin(LATENT), edits=[UnitEdit("r2", ())])
    assert torch.equal(flat(end.x), IMAGE)


def test_mask_confines_an_edit(generator: StagedAdapter) -> None:
    mask = torch.tensor([[1.0, 0.5], [0.0, 0.0]])
    _, kept = run(
        generator,
        generator.begin(LATENT),
        "r2",
        edits=[UnitEdit("r2", (0,), value=0.0, mask=mask)],
        keep=["r2"],
    )
    assert torch.equal(kept["r2"][0, 0], torch.tensor([[0.0, 2.0], [4.0, 4.0]]))
    assert torch.equal(kept["r2"][:, 1], UNITS[:, 1, None, None].expand(-1, 2, 2))
    each = torch.stack([torch.ones(1, 2, 2), torch.zeros(1, 2, 2)])
    _, kept = run(
        generator,
        generator.begin(LATENT),
        "r2",
        edits=[UnitEdit("r2", (0,), mask=each)],
        keep=["r2"],
    )
    assert torch.equal(flat(kept["r2"]), torch.tensor([[0.0, 4.0], [0.5, -2.0]]))


def test_edits_at_both_ends(generator: StagedAdapter) -> None:
    edits = [AddEdit("input", torch.tensor([1.0, 0.0, 0.0])), AddEdit("image", -torch.ones(()))]
    end, kept = run(generator, generator.begin(LATENT), edits=edits, keep=["input", "image"])
    assert torch.equal(kept["input"], Z + torch.tensor([1.0, 0.0, 0.0]))
    assert torch.equal(kept["image"], end.x)
    assert torch.equal(flat(end.x), IMAGE + torch.tensor([1.0, 0.0, 1.0]) - 1)


def test_edits_from_the_middle(generator: StagedAdapter) -> None:
    state = generator.advance(generator.begin(LATENT), "r2")
    end, _ = run(generator, state, edits=[UnitEdit("units", (0, 1))])
    assert torch.equal(flat(end.x), torch.tensor([[0.0] * 3, [1.0] * 3]))
    assert torch.equal(flat(state.x), UNITS)  # the state is as it was


def test_edit_values_are_differentiable(generator: StagedAdapter) -> None:
    value = torch.tensor(1.0, requires_grad=True)
    end, _ = run(generator, generator.begin(LATENT), edits=[UnitEdit("r2", (0,), 0.5, value)])
    (gradient,) = torch.autograd.grad(end.x.sum(), value)
    assert float(gradient) == 2 * 4 * 2 * 0.5  # images, pixels, column sum of B, alpha


def test_edits_outside_the_way_are_refused(generator: StagedAdapter) -> None:
    state = generator.advance(generator.begin(LATENT), "r2")
    with pytest.raises(UsageError, match="between 'r2' and 'image'"):
        run(generator, state, edits=[AddEdit("input", torch.ones(()))])
    with pytest.raises(UsageError, match="between 'input' and 'r2'"):
        run(generator, generator.begin(LATENT), "r2", keep=["image"])
    with pytest.raises(UsageError, match="go from 0 to 1"):
        run(generator, state, edits=[UnitEdit("r2", (2,))])
    with pytest.raises(UnknownNameError, match="boundary named 'r4'"):
        run(generator, state, edits=[UnitEdit("r4", (0,))])


# ---------------------------------------------------------------------------------------- states


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 4))
def test_rows_and_cat_are_inverse(order: list[int], split: int) -> None:
    x, shift = torch.arange(15.0).reshape(5, 3), torch.arange(5)
    state = State("input", x, {"shift": shift})
    joined = State.cat([state[order[:split]], state[torch.tensor(order[split:])]])
    assert len(joined) == 5
    assert torch.equal(joined.x, x[order]) and torch.equal(joined.carry["shift"], shift[order])
    assert len(state[3]) == 1 and float(state[3].x[0, 0]) == 9.0
    assert torch.equal(state[1:3].carry["shift"], torch.tensor([1, 2]))


def test_states_at_different_boundaries_do_not_join(generator: StagedAdapter) -> None:
    start = generator.begin(LATENT)
    with pytest.raises(UsageError, match=r"different boundaries: \['input', 'r2'\]"):
        State.cat([start, generator.advance(start, "r2")])


def test_state_changes_are_copies() -> None:
    x = torch.ones(1, 2, requires_grad=True)
    state = State("a", x * 2, {"c": x})
    assert not state.detach().x.requires_grad and not state.detach().carry["c"].requires_grad
    assert torch.equal(state.with_carry(d=x).carry["d"], x) and set(state.carry) == {"c"}
    assert torch.equal(state.with_x(x).x, x) and float(state.x[0, 0].detach()) == 2.0


# ---------------------------------------------------------------------------------------- errors


def test_wrong_names_and_ways_are_refused(generator: StagedAdapter) -> None:
    with pytest.raises(
        UnknownNameError, match=r"no boundary named 'unitz'; did you mean|there are"
    ):
        generator.boundary("unitz")
    with pytest.raises(UnknownNameError, match="there are: image, input, r2"):
        generator.advance(generator.begin(LATENT), "zzzzzz")
    state = generator.advance(generator.begin(LATENT), "r2")
    with pytest.raises(UsageError, match="cannot go back from boundary 'r2' to 'input'"):
        generator.advance(state, "input")


@pytest.mark.parametrize(
    ("boundaries", "message"),
    [
        (BOUNDARIES[:2], "need 1 stages, there are 2"),
        ((BOUNDARIES[0], BOUNDARIES[2], BOUNDARIES[1]), "must count 0, 1, 2"),
        ((*BOUNDARIES[:2], Boundary("end", 2, (3, 2, 2), "image")), "must be named 'image'"),
        (
            (
                BOUNDARIES[0],
                Boundary("r2", 1, (2, 2, 2), "feature", None, ("image",)),
                BOUNDARIES[2],
            ),
            "share a name or alias",
        ),
    ],
)
def test_adapters_written_wrongly_are_refused(
    boundaries: tuple[Boundary, ...], message: str
) -> None:
    module = Linear()
    with pytest.raises(ModelError, match=message):
        StagedAdapter(module, INFO, boundaries, [module.units, module.paint])


# --------------------------------------------------------------------------------------- latents


def test_latent_conventions_are_numpy_streams(generator: StagedAdapter) -> None:
    drawn = generator.latents([5, 2], seed=10, labels=[1, 0])
    want = np.stack([np.random.RandomState(10 + i).randn(3) for i in (5, 2)])
    assert torch.equal(drawn["z"], torch.from_numpy(want.astype(np.float32)))
    assert drawn["label"].tolist() == [1, 0]
    rows = np.random.RandomState(4).standard_normal((7, 3)).astype(np.float32)
    assert np.array_equal(sequence_latents([6, 0, 3], 3, 4), rows[[6, 0, 3]])
    assert seeds_latents([], 3, 0).shape == sequence_latents([], 3, 0).shape == (0, 3)
    with pytest.raises(UsageError, match="linear is conditional: give labels"):
        generator.latents([0])


def test_sequence_latents_do_not_depend_on_how_many_are_drawn() -> None:
    assert np.array_equal(
        sequence_latents([1023], 4, 1)[0], sequence_latents([1023, 5000], 4, 1)[0]
    )
    assert np.array_equal(
        sequence_latents([1024], 4, 1)[0], sequence_latents([70000, 1024], 4, 1)[1]
    )


# --------------------------------------------------------------- shapes of what edits are given


SQUARE = torch.arange(16.0).reshape(2, 2, 2, 2)
"""As many units as the map is wide: a row laid along the wrong axis has a shape that fits."""


def test_strengths_and_values_of_units_are_laid_along_the_units() -> None:
    strengths, values = torch.tensor([0.25, 1.0]), torch.tensor([8.0, -8.0])
    found = UnitEdit("r2", (0, 1), alpha=strengths, value=values)(SQUARE)
    for unit in (0, 1):
        alone = UnitEdit("r2", (unit,), float(strengths[unit]), float(values[unit]))(SQUARE)
        assert torch.equal(found[:, unit], alone[:, unit])
    half = torch.tensor([[1.0, 0.5], [0.0, 0.0]])
    masked = UnitEdit("r2", (0, 1), strengths, values, half)(SQUARE)
    assert torch.equal(masked[:, :, 0, 0], found[:, :, 0, 0])
    assert torch.equal(masked[:, :, 1], SQUARE[:, :, 1])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (UnitEdit("r2", (0,), alpha=torch.ones(2)), r"alpha at 'r2' has shape \(2,\).*\(1,\)"),
        (UnitEdit("r2", (0, 1), alpha=torch.ones(1)), r"alpha .* \(1,\).*\(2,\)"),
        (UnitEdit("r2", (0, 1), alpha=torch.ones(3, 2)), r"alpha .* \(3, 2\)"),
        (UnitEdit("r2", (0,), value=torch.ones(1, 1)), r"value .* \(1, 1\).*\(2, 1\)"),
        (UnitEdit("r2", (0, 1), value=torch.ones(2, 2, 1)), r"value .* \(2, 2, 1\)"),
        (UnitEdit("r2", (0,), mask=torch.ones(2)), r"mask .* \(2,\); allowed: \(2, 2\)"),
        (UnitEdit("r2", (0,), mask=torch.ones(2, 2, 2)), r"mask .* \(2, 2, 2\)"),
        (UnitEdit("r2", (0,), mask=torch.ones(1, 1, 2, 2)), r"mask .* \(2, 1, 2, 2\)"),
        (AddEdit("r2", torch.ones(2)), r"delta at 'r2' has shape \(2,\)"),
        (AddEdit("r2", torch.ones(2, 2)), r"delta at 'r2' has shape \(2, 2\)"),
        (AddEdit("r2", torch.ones(3, 1, 1)), r"delta .* \(3, 1, 1\)"),
        (AddEdit("r2", torch.ones(1, 2, 2, 2, 2)), r"delta .* \(1, 2, 2, 2, 2\)"),
    ],
)
def test_shapes_that_only_happen_to_fit_are_refused(edit: Edit, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edit(SQUARE)


def test_strengths_and_values_of_images_are_laid_along_images_and_units() -> None:
    strengths = torch.tensor([[0.25, 1.0], [0.5, 0.0]])
    values = torch.tensor([[8.0, -8.0], [3.0, 5.0]])
    found = UnitEdit("r2", (1, 0), alpha=strengths, value=values)(SQUARE)
    for k in (0, 1):
        alone = UnitEdit("r2", (1, 0), strengths[k], values[k])(SQUARE[k : k + 1])
        assert torch.equal(found[k : k + 1], alone)
    copied = UnitEdit("w", (1,), value=torch.tensor([[5.0], [6.0]]))(torch.zeros(2, 2))
    assert copied.tolist() == [[0.0, 5.0], [0.0, 6.0]]


def test_kept_maps_are_those_after_the_edits(generator: StagedAdapter) -> None:
    start = generator.begin(LATENT)
    _, edited = run(generator, start, edits=[UnitEdit("r2", (0,), value=7.0)], keep=["r2"])
    _, before = run(generator, start, keep=["r2"])
    assert flat(edited["r2"])[:, 0].tolist() == [7.0, 7.0]
    assert torch.equal(flat(before["r2"]), UNITS)


def test_a_vector_has_no_mask() -> None:
    with pytest.raises(UsageError, match=r"mask .* allowed: none, for a vector"):
        UnitEdit("w", (0,), mask=torch.ones(2, 2))(torch.ones(2, 2))
    assert UnitEdit("w", (0, 1), alpha=torch.tensor([1.0, 0.5]))(torch.ones(2, 2)).tolist() == [
        [0.0, 0.5],
        [0.0, 0.5],
    ]
