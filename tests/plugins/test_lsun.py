"""The photos of minilsun and the authors' tallies, from files put where the zoo looks for them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seeingkit import compare, fsd, open_images
from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import ImageError, SourceError, TallyError, UsageError
from seeingkit.models.hub import data_folder
from seeingkit.models.registry import registry
from seeingkit.specs import DataSpec
from seeingkit.tallies import Tally
from seeingkit.testing import source_checks
from seeingkit_plugins.lsun import catalog, tallies
from seeingkit_plugins.lsun.photos import pictures_of
from seeingkit_plugins.lsun.tallies import import_tally, read_areas
from tests.helpers.http_server import Page, running

VOCABULARY = Vocabulary(tuple(Label(n) for n in ("-", "sky", "tree", "person")))
TALLY_FILE = "datasets_lsun_church_outdoor_train_segtally_10000.npy"


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("SEEINGKIT_OFFLINE", "SEEINGKIT_ZOO"):
        monkeypatch.delenv(name, raising=False)


def picture(colour: int, size: tuple[int, int] = (20, 16)) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(colour).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    noise[:, :, 0] = colour
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def archive(scenes: dict[str, int], size: tuple[int, int] = (20, 16)) -> bytes:
    """A zip archive with so many pictures in each folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for folder, count in scenes.items():
            for k in range(count):
                opened.writestr(f"{folder}/{k}.png", picture(k * 10, size))
        opened.writestr("minilsun/README.txt", "words")
    return stream.getvalue()


MINILSUN = archive(
    {
        "minilsun/church_train": 5,
        "minilsun/church_val": 2,
        "minilsun/bedroom_train": 3,
        "minilsun/bedroom_val": 1,
    }
)


def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, content: bytes
) -> Path:
    """Put a data set's file into the cache, with a manifest that knows its hash."""
    manifest = tmp_path / "own.toml"
    text = manifest.read_text() if manifest.exists() else ""
    digest = hashlib.md5(content).hexdigest()
    text += f'[[data]]\nname = "{name}"\nfiles = [{{ name = "{file}", md5 = "{digest}" }}]\n'
    manifest.write_text(text)
    monkeypatch.setenv("SEEINGKIT_ZOO", str(manifest))
    path = data_folder(name) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# ----------------------------------------------------------------------------------------- photos


def test_every_name_means_the_same_data_set() -> None:
    for name in ("church", "churchoutdoor", "church_outdoor", "lsun-church"):
        assert registry().resolve("data", name).name == "churches"
        assert registry().resolve("data", f"{name}-tally").name == "churches-tally"
    for name in ("bedroom", "lsun-bedroom"):
        assert registry().resolve("data", name).name == "bedrooms"
    spec = registry().resolve("data", "churches")
    assert isinstance(spec, DataSpec) and spec.segmenter == "upernet:upp"
    for family in ("progan", "stylegan2"):
        for data in ("churches", "churches-tally"):
            assert registry().weights_for(family, data)[0].full_name == f"{family}:church"
    for data in ("bedrooms", "bedrooms-tally"):
        assert registry().weights_for("progan", data)[0].full_name == "progan:bedroom"


@pytest.mark.parametrize(
    ("folder", "name", "train", "val"),
    [
        ("minilsun/church_train", "churches", True, False),
        ("minilsun/church_val", "churches", False, True),
        ("church_outdoor_train/0/a", "churches", True, False),
        ("churchoutdoor", "churches", True, False),
        ("minilsun/bedroom_val", "bedrooms", False, True),
        ("bedrooms", "bedrooms", True, False),
        ("minilsun/bedroom_train", "churches", False, False),
        ("minilsun/churchyard_train", "churches", False, False),
        ("church_train", "bedrooms", False, False),
    ],
)
def test_folders_of_a_scene(folder: str, name: str, train: bool, val: bool) -> None:
    ids = ["other/x.jpg", f"{folder}/x.jpg", "x.jpg"]
    assert pictures_of(ids, name, "train") == ([1] if train else [])
    assert pictures_of(ids, name, "val") == ([1] if val else [])


def test_photos_are_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, monkeypatch, "minilsun", "minilsun.zip", MINILSUN)
    source = open_images("churches", resolution=16)
    assert list(source.ids) == [f"minilsun/church_train/{k}.png" for k in range(5)]
    assert source.read([4]).shape == (1, 3, 16, 16)
    for _, check in source_checks():
        check(source)
    assert source.describe()["name"] == "churches"
    val = open_images("lsun-church", resolution=16, split="val")
    assert list(val.ids) == ["minilsun/church_val/0.png", "minilsun/church_val/1.png"]
    bedrooms = open_images("bedrooms", resolution=16)
    assert len(bedrooms) == 3
    assert len({source.fingerprint, val.fingerprint, bedrooms.fingerprint}) == 3
    drawn = open_images("churches", resolution=16, n=3, seed=1)
    assert len(drawn) == 3 and set(drawn.ids) < set(source.ids)
    for opened in (source, val, bedrooms, drawn):
        opened.close()
    with pytest.raises(UsageError, match="split"):
        open_images("churches", split="test")


def test_photos_are_fetched_on_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "own.toml"
    with running() as server:
        server.pages["/minilsun.zip"] = Page(MINILSUN)
        digest = hashlib.md5(MINILSUN).hexdigest()
        manifest.write_text(
            f'[[data]]\nname = "minilsun"\n[[data.files]]\n'
            f'name = "m.zip"\nurl = "{server.url("/minilsun.zip")}"\nmd5 = "{digest}"\n'
        )
        monkeypatch.setenv("SEEINGKIT_ZOO", str(manifest))
        open_images("churches").close()
        open_images("bedrooms").close()
        assert len(server.asked) == 1
    assert (data_folder("minilsun") / "m.zip").read_bytes() == MINILSUN
    (data_folder("minilsun") / "m.zip").write_bytes(MINILSUN + b" ")
    with pytest.raises(SourceError, match=r"not minilsun: md5 is"):
        open_images("churches")


def test_the_published_record_is_what_offline_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "1")
    with pytest.raises(SourceError) as caught:
        open_images("churches")
    message = str(caught.value)
    assert "http://gandissect.csail.mit.edu/datasets/minilsun.zip" in message
    assert "md5 4bf19f711555a5771220384db4c97999" in message
    assert str(data_folder("minilsun")) in message and "\n" not in message
    with pytest.raises(SourceError, match=r"datasets/seeing/.*no published hash"):
        open_images("churches-tally")


def test_an_archive_without_the_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, monkeypatch, "minilsun", "minilsun.zip", archive({"minilsun/tower_train": 1}))
    with pytest.raises(SourceError, match=r"no folder of churches \(train\).*minilsun/tower_train"):
        open_images("churches")


# ---------------------------------------------------------------------------------------- tallies


def areas(n: int, seed: int = 0) -> np.ndarray:
    """Rows as ganseeing stores them: counts of 256x256 pixels, divided."""
    rng = np.random.default_rng(seed)
    counts = np.stack([rng.multinomial(65536, p) for p in rng.dirichlet([1, 2, 1, 0.2], n)])
    return counts / 65536


def saved(path: Path, rows: object) -> Path:
    np.save(path, rows, allow_pickle=True)
    return path


def test_a_stored_tally_becomes_a_tally(tmp_path: Path) -> None:
    rows = areas(50)
    path = saved(tmp_path / "t.npy", rows)
    found = import_tally(path, VOCABULARY)
    assert np.array_equal(found.fractions(), rows)
    assert found.vocabulary is VOCABULARY and len(set(found.ids)) == 50
    assert np.array_equal(read_areas(saved(tmp_path / "p.npy", rows * 100)), rows * 100 / 100)
    other = Tally.from_fractions(areas(60, seed=1), VOCABULARY)
    assert fsd(found, other).value == fsd(rows, areas(60, seed=1)).value


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.vstack([areas(4), np.zeros((2, 4))]), r"row 4 sums to 0, not 1 \(2 of 6 rows\)"),
        (areas(4) * 0.9, "row 0 sums to 0.9"),
        (np.vstack([areas(2), areas(2) * 100]), "row 2 sums to 100, not 1"),
        (np.array([[2.0, -1.0, 0, 0]]), "not negative"),
        (np.array([[np.nan, 1.0, 0, 0]]), "finite"),
        (np.ones(4), "of shape"),
        (np.ones((3, 4), dtype=np.int64), "int64"),
        (np.zeros((0, 4)), "of shape"),
        (np.array([{"a": 1}], dtype=object), "not a numpy array"),
    ],
)
def test_what_is_no_tally_is_refused(tmp_path: Path, rows: object, words: str) -> None:
    with pytest.raises(TallyError, match=words):
        import_tally(saved(tmp_path / "t.npy", rows), VOCABULARY)


def test_truncated_files_and_other_vocabularies_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "t.npy", areas(50))
    five = Vocabulary((*VOCABULARY.labels, Label("door")))
    two_planes = Vocabulary(VOCABULARY.labels, ("object", "part"))
    for vocabulary in (five, two_planes):
        with pytest.raises(TallyError, match=r"t.npy has 4 labels .*upernet:upp"):
            import_tally(path, vocabulary)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TallyError, match="cannot be read|not a numpy array"):
        import_tally(path, VOCABULARY)
    with pytest.raises(TallyError):
        import_tally(tmp_path / "none.npy", VOCABULARY)
    np.savez(tmp_path / "t.npz", a=areas(2), b=areas(2))
    with pytest.raises(TallyError, match="one array"):
        import_tally(tmp_path / "t.npz", VOCABULARY)


def test_a_tally_is_data_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = areas(40)
    stream = io.BytesIO()
    np.save(stream, rows)
    place(tmp_path, monkeypatch, "churches-tally", TALLY_FILE, stream.getvalue())
    source = open_images("church-tally")
    assert isinstance(source, tallies.TallyOnly) and len(source) == 40
    few = source.first(10)
    tally = few.stored_tally(VOCABULARY)
    assert np.array_equal(tally.fractions(), rows[:10])
    assert tally.record.source is not None and tally.record.source.kind == "stored tally"
    assert few.fingerprint != source.fingerprint
    found = compare(tally, source.stored_tally(VOCABULARY), permutations=0, force=True)
    assert found.results.data.name == "churches-tally"
    images, good, skipped = source.load([0, 1])
    assert images is None and good == [] and len(skipped) == 2
    with pytest.raises(ImageError, match="only its areas are known"):
        source.read([0])
    with pytest.raises(UsageError, match="has 40 images, not 41"):
        source.first(41)
    with pytest.raises(UsageError, match="counted with preset paper"):
        open_images("churches-tally", resolution=128)


def test_records_are_those_of_the_authors_code() -> None:
    (minilsun,) = catalog.data_files("minilsun")
    assert minilsun.md5 == "4bf19f711555a5771220384db4c97999"
    for name, scene in (("churches", "church_outdoor"), ("bedrooms", "bedroom")):
        (file,) = catalog.data_files(f"{name}-tally")
        assert file.name == f"datasets_lsun_{scene}_train_segtally_10000.npy"
        assert file.url == f"http://gandissect.csail.mit.edu/datasets/seeing/{file.name}"


# --------------------------------------------------------------------------- from names to a report


@pytest.mark.slow
def test_stylegan_and_churches_run_from_files_put_in_place(shared: Path, tmp_path: Path) -> None:
    golden = shared / "golden"
    cache = tmp_path / "cache"
    manifest: list[str] = []

    def put(family: str, name: str, kind: str, files: dict[str, Path]) -> None:
        folder = cache / "weights" / family / name
        folder.mkdir(parents=True)
        entries = []
        for file, origin in files.items():
            content = origin.read_bytes()
            (folder / file).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            entries.append(f'{{ name = "{file}", sha256 = "{digest}", size = {len(content)} }}')
        manifest.append(
            f'[[weights]]\nfamily = "{family}"\nname = "{name}"\nkind = "{kind}"\n'
            f'summary = "golden"\ndomains = ["church"]\nfiles = [{", ".join(entries)}]\n'
        )

    (pickle,) = (golden / "stylegan2_tf_pkl/config-f-r32").glob("*.pkl")
    put("stylegan2", "church", "gan", {"stylegan2-church-config-f.pkl": pickle})
    segmenter = golden / "upernet_upp/small-resnet50-upernet"
    names = ("encoder_epoch_40.pth", "decoder_epoch_40.pth", "labels.json")
    put("upernet", "upp", "segmenter", {n: segmenter / n for n in names})
    content = archive({"minilsun/church_train": 6}, (48, 40))
    (cache / "data/minilsun").mkdir(parents=True)
    (cache / "data/minilsun/minilsun.zip").write_bytes(content)
    digest = hashlib.md5(content).hexdigest()
    manifest.append(
        f'[[data]]\nname = "minilsun"\nfiles = [{{ name = "minilsun.zip", md5 = "{digest}" }}]\n'
    )
    (tmp_path / "own.toml").write_text("".join(manifest))
    env = {
        **os.environ,
        "SEEINGKIT_CACHE": str(cache),
        "SEEINGKIT_ZOO": str(tmp_path / "own.toml"),
        "SEEINGKIT_OFFLINE": "1",
    }
    words = ["--gan", "stylegan", "--data", "churches", "--n", "4", "--permutations", "0"]
    words += ["--preset", "paper@32", "--method", "none", "--out", "run", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "seeingkit", "analyze", *words],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["generator"]["name"] == "stylegan2:church"
    assert found["segmenter"]["name"] == "upernet:upp"
    assert found["data"]["name"] == "churches" and found["n_real"] == found["n_generated"] == 4
    assert (tmp_path / "run/report.html").stat().st_size > 0
