"""Pieces of work among real processes: each is done once, and a process that dies is replaced."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from seeingkit.system import sharing
from seeingkit.system.claims import Claims
from seeingkit.system.sharing import Piece, own_part, shared

FORK = multiprocessing.get_context("fork")
PIECES = [Piece(f"piece {k}", f"doing piece {k}") for k in range(12)]


def work(folder: Path, rank: int | None, world: int, seconds: float = 0.0, hang: int = -1) -> None:
    """Do pieces, each a file that holds the numbers of the processes that did it."""
    if rank is not None:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(world))
    for (number,) in shared(
        PIECES, Claims(folder / "claims"), lambda k: (folder / str(k)).exists()
    ):
        time.sleep(600 if number == hang else seconds)
        with (folder / f"{number}.part").open("a") as stream:
            stream.write(f"{rank}\n")
        (folder / f"{number}.part").rename(folder / str(number))


def start(*arguments: object) -> multiprocessing.process.BaseProcess:
    process = FORK.Process(target=work, args=arguments)
    process.start()
    return process


def done_by(folder: Path) -> list[str]:
    return [(folder / str(k)).read_text() for k in range(len(PIECES))]


def nothing_left(folder: Path) -> bool:
    return not list((folder / "claims").iterdir())


@pytest.mark.parametrize("world", [1, 2, 3])
def test_own_parts_cover_all(world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    monkeypatch.setenv("WORLD_SIZE", str(world))
    for rank in range(world):
        monkeypatch.setenv("RANK", str(rank))
        parts += own_part(PIECES)
    assert sorted(parts) == list(range(12))


@pytest.mark.parametrize("ranks", [(0, 1, 2), (None, None)], ids=["ranks", "plain"])
def test_processes_do_each_piece_once(tmp_path: Path, ranks: tuple[int | None, ...]) -> None:
    processes = [start(tmp_path, rank, len(ranks), 0.01) for rank in ranks]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert all(text.count("\n") == 1 for text in done_by(tmp_path))
    assert nothing_left(tmp_path)


def test_the_work_of_a_slow_process_is_taken_from_its_end(tmp_path: Path) -> None:
    slow = start(tmp_path, 0, 2, 0.3)
    fast = start(tmp_path, 1, 2, 0.0)
    for process in (slow, fast):
        process.join(60)
        assert process.exitcode == 0
    by = [text.strip() for text in done_by(tmp_path)]
    assert by[0] == "0" and by[1::2] == ["1"] * 6 and by[-2] == "1"
    assert by[::2].count("1") > 2


def claimed(folder: Path, what: str) -> bool:
    """Whether the one claim that is there is of this."""
    try:
        (claim,) = (folder / "claims").iterdir()
        return what in claim.read_text(encoding="utf-8")
    except (OSError, ValueError):  # none, several, or one that has just gone
        return False


def test_the_piece_of_a_killed_process_is_done_by_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = start(tmp_path, 0, 2, 0.0, 4)  # does 0 and 2, then hangs in 4
    while not (tmp_path / "2").exists():
        time.sleep(0.01)
    while not claimed(tmp_path, "piece 4"):  # a claim is there before it says of what
        time.sleep(0.01)
    assert dead.pid is not None
    os.kill(dead.pid, signal.SIGKILL)
    monkeypatch.setattr(os, "environ", {**os.environ})
    work(tmp_path, 1, 2)
    dead.join()
    assert [text.strip() for text in done_by(tmp_path)] == ["0", "1", "0", *["1"] * 9]
    (message,) = caplog.messages
    assert message.endswith(
        f"process {dead.pid}) ended while doing piece 4; this process does it again"
    )
    assert message.startswith("rank 0 (") and nothing_left(tmp_path)


def test_who_is_waited_for_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(sharing, "_SILENT", 0.0)
    held = Claims(tmp_path / "claims").take("piece 3", "doing piece 3")
    assert held is not None
    looks = 0

    def is_done(number: int) -> bool:
        nonlocal looks
        looks += number == 3
        if looks == 5:
            held.release()
        return number != 3 or looks > 5

    assert list(shared(PIECES, Claims(tmp_path / "claims"), is_done)) == []
    (message,) = caplog.messages
    assert message.startswith("waiting for process ") and message.endswith(": doing piece 3")


def test_several_pieces_at_a_time(tmp_path: Path) -> None:
    done = {5}
    claims = Claims(tmp_path)
    times = []
    for numbers in shared(PIECES, claims, done.__contains__, enough=lambda n: len(n) > 3):
        assert len(claims.holders()) == len(numbers)
        times.append(numbers)
        done.update(numbers)
    assert times == [[0, 1, 2, 3], [4, 6, 7, 8], [9, 10, 11]]


def test_pieces_that_failed_are_free(tmp_path: Path) -> None:
    def fail() -> None:
        for _ in shared(PIECES, Claims(tmp_path), lambda k: False):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_others_begin_first_where_they_have_a_head_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    begun = time.monotonic()
    assert (
        list(
            shared(
                PIECES[:1],
                Claims(tmp_path),
                lambda k: time.monotonic() > begun + 0.2,
                head_start=60,
            )
        )
        == []
    )
    taken = list(shared(PIECES[:1], Claims(tmp_path), lambda k: False, head_start=0.1))
    assert taken == [[0]] and time.monotonic() > begun + 0.3
