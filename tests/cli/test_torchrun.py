"""The command line under torchrun: as one process to the bit, also where a process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from benchmarks.cheap_models import register_all
from seeingkit.__main__ import main
from seeingkit.tallies import counting

register_all()
counting.CHUNK = 100
main()
"""
WORDS = ["tally", "painter", "--segmenter", "levels", "--preset", "native", "--n", "2400"]

pytestmark = pytest.mark.slow


def torchrun(folder: Path, processes: int, *words: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*program, "--nproc-per-node", str(processes), *words],
        cwd=folder,
        env={**os.environ, "SEEINGKIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def script(folder: Path) -> str:
    path = folder / "script.py"
    path.write_text(SCRIPT)
    return str(path)


def chunks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "cache").rglob("*.parquet")}


def alone(folder: Path, *words: str) -> bytes:
    """The tally that one process writes."""
    folder.mkdir()
    environment = {**os.environ, "SEEINGKIT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words, "--out", "t.parquet"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return (folder / "t.parquet").read_bytes()


@pytest.mark.parametrize(
    "words",
    [("--", "tally", "minichurches", "--n", "30"), ("tally", "minichurches", "-n", "30")],
    ids=["--n", "-n"],
)
def test_two_processes_give_the_tally_of_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    expected = alone(tmp_path / "one", "-m", "seeingkit", *words)
    two = torchrun(tmp_path / "two", 2, "-m", "seeingkit", *words, "--out", "t.parquet")
    out, err = two.communicate(timeout=300)
    assert two.returncode == 0, err
    assert out.count("minichurches") <= 1  # rank 0 alone prints
    assert (tmp_path / "two" / "t.parquet").read_bytes() == expected
    assert chunks(tmp_path / "two") == chunks(tmp_path / "one")


def test_one_of_two_is_killed_and_three_go_on(tmp_path: Path) -> None:
    expected = alone(tmp_path / "one", script(tmp_path), *WORDS)
    folder = tmp_path / "many"
    two = torchrun(folder, 2, script(tmp_path), "--", *WORDS, "--out", "t.parquet")
    deadline = time.monotonic() + 200
    while not (claims := list((folder / "cache").rglob("*.claim"))) or len(chunks(folder)) < 4:
        assert time.monotonic() < deadline and two.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{two.pid}/task/{two.pid}/children").read_text().split()
    assert len(claims) > 0 and len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    two.communicate(timeout=200)
    done = chunks(folder)
    assert two.returncode != 0 and len(done) < 24  # torchrun has ended the other one
    three = torchrun(folder, 3, script(tmp_path), "--", *WORDS, "--out", "t.parquet")
    _, err = three.communicate(timeout=300)
    assert three.returncode == 0, err
    assert (folder / "t.parquet").read_bytes() == expected
    assert chunks(folder) == chunks(tmp_path / "one") and done.items() <= chunks(folder).items()
    assert not list(folder.rglob("*.claim"))
