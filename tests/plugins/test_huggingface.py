"""``hf:NAME`` with the real library, on data sets that lie on this machine."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from seeingkit.errors import SourceError, UnknownNameError, UsageError
from seeingkit.images import open_images
from seeingkit.images.containers import without_container
from seeingkit.models.hub import consent
from seeingkit.runs.config import make_config
from seeingkit.runs.plan import resolve
from seeingkit.specs import PRESETS
from seeingkit.tallies import tally
from seeingkit.testing import check_source
from seeingkit_plugins.huggingface import library
from seeingkit_plugins.huggingface.catalog import HubOptions
from seeingkit_plugins.huggingface.library import Reference
from seeingkit_plugins.huggingface.pictures import HubImages
from tests.helpers.shards import picture
from tests.helpers.toys import LevelSegmenter

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's caches in a folder of the test."""
    home = tmp_path / "home"
    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", home)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    return home


def table(levels: range, **more: Any) -> Any:
    """A data set of grey pictures with classes."""
    pictures = [{"bytes": picture(level), "path": f"{level}.png"} for level in levels]
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog", "owl"]),
            **{name: datasets.Image() for name in more},
        }
    )
    columns = {"image": pictures, "label": [level % 3 for level in levels], **more}
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    table(range(8)).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_source_of_the_library_keeps_its_promises(saved: Path) -> None:
    check_source(open_images(f"hf:{saved}"))
    check_source(open_images(f"hf:{saved}", preset="native", n=3))


def test_a_saved_data_set(saved: Path, tmp_path: Path) -> None:
    source = open_images(f"hf:{saved}", preset="native")
    assert source.ids[:2] == ("saved/all.arrow/000000/0.png", "saved/all.arrow/000001/1.png")
    assert torch.allclose(source.read(range(8))[:, 0, 0, 0], torch.arange(8) / 127.5 - 1)
    assert [source.condition(k) for k in range(8)] == [k % 3 for k in range(8)]
    assert source.class_names == ("cat", "dog", "owl")
    assert without_container(source.ids[0]) == "0.png"
    with pytest.raises(UsageError, match=r"no splits|not divided into splits"):
        open_images(f"hf:{saved}", split="train")
    counted = tally(source, LevelSegmenter(), store=tmp_path / "store", n=5)
    again = tally(
        open_images(f"hf:{saved}", preset="native"), LevelSegmenter(), store=tmp_path / "store", n=5
    )
    assert counted.identity == again.identity
    assert counted.record.source is not None
    assert counted.record.source.details["classes_by"] == "the column “label”"


def test_the_library_s_parquet_is_read_without_it_too(tmp_path: Path, saved: Path) -> None:
    table(range(8)).to_parquet(tmp_path / "own.parquet")
    plain = open_images(tmp_path / "own.parquet")
    assert plain.ids[3] == "own.parquet/000003/3.png" and plain.notes == (
        "8 pictures have their class by the column “label”",
    )
    through = open_images(f"hf:{saved}")
    assert torch.equal(plain.read(range(8)), through.read(range(8)))
    assert plain.class_names == through.class_names


def test_what_is_wrong_with_a_name_is_said(saved: Path, tmp_path: Path) -> None:
    for name, fault in {
        "hf": "say which, as hf:NAME",
        "hf:": "say which, as hf:NAME",
        "hf:a/b/c": "owner/name or owner/name:configuration",
        "hf:owner/": "owner/name or owner/name:configuration",
        "hf:owner/name:": "owner/name or owner/name:configuration",
    }.items():
        with pytest.raises(UsageError, match=fault):
            open_images(name)
    with pytest.raises(SourceError, match="no such folder"):
        open_images(f"hf:{tmp_path}/nothing")
    for name in ("hff:owner", "hff:owner/name"):
        with pytest.raises(SourceError, match="did you mean 'hf'"):
            open_images(name)
    with pytest.raises(SourceError, match="no such path"):
        open_images("minichurches:x")
    with pytest.raises(UsageError, match="did you mean 'column'"):
        open_images(f"hf:{saved}", colunm="image")
    with pytest.raises(UnknownNameError, match="did you mean 'image'"):
        open_images(f"hf:{saved}", column="imagge")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="not a data set that the library can read"):
        open_images(f"hf:{tmp_path}/empty")


def test_plans_know_the_name(saved: Path) -> None:
    config = make_config(
        command="compare", real=f"hf:{saved}", generated=f"hf:{saved}", segmenter="upernet"
    )
    plan = resolve(config)
    assert plan.real.data is not None and plan.real.data.name == "hf"
    assert plan.real.data_options is not None
    assert plan.real.data_options.model_dump()["reference"] == str(saved)
    with pytest.raises(UsageError, match="--segmenter"):  # as for a folder: nobody knows which
        resolve(make_config(command="compare", real=f"hf:{saved}", generated=f"hf:{saved}"))
    with pytest.raises(UsageError, match="say which, as hf:NAME"):
        resolve(config.filled(real="hf"))


def test_splits_are_asked_for(tmp_path: Path) -> None:
    splits = {"train": table(range(4)), "test": table(range(4, 6))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "both")
    with pytest.raises(UsageError, match="splits train, test; name one: --data-option split=train"):
        open_images(f"hf:{tmp_path}/both")
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        open_images(f"hf:{tmp_path}/both", split="trian")
    source = open_images(f"hf:{tmp_path}/both", split="test")
    assert source.ids == ("both/test.arrow/000000/4.png", "both/test.arrow/000001/5.png")


def test_columns_are_asked_for(tmp_path: Path) -> None:
    other = [{"bytes": picture(200), "path": None}] * 3
    table(range(3), depth=other).save_to_disk(tmp_path / "two")
    with pytest.raises(UsageError, match=r"\(image, depth\); name one"):
        open_images(f"hf:{tmp_path}/two")
    source = open_images(f"hf:{tmp_path}/two", column="depth", label="none", preset="native")
    assert source.ids[0] == "two/all.arrow/000000" and source.condition(0) is None
    assert float(source.read([0]).mean()) == pytest.approx(200 / 127.5 - 1, abs=1e-6)
    plain = datasets.Dataset.from_dict({"raw": [picture(9)], "text": ["x"]})
    plain.save_to_disk(tmp_path / "plain")
    with pytest.raises(
        SourceError, match=r"no column is declared.*raw \(binary\), text \(string\)"
    ):
        open_images(f"hf:{tmp_path}/plain")
    source = open_images(f"hf:{tmp_path}/plain", column="raw", preset="native")
    assert float(source.read([0]).mean()) == pytest.approx(9 / 127.5 - 1, abs=1e-6)


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """The library lists their files; bytes stay where they are."""
    for name, level in (("cat", 10), ("dog", 20)):
        for k in range(2):
            path = tmp_path / "pets" / name / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(level + k))
    source = open_images(f"hf:{tmp_path}/pets", preset="native")
    assert sorted(source.ids) == [
        f"pets/train.arrow/{row:06d}/{inside}"
        for row, inside in enumerate(("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"))
    ]
    assert source.class_names == ("cat", "dog")
    assert [source.condition(k) for k in range(4)] == [0, 0, 1, 1]
    check_source(source)
    first = source.fingerprint
    (tmp_path / "pets" / "cat" / "0.png").write_bytes(picture(11))
    with pytest.raises(SourceError, match="another one than when it was hashed"):
        source.load([0])
    assert open_images(f"hf:{tmp_path}/pets", preset="native").fingerprint != first


def test_rows_without_bytes_are_named(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(1))
    rows = [
        {"bytes": picture(3), "path": None},
        None,
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        {"bytes": b"", "path": "x.png"},
    ]
    features = datasets.Features({"image": datasets.Image(decode=False)})
    gaps = datasets.Dataset.from_dict({"image": rows}, features=features)
    options = HubOptions(reference="owner/gaps")
    source = HubImages(gaps, "train", options, PRESETS["native"])
    assert source.ids[2] == "owner/gaps/train.arrow/000002/secret.png"
    _, good, skipped = source.load(range(4))
    assert good == [0]
    reasons = [reason for _, reason in skipped]
    assert "(null)" in reasons[0] and "is not read" in reasons[1] and "empty" in reasons[2]


# --------------------------------------------------------------------------------------- the hub


def as_fetched(home: Path, owner: str, folder: Path) -> None:
    """Lay a prepared data set where the library keeps those that it has fetched."""
    builder = datasets.load_dataset_builder(str(folder))
    builder.download_and_prepare()
    target = home / "datasets" / owner.replace("/", "___") / "default" / "0.0.0" / "abc"
    target.parent.mkdir(parents=True)
    shutil.move(builder.cache_dir, target)
    for file in target.glob("*.arrow"):
        file.rename(file.with_name(file.name.replace("parquet", owner.partition("/")[2])))


def test_offline_nothing_is_fetched(tmp_path: Path, own_cache: Path) -> None:
    with pytest.raises(SourceError, match="SEEINGKIT_OFFLINE is set") as caught:
        open_images("hf:owner/pets")
    assert "https://huggingface.co/datasets/owner/pets" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_fetched_before_is_here(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "parquet").mkdir()
    table(range(4)).to_parquet(tmp_path / "parquet" / "train.parquet")
    as_fetched(own_cache, "owner/pets", tmp_path / "parquet")
    source = open_images("hf:owner/pets", preset="native")
    assert source.ids[1] == "owner/pets/train.arrow/000001/1.png" and len(source) == 4
    assert torch.allclose(source.read([2])[0], torch.tensor(2 / 127.5 - 1))
    (tmp_path / "owner" / "pets").mkdir(parents=True)  # a folder of that name is not meant
    assert open_images("hf:owner/pets", preset="native").fingerprint == source.fingerprint


def test_large_data_sets_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "parquet").mkdir()
    table(range(4)).to_parquet(tmp_path / "parquet" / "train.parquet")
    builder = datasets.load_dataset_builder(str(tmp_path / "parquet"))
    monkeypatch.delenv("SEEINGKIT_OFFLINE")
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    consent.ask_before_large_downloads(no)
    try:
        builder.info.download_size = 5_000_000_000
        with pytest.raises(library.MissingWeightsError, match="declined"):
            library._ask("hf:owner/pets", builder)
        builder.info.download_size = None  # of unknown size
        with pytest.raises(library.MissingWeightsError, match="declined"):
            library._ask("hf:owner/pets", builder)
        builder.info.download_size = 1000
        library._ask("hf:owner/pets", builder)
    finally:
        consent.ask_before_large_downloads(None)
    assert "fetch 5.0 GB from huggingface.co" in asked[0] and "size unknown" in asked[1]
    assert len(asked) == 2


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(SourceError, match=r"pip install 'seeingkit\[datasets\]'"):
        open_images("hf:owner/pets")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", ("owner/name", None, False)),
        ("owner/name:en", ("owner/name", "en", False)),
        ("mnist", ("mnist", None, False)),
        ("./x", ("./x", None, True)),
        ("/x/y", ("/x/y", None, True)),
    ],
)
def test_references(text: str, expected: tuple[str, str | None, bool]) -> None:
    assert Reference.read(text) == expected


def test_configurations(tmp_path: Path) -> None:
    root = tmp_path / "many"
    for k, name in enumerate(("day", "night")):
        (root / name).mkdir(parents=True)
        table(range(5 * k, 5 * k + 2)).to_parquet(root / name / "train.parquet")
    configs = "".join(
        f"- config_name: {name}\n  data_files: {name}/train.parquet\n" for name in ("day", "night")
    )
    (root / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    with pytest.raises(UsageError, match="name a configuration.*'day', 'night'"):
        open_images(f"hf:{root}")
    source = open_images(f"hf:{root}:night")
    assert source.ids[0] == "many/night/train.arrow/000000/5.png"
    with pytest.raises(UsageError, match="name a configuration"):
        open_images(f"hf:{root}:dusk")


def test_damaged_tables_are_refused_or_named(saved: Path) -> None:
    """Places of values are only mapped: where one is wrong, reading it would end the process."""
    file = next(saved.glob("*.arrow"))
    whole, fingerprint = file.read_bytes(), open_images(f"hf:{saved}").fingerprint
    draw, silent = random.Random(3), 0
    for _ in range(40):
        raw = bytearray(whole)
        raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        file.unlink()  # the library has the old one mapped
        file.write_bytes(raw)
        try:
            source = open_images(f"hf:{saved}")
            same = source.fingerprint == fingerprint
            source.load(range(len(source)))
        except SourceError:
            continue
        silent += same
    assert silent < 10  # padding
