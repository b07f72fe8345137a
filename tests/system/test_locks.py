"""Locks between processes: one holds, the others wait, the dead let go."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seeingkit.system.locks import lock_for

_HOLD = """
import sys
from pathlib import Path
from seeingkit.system.locks import lock_for
with lock_for(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def holder(tmp_path: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``g.pth``."""
    words = [sys.executable, "-c", _HOLD, str(tmp_path / "g.pth")]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_lies_in_the_cache_and_a_free_one_is_not_waited_for(
    tmp_path: Path, cache: Path
) -> None:
    told: list[bool] = []
    for _ in range(2):
        with lock_for(tmp_path / "g.pth", lambda: told.append(True)):
            assert len(list((cache / "locks").iterdir())) == 1
    assert told == []
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("end", ["let go", "killed"])
def test_another_process_is_waited_for_and_said_once(
    tmp_path: Path, holder: subprocess.Popen[str], end: str
) -> None:
    told: list[bool] = []

    def finish() -> None:
        if end == "killed":
            holder.kill()
        else:
            assert holder.stdin is not None
            holder.stdin.close()

    timer = threading.Timer(0.4, finish)  # several looks later

    def waiting() -> None:
        told.append(True)
        timer.start()

    with lock_for(tmp_path / "g.pth", waiting):
        assert told == [True]
    timer.join()
    with lock_for(tmp_path / "other.pth", waiting):  # a lock of its own
        assert told == [True]


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_goes_on_without(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    import fcntl

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    done: list[bool] = []
    with lock_for(tmp_path / "g.pth", lambda: pytest.fail("nobody holds it")):
        done.append(True)
    assert done == [True]


def test_a_cache_folder_that_cannot_be_made_is_an_error(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(OSError), lock_for(tmp_path / "g.pth", lambda: None):
        pytest.fail("there is no lock")


def test_errors_of_the_work_come_through_and_let_go(tmp_path: Path, cache: Path) -> None:
    for code in (errno.ENOSYS, errno.ENOSPC):  # the first would mean a file system without locks
        with pytest.raises(OSError) as caught, lock_for(tmp_path / "g.pth", lambda: None):
            raise OSError(code, "in the work")
        assert caught.value.errno == code
    with lock_for(tmp_path / "g.pth", lambda: pytest.fail("still held")):
        pass
