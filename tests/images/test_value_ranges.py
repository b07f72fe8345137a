"""Images of a generator: their form, and the range of their values."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import seeingkit
from seeingkit.contracts import GeneratorInfo, Latent, LatentSpec, Sampler
from seeingkit.contracts.ranges import ValueRange
from seeingkit.errors import ModelError, TallyError
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.tallies import tally
from tests.helpers.toys import FlatSampler, LevelSegmenter

SIDE = 8


def picture(count: int) -> Tensor:
    """Images in [-1, 1] as photos are: from nearly black to nearly white."""
    draw = torch.Generator().manual_seed(count)
    return torch.rand(count, 3, SIDE, SIDE, generator=draw) * 2 - 1


class Changed(Sampler):
    """Photo-like images, changed by a function."""

    def __init__(self, change: Callable[[Tensor], object], **info: object) -> None:
        latent = (LatentSpec(shape=(1,)),)
        self.info = GeneratorInfo(family="changed", resolution=SIDE, latent=latent, **info)  # type: ignore[arg-type]
        self.change = change

    def __call__(self, latent: Latent) -> Tensor:
        return self.change(picture(len(latent["z"])))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[:, :1], "images of shape (4, 1, 8, 8); expected (4, 3, 8, 8)"),
        (lambda x: x.movedim(1, -1), "expected (4, 3, 8, 8)"),
        (lambda x: x[:3], "expected (4, 3, 8, 8)"),
        (lambda x: x[..., :4], "as large as it declares (8 pixels)"),
        (lambda x: x[..., :4, :4], "as large as it declares (8 pixels)"),
        (lambda x: x.double(), "images of torch.float64; expected torch.float32"),
        (lambda x: x.half(), "images of torch.float16"),
        (lambda x: (127.5 * (x + 1)).to(torch.uint8), "images of torch.uint8"),
        (lambda x: [*x], "gave a list instead of images"),
        (lambda x: 127.5 * (x + 1), "the range 0..255"),
        (lambda x: 0.02 * 127.5 * (x + 1) + 6, "the range 0..255"),
        (lambda x: 127.5 * x, "a range of whole levels of grey"),
    ],
)
def test_images_of_another_form_or_range_are_refused(
    change: Callable[[Tensor], object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as refused:
        tally(SamplerSource(Changed(change), 4), LevelSegmenter(), store=tmp_path)
    assert said in str(refused.value) and str(refused.value).startswith("changed")


def test_another_declared_range_is_refused() -> None:
    with pytest.raises(ModelError, match="declares images from 0 to 1"):
        SamplerSource(Changed(lambda x: x, value_range=(0.0, 1.0)), 2).generate([0])


def test_a_size_that_changes_is_refused() -> None:
    sizes = iter((8, 16))
    sampler = Changed(lambda x: torch.zeros(len(x), 3, *[next(sizes)] * 2))
    source = SamplerSource(sampler, 4, batch=2)
    with pytest.raises(ModelError, match="images of shape"):
        source.load(range(4))


def test_zero_to_one_is_refused_once_enough_images_are_seen() -> None:
    source = SamplerSource(Changed(lambda x: (x + 1) / 2), 100)
    with pytest.raises(ModelError, match=r"the range 0\.\.1: none of 16 images has a dark pixel"):
        source.load(range(100))
    overshooting = SamplerSource(Changed(lambda x: (x + 1) / 2 * 1.04 - 0.02), 100)
    with pytest.raises(ModelError, match=r"the range 0\.\.1"):
        overshooting.examine()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: (x + 1) / 2 * 0.6 + 0.4, "without a dark pixel"),
        (lambda x: x / 2, "no pixel is dark or bright"),
        (lambda x: 2.2 * x, "% lie beyond ±1.5"),
    ],
)
def test_a_range_that_may_be_wrong_is_said_once(
    change: Callable[[Tensor], Tensor], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = SamplerSource(Changed(change), 20)
    with caplog.at_level(logging.WARNING):
        first, again = source.examine(), source.examine()
    assert first == again and said in (first or "")
    assert [record.getMessage() for record in caplog.records] == [first]
    assert source.first(3).range is source.range


def test_few_bright_images_are_doubted_and_not_refused() -> None:
    source = SamplerSource(Changed(lambda x: (x + 1) / 2), 4)
    assert "without a dark pixel" in (source.examine() or "")


@pytest.mark.parametrize("name", ["progan:minichurches", "stylegan2:minichurches"])
def test_trained_generators_are_right(name: str) -> None:
    seen = ValueRange(name)
    generator = seeingkit.load_generator(name)
    for start in (0, 8):
        seen.add(generator(generator.latents(range(start, start + 8))))
    assert seen.doubt() is None and seen.images == 16
    assert seen.low < -0.5 < 0.5 < seen.high


def test_images_of_one_brightness_are_right() -> None:
    source = SamplerSource(FlatSampler(), 40)
    assert source.examine() is None


def test_images_with_nan_are_left_out_of_the_range_and_named(tmp_path: Path) -> None:
    factors = torch.tensor([1.0, float("nan")] * 4).reshape(8, 1, 1, 1)
    source = SamplerSource(Changed(lambda x: x * factors), 8, preset=find_preset("native"))
    found = tally(source, LevelSegmenter(), store=tmp_path)
    assert len(found) == 4 and {s.reason for s in found.skipped} == {"generator gave NaN"}
    nothing = SamplerSource(Changed(lambda x: x * float("nan")), 8, seed=1)
    with pytest.raises(TallyError, match="none of 8 images can be used"):
        tally(nothing, LevelSegmenter(), store=tmp_path)
