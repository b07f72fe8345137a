"""Decoding: every kind of picture to upright RGB on white, or a reason in words."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seeingkit.errors import ImageError, UsageError
from seeingkit.images import SUFFIXES, Limits, decode, open_images
from seeingkit.images.decode import quiet
from seeingkit.images.formats import FORMATS, is_image_name
from tests.helpers.png_by_hand import chunk, png

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(samples: np.ndarray, bits: int, photometric: int, sample_format: int = 1) -> bytes:
    """An uncompressed one-strip grey TIFF."""
    height, width = samples.shape
    data = samples.tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 0)]
    tags += [(277, 1), (278, height), (279, len(data)), (339, sample_format)]
    offset = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, offset if tag == 273 else value) for tag, value in tags
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + struct.pack("<I", 0) + data


def reason(data: bytes, limits: Limits | None = None, item: str = "x.png") -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, item, limits)
    assert caught.value.item == item
    assert str(caught.value) == f"{item}: {caught.value.reason}"
    return caught.value.reason


def pixels(data: bytes, item: str = "x.png") -> np.ndarray:
    image = decode(data, item)
    assert image.mode == "RGB"
    return np.asarray(image)


# ------------------------------------------------------------------------------------ good pictures


@pytest.mark.parametrize("kind", ["PNG", "BMP", "DIB", "TIFF", "PPM", "SGI", "PCX", "QOI", "WEBP"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    data = encoded(Image.fromarray(NOISE), kind, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(pixels(data), NOISE)


def test_jpeg_family_is_what_pillow_decodes() -> None:
    for kind in ("JPEG", "JPEG2000", "AVIF"):
        if kind not in Image.SAVE:
            continue
        data = encoded(Image.fromarray(NOISE), kind)
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_array_equal(pixels(data), expected)


def test_tga_is_tried_by_name_only() -> None:
    data = encoded(Image.fromarray(NOISE), "TGA")
    np.testing.assert_array_equal(pixels(data, "x.TGA"), NOISE)
    assert "not an image" in reason(data, item="x.png")


def test_grey_and_one_bit() -> None:
    grey = NOISE[..., 0]
    np.testing.assert_array_equal(
        pixels(encoded(Image.fromarray(grey), "PNG")), np.repeat(grey[..., None], 3, 2)
    )
    bits = Image.fromarray(grey).convert("1")
    assert set(np.unique(pixels(encoded(bits, "PNG")))) == {0, 255}


@given(st.integers(0, 65535))
@settings(max_examples=50, deadline=None)
def test_16_bit_grey_is_divided_by_257(value: int) -> None:
    levels = np.full((8, 8), value, np.uint16)
    expected = (value + 128) // 257  # round(value / 257) in whole numbers; 257 is odd: no ties
    assert np.unique(pixels(png(levels, 16, 0))).tolist() == [expected]
    assert np.unique(pixels(tiff(levels, 16, 1))).tolist() == [expected]
    pgm = b"P5 8 8 65535\n" + levels.astype(">u2").tobytes()
    assert np.unique(pixels(pgm)).tolist() == [expected]


def test_16_bit_grey_of_8_bit_levels_is_the_8_bit_picture() -> None:
    grey = np.arange(256, dtype=np.uint16).reshape(16, 16)
    np.testing.assert_array_equal(pixels(png(grey * 257, 16, 0)), pixels(png(grey, 8, 0)))


def test_16_bit_colour_keeps_its_high_byte() -> None:
    wide = NOISE.astype(np.uint16) * 256 + RNG.integers(0, 256, NOISE.shape, dtype=np.uint16)
    np.testing.assert_array_equal(pixels(png(wide, 16, 2)), NOISE)


def test_16_bit_tiff_with_white_as_zero_is_inverted() -> None:
    ramp = np.linspace(0, 65535, 64).astype("<u2").reshape(8, 8)
    black_is_zero, white_is_zero = (pixels(tiff(ramp, 16, p)).astype(int) for p in (1, 0))
    np.testing.assert_array_equal(black_is_zero + white_is_zero, 255)


def test_12_bit_tiff_reaches_white() -> None:
    levels = np.frombuffer(b"\xff" * 96, np.uint8).reshape(8, 12)
    data = tiff(levels, 12, 1).replace(
        struct.pack("<HHII", 256, 4, 1, 12), struct.pack("<HHII", 256, 4, 1, 8)
    )
    assert np.unique(pixels(data)).tolist() == [255]


def test_floating_point_grey_from_0_to_1() -> None:
    levels = np.linspace(0, 1, 64, dtype="<f4").reshape(8, 8)
    got = pixels(tiff(levels, 32, 1, sample_format=3))[..., 0]
    np.testing.assert_array_equal(got, np.floor(levels.astype(float) * 255 + 0.5))


@pytest.mark.parametrize("value", [200.0, -0.1, float("nan"), float("inf")])
def test_floating_point_grey_without_a_scale_is_refused(value: float) -> None:
    levels = np.full((8, 8), 0.5, "<f4")
    levels[3, 3] = value
    assert "only 0 to 1 has a known scale" in reason(tiff(levels, 32, 1, sample_format=3))


def test_32_bit_and_signed_grey_is_refused() -> None:
    for data in [
        tiff(np.full((8, 8), 200, "<u4"), 32, 1),
        tiff(np.full((8, 8), -5, "<i2"), 16, 1, sample_format=2),
    ]:
        assert "no known scale" in reason(data)


def test_cmyk_plain_and_inverted() -> None:
    cmyk = Image.merge("CMYK", [Image.new("L", (16, 16), v) for v in (255, 0, 0, 0)])
    np.testing.assert_allclose(
        pixels(encoded(cmyk, "JPEG", quality=100))[4, 4], [0, 255, 255], atol=3
    )
    np.testing.assert_array_equal(pixels(encoded(cmyk, "TIFF"))[4, 4], [0, 255, 255])
    # without the marker the numbers are what they say: here the inverse, so everything but cyan
    marked = encoded(cmyk, "JPEG", quality=100)
    at = marked.find(b"Adobe") - 4
    assert at > 0
    length = struct.unpack(">H", marked[at + 2 : at + 4])[0]
    unmarked = marked[:at] + marked[at + 2 + length :]
    np.testing.assert_allclose(pixels(unmarked)[4, 4], [0, 0, 0], atol=3)  # full M, Y and K


@pytest.mark.parametrize("alpha", [0, 1, 100, 128, 254, 255])
def test_transparency_is_composited_on_white(alpha: int) -> None:
    colour = np.array([10, 100, 200])
    expected = colour * alpha / 255 + 255 * (1 - alpha / 255)
    rgba = Image.new("RGBA", (8, 8), (*colour.tolist(), alpha))
    np.testing.assert_allclose(pixels(encoded(rgba, "PNG"))[0, 0], expected, atol=1)
    la = Image.new("LA", (8, 8), (10, alpha))
    expected_grey = 10 * alpha / 255 + 255 * (1 - alpha / 255)
    np.testing.assert_allclose(pixels(encoded(la, "PNG"))[0, 0], [expected_grey] * 3, atol=1)
    lossless = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, alpha)), "WEBP", lossless=True)
    np.testing.assert_allclose(pixels(lossless)[0, 0], 255 - alpha, atol=1)


def test_palette_with_alpha() -> None:
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.paste(1, (0, 0, 4, 8))
    got = pixels(encoded(palette, "PNG", transparency=bytes([255, 0])))
    np.testing.assert_array_equal(got[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(got[0, 7], [10, 20, 30])
    gif = pixels(encoded(palette, "GIF", transparency=1))
    np.testing.assert_array_equal(gif[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(gif[0, 7], [10, 20, 30])


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_with_a_transparent_level(depth: int) -> None:
    levels = np.zeros((8, 8), np.uint16)
    levels[:4] = 1
    got = pixels(png(levels, depth, 0, struct.pack(">H", 0)))
    assert np.unique(got[4:]).tolist() == [255]  # the key
    one = 255 // (2**depth - 1) if depth <= 8 else 0
    assert np.unique(got[:4]).tolist() == [one]


def test_colour_with_a_transparent_colour() -> None:
    key = struct.pack(">HHH", *NOISE[2, 3].tolist())
    got = pixels(png(NOISE, 8, 2, key))
    expected = NOISE.copy()
    expected[(NOISE[2, 3] == NOISE).all(-1)] = 255
    np.testing.assert_array_equal(got, expected)
    assert "transparent colour" in reason(png(NOISE.astype(np.uint16) * 257, 16, 2, key))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several(kind: str) -> None:
    frames = [Image.new("RGB", (16, 12), c) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options: dict[str, object] = {"save_all": True, "append_images": frames[1:]}
    if kind == "WEBP":
        options["lossless"] = True
    data = encoded(frames[0], kind, **options)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
    np.testing.assert_array_equal(pixels(data), np.broadcast_to([255, 0, 0], (12, 16, 3)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255  # one white corner tells all eight orientations of a landscape apart
    upright[8:, 24:] = 100
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    undo = turns[orientation]
    stored = Image.fromarray(np.ascontiguousarray(undo(upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {}
    if kind == "WEBP":
        options = {"lossless": True}
    elif kind == "JPEG":
        options = {"quality": 100, "subsampling": 0}
    got = pixels(encoded(stored, kind, exif=exif, **options))
    assert got.shape == upright.shape
    np.testing.assert_allclose(got.astype(int), upright, atol=2)


def test_damaged_exif_counts_as_none() -> None:
    data = encoded(Image.fromarray(NOISE), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f\1\2\3")
    plain = encoded(Image.fromarray(NOISE), "JPEG")
    np.testing.assert_array_equal(pixels(data), pixels(plain))


def test_a_path_decodes_like_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encoded(Image.fromarray(NOISE), "PNG"))
    np.testing.assert_array_equal(np.asarray(decode(path, "x.png")), NOISE)
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "y.png", "y.png")


# ------------------------------------------------------------------------------------- bad pictures


def test_reasons() -> None:
    assert reason(b"") == "empty file (0 bytes)"
    assert "not an image" in reason(b"hello, I am text and no picture at all")
    assert reason(encoded(Image.new("RGB", (1, 1)), "PNG")) == "1x1 pixels, smaller than 8"
    assert reason(encoded(Image.new("RGB", (7, 900)), "PNG")) == "7x900 pixels, smaller than 8"
    assert decode(encoded(Image.new("RGB", (1, 1)), "PNG"), "x", Limits(min_side=1)).size == (1, 1)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "SGI", "JPEG2000"])
def test_truncated_anywhere_is_refused_or_whole(kind: str) -> None:
    data = encoded(Image.fromarray(NOISE), kind)
    whole = pixels(data)
    for length in sorted({*range(1, len(data), 41), len(data) // 2, len(data) - 1}):
        try:
            got = pixels(data[:length])
        except ImageError:
            continue
        assert length > len(data) - 24  # only the file's trailer is missing
        np.testing.assert_array_equal(got, whole)


def test_truncated_png_is_refused_or_whole() -> None:
    data = encoded(Image.fromarray(NOISE), "PNG")
    for length in range(1, len(data), 7):
        try:
            got = pixels(data[:length])
        except ImageError:
            continue
        assert length > len(data) - 32
        np.testing.assert_array_equal(got, NOISE)


def test_half_a_jpeg_says_truncated() -> None:
    data = encoded(Image.fromarray(NOISE), "JPEG")
    assert "truncated" in reason(data[: len(data) // 2])


@given(st.binary(min_size=1, max_size=300), st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP"]))
@settings(max_examples=150, deadline=None)
def test_random_damage_gives_a_picture_or_a_reason(noise: bytes, kind: str) -> None:
    data = bytearray(encoded(Image.fromarray(NOISE[:16, :16]), kind))
    for place, value in zip(noise[::2], noise[1::2], strict=False):
        data[(place * 7) % len(data)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            mode, words = decode(bytes(data), "x").mode, "whole"
        except ImageError as error:
            mode, words = "RGB", error.reason
    assert mode == "RGB"
    assert words
    assert "\n" not in words
    assert " at 0x" not in words  # no addresses: reasons are the same in every run


def test_size_is_checked_before_decoding() -> None:
    bomb = png(np.zeros((8, 8), np.uint8), 8, 0)
    header = struct.pack(">IIBBBBB", 20_000, 6_000, 8, 0, 0, 0, 0)
    bomb = bomb[:8] + chunk(b"IHDR", header) + bomb[33:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow itself would only warn of 120 million pixels
        assert reason(bomb) == "20000x6000 pixels, more than the limit of 100,000,000 in all"
        huge = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
        assert "more pixels than" in reason(bomb[:8] + chunk(b"IHDR", huge) + bomb[33:])
    small = encoded(Image.fromarray(NOISE), "PNG")
    assert "more than the limit of 500" in reason(small, Limits(max_pixels=500))
    assert "more than 100" in reason(small, Limits(max_bytes=100))


def test_no_external_program_and_no_postscript() -> None:
    assert not {"EPS", "WMF", "PDF"} & set(FORMATS)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    assert "not an image" in reason(eps)


def test_not_a_regular_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not a regular file"):
        decode(tmp_path, "x.png")


def test_limits_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(encoded(Image.fromarray(NOISE), "PNG"))
    assert open_images(path, min_side=24).read([0]).shape == (1, 3, 256, 256)
    with pytest.raises(UsageError, match="min_sides"):
        open_images(path, min_sides=2)
    with pytest.raises(UsageError, match="max_pixels"):
        open_images(path, max_pixels=10**12)


def test_quiet_survives_overlapping_threads() -> None:
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with quiet():
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(5)
    with quiet():  # enters second …
        leave.set()
        thread.join()  # … and leaves last
    assert list(warnings.filters) == before


def test_suffixes() -> None:
    assert all(s == s.lower() and s.startswith(".") for s in SUFFIXES)
    assert is_image_name("A.JPG")
    assert is_image_name("a.b.webp")
    assert not is_image_name("a.txt")
    assert not is_image_name("png")
    assert not is_image_name(".png")
