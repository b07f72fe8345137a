"""Commands that are killed at random times and started again, against undisturbed ones.

Work on cheap models: ``tally``, ``analyze`` (with inversions and report) and ``invert``, each in
three ways. *Alone*: one process, killed until it gets through. ``ranks``: two processes of one run,
of which one is killed; the other ends as torchrun ends it, and three go on. ``survivor``: one
of two is killed, and nobody ends the other, which must do all the work, name the dead one if it had
begun something, and end with success. ``torchrun``: as ``ranks``, by torchrun
itself, whose own process ends the rest.

Children are forks of a process that has imported everything, so that kills fall into the work; only
those of torchrun are new. Every file that a command leaves is compared to the bit; of JSON, all but
keys that are or end in ``seconds``; the manifest has times of its own and is left out, and so is
the report, which holds them. All times are drawn with ``--seed``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from benchmarks.cheap_models import register_all
from seeingkit.__main__ import main as command_line
from seeingkit.tallies import counting

MODELS = ["--segmenter", "levels"]
INVERSION = ["--encoder", "none", "--cut", "h4", "--inverter-option", "steps=15"]
WORDS = {
    "tally": ["tally", "painter", "--n", "2400", "--preset", "native", "--out", "t.parquet"],
    "analyze": [
        *("analyze", "--gan", "painter", "--data", "patches", "--n", "200", "--out", "run"),
        *("--permutations", "100", "--method", "z", "--own", "2", "--per-class", "1", *INVERSION),
    ],
    "invert": [
        *("invert", "patches", "--gan", "painter", "--n", "5", "--own", "3", "--out", "run"),
        *("--method", "z", *INVERSION),
    ],
}
WAYS = ("alone", "ranks", "survivor", "torchrun")
LONGEST = 300.0  # seconds after which a child that does not end is a fault


def _child(folder: Path, words: list[str], place: tuple[int, int]) -> None:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    os.chdir(folder / "work")
    os.environ["SEEINGKIT_CACHE"] = str(folder / "cache")
    os.environ.update(RANK=str(place[0]), WORLD_SIZE=str(place[1]))
    torch.set_num_threads(1)
    counting.CHUNK = 100
    with (folder / f"{os.getpid()}.output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = ["seeingkit", *words, *MODELS]
    command_line()


def start(folder: Path, words: list[str], place: tuple[int, int] = (0, 1)) -> BaseProcess:
    """A process that runs a command with its work and its cache in a folder."""
    process = multiprocessing.get_context("fork").Process(
        target=_child, args=(folder, words, place)
    )
    process.start()
    return process


def finish(process: BaseProcess) -> None:
    """Wait for a process that is to succeed (exit code 0, or 3: images were skipped)."""
    process.join(LONGEST)
    if process.exitcode not in (0, 3):
        raise SystemExit(f"a command ended with {process.exitcode}")


def kill(process: BaseProcess) -> bool:
    """Whether the process still lived to be killed."""
    alive = process.is_alive()
    assert process.pid is not None
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive


def alone(folder: Path, words: list[str], longest: float, draw: random.Random) -> int:
    """Kill a command at random times until it gets through; how often it was killed."""
    kills = 0
    while True:
        process = start(folder, words)
        process.join(draw.uniform(0.0, longest) * (1 if kills < 6 else 2))
        if not kill(process):
            if process.exitcode not in (0, 3):
                raise SystemExit(f"a command ended with {process.exitcode}")
            return kills
        kills += 1


def ranks(folder: Path, words: list[str], longest: float, draw: random.Random) -> int:
    """Two ranks, one killed and the other ended; then three to the end."""
    two = [start(folder, words, (rank, 2)) for rank in range(2)]
    time.sleep(draw.uniform(0.0, longest))
    kills = int(kill(two[draw.randrange(2)]))
    time.sleep(draw.uniform(0.0, 0.2))
    for process in two:
        process.terminate()
        process.join()
    _three(folder, words)
    return kills


def _three(folder: Path, words: list[str]) -> None:
    three = [start(folder, words, (rank, 3)) for rank in range(3)]
    for process in three:
        finish(process)


def survivor(folder: Path, words: list[str], longest: float, draw: random.Random) -> int:
    """Two ranks, one killed; the other to the end. What rank 0 writes is then asked for again."""
    two = [start(folder, words, (rank, 2)) for rank in range(2)]
    time.sleep(draw.uniform(0.0, longest))
    victim = draw.randrange(2)
    pid, kills = two[victim].pid, int(kill(two[victim]))
    begun = [json.loads(path.read_bytes())["process"] for path in folder.rglob("*.claim")]
    other = two[1 - victim]
    finish(other)
    output = (folder / f"{other.pid}.output").read_text()
    if pid in begun and f"rank {victim} (" not in output:
        raise SystemExit(f"rank {victim} was not named: {output}")
    if list(folder.rglob("*.claim")):
        raise SystemExit("claims were left")
    if victim == 0:  # which alone writes what was asked for
        finish(start(folder, words))
    return kills


def torchrun(folder: Path, words: list[str], longest: float, draw: random.Random) -> int:
    """torchrun of two, of which one is killed; its own process ends the other. Then of three."""
    first = _torchrun(folder, words, 2)
    time.sleep(draw.uniform(0.0, 1.5 * longest + 6.0))  # it also imports what it needs
    workers = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _is_worker(p, first.pid)]
    if workers:
        with suppress(ProcessLookupError):
            os.kill(draw.choice(workers), signal.SIGKILL)
    first.wait(LONGEST)
    if _torchrun(folder, words, 3).wait(LONGEST):
        raise SystemExit("torchrun of three failed")
    return int(bool(workers))


def _torchrun(folder: Path, words: list[str], processes: int) -> subprocess.Popen[bytes]:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "SEEINGKIT_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    with (folder / f"torchrun-{processes}.output").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command, "-m", "benchmarks.kills", "--", *words, *MODELS],
            cwd=folder / "work",
            env=environment,
            stdout=output,
            stderr=output,
        )


def _is_worker(process: Path, parent: int) -> bool:
    with suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent
    return False


def content(folder: Path) -> dict[str, str]:
    """Hashes of all that a command left in its working folder."""
    found = {}
    for path in sorted((folder / "work").rglob("*")):
        if path.is_dir() or path.name in ("manifest.json", "report.html"):
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            data = json.dumps(timeless(json.loads(data)), sort_keys=True).encode()
        found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def timeless(value: Any) -> Any:
    """Content of a JSON file without its times."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not k.endswith("seconds")}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def compare(work: str, way: str, kills: int, seed: int) -> tuple[int, int, int, list[str]]:
    """Kill one kind of work in one way so often.

    Returns:
        campaigns, kills, leftovers of killed writes, and the files that differ.
    """
    draw, words = random.Random(seed), WORDS[work]
    disturb: Callable[..., int] = globals()[way]
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        started = time.perf_counter()
        finish(start(whole, words))
        longest, right = time.perf_counter() - started, content(whole)
        done, campaigns, left, different = 0, 0, 0, []
        while done < kills:
            folder = Path(place) / str(campaigns)
            done += disturb(folder, words, longest, draw)
            mine = {n: h for n, h in content(folder).items() if not n.endswith(".tmp")}
            different += sorted({n for n, _ in mine.items() ^ right.items()})
            left += len(list(folder.rglob("*.tmp")))
            campaigns += 1
    return campaigns, done, left, different


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25, help="of each kind of work, each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(WORDS), action="append", help="kinds of work")
    parser.add_argument("--way", choices=WAYS, action="append")
    args = parser.parse_args()
    register_all()
    torch.set_num_threads(1)
    print("work      way        campaigns  kills  leftovers  files that differ")
    for work in args.only or WORDS:
        for way in args.way or WAYS:
            campaigns, kills, left, different = compare(work, way, args.kills, args.seed)
            shown = ", ".join(different[:5]) or "none"
            print(f"{work:10}{way:10}{campaigns:10}{kills:7}{left:11}  {shown}", flush=True)


if __name__ == "__main__":
    if "TORCHELASTIC_RUN_ID" in os.environ:  # a process of torchrun: the command on cheap models
        register_all()
        counting.CHUNK = 100
        sys.argv = [argument for argument in sys.argv if argument != "--"]
        command_line()
    else:
        main()
