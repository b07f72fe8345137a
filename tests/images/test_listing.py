"""Which files are pictures, and that every other file is accounted for."""

from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seeingkit.errors import ImageError, SourceError
from seeingkit.images import ZipImages, open_images
from seeingkit.images.classfiles import read_class_files
from seeingkit.images.formats import kind_by_content, readable
from seeingkit.images.listing import label_maps, list_pictures
from seeingkit.images.lmdb import picture_keys
from tests.helpers.toys import LevelSegmenter


def encoded(kind: str = "JPEG", mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((16, 16), 60).convert(mode).save(stream, kind)
    return stream.getvalue()


JPEG, PNG, GREY, PALETTE = encoded(), encoded("PNG"), encoded("PNG", "L"), encoded("PNG", "P")


def lay(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


MIXED = {
    "a.jpg": JPEG,
    "b.JPG.JPG": JPEG,
    "c.jpg_large": JPEG,
    "d.jpg?x=1": JPEG,
    "e": PNG,
    "f.dat": PNG,
    "g.jpg.bak": JPEG,
    "h.CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(60),
    "i.psd": b"8BPS\0\1" + bytes(60),
    "j": b"8BPS\0\1" + bytes(60),
    "k.zip": b"PK\3\4" + bytes(60),
    "l": b"PK\3\4" + bytes(60),
    "m.DNG": b"II*\0" + bytes(60),
    "n.jxl": b"\xff\x0a" + bytes(60),
    "notes.txt": JPEG,  # text by its ending is not looked into
    "README": b"read me",
    "Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(60),
    ".DS_Store": b"\0\0\0\1Bud1",
    "__MACOSX/._a.jpg": b"\0\5\26\7",
}


@pytest.mark.parametrize("packed", [False, True])
def test_every_file_is_accounted_for(tmp_path: Path, packed: bool) -> None:
    place = lay(tmp_path / "mixed", MIXED)
    if packed:
        with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as archive:
            for name, data in MIXED.items():
                archive.writestr(name, data)
        place = tmp_path / "mixed.zip"
    source = open_images(place, preset="native")
    assert list(source.ids) == ["a.jpg", "b.JPG.JPG", "c.jpg_large", "d.jpg?x=1", "e", "f.dat"]
    assert source.load(range(6))[1] == list(range(6))
    reasons = dict(source.left_out)
    assert list(reasons) == ["g.jpg.bak", "h.CR2", "i.psd", "j", "k.zip", "l", "m.DNG", "n.jxl"]
    assert "copy or part of a JPEG file" in reasons["g.jpg.bak"]
    assert "camera raw" in reasons["h.CR2"] and "camera raw" in reasons["m.DNG"]
    assert "Photoshop" in reasons["i.psd"] and "Photoshop" in reasons["j"]
    assert "unpack it" in reasons["k.zip"] and "unpack it" in reasons["l"]
    read, others = source.notes
    assert all(f"{name} (" in read for name in ("c.jpg_large", "d.jpg?x=1", "e", "f.dat"))
    assert others == "left out, no pictures: 1 .db, 1 .txt, 1 without an ending"
    source.close()


def test_left_out_pictures_are_in_results_and_end_a_strict_run(tmp_path: Path) -> None:
    from seeingkit.analyses.comparison.compare import compare
    from seeingkit.tallies import tally

    real = open_images(lay(tmp_path / "real", MIXED), preset="native")
    counted = tally(real, LevelSegmenter(), store=tmp_path / "store")
    results = compare(counted, counted, permutations=0).results
    first = results.skipped[0]
    assert (first.source, first.item) == ("real", "g.jpg.bak")
    assert results.data.notes == list(real.notes)
    with pytest.raises(ImageError, match=r"g\.jpg\.bak"):
        tally(real, LevelSegmenter(), store=tmp_path / "store", on_bad="fail")


def test_a_place_of_unread_pictures_says_why(tmp_path: Path) -> None:
    place = lay(tmp_path / "raw", {"a.nef": b"MM\0*", "b.md": b""})
    with pytest.raises(SourceError, match=r"a\.nef: a camera raw picture.*1 \.md"):
        open_images(place)
    with pytest.raises(ImageError, match="camera raw"):  # though it begins like a TIFF
        open_images(place / "a.nef").read([0])


def test_heic_without_and_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = b"\0\0\0\x18ftypheic" + bytes(60)
    assert kind_by_content(box).name == "HEIF"  # type: ignore[union-attr]
    place = lay(tmp_path / "phone", {"a.HEIC": box, "b.jpg": box, "c.jpg": JPEG, "d.heic": JPEG})
    readable.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pillow_heif", None)
        patch.delitem(Image.OPEN, "HEIF", raising=False)
        source = open_images(place, preset="native")
        assert list(source.ids) == ["b.jpg", "c.jpg", "d.heic"]  # some phones call a JPEG so
        assert "pip install 'seeingkit[heic]'" in dict(source.left_out)["a.HEIC"]
        _, good, skipped = source.load(range(3))
        assert good == [1, 2] and "seeingkit[heic]" in skipped[0].reason
    readable.cache_clear()
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.new("RGB", (64, 48), "lime").save(place / "a.HEIC", quality=90)
    source = open_images(place / "a.HEIC", preset="native")
    np.testing.assert_allclose(source.read([0])[0, :, 20, 20], [-1, 1, -1], atol=0.05)


@pytest.mark.parametrize(
    ("photos", "maps"),
    [
        (["ADE_1.jpg"], ["ADE_1_seg.png", "ADE_1_parts_1.png", "ADE_1_parts_2.png"]),
        (["b_leftImg8bit.png"], ["b_gtFine_labelIds.png", "b_gtFine_color.png"]),
        (["1.jpg", "2.jpg"], ["1_mask.png", "2-mask.png", "1.label.png", "mask_2.png"]),
        (["img/x.jpg"], ["masks/x_mask.jpg", "seg/x_instanceIds.PNG"]),
        (["123_sat.jpg"], ["123_mask.png"]),
        (["image_07.jpg"], ["label_07.png"]),
    ],
)
def test_label_maps_by_name(photos: list[str], maps: list[str]) -> None:
    assert label_maps([*photos, *maps], lambda item: PNG) == set(maps)


def test_label_maps_by_name_and_content() -> None:
    heads = {"1.jpg": JPEG, "1.png": PALETTE, "2.jpg": JPEG, "2.png": PNG, "3.png": GREY}
    assert label_maps(list(heads), heads.__getitem__) == {"1.png"}  # 2.png is in colour
    heads = {"images/1.png": PNG, "SegmentationClass/1.png": PALETTE, "masks/7_hair.png": GREY}
    assert label_maps(list(heads), heads.__getitem__) == set(list(heads)[1:])


@pytest.mark.parametrize(
    "items",
    [
        ["1_seg.png", "2_seg.png"],  # no photo beside
        ["masks/1.png", "masks/2.png"],
        ["cat/1.jpg", "dog/1.png"],  # a grey one of another class
        ["mask/1.jpg", "no_mask/1.jpg"],  # classes of a data set of faces
        ["city.jpg", "city_map.jpg", "1.jpg", "1_2.jpg"],
    ],
)
def test_what_is_no_label_map(items: list[str]) -> None:
    assert label_maps(items, lambda item: JPEG if item.endswith("jpg") else GREY) == set()


def test_label_maps_are_not_counted_but_said(tmp_path: Path) -> None:
    place = lay(tmp_path / "ade", {"1.jpg": JPEG, "1_seg.png": PNG, "2.jpg": JPEG})
    source = open_images(place)
    assert list(source.ids) == ["1.jpg", "2.jpg"]
    assert (
        "1 file is left out as being no photos but label maps" in source.notes[0]
        and "1_seg.png" in source.notes[0]
    )
    assert source.left_out == ()
    assert list(open_images(str(place / "*_seg.png")).ids) == ["1_seg.png"]  # asked for


def test_cases_of_shared(shared: Path) -> None:
    cases = shared / "cases"
    if not cases.is_dir():
        pytest.skip("no folder cases")
    assert len(open_images(cases / "d16-seg-in-folder")) == 12
    source = open_images(cases / "d05-mixed-ext")
    said = " ".join([*source.notes, *dict(source.left_out)])
    said += " ".join(item for item, _ in source.load(range(len(source)))[2])
    for name in ("n02_noext", "n03_noext", "y.jpg_large", "z.jpg?x=1", "raw.CR2", "ph.psd"):
        assert name in said
    assert "IMG_1.HEIC" in said and "IMG_2.heif" in said
    cmyk = open_images(cases / "d08-cmyk")
    means = dict(zip(cmyk.ids, cmyk.read(range(3)).mean((1, 2, 3)).tolist(), strict=True))
    assert means["plain.jpg"] == pytest.approx(means["truth.png"], abs=0.01)
    assert means["adobe.jpg"] == pytest.approx(means["truth.png"], abs=0.01)
    lists = open_images(cases / "d01-nvidia-zip" / "data.zip")
    assert [lists.condition(k) for k in range(48)] == [0, 1] * 24


# ------------------------------------------------------------------------------------ dataset.json


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("around", ["", "set/"])
def test_dataset_json_gives_classes(tmp_path: Path, packed: bool, around: str) -> None:
    labels = [["00000/a.png", 3], ["00000\\b.png", 1], ["00001/gone.png", 0]]
    files = {
        f"{around}dataset.json": json.dumps({"labels": labels}).encode(),
        **{f"{around}{name}": PNG for name in ("00000/a.png", "00000/b.png", "00001/c.png")},
    }
    place = lay(tmp_path / "data", files)
    if packed:
        shutil.make_archive(str(tmp_path / "packed"), "zip", place)
        place = tmp_path / "packed.zip"
    source = open_images(place, n=3, seed=1)
    conditions = dict(zip(source.ids, map(source.condition, range(3)), strict=True))
    assert conditions == {
        f"{around}00000/a.png": 3,
        f"{around}00000/b.png": 1,
        f"{around}00001/c.png": None,
    }
    assert any("gives no class to 1 of 3 pictures" in note for note in source.notes)
    assert any("1 files that are no pictures here" in note for note in source.notes)
    source.close()


def test_dataset_json_of_other_kinds(tmp_path: Path) -> None:
    def read(content: str) -> tuple[object, list[str]]:
        return read_class_files(
            ["dataset.json", "a.png"], ["a.png"], lambda _: content.encode(), "d"
        )

    assert read('{"labels": null}')[0] is None
    for other in ('{"labels": ["cat", "dog"]}', '{"images": []}', "[1, 2]", '{"labels": []}'):
        classes, notes = read(other)
        assert classes is None and "gives no classes" in notes[0]
    for wrong in ("[0.5, 1]", '"cat"', "-1", "true"):
        with pytest.raises(
            SourceError, match=r"d: dataset\.json: .* is no file with a class number"
        ):
            read(f'{{"labels": [["a.png", {wrong}]]}}')
    with pytest.raises(SourceError, match="two classes, 0 and 1"):
        read('{"labels": [["a.png", 0], ["a.png", 1]]}')
    with pytest.raises(SourceError, match="none of which is a picture here"):
        read('{"labels": [["b.png", 0]]}')
    with pytest.raises(SourceError, match="no JSON"):
        read('{"labels": [')


def test_a_member_that_another_replaces_is_said(tmp_path: Path) -> None:
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", GREY)
        archive.writestr("./a.png", PNG)
    source = ZipImages(path)
    assert len(source) == 1 and "1 members have the name of a later one" in source.notes[0]
    source.close()


# -------------------------------------------------------------------------------------------- lmdb


def test_one_picture_of_several_sizes() -> None:
    sizes, numbers = (16, 32, 64), range(3)
    keys = sorted(f"{size}-{k:05d}".encode() for size in sizes for k in numbers)
    kept, notes = picture_keys([*keys, b"length"], lambda key: b"3")
    assert kept == (b"64-00000", b"64-00001", b"64-00002")
    assert "taken once each" in notes[-1] and "'length'" in notes[0]
    assert picture_keys(keys, lambda key: b"")[0] == kept  # powers of two say it without length
    scenes = [b"1-00001", b"2-00001", b"3-00001"]  # scene and frame
    assert picture_keys(scenes, lambda key: b"")[0] == tuple(scenes)
    one = [b"256-00000", b"256-00001", b"length"]
    assert picture_keys(one, lambda key: b"2")[0] == tuple(one[:2])


def test_keys_that_are_no_pictures() -> None:
    text = [b"image-000000001", b"label-000000001", b"num-samples"]
    assert picture_keys(text, lambda key: b"word")[0] == (b"image-000000001",)
    assert picture_keys([b"length", b"x"], lambda key: JPEG)[0] == (b"length", b"x")  # a picture
    assert picture_keys([b"label-1"], lambda key: JPEG)[0] == (b"label-1",)  # no image beside


def test_an_lmdb_in_one_file(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    path = tmp_path / "set.bin"
    with lmdb.open(str(path), subdir=False, map_size=1 << 22) as data, data.begin(write=True) as w:
        for size in (16, 32):
            stream = io.BytesIO()
            Image.new("RGB", (size, size), "red").save(stream, "PNG")
            w.put(f"{size}-00000".encode(), stream.getvalue())
        w.put(b"length", b"1")
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(path, folder / "data.mdb")
    (folder / "beside.png").write_bytes(PNG)
    within = open_images(folder)
    assert list(within.ids) == ["32-00000"] and dict(within.left_out).keys() == {"beside.png"}
    within.close()
    source = open_images(path, preset="native")
    assert list(source.ids) == ["32-00000"]
    assert source.read([0]).shape == (1, 3, 32, 32)
    source.close()
    found = list_pictures(["set.bin"], lambda item: path.read_bytes()[:64])
    assert "a lmdb, which may hold pictures" in found.left_out[0].reason
