"""Samples of generators that translate images: as many as there are, and no more."""

from __future__ import annotations

import pytest
import torch

from seeingkit.analyses.inversion.amounts import bounded
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.analyses.inversion.patches import PatchedSamples
from seeingkit.contracts import Generator
from seeingkit.contracts.given import SmoothImages
from seeingkit.images import SamplerSource, find_preset
from seeingkit.models.loading import load_generator
from tests.helpers.translators import cyclegan

SIZE = 16


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    path = tmp_path_factory.mktemp("amounts") / "g.pth"
    torch.save(cyclegan(blocks=1).state_dict(), path)
    found = load_generator("cyclegan", weights=path, resolution=SIZE)
    assert isinstance(found, Generator)
    return found


def given(generator: Generator, count: int) -> Generator:
    generator.given = SmoothImages((SIZE, SIZE), count=count)
    return generator


@pytest.mark.parametrize("seed", [0, 3, 999_999])
@pytest.mark.parametrize("count", [2, 3, 5, 6, 7, 8, 9, 24])
def test_no_patch_is_of_the_image_that_it_is_in(
    generator: Generator, count: int, seed: int
) -> None:
    config, _ = bounded(InversionConfig(own=20, patched=40), given(generator, count), seed)
    assert config.own == min(20, count)
    if not config.patched:
        assert count // 2 < 4
        return
    preset = find_preset("paper", SIZE)
    patched = PatchedSamples(SamplerSource(generator, config.patched, seed, preset=preset))
    assert len(set(patched.whole.ids)) == config.patched  # none twice
    for whole, other in zip(patched.whole.ids, patched.other.ids, strict=True):
        assert whole != other


def test_it_is_said_where_there_are_fewer(generator: Generator) -> None:
    wanted = InversionConfig(own=20, patched=40)
    assert bounded(wanted, given(generator, 80), 0) == (wanted, ())
    config, (said,) = bounded(wanted, given(generator, 24), 0)
    assert (config.own, config.patched) == (20, 12)
    assert "of 40 asked for with a patch, 12 can be made" in said and "as they are" not in said
    config, (said,) = bounded(wanted, given(generator, 6), 0)
    assert (config.own, config.patched) == (6, 0)
    assert "of 20 asked for as they are, 6" in said and "too few for any" in said
