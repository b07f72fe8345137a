"""The conditional generators of PyTorch-GAN: ACGAN (convolutions) and cGAN (linear layers)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.models.conversion import convert_file
from seeingkit.models.loading import load_generator
from seeingkit.testing import check_generator, check_sites
from tests.adapters.test_dcgan import randomised
from tests.adapters.test_wrappers import CRITIC, prefixed
from tests.helpers.goldens import agree, golden

State = dict[str, Tensor]


@pytest.mark.parametrize(("name", "family"), [("acgan-r16", "dcgan"), ("cgan-mlp-r12", "mlp-gan")])
def test_images_and_activations_are_the_originals(shared: Path, name: str, family: str) -> None:
    case = golden(shared, "pytorch_gan", name)
    generator = load_generator("auto", weights=case.file())
    assert generator.info.family == family
    assert len(generator.info.class_names) == case.case["config"]["n_classes"]
    latent = {"z": case.arrays["in.z"], "label": case.arrays["in.label"]}
    agree(generator(latent), case.arrays["out.image"].expand(-1, 3, -1, -1))
    start = generator.begin({key: value[:1] for key, value in latent.items()})
    recorded = {key[4:]: value for key, value in case.arrays.items() if key.startswith("act.")}
    for boundary, value in recorded.items():
        agree(generator.advance(start, "fc0" if boundary == "l1" else boundary).x, value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["acgan-r16", "cgan-mlp-r12"])
def test_conformance(shared: Path, name: str) -> None:
    generator = load_generator("auto", weights=golden(shared, "pytorch_gan", name).file())
    check_generator(generator)
    check_sites(generator)


def convolutional(z: int, classes: int, side: int, colours: int) -> tuple[State, nn.ModuleDict]:
    """Tensors in the layout of acgan.py, and the parts that they are of."""
    blocks = nn.Sequential(
        *(nn.BatchNorm2d(128), nn.Upsample(scale_factor=2), nn.Conv2d(128, 128, 3, padding=1)),
        *(nn.BatchNorm2d(128, 0.8), nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2)),
        *(nn.Conv2d(128, 64, 3, padding=1), nn.BatchNorm2d(64, 0.8), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(64, colours, 3, padding=1), nn.Tanh()),
    )
    parts = nn.ModuleDict(
        {
            "label_emb": nn.Embedding(classes, z),
            "l1": nn.Sequential(nn.Linear(z, 128 * side * side)),
            "conv_blocks": blocks,
        }
    )
    return dict(randomised(parts).state_dict()), parts


def linear(z: int, classes: int, outputs: int) -> tuple[State, nn.ModuleDict]:
    """Tensors in the layout of cgan.py, and the parts that they are of."""
    layers: list[nn.Module] = [nn.Linear(z + classes, 128), nn.LeakyReLU(0.2)]
    for before, after in ((128, 256), (256, 512), (512, 1024)):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after, 0.8), nn.LeakyReLU(0.2)]
    layers += [nn.Linear(1024, outputs), nn.Tanh()]
    table = nn.Embedding(classes, classes)
    parts = nn.ModuleDict({"label_emb": table, "model": nn.Sequential(*layers)})
    return dict(randomised(parts).state_dict()), parts


def acgan_images(parts: nn.ModuleDict, z: Tensor, c: Tensor, side: int) -> Tensor:
    with torch.no_grad():
        x = parts["l1"](z * (c @ parts["label_emb"].weight))
        found: Tensor = parts["conv_blocks"](x.reshape(len(x), 128, side, side))
    return found.expand(-1, 3, -1, -1)


@pytest.mark.parametrize(("z", "classes", "side", "colours"), [(3, 4, 2, 1), (5, 2, 1, 3)])
def test_acgan_of_other_sizes(
    z: int, classes: int, side: int, colours: int, tmp_path: Path
) -> None:
    state, parts = convolutional(z, classes, side, colours)
    path = tmp_path / "g.pth"
    torch.save({"G": prefixed(state, "module."), "D": CRITIC}, path)
    generator = load_generator("auto", weights=path)
    assert generator.info.resolution == 4 * side
    assert any(text.startswith("condition=product of z") for text in generator.info.assumptions)
    latent = generator.latents([0, 1], labels=[1, 0])
    one_hot = F.one_hot(latent["label"], classes).float()
    agree(generator(latent), acgan_images(parts, latent["z"], one_hot, side))
    soft = {"z": latent["z"], "c": one_hot / 2}
    agree(generator(soft), acgan_images(parts, latent["z"], one_hot / 2, side))
    with pytest.raises(UsageError, match=f"whole numbers from 0 to {classes - 1}"):
        generator({"z": latent["z"], "label": torch.tensor([0, classes])})
    convert_file(path, tmp_path / "ours.safetensors")
    again = load_generator("auto", weights=tmp_path / "ours.safetensors")
    assert torch.equal(again(latent), generator(latent))
    assert again.info.assumptions == generator.info.assumptions
    with pytest.raises(UsageError, match="condition=none, but the file says product"):
        load_generator("auto", weights=tmp_path / "ours.safetensors", condition="none")


def test_sgan_does_not_use_its_table(tmp_path: Path) -> None:
    """The same keys as ACGAN's; only a person can tell."""
    state, parts = convolutional(3, 4, 1, 3)
    torch.save(state, tmp_path / "g.pth")
    generator = load_generator("auto", weights=tmp_path / "g.pth", condition="none")
    assert not generator.info.class_names
    z = generator.latents([0])["z"]
    with torch.no_grad():
        expected = parts["conv_blocks"](parts["l1"](z).reshape(1, 128, 1, 1))
    agree(generator({"z": z}), expected)


@pytest.mark.parametrize(("z", "classes", "colours"), [(4, 3, 1), (2, 5, 3)])
def test_cgan_of_other_sizes(z: int, classes: int, colours: int, tmp_path: Path) -> None:
    state, parts = linear(z, classes, colours * 64)
    torch.save({"state_dict": prefixed(state, "generator.")}, tmp_path / "g.ckpt")
    generator = load_generator("auto", weights=tmp_path / "g.ckpt")
    latent = generator.latents([0, 1], labels=[1, 0])
    assert latent["z"].shape == (2, z)
    with torch.no_grad():
        rows = parts["label_emb"](latent["label"])
        expected = parts["model"](torch.cat([rows, latent["z"]], 1)).reshape(2, colours, 8, 8)
    agree(generator(latent), expected.expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    "change",
    [
        {"label_emb.weight": torch.ones(4, 2)},
        {"other_emb.weight": torch.ones(4, 3), "label_emb.weight": None},
        {"second_emb.weight": torch.ones(4, 3)},
    ],
)
def test_other_tables_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    state, _ = convolutional(3, 4, 1, 3)
    changed = {key: value for key, value in {**state, **change}.items() if value is not None}
    torch.save(changed, tmp_path / "g.pth")
    with pytest.raises(StateMismatchError, match="looks like a table of classes"):
        load_generator("auto", weights=tmp_path / "g.pth")
    state, _ = linear(4, 3, 64)
    state["label_emb.weight"] = torch.ones(3, 2)
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(StateMismatchError, match="looks like a table of classes"):
        load_generator("auto", weights=tmp_path / "m.pth")


def test_the_option_is_for_these_files(tmp_path: Path) -> None:
    state, _ = convolutional(3, 4, 1, 3)
    del state["label_emb.weight"]
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(UsageError, match="condition=product is for files of PyTorch-GAN"):
        load_generator("auto", weights=tmp_path / "g.pth", condition="product")
