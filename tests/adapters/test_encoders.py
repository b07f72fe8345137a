"""ALI and small BigBiGANs with their encoders: equal to the originals, in every wrapper."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

import seeingkit
from seeingkit.contracts import Generator, ModelEncoder
from seeingkit.errors import StateMismatchError, UsageError, WeightsError
from seeingkit.models.conversion import convert_file
from seeingkit.models.encoders import load_encoder
from seeingkit.models.inspection import inspect_file
from seeingkit.models.recognition import recognise
from seeingkit.models.registry import registry
from seeingkit.testing import check_encoder, check_generator, check_sites
from tests.helpers import encoders_by_hand as by_hand
from tests.helpers.goldens import agree, golden

State = dict[str, Tensor]
Z = torch.randn(3, 5, generator=torch.Generator().manual_seed(8))


def opened(path: Path, **options: Any) -> Generator:
    found = seeingkit.load_generator(weights=path, **options)
    assert isinstance(found, Generator)
    return found


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def prefixed(state: Mapping[str, Tensor], prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


def noise(size: int, colours: int = 3, rows: int = 2) -> Tensor:
    source = torch.Generator().manual_seed(3)
    return (torch.rand(rows, colours, size, size, generator=source) * 2 - 1).expand(-1, 3, -1, -1)


# ------------------------------------------------------------------------------- recorded numbers


def test_ali_is_the_original(shared: Path) -> None:
    case = golden(shared, "ali_9310gaurav", "latent8")
    generator = opened(case.file("netG_epoch_90.pth"))
    latent = {"z": case.arrays["in.z"]}
    agree((generator(latent) + 1) / 2, case.arrays["out.image"])
    start = generator.begin({"z": case.arrays["in.z"][:1]})
    for name in ("main.0", "main.8", "main.18"):
        agree(generator.advance(start, name).x, case.arrays[f"act.G.{name}"])
    encoder = load_encoder(generator=generator)  # beside it, under the training's own name
    found = encoder.encode(2 * case.arrays["in.image"] - 1)
    agree(found.mean, case.arrays["out.mean"])
    assert found.std is not None
    agree(found.std.log(), case.arrays["out.log_sigma"])
    agree((generator({"z": found.mean}) + 1) / 2, case.arrays["out.image_of_mean"])


def test_small_bigbigan_is_the_original(shared: Path) -> None:
    case = golden(shared, "bigbigan_small", "gray-r32")
    generator = opened(case.file())
    latent = {"z": case.arrays["in.z"], "label": case.arrays["in.label"]}
    agree((generator(latent)[:, :1] + 1) / 2, case.arrays["out.image"])
    start = generator.begin({name: value[:1] for name, value in latent.items()})
    for name in ("linear", "pre_up_blocks.0", "non_loc", "post_up_blocks.0"):
        expected = case.arrays[f"act.generator.{name}"]
        agree(generator.advance(start, name).x.reshape(expected.shape), expected)
    encoder = load_encoder(weights=case.file(), generator=generator)
    found = encoder.encode(case.arrays["in.image"].expand(-1, 3, -1, -1))
    agree(found.mean, case.arrays["out.mean"])
    assert found.std is not None
    agree(found.std, case.arrays["out.std"])
    images = generator({**latent, "z": found.mean})
    agree((images[:, :1] + 1) / 2, case.arrays["out.image_of_mean"])


# ----------------------------------------------------------------------- other cases of the formats


@pytest.mark.parametrize(("latent", "colours", "seed"), [(5, 3, 0), (1, 3, 1), (12, 1, 2)])
def test_ali_of_other_sizes(tmp_path: Path, latent: int, colours: int, seed: int) -> None:
    state = by_hand.ali_generator(latent, seed, colours)
    generator = opened(saved(tmp_path / "g.pth", state))
    z = torch.randn(3, latent, generator=torch.Generator().manual_seed(8))
    agree(generator({"z": z}), (2 * by_hand.ali_image(state, z) - 1).expand(-1, 3, -1, -1))
    made = by_hand.ali_encoder(2 * latent, seed, colours)
    encoder = load_encoder(weights=saved(tmp_path / "e.pth", made), generator=generator)
    images = noise(32, colours)
    expected = by_hand.ali_outputs(made, (images[:, :colours] + 1) / 2)
    found = encoder.encode(images)
    agree(found.mean, expected[:, :latent])
    assert found.std is not None
    agree(found.std, expected[:, latent:].exp())


RECIPES = {
    "grey": by_hand.Recipe(),
    "colour, plain weights": by_hand.Recipe(colours=3, spectral=False),
    "without classes": by_hand.Recipe(classes=0, piece=3),
    "64 pixels": by_hand.Recipe(pre=(12, 10, 9), post=(4,), blocks=(6, 6, 12, 12, 24, 24)),
    "two blocks after attention": by_hand.Recipe(pre=(8,), post=(8, 4), blocks=(4, 4)),
    "an odd number of blocks": by_hand.Recipe(blocks=(4, 4, 8)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_bigbigans_of_other_sizes(tmp_path: Path, name: str) -> None:
    recipe = RECIPES[name]
    state = by_hand.bigbigan(recipe)
    path = saved(tmp_path / "checkpoint_50.pth", state)
    generator = opened(path)
    z = torch.randn(3, recipe.z_dim, generator=torch.Generator().manual_seed(8))
    label = torch.tensor([2, 0, 1]) if recipe.classes else None
    latent = {"z": z} if label is None else {"z": z, "label": label}
    expected = 2 * by_hand.bigbigan_image(state, recipe, z, label) - 1
    agree(generator(latent), expected.expand(-1, 3, -1, -1))
    assert len(generator.info.class_names) == recipe.classes
    images = noise(recipe.size, recipe.colours)
    encoder = load_encoder(generator=generator)
    for low, found in ((-1, encoder), (0, load_encoder(generator=generator, range="0..1"))):
        own = images[:, : recipe.colours] if low else (images[:, : recipe.colours] + 1) / 2
        mean, std = by_hand.bigbigan_posterior(state, recipe, own)
        posterior = found.encode(images)
        agree(posterior.mean, mean)
        assert posterior.std is not None
        agree(posterior.std, std)


def test_z_is_cut_off_as_in_training(tmp_path: Path) -> None:
    path = saved(tmp_path / "g.pth", by_hand.bigbigan(by_hand.Recipe()))
    drawn = opened(path).latents(range(500), labels=[0] * 500)["z"]
    narrow = opened(path, truncation=0.5).latents(range(500), labels=[0] * 500)["z"]
    assert 0.95 < float(drawn.abs().max()) <= 1 and 0.47 < float(narrow.abs().max()) <= 0.5
    assert "cut off at 1, as the published code" in opened(path).info.assumptions[-1]


# --------------------------------------------------------------------------------------- wrappers


WRAPPERS: dict[str, Callable[[State, State], object]] = {
    "bare": lambda state, _: state,
    "DataParallel": lambda state, _: prefixed(state, "module."),
    "compiled": lambda state, _: prefixed(state, "_orig_mod."),
    "state_dict": lambda state, _: {"state_dict": prefixed(state, "module."), "epoch": 3},
    "Lightning": lambda state, _: {"state_dict": prefixed(state, "model.")},
    "average": lambda state, other: {"model": other, "model_ema": state},
    "double": lambda state, _: {
        k: v.double() if v.is_floating_point() else v for k, v in state.items()
    },
    "without counters": lambda state, _: {
        k: v for k, v in state.items() if not k.endswith("num_batches_tracked")
    },
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_bigbigan_in_any_wrapper(tmp_path: Path, wrapper: str) -> None:
    recipe = by_hand.Recipe()
    state, other = by_hand.bigbigan(recipe), by_hand.bigbigan(recipe, seed=1)
    generator = opened(saved(tmp_path / "g.pth", WRAPPERS[wrapper](state, other)))
    latent = generator.latents([0, 1], labels=[1, 2])
    expected = 2 * by_hand.bigbigan_image(state, recipe, latent["z"], latent["label"]) - 1
    agree(generator(latent)[:, :1], expected)
    images = noise(recipe.size, 1)
    mean, _ = by_hand.bigbigan_posterior(state, recipe, images[:, :1])
    agree(load_encoder(generator=generator).estimate(images)[0], mean)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_ali_in_any_wrapper(tmp_path: Path, wrapper: str) -> None:
    state, made = by_hand.ali_generator(), by_hand.ali_encoder()
    others = by_hand.ali_generator(seed=5), by_hand.ali_encoder(seed=6)
    path = saved(tmp_path / "netE_epoch_9.pth", WRAPPERS[wrapper](made, others[1]))
    generator = opened(saved(tmp_path / "netG_epoch_9.pth", WRAPPERS[wrapper](state, others[0])))
    agree(generator({"z": Z}), 2 * by_hand.ali_image(state, Z) - 1)
    images = noise(32)
    expected = by_hand.ali_outputs(made, (images + 1) / 2)[:, :5]
    for encoder in (load_encoder(weights=path), load_encoder(generator=generator)):
        agree(encoder.estimate(images)[0], expected)


def test_both_networks_of_ali_in_one_file(tmp_path: Path) -> None:
    state, made = by_hand.ali_generator(), by_hand.ali_encoder()
    content = {"netG": state, "netE": made, "netD": {"infer_x.0.weight": torch.ones(2, 3, 5, 5)}}
    generator = opened(saved(tmp_path / "all.pth", content))
    encoder = load_encoder(generator=generator)
    agree(encoder.estimate(noise(32))[0], by_hand.ali_outputs(made, (noise(32) + 1) / 2)[:, :5])
    assert not any("no file says so" in text for text in encoder.info.assumptions)


def test_safetensors_and_parts_alone(tmp_path: Path) -> None:
    recipe = by_hand.Recipe()
    state = by_hand.bigbigan(recipe)
    whole = tmp_path / "whole.safetensors"
    safetensors.torch.save_file(state, whole)
    encoder = load_encoder(generator=opened(whole))
    for prefix in ("encoder.", ""):
        part = {k.removeprefix("encoder."): v for k, v in state.items() if k[0] == "e"}
        path = saved(tmp_path / "e.pth", prefixed(part, prefix))
        with pytest.raises(UsageError, match="give size="):
            load_encoder(weights=path)
        alone = load_encoder(weights=path, size=32)
        agree(alone.estimate(noise(32))[0], encoder.estimate(noise(32))[0])
        assert load_encoder(weights=path, generator=opened(whole)).info.size == 32
    gan = {k: v for k, v in state.items() if k[0] == "g"}
    generator = opened(saved(tmp_path / "biggan.pth", gan))  # a BigGAN of the same code
    assert generator.own_encoder is None
    with pytest.raises(UsageError, match="no encoder came with bigbigan"):
        load_encoder(generator=generator)


# ------------------------------------------------------------------------------ whose encoder it is


def test_an_encoder_of_another_generator_is_refused(tmp_path: Path) -> None:
    recipe = by_hand.Recipe()
    first, second = (
        saved(tmp_path / f"{k}.pth", by_hand.bigbigan(recipe, seed=k)) for k in range(2)
    )
    generator = opened(first)
    with pytest.raises(StateMismatchError, match="trained together with another generator"):
        load_encoder(weights=second, generator=generator)
    ali = opened(saved(tmp_path / "netG.pth", by_hand.ali_generator()))
    with pytest.raises(StateMismatchError, match="an encoder of bigbigan, and the generator is"):
        load_encoder(weights=first, generator=ali)
    longer = saved(tmp_path / "netE.pth", by_hand.ali_encoder(outputs=14))
    with pytest.raises(StateMismatchError, match="14 outputs are neither a z of 5 numbers"):
        load_encoder(weights=longer, generator=ali)
    other = saved(tmp_path / "netE.pth", by_hand.ali_encoder())
    said = load_encoder(weights=other, generator=ali).info.assumptions
    assert "no file says so" in said[-1]


def test_a_converted_generator_keeps_its_encoder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays in the original, and is known by the generator's tensors, not by the file's hash."""
    path = saved(tmp_path / "g.pth", by_hand.bigbigan(by_hand.Recipe()))
    ours = tmp_path / "g.safetensors"
    convert_file(path, ours)
    assert "the encoder that came with the generator is not in it" in caplog.text
    generator = opened(ours)
    assert generator.own_encoder is None and generator.info.family == "bigbigan"
    latent = generator.latents([0], labels=[1])
    assert torch.equal(generator(latent), opened(path)(latent))
    encoder = load_encoder(weights=path, generator=generator)
    assert encoder.belongs_to(generator) is True
    with pytest.raises(StateMismatchError):
        load_encoder(weights=ours, generator=generator)


def test_ali_without_noise_gives_a_value(tmp_path: Path) -> None:
    """The file alone cannot tell 10 numbers from mean and log sigma of 5: z's length does."""
    made = by_hand.ali_encoder(outputs=10)
    path = saved(tmp_path / "e.pth", made)
    alone = load_encoder(weights=path)
    assert alone.info.stochastic and "latent=5: its 10 outputs" in alone.info.assumptions[1]
    generator = opened(saved(tmp_path / "g.pth", by_hand.ali_generator(latent=10)))
    encoder = load_encoder(weights=path, generator=generator)
    assert not encoder.info.stochastic and encoder.encode(noise(32)).std is None
    agree(encoder.estimate(noise(32))[0], by_hand.ali_outputs(made, (noise(32) + 1) / 2))


def test_the_encoder_beside_a_file_is_found_by_its_exact_name_alone(tmp_path: Path) -> None:
    state = by_hand.ali_generator()
    saved(tmp_path / "netE_epoch_8.pth", by_hand.ali_encoder())
    assert opened(saved(tmp_path / "netG_epoch_9.pth", state)).own_encoder is None
    assert opened(saved(tmp_path / "netG.pth", state)).own_encoder is None
    assert opened(saved(tmp_path / "netG_epoch_8.pth", state)).own_encoder is not None


# ------------------------------------------------------------------------------------ recognition


def test_files_are_taken_by_their_own_family_alone(shared: Path, tmp_path: Path) -> None:
    files = {
        "ali": saved(tmp_path / "a.pth", by_hand.ali_generator()),
        "bigbigan": saved(tmp_path / "b.pth", by_hand.bigbigan(by_hand.Recipe())),
    }
    for family, path in files.items():
        assert recognise(path, registry()).spec.name == family
    encoder = saved(tmp_path / "e.pth", by_hand.ali_encoder())
    with pytest.raises(StateMismatchError, match="read by the encoder ali .* with --encoder"):
        recognise(encoder, registry())
    with pytest.raises(StateMismatchError, match="no registered encoder reads this file"):
        load_encoder(weights=files["ali"])
    found = inspect_file(files["bigbigan"])
    assert [one["family"] for one in found["encoders"]] == ["bigbigan"] and found["loads"] == "yes"
    x1 = golden(shared, "bigbigan_x1", "r128").file()
    with pytest.raises(StateMismatchError, match="read by biggan"):
        seeingkit.load_generator("bigbigan", weights=x1)


def _without(key: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if k != key}


def _with(key: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: {k: change(v) if k == key else v for k, v in state.items()}


_BLOCK = "generator.pre_up_blocks.0"
FAULTS: list[tuple[str, Callable[[State], State], str]] = [
    ("ali", _without("main.7.bias"), "missing keys main.7.bias"),
    ("ali", lambda s: {**s, "main.20.weight": torch.ones(2)}, "unexpected keys main.20.weight"),
    ("ali", _with("main.6.weight", lambda w: w[..., :3, :3]), "kernels of 3x3, ALI's are 4x4"),
    ("ali", _with("output_bias", lambda b: b[:, :16]), "output_bias has shape"),
    ("ali", _with("main.3.weight", lambda w: w * torch.nan), "main.3.weight"),
    ("ali", _with("main.1.running_var", lambda v: -v), "negative variances"),
    ("bigbigan", _without(f"{_BLOCK}.conv1.layer.weight_v"), "missing keys .*conv1.layer.weight_v"),
    ("bigbigan", _without(f"{_BLOCK}.bn2.linear.bias"), "missing keys .*bn2.linear.bias"),
    ("bigbigan", _with("generator.linear.layer.weight_u", lambda u: 0 * u), "spectral norm 0"),
    ("bigbigan", _with(f"{_BLOCK}.bn1.bn.running_var", lambda v: -v), "negative variances"),
    (
        "bigbigan",
        lambda s: {**s, "generator.pre_up_blocks.5.extra": torch.ones(2)},
        "missing key pre_up_blocks.2",
    ),
    (
        "bigbigan",
        lambda s: {**s, "generator.pre_up_blocks.999999999.extra": torch.ones(2)},
        "unexpected keys pre_up_blocks.999999999.extra",
    ),
]


@pytest.mark.parametrize(("family", "damage", "message"), FAULTS)
def test_files_that_do_not_fit_are_refused_by_key(
    tmp_path: Path, family: str, damage: Callable[[State], State], message: str
) -> None:
    state = by_hand.ali_generator() if family == "ali" else by_hand.bigbigan(by_hand.Recipe())
    path = saved(tmp_path / "g.pth", damage(state))
    with pytest.raises(WeightsError, match=message):
        seeingkit.load_generator(family, weights=path)


ENCODER_FAULTS: list[tuple[Callable[[State], State], str]] = [
    (
        lambda s: {**s, "encoder.rev_blocks.999999999.x": torch.ones(1)},
        "unexpected keys rev_blocks.999999999.x",
    ),
    (_without("encoder.res_lin2.linear1.layer.bias"), "missing keys res_lin2.linear1.layer.bias"),
    (_with("encoder.linear_dist_params.weight", lambda w: w[:7]), "7 outputs are no means"),
    (_with("encoder.conv.weight", lambda w: w[:3]), "there are 3"),
    (
        lambda s: {**s, "encoder.rev_blocks.7.x": torch.ones(1)},
        "neither rev_blocks.5 nor rev_blocks.6 has",
    ),
]


@pytest.mark.parametrize(("damage", "message"), ENCODER_FAULTS)
def test_encoders_that_do_not_fit_are_refused_by_key(
    tmp_path: Path, damage: Callable[[State], State], message: str
) -> None:
    path = saved(tmp_path / "g.pth", damage(by_hand.bigbigan(by_hand.Recipe())))
    with pytest.raises(WeightsError, match=message):
        load_encoder(weights=path)


# ------------------------------------------------------------------------------------ conformance


def _pair(tmp_path: Path, family: str) -> tuple[Generator, ModelEncoder]:
    if family == "ali":
        saved(tmp_path / "netE_epoch_1.pth", by_hand.ali_encoder())
        generator = opened(saved(tmp_path / "netG_epoch_1.pth", by_hand.ali_generator()))
    else:
        recipe = by_hand.Recipe(colours=3)
        generator = opened(saved(tmp_path / "g.pth", by_hand.bigbigan(recipe)))
    return generator, load_encoder(generator=generator)


@pytest.mark.parametrize("family", ["ali", "bigbigan"])
def test_both_pass_the_kit(tmp_path: Path, family: str) -> None:
    generator, encoder = _pair(tmp_path, family)
    check_generator(generator)
    check_sites(generator)
    check_encoder(encoder)
    drawn = load_encoder(generator=generator, draw="sample", seed=4)
    check_encoder(drawn)
    assert drawn.identity() != encoder.identity()


def test_goldens_are_read_from_any_folder(shared: Path, tmp_path: Path) -> None:
    """The encoder beside a file is looked for where the file is, and only there."""
    case = golden(shared, "ali_9310gaurav", "latent8")
    shutil.copy(case.file("netG_epoch_90.pth"), tmp_path / "netG_epoch_90.pth")
    assert opened(tmp_path / "netG_epoch_90.pth").own_encoder is None
