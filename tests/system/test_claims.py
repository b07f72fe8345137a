"""Claims on pieces of work: one holder each, also when real processes race, die and are stopped."""

from __future__ import annotations

import itertools
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Barrier

import pytest

from seeingkit.system import claims as claims_module
from seeingkit.system import heartbeats
from seeingkit.system.claims import Claims, is_claim
from seeingkit.system.holders import Holder
from seeingkit.system.processes import alone, local_rank, own_number, rank, world

ROOT = Path(__file__).parents[2]
FORK = multiprocessing.get_context("fork")
HOLD = """
import sys, time
from seeingkit.system.claims import Claims
claim = Claims({folder!r}).take("piece", "counting images 1 to 9 of church")
print(claim is not None, flush=True)
time.sleep(60)
"""


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims")


def files(claims: Claims) -> list[Path]:
    return sorted(claims.folder.iterdir()) if claims.folder.is_dir() else []


def holding(claims: Claims, **environment: str) -> subprocess.Popen[str]:
    """A process that holds the piece until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(folder=str(claims.folder))],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "True\n"
    return process


@pytest.fixture
def other(claims: Claims) -> Iterator[subprocess.Popen[str]]:
    process = holding(claims, RANK="1", WORLD_SIZE="2")
    yield process
    process.kill()
    process.communicate()


# ------------------------------------------------------------------------------------- one process


def test_a_piece_has_one_holder_and_is_free_afterwards(claims: Claims) -> None:
    with claims.take("a", "doing a") or pytest.fail("not taken"):
        assert claims.take("a", "doing a again") is None
        with claims.take("b", "doing b") or pytest.fail("not taken"):
            assert [(h.key, h.about) for h in claims.holders()] == [
                ("a", "doing a"),
                ("b", "doing b"),
            ]
        holder = claims.holder("a")
        assert holder is not None and holder.process == os.getpid() and holder.rank is None
        assert all(is_claim(path) for path in files(claims)) and len(files(claims)) == 1
    assert files(claims) == [] and claims.holders() == [] and claims.holder("a") is None
    for thread in threading.enumerate():
        if thread.name == "heartbeat":
            thread.join(20)
            assert not thread.is_alive()
    with claims.take("a", "") or pytest.fail("not taken"):
        pass


def test_a_claim_goes_when_the_work_fails(claims: Claims) -> None:
    with pytest.raises(KeyboardInterrupt), claims.take("a", "") or pytest.fail("not taken"):
        raise KeyboardInterrupt
    assert files(claims) == []


def test_a_fork_holds_nothing_and_lets_nothing_go(claims: Claims) -> None:
    claim = claims.take("a", "")
    assert claim is not None

    def child() -> None:
        claim.release()
        os._exit(len(heartbeats._heart._files) + 10 * (claims.take("a", "") is not None))

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0 and len(files(claims)) == 1
    claim.release()
    assert files(claims) == []


def test_signs_of_life_touch_the_file_until_it_is_released(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "BEAT", 0.01)
    with claims.take("a", "") or pytest.fail("not taken"):
        (file,) = files(claims)
        os.utime(file, (0, 0))
        deadline = time.monotonic() + 20
        while file.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_released_claim_leaves_that_of_another_alone(claims: Claims) -> None:
    """As after a stop so long that the piece was done, let go, and taken once more."""
    claim = claims.take("a", "")
    assert claim is not None
    (file,) = files(claims)
    file.unlink()
    file.write_bytes(b"another's")
    claim.release()
    assert file.read_bytes() == b"another's"


def test_alone_is_one_process_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with alone(), alone():
        assert (rank(), world(), local_rank(), own_number()) == (0, 1, 1, 3)
        assert Holder.here("", "").rank == 3
    assert (rank(), world()) == (3, 4)


# ------------------------------------------------------------------------------- several processes


def test_a_living_process_keeps_its_piece(
    claims: Claims, other: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert claims.take("piece", "") is None
    holder = claims.holder("piece")
    assert holder is not None and (holder.process, holder.rank) == (other.pid, 1)
    assert str(holder) == f"rank 1 ({os.uname().nodename}, process {other.pid})"
    assert caplog.messages == []


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "zombie"])
def test_the_piece_of_a_dead_process_is_taken_over_and_told_of_once(
    claims: Claims, other: subprocess.Popen[str], reaped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    other.kill()
    if reaped:
        other.wait()
    else:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert claims.holder("piece") is None and claims.holders() == []
    claim = claims.take("piece", "counting anew")
    assert claim is not None and len(files(claims)) == 2
    assert claims.take("piece", "") is None
    holder = claims.holder("piece")
    assert holder is not None and holder.about == "counting anew"
    assert caplog.messages == [
        f"rank 1 ({os.uname().nodename}, process {other.pid}) ended while counting images 1 to 9 "
        "of church; this process does it again"
    ]
    assert caplog.records[0].levelno == logging.WARNING
    claim.release()
    assert files(claims) == []


def test_a_process_number_that_is_used_again_is_another_process(
    claims: Claims, other: subprocess.Popen[str]
) -> None:
    (file,) = files(claims)
    content = json.loads(file.read_bytes())
    content["started"] = str(int(content["started"]) - 1)
    file.write_text(json.dumps(content))
    claim = claims.take("piece", "")
    assert claim is not None
    claim.release()


@pytest.mark.parametrize("content", ["another machine", "nothing", "rubbish"])
def test_of_an_unseen_process_only_silence_counts(
    claims: Claims, monkeypatch: pytest.MonkeyPatch, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    claim = claims.take("piece", "counting")
    assert claim is not None
    (file,) = files(claims)
    about = {**json.loads(file.read_bytes()), "machine": "0" * 16, "host": "far\x1b[31m"}
    texts = {"another machine": json.dumps(about), "nothing": "", "rubbish": "[1"}
    file.write_text(texts[content])
    os.utime(file, (0, 0))  # the time of another machine, far off ours
    now = 1000.0
    monkeypatch.setattr(claims_module.time, "monotonic", lambda: now)
    watching = Claims(claims.folder)
    assert watching.take("piece", "") is None
    now += 59
    assert watching.take("piece", "") is None
    os.utime(file, (1, 1))  # a sign of life
    now += 59
    assert watching.take("piece", "") is None
    now += 59
    assert watching.take("piece", "") is None and caplog.messages == []
    now += 2
    taken = watching.take("piece", "")
    assert taken is not None
    (message,) = caplog.messages
    assert "gave no sign of life for 60 s while" in message and "\x1b" not in message
    taken.release()
    assert files(claims) == []
    claim.release()


def test_a_stopped_process_that_goes_on_disturbs_nobody(
    claims: Claims, other: subprocess.Popen[str]
) -> None:
    other.send_signal(signal.SIGSTOP)
    watching = Claims(claims.folder, patience=0.1)
    assert watching.take("piece", "") is None
    time.sleep(0.2)
    taken = watching.take("piece", "")
    assert taken is not None
    other.send_signal(signal.SIGCONT)
    taken.release()
    assert files(claims) == []


def _racer(folder: Path, start: float, log: Path) -> None:
    """Take the piece as often as one can, and note when it is held."""
    claims = Claims(folder)
    time.sleep(max(0.0, start - time.monotonic()))
    with log.open("a") as held:
        while time.monotonic() < start + 0.5:
            claim = claims.take("piece", "racing")
            if claim is None:
                continue
            begun = time.monotonic_ns()
            time.sleep(0.001)
            held.write(f"{begun} {time.monotonic_ns()}\n")
            claim.release()


def _dead(claims: Claims, depth: int) -> None:
    """Leave a chain of claims of processes that were killed, each of which had followed one."""
    for _ in range(depth):
        process = holding(claims)
        process.kill()
        process.communicate()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_racing_processes_never_hold_a_piece_at_once(
    claims: Claims, tmp_path: Path, depth: int
) -> None:
    _dead(claims, depth)
    assert len(files(claims)) == depth
    start = time.monotonic() + 0.5
    racers: list[BaseProcess] = [
        FORK.Process(target=_racer, args=(claims.folder, start, tmp_path / f"{k}.log"))
        for k in range(6)
    ]
    for process in racers:
        process.start()
    for process in racers:
        process.join(60)
        assert process.exitcode == 0
    lines = [line.split() for log in tmp_path.glob("*.log") for line in log.read_text().split("\n")]
    spans = sorted((int(line[0]), int(line[1])) for line in lines if line)
    assert len(spans) > 5
    assert all(end <= begun for (_, end), (begun, _) in itertools.pairwise(spans))
    assert files(claims) == []


def _first(folder: Path, together: Barrier, log: Path) -> None:
    claims = Claims(folder)
    together.wait(60)
    if claims.take("piece", "racing"):
        log.touch()
    together.wait(60)  # until all have tried: whoever ends gives the piece to the others
    os._exit(0)


def test_of_many_that_see_a_dead_process_exactly_one_takes_over(
    claims: Claims, tmp_path: Path
) -> None:
    for number in range(8):
        for file in files(claims):
            file.unlink()
        _dead(claims, 1)
        together = FORK.Barrier(6)
        racers = [
            FORK.Process(
                target=_first, args=(claims.folder, together, tmp_path / f"{number}.{k}.won")
            )
            for k in range(6)
        ]
        for process in racers:
            process.start()
        for process in racers:
            process.join(60)
        assert len(list(tmp_path.glob(f"{number}.*.won"))) == 1
