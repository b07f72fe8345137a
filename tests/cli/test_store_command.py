"""``seeingkit store``, and that ``--out`` never replaces what the command did not make."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seeingkit import Tally, tally
from seeingkit.analyses.dissection.bases import basis_of, write_directions
from seeingkit.analyses.dissection.parts import dissection_folder
from seeingkit.analyses.inversion.store import note_seconds
from seeingkit.errors import RunError
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.runs.config import make_config
from seeingkit.runs.directory import RunDirectory
from seeingkit.runs.stored import remove_unneeded, stored_files
from seeingkit.system.claims import Claims
from tests.helpers.commands import command, pictures
from tests.helpers.planted import planted
from tests.helpers.toys import LevelSegmenter, Noise

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache").mkdir()
    return lambda *words: command(*words, capsys=capsys, monkeypatch=monkeypatch)


@pytest.fixture
def chunks(run: Run, tmp_path: Path) -> list[Path]:
    for name in ("a", "b"):
        tally(Noise(5, name=name), LevelSegmenter())
    return sorted((tmp_path / "cache").rglob("*.parquet"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.usefixtures("chunks")
def test_what_is_stored_is_listed(run: Run) -> None:
    code, out, err = run("store", "ls")
    assert code == 0 and not err
    head, *rows = out.splitlines()
    assert head.split() == ["kind", "of", "files", "size", "age"]
    assert [row.split()[:5] for row in rows] == [
        ["tally", name, "by", "levels", "1"] for name in ("a", "b")
    ]
    listed = json.loads(run("store", "ls", "--json")[1])
    assert {record["of"] for record in listed} == {"a by levels", "b by levels"}
    assert all(record["bytes"] > 1000 and not record["state"] for record in listed)


def test_directions_of_python_are_listed_checked_and_kept(run: Run, tmp_path: Path) -> None:
    folder = dissection_folder()
    assert isinstance(folder, Path)
    path = Path(write_directions(np.eye(5)[:2], folder))
    source = SamplerSource(planted(), 2, preset=find_preset("native"))
    basis_of("pca", planted().boundary("r4"), source, folder)
    listed = {record["of"]: record for record in json.loads(run("store", "ls", "--json")[1])}
    assert set(listed) == {f"2 of 5 channels, {path.stem}", "components of r4 of planted"}
    assert listed[f"2 of 5 channels, {path.stem}"]["kind"] == "directions"
    assert run("store", "verify")[:2] == (0, "2 files checked, 0 damaged\n")
    run("store", "gc", "--older-than", "0")
    assert [file.name for file in tmp_path.rglob("*.safetensors")] == [path.name]
    other = Path(write_directions(np.eye(5)[:3], folder))
    path.write_bytes(other.read_bytes())
    code, _, err = run("store", "verify")
    assert code == 1 and "its directions are not those that its name says" in err
    path.write_bytes(b"nothing")
    assert run("store", "verify")[0] == 1 and run("store", "ls")[0] == 0


def test_damaged_and_exchanged_work_is_named(run: Run, chunks: list[Path]) -> None:
    assert run("store", "verify")[:2] == (0, "2 files checked, 0 damaged\n")
    flip(chunks[0])
    code, out, err = run("store", "verify")
    assert code == 1 and "2 files checked, 1 damaged" in out
    assert str(chunks[0]) in err and "its content differs from its digest" in err
    assert len(err.splitlines()) == 1
    chunks[0].write_bytes(chunks[1].read_bytes())
    code, _, err = run("store", "verify", "--json")
    assert code == 1 and "another tally than its name says" in err
    code, _, err = run("store", "verify", "nowhere")
    assert code == 1 and err == "seeingkit: nowhere: no such folder of stored work\n"


def test_leftovers_and_older_work_are_removed(
    run: Run, chunks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = chunks[0].parent
    left = folder / f".{chunks[0].name}.elsewhere.1.2.tmp"
    left.write_bytes(b"half")
    writing = folder / f".{chunks[0].name}.elsewhere.1.3.tmp"
    writing.write_bytes(b"half")
    os.utime(left, (time.time() - 7200,) * 2)
    aside = folder / "damaged" / chunks[0].name
    aside.parent.mkdir()
    aside.write_bytes(b"damaged")
    foreign = [folder / "notes.txt", folder / "damaged" / "notes.txt", folder / "mine.tmp"]
    for path in foreign:
        path.write_text("mine")
    foreign.append(tally(Noise(3), LevelSegmenter()).save(folder / "mine.parquet"))
    (chunk,) = set(folder.parent.rglob("*.parquet")) - {*chunks, *foreign, aside}
    chunk.unlink()
    code, out, _ = run("store", "gc")
    assert code == 0
    assert "1 files, 4 bytes: a write that was killed" in out
    assert "1 files, 7 bytes: set aside as damaged" in out and "freed 11 bytes" in out
    assert not left.exists() and not aside.exists() and writing.exists()
    assert all(path.exists() for path in [*foreign, *chunks])
    monkeypatch.setattr("seeingkit.runs.stored.TALLY_SCHEMA", 99)
    assert json.loads(run("store", "gc", "--json")[1])[0]["reason"] == "of an older version"
    assert not any(path.exists() for path in chunks) and all(path.exists() for path in foreign)


def test_work_that_is_old_enough_is_removed(run: Run, chunks: list[Path]) -> None:
    os.utime(chunks[0], (time.time() - 3 * 86_400,) * 2)
    assert "freed 0 bytes" in run("store", "gc", "--older-than", "4")[1]
    assert "1 files" in run("store", "gc", "--older-than", "2.5")[1]
    assert [path.exists() for path in chunks] == [False, True]


def test_work_of_a_changed_adapter_is_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["tally", "minichurches", "--n", "2", "--device", "cpu"]
    assert run(*words)[0] == 0
    assert [file.unneeded for file in stored_files() if file.kind == "tally"] == [""]
    monkeypatch.setattr("seeingkit.runs.stored.code_of", lambda spec: "2-other")
    assert [file.kind for file, reason in remove_unneeded() if reason] == ["tally"]


def test_times_of_inversions_that_are_gone_are_removed(run: Run, tmp_path: Path) -> None:
    note_seconds([tmp_path / "cache" / "00" / f"{'0' * 32}.safetensors"], 1.5)
    assert "of an inversion that is gone" in run("store", "gc")[1]


def test_a_chunk_of_before_seals_is_removed(run: Run, chunks: list[Path]) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(chunks[0])
    about = {"seeingkit": table.schema.metadata[b"seeingkit"]}
    pq.write_table(table.replace_schema_metadata(about), chunks[0])
    assert "1 files" in run("store", "gc")[1] and not chunks[0].exists()


# ------------------------------------------------------------------------------------------ --out


def _photo(folder: Path) -> Path:
    pictures(folder / "photos", 1, seed=0)
    return folder / "photos" / "0.png"


def _folder(folder: Path) -> Path:
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    return folder / "mine"


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def _table(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"index": [1], "id": ["a"]}), folder / "other.parquet")
    return folder / "other.parquet"


def _link(folder: Path) -> Path:
    (folder / "link").symlink_to(_photo(folder))
    return folder / "link"


MAKERS = [_photo, _folder, _fifo, _table, _link]


def state(path: Path) -> tuple[object, ...]:
    content = path.read_bytes() if path.is_file() else sorted(path.glob("*"))
    return os.lstat(path).st_mode, os.lstat(path).st_ino, content


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS)
def test_tally_replaces_nothing_of_others(run: Run, tmp_path: Path, make: object) -> None:
    target = make(tmp_path)  # type: ignore[operator]
    before = state(target)
    code, out, err = run("tally", "minichurches", "--n", "2", "--out", str(target))
    assert code == 1 and not out and len(err.splitlines()) == 1
    assert "never replaced" in err or "not replaced" in err
    assert state(target) == before
    assert not list((tmp_path / "cache").rglob("*.parquet"))  # said before the work
    with pytest.raises(Exception, match="replaced"):
        tally(Noise(3), LevelSegmenter(), store=tmp_path / "store").save(target)
    assert state(target) == before


def test_tally_replaces_its_own_file(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept.parquet"
    (tmp_path / "t.parquet").symlink_to(kept)
    for n in ("2", "3"):
        assert run("tally", "minichurches", "--n", n, "--out", "t.parquet")[0] == 0
        assert len(Tally.load("t.parquet")) == int(n)
    assert (tmp_path / "t.parquet").is_symlink() and kept.is_file()


CONFIG = make_config(command="compare", real="a", generated="b", segmenter="s", n=9)


@pytest.mark.parametrize("make", MAKERS)
def test_a_run_replaces_nothing_of_others(tmp_path: Path, make: object) -> None:
    target = make(tmp_path)  # type: ignore[operator]
    before = state(target)
    with pytest.raises(RunError, match=f"{target.name}: .* --out"):
        RunDirectory.for_config(CONFIG, target)
    assert state(target) == before


@pytest.mark.parametrize("words", [["compare", "minichurches", "minichurches"], ["analyze"]])
def test_commands_of_runs_replace_nothing_of_others(
    run: Run, tmp_path: Path, words: list[str]
) -> None:
    target = _photo(tmp_path)
    before = state(target)
    code, out, err = run(*words, "--n", "2", "--out", str(target))
    assert code == 1 and not out and len(err.splitlines()) == 1
    assert target.name in err and "--out" in err
    assert state(target) == before


def test_a_run_begins_in_a_folder_with_the_leftover_of_a_killed_write(tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.host.1.2.tmp").write_text("{")
    assert RunDirectory.for_config(CONFIG, tmp_path).path == tmp_path
    (tmp_path / "notes.tmp").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        RunDirectory.for_config(CONFIG, tmp_path)


def test_report_and_convert_replace_nothing_of_others(run: Run, tmp_path: Path) -> None:
    for make in (_photo, _folder):
        code, out, err = run("report", str(make(tmp_path)))
        assert code == 1 and not out and len(err.splitlines()) == 1
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "theirs.safetensors").write_bytes(b"theirs")
    source = _weights()
    for name, more in (("pipe", ["--force"]), ("pipe", []), ("theirs", [])):
        target = tmp_path / f"{name}.safetensors"
        before = os.lstat(target)
        code, _, err = run("weights", "convert", str(source), str(target), *more)
        assert code in (1, 2) and len(err.splitlines()) == 1 and target.name in err
        assert os.lstat(target) == before


def _weights() -> Path:
    from seeingkit.models.hub import weights_path
    from seeingkit.models.registry import registry

    return weights_path(registry().resolve("weights", "progan:minichurches"))  # type: ignore[arg-type]


def test_claims_of_living_and_of_dead_processes(run: Run, chunks: list[Path]) -> None:
    folder = chunks[0].parents[1] / "claims"
    dead = multiprocessing.get_context("fork").Process(target=_die_at_work, args=(folder,))
    dead.start()
    dead.join()
    with Claims(folder).take("mine", "counting mine") or pytest.fail("not taken"):
        records = json.loads(run("store", "ls", "--json")[1])
        claims = {
            (record["of"], record["state"]) for record in records if record["kind"] == "claim"
        }
        host = os.uname().nodename
        assert claims == {
            (f"process {os.getpid()} of {host}: counting mine", ""),
            (f"rank 2 ({host}, process {dead.pid}): counting theirs", "not needed"),
        }
        assert run("store", "verify")[0] == 0
        code, out, _ = run("store", "gc")
        assert code == 0 and out.startswith("1 files, ")
        assert "of a process that has ended" in out.splitlines()[0]
        assert len(list(folder.iterdir())) == 1
    assert all(chunk.exists() for chunk in chunks)


def _die_at_work(folder: Path) -> None:
    os.environ["RANK"] = "2"
    Claims(folder).take("theirs", "counting theirs")
    os._exit(0)
