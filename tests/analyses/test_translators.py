"""Analyses that were made for drawn latents, on generators whose latent is an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seeingkit import load_inverter
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.dissection.stage import dissect_layers
from seeingkit.analyses.inversion.samples import draw, measured_scales
from seeingkit.analyses.rewriting.regions import Region
from seeingkit.analyses.rewriting.session import Session
from seeingkit.contracts import RewritableGenerator
from seeingkit.contracts.given import SmoothImages
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.loading import load_generator
from seeingkit.models.weightedits import RewrittenGenerator
from seeingkit.specs import PRESETS
from tests.helpers.rewriting import box
from tests.helpers.toys import LevelSegmenter
from tests.helpers.translators import cyclegan, stargan, unet

SIZE = 32


@pytest.fixture(params=["cyclegan", "pix2pix", "stargan"])
def generator(request: pytest.FixtureRequest, tmp_path: Path) -> RewritableGenerator:
    made = {
        "cyclegan": lambda: cyclegan(blocks=1),
        "pix2pix": lambda: unet(depth=5),
        "stargan": lambda: stargan(blocks=1),
    }
    torch.save(made[request.param]().state_dict(), tmp_path / "g.pth")
    found = load_generator(request.param, weights=tmp_path / "g.pth", resolution=SIZE)
    assert isinstance(found, RewritableGenerator)
    found.given = SmoothImages((SIZE, SIZE), count=64)
    return found


def labels(generator: RewritableGenerator, n: int) -> list[int] | None:
    return [k % 2 for k in range(n)] if generator.info.class_names else None


def test_layers_are_inverted_from_the_average(generator: RewritableGenerator) -> None:
    images = generator(generator.latents([3, 9], labels=labels(generator, 2))).clamp(-1, 1)
    inverter = load_inverter("layered+r", steps=12, perceptual="none", encoder="none")
    prepared = inverter.prepare(generator)
    found = inverter.invert(generator, images, prepared=prepared, labels=labels(generator, 2))
    grey = images.mean((2, 3), keepdim=True)
    assert float((found.reconstruction - images).square().mean()) < float(
        (images - grey).square().mean()
    )
    assert measured_scales(generator, generator.default_cut)["input"] < 1


def test_z_is_the_image_to_translate(generator: RewritableGenerator) -> None:
    images = generator(generator.latents([3], labels=labels(generator, 1))).clamp(-1, 1)
    inverter = load_inverter("z", steps=8, perceptual="none")
    found = inverter.invert(generator, images, labels=labels(generator, 1))
    assert found.reconstruction.shape == images.shape
    assert draw(generator, 1, 5)["image"].shape == (1, 3, SIZE, SIZE)
    for method, encoder in (("encoder", "auto"), ("layered+r", "train"), ("layered", "found")):
        with pytest.raises(UsageError, match="no encoder here estimates an image"):
            load_inverter(method, perceptual="none", encoder=encoder).prepare(generator)


def test_weights_are_rewritten(generator: RewritableGenerator) -> None:
    session = Session(generator, key_images=2)
    sites = generator.sites()
    site = next(s.name for s in sites if min(s.values) >= 8 and s.keys <= s.values)
    session.copy(Region(3, box(4, 4, 20, 20, SIZE)))
    session.paste(Region(5, box(8, 8, 24, 24, SIZE)))
    session.execute(site, rank=1)
    before, after = session.image(5, edited=False), session.image(5)
    assert not torch.equal(before, after)
    edited = session.generator
    assert isinstance(edited, RewrittenGenerator) and edited.given is generator.given
    source = SamplerSource(edited, 4, labels=labels(generator, 2), preset=PRESETS["native"])
    assert list(source.ids) == ["smooth000", "smooth001", "smooth002", "smooth003"]
    session.undo()
    assert torch.equal(session.image(5), before)


def test_units_are_dissected_on_other_images_than_levels(generator: RewritableGenerator) -> None:
    chosen = labels(generator, 2)
    config = DissectionConfig(layers=(generator.default_cut,), level_images=32)
    too_many = SamplerSource(generator, 40, labels=chosen, preset=PRESETS["native"])
    with pytest.raises(UsageError, match="half are kept for what is chosen"):
        dissect_layers(too_many, LevelSegmenter(), config)
    source = SamplerSource(generator, 32, labels=chosen, preset=PRESETS["native"])
    (found,) = dissect_layers(source, LevelSegmenter(), config)
    assert found.layer.units == np.prod(generator.boundary(generator.default_cut).shape[:1])
