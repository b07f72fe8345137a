"""torch.hub's PGAN and DCGAN of pytorch_GAN_zoo: their record is data, and is followed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit.contracts import Generator
from seeingkit.errors import StateMismatchError, UnsafeFileError, UsageError
from seeingkit.models.conversion import convert_file
from seeingkit.models.loading import load_generator
from seeingkit.models.staged import ModuleGenerator
from seeingkit.testing import check_generator, check_sites
from seeingkit.weights import read_checkpoint
from seeingkit_adapters.gan_zoo import RECORD
from tests.helpers import gan_zoo_files as files
from tests.helpers.goldens import agree, golden

SIZES = (5, 4, 3)
ATTRIBUTES = {
    "Hair": {"order": 1, "values": ["dark", "fair", "red"]},
    "Age": {"order": 0, "values": ["young", "old"]},
}


def with_attributes(config: dict[str, Any], latent: int) -> dict[str, Any]:
    changed = {"attribKeysOrder": ATTRIBUTES, "categoryVectorDim": 5, "noiseVectorDim": latent - 5}
    return {**config, **changed}


def opened(path: Path, **options: Any) -> Generator:
    found = load_generator("auto", weights=path, **options)
    assert isinstance(found, Generator)
    return found


# ------------------------------------------------------------------------------- recorded numbers


@pytest.mark.parametrize("name", ["alpha-r16", "celeba-r32"])
def test_images_of_pgan_are_the_originals(shared: Path, name: str) -> None:
    case = golden(shared, "pgan_gan_zoo", name)
    latent = {"z": case.arrays["in.z"]}
    generator = opened(case.file())
    assert generator.info.family == "progan"
    assert "key=avgG, the running average of the weights" in generator.info.assumptions
    agree(generator(latent), case.arrays["out.image"])
    trained = opened(case.file(), key="netG")
    agree(trained(latent), case.arrays["out.image_netG"])
    assert not any(text.startswith("key=") for text in trained.info.assumptions)
    start = generator.begin(latent)
    last = generator.advance(start, f"r{generator.info.resolution}").x
    act = case.arrays[f"act.scaleLayers.{len(case.case['config']['depthOtherScales']) - 1}.1"]
    agree(last, torch.where(act < 0, 0.2 * act, act))


def test_images_of_dcgan_are_the_originals(shared: Path) -> None:
    case = golden(shared, "dcgan_gan_zoo", "r64")
    generator = opened(case.file())
    assert generator.info.family == "dcgan"
    assert "key=avgG, the running average of the weights" in generator.info.assumptions
    latent = {"z": case.arrays["in.z"]}
    agree(generator(latent), case.arrays["out.image"])
    agree(opened(case.file(), key="netG")(latent), case.arrays["out.image_netG"])
    start = generator.begin(latent)
    for key in ("formatLayer", "main.convTranspose1", "main.outlayer"):
        agree(generator.advance(start, key).x, case.arrays[f"act.{key}"])


@pytest.mark.slow
def test_conformance(shared: Path) -> None:
    for name in ("celeba-r32", "alpha-r16"):
        generator = opened(golden(shared, "pgan_gan_zoo", name).file())
        check_generator(generator)
        check_sites(generator)


# -------------------------------------------------------------------------- other networks, by hand


@settings(max_examples=10)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple),
    alpha=st.sampled_from([0, 0.3, 1.0]),
    equalised=st.booleans(),
    leak=st.sampled_from([0.2, 0.0]),
    loss=st.sampled_from(["WGANGP", "Logistic", "DCGAN", "MSE"]),
    colours=st.sampled_from([1, 3]),
)
def test_pgan_is_what_its_record_says(
    sizes: tuple[int, ...],
    alpha: float,
    equalised: bool,
    leak: float,
    loss: str,
    colours: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    changes = {"alpha": alpha, "equalizedlR": equalised, "lossCriterion": loss}
    config = files.pgan_config(sizes, **changes, leakyReluLeak=leak, dimOutput=colours)
    state = files.pgan_state(sizes, colours)
    path = files.save(tmp_path_factory.mktemp("zoo") / "g.pth", config, netG=state)
    generator = opened(path)
    # In float64: of a few random units one may be next to nothing everywhere, and to bring it to
    # unit length then makes much of the rounding of float32.
    assert isinstance(generator, ModuleGenerator)
    generator.module.double()
    latent = {"z": generator.latents([0, 1])["z"].double()}
    exact = {name: value.double() for name, value in state.items()}
    expected = files.pgan_images(exact, latent["z"], config)
    agree(generator(latent), expected.expand(-1, 3, -1, -1))
    assert generator.info.channels == colours


@settings(max_examples=6)
@given(
    latent=st.integers(1, 5),
    width=st.integers(1, 3),
    depth=st.integers(1, 3),
    loss=st.sampled_from(["WGANGP", "Logistic", "DCGAN", "MSE"]),
)
def test_dcgan_is_what_its_record_says(
    latent: int, width: int, depth: int, loss: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = files.dcgan_config(latent, width, depth, lossCriterion=loss)
    state = files.dcgan_state(latent, width, depth)
    path = files.save(tmp_path_factory.mktemp("zoo") / "g.pth", config, netG=state)
    generator = opened(path)
    z = generator.latents([0, 1])["z"]
    agree(generator({"z": z}), files.dcgan_images(state, z, loss in ("DCGAN", "MSE")))
    final = "tanh" if loss in ("DCGAN", "MSE") else "none"
    assert generator.info.options["final"] == final


@pytest.mark.parametrize("kind", ["pgan", "dcgan"])
def test_attributes_are_classes(kind: str, tmp_path: Path) -> None:
    """Combinations of the values, in the record's order, as one-hot vectors after z."""
    if kind == "pgan":
        state = files.pgan_state((8, 4, 3))
        config = with_attributes(files.pgan_config((8, 4, 3)), 8)
    else:
        state = files.dcgan_state(8, 2, 1)
        config = with_attributes(files.dcgan_config(8, 2, 1), 8)
    generator = opened(files.save(tmp_path / "g.pth", config, netG=state))
    names = ("young dark", "young fair", "young red", "old dark", "old fair", "old red")
    assert generator.info.class_names == names
    latent = generator.latents([0, 1], labels=[4, 2])
    assert latent["z"].shape == (2, 3)
    vectors = torch.tensor([[0.0, 1, 0, 1, 0], [1, 0, 0, 0, 1]])
    x = torch.cat([latent["z"], vectors], 1)
    expected = (
        files.pgan_images(state, x, config)
        if kind == "pgan"
        else files.dcgan_images(state, x, tanh=True)
    )
    agree(generator(latent), expected)
    agree(generator({"z": latent["z"], "c": vectors}), expected)
    convert_file(tmp_path / "g.pth", tmp_path / "ours.safetensors")
    again = opened(tmp_path / "ours.safetensors")
    assert torch.equal(again(latent), generator(latent))
    assert again.info.class_names == names
    with pytest.raises(UsageError, match="from 0 to 5"):
        generator({"z": latent["z"]})


# ------------------------------------------------------------------------- containers and wrappers


def test_older_names_and_plain_dicts(tmp_path: Path) -> None:
    """Before the layers were wrapped; and a record that somebody saved again as a dict."""
    state = files.pgan_state(SIZES)
    config = files.pgan_config(SIZES, lossCriterion="DCGAN")
    generator = opened(files.save(tmp_path / "g.pth", config, netG=state))
    latent = generator.latents([0, 1])
    older = {key.replace(".module.", "."): value for key, value in state.items()}
    for name, content in {
        "older": older,
        "parallel": {f"module.{k}": v for k, v in state.items()},
    }.items():
        torch.save({"model": {"config": config, "netG": content}}, tmp_path / f"{name}.pth")
        assert torch.equal(opened(tmp_path / f"{name}.pth")(latent), generator(latent))
    convert_file(tmp_path / "g.pth", tmp_path / "ours.safetensors")
    assert torch.equal(opened(tmp_path / "ours.safetensors")(latent), generator(latent))


def test_safetensors_lose_the_order_of_the_layers(tmp_path: Path) -> None:
    state = files.dcgan_state(4, 2, 2)
    safetensors.torch.save_file(state, tmp_path / "g.safetensors")
    generator = opened(tmp_path / "g.safetensors", final="tanh")
    z = generator.latents([0])["z"]
    agree(generator({"z": z}), files.dcgan_images(state, z, tanh=True))


# ----------------------------------------------------------------------- without and against record


@pytest.mark.parametrize(
    "state", [files.pgan_state(SIZES), files.dcgan_state(4, 2, 2)], ids=["pgan", "dcgan"]
)
def test_the_last_activation_is_asked_for_without_a_record(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({"netG": state}, tmp_path / "g.pth")
    with pytest.raises(UsageError, match=r"without its config, .*final=tanh"):
        opened(tmp_path / "g.pth")
    plain = opened(tmp_path / "g.pth", final="none")
    bounded = opened(tmp_path / "g.pth", final="tanh")
    latent = plain.latents([0, 1])
    agree(bounded(latent), plain(latent).tanh())


def test_blending_is_an_option_without_a_record(tmp_path: Path) -> None:
    state = files.pgan_state(SIZES)
    torch.save(state, tmp_path / "g.pth")
    plain = opened(tmp_path / "g.pth", final="none")
    assert any(text.startswith("alpha=0") for text in plain.info.assumptions)
    blended = opened(tmp_path / "g.pth", final="none", alpha=0.3)
    assert not any(text.startswith("alpha=") for text in blended.info.assumptions)
    z = plain.latents([0])["z"]
    config = files.pgan_config(SIZES, alpha=0.3)
    agree(blended({"z": z}), files.pgan_images(state, z, config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lossCriterion": "Hinge"}, "lossCriterion is 'Hinge', not one of DCGAN, MSE"),
        ({"lossCriterion": 3}, "lossCriterion is 3"),
        ({"depthOtherScales": [4]}, r"depthOtherScales is \[4\], but the tensors have \[3\]"),
        ({"latentVectorDim": 6}, "latentVectorDim is 6, but the tensors have 5"),
        ({"perChannelNormalization": False}, "perChannelNormalization is off"),
        ({"alpha": 2}, "alpha is 2, not 0 to 1"),
        ({"alpha": "x"}, "alpha is 'x', not a number"),
        ({"leakyReluLeak": None}, "leakyReluLeak is None, not a number"),
        ({"equalizedlR": 1}, "equalizedlR is 1, not a bool"),
        ({"categoryVectorDim": 2}, "categoryVectorDim 2; the network takes 5 numbers"),
        ({"attribKeysOrder": [1]}, "attribKeysOrder is no dict of attributes"),
        ({"attribKeysOrder": {"a": {"order": 1, "values": [1]}}}, "attribKeysOrder is no dict"),
        ({"attribKeysOrder": {"a": {"order": 0, "values": [1, 1]}}}, "attribKeysOrder is no dict"),
    ],
)
def test_records_that_contradict_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = files.pgan_config(SIZES, **change)
    path = files.save(tmp_path / "g.pth", config, netG=files.pgan_state(SIZES))
    with pytest.raises(StateMismatchError, match=message) as refused:
        opened(path)
    assert str(refused.value).startswith(str(path))


def test_what_a_record_lacks_has_the_codes_default(tmp_path: Path) -> None:
    config = files.pgan_config(SIZES)
    whole = opened(files.save(tmp_path / "g.pth", config, netG=files.pgan_state(SIZES)))
    short = {key: config[key] for key in ("lossCriterion", "depthScale0")}
    part = opened(files.save(tmp_path / "g.pth", short, netG=files.pgan_state(SIZES)))
    latent = whole.latents([0])
    assert torch.equal(part(latent), whole(latent))
    said = [text for text in part.info.assumptions if "does not say it" in text]
    assert len(said) == 4 and said[1].startswith("leakyReluLeak=0.2")


def test_options_against_the_record_are_refused(tmp_path: Path) -> None:
    config = files.pgan_config(SIZES)
    path = files.save(tmp_path / "g.pth", config, netG=files.pgan_state(SIZES))
    with pytest.raises(UsageError, match="final=tanh, but the file's config says none"):
        opened(path, final="tanh")
    opened(path, final="none", alpha=0.0)
    dcgan = {**files.dcgan_config(4, 2, 2), "depth": 5}
    path = files.save(tmp_path / "d.pth", dcgan, netG=files.dcgan_state(4, 2, 2))
    with pytest.raises(StateMismatchError, match="depth is 5, but the tensors have 2"):
        opened(path)
    with pytest.raises(UsageError, match="final=none, but the file's config says tanh"):
        opened(path, final="none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"toRGBLayers.0.module.bias": None}, "missing keys toRGBLayers.0.bias"),
        ({"extra.module.weight": torch.ones(1)}, "unexpected keys extra.weight"),
        ({"scaleLayers.0.1.module.weight": torch.ones(3, 2, 3, 3)}, "has shape"),
        ({"formatLayer.weight": torch.ones(64, 5)}, "with .module and without"),
        ({"toRGBLayers.1.module.bias": torch.tensor([0.0, float("inf"), 0])}, "NaN or Inf"),
    ],
)
def test_misfits_are_refused_by_name(
    change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    state = {k: v for k, v in {**files.pgan_state(SIZES), **change}.items() if v is not None}
    path = files.save(tmp_path / "g.pth", files.pgan_config(SIZES), netG=state)
    with pytest.raises(StateMismatchError, match=message):
        opened(path)


# ------------------------------------------------------------------------------ the record is data


def test_the_record_is_one_exact_name_and_data(tmp_path: Path) -> None:
    path = files.save(tmp_path / "g.pth", {"lossCriterion": "MSE"})
    found = read_checkpoint(path).content["config"]
    assert (found.kind, found.state) == (RECORD, {"lossCriterion": "MSE"})
    for near in ("models.utils.config.getConfigFromDict", "models.utils.config.baseConfig"):
        module, _, name = near.rpartition(".")
        text = b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n)\x81."
        (tmp_path / "near.pkl").write_bytes(text)
        with pytest.raises(UnsafeFileError, match=near):
            read_checkpoint(tmp_path / "near.pkl")
    assert RECORD not in pickle.dumps({}).decode("latin-1")
