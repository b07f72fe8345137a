"""Parquet with pictures: columns, classes, ids, rows in any order, and files that mean harm."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from seeingkit import compare
from seeingkit.errors import SourceError, UnknownNameError, UsageError
from seeingkit.images import ParquetImages, open_images
from seeingkit.images import rowgroups as groups
from seeingkit.images.containers import without_container
from seeingkit.images.rowgroups import ColumnReader
from seeingkit.runs.invert import open_photos
from seeingkit.specs import PRESETS
from seeingkit.tallies import Tally, tally
from seeingkit.testing import check_source
from tests.helpers.shards import image_rows, picture, write_parquet, write_tar
from tests.helpers.toys import LevelSegmenter


def declared(path: Path, columns: dict[str, Any], features: dict[str, Any], **options: Any) -> Path:
    """A Parquet file with the metadata that the library ``datasets`` writes."""
    about = json.dumps({"info": {"features": features}})
    table = pa.table(columns).replace_schema_metadata({"huggingface": about})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


IMAGE = {"_type": "Image"}
LABEL = {"_type": "ClassLabel", "names": ["cat", "dog", "owl"]}


def labelled(path: Path, levels: range, **options: Any) -> Path:
    columns = {"image": image_rows(levels), "label": [k % 3 for k in levels]}
    return declared(path, columns, {"image": IMAGE, "label": LABEL}, **options)


def two_files(root: Path) -> Path:
    for k in range(2):
        labelled(
            root / f"train-{k:05d}-of-00002.parquet", range(5 * k, 5 * k + 5), row_group_size=2
        )
    return root


def test_a_source_of_parquet_keeps_its_promises(tmp_path: Path) -> None:
    check_source(open_images(two_files(tmp_path)))
    check_source(open_images(tmp_path / "train-00000-of-00002.parquet", preset="native"))


def test_ways_to_name_files_are_one_source(tmp_path: Path) -> None:
    root = two_files(tmp_path)
    (root / "README.md").write_text("card")
    whole = open_images(root)
    assert whole.ids[4:6] == (
        "train-00000-of-00002.parquet/000004/4.png",
        "train-00001-of-00002.parquet/000000/5.png",
    )
    assert whole.class_names == ("cat", "dog", "owl") and whole.classes_by == "the column “label”"
    assert [whole.condition(k) for k in range(10)] == [k % 3 for k in range(10)]
    for name in (f"{root}/*.parquet", f"{root}/train-{{00000..00001}}-of-00002.parquet"):
        assert open_images(name).fingerprint == whole.fingerprint
    assert open_images(root / "train-00001-of-00002.parquet").ids == whole.ids[5:]
    assert "10 pictures have their class by the column “label”" in whole.notes
    (root / "train-00001-of-00002.parquet").unlink()
    assert any("1 of the 2 shards train-… are not here" in n for n in open_images(root).notes)


def test_rows_in_any_order_are_their_pictures(tmp_path: Path) -> None:
    path = labelled(tmp_path / "a.parquet", range(40), row_group_size=7)
    source = open_images(path, preset="native")
    levels = torch.arange(40) / 127.5 - 1
    order = random.Random(0).sample(range(40), 40)
    images = source.read(order)
    assert torch.allclose(images[:, 0, 0, 0], levels[order].float(), atol=1e-6)
    assert source.digest(order) == open_images(path, preset="native").digest(order)
    assert source.digest(order) != source.digest(sorted(order))
    few = open_images(path, preset="native", n=9, seed=3)
    assert [few.condition(k) for k in range(9)] == [int(item.split("/")[1]) % 3 for item in few.ids]


def test_large_row_groups_are_read_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    values = [rng.bytes(1000) if k % 5 else None for k in range(500)]
    path = write_parquet(
        tmp_path / "a.parquet",
        {"image": pa.array(values, pa.large_binary())},
        row_group_size=300,
        data_page_size=4096,
        write_batch_size=4,
        use_dictionary=False,
    )
    monkeypatch.setattr(groups, "BATCH", 20_000)
    reader = ColumnReader([str(path)], "image")
    assert [reader.read(0, k) for k in range(500)] == values
    opened = reader._opened(0)
    assert sum(window.values.nbytes for window in opened._windows) <= groups.KEPT * 30_000
    for k in random.Random(1).sample(range(500), 50):
        assert reader.read(0, k) == values[k]
    reader.close()


def test_files_beyond_those_that_are_open(tmp_path: Path) -> None:
    for k in range(groups.OPEN + 3):
        labelled(tmp_path / f"{k}.parquet", range(k, k + 2))
    source = open_images(tmp_path, preset="native")
    red = source.read(range(len(source)))[:, 0, 0, 0]
    expected = [k + row for k in range(groups.OPEN + 3) for row in range(2)]
    assert torch.allclose(red, torch.tensor(expected) / 127.5 - 1, atol=1e-6)
    assert isinstance(source, ParquetImages) and len(source._reader._open) == groups.OPEN
    source.close()


# ---------------------------------------------------------------------------------------- columns


def test_a_column_is_found_by_content_and_said(tmp_path: Path) -> None:
    columns = {
        "key": ["1", "2"],
        "jpg": [None, picture(3, "JPEG")],
        "embedding": [b"\0\1", b"\2\3"],
        "label": [5, 6],
    }
    source = open_images(write_parquet(tmp_path / "00000.parquet", columns))
    assert source.ids == ("00000.parquet/000000", "00000.parquet/000001")
    assert "the column 'jpg' is taken for the pictures, by its content" in source.notes
    assert [source.condition(k) for k in range(2)] == [5, 6]
    _, good, skipped = source.load([0, 1])
    assert good == [1] and "no bytes of a picture (null)" in skipped[0].reason


def test_rows_without_bytes_are_named(tmp_path: Path) -> None:
    rows = [*image_rows([1]), {"bytes": None, "path": "/data/cat/2.png"}, None]
    source = open_images(declared(tmp_path / "a.parquet", {"image": rows}, {"image": IMAGE}))
    assert source.ids[1:] == ("a.parquet/000001/data/cat/2.png", "a.parquet/000002")
    counted = tally(source, LevelSegmenter(), store=tmp_path / "store")
    assert counted.ids == source.ids[:1]
    reasons = [reason for _, reason in counted.skipped]
    assert "only the path 'data/cat/2.png': embed the files" in reasons[0] and "null" in reasons[1]


def test_several_columns_are_asked_for(tmp_path: Path) -> None:
    columns = {"left": image_rows([1, 2]), "right": image_rows([3, 4]), "text": ["a", "b"]}
    path = declared(tmp_path / "a.parquet", columns, {"left": IMAGE, "right": IMAGE})
    with pytest.raises(UsageError, match=r"\(left, right\).*--data-option column=left"):
        open_images(path)
    source = open_images(path, column="right", preset="native")
    assert torch.allclose(source.read([0]), torch.tensor(3 / 127.5 - 1), atol=1e-6)
    with pytest.raises(UnknownNameError, match="did you mean 'right'"):
        open_images(path, column="rigth")
    with pytest.raises(SourceError, match="column 'text' is string, not bytes of pictures"):
        open_images(path, column="text")
    with pytest.raises(UsageError, match="'member' is for tar shards alone"):
        open_images(path, member="png")
    with pytest.raises(UsageError, match="options: max_pixels, .*column, label, member"):
        open_images(path, colunm="right")


def test_files_without_pictures(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "n.parquet", {"x": [1.5], "sound": [b"RIFF\0\0\0\0WAVE"]})
    with pytest.raises(SourceError, match=r"no column holds encoded pictures; columns: x \(double"):
        open_images(path)
    sounds = [{"bytes": picture(1), "path": None}]
    path = declared(tmp_path / "s.parquet", {"audio": sounds}, {"audio": {"_type": "Audio"}})
    with pytest.raises(SourceError, match="no column holds encoded pictures"):
        open_images(path)
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(SourceError, match="not a Parquet file that can be read"):
        open_images(path)
    (tmp_path / "table.dat").write_bytes(b"PAR1 no more")
    with pytest.raises(SourceError, match=r"rename it to end in \.parquet"):
        open_images(tmp_path / "table.dat")


def test_other_tables_beside_are_left_out(tmp_path: Path) -> None:
    labelled(tmp_path / "b.parquet", range(3))
    write_parquet(tmp_path / "a.parquet", {"caption": ["x"]})
    source = open_images(tmp_path)
    assert len(source) == 3
    assert "without a column 'image'" in dict(source.left_out)["a.parquet"]
    assert [source.condition(k) for k in range(3)] == [0, 1, 2]
    write_parquet(tmp_path / "c.parquet", {"photo": image_rows([1])})
    with pytest.raises(SourceError, match="in the column 'image', those of .* in 'photo'"):
        open_images(tmp_path)


def test_the_tables_of_img2dataset_beside_its_shards(tmp_path: Path) -> None:
    write_tar(tmp_path / "00000.tar", {"000000000.jpg": picture(1, "JPEG")})
    write_parquet(tmp_path / "00000.parquet", {"url": ["http://x"], "status": ["success"]})
    (tmp_path / "00000_stats.json").write_text("{}")
    source = open_images(tmp_path)
    assert source.ids == ("00000.tar/000000000.jpg",) and source.left_out == ()
    assert "1 .parquet beside the tar shards" in " ".join(source.notes)
    labelled(tmp_path / "00001.parquet", range(2))
    with pytest.raises(SourceError, match="in tar shards and in Parquet files; give one"):
        open_images(tmp_path)


def test_a_tally_is_no_source_of_pictures(tmp_path: Path) -> None:
    source = open_images(labelled(tmp_path / "a.parquet", range(3)))
    path = tally(source, LevelSegmenter(), store=tmp_path / ".store").save(tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="a tally of seeingkit"):
        open_images(path)
    beside = open_images(tmp_path, n=3)
    assert beside.ids and "left out, no pictures: 1 tallies of seeingkit" in beside.notes
    found = Tally.load(path)
    assert found.conditions is not None and found.conditions.tolist() == [0, 1, 2]
    assert found.record.source is not None
    assert found.record.source.details["class_names"] == ["cat", "dog", "owl"]


# ---------------------------------------------------------------------------------------- classes


def test_columns_of_classes(tmp_path: Path) -> None:
    columns = {"img": image_rows([1, 2]), "fine": [1, 2], "coarse": [0, -1], "name": ["b", "a"]}
    features = {"img": IMAGE, "fine": LABEL, "coarse": LABEL}
    path = declared(tmp_path / "a.parquet", columns, features)
    source = open_images(path)
    assert (
        source.condition(0) is None
        and "several columns hold classes (fine, coarse)" in (source.notes[0])
    )
    coarse = open_images(path, label="coarse")
    assert [coarse.condition(k) for k in range(2)] == [0, None]
    names = open_images(path, label="name")
    assert [names.condition(k) for k in range(2)] == [1, 0] and names.class_names == ("a", "b")
    with pytest.raises(UnknownNameError, match="did you mean"):
        open_images(path, label="coarze")
    with pytest.raises(SourceError, match="classes are whole numbers or texts"):
        open_images(path, label="img")
    plain = open_images(labelled(tmp_path / "b.parquet", range(3)), label="none")
    assert plain.condition(0) is None and plain.classes_by == ""


def test_classes_that_contradict(tmp_path: Path) -> None:
    rows = {"image": image_rows([1, 2]), "label": [0, 3]}
    path = declared(tmp_path / "a" / "a.parquet", rows, {"image": IMAGE, "label": LABEL})
    with pytest.raises(SourceError, match="holds the class 3, but its metadata names 3 classes"):
        open_images(path)
    labelled(tmp_path / "b" / "1.parquet", range(3))
    other = {"_type": "ClassLabel", "names": ["dog", "cat", "owl"]}
    rows = {"image": image_rows([1, 2]), "label": [0, 1]}
    declared(tmp_path / "b" / "2.parquet", rows, {"image": IMAGE, "label": other})
    with pytest.raises(SourceError, match="differ in the classes of the column 'label'"):
        open_images(tmp_path / "b")
    assert len(open_images(tmp_path / "b", label="none")) == 5


def test_rows_are_no_folders_of_classes() -> None:
    assert without_container("x/a.parquet/000003/cat/1.png") == "x/cat/1.png"
    assert without_container("cat/a.parquet/000003") == "cat/"
    assert without_container("owner/name/train.arrow/000003/1.png") == "1.png"
    assert without_container("a.parquet/000003") == ""
    assert without_container("a.TAR/cat/1.png") == "cat/1.png"
    assert without_container("tar/cat/1.png") == "tar/cat/1.png"


# ---------------------------------------------------------------------------------------- changes


def test_a_file_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    path = labelled(tmp_path / "a.parquet", range(4))
    source = open_images(path)
    first = source.fingerprint
    source._reader.close()  # type: ignore[attr-defined]
    labelled(path, range(1, 5))
    with pytest.raises(SourceError, match="another one than when it was hashed"):
        source.load([0])
    labelled(path, range(1))
    source._reader.close()  # type: ignore[attr-defined]
    _, good, skipped = source.load([0, 3])
    assert good == [0] and "tried again on the next start" in skipped[0].reason
    assert open_images(path).fingerprint != first


def test_a_file_that_is_replaced_before_it_is_hashed(tmp_path: Path) -> None:
    path = labelled(tmp_path / "a.parquet", range(4))
    source = open_images(path)
    labelled(path, range(1, 5))
    for work in (lambda: source.fingerprint, lambda: source.load([0])):
        with pytest.raises(SourceError, match="was replaced after its contents were listed"):
            work()


def test_damage_within_a_file_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {"image": [picture(k) + rng.bytes(500) for k in range(60)]}
    path = write_parquet(
        tmp_path / "a.parquet", rows, row_group_size=20, use_dictionary=False, compression="zstd"
    )
    whole = path.read_bytes()
    column = pq.read_metadata(path).row_group(1).column(0)
    raw = bytearray(whole)
    for k in range(column.data_page_offset, column.data_page_offset + column.total_compressed_size):
        raw[k] ^= 0x55
    path.write_bytes(raw)
    source = open_images(path, preset="native")
    _, good, skipped = source.load(range(60))
    assert good == [*range(20), *range(40, 60)]
    assert len(skipped) == 20 and "damaged in the Parquet file" in skipped[0].reason


def test_every_flip_is_named_or_changes_the_fingerprint(tmp_path: Path) -> None:
    path = labelled(
        tmp_path / "a.parquet",
        range(6),
        compression="none",
        row_group_size=3,
        write_page_index=True,
    )
    whole, before = path.read_bytes(), open_images(path)
    contents = [before.fetch(k) for k in range(6)]  # type: ignore[attr-defined]
    fingerprint, draw = before.fingerprint, random.Random(5)
    for flip in range(200):
        raw = bytearray(whole)
        first = 0 if flip % 2 else len(raw) - 2500  # the metadata
        raw[draw.randrange(first, len(raw))] ^= 1 << draw.randrange(8)
        path.write_bytes(raw)
        try:
            after = open_images(path)
        except (SourceError, UsageError):
            continue
        if after.fingerprint == fingerprint:
            assert [after.fetch(k) for k in range(6)] == contents  # type: ignore[attr-defined]
        after.close()


def test_two_labelled_sets_are_compared_class_by_class(tmp_path: Path) -> None:
    def side(name: str, names: list[str], labels: list[int]) -> Tally:
        rows = {"image": image_rows(range(0, 240, 30)), "label": labels}
        label = {"_type": "ClassLabel", "names": names}
        path = declared(tmp_path / f"{name}.parquet", rows, {"image": IMAGE, "label": label})
        return tally(open_images(path), LevelSegmenter(), store=tmp_path / "store")

    real = side("real", ["cat", "dog"], [0, 0, 0, 0, 1, 1, 1, 1])
    drawn = side("drawn", ["dog", "cat"], [1, 1, 1, 1, 0, 0, 0, -1])
    results = compare(real, drawn, permutations=0).results
    found = {record.name: record for record in results.conditions}
    assert found.keys() == {"cat", "dog"}  # and no class -1
    assert found["cat"].fsd.value == pytest.approx(0, abs=1e-9)
    assert results.real_classes is not None and results.real_classes.by == "label names"
    assert [one.label for one in results.real_classes.folders] == [0, 1]
    assert [one.name for one in results.real_classes.folders] == ["dog", "cat"]


def test_a_shard_that_is_away_for_a_moment(tmp_path: Path) -> None:
    names = [tmp_path / f"{k}.parquet" for k in range(2)]
    for k, path in enumerate(names):
        labelled(path, range(4 * k, 4 * k + 4))
    undisturbed = tally(open_images(tmp_path), LevelSegmenter(), store=tmp_path / ".one")
    source = open_images(tmp_path)
    assert source.fingerprint
    source.close()  # an open file would still be there
    names[1].rename(tmp_path / "away")
    few = tally(source, LevelSegmenter(), store=tmp_path / ".two")
    assert len(few) == 4 and "tried again on the next start" in few.skipped[0].reason
    (tmp_path / "away").rename(names[1])
    again = tally(open_images(tmp_path), LevelSegmenter(), store=tmp_path / ".two")
    assert again.ids == undisturbed.ids and not again.skipped
    assert (again.counts != undisturbed.counts).nnz == 0


def test_photos_of_several_shards(tmp_path: Path) -> None:
    labelled(tmp_path / "a.parquet", range(2))
    write_tar(tmp_path / "b.tar", {"x.png": picture(9), "y.png": b""})
    names = [str(tmp_path / "a.parquet"), f"{tmp_path}/{{b,}}.tar", str(tmp_path / "b.tar")]
    with pytest.raises(SourceError, match=r"1 of the 2 files .* not there: \.tar"):
        open_photos(names[:2], PRESETS["paper"])
    source, skipped = open_photos([names[0], names[2]], PRESETS["paper"])
    assert source.ids[1:] == ("a.parquet/000001/1.png", "b.tar/x.png", "b.tar/y.png")
    assert skipped == [] and source.load(range(4))[1] == [0, 1, 2]
    source.close()


def test_paths_that_are_no_text(tmp_path: Path) -> None:
    paths = pa.array([b"\xff.png", b"ok.png"]).view(pa.string())
    structs = pa.StructArray.from_arrays(
        [pa.array([picture(1), picture(2)]), paths], names=["bytes", "path"]
    )
    source = open_images(write_parquet(tmp_path / "a.parquet", {"image": structs}))
    assert source.ids == ("a.parquet/000000/xff.png", "a.parquet/000001/ok.png")
    labels = pa.array([b"\xff", b"x"]).view(pa.string())
    path = write_parquet(tmp_path / "b.parquet", {"image": structs, "label": labels})
    with pytest.raises(SourceError, match="column 'label' cannot be read"):
        open_images(path)
    assert len(open_images(path, label="none")) == 2
