"""SAGAN of heykeetae: equal to the original on what it recorded, whatever the order of the keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.errors import StateMismatchError, WeightsError
from seeingkit.models.conversion import convert_file
from seeingkit.models.loading import load_generator
from seeingkit.testing import check_generator, check_sites
from seeingkit.weights import read_checkpoint
from seeingkit_adapters.catalog.sagan import SAGANOptions
from seeingkit_adapters.sagan.generator import SAGAN, load, recognise
from tests.helpers.goldens import Golden, agree, golden

State = dict[str, Tensor]


def case_of(shared: Path) -> Golden:
    return golden(shared, "sagan_heykeetae", "conv8")


def small(z: int = 3, width: int = 8, colours: int = 3, seed: int = 0) -> State:
    """A random network in the layout, l4 first, with attention over ``width`` and half of it."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    widths = (z, 4, 4, 2 * width, width)
    state: State = {}
    for k in (4, 1, 2, 3):
        before, after = widths[k - 1 : k + 1]
        state[f"l{k}.0.module.bias"] = 0.1 * normal(after)
        state[f"l{k}.0.module.weight_u"] = F.normalize(normal(before), dim=0)
        state[f"l{k}.0.module.weight_v"] = F.normalize(normal(after * 16), dim=0)
        state[f"l{k}.0.module.weight_bar"] = normal(before, after, 4, 4)
        state[f"l{k}.1.weight"] = 1 + 0.2 * normal(after)
        state[f"l{k}.1.bias"] = 0.2 * normal(after)
        state[f"l{k}.1.running_mean"] = 0.1 * normal(after)
        state[f"l{k}.1.running_var"] = 0.5 + normal(after).square()
        state[f"l{k}.1.num_batches_tracked"] = torch.tensor(9)
    state["last.0.weight"] = 0.3 * normal(width, colours, 4, 4)
    state["last.0.bias"] = 0.1 * normal(colours)
    for name, channels in (("attn1", 2 * width), ("attn2", width)):
        state[f"{name}.gamma"] = torch.tensor([0.6])
        for part, count in (("query", channels // 8), ("key", channels // 8), ("value", channels)):
            state[f"{name}.{part}_conv.weight"] = 0.4 * normal(count, channels, 1, 1)
            state[f"{name}.{part}_conv.bias"] = 0.1 * normal(count)
    return state


def opened(path: Path, state: dict[str, Any], **options: Any) -> SAGAN:
    torch.save(state, path)
    return load(path, SAGANOptions(**options))


def by_hand(state: State, z: Tensor) -> Tensor:
    """Images of one row, key by key."""
    x = z[:, :, None, None]
    for k in (1, 2, 3, 4):
        name = f"l{k}.0.module"
        weight = state[f"{name}.weight_bar"]
        matrix, u = weight.flatten(1), state[f"{name}.weight_u"]
        v = matrix.T @ u / (matrix.T @ u).norm()
        u = matrix @ v / (matrix @ v).norm()
        stride, padding = (1, 0) if k == 1 else (2, 1)
        divided = weight / (u @ matrix @ v)
        x = F.conv_transpose2d(x, divided, state[f"{name}.bias"], stride, padding)
        norm = {leaf: state[f"l{k}.1.{leaf}"] for leaf in ("running_mean", "running_var")}
        x = F.batch_norm(x, **norm, weight=state[f"l{k}.1.weight"], bias=state[f"l{k}.1.bias"])
        x = F.relu(x)
        if k >= 3:
            name = f"attn{k - 2}"
            query, key, value = (
                F.conv2d(x, state[f"{name}.{p}_conv.weight"], state[f"{name}.{p}_conv.bias"])[0]
                for p in ("query", "key", "value")
            )
            share = torch.einsum("cij,ckl->ijkl", query, key).flatten(2).softmax(2)
            seen = torch.einsum("cn,ijn->cij", value.flatten(1), share)
            x = x + state[f"{name}.gamma"] * seen
    return torch.tanh(F.conv_transpose2d(x, state["last.0.weight"], state["last.0.bias"], 2, 1))


def test_images_and_activations_are_the_originals(shared: Path) -> None:
    case = case_of(shared)
    generator = load_generator("auto", weights=case.file())
    assert generator.info.family == "sagan"
    agree(generator({"z": case.arrays["in.z"]}), case.arrays["out.image"])
    start = generator.begin({"z": case.arrays["in.z"][:1]})
    recorded = {key[4:]: value for key, value in case.arrays.items() if key.startswith("act.")}
    assert len(recorded) == 6
    for boundary, value in recorded.items():
        agree(generator.advance(start, boundary).x, value)
    assert any("first call after loading" in text for text in generator.info.assumptions)


def test_calls_do_not_change_the_network(shared: Path) -> None:
    """The original iterates in every call, so that its second image is another one."""
    case = case_of(shared)
    generator = load_generator("auto", weights=case.file())
    first = generator({"z": case.arrays["in.z"]})
    assert torch.equal(generator({"z": case.arrays["in.z"]}), first)


@pytest.mark.slow
def test_conformance(tmp_path: Path) -> None:
    generator = opened(tmp_path / "g.pth", small())
    check_generator(generator)
    check_sites(generator)


@pytest.mark.parametrize(("z", "width", "colours"), [(1, 8, 3), (7, 16, 1)])
def test_other_networks_by_hand(z: int, width: int, colours: int, tmp_path: Path) -> None:
    state = small(z, width, colours, seed=z)
    generator = opened(tmp_path / "g.pth", state)
    latent = generator.latents([0, 1])
    expected = torch.cat([by_hand(state, row[None]) for row in latent["z"]])
    agree(generator(latent), expected.expand(-1, 3, -1, -1))
    assert generator.info.channels == colours


def test_other_orders_containers_and_older_torch(tmp_path: Path) -> None:
    state = small()
    generator = opened(tmp_path / "g.pth", state)
    latent = generator.latents([0, 1])
    expected = generator(latent)
    safetensors.torch.save_file(state, tmp_path / "g.safetensors")
    convert_file(tmp_path / "g.pth", tmp_path / "ours.safetensors")
    for name in ("g.safetensors", "ours.safetensors"):
        again = load_generator("auto", weights=tmp_path / name)
        assert torch.equal(again(latent), expected)
        assert again.info.assumptions == generator.info.assumptions
    old = {key: value for key, value in state.items() if "num_batches" not in key}
    assert torch.equal(opened(tmp_path / "g.pth", old)(latent), expected)


def test_options_stand_for_what_was_assumed(tmp_path: Path) -> None:
    plain = opened(tmp_path / "g.pth", small())
    z = plain.latents([0])
    for name, value in {"final": "none", "eps": 0.3}.items():
        told = opened(tmp_path / "g.pth", small(), **{name: value})
        assert not any(text.startswith(f"{name}=") for text in told.info.assumptions)
        assert float((told(z) - plain(z)).abs().max()) > 1e-3
    values = opened(tmp_path / "g.pth", small(), final="none")(z)
    agree(opened(tmp_path / "g.pth", small(), final="sigmoid")(z), 2 * values.sigmoid() - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l4.0.module.weight_bar": None}, "l4"),
        ({"attn2.key_conv.bias": None}, "missing keys attn2.key_conv.bias"),
        ({"l5.0.module.bias": torch.ones(2)}, "unexpected keys l5.0.module.bias"),
        ({"l2.0.module.weight_u": torch.ones(5)}, r"spectral norm \(5, 64\), expected \(4, 64\)"),
        ({"attn1.gamma": torch.ones(2)}, r"attn1.gamma has shape \(2,\)"),
        ({"last.0.weight": torch.ones(8, 4, 4, 4)}, r"of 4 channels \(RGBA\)"),
    ],
)
def test_misfits_are_refused_by_name(
    change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    changed = {k: v for k, v in {**small(), **change}.items() if v is not None}
    with pytest.raises(StateMismatchError, match=message):
        opened(tmp_path / "g.pth", changed)


def test_the_discriminator_is_not_claimed(tmp_path: Path) -> None:
    """It has attentions and normed layers of the same names, but no batch norm."""
    critic = {key: value for key, value in small().items() if ".1." not in key}
    torch.save(critic, tmp_path / "D.pth")
    assert recognise(read_checkpoint(tmp_path / "D.pth")) is None
    with pytest.raises(WeightsError, match="no family reads"):
        load_generator("auto", weights=tmp_path / "D.pth")
    both = {"D": critic, "G": small()}
    assert opened(tmp_path / "both.pth", both).info.options["key"] == "G"
