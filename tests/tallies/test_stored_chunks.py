"""Chunks on disk: damage, exchange and shortness are found, named, and mended by counting again."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from seeingkit import Tally, open_images, tally
from seeingkit.contracts import Label, Skipped, Vocabulary
from seeingkit.errors import ImageError, SourceError, StorageError, TallyError
from seeingkit.images.files import FileImages
from seeingkit.images.opening import with_preset
from seeingkit.models.registry import find_preset
from seeingkit.specs import Preset
from seeingkit.tallies import counting
from seeingkit.tallies.chunks import ChunkRows, Span, describe, write_table
from seeingkit.tallies.reading import read_tally_file
from tests.helpers.commands import pictures
from tests.helpers.toys import LevelSegmenter, Noise


def equal(a: Tally, b: Tally) -> bool:
    same_rows = a.ids == b.ids and a.skipped == b.skipped and np.array_equal(a.pixels, b.pixels)
    return same_rows and (a.counts != b.counts).nnz == 0


def chunk_in(store: Path) -> Path:
    (file,) = (f for f in store.rglob("*.parquet") if f.parent.name != "damaged")
    return file


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the one chunk of five images."""
    tally(Noise(5), LevelSegmenter(), store=tmp_path)
    return tmp_path


def counted_again(store: Path, source: Noise | None = None) -> tuple[Tally, int]:
    segmenter = LevelSegmenter()
    return tally(source or Noise(5), segmenter, store=store), segmenter.seen


# -------------------------------------------------------------------------------------- damage


def test_every_flipped_bit_is_found(store: Path) -> None:
    file = chunk_in(store)
    whole = file.read_bytes()
    assert len(read_tally_file(file).ids) == 5
    draw = random.Random(0)
    for place in draw.sample(range(8 * len(whole)), 250):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(TallyError, match="not a readable tally .* delete it"):
            read_tally_file(file)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted on Linux")
def test_reading_leaves_no_thread_behind(store: Path) -> None:
    """One that Arrow has just begun aborts a process that ends at once ("terminate called …")."""
    script = """
        import sys; from os import listdir; from pathlib import Path
        import pyarrow.parquet; from seeingkit.tallies.reading import read_tally_file
        before = len(listdir("/proc/self/task"))
        read_tally_file(Path(sys.argv[1]))
        print(len(listdir("/proc/self/task")) - before)
    """
    words = [sys.executable, "-c", "\n".join(map(str.strip, script.splitlines()))]
    done = subprocess.run([*words, str(chunk_in(store))], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.parametrize("spoil", [lambda b: b[:100], lambda b: b"", lambda b: b + b"\0"])
def test_a_damaged_chunk_is_named_set_aside_and_counted_again(
    store: Path, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file = chunk_in(store)
    whole = file.read_bytes()
    file.write_bytes(spoil(whole))
    found, seen = counted_again(store)
    assert seen == 5 and len(found) == 5
    (warning,) = caplog.messages
    assert warning.startswith(f"{file}: damaged (") and "moved to damaged/" in warning
    assert (file.parent / "damaged" / file.name).read_bytes() == spoil(whole)
    assert file.read_bytes() == whole
    assert counted_again(store)[1] == 0


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_a_chunk_that_the_system_does_not_let_be_read_is_kept(
    store: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = chunk_in(store)

    def denied(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", denied)
        with pytest.raises(StorageError, match="cannot be read"):
            counted_again(store)
    assert chunk_in(store) == file
    assert counted_again(store)[1] == 0


@pytest.mark.parametrize(("last", "fits"), [(0, True), (1, False)])
def test_pixels_of_all_planes_sum_up_exactly(tmp_path: Path, last: int, fits: bool) -> None:
    """Of an image of four pixels and two planes, with a pixel too many and without."""
    two = Vocabulary((Label("a"), Label("b")), planes=("object", "part"))
    rows = ChunkRows()
    rows.add(0, "one", 4, np.array([3, 1, 4, last]))
    file = tmp_path / "t.parquet"
    write_table(file, rows.table(describe(two, None, span=Span(0, 1))))
    if fits:
        assert read_tally_file(file).pixels.tolist() == [4]
        return
    with pytest.raises(TallyError, match="do not sum up"):
        read_tally_file(file)


def test_a_chunk_under_another_name_is_not_believed(store: Path) -> None:
    other = tally(Noise(5, name="other"), LevelSegmenter(), store=store / "b")
    shutil.copy(chunk_in(store / "b"), file := chunk_in_top(store))
    found, seen = counted_again(store)
    assert seen == 5 and found.identity != other.identity
    assert read_tally_file(file).identity == found.identity


def chunk_in_top(store: Path) -> Path:
    (file,) = (f for f in store.glob("??/*.parquet"))
    return file


@pytest.mark.parametrize("kept", [0, 3])
def test_a_chunk_with_fewer_rows_is_not_believed(store: Path, kept: int) -> None:
    file = chunk_in(store)
    table = pq.read_table(file)
    metadata = {k: v for k, v in table.schema.metadata.items() if k != b"digest"}
    write_table(file, table.slice(0, kept).replace_schema_metadata(metadata))
    found, seen = counted_again(store)
    assert seen == 5 and len(found) == 5


def test_a_chunk_of_another_range_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "CHUNK", 4)
    whole = tally(Noise(8), LevelSegmenter(), store=tmp_path)
    first, second = sorted(
        tmp_path.rglob("*.parquet"), key=lambda f: int(read_tally_file(f).places[0])
    )
    shutil.copy(first, second)
    segmenter = LevelSegmenter()
    assert equal(tally(Noise(8), segmenter, store=tmp_path), whole)
    assert segmenter.seen == 4


def sealed(path: Path, row: list[int], pixels: int = 30, unread: tuple[int, ...] = ()) -> Path:
    rows = ChunkRows()
    rows.append(0, "a", pixels, np.array([1, 2], np.int32), np.array(row), None)
    metadata = describe(LevelSegmenter().vocabulary, None, span=Span(0, 1, unread))
    write_table(path, rows.table(metadata))
    return path


@pytest.mark.parametrize(
    ("labels", "counts", "fault"),
    [
        ([1, 4], [10, 20], "a label outside the 4 of its vocabulary"),
        ([-1, 1], [10, 20], "a label outside"),
        ([1, 2], [10, 21], "do not sum up"),
        ([1, 2], [-10, 40], "negative"),
        ([1], [10, 20], "other numbers than labels"),
    ],
)
def test_numbers_are_checked_behind_a_right_digest(
    tmp_path: Path, labels: list[int], counts: list[int], fault: str
) -> None:
    rows = ChunkRows()
    rows.append(0, "a", 30, np.array(labels, np.int32), np.array(counts), None)
    metadata = describe(LevelSegmenter().vocabulary, None, span=Span(0, 1))
    write_table(tmp_path / "t.parquet", rows.table(metadata))
    with pytest.raises(TallyError, match=fault):
        read_tally_file(tmp_path / "t.parquet")


def test_a_tally_file_that_is_damaged_is_refused(tmp_path: Path) -> None:
    found = tally(Noise(5), LevelSegmenter(), store=tmp_path / "store")
    path = found.save(tmp_path / "mine.parquet")
    assert equal(Tally.load(path), found)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(
        TallyError, match=r"mine.parquet: not a readable tally \(its content differs"
    ):
        Tally.load(path)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(TallyError, match="text.parquet: not a readable tally"):
        Tally.load(tmp_path / "text.parquet")
    with pytest.raises(TallyError, match="none.parquet: cannot be read"):
        Tally.load(tmp_path / "none.parquet")


# ------------------------------------------------------------------- what is hashed is what is seen


class Disturbed(FileImages):
    """Photos to which something happens between hashing and counting."""

    def compute_fingerprint(self, progress: object = None) -> str:
        found = super().compute_fingerprint(None)
        event, self.event = self.event, None
        if event is not None:
            event()
        return found

    event: Callable[[], object] | None = None


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    pictures(tmp_path / "photos", 5, seed=1)
    return tmp_path / "photos"


def counted(
    photos: Path, event: Callable[[Path], object] = lambda path: None, preset: str = "paper@64"
) -> Tally:
    source = Disturbed("photos", photos, [f"{k}.png" for k in range(5)], preset=find_preset(preset))
    source.event = lambda: event(photos / "2.png")
    return tally(source, LevelSegmenter())


def test_a_photo_that_was_away_for_a_moment_is_counted_on_the_next_start(photos: Path) -> None:
    away = photos.parent / "away.png"
    few = counted(photos, lambda photo: photo.rename(away))
    assert len(few) == 4 and few.skipped[0].item == "2.png"
    assert few.skipped[0].reason == "no such file; it is tried again on the next start"
    away.rename(photos / "2.png")
    again = counted(photos)
    assert len(again) == 5 and not again.skipped and again.identity == few.identity
    segmenter = LevelSegmenter()
    tally(open_images(photos, preset="paper@64"), segmenter)
    assert segmenter.seen == 0


def test_a_photo_whose_bytes_are_no_picture_is_not_tried_again(photos: Path) -> None:
    (photos / "2.png").write_bytes(b"no picture")
    few = counted(photos)
    assert [s.item for s in few.skipped] == ["2.png"] and type(few.skipped[0]) is Skipped
    segmenter = LevelSegmenter()
    tally(open_images(photos, preset="paper@64"), segmenter)
    assert segmenter.seen == 0


def test_a_lack_of_memory_is_a_matter_of_the_moment(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Image.open

    def tight(stream: object, **options: object) -> object:
        raise MemoryError

    monkeypatch.setattr(Image, "open", tight)
    with pytest.raises(TallyError, match="none of 5 images .* not enough memory"):
        counted(photos)
    monkeypatch.setattr(Image, "open", kept)
    assert len(counted(photos)) == 5


def test_a_photo_that_was_replaced_is_noticed(photos: Path) -> None:
    pictures(photos.parent / "others", 1, seed=2)

    def replace(photo: Path) -> None:
        os.replace(photos.parent / "others" / "0.png", photo)

    with pytest.raises(SourceError, match=r"photos: image '2.png' is another one than when it was"):
        counted(photos, replace)
    fresh = counted(photos)  # the next start hashes it anew
    assert len(fresh) == 5


def test_a_photo_that_appears_after_hashing_is_noticed(photos: Path) -> None:
    photo, away = photos / "2.png", photos.parent / "away.png"
    photo.rename(away)
    with pytest.raises(SourceError, match="another one"):
        counted(photos, lambda path: away.rename(path))


def test_another_size_never_stands_in_for_that_of_a_photo_that_was_away(photos: Path) -> None:
    pictures(photos.parent / "small", 1, seed=2, side=32)
    os.replace(photos.parent / "small" / "0.png", photos / "0.png")
    away = photos.parent / "away.png"
    with pytest.raises(SourceError, match="photos: 0.png: no such file; it is tried again"):
        counted(photos, lambda photo: (photos / "0.png").rename(away), preset="native")


def test_rows_of_a_numpy_file_that_change_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    rows = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "photos.npy", rows)
    source = open_images(tmp_path / "photos.npy", preset="native")
    assert source.fingerprint
    with (tmp_path / "photos.npy").open("r+b") as stream:
        stream.seek(-10, os.SEEK_END)
        stream.write(b"0123456789")
    assert source.read([0]).shape == (1, 3, 16, 16)
    with pytest.raises(SourceError, match="another one"):
        source.read([3])


def test_damaged_hashes_are_set_aside(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    for k in range(5):
        os.utime(photos / f"{k}.png", (1, 1))
    source = open_images(photos, preset="paper@64")
    from seeingkit.system import digests

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "SETTLED", -9.0)
        first = source.fingerprint
    (file,) = (photos.parent / "cache" / "digests").glob("*.json")
    stored = json.loads(file.read_bytes())
    assert stored["place"] == str(photos) and len(stored["hashes"]) == 5
    text = file.read_text()
    at = text.index('"0.png"') + 60
    digit = next(k for k in range(at, len(text)) if text[k] in "0123456789")
    file.write_text(text[:digit] + ("1" if text[digit] == "0" else "0") + text[digit + 1 :])
    assert open_images(photos, preset="paper@64").fingerprint == first
    assert "digest" in caplog.text and (file.parent / "damaged" / file.name).exists()


# ----------------------------------------------------------------------------------- versions


def test_versions_never_share_chunks(tmp_path: Path) -> None:
    source = with_preset(Noise(5), Preset(name="mine", size=8))
    tally(source, LevelSegmenter(), store=tmp_path)
    assert counted_again_with(source, LevelSegmenter(), tmp_path) == 0
    other = with_preset(Noise(5), Preset(name="mine", size=8, version=2))
    assert counted_again_with(other, LevelSegmenter(), tmp_path) == 5
    newer = LevelSegmenter()
    newer.info = newer.info.model_copy(update={"code": "2-0123456789ab"})
    assert counted_again_with(source, newer, tmp_path) == 5
    changed = Noise(5)
    changed.preset, changed.code = source.preset, "2-0123456789ab"
    assert counted_again_with(changed, LevelSegmenter(), tmp_path) == 5


def counted_again_with(source: object, segmenter: LevelSegmenter, store: Path) -> int:
    tally(source, segmenter, store=store)  # type: ignore[arg-type]
    return segmenter.seen


def test_a_changed_counting_rule_never_meets_old_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seeingkit.tallies.identity import TALLY_SCHEMA, TallyIdentity

    tally(Noise(5), LevelSegmenter(), store=tmp_path)
    monkeypatch.setattr(TallyIdentity.model_fields["schema_version"], "default", TALLY_SCHEMA + 1)
    TallyIdentity.model_rebuild(force=True)
    try:
        assert counted_again(tmp_path)[1] == 5
    finally:
        monkeypatch.undo()
        TallyIdentity.model_rebuild(force=True)


def test_fail_ends_at_an_image_that_could_not_be_read(photos: Path) -> None:
    (photos / "2.png").unlink()
    with pytest.raises(ImageError, match="2.png: no such file"):
        tally(
            FileImages("photos", photos, ["1.png", "2.png"], preset=find_preset("paper@64")),
            LevelSegmenter(),
            on_bad="fail",
        )
