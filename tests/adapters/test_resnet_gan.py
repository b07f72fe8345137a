"""Residual generators: equal to the originals on what they recorded, and to a reading by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.models.conversion import convert_file
from seeingkit.models.loading import load_generator
from seeingkit.testing import check_generator, check_sites
from seeingkit.weights import read_checkpoint
from seeingkit_adapters.catalog.resnet_gan import ResNetGANOptions
from seeingkit_adapters.resnet_gan.generator import ResNetGAN, load, recognise
from tests.helpers import resnet_gans_by_hand as by_hand
from tests.helpers.goldens import Golden, agree, golden
from tests.helpers.resnet_gans_by_hand import Recipe

GOLDENS: dict[tuple[str, str], dict[str, Any]] = {
    ("mimicry", "cganpd-r32-cond"): {},
    ("mimicry", "dcgan-cifar-r32"): {"final": "sigmoid"},
    ("mimicry", "sagan-r32-cond"): {},
    ("mimicry", "sngan-r32"): {},
    ("studiogan", "big_resnet-cbn-sn-attn-r32"): {},
    ("studiogan", "resnet-cbn-sn-attn-r32"): {},
    ("studiogan", "resnet-uncond-r32"): {},
    ("wgan_gp_resnet", "r16"): {},
}
"""Family, case, and the options for what its README says is not in the file."""


def inputs(case: Golden) -> dict[str, Tensor]:
    return {key[3:]: value for key, value in case.arrays.items() if key.startswith("in.")}


def opened(path: Path, state: dict[str, Any], **options: Any) -> ResNetGAN:
    torch.save(state, path)
    return load(path, ResNetGANOptions(**options))


# ------------------------------------------------------------------------------- recorded numbers


@pytest.mark.parametrize(("family", "name"), GOLDENS)
def test_images_and_activations_are_the_originals(shared: Path, family: str, name: str) -> None:
    case, options = golden(shared, family, name), GOLDENS[family, name]
    generator = load_generator("auto", weights=case.file(), **options)
    assert generator.info.family == "resnet-gan"
    expected = case.arrays["out.image"]
    agree(generator(inputs(case)), 2 * expected - 1 if options else expected)
    recorded = {key[4:]: value for key, value in case.arrays.items() if key.startswith("act.")}
    start = generator.begin({key: value[:1] for key, value in inputs(case).items()})
    for boundary, value in recorded.items():
        agree(generator.advance(start, boundary).x.reshape(value.shape), value)
    assert len(recorded) == len(generator.boundaries) - 3  # all but input, output.norm and image
    classes = case.case["config"].get("classes", case.case["config"].get("num_classes", 0))
    assert len(generator.info.class_names) == classes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "name"),
    [("mimicry", "sagan-r32-cond"), ("studiogan", "big_resnet-cbn-sn-attn-r32")],
)
def test_conformance(shared: Path, family: str, name: str) -> None:
    generator = load_generator("auto", weights=golden(shared, family, name).file())
    check_generator(generator)
    check_sites(generator)


def test_boundaries_are_named_by_meaning(shared: Path) -> None:
    generator = load_generator(weights=golden(shared, "mimicry", "sagan-r32-cond").file())
    names = "input r4.linear r8.b0 r16.b0 r16.attention r32.b0 output.norm image"
    assert " ".join(b.name for b in generator.boundaries) == names
    assert generator.boundary("r16").name == generator.boundary("attn_block").name
    assert generator.boundary("b5").name == "output.norm"


# -------------------------------------------------------------------------- other networks, by hand


def latent_of(recipe: Recipe) -> tuple[Tensor, Tensor | None]:
    draw = torch.Generator().manual_seed(recipe.seed + 1)
    label = torch.arange(3) % recipe.classes if recipe.classes else None
    return torch.randn(3, recipe.z_dim, generator=draw), label


def check_by_hand(recipe: Recipe, path: Path, **options: Any) -> ResNetGAN:
    state = by_hand.state(recipe)
    generator = opened(path, state, **options)
    z, label = latent_of(recipe)
    latent = {"z": z} if label is None else {"z": z, "label": label}
    agree(generator(latent), by_hand.images(recipe, state, z, label))
    assert generator.info.channels == recipe.colours
    return generator


@pytest.mark.parametrize("recipe", by_hand.recipes(), ids=str)
def test_every_kind_of_network(recipe: Recipe, tmp_path: Path) -> None:
    generator = check_by_hand(recipe, tmp_path / "g.pth")
    converted = tmp_path / "ours.safetensors"
    convert_file(tmp_path / "g.pth", converted)
    again = load_generator(weights=converted)
    latent = generator.latents([0, 1], labels=[0, 1] if recipe.classes else None)
    assert torch.equal(again(latent), generator(latent))
    assert again.info.assumptions == generator.info.assumptions
    assert again.info.options == generator.info.options


def rounding(recipe: Recipe) -> float:
    """How far images by hand are in float32 from those in float64.

    Random weights divided by random spectral norms can magnify it without bound.
    """
    state = by_hand.state(recipe)
    z, label = latent_of(recipe)
    double = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    exact = by_hand.images(recipe, double, z.double(), label)
    return float((by_hand.images(recipe, state, z, label) - exact).abs().max())


WIDTHS = st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple)


@settings(max_examples=12)
@given(
    recipe=st.one_of(
        st.builds(
            Recipe,
            layout=st.just("mimicry"),
            widths=st.lists(st.sampled_from([2, 3, 5]), min_size=3, max_size=5).map(tuple),
            bottom=st.integers(1, 3),
            classes=st.integers(0, 3),
            spectral=st.sampled_from(["none", "stored", "iterated"]),
            seed=st.integers(0, 99),
        ),
        st.builds(
            Recipe,
            layout=st.just("StudioGAN"),
            widths=WIDTHS,
            classes=st.integers(1, 4),
            spectral=st.sampled_from(["none", "stored"]),
            chunk=st.integers(1, 3),
            shared=st.integers(1, 3),
            seed=st.integers(0, 99),
        ),
        st.builds(Recipe, layout=st.just("WGAN-GP"), widths=WIDTHS, z=st.integers(1, 9)),
    )
)
def test_any_network(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(rounding(recipe) < 1e-5)
    check_by_hand(recipe, tmp_path_factory.mktemp("any") / "g.pth")


def test_soft_classes_mix_tables(tmp_path: Path) -> None:
    recipe = by_hand.recipes()[1]
    generator = opened(tmp_path / "g.pth", by_hand.state(recipe))
    z, label = latent_of(recipe)
    hard = generator({"z": z, "label": label})
    one_hot = torch.eye(recipe.classes)[label]
    agree(generator({"z": z, "c": one_hot}), hard)
    mixed = generator({"z": z, "c": one_hot.flip(0) * 0.5 + one_hot * 0.5})
    assert float((mixed - hard).abs().max()) > 1e-3
    with pytest.raises(UsageError, match="give either label"):
        generator({"z": z})
    with pytest.raises(UsageError, match="whole numbers from 0 to 2"):
        generator({"z": z, "label": torch.tensor([0, 1, 3])})


# ------------------------------------------------------------- what files do not say, and options


def test_options_stand_for_what_was_assumed(tmp_path: Path) -> None:
    state = by_hand.state(Recipe("mimicry", (4, 4, 4), 2))
    plain = opened(tmp_path / "g.pth", state)
    said = [text.partition("=")[0] for text in plain.info.assumptions]
    assert said[:4] == ["activation", "final", "eps", "upsampling"]
    z = plain.latents([0, 1])
    told = {"activation": "leaky", "final": "none", "eps": 0.5, "upsampling": "nearest"}
    for name, value in told.items():
        generator = opened(tmp_path / "g.pth", state, **{name: value})
        assert not any(text.startswith(f"{name}=") for text in generator.info.assumptions)
        assert generator.info.options[name] == value
        assert float((generator(z) - plain(z)).abs().max()) > 1e-3
    sigmoid = opened(tmp_path / "g.pth", state, final="sigmoid")
    values = opened(tmp_path / "g.pth", state, final="none")(z)
    agree(sigmoid(z), 2 * torch.sigmoid(values) - 1)


def test_attention_of_mimicry_stands_where_the_published_one_does_or_is_asked_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "g.pth"
    check_by_hand(Recipe("mimicry", (8, 8, 8, 8), 1, attention=2), path)  # of three: after two
    recipe = Recipe("mimicry", (8, 8, 8), 1, attention=1)
    with pytest.raises(UsageError, match="fits after 1, 2 blocks, .* give attention="):
        check_by_hand(recipe, path)
    check_by_hand(recipe, path, attention=1)
    check_by_hand(Recipe("mimicry", (8, 8, 8), 1, attention=2), path, attention=2)
    unique = Recipe("mimicry", (4, 4, 16, 4), 1, attention=2)
    check_by_hand(unique, path)
    with pytest.raises(UsageError, match=r"attention=1: attn_block takes 16 .* after block 2"):
        check_by_hand(unique, path, attention=1)
    with pytest.raises(UsageError, match="attention=1, but the file has none"):
        check_by_hand(Recipe("mimicry", (4, 4, 4), 1), path, attention=1)


def test_a_piece_of_z_or_a_class_is_asked_for_where_both_fit(tmp_path: Path) -> None:
    path = tmp_path / "g.pth"
    in_pieces = Recipe("StudioGAN", (4, 4, 2), 2, chunk=3)
    said = check_by_hand(in_pieces, path).info.assumptions
    assert any(text.startswith("condition=chunks, z of 9 numbers") for text in said)
    told = check_by_hand(in_pieces, path, condition="chunks").info.assumptions
    assert not any(text.startswith("condition=") for text in told)
    check_by_hand(Recipe("StudioGAN", (4, 4), 2, classes=3, z=3), path, condition="class")
    with pytest.raises(UsageError, match=r"take 64 numbers each: .*=class.*=chunks"):
        check_by_hand(Recipe("StudioGAN", (4, 4), 2, classes=64, z=64), path)
    with pytest.raises(UsageError, match="condition=chunks, but its keys are those of cond"):
        check_by_hand(
            Recipe("StudioGAN", (4, 4), 2, classes=3, z=4), tmp_path / "g.pth", condition="chunks"
        )


def test_blocks_of_mimicry_without_shortcut_do_not_enlarge(tmp_path: Path) -> None:
    """As those of its CGANPDGenerator128, whose images are as small as its first map."""
    recipe = Recipe("mimicry", (4, 4, 2), 4, classes=2)
    state = by_hand.state(recipe)
    for leaf in ("weight", "bias"):
        del state[f"block2.c_sc.{leaf}"]
    generator = opened(tmp_path / "g.pth", state)
    assert generator.info.resolution == 4
    assert "no block enlarges its map" in " ".join(generator.info.assumptions)
    mixed = by_hand.state(Recipe("mimicry", (4, 4, 4), 4))
    for leaf in ("weight", "bias"):
        del mixed[f"block2.c_sc.{leaf}"]
    with pytest.raises(StateMismatchError, match="block2 has no shortcut convolution, so it does"):
        opened(tmp_path / "g.pth", mixed)


@pytest.mark.parametrize(
    ("recipe", "change", "message"),
    [
        (0, {"block3.c2.weight": None}, "missing key block3.c2.weight"),
        (0, {"block2.c1.weight": torch.ones(4, 5, 3, 3)}, "holds? .*|l1.weight gives 96 values"),
        (0, {"l1.more": torch.ones(2)}, "unexpected keys l1.more"),
        (0, {"b4.running_var": -torch.ones(4)}, "b4.running_var holds negative variances"),
        (0, {"c4.weight": torch.ones(4, 4, 3, 3)}, r"of 4 channels \(RGBA\) are not"),
        (1, {"l1.sn_u": torch.ones(1, 3)}, r"vectors of its spectral norm \(3, 1\), expected"),
        (1, {"l1.sn_sigma": None}, "missing key l1.sn_sigma"),
        (2, {"l1.weight_v": None}, "missing key l1.weight_v"),
        (2, {"l1.weight": torch.ones(16, 5)}, "l1.weight is there twice, with a spectral norm"),
        (2, {"l1.weight_u": torch.zeros(16)}, "l1.weight has spectral norm 0"),
        (3, {"info_mix_linear.weight": torch.ones(2, 2)}, "codes of InfoGAN"),
        (3, {"blocks.0.0.conv2d3.weight_orig": torch.ones(2, 2)}, "weight_u"),
        (4, {"shared.weight": torch.ones(4, 3)}, "do not fit together"),
        (6, {"rb1.conv_1.conv.conv.bias": torch.ones(4)}, "unexpected keys rb1.conv_1.conv.conv.b"),
    ],
)
def test_misfits_are_refused_by_name(
    recipe: int, change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    state = by_hand.state(by_hand.recipes()[recipe])
    changed = {k: v for k, v in {**state, **change}.items() if v is not None}
    with pytest.raises(StateMismatchError, match=message) as refused:
        opened(tmp_path / "g.pth", changed)
    assert str(refused.value).startswith(str(tmp_path / "g.pth"))


def test_options_of_other_layouts_are_refused(tmp_path: Path) -> None:
    state = by_hand.state(by_hand.recipes()[6])
    with pytest.raises(UsageError, match="attention is for mimicry files, this is WGAN-GP"):
        opened(tmp_path / "g.pth", state, attention=1)
    torch.save({"w": torch.ones(2)}, tmp_path / "none.pth")
    with pytest.raises(StateMismatchError, match="not a residual generator"):
        load(tmp_path / "none.pth", ResNetGANOptions())
    assert recognise(read_checkpoint(tmp_path / "none.pth")) is None
