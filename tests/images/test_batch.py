"""Images that a program holds: as pictures from PNG files, and of the range that was said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seeingkit.errors import ModelError, SeeingkitError, SourceError
from seeingkit.images import find_preset, open_images, quantise
from seeingkit.images.batch import BatchImages, PixelRange, Range

NATIVE = find_preset("native")


def photos(n: int = 4, size: int = 12, seed: int = 0) -> torch.Tensor:
    """Images in [-1, 1], a little beyond it, as networks without an output function give them."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, size, size, generator=drawn) * 2.1 - 1.05


def names(images: Any) -> list[str]:
    return [f"{k:06d}" for k in range(len(images))]


@pytest.mark.parametrize("preset", ["native", "paper@8", "paper@20"])
def test_a_batch_is_what_its_png_files_are(tmp_path: Path, preset: str) -> None:
    images, wanted = photos(), find_preset(preset)
    for name, levels in zip(names(images), quantise(images).numpy(), strict=True):
        Image.fromarray(levels).save(tmp_path / f"{name}.png")
    read = open_images(tmp_path, preset=preset).read(range(4))
    batch = BatchImages(images, names(images), wanted)
    assert torch.equal(batch.read(range(4)), read)
    assert torch.equal(batch.read([3, 1]), read[[3, 1]])
    levels = quantise(images)
    as_array = BatchImages(levels.numpy(), names(images), wanted)
    as_bytes = BatchImages(levels.permute(0, 3, 1, 2), names(images), wanted)
    assert torch.equal(as_array.read(range(4)), read)
    assert torch.equal(as_bytes.read(range(4)), read)
    assert as_array.fingerprint == as_bytes.fingerprint != batch.read(range(4)).shape


def test_images_are_not_changed() -> None:
    images = photos()
    images[0, 0, 0, 0] = torch.nan
    before = images.clone()
    BatchImages(images, names(images), NATIVE).load(range(4))
    assert torch.equal(images.nan_to_num(7), before.nan_to_num(7))


def test_images_with_nan_are_named() -> None:
    images = photos()
    images[2, 1, 3, 3], images[3, 0, 0, 0] = torch.nan, torch.inf
    found, good, skipped = BatchImages(images, names(images), NATIVE).load(range(4))
    assert found is not None and len(found) == 2 and good == [0, 1]
    assert [item for item, _ in skipped] == ["000002", "000003"]
    assert BatchImages(images[2:], ["a", "b"], NATIVE).load([0, 1])[0] is None


@pytest.mark.parametrize(("said", "scale"), [("0..1", 1.0), ("0..255", 255.0)])
def test_other_ranges_give_the_same_pictures(said: Range, scale: float) -> None:
    levels = torch.arange(256, dtype=torch.float32).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    source = BatchImages(levels / 255 * scale, ["a"], NATIVE, PixelRange(said))
    assert torch.equal(source.pictures[0, :, :, 0].flatten(), torch.arange(256).byte())


RANGES: dict[Range, tuple[float, float]] = {
    "-1..1": (-1.0, 1.0),
    "0..1": (0.0, 1.0),
    "0..255": (0.0, 255.0),
}


@pytest.mark.parametrize("said", RANGES)
@pytest.mark.parametrize("true", RANGES)
@given(seed=st.integers(0, 1000))
def test_a_range_that_looks_like_another_is_refused(said: Range, true: Range, seed: int) -> None:
    low, high = RANGES[true]
    drawn = torch.Generator().manual_seed(seed)
    images = torch.rand(16, 3, 8, 8, generator=drawn) * (high - low) + low
    if said == true:
        PixelRange(said).scaled(images)
    else:
        with pytest.raises(ModelError, match="range"):
            PixelRange(said).scaled(images)


def test_small_batches_are_looked_at_together() -> None:
    seen = PixelRange()
    *first, last = torch.rand(16, 1, 3, 8, 8)
    for images in first:
        seen.scaled(images)
    with pytest.raises(ModelError, match="range 0..1"):
        seen.scaled(last)
    assert "without a dark pixel" in (seen.doubt() or "")


def test_floats_that_became_whole_too_early_are_refused_or_said() -> None:
    unit = torch.rand(16, 3, 8, 8)
    unit[0, 0, 0, 0] = 1.0
    with pytest.raises(ModelError, match="no levels but 0, 1"):
        BatchImages(unit.byte(), names(unit), NATIVE)
    seen = PixelRange()
    BatchImages(torch.zeros(16, 3, 8, 8, dtype=torch.uint8), names(unit), NATIVE, seen)
    assert "black and white alone" in (seen.doubt() or "")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 8, 8, 3), r"shape \(2, 8, 8, 3\); a tensor is \(N, 3, H, W\)"),
        (torch.zeros(3, 8, 8), "a tensor is"),
        (torch.zeros(0, 3, 8, 8), "a tensor is"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "int64"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"an array is \(N, H, W, 3\) uint8"),
        (np.zeros((2, 8, 8, 3), np.float32), "an array is"),
        ([[0.0]], "a list holds no images"),
    ],
)
def test_other_things_are_refused(images: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        BatchImages(images, ["a", "b"], NATIVE)
    with pytest.raises(SeeingkitError, match="2 images and 1 ids"):
        BatchImages(photos(2), ["a"], NATIVE)


def test_an_unknown_range_is_refused() -> None:
    with pytest.raises(SourceError, match="no range '0..2'"):
        PixelRange("0..2")  # type: ignore[arg-type]
