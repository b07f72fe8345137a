"""Stores at an address: in memory, and on a server that speaks S3, by processes that are killed."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from s3fs import S3FileSystem

from seeingkit import Tally, tally
from seeingkit.errors import PluginError, StorageError, UsageError
from seeingkit.system import heartbeats
from seeingkit.system.addresses import RemotePath, place
from seeingkit.system.claims import Claims
from seeingkit.tallies import counting
from seeingkit.tallies.chunks import ChunkStore
from tests.helpers.commands import command
from tests.helpers.file_servers import ftp_server, s3_server
from tests.helpers.toys import LevelSegmenter, Noise

CHILDREN = multiprocessing.get_context("forkserver")  # a fork of this process has half its threads
CHILDREN.set_forkserver_preload([__name__])
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ftp_server(tmp_path_factory.mktemp("ftp")) as address:
        yield address


@pytest.fixture(params=["memory", "s3"])
def address(request: pytest.FixtureRequest) -> str:
    """An empty place."""
    number = next(_numbers)
    if request.param == "memory":
        return f"memory://stores/{number}"
    return f"{request.getfixturevalue('server')}/stores/{number}"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "CHUNK", 16)


def objects(address: str) -> dict[str, bytes]:
    folder = place(address)
    assert isinstance(folder, RemotePath)
    return {str(path.relative_to(folder)): path.read_bytes() for path, _, _ in folder.below()}


def files(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def equal(a: Tally, b: Tally) -> bool:
    same_rows = a.ids == b.ids and a.skipped == b.skipped and np.array_equal(a.pixels, b.pixels)
    return same_rows and (a.counts != b.counts).nnz == 0 and a.identity == b.identity


# -------------------------------------------------------------------------------------- addresses


def test_a_file_at_an_address(address: str) -> None:
    file = place(address) / "ab" / "cd.parquet"
    assert isinstance(file, RemotePath)
    assert (file.name, file.stem, file.suffix, file.parent.name) == (
        "cd.parquet",
        "cd",
        ".parquet",
        "ab",
    )
    assert str(file) == f"{address}/ab/cd.parquet" and file == place(str(file))
    assert file.with_suffix(".seconds") < file.with_name("ce") and not file.exists()
    for missing in (file.read_bytes, file.changed, lambda: file.replace(file.parent)):
        with pytest.raises(FileNotFoundError):
            missing()
    file.unlink(missing_ok=True)
    assert file.create(b"one") and not file.create(b"two") and file.read_bytes() == b"one"
    file.write_whole(b"three")
    file.replace(file.with_name("moved"))
    assert not file.exists() and objects(address) == {"ab/moved": b"three"}


def test_local_files_keep_their_paths() -> None:
    assert place("a/b") == place(Path("a/b")) == Path("a/b") and place("file:///a") == Path("/a")


@pytest.mark.parametrize("named", ["nonsense://a/b", "s3://", "simplecache::s3://bucket/a"])
def test_what_is_no_address_is_refused(named: str) -> None:
    with pytest.raises(UsageError) as refused:
        place(named)
    assert named in str(refused.value) and "\n" not in str(refused.value)


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(PluginError, match="smb://host/a: needs a package more: .*smbprotocol"):
        place("smb://host/a")


def test_a_server_without_moves_is_refused() -> None:
    store = place("http://127.0.0.1:9/work")
    assert isinstance(store, RemotePath)
    with pytest.raises(UsageError, match="cannot move files"):
        (store / "a").write_whole(b"")


# ---------------------------------------------------------------------------------------- tallies


def test_a_tally_at_an_address_is_that_of_a_folder(address: str, tmp_path: Path) -> None:
    local = tally(Noise(50, bad=[20]), LevelSegmenter(), store=tmp_path)
    there = tally(Noise(50, bad=[20]), LevelSegmenter(), store=address)
    assert equal(there, local)
    assert objects(address) == files(tmp_path)
    again = LevelSegmenter()
    assert equal(tally(Noise(50, bad=[20]), again, store=ChunkStore(address)), local)
    assert again.seen == 0


def test_a_flipped_bit_is_found_set_aside_and_mended(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    tally(Noise(20), LevelSegmenter(), store=address)
    whole = objects(address)
    name = sorted(whole)[0]
    damaged = bytearray(whole[name])
    damaged[300] ^= 4
    file = place(f"{address}/{name}")
    assert isinstance(file, RemotePath)
    file.write_whole(bytes(damaged))
    segmenter = LevelSegmenter()
    tally(Noise(20), segmenter, store=address)
    (warning,) = caplog.messages
    assert warning.startswith(f"{file}: damaged (its content differs") and segmenter.seen in (4, 16)
    aside = f"{file.parent.name}/damaged/{file.name}"
    assert objects(address) == {**whole, aside: bytes(damaged)}


def test_commands_list_verify_and_clean_an_address(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        return command("store", *words, capsys=capsys, monkeypatch=monkeypatch)

    assert run("ls", address) == (1, "", f"seeingkit: {address}: no such folder of stored work\n")
    tally(Noise(20), LevelSegmenter(), store=address)
    whole = objects(address)
    first = place(f"{address}/{min(whole)}")
    assert isinstance(first, RemotePath)
    with Claims(f"{address}/claims").take("a", "counting a few") or pytest.fail("not taken"):
        code, out, _ = run("ls", address, "--json")
        kinds = {(row["kind"], row["of"], row["files"], row["state"]) for row in json.loads(out)}
        holder = f"process {os.getpid()} of {os.uname().nodename}: counting a few"
        assert code == 0
        assert kinds == {("tally", "noise by levels", 2, ""), ("claim", holder, 1, "")}
    assert run("verify", address)[:2] == (0, "2 files checked, 0 damaged\n")
    first.write_whole(whole[min(whole)][:-1])
    code, _, err = run("verify", address)
    assert code == 1 and f"{first}: not a readable tally" in err
    tally(Noise(20), LevelSegmenter(), store=address)
    code, out, _ = run("gc", address)
    assert code == 0 and "1 files" in out and "set aside as damaged" in out
    assert objects(address) == whole


def test_a_server_of_files_moves_them_and_has_no_claims(
    ftp: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"{ftp}/stores/work"
    tally(Noise(50, bad=[20]), LevelSegmenter(), store=tmp_path)
    tally(Noise(50, bad=[20]), LevelSegmenter(), store=address)
    whole = objects(address)
    assert whole == files(tmp_path)
    one, two = (Claims(f"{address}/claims").take("a", "") for _ in range(2))
    assert one is not None and two is not None and objects(address) == whole
    one.release()
    file = place(f"{address}/{min(whole)}")
    assert isinstance(file, RemotePath)
    file.write_whole(b"PAR1")
    tally(Noise(50, bad=[20]), LevelSegmenter(), store=address)
    assert objects(address) == {**whole, f"{file.parent.name}/damaged/{file.name}": b"PAR1"}
    assert len(caplog.messages) == 1
    with pytest.raises(FileNotFoundError):
        file.with_name("none").read_bytes()
    assert str(file) == address.replace(":secret@", ":***@") + f"/{min(whole)}"


# ---------------------------------------------------------------------------------- real processes


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _count(
    settings: dict[str, str], address: str, rank: int, world: int, delay: float, n: int
) -> None:
    torch.set_num_threads(1)
    counting.CHUNK = 16
    os.environ.update(settings, RANK=str(rank), WORLD_SIZE=str(world))
    tally(Noise(n), LevelSegmenter(delay=delay), store=address)


def start(address: str, rank: int, world: int, delay: float, n: int = 160) -> BaseProcess:
    process = CHILDREN.Process(target=_count, args=(_settings(), address, rank, world, delay, n))
    process.start()
    return process


def finish(*processes: BaseProcess) -> None:
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


@pytest.mark.slow
def test_a_process_is_killed_the_other_finishes_and_three_find_all_done(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    address = f"{server}/stores/{next(_numbers)}"
    expected = tally(Noise(160), LevelSegmenter(), store=tmp_path)
    two = [start(address, rank, 2, 0.01) for rank in range(2)]
    deadline = time.monotonic() + 60
    folder = place(address)
    assert isinstance(folder, RemotePath)
    while sum(path.suffix == ".parquet" for path, _, _ in folder.below()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert two[0].pid is not None
    os.kill(two[0].pid, signal.SIGKILL)
    finish(two[1])
    two[0].join()
    assert objects(address) == files(tmp_path)
    finish(*(start(address, rank, 3, 9.0) for rank in range(3)))  # who counts takes far too long
    assert equal(tally(Noise(160), LevelSegmenter(), store=address), expected)


@pytest.mark.slow
def test_all_are_killed_and_another_number_goes_on(server: str, tmp_path: Path) -> None:
    address = f"{server}/stores/{next(_numbers)}"
    tally(Noise(160), LevelSegmenter(), store=tmp_path)
    kills = 0
    for delay in (0.004, 0.004, 0.004):
        two = [start(address, rank, 2, delay) for rank in range(2)]
        time.sleep(0.4)
        for process in two:
            kills += process.is_alive()
            process.kill()
            process.join()
    assert kills > 2
    finish(*(start(address, rank, 3, 0.0) for rank in range(3)))
    assert objects(address) == files(tmp_path)


def _race(settings: dict[str, str], address: str, start: Barrier, log: Path) -> None:
    os.environ.update(settings)
    claims = Claims(address)
    start.wait()
    begun, left = time.monotonic(), 3
    with log.open("a") as held:
        while left and time.monotonic() < begun + 30:
            claim = claims.take("piece", "racing")
            if claim is not None:
                left -= 1
                taken = time.monotonic_ns()
                time.sleep(0.002)
                held.write(f"{taken} {time.monotonic_ns()}\n")
                claim.release()


def _die(settings: dict[str, str], address: str) -> None:
    os.environ.update(settings)
    assert Claims(address).take("piece", "dying") is not None
    os._exit(0)


@pytest.mark.slow
def test_claims_at_an_address_have_one_holder(server: str, tmp_path: Path) -> None:
    address = f"{server}/claims/{next(_numbers)}"
    dead = CHILDREN.Process(target=_die, args=(_settings(), address))
    dead.start()
    finish(dead)
    assert len(objects(address)) == 1
    begin = CHILDREN.Barrier(3)
    racers = [
        CHILDREN.Process(target=_race, args=(_settings(), address, begin, tmp_path / f"{k}.log"))
        for k in range(3)
    ]
    for process in racers:
        process.start()
    finish(*racers)
    lines = [line.split() for log in tmp_path.glob("*.log") for line in log.read_text().split("\n")]
    spans = sorted((int(line[0]), int(line[1])) for line in lines if line)
    assert len(spans) > 3 and objects(address) == {}
    assert all(end <= begun for (_, end), (begun, _) in itertools.pairwise(spans))


def test_signs_of_life_at_an_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "BEAT", 0.2)
    with Claims(address).take("piece", "") or pytest.fail("not taken"):
        folder = place(address)
        assert isinstance(folder, RemotePath)
        ((file, _, _),) = folder.below()
        before, deadline = file.changed(), time.monotonic() + 20
        while file.changed() == before:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert objects(address) == {}


# ----------------------------------------------------------------------------------------- faults


def test_a_network_that_fails_damages_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as server:
        store = f"{server}/work"
        tally(Noise(20), LevelSegmenter(), store=store)
        settings = _settings()
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError) as failed:  # the server has ended
        tally(Noise(40), LevelSegmenter(), store=store)
    message = str(failed.value)
    assert message.startswith(f"{store}/") and "127.0.0.1:" in message and "\n" not in message
    assert message.endswith(
        "check the address, the network and your credentials, and run the same command again"
    )
    assert caplog.messages == []
    S3FileSystem.clear_instance_cache()


def test_a_bucket_that_is_not_there_is_named(server: str) -> None:
    with pytest.raises(StorageError, match="^s3://other/work/claims/.*cannot be written .*bucket"):
        tally(Noise(20), LevelSegmenter(), store="s3://other/work")
