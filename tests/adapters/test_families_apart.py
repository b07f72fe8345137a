"""No file of one family is taken by another: every golden file, every recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from torch import nn

from seeingkit.errors import SeeingkitError, StateMismatchError, WeightsError
from seeingkit.models.inspection import inspect_file
from seeingkit.models.loading import load_generator
from seeingkit.models.recognition import claims_of, recognisers
from seeingkit.models.registry import registry
from seeingkit.weights import read_checkpoint
from tests.adapters.test_sagan import small as sagan
from tests.adapters.test_wrappers import CRITIC, prefixed
from tests.helpers import gan_zoo_files, resnet_gans_by_hand

FAMILIES = {
    "bigbigan_x1": "biggan",
    "biggan_ajbrock": "biggan",
    "biggan_hf": "biggan",
    "dcgan": "dcgan",
    "dcgan_gan_zoo": "dcgan",
    "mimicry": "resnet-gan",
    "mnist_mlp_gan": "mlp-gan",
    "pgan_gan_zoo": "progan",
    "progan_pth": "progan",
    "progan_tf_pkl": "progan",
    "pytorch_gan": "dcgan",
    "rewriting": "stylegan2",
    "sagan_heykeetae": "sagan",
    "stylegan1_rosinality": "stylegan1",
    "stylegan2_ada_pkl": "stylegan2",
    "stylegan2_rewriting": "stylegan2",
    "stylegan2_rosinality": "stylegan2",
    "stylegan2_sg3repo_pkl": "stylegan2",
    "stylegan2_tf_pkl": "stylegan2",
    "stylegan2ada_tf_pkl": "stylegan2",
    "stylegan3_pkl": "stylegan3",
    "stylegan_tf_pkl": "stylegan1",
    "studiogan": "resnet-gan",
    "wgan_gp_resnet": "resnet-gan",
}
"""The family that reads each golden family; of all others, none of those here may read a file."""
EXCEPT = {"cgan": "mlp-gan", "progan": "progan"}
"""Cases of another family than theirs, by the beginning of their names."""
NO_GENERATOR = ("state_dict.pth", "D--300.ckpt")
"""A training state, and a discriminator."""
SUFFIXES = (".pth", ".pt", ".pkl", ".model", ".bin", ".ckpt", ".safetensors")
MINE = {"biggan", "dcgan", "mlp-gan", "progan", "resnet-gan", "sagan"}


def golden_files(shared: Path) -> list[Path]:
    found = sorted(p for p in (shared / "golden").glob("*/*/*") if p.suffix in SUFFIXES)
    return [path for path in found if path.parts[-3] != "hostile"]


def test_each_golden_file_has_the_one_right_family(shared: Path) -> None:
    asked, wrong = 0, []
    for path in golden_files(shared):
        try:
            checkpoint = read_checkpoint(path)
        except SeeingkitError:
            continue
        asked += 1
        claims = {claim.spec.name for claim in claims_of(checkpoint, recognisers(registry()))}
        usual = FAMILIES.get(path.parts[-3]) if path.name not in NO_GENERATOR else None
        expected = EXCEPT.get(path.parts[-2].partition("-")[0], usual)
        # families that are not in the table may have readers of their own
        fits = claims == {expected} if expected else not claims & MINE
        if not fits:
            wrong.append(f"{path.relative_to(shared)}: {sorted(claims)}, expected {expected}")
    assert not wrong, "\n".join(wrong)
    assert asked > 60


def test_a_file_given_to_another_family_names_the_right_one(shared: Path) -> None:
    files = {
        "mimicry/sngan-r32": "resnet-gan",
        "sagan_heykeetae/conv8": "sagan",
        "pgan_gan_zoo/alpha-r16": "progan",
        "pytorch_gan/acgan-r16": "dcgan",
    }
    for case, family in files.items():
        (path,) = [p for p in (shared / "golden" / case).iterdir() if p.suffix in (".pth", ".pt")]
        for asked in sorted(MINE - {family}):
            with pytest.raises(StateMismatchError, match=f"read by {family} .*not by {asked}$"):
                load_generator(asked, weights=path)


# ------------------------------------------------------------------ networks that look like others


def image_to_image(width: int, kernel: int) -> dict[str, Any]:
    """A network from image to image whose first convolution gives as many channels as it takes."""

    def block(channels: int) -> nn.Module:
        inside = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)),
            *(nn.ReLU(), nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)),
        )
        made = nn.Module()
        made.conv_block = inside
        return made

    pad = kernel // 2
    model = nn.Sequential(
        *(nn.ReflectionPad2d(pad), nn.Conv2d(3, width, kernel), nn.InstanceNorm2d(width)),
        *(nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.InstanceNorm2d(2 * width)),
        *(nn.ReLU(), block(2 * width), block(2 * width)),
        *(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), nn.InstanceNorm2d(width), nn.ReLU()),
        *(nn.ReflectionPad2d(pad), nn.Conv2d(width, 3, kernel), nn.Tanh()),
    )
    return prefixed(model.state_dict(), "model.")


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("kernel", [7, 9])
def test_a_network_from_image_to_image_is_never_advised_into_a_stack(
    width: int, kernel: int, tmp_path: Path
) -> None:
    """With as many channels as colours its first convolution might be a transposed one of z."""
    torch.save(image_to_image(width, kernel), tmp_path / "latest_net_G.pth")
    for family in ("auto", "dcgan"):
        with pytest.raises(WeightsError) as refused:
            load_generator(family, weights=tmp_path / "latest_net_G.pth")
        for option in ("kinds=", "strides=", "plain=", "upsample="):
            assert option not in str(refused.value)
        if family == "auto":
            assert "cyclegan" in str(refused.value)
        elif width == 3:
            assert "may be a convolution of an image of 3 channels" in str(refused.value)


MADE = {
    **{f"{r.layout} {k}": ("resnet-gan", r) for k, r in enumerate(resnet_gans_by_hand.recipes())},
}


@pytest.mark.parametrize("name", MADE)
def test_generators_beside_critic_and_optimiser_are_found_and_described(
    name: str, tmp_path: Path
) -> None:
    family, recipe = MADE[name]
    state = resnet_gans_by_hand.state(recipe)
    content = {"netG": prefixed(state, "module."), "netD": CRITIC, "optG": {"state": {}}}
    torch.save(content, tmp_path / "last.pth")
    found = inspect_file(tmp_path / "last.pth")
    assert [claim["family"] for claim in found["families"]] == [family]
    assert found["network"] == "netG"
    assert found["assumptions"]


WIDTHS = st.lists(st.integers(1, 4), min_size=3, max_size=5).map(tuple)


@settings(max_examples=15)
@given_by(
    widths=WIDTHS,
    bottom=st.integers(1, 4),
    classes=st.integers(0, 4),
    layout=st.sampled_from(["mimicry", "StudioGAN", "WGAN-GP", "PGAN", "SAGAN", "DCGAN"]),
)
def test_networks_of_any_size_have_one_family(
    widths: tuple[int, ...],
    bottom: int,
    classes: int,
    layout: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("any") / "g.pth"
    family = {"PGAN": "progan", "SAGAN": "sagan", "DCGAN": "dcgan"}.get(layout, "resnet-gan")
    if layout == "PGAN":
        state = gan_zoo_files.pgan_state(widths)
    elif layout == "SAGAN":
        state = sagan(z=bottom, width=8)
    elif layout == "DCGAN":
        state = gan_zoo_files.dcgan_state(bottom, widths[0], len(widths))
    else:
        given = 0 if layout == "WGAN-GP" else classes
        kind: Any = layout
        recipe = resnet_gans_by_hand.Recipe(kind, widths, bottom, classes=given)
        state = resnet_gans_by_hand.state(recipe)
    for order in (list(state), sorted(state)):  # safetensors sort the names
        torch.save({key: state[key] for key in order}, path)
        claims = claims_of(read_checkpoint(path), recognisers(registry()))
        assert [claim.spec.name for claim in claims] == [family]


def test_the_critic_of_pytorch_gan_zoo_is_not_claimed(tmp_path: Path) -> None:
    """It has scales of the same names, but takes images."""
    names = {"scaleLayers.0.0.module.weight": (4, 4, 3, 3), "decisionLayer.module.weight": (1, 4)}
    critic = {key: torch.ones(shape) for key, shape in names.items()}
    config = gan_zoo_files.pgan_config((3, 4))
    path = gan_zoo_files.save(tmp_path / "d.pth", config, netD=critic)
    with pytest.raises(StateMismatchError, match="no family reads"):
        load_generator("auto", weights=path)
