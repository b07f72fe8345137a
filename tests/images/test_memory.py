"""The memory of decoding: strips give the same numbers, and large pictures wait for each other."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seeingkit.errors import ImageError
from seeingkit.images import ArrayImages, Limits, apply, decode, find_preset, upright
from seeingkit.images.decode import bytes_to_decode
from seeingkit.images.decode import upright as upright_of
from seeingkit.images.memory import Room
from seeingkit.images.preprocess import resized_size
from seeingkit.images.upright import TURNS, Upright

NOISE = np.random.default_rng(3).integers(0, 256, (73, 131, 3), dtype=np.uint8)


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of a few rows."""
    monkeypatch.setattr(upright, "STRIP", 500)


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize("orientation", [1, *TURNS])
@pytest.mark.parametrize("resampling", list(Image.Resampling), ids=lambda r: r.name)
def test_strips_equal_the_whole(orientation: int, resampling: Image.Resampling) -> None:
    image = Image.fromarray(NOISE)
    whole = image if orientation == 1 else image.transpose(TURNS[orientation])
    found = Upright(image, orientation=orientation)
    assert found.size == whole.size
    np.testing.assert_array_equal(np.asarray(found.whole()), np.asarray(whole))
    for size in (20, 73, 200, 131):
        wanted = resized_size(*whole.size, size)
        np.testing.assert_array_equal(
            np.asarray(found.resized(wanted, resampling)),
            np.asarray(whole.resize(wanted, resampling)),
        )


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def samples() -> dict[str, bytes]:
    colour, grey = Image.fromarray(NOISE), Image.fromarray(NOISE[..., 0])
    alpha = Image.merge("RGBA", [*colour.split(), grey])
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "grey.png": encoded(grey, "PNG"),
        "rgba.png": encoded(alpha, "PNG"),
        "la.png": encoded(alpha.convert("LA"), "PNG"),
        "palette.png": encoded(colour.quantize(17), "PNG", transparency=3),
        "deep.png": encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 200), "PNG"),
        "float.tif": encoded(Image.fromarray(NOISE[..., 0] / np.float32(255)), "TIFF"),
        "cmyk.jpg": encoded(colour.convert("CMYK"), "JPEG"),
        "turned.jpg": encoded(colour, "JPEG", exif=exif),
        "film.gif": encoded(colour, "GIF", save_all=True, append_images=[grey]),
        "strips.tif": encoded(colour, "TIFF", compression="tiff_adobe_deflate"),
    }


@pytest.mark.parametrize("name", samples())
def test_every_mode_is_the_same_in_strips(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, preset = samples()[name], find_preset("paper@32")
    whole, prepared = np.asarray(decode(data, name)), apply(decode(data, name), preset)
    monkeypatch.setattr(upright, "STRIP", 500)
    np.testing.assert_array_equal(np.asarray(decode(data, name)), whole)
    with upright_of(data, name) as found:
        np.testing.assert_array_equal(apply(found, preset), prepared)


def test_bytes_are_known_from_the_header() -> None:
    pixels = 73 * 131
    expected = {
        "grey.png": 1,
        "rgba.png": 4,
        "deep.png": 2,
        "palette.png": 1,
        "turned.jpg": 4,
        "film.gif": 1,
    }
    for name, each in expected.items():
        with Image.open(io.BytesIO(samples()[name])) as image:
            assert bytes_to_decode(image) == each * pixels, name
    colour = Image.fromarray(NOISE)
    with Image.open(io.BytesIO(encoded(colour, "JPEG", progressive=True))) as image:
        assert bytes_to_decode(image) == 10 * pixels
    with Image.open(io.BytesIO(encoded(colour, "WEBP"))) as image:
        assert bytes_to_decode(image) == 17 * pixels
    one_strip = encoded(colour, "TIFF", compression="tiff_adobe_deflate", tiffinfo={278: 73})
    with Image.open(io.BytesIO(one_strip)) as image:
        assert bytes_to_decode(image) == 7 * pixels


def test_a_picture_that_takes_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["seeingkit.images.decode"]  # whose name the package gives its function
    monkeypatch.setattr(module, "MOST", 8 * 73 * 131)
    image = Image.fromarray(NOISE)
    with pytest.raises(ImageError, match="WEBP of 131x73 pixels takes .* to decode, more than"):
        decode(encoded(image, "WEBP"), "x.webp")
    decode(encoded(image, "PNG", compress_level=9), "x.png", Limits())


def test_a_row_of_an_array_is_checked_as_a_picture(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", NOISE[None])
    source = ArrayImages(tmp_path / "rows.npy", limits=Limits(max_pixels=100))
    with pytest.raises(ImageError, match="131x73 pixels, more than the limit of 100"):
        source.read([0])


def test_a_room_is_never_overfull_and_nobody_waits_for_ever() -> None:
    room, lock = Room(100), threading.Lock()
    inside: list[int] = []
    most = 0

    def work(needed: int) -> None:
        nonlocal most
        for _ in range(30):
            with room.take(needed):
                with lock:
                    inside.append(min(needed, 100))
                    most = max(most, sum(inside))
                with room.take(70 if needed >= 100 else 0):  # one who holds it all takes more
                    pass
                with lock:
                    inside.remove(min(needed, 100))

    threads = [threading.Thread(target=work, args=(n,)) for n in (10, 60, 60, 100, 1000, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert 60 < most <= 100


BOMB = """
import sys
import torch
from seeingkit.images import open_images
def peak():  # unlike ru_maxrss, this is of this program alone
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
source = open_images(sys.argv[1])
source.threads = 4
open_images(sys.argv[2]).load([0])  # what the first picture of any size costs
before = peak()
source.fingerprint
_, good, skipped = source.load(range(len(source)))
print(len(good), (peak() - before) >> 10)
for one in skipped:
    print(one.reason, file=sys.stderr)
"""


def bomb(kind: str, path: Path) -> None:
    """A large picture of one colour or a few."""
    n = 9999
    flat = Image.new("L", (n, n), 90)
    if kind == "16-bit grey":
        Image.new("I;16", (n, n), 9000).save(path / "a.png")
    elif kind == "RGBA":
        Image.new("RGBA", (n, n), (9, 9, 9, 99)).save(path / "a.png")
    elif kind == "LA":
        Image.merge("LA", [flat, flat]).save(path / "a.png")
    elif kind == "palette":
        flat.convert("P").save(path / "a.png", transparency=90)
    elif kind == "JPEG of 30,000 x 3,000":
        Image.new("RGB", (30000, 3000), "teal").save(path / "a.jpg", quality=30)
    elif kind == "turned JPEG":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (n, n), "teal").save(path / "a.jpg", quality=30, exif=exif)
    elif kind == "progressive JPEG":
        Image.new("RGB", (9000, 9000), "teal").save(path / "a.jpg", progressive=True, quality=30)
    elif kind == "CMYK JPEG":
        Image.new("CMYK", (n, n), (9, 9, 9, 9)).save(path / "a.jpg", quality=30)
    elif kind == "GIF":
        flat.convert("P").save(
            path / "a.gif", save_all=True, append_images=[Image.new("P", (n, n))]
        )
    elif kind == "WebP":
        Image.new("RGB", (7000, 7000), "teal").save(path / "a.webp", method=0)
    elif kind == "TIFF":
        Image.new("RGB", (n, n), "teal").save(path / "a.tif", compression="tiff_adobe_deflate")
    elif kind == "TIFF as it is":
        Image.new("RGB", (n, n), "teal").save(path / "a.tif")
    elif kind == "JPEG 2000":
        Image.new("RGB", (5500, 5500), "teal").save(path / "a.jp2")
    elif kind == "AVIF":
        Image.new("RGB", (7000, 7000), "teal").save(path / "a.avif", speed=10)
    first = next(path.iterdir())
    for name in "bcd":
        (path / f"{name}{first.suffix}").hardlink_to(first)


KINDS = (
    "16-bit grey",
    "RGBA",
    "LA",
    "palette",
    "JPEG of 30,000 x 3,000",
    "turned JPEG",
    "progressive JPEG",
    "CMYK JPEG",
    "GIF",
    "WebP",
    "TIFF",
    "TIFF as it is",
    "JPEG 2000",
    "AVIF",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_four_large_pictures_take_less_than_a_gibibyte(kind: str, tmp_path: Path) -> None:
    (tmp_path / "bombs").mkdir()
    bomb(kind, tmp_path / "bombs")
    Image.new("RGB", (64, 64)).save(tmp_path / "small.png")
    words = [sys.executable, "-c", BOMB, str(tmp_path / "bombs"), str(tmp_path / "small.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    read, mebibytes = map(int, done.stdout.split())
    print(f"{kind}: {read} read, {mebibytes} MiB {done.stderr[:100]}")
    assert read == 4
    assert mebibytes < 1024
