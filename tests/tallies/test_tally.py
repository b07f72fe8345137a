"""The tally: exact counts, resuming, sharing, skipping, formats."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit import Tally, tally
from seeingkit.errors import ImageError, ModelError, TallyError, UsageError
from seeingkit.specs import Preset
from seeingkit.tallies import ChunkStore, TallyIdentity, counting
from seeingkit.tallies.reading import joined, read_tally_file
from tests.helpers.toys import FlatSampler, LevelSegmenter, Noise


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "CHUNK", 16)


def same(a: Tally, b: Tally) -> bool:
    return (
        a.ids == b.ids
        and (a.counts != b.counts).nnz == 0
        and np.array_equal(a.pixels, b.pixels)
        and a.skipped == b.skipped
    )


def test_counts_are_exact(tmp_path: Path) -> None:
    source, segmenter = Noise(10), LevelSegmenter()
    found = tally(source, segmenter, store=tmp_path)
    for k in range(10):
        labels = segmenter.segment(source.read([k]))[0, 0].numpy()
        expected = np.bincount(labels.ravel(), minlength=4)
        assert found.counts[[k]].toarray().ravel().tolist() == expected.tolist()
    assert found.pixels.tolist() == [30] * 10
    assert found.fractions().sum(1) == pytest.approx(np.ones(10))
    assert found.ids == tuple(source.ids)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("batch", [1, 7, 32])
def test_batch_size_changes_nothing(tmp_path: Path, batch: int) -> None:
    whole = tally(Noise(50, bad=[3, 17]), LevelSegmenter(), store=tmp_path / "a", batch_size=5)
    again = tally(Noise(50, bad=[3, 17]), LevelSegmenter(), store=tmp_path / "b", batch_size=batch)
    assert same(whole, again)


@pytest.mark.usefixtures("small_chunks")
def test_finished_chunks_are_not_done_again(tmp_path: Path) -> None:
    first, second = LevelSegmenter(), LevelSegmenter()
    a = tally(Noise(40), first, store=tmp_path)
    b = tally(Noise(40), second, store=tmp_path)
    assert (first.seen, second.seen) == (40, 0)
    assert same(a, b)
    more = LevelSegmenter()
    grown = tally(Noise(60), more, store=tmp_path)  # whole chunks of 16 are used again
    assert more.seen == 60 - 32
    assert same(grown.take(range(40)), a)


@pytest.mark.usefixtures("small_chunks")
def test_any_change_of_identity_is_counted_anew(tmp_path: Path) -> None:
    tally(Noise(20), LevelSegmenter(), store=tmp_path)
    for source, segmenter, preset in (
        (Noise(20, name="other"), LevelSegmenter(), None),
        (Noise(20), LevelSegmenter("other"), None),
        (Noise(20), LevelSegmenter(), Preset(name="small", size=64)),
    ):
        source.preset = preset
        tally(source, segmenter, store=tmp_path)
        assert segmenter.seen == 20


def test_bad_images_are_named_and_left_out(tmp_path: Path) -> None:
    found = tally(Noise(9, bad=[0, 4]), LevelSegmenter(), store=tmp_path)
    assert len(found) == 7
    assert [(s.item, s.reason) for s in found.skipped] == [
        ("noise-0", "broken on purpose"),
        ("noise-4", "broken on purpose"),
    ]
    with pytest.raises(ImageError, match="noise-0: broken on purpose"):
        tally(Noise(9, bad=[0, 4]), LevelSegmenter(), store=tmp_path / "new", on_bad="fail")
    with pytest.raises(ImageError, match="noise-0"):  # also when the chunk is there already
        tally(Noise(9, bad=[0, 4]), LevelSegmenter(), store=tmp_path, on_bad="fail")
    with pytest.raises(TallyError, match="none of 2 images can be used"):
        tally(Noise(2, bad=[0, 1]), LevelSegmenter(), store=tmp_path)
    with pytest.raises(TallyError, match="no images"):
        tally(Noise(0), LevelSegmenter(), store=tmp_path)


def test_n_images_of_a_source_and_of_a_generator(tmp_path: Path) -> None:
    found = tally(Noise(30), LevelSegmenter(), n=12, seed=3, store=tmp_path)
    order = list(range(30))
    random.Random(3).shuffle(order)
    assert found.ids == tuple(f"noise-{k}" for k in order[:12])
    with pytest.raises(UsageError, match="30 images, fewer than the 31 asked for"):
        tally(Noise(30), LevelSegmenter(), n=31, store=tmp_path)
    flat = FlatSampler()
    drawn = tally(flat, LevelSegmenter(), n=5, seed=2, store=tmp_path)
    assert drawn.ids == tuple(f"seed2-{k:06d}" for k in range(5))
    brightness = flat(flat.latents(range(5), seed=2))[:, 0, 0, 0]
    expected = [1 + (v > -1 / 3) + (v > 1 / 3) for v in brightness.tolist()]
    assert [int(np.argmax(row)) for row in drawn.fractions()] == expected
    with pytest.raises(UsageError, match="say how many images"):
        tally(flat, LevelSegmenter(), store=tmp_path)


def test_out_of_memory_halves_the_batch_and_changes_nothing(tmp_path: Path) -> None:
    tight = LevelSegmenter()
    tight.memory = 3
    assert same(
        tally(Noise(30), tight, store=tmp_path / "a", batch_size=16),
        tally(Noise(30), LevelSegmenter(), store=tmp_path / "b"),
    )
    tight.memory = 0
    with pytest.raises(ModelError, match="out of memory with a single image"):
        tally(Noise(3), tight, store=tmp_path / "c")


def _share(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)  # those of the parent are not here
    counting.CHUNK = 16
    os.environ.update(RANK=str(rank), WORLD_SIZE="3")
    tally(Noise(100, bad=[50]), LevelSegmenter(), store=folder)


def test_processes_share_the_chunks(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_share, args=(tmp_path / "many", r)) for r in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    counting_one = LevelSegmenter()
    old = counting.CHUNK
    counting.CHUNK = 16
    try:
        many = tally(Noise(100, bad=[50]), counting_one, store=tmp_path / "many")
        one = tally(Noise(100, bad=[50]), LevelSegmenter(), store=tmp_path / "one")
    finally:
        counting.CHUNK = old
    assert counting_one.seen == 0
    assert same(many, one)
    files = [sorted((tmp_path / n).rglob("*.parquet")) for n in ("many", "one")]
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))


def test_killed_and_run_again_equals_undisturbed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})
            from seeingkit.tallies import counting; counting.CHUNK = 16
            from tests.helpers.toys import LevelSegmenter, Noise
            segmenter = LevelSegmenter(delay=0.004)
            counting.tally(Noise(400, bad=[77]), segmenter, store={str(tmp_path / "store")!r})
            print(segmenter.seen)
            """
        )
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "store").rglob("*.parquet"))) < 6:
        assert time.monotonic() < deadline
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = sorted((tmp_path / "store").rglob("*.parquet"))
    stamps = {path: path.stat().st_mtime_ns for path in done}
    again = subprocess.run([sys.executable, str(script)], capture_output=True, check=True)
    assert int(again.stdout) <= 399 - 16 * len(done) + 1
    assert {path: path.stat().st_mtime_ns for path in done} == stamps
    old = counting.CHUNK
    counting.CHUNK = 16
    try:
        resumed = tally(Noise(400, bad=[77]), LevelSegmenter(), store=tmp_path / "store")
        whole = tally(Noise(400, bad=[77]), LevelSegmenter(), store=tmp_path / "fresh")
    finally:
        counting.CHUNK = old
    assert same(resumed, whole)
    assert len(whole) == 399
    assert not list((tmp_path / "store").rglob("*.tmp")) or len(whole)  # leftovers are never read


def test_overlapping_files_are_refused(tmp_path: Path) -> None:
    tally(Noise(5), LevelSegmenter(), store=tmp_path)
    (file,) = tmp_path.rglob("*.parquet")
    with pytest.raises(TallyError, match="twice"):
        joined([read_tally_file(file)] * 2)


def test_save_and_load(tmp_path: Path) -> None:
    found = tally(Noise(9, bad=[4]), LevelSegmenter(), store=tmp_path)
    back = Tally.load(found.save(tmp_path / "t.parquet"))
    assert same(found, back)
    assert back.identity == found.identity
    assert back.vocabulary == found.vocabulary
    assert back.to_dict() == found.to_dict()
    rows = Tally.from_fractions([[0.25, 0.75], [0.5, 0.125]], ["a", "<b>"])
    again = Tally.load(rows.save(tmp_path / "f.parquet"))
    assert again.fractions().tolist() == [[0.25, 0.75], [0.5, 0.125]]
    assert "&lt;b&gt;" in again._repr_html_()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(0, 0.25), min_size=4, max_size=4), min_size=1, max_size=8))
def test_fractions_come_back(rows: list[list[float]]) -> None:
    found = Tally.from_fractions(rows)
    assert found.fractions() == pytest.approx(np.array(rows), abs=1e-15)
    assert found.to_dict()["n"] == len(rows)


def test_identity_key_depends_on_every_field() -> None:
    base = {"source": "a", "segmenter": {"x": 1}, "preset": {"size": 2}}
    keys = {
        TallyIdentity.model_validate({**base, **change}).key()
        for change in (
            {},
            {"source": "b"},
            {"segmenter": {"x": 2}},
            {"preset": {}},
            {"schema_version": 9},
        )
    }
    assert len(keys) == 5
    one = TallyIdentity.model_validate(base)
    assert ChunkStore("s").path(one, 0, 5) != ChunkStore("s").path(one, 0, 6)
