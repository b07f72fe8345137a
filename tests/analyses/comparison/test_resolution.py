"""Resolution: closed forms of an image's detail, sources that say their size, real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from seeingkit.analyses.comparison.checks.resolution import compare_resolution, image_detail
from seeingkit.contracts import GeneratorInfo, ImageSource, Latent, LatentSpec, Sampler
from seeingkit.images import SamplerSource, open_images, select
from seeingkit.images.several import SeveralSources
from seeingkit.models.registry import find_preset
from tests.helpers.toys import CountedNoise, FlatSampler, Noise


def noise(side: int, seed: int = 0, width: int | None = None) -> np.ndarray:
    """White noise of mean 128, standard deviation 40."""
    return np.random.default_rng(seed).normal(128, 40, (side, width or side))


class Hiss(Sampler):
    """White noise of a given resolution."""

    def __init__(self, resolution: int) -> None:
        latent = (LatentSpec(shape=(3, resolution, resolution)),)
        self.info = GeneratorInfo(family="hiss", resolution=resolution, latent=latent)

    def __call__(self, latent: Latent) -> Tensor:
        return latent["z"].mul(0.3).clamp(-1, 1)


def folder(path: Path, side: int, n: int = 6) -> Path:
    """A folder of noise pictures."""
    path.mkdir()
    for k in range(n):
        levels = noise(side, k).clip(0, 255).astype(np.uint8)
        Image.fromarray(levels).convert("RGB").save(path / f"{k}.png")
    return path


@pytest.mark.parametrize("cycles", [8, 21, 40])
def test_a_wave_needs_two_pixels_a_cycle(cycles: int) -> None:
    x = np.arange(128) / 128
    wave = 128 + 50 * np.sin(2 * np.pi * cycles * x)[None, :] * np.ones((128, 1))
    found = image_detail(wave)
    assert found is not None and 2 * cycles <= found <= 2 * (cycles + 1)  # the window's width
    assert image_detail(wave.T) == found


def test_white_noise_fills_its_square() -> None:
    # r² / side² of its variance lies below r, so 99 % of it below 0.995 side.
    for side in (64, 96):
        found = image_detail(noise(side))
        assert found is not None and abs(found - 0.995 * side) <= 2
    wide = image_detail(noise(64, width=150))
    assert wide is not None and abs(wide - 0.995 * 64) <= 2


@pytest.mark.parametrize("repeat", [2, 3, 4, 8])
def test_repeated_pixels_are_found_exactly(repeat: int) -> None:
    small = noise(24)
    assert image_detail(np.kron(small, np.ones((repeat, repeat)))) == 24


@pytest.mark.parametrize("filter", [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
@pytest.mark.parametrize("small", [64, 96])
def test_an_enlarged_picture_holds_what_the_small_one_did(
    small: int, filter: Image.Resampling
) -> None:
    # Pictures with a spectrum like photographs': amplitude 1 / f.
    found = []
    for seed in range(6):
        spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(192, 192)))
        f = np.hypot(np.fft.fftfreq(192)[:, None], np.fft.rfftfreq(192)[None, :])
        f[0, 0] = np.inf
        image = np.fft.irfft2(spectrum / f, s=(192, 192))
        levels = (128 + 40 * image / image.std()).clip(0, 255).astype(np.uint8)
        whole = image_detail(levels)
        assert whole is not None and whole > 160
        picture = Image.fromarray(levels).resize((small, small), Image.Resampling.BOX)
        found.append(image_detail(np.asarray(picture.resize((192, 192), filter))))
    assert 0.8 < np.median(np.array(found, dtype=float)) / small < 1.3


def test_nothing_to_measure() -> None:
    assert image_detail(np.full((64, 64), 90)) is None
    assert image_detail(noise(15)) is None
    assert image_detail(np.zeros((64, 64, 3), np.uint8)) is None


@given(
    seed=st.integers(0, 10_000),
    gain=st.floats(0.2, 3),
    offset=st.floats(-100, 100),
    flip=st.booleans(),
)
@settings(max_examples=30)
def test_detail_does_not_depend_on_contrast_or_handedness(
    seed: int, gain: float, offset: float, flip: bool
) -> None:
    image = noise(32, seed)
    other = image[:, ::-1] if flip else image.T
    assert image_detail(gain * other + offset) == image_detail(image)


def test_stored_sizes_differ(tmp_path: Path) -> None:
    preset = find_preset("paper@64")
    large = open_images(folder(tmp_path / "large", 80), preset=preset)
    small = open_images(folder(tmp_path / "small", 32), preset=preset)
    found = compare_resolution(large, small)
    assert found is not None and found.mismatch
    assert (found.real.stored, found.generated.stored) == (80, 32)
    assert found.real.images == found.generated.images == 6
    assert "80 px as stored" in found.reason and "--preset paper@32" in found.reason
    # At 32 pixels both are alike.
    preset = find_preset("paper@32")
    mended = compare_resolution(
        open_images(tmp_path / "large", preset=preset),
        open_images(tmp_path / "small", preset=preset),
    )
    assert mended is not None and not mended.mismatch and mended.reason == ""
    same = compare_resolution(large, large)
    assert same is not None and not same.mismatch and same.real == same.generated


def test_two_pictures_a_side_claim_nothing_by_detail(tmp_path: Path) -> None:
    preset = find_preset("paper@64")
    sharp = open_images(folder(tmp_path / "sharp", 64, 12), preset=preset)
    soft = tmp_path / "soft"
    soft.mkdir()
    for k in range(12):
        levels = noise(24, k).clip(0, 255).astype(np.uint8)
        picture = Image.fromarray(levels).resize((64, 64), Image.Resampling.BICUBIC)
        picture.convert("RGB").save(soft / f"{k}.png")
    blurred = open_images(soft, preset=preset)
    found = compare_resolution(sharp, blurred)
    assert found is not None and found.mismatch and found.generated.stored == 64
    assert found.generated.detail is not None and 20 <= found.generated.detail <= 32
    few = compare_resolution(sharp, blurred, images=2)
    assert few is not None and not few.mismatch and few.generated.images == 2


def test_generators_say_their_resolution(tmp_path: Path) -> None:
    preset = find_preset("paper@64")
    photos = open_images(folder(tmp_path / "photos", 64, 8), preset=preset)
    drawn = SamplerSource(Hiss(16), 8, preset=preset)
    found = compare_resolution(photos, drawn)
    assert found is not None and found.mismatch and found.generated.stored == 16
    again = compare_resolution(photos, SamplerSource(Hiss(64), 8, preset=preset))
    assert again is not None and not again.mismatch
    flat = compare_resolution(photos, SamplerSource(FlatSampler(), 8, preset=preset))
    assert flat is not None and flat.mismatch and flat.generated.detail is None
    assert "8 px as stored" in flat.reason


def test_wrappers_ask_the_source_inside(tmp_path: Path) -> None:
    preset = find_preset("paper@64")
    one = open_images(folder(tmp_path / "one", 40, 3), preset=preset)
    two = open_images(folder(tmp_path / "two", 50, 3), preset=preset)
    both = SeveralSources([one, two], "both")
    assert [both.stored_side(k) for k in range(6)] == [40] * 3 + [50] * 3
    chosen = select(both, 6, seed=3)
    assert sorted(chosen.stored_side(k) or 0 for k in range(6)) == [40] * 3 + [50] * 3
    assert SeveralSources([Noise(2), two], "some").stored_side(1) is None
    drawn = SamplerSource(Hiss(16), 4)
    mixed = select(SeveralSources([one, drawn], "mixed"), 7, seed=1)
    assert sorted(mixed.stored_side(k) or 0 for k in range(7)) == [16] * 4 + [40] * 3
    (tmp_path / "one" / "1.png").write_bytes(b"no picture")
    assert [one.stored_side(k) for k in range(3)] == [40, None, 40]


def test_a_source_of_a_stored_kind_may_say_its_own_size(tmp_path: Path) -> None:
    preset = find_preset("paper@64")

    class Enlarged(SeveralSources):
        def stored_side(self, index: int) -> int:
            return 20 + index

    class Drawn(SamplerSource):
        def stored_side(self, index: int) -> int:
            return 7

    pictures = open_images(folder(tmp_path / "pictures", 64, 5), preset=preset)
    enlarged = Enlarged([pictures], "enlarged")
    chosen = select(enlarged, 5, seed=2)
    assert sorted(chosen.stored_side(k) or 0 for k in range(5)) == [20, 21, 22, 23, 24]
    found = compare_resolution(enlarged, Drawn(Hiss(64), 5, preset=preset))
    assert found is not None and found.mismatch
    assert (found.real.stored, found.generated.stored) == (22, 7)


def test_no_pictures_no_answer() -> None:
    assert compare_resolution(CountedNoise(4), Noise(4)) is None
    assert compare_resolution(Noise(4), Noise(4, bad=range(4))) is None
    tiny = compare_resolution(Noise(4), Noise(4))
    assert tiny is not None and not tiny.mismatch and tiny.real.detail is None


def photographs(source: Path, target: Path, side: int | None = None, *, keep: bool = True) -> Path:
    """The church photographs, as they are or shrunk (and enlarged again, if ``keep``)."""
    target.mkdir()
    for path in sorted(source.glob("*_target.png")):
        picture = Image.open(path).convert("RGB")
        if side:
            picture = picture.resize((side, side), Image.Resampling.BOX)
            if keep:
                picture = picture.resize((256, 256), Image.Resampling.BILINEAR)
        picture.save(target / path.name)
    return target


@pytest.mark.slow
def test_church_photographs(shared: Path, tmp_path: Path) -> None:
    pairs = shared / "real" / "ganseeing-church-pairs"
    torch.manual_seed(0)

    def opened(path: object) -> ImageSource:
        return open_images(str(path), preset=find_preset("paper"))

    real = opened(photographs(pairs, tmp_path / "real"))
    progan = compare_resolution(real, opened(pairs / "*_reconst.png"))
    assert progan is not None and not progan.mismatch  # soft, but of 256 pixels
    soft = compare_resolution(real, opened(photographs(pairs, tmp_path / "soft", 64)))
    assert soft is not None and soft.mismatch and "paper@64" in soft.reason
    assert (soft.generated.stored, soft.real.stored) == (256, 256)
    assert soft.generated.detail is not None and 50 <= soft.generated.detail <= 70
    small = compare_resolution(real, opened(photographs(pairs, tmp_path / "s", 64, keep=False)))
    assert small is not None and small.mismatch and small.generated.stored == 64
    tiles = shared / "real" / "gan-samples" / "lsun-church"
    for name, mismatch in (("wgangp-schh", True), ("lsgan-schh", True), ("stylegan2", False)):
        found = compare_resolution(real, opened(tiles / name), images=16)
        assert found is not None and found.mismatch is mismatch, name
