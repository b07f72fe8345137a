"""The other generator of a CycleGAN as its encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seeingkit import load_encoder, load_inverter
from seeingkit.contracts import Generator
from seeingkit.contracts.given import SmoothImages
from seeingkit.errors import SeeingkitError, StateMismatchError, UsageError
from seeingkit.models.inspection import inspect_file
from seeingkit.models.loading import load_generator
from seeingkit.testing import check_encoder
from tests.helpers.translators import cyclegan, seeded

SIZE = 32


def other(**changes: Any) -> torch.nn.Module:
    """A generator of the other direction."""
    return seeded(cyclegan(blocks=1, **changes), seed=7)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    torch.save(cyclegan(blocks=1).state_dict(), tmp_path / "latest_net_G_A.pth")
    torch.save(other().state_dict(), tmp_path / "latest_net_G_B.pth")
    return tmp_path


def translator(path: Path, **options: Any) -> Generator:
    found = load_generator("cyclegan", weights=path, resolution=SIZE, **options)
    assert isinstance(found, Generator)
    found.given = SmoothImages((SIZE, SIZE), count=40)
    return found


def test_the_generator_beside_it_is_its_encoder(place: Path) -> None:
    there, back = (translator(place / f"latest_net_G_{side}.pth") for side in "AB")
    encoder = load_encoder(generator=there)
    images = there(there.latents([3, 9])).clamp(-1, 1)
    assert torch.equal(encoder.estimate(images)[0], back({"image": images}))
    assert encoder.info.latent == there.info.latent[0]
    assert "no file says so" in encoder.info.assumptions[-1]
    check_encoder(encoder, images)
    (renamed,) = ((place / "latest_net_G_A.pth").rename(place / "horse2zebra.pth"),)
    assert translator(renamed).own_encoder is None


def test_both_in_one_file(place: Path) -> None:
    networks = {f"netG_{s}": torch.load(place / f"latest_net_G_{s}.pth") for s in "AB"}
    torch.save(networks, place / "both.pth")
    there = translator(place / "both.pth", key="netG_A")
    assert there.own_encoder is not None and there.own_encoder.options == {"key": "netG_B"}
    back = translator(place / "both.pth", key="netG_B")
    images = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    estimate = load_encoder(generator=there).estimate(images)[0]
    assert torch.equal(estimate, back({"image": images}))
    torch.save({"netG": networks["netG_A"], "netG_ema": networks["netG_B"]}, place / "ema.pth")
    assert translator(place / "ema.pth", key="netG").own_encoder is None  # an average of itself


def test_a_generator_is_not_its_own_encoder(place: Path) -> None:
    there = translator(place / "latest_net_G_A.pth")
    same = torch.load(place / "latest_net_G_A.pth")
    torch.save({"netG": same}, place / "copy.pth")  # another file, the same network
    for name in ("latest_net_G_A.pth", "copy.pth"):
        with pytest.raises(StateMismatchError, match="the cyclegan generator itself"):
            load_encoder(weights=place / name, generator=there)


@pytest.mark.parametrize(
    ("colours", "fits"), [((3, 3), True), ((1, 3), False), ((3, 1), False), ((1, 1), False)]
)
def test_colours_must_fit(place: Path, colours: tuple[int, int], fits: bool) -> None:
    there = translator(place / "latest_net_G_A.pth")
    torch.save(other(colours=colours).state_dict(), place / "b.pth")
    if fits:
        load_encoder(weights=place / "b.pth", generator=there)
        return
    with pytest.raises(StateMismatchError, match="latent of shape|another generator"):
        load_encoder(weights=place / "b.pth", generator=there)


def test_grey_images_are_taken_back(place: Path) -> None:
    """From colour to grey and back: the encoder sees grey, and its estimate has colours."""
    torch.save(cyclegan(blocks=1, colours=(3, 1)).state_dict(), place / "a.pth")
    torch.save(other(colours=(1, 3)).state_dict(), place / "b.pth")
    there, back = translator(place / "a.pth"), translator(place / "b.pth")
    images = there(there.latents([1]))
    encoder = load_encoder(weights=place / "b.pth", generator=there)
    torch.testing.assert_close(
        encoder.estimate(images)[0], back({"image": images[:, :1]}), rtol=0, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["encoder", "encoder+z", "layered+r"])
def test_inversion_starts_from_it(place: Path, method: str) -> None:
    there = translator(place / "latest_net_G_A.pth")
    images = there(there.latents([3, 9])).clamp(-1, 1)
    inverter = load_inverter(method, steps=4, perceptual="none")
    prepared = inverter.prepare(there)
    assert prepared.encoder is not None and prepared.start == "encoder"
    assert any("encoder that came with cyclegan" in text for text in prepared.warnings)
    found = inverter.invert(there, images, prepared=prepared)
    alone = inverter.invert(there, images[1:], prepared=prepared)
    assert torch.equal(found.reconstruction[1:], alone.reconstruction)
    start = there({"image": prepared.encoder.estimate(images)[0]}).clamp(-1, 1)
    if method == "encoder":
        torch.testing.assert_close(found.reconstruction, start, rtol=0, atol=1e-4)
    else:
        assert float((found.reconstruction - images).square().mean()) < float(
            (start - images).square().mean()
        )
    named = load_inverter(
        method, steps=4, perceptual="none", encoder=str(place / "latest_net_G_B.pth")
    )
    same = named.invert(there, images)
    assert torch.equal(same.reconstruction, found.reconstruction)


def test_without_one_it_is_said(place: Path) -> None:
    (place / "latest_net_G_B.pth").unlink()
    there = translator(place / "latest_net_G_A.pth")
    with pytest.raises(UsageError, match="give one that came with it with --encoder FILE"):
        load_inverter("encoder", perceptual="none").prepare(there)
    with pytest.raises(UsageError, match="encoder_options"):
        load_inverter("layered+r", perceptual="none", encoder_options={"draw": "sample"}).prepare(
            there
        )
    torch.save({"w": torch.ones(2)}, place / "nothing.pth")
    with pytest.raises(SeeingkitError, match=r"nothing\.pth"):
        load_inverter("encoder", perceptual="none", encoder=str(place / "nothing.pth")).prepare(
            there
        )


def test_a_converted_file_is_an_encoder_too(place: Path) -> None:
    from seeingkit.models.conversion import convert_file

    source, target = place / "latest_net_G_B.pth", place / "b.safetensors"
    convert_file(source, target, gan="cyclegan", options={"resolution": SIZE})
    there = translator(place / "latest_net_G_A.pth")
    images = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    ours = load_encoder(weights=target, generator=there).estimate(images)[0]
    assert torch.equal(ours, load_encoder(generator=there).estimate(images)[0])
    assert [one["family"] for one in inspect_file(source)["encoders"]] == ["cyclegan"]
