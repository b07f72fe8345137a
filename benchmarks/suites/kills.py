"""A suite that is killed at random times and issued again, against an undisturbed one.

Cheap models; workers are forks of a process that has imported everything, so that kills fall into
the work. In each campaign the suite is started with one or two workers, all of them are killed
after a random time, and that goes on until a start gets through. Then

* every file with numbers is compared with those of the undisturbed suite, to the bit (of JSON all
  but keys that end in ``seconds``);
* the record of every step that was done at a kill must still be there as it was: with its time and
  its worker, so that nothing that was finished ran twice.

``--grow`` adds a snapshot to the folder of the training at each kill but the last.
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
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from benchmarks.cheap_models import register_all
from benchmarks.kills import timeless
from seeingkit.__main__ import main as command_line

SUITE = """
n = 300
permutations = 50
sensitivity = "off"
controls = 1

[[data]]
name = "patches"

[[generators]]
name = "plain"
source = "painter"

[[generators]]
name = "bright"
source = "painter"
options = { shade = 0.3 }

[[generators]]
name = "training"
source = "painter"
weights = "snapshots/*.txt"

[inversion]
methods = ["z"]
cuts = ["h4"]
per_class = 1
own = 2
patched = 0
options = { encoder = "none", steps = 15 }
"""
_ASIDE = ("steps", "claims", "site", "slurm")
LONGEST = 600.0  # seconds after which a suite that does not end is a fault


def prepare(folder: Path, snapshots: int) -> None:
    """The file of the suite, and the first snapshots."""
    (folder / "snapshots").mkdir(parents=True)
    (folder / "suite.toml").write_text(SUITE)
    for number in range(1, snapshots + 1):
        add_snapshot(folder, number)


def add_snapshot(folder: Path, number: int) -> None:
    """A snapshot as a training writes it: it appears whole."""
    path = folder / "snapshots" / f"snap-{number:04}.txt"
    path.with_suffix(".tmp").write_text(f"{number / 50}")
    path.with_suffix(".tmp").rename(path)


def _worker(folder: Path) -> None:
    os.chdir(folder)
    os.environ["SEEINGKIT_CACHE"] = str(folder / "cache")
    os.setpgrp()
    torch.set_num_threads(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    sys.argv = ["seeingkit", "suite", "suite.toml", "--out", "run"]
    command_line()


def start(folder: Path) -> BaseProcess:
    """One worker that was started by hand; two of them share the steps."""
    process = multiprocessing.get_context("fork").Process(target=_worker, args=(folder,))
    process.start()
    return process


def done(folder: Path) -> dict[str, bytes]:
    """The records of the steps that are done, by file."""
    found = {}
    for path in (folder / "run" / "steps").glob("*.json"):
        data = path.read_bytes()
        if json.loads(data)["state"] == "done":
            found[path.name] = data
    return found


def content(out: Path) -> dict[str, str]:
    """Hashes of all files with numbers in the folder of a suite; times are left out."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.suffix not in (".json", ".parquet", ".safetensors") or name.startswith(_ASIDE):
            continue
        if path.name in ("manifest.json", "suite.json"):
            continue
        data = path.read_bytes()
        if path.suffix == ".json":
            data = json.dumps(timeless(json.loads(data)), sort_keys=True).encode()
        found[name] = hashlib.sha256(data).hexdigest()
    return found


def campaign(folder: Path, longest: float, draw: random.Random, grow: int) -> tuple[int, int, int]:
    """Kill a suite until it gets through.

    Args:
        grow: snapshots that come one at a time.

    Returns:
        kills, steps that were done at some kill, and how many of these were done again.
    """
    prepare(folder, 3 - grow)
    kills, again, kept = 0, 0, dict[str, bytes]()
    while True:
        workers = [start(folder) for _ in range(draw.choice((1, 2)))]
        until = time.monotonic() + draw.uniform(0.0, longest) * (1 if kills < 8 else 3)
        while time.monotonic() < until and any(worker.is_alive() for worker in workers):
            time.sleep(0.02)
        alive = [worker for worker in workers if worker.is_alive()]
        for worker in alive:
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
        for worker in workers:
            worker.join(LONGEST)
        now = done(folder)
        changed = [name for name, data in kept.items() if now.get(name) != data]
        # The ranking is made again where a cell of it is new.
        again += sum(not json.loads(kept[name])["name"].startswith("ranking") for name in changed)
        kept = now
        if grow:
            add_snapshot(folder, 3 - grow + 1)
            grow -= 1
        elif not alive:
            codes = [worker.exitcode for worker in workers]
            if codes != [0] * len(codes):
                raise SystemExit(f"a suite ended with {codes}")
            return kills, len(kept), again
        kills += bool(alive)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grow", action="store_true", help="snapshots come while it runs")
    args = parser.parse_args()
    register_all()
    torch.set_num_threads(1)
    draw = random.Random(args.seed)
    print("campaign  kills  steps done again  files that differ", flush=True)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        prepare(whole, 3)
        begun = time.perf_counter()
        undisturbed = start(whole)
        undisturbed.join()
        longest, right = time.perf_counter() - begun, content(whole / "run")
        total, number = 0, 0
        while total < args.kills:
            number += 1
            folder = Path(place) / str(number)
            kills, _, again = campaign(folder, longest, draw, 2 if args.grow else 0)
            different = sorted(
                {name for name, _ in content(folder / "run").items() ^ right.items()}
            )
            total += kills
            shown = ", ".join(different[:5]) or "none"
            print(f"{number:8}{kills:7}{again:18}  {shown}", flush=True)
    print(f"{total} kills; {len(right)} files each")


if __name__ == "__main__":
    main()
