"""Commands that are killed at random times and started again, against undisturbed ones.

Four kinds of work on cheap models: ``tally``, ``analyze`` (with inversions and report), ``invert``,
and ``ranks``: a tally by two processes, of which one is killed; the other ends as torchrun ends it,
and three go on. Children are forks of a process that has imported everything, so that kills fall
into the work. Every file that a command leaves is compared to the bit; of JSON, all but keys that
are or end in ``seconds``; the manifest has times of its own and is left out, and so is the report,
which holds them. All times are drawn with ``--seed``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
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
WORDS["ranks"] = WORDS["tally"]
LONGEST = 300.0  # seconds after which a child that does not end is a fault


def _child(folder: Path, words: list[str], place: tuple[int, int]) -> None:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    os.chdir(folder / "work")
    os.environ["SEEINGKIT_CACHE"] = str(folder / "cache")
    os.environ.update(RANK=str(place[0]), WORLD_SIZE=str(place[1]))
    torch.set_num_threads(1)
    counting.CHUNK = 100
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
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


def killed_one_by_one(folder: Path, words: list[str], longest: float, draw: random.Random) -> int:
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


def ranks_killed(folder: Path, words: list[str], longest: float, draw: random.Random) -> int:
    """Two ranks, one killed and the other ended; then three to the end."""
    two = [start(folder, words, (rank, 2)) for rank in range(2)]
    time.sleep(draw.uniform(0.0, longest))
    kills = int(kill(two[draw.randrange(2)]))
    time.sleep(draw.uniform(0.0, 0.2))
    for process in two:
        process.terminate()
        process.join()
    three = [start(folder, words, (rank, 3)) for rank in range(3)]
    for process in three:
        finish(process)
    return kills


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


def compare(name: str, kills: int, seed: int) -> tuple[int, int, int, list[str]]:
    """Kill one kind of work so often.

    Returns:
        campaigns, kills, leftovers of killed writes, and the files that differ.
    """
    draw, words = random.Random(seed), WORDS[name]
    disturb: Callable[..., int] = ranks_killed if name == "ranks" else killed_one_by_one
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
    parser.add_argument("--kills", type=int, default=25, help="of each kind of work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(WORDS), action="append")
    args = parser.parse_args()
    register_all()
    torch.set_num_threads(1)
    print("work      campaigns  kills  leftovers  files that differ")
    for name in args.only or WORDS:
        campaigns, kills, left, different = compare(name, args.kills, args.seed)
        shown = ", ".join(different[:5]) or "none"
        print(f"{name:10}{campaigns:9}{kills:7}{left:11}  {shown}", flush=True)


if __name__ == "__main__":
    main()
