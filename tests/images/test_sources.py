"""Image sources: the same pictures, ids and fingerprints wherever they are kept."""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel
from torch import Tensor

from seeingkit.contracts import GeneratorInfo, ImageSource, Latent, LatentSpec, Sampler, Skipped
from seeingkit.errors import ImageError, ModelError, SourceError, UnknownNameError, UsageError
from seeingkit.hooks import Register, hookimpl
from seeingkit.images import (
    PRESETS,
    FileImages,
    Limits,
    SamplerSource,
    Selection,
    ZipImages,
    apply,
    find_preset,
    open_folder,
    open_images,
    quantise,
    select,
    to_tensor,
)
from seeingkit.images.files import natural_key
from seeingkit.images.preprocess import crop_offset, resized_size
from seeingkit.models.registry import PluginRecord, Registry
from seeingkit.specs import DataSpec, Options, Preset
from seeingkit.system.digests import DigestStore, file_stamp

RNG = np.random.default_rng(3)


def picture(width: int = 48, height: int = 32) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEEINGKIT_CACHE", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good pictures in three folders, whose natural order is not the alphabet's."""
    root = tmp_path / "pictures"
    for name in ["img1.png", "img2.png", "img10.png", "sub/a.JPG", "sub/b.webp", "sub/x/é.bmp"]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = RNG.integers(20, 60, 2).tolist()
        picture(width, height).save(path)
    return root


def all_of(source: ImageSource) -> Tensor:
    return source.read(range(len(source)))


# --------------------------------------------------------------------------------------- preprocess


def test_paper_preset_by_hand() -> None:
    """Against the conventions written out with Pillow alone."""
    for width, height, wanted, box in [
        (300, 200, (384, 256), (64, 0)),
        (341, 256, (341, 256), (42, 0)),  # (341 - 256) / 2 = 42.5, halves to even
        (343, 256, (343, 256), (44, 0)),  # 43.5 goes up
        (100, 333, (256, 852), (0, 298)),
        (640, 479, (342, 256), (43, 0)),
    ]:
        image = picture(width, height)
        resized = image.resize(wanted, Image.Resampling.BILINEAR)
        left, top = box
        expected = np.asarray(resized)[top : top + 256, left : left + 256]
        np.testing.assert_array_equal(apply(image, PRESETS["paper"]), expected)


def test_range_is_that_of_totensor_and_normalize() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, 2)
    tensor = to_tensor(levels)
    expected = (torch.arange(256, dtype=torch.float32) / 255 - 0.5) / 0.5
    assert torch.equal(tensor, expected.reshape(1, 16, 16).expand(3, 16, 16))
    assert tensor.is_contiguous()
    assert tensor.min() == -1
    assert tensor.max() == 1
    assert torch.equal(to_tensor(levels[None])[0], tensor)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 600))
def test_resize_geometry(width: int, height: int, size: int) -> None:
    new_width, new_height = resized_size(width, height, size)
    assert min(new_width, new_height) == size
    assert (new_width <= new_height) == (width <= height) or new_width == new_height
    # the longer side is the exact one, rounded down
    exact = size * max(width, height) / min(width, height)
    assert exact - 1 < max(new_width, new_height) <= exact
    assert resized_size(height, width, size) == (new_height, new_width)
    for side in (new_width, new_height):
        start = crop_offset(side, size)
        assert 0 <= start <= side - size
        assert abs((side - size - start) - start) <= 1  # centred


@given(st.integers(8, 90), st.integers(8, 90), st.integers(4, 40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_apply_gives_the_size_it_promises(width: int, height: int, size: int, crop: bool) -> None:
    preset = Preset(name="p", size=size, crop=crop)
    array = apply(Image.new("RGB", (width, height), (1, 2, 3)), preset)
    expected = (size, size) if crop else resized_size(width, height, size)[::-1]
    assert array.shape == (*expected, 3)
    assert array.dtype == np.uint8
    assert (array == [1, 2, 3]).all()


def test_a_picture_too_narrow_to_resize_is_refused() -> None:
    with pytest.raises(ImageError, match=r"8x100000 pixels become 256x3200000"):
        apply(Image.new("RGB", (8, 100_000)), PRESETS["paper"])


def test_presets_by_name() -> None:
    assert find_preset(None) == PRESETS["paper"]
    small = find_preset("paper", 128)
    assert (small.name, small.size, small.crop) == ("paper@128", 128, True)
    assert find_preset("paper@128") == small == find_preset(small, 128)
    assert find_preset("paper", 256) == PRESETS["paper"]
    with pytest.raises(UnknownNameError, match="paper"):
        find_preset("papre")
    for wrong in ["paper@", "paper@x", "paper@-3", "paper@0", "paper@99999"]:
        with pytest.raises(UsageError):
            find_preset(wrong)
    with pytest.raises(UsageError, match="disagree"):
        find_preset("paper@128", 64)


def test_native_keeps_sizes_and_refuses_the_odd_one(tmp_path: Path) -> None:
    for name, size in [("a", (40, 24)), ("b", (40, 24)), ("c", (24, 40))]:
        picture(*size).save(tmp_path / f"{name}.png")
    source = open_images(tmp_path, preset="native")
    assert source.read([0, 1]).shape == (2, 3, 24, 40)
    reason = "24x40 pixels, but 40x24 expected (the size of a.png)"
    images, good, skipped = source.load([2, 1])
    assert images is not None
    assert good == [1]
    assert skipped[0].item == "c.png"
    assert skipped[0].reason.startswith(reason)
    # which picture is the odd one out does not depend on what else is asked for
    assert source.load([2])[2] == skipped
    with pytest.raises(ImageError, match=r"c\.png"):
        source.read([2])


# ------------------------------------------------------------------------------------------- folder


def test_folder_ids_and_order(folder: Path) -> None:
    for litter in [".hidden.png", ".git/x.png", "__MACOSX/._a.png", "Thumbs.db", "notes.txt"]:
        (folder / litter).parent.mkdir(exist_ok=True)
        (folder / litter).write_bytes(b"litter")
    source = open_images(folder)
    assert list(source.ids) == [
        "img1.png",
        "img2.png",
        "img10.png",
        "sub/a.JPG",
        "sub/b.webp",
        "sub/x/é.bmp",
    ]
    assert all_of(source).shape == (6, 3, 256, 256)
    assert open_images(str(folder) + "/").ids == source.ids
    assert source.describe()["images"] == 6


@given(st.lists(st.text("ab01/9.-é", min_size=1, max_size=8), min_size=2, max_size=6, unique=True))
def test_natural_order_is_total(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    assert sorted(set(names), key=natural_key) == ordered
    assert sorted(ordered) == sorted(names)


def test_natural_order_counts() -> None:
    names = [f"v{a}/img{b}.png" for a in (1, 2, 10) for b in (0, 1, 9, 10, 99, 100, 1000)]
    shuffled = random.Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == names
    assert natural_key("9" * 6000) > natural_key("8" * 6000)  # beyond what int() would take


def test_accents_have_one_spelling(tmp_path: Path) -> None:
    picture().save(tmp_path / "e\u0301.png")  # as macOS stores it
    source = open_images(tmp_path)
    assert list(source.ids) == ["\u00e9.png"]
    assert source.read([0]).shape[0] == 1


def test_links(folder: Path) -> None:
    before = open_images(folder)
    (folder / "sub" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    source = open_images(folder)
    assert set(source.ids) - set(before.ids) == {"self.png", "broken.png"}
    _, good, skipped = source.load(range(len(source)))
    assert len(good) == 6
    assert {s.item for s in skipped} == {"self.png", "broken.png"}
    assert Skipped("broken.png", "no such file") in skipped


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_does_not_hang(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    source = open_images(folder)
    assert source.load([source.ids.index("pipe.png")])[2] == [
        Skipped("pipe.png", "not a regular file")
    ]
    assert len(source.fingerprint) == 64


def test_empty_folder(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "readme.md").write_text("nothing here")
    with pytest.raises(
        SourceError,
        match=r"no images in .*empty \(left out, no pictures: 1 \.md\).*\.png",
    ):
        open_images(empty)


def test_folder_of_bad_pictures(tmp_path: Path) -> None:
    """Every kind of odd file at once: what is used, what is skipped, and why."""
    root = tmp_path / "odd"
    root.mkdir()
    picture(64, 48).save(root / "good.png")
    picture(64, 48).save(root / "truncated.jpg")
    whole = (root / "truncated.jpg").read_bytes()
    (root / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "zero.png").write_bytes(b"")
    (root / "text.png").write_text("this is no picture, whatever its name says")
    Image.new("CMYK", (64, 48), (255, 0, 0, 0)).save(root / "cmyk.jpg", quality=100)
    frames = [Image.new("RGB", (64, 48), c) for c in ("red", "blue")]
    frames[0].save(root / "animated.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((48, 64), 257 * 100, np.uint16)).save(root / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (64, 48), "lime").save(root / "rotated.jpg", exif=exif, quality=100)
    Image.new("RGB", (1, 1)).save(root / "tiny.png")

    source = open_images(root)
    assert list(source.ids) == sorted(p.name for p in root.iterdir())
    images, good, skipped = source.load(range(len(source)))
    names = [source.ids[i] for i in good]
    assert names == ["animated.gif", "cmyk.jpg", "deep.png", "good.png", "rotated.jpg"]
    assert [s.item for s in skipped] == ["text.png", "tiny.png", "truncated.jpg", "zero.png"]
    reasons = {s.item: s.reason for s in skipped}
    assert reasons["text.png"] == "not an image in a known format, or damaged at its start"
    assert reasons["tiny.png"] == "1x1 pixels, smaller than 8"
    assert "truncated" in reasons["truncated.jpg"]
    assert reasons["zero.png"] == "empty file (0 bytes)"
    assert images is not None
    assert images.shape == (5, 3, 256, 256)
    middle = {
        n: ((images[k, :, 128, 128] + 1) * 127.5).round().tolist() for k, n in enumerate(names)
    }
    assert middle["animated.gif"] == [255, 0, 0]
    assert middle["deep.png"] == [100, 100, 100]
    np.testing.assert_allclose(middle["cmyk.jpg"], [0, 255, 255], atol=3)
    with pytest.raises(ImageError, match=r"text\.png"):
        source.read(range(len(source)))
    rotated = source.picture(source.ids.index("rotated.jpg"))  # type: ignore[attr-defined]
    assert rotated.size == (48, 64)


def test_load_does_not_depend_on_threads(folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"bad")
    one, many = open_folder(folder), open_folder(folder)
    one.threads, many.threads = 1, 7
    order = [6, 1, 5, 0, 3, 2, 4, 1]
    (a, good_a, skip_a), (b, good_b, skip_b) = one.load(order), many.load(order)
    assert a is not None
    assert b is not None
    assert torch.equal(a, b)
    assert good_a == good_b
    assert skip_a == skip_b
    assert len(skip_a) == 1
    assert one.fingerprint == many.fingerprint
    assert one.load([]) == (None, [], [])
    assert one.read([]).shape[0] == 0


def test_load_from_several_threads_at_once(folder: Path) -> None:
    source = open_folder(folder)
    expected = all_of(source)
    results: list[Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(all_of(source))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(r, expected) for r in results)


# -------------------------------------------------------------------------------------- fingerprint


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_changed_byte_changes_the_fingerprint(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("prints")
    for name in "ab":
        (root / f"{name}.png").write_bytes(data.draw(st.binary(min_size=1, max_size=64)))
    before = open_folder(root).fingerprint
    assert open_folder(root).fingerprint == before
    victim = root / data.draw(st.sampled_from(["a.png", "b.png"]))
    content = bytearray(victim.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    times = victim.stat()
    victim.write_bytes(content)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time
    assert open_folder(root).fingerprint != before


def test_names_presets_and_limits_change_the_fingerprint(folder: Path) -> None:
    prints = {
        "plain": open_images(folder).fingerprint,
        "size": open_images(folder, resolution=128).fingerprint,
        "native": open_images(folder, preset="native").fingerprint,
        "filter": open_images(
            folder, preset=Preset(name="paper", size=256, filter="lanczos")
        ).fingerprint,
        "limits": open_images(folder, min_side=4).fingerprint,
        "part": open_images(folder / "sub").fingerprint,
    }
    (folder / "img1.png").rename(folder / "img3.png")
    prints["renamed"] = open_images(folder).fingerprint
    (folder / "img3.png").unlink()
    prints["removed"] = open_images(folder).fingerprint
    assert len(set(prints.values())) == len(prints)


def test_fingerprint_is_the_same_elsewhere(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "moved")
    assert open_images(tmp_path / "moved").fingerprint == open_images(folder).fingerprint


def test_a_remembered_hash_spares_reading_but_never_lies(folder: Path, cache: Path) -> None:
    long_ago = 1_600_000_000
    read: list[int] = []

    class Counted(FileImages):
        def fetch(self, index: int) -> bytes:
            read.append(index)
            return super().fetch(index)

    def fresh() -> FileImages:
        plain = open_folder(folder)
        return Counted("counted", folder, list(plain.ids))

    first = fresh().fingerprint
    assert len(read) == 6
    # just written: nothing may be remembered, as a change within the clock's tick would be missed
    assert fresh().fingerprint == first
    assert len(read) == 12
    store = DigestStore(folder)
    for index, item in enumerate(fresh().ids):
        stamp = file_stamp(folder / item)
        assert stamp is not None
        old = (stamp[0], long_ago, long_ago, stamp[3])
        store.put(item, old, fresh().content(index))
        assert store.get(item, old) == fresh().content(index)
        assert store.get(item, stamp) is None  # times differ: hash again
    store.save()
    assert len(list((cache / "digests").iterdir())) == 1
    assert DigestStore(folder).get("img1.png", (0, 0, 0, 0)) is None


def test_remembered_hashes_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seeingkit.system.digests.SETTLED", -1.0)  # as if the files were old
    first = open_folder(folder).fingerprint
    unread = open_folder(folder)
    monkeypatch.setattr(unread, "fetch", None)  # would fail if any byte were read
    assert unread.fingerprint == first
    (folder / "img2.png").write_bytes((folder / "img10.png").read_bytes())
    assert open_folder(folder).fingerprint != first


@pytest.mark.parametrize("content", ["", "[]", '{"img1.png": 3}', '{"img1.png": [1, 2, 3]}', "\0"])
def test_a_damaged_cache_is_an_empty_one(folder: Path, content: str) -> None:
    expected = open_folder(folder).fingerprint
    path = DigestStore(folder).path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    assert open_folder(folder).fingerprint == expected


def test_a_cache_that_cannot_be_written_is_no_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_folder(folder).fingerprint
    (tmp_path / "file").write_text("no folder can be made below a file")
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("seeingkit.system.digests.SETTLED", -1.0)
    assert open_folder(folder).fingerprint == expected


def test_progress_of_the_fingerprint(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    source = open_folder(folder)
    value = source.compute_fingerprint(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6)
    assert source.fingerprint == value == open_folder(folder).fingerprint
    selection = select(open_folder(folder), 2)
    assert isinstance(selection, Selection)
    selection.compute_fingerprint(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2, 2)  # what is not selected is not read


# ---------------------------------------------------------------------------------------------- zip


def zipped(folder: Path, path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_equals_folder(folder: Path, tmp_path: Path, method: int) -> None:
    (folder / "bad.png").write_bytes(b"bad")
    (folder / ".hidden.png").write_bytes(b"hidden")
    archive = open_images(zipped(folder, tmp_path / "all.zip", compression=method))
    plain = open_images(folder)
    assert list(archive.ids) == list(plain.ids)
    assert archive.fingerprint == plain.fingerprint
    (a, good_a, skip_a), (b, good_b, skip_b) = (s.load(range(7)) for s in (archive, plain))
    assert a is not None
    assert b is not None
    assert torch.equal(a, b)
    assert good_a == good_b
    assert skip_a == skip_b
    assert select(archive, 3).fingerprint == select(plain, 3).fingerprint
    archive.close()


def test_zip_with_damaged_and_encrypted_members(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "all.zip", compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        damaged = archive.getinfo("img1.png")
    data[damaged.header_offset + 30 + len("img1.png") + 60] ^= 0xFF
    central = data.rfind(b"img2.png") - 46  # entry of the central directory: flags at offset 8
    assert data[central : central + 4] == b"PK\1\2"
    data[central + 8] |= 1
    path.write_bytes(data)
    source = open_images(path)
    _, good, skipped = source.load(range(6))
    assert len(good) == 4
    assert skipped[0].item == "img1.png"
    assert "damaged in the archive" in skipped[0].reason
    assert skipped[1] == Skipped("img2.png", "encrypted in the archive")
    assert len(source.fingerprint) == 64
    source.close()


def test_zip_names_cannot_climb_out(tmp_path: Path) -> None:
    path = tmp_path / "names.zip"
    image = tmp_path / "x.png"
    picture().save(image)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ["../../up.png", "/root.png", "win\\dows.png", "./dot/a.png"]:
            archive.write(image, name)
        archive.write(image, "__MACOSX/._a.png")
    source = ZipImages(path)
    assert list(source.ids) == ["dot/a.png", "root.png", "up.png", "win/dows.png"]
    assert all_of(source).shape[0] == 4
    source.close()


def test_bad_archives(folder: Path, tmp_path: Path) -> None:
    whole = zipped(folder, tmp_path / "all.zip").read_bytes()
    for name, data in [("cut", whole[: len(whole) // 2]), ("text", b"no zip"), ("empty", b"")]:
        path = tmp_path / f"{name}.zip"
        path.write_bytes(data)
        with pytest.raises(SourceError, match=f"{name}.zip: not a zip archive"):
            open_images(path)
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(SourceError, match="no images in the archive"):
        open_images(tmp_path / "none.zip")


def test_zip_member_larger_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", b"\0" * 5_000_000)
    with pytest.raises(ImageError, match="5,000,000 bytes, more than 1,000,000"):
        ZipImages(path, limits=Limits(max_bytes=1_000_000)).read([0])


# --------------------------------------------------------------------------------------------- lmdb


def lsun(folder: Path, path: Path) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as w:
        for item in open_folder(folder).ids:
            w.put(item.encode(), (folder / item).read_bytes())
    return path


def test_lmdb(folder: Path, tmp_path: Path) -> None:
    source = open_images(lsun(folder, tmp_path / "church_lmdb"))
    files = open_images(folder)
    assert list(source.ids) == sorted(files.ids)  # lmdb's own order: bytes
    order = [list(files.ids).index(item) for item in source.ids]
    assert torch.equal(all_of(source), files.read(order))
    assert source.fingerprint == Selection(files, order).fingerprint
    source.close()
    again = open_images(tmp_path / "church_lmdb" / "data.mdb")
    assert again.ids == source.ids
    again.close()


def test_lmdb_errors(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lmdb")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "data.mdb").write_bytes(b"this is no lmdb" * 1000)
    with pytest.raises(SourceError, match="not an lmdb that can be read"):
        open_images(bad)
    good = lsun(folder, tmp_path / "good")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(SourceError, match=r"pip install 'seeingkit\[lmdb\]'"):
        open_images(good)


# ----------------------------------------------------------------------------- lists, globs, arrays


def test_list_file(folder: Path) -> None:
    listing = folder / "list.txt"
    listing.write_text("\ufeff# two good, one missing\n\nsub/b.webp\n  img10.png \nsub/gone.png\n")
    source = open_images(listing)
    assert list(source.ids) == ["sub/b.webp", "img10.png", "sub/gone.png"]
    files = open_images(folder)
    expected = files.read([files.ids.index("sub/b.webp"), files.ids.index("img10.png")])
    images, good, skipped = source.load([0, 1, 2])
    assert images is not None
    assert torch.equal(images, expected)
    assert good == [0, 1]
    assert skipped == [Skipped("sub/gone.png", "no such file")]
    before = source.fingerprint
    listing.write_text("img10.png\nsub/b.webp\nsub/gone.png\n")
    assert open_images(listing).fingerprint != before  # pictures are numbered by their order
    picture().save(folder / "sub/gone.png")
    assert open_images(listing).load([2])[2] == []


def test_bad_lists(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    for data, match in [
        (b"# nothing\n\n", "lists no images"),
        (b"a.png\nb.png\n./a.png\n", "lines 1 and 3 both list"),
        (b"\xff\xfe\0a", "UTF-8"),
        (b"a\0b.png\n", "line 1 is not a path"),
    ]:
        path.write_bytes(data)
        with pytest.raises(SourceError, match=match):
            open_images(path)


def test_globs(folder: Path) -> None:
    (folder / "sub" / "notes.txt").write_text("no picture")
    assert list(open_images(f"{folder}/img*.png").ids) == ["img1.png", "img2.png", "img10.png"]
    deep = open_images(f"{folder}/**/*")
    files = open_images(folder)
    assert list(deep.ids) == list(files.ids)
    assert deep.fingerprint == files.fingerprint
    assert list(open_images(f"{folder}/s?b/[ab].*").ids) == ["sub/a.JPG", "sub/b.webp"]
    with pytest.raises(SourceError, match="no file matches"):
        open_images(f"{folder}/*.gif")
    with pytest.raises(SourceError, match="no images in what"):
        open_images(f"{folder}/sub/*.txt")


def test_glob_from_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert list(open_images("*.png").ids) == ["img1.png", "img2.png", "img10.png"]
    odd = folder / "odd[1]"
    odd.mkdir()
    picture().save(odd / "a.png")
    assert list(open_images("odd[1]").ids) == ["a.png"]  # an existing path is no pattern


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays(tmp_path: Path, suffix: str) -> None:
    rows = RNG.integers(0, 256, (5, 20, 30, 3), dtype=np.uint8)
    path = tmp_path / f"rows{suffix}"
    if suffix == ".npy":
        np.save(path, rows)
    else:
        np.savez(path, rows)
    root = tmp_path / "saved"
    root.mkdir()
    for k, row in enumerate(rows):
        Image.fromarray(row).save(root / f"{k:06d}.png")
    source = open_images(path)
    assert list(source.ids) == [f"{k:06d}" for k in range(5)]
    assert torch.equal(all_of(source), all_of(open_images(root)))
    assert source.fingerprint == open_images(path).fingerprint
    rows[3, 2, 1, 0] ^= 1
    other = tmp_path / "other.npy"
    np.save(other, rows)
    assert open_images(other).fingerprint != source.fingerprint
    reshaped = tmp_path / "reshaped.npy"
    np.save(reshaped, np.load(other).reshape(5, 30, 20, 3))
    assert open_images(reshaped).fingerprint != open_images(other).fingerprint


def test_bad_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    arrays: list[tuple[np.ndarray, str]] = [
        (np.zeros((2, 8, 8, 3), np.float32), "not float32"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"of shape \(2, 3, 8, 8\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), "no images"),
    ]
    for array, match in arrays:
        np.save(path, array)
        with pytest.raises(SourceError, match=match):
            open_images(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match="not a numpy file that can be read"):
        open_images(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match="not a numpy file"):
        open_images(path)
    np.savez(tmp_path / "x.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(SourceError, match="none called 'images'"):
        open_images(tmp_path / "x.npz")
    np.save(path, np.zeros((1, 4, 8, 3), np.uint8))
    assert open_images(path).load([0])[2] == [Skipped("000000", "8x4 pixels, smaller than 8")]


# ------------------------------------------------------------------------------------------ sampler


class Waves(Sampler):
    """Images in closed form: pixel = 1.3 sin(z0 x + z1 y + z2 + channel), over [-1, 1] at times."""

    def __init__(self, size: int = 24, classes: int = 0, broken: dict[int, float] | None = None):
        self.size = size
        self.broken = broken or {}
        self.batches: list[int] = []
        self.info = GeneratorInfo(
            family="waves",
            resolution=size,
            latent=(LatentSpec(shape=(3,)),),
            class_names=tuple(f"class {c}" for c in range(classes)),
            weights_sha256="ab" * 32,
        )

    def __call__(self, latent: Latent) -> Tensor:
        z = latent["z"]
        self.batches.append(len(z))
        y, x = torch.meshgrid(*[torch.arange(self.size) / self.size] * 2, indexing="ij")
        phase = torch.arange(3.0).reshape(1, 3, 1, 1) + z[:, 2].reshape(-1, 1, 1, 1)
        if "label" in latent:
            phase = phase + latent["label"].reshape(-1, 1, 1, 1)
        images = 1.3 * torch.sin(
            4 * z[:, 0].reshape(-1, 1, 1, 1) * x + 4 * z[:, 1].reshape(-1, 1, 1, 1) * y + phase
        )
        for row, value in enumerate(z[:, 0].tolist()):
            for index, poison in self.broken.items():
                if value == float(self.latents([index])["z"][0, 0]):
                    images[row, 1, 2, 3] = poison
        return images


def save_pngs(sampler: Sampler, n: int, root: Path, labels: list[int] | None = None) -> None:
    root.mkdir()
    for k in range(n):
        latent = sampler.latents([k], seed=0, labels=None if labels is None else [labels[k]])
        levels = (sampler(latent)[0].permute(1, 2, 0) * 127.5 + 128).clamp(0, 255).to(torch.uint8)
        Image.fromarray(levels.numpy()).save(root / f"seed0-{k:06d}.png")


@pytest.mark.parametrize("preset", ["paper", "native", "paper@32", "paper@24"])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_sampler_equals_its_pngs(tmp_path: Path, preset: str, batch: int) -> None:
    sampler = Waves()
    save_pngs(sampler, 7, tmp_path / "saved")
    source = SamplerSource(sampler, 7, preset=find_preset(preset), batch=batch)
    saved = open_images(tmp_path / "saved", preset=preset)
    assert torch.equal(all_of(source), all_of(saved))
    assert [f"{item}.png" for item in source.ids] == list(saved.ids)
    assert torch.equal(source.read([5, 2]), saved.read([5, 2]))
    assert all_of(source).abs().max() == 1  # the waves do leave the range and are clipped


def test_sampler_generates_in_batches() -> None:
    sampler = Waves()
    SamplerSource(sampler, 10, batch=4).load(range(10))
    assert sampler.batches == [4, 4, 2]


def test_conditional_sampler(tmp_path: Path) -> None:
    sampler = Waves(classes=3)
    for given_labels, each in [(None, [0, 1, 2, 0, 1]), (2, [2] * 5), ([1, 0], [1, 0, 1, 0, 1])]:
        root = tmp_path / str(given_labels)
        save_pngs(sampler, 5, root, each)
        source = SamplerSource(sampler, 5, labels=given_labels)
        assert torch.equal(all_of(source), all_of(open_images(root)))
    with pytest.raises(UsageError, match="no class 3"):
        SamplerSource(sampler, 5, labels=[0, 3])
    with pytest.raises(UsageError, match="empty list"):
        SamplerSource(sampler, 5, labels=[])
    with pytest.raises(UsageError, match="not conditional"):
        SamplerSource(Waves(), 5, labels=[0])
    prints = {SamplerSource(sampler, 5, labels=w).fingerprint for w in (None, 2, [1, 0])}
    assert len(prints) == 3


def test_sampler_with_nan_and_inf() -> None:
    source = SamplerSource(Waves(broken={2: float("nan"), 4: float("inf")}), 6)
    clean = SamplerSource(Waves(), 6)
    images, good, skipped = source.load(range(6))
    assert good == [0, 1, 3, 5]
    assert skipped == [
        Skipped("seed0-000002", "generator gave NaN"),
        Skipped("seed0-000004", "generator gave Inf"),
    ]
    assert images is not None
    assert torch.equal(images, clean.read(good))
    with pytest.raises(ImageError, match="seed0-000002: generator gave NaN"):
        source.read([1, 2])
    assert source.load([2])[0] is None


def test_sampler_of_a_wrong_shape() -> None:
    class Grey(Waves):
        def __call__(self, latent: Latent) -> Tensor:
            return super().__call__(latent)[:, :1]

    with pytest.raises(ModelError, match=r"expected \(2, 3, 24, 24\)"):
        SamplerSource(Grey(), 4).read([0, 1])
    for n, batch in ((0, 1), (3, 0)):
        with pytest.raises(UsageError, match="at least one"):
            SamplerSource(Waves(), n, batch=batch)


def test_sampler_fingerprint() -> None:
    base = SamplerSource(Waves(), 10)
    assert SamplerSource(Waves(), 10_000, batch=3).fingerprint == base.fingerprint
    others = [
        SamplerSource(Waves(), 10, seed=1),
        SamplerSource(Waves(size=32), 10),
        SamplerSource(Waves(), 10, preset=find_preset("paper", 128)),
        Selection(base, [0, 1]),
    ]
    assert len({base.fingerprint, *(o.fingerprint for o in others)}) == 5
    assert base.describe()["seed"] == 0


def test_a_million_ids_cost_nothing() -> None:
    ids = SamplerSource(Waves(), 1_000_000, seed=5).ids
    assert len(ids) == 1_000_000
    assert ids[-1] == "seed5-999999"
    assert list(ids[2:4]) == ["seed5-000002", "seed5-000003"]
    with pytest.raises(IndexError):
        ids[1_000_000]


def test_quantise_is_the_nearest_level() -> None:
    x = torch.linspace(-1.2, 1.2, 100_001, dtype=torch.float64).to(torch.float32)
    got = quantise(x.reshape(1, 1, 1, -1).expand(1, 3, 1, -1))[0, 0, :, 0]
    exact = (x.double().clamp(-1, 1) * 127.5 + 127.5).numpy()
    assert np.abs(got.numpy() - exact).max() <= 0.5 + 1e-4
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    assert torch.equal(quantise(to_tensor(levels)), levels)  # a round trip loses nothing


# ---------------------------------------------------------------------------------------- selection


def test_selection_is_the_papers(folder: Path) -> None:
    source = open_images(folder)
    order = list(range(6))
    random.Random(1).shuffle(order)
    chosen = select(source, 4)
    assert list(chosen.ids) == [source.ids[i] for i in order[:4]]
    assert torch.equal(all_of(chosen), source.read(order[:4]))
    assert list(select(source, 2).ids) == list(chosen.ids)[:2]
    assert list(open_images(folder, n=4).ids) == list(chosen.ids)
    assert list(open_images(folder, n=6, seed=2).ids) != list(open_images(folder, n=6).ids)
    assert select(source, None) is source
    for n in (0, -1, 7):
        with pytest.raises(UsageError):
            select(source, n)
    with pytest.raises(UsageError, match="6 images, fewer than the 7"):
        open_images(folder, n=7)
    assert len(select(source, 7, allow_fewer=True)) == 6


def test_selection_names_what_it_skips(folder: Path) -> None:
    (folder / "img2.png").write_bytes(b"bad")
    source = open_images(folder)
    chosen = Selection(source, [4, 1, 0])
    images, good, skipped = chosen.load([2, 1, 0])
    assert good == [2, 0]
    assert [s.item for s in skipped] == ["img2.png"]
    assert images is not None
    assert torch.equal(images, source.read([0, 4]))
    assert chosen.describe()["selected_from"] == 6
    assert chosen.describe()["preset"] == "paper"
    for wrong in ([6], [-1], [1, 1]):
        with pytest.raises(UsageError):
            Selection(source, wrong)


def test_selection_fingerprint(folder: Path) -> None:
    def of(indices: list[int]) -> str:
        return Selection(open_images(folder), indices).fingerprint

    assert of([0, 1]) == of([0, 1])
    assert len({of([0, 1]), of([1, 0]), of([0]), of([0, 2]), open_images(folder).fingerprint}) == 5
    nested = Selection(Selection(open_images(folder), [3, 2, 1]), [2, 0])
    assert list(nested.ids) == [open_images(folder).ids[i] for i in (1, 3)]
    assert nested.fingerprint == of([1, 3])
    before, untouched = of([0, 1]), of([2, 3])
    (folder / "img1.png").write_bytes(b"other")
    assert of([0, 1]) != before
    assert of([2, 3]) == untouched


# ------------------------------------------------------------------------------------------ opening


class BoxOptions(Options):
    side: int = 24


def open_boxes(options: BaseModel, preset: Preset) -> ImageSource:
    assert isinstance(options, BoxOptions)
    return SamplerSource(Waves(options.side), 9, preset=preset)


class Plugin:
    @hookimpl
    def seeingkit_register(self, register: Register) -> None:
        register(
            DataSpec(
                name="boxes",
                summary="waves seen as a data set",
                aliases=("box",),
                target=f"{__name__}:open_boxes",
                options=BoxOptions,
                preset="native",
            )
        )
        register(Preset(name="sharp", size=64, filter="lanczos"))


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = Registry()
    filled.add(Plugin(), PluginRecord("boxes", "tests", "0", __name__))
    for module in ("models.registry", "images.opening"):
        monkeypatch.setattr(f"seeingkit.{module}.registry", lambda: filled)


@pytest.mark.usefixtures("plugin")
def test_data_sets_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_images("boxes").read([0]).shape == (1, 3, 24, 24)
    assert open_images("box", side=32).read([0]).shape == (1, 3, 32, 32)
    assert open_images("boxes", resolution=48).read([0]).shape == (1, 3, 48, 48)
    assert open_images("boxes", preset="sharp").describe()["preset"] == "sharp"
    assert len(open_images("boxes", n=4)) == 4
    with pytest.raises(UsageError, match="colour"):
        open_images("boxes", colour=3)
    # a registered name beats a folder of that name, unless it is written as a path
    shutil.copytree(folder, folder / "boxes")
    monkeypatch.chdir(folder)
    assert open_images("boxes").ids[0] == "seed0-000000"
    assert open_images("./boxes").ids[0] == "img1.png"
    assert open_images(Path("boxes")).ids[0] == "img1.png"
    assert open_images("sub").ids[0] == "a.JPG"


@pytest.mark.usefixtures("plugin")
def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no such path: boxse, .*did you mean 'boxes'"):
        open_images("boxse")
    with pytest.raises(SourceError, match=r"no such path: /no/where$"):
        open_images("/no/where")
    with pytest.raises(UsageError, match="empty name"):
        open_images("")
    (tmp_path / "table.csv").write_text("a,b")
    with pytest.raises(SourceError, match=r"table\.csv: not a folder"):
        open_images(str(tmp_path / "table.csv"))
    with pytest.raises(UnknownNameError, match="preset"):
        open_images(tmp_path, preset="nosuch")


def test_one_picture(folder: Path) -> None:
    source = open_images(folder / "img1.png")
    assert list(source.ids) == ["img1.png"]
    assert torch.equal(source.read([0]), open_images(folder).read([0]))
