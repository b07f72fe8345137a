"""Files appear whole, only in place of regular files, and leftovers of killed writes are known."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from seeingkit.errors import RunError
from seeingkit.system.seals import BLANK, BrokenSealError, check_seal, is_sealed, seal, set_aside
from seeingkit.system.writing import is_abandoned, is_temporary, write_text


@pytest.mark.parametrize("kind", ["folder", "fifo", "link to a fifo", "link to nothing"])
def test_only_regular_files_are_replaced(tmp_path: Path, kind: str) -> None:
    target, fifo = tmp_path / "target", tmp_path / "fifo"
    os.mkfifo(fifo)
    if kind == "folder":
        target.mkdir()
    elif kind == "fifo":
        target = fifo
    else:
        target.symlink_to(fifo if "fifo" in kind else tmp_path / "nothing")
    before = os.lstat(target)
    with pytest.raises(RunError, match=f"{target.name}: is a (folder|pipe or socket|link)"):
        write_text(target, "new")
    assert os.lstat(target) == before and not list(tmp_path.glob(".*.tmp"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root makes devices")
def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    import stat

    device = tmp_path / "null"
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no devices may be made here")
    with pytest.raises(RunError, match="null: is a device, which is never replaced"):
        write_text(device, "new")
    assert stat.S_ISCHR(device.stat().st_mode)


def test_the_leftover_of_a_killed_write_is_recognised(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from seeingkit.system.writing import atomic_write
        with atomic_write(Path(sys.argv[1])) as stream:
            stream.write(b"half")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    words = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "a.parquet")]
    assert subprocess.run(words, check=False).returncode < 0
    (left,) = tmp_path.iterdir()
    assert is_temporary(left) and is_abandoned(left)
    mine = left.with_name(left.name.replace(left.name.split(".")[-4], str(os.getpid())))
    left.rename(mine)
    assert is_temporary(mine) and not is_abandoned(mine)  # its process lives
    os.utime(mine, (time.time() - 7200,) * 2)
    assert is_abandoned(mine)
    elsewhere = tmp_path / ".a.parquet.another-host.1.2.tmp"
    elsewhere.write_text("")
    assert is_temporary(elsewhere) and not is_abandoned(elsewhere)
    for name in ("notes.tmp", ".a.tmp", ".a.parquet.host.x.2.tmp"):
        assert not is_temporary(tmp_path / name) and not is_abandoned(tmp_path / name)


def test_a_seal_covers_every_byte() -> None:
    data = seal(f"before {BLANK} after".encode())
    check_seal(data)
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(BrokenSealError):
            check_seal(bytes(damaged))
    for wrong in (b"none", f"{BLANK} {BLANK}".encode()):
        with pytest.raises(ValueError, match="once"):
            seal(wrong)
    assert is_sealed(data) and not is_sealed(b"none")
    with pytest.raises(BrokenSealError, match="no digest"):
        check_seal(data + data)


def test_a_file_that_another_process_set_aside_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert set_aside(tmp_path / "a", "damaged").read_text() == "x"
    assert set_aside(tmp_path / "a", "damaged").read_text() == "x"
