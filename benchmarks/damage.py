"""What happens to stored work that is damaged, exchanged, short or stale.

Every case spoils a file that a run left behind, runs again as anyone would, and compares. Outcomes:
``found`` (a warning names the file, and the numbers are right), ``refused`` (an error of ours),
``silent`` (no word, wrong numbers), ``unnoticed`` (no word, right numbers), ``wrong`` (a word, and
wrong numbers), ``crashed`` (the interpreter ended). All cases are made of ``--seed``.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.cheap_models import Levels, Patches, painter
from seeingkit import tally
from seeingkit.analyses.inversion import load_inverter
from seeingkit.analyses.inversion.photos import invert_source
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.errors import SeeingkitError
from seeingkit.tallies import counting
from seeingkit.tallies.chunks import write_table

IMAGES, PHOTOS = 60, 2
OUTCOMES = ("found", "refused", "unnoticed", "silent", "wrong", "crashed")

Spoil = Callable[[Path, random.Random], None]


@dataclass(frozen=True)
class Work:
    """Stored work: how it is made (or read again), and what it gives.

    Attributes:
        run: makes or reads it in a folder; gives its numbers as bytes.
        suffix: of its files.
    """

    run: Callable[[Path], bytes]
    suffix: str


def tallied(folder: Path) -> bytes:
    """The numbers of a tally of three chunks, through ``tally``."""
    counting.CHUNK = IMAGES // 3
    found = tally(Patches(IMAGES), Levels(), store=folder)
    counts = found.counts.toarray().astype(np.int64)
    return repr((found.ids, found.pixels.tolist(), counts.tolist())).encode()


def inverted(folder: Path) -> bytes:
    """The numbers of inversions, through ``invert_source``, rounded: batches round otherwise."""
    inverter = load_inverter("z", perceptual="none", encoder="none", cut="h4", steps=3)
    found = invert_source(
        painter(), Patches(PHOTOS), inverter, store=InversionStore(folder), batch_size=1
    )
    tensors = []
    for one in found.inversions:
        assert one.z is not None
        tensors += [one.images, one.reconstruction, one.initial, one.state.x, one.z, one.loss]
    return b"".join(torch.round(t.double(), decimals=4).numpy().tobytes() for t in tensors)


TALLY, INVERSION = Work(tallied, ".parquet"), Work(inverted, ".safetensors")


# ---------------------------------------------------------------------------------------- damage


def flip(path: Path, draw: random.Random) -> None:
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    place = draw.randrange(8 * len(data))
    data[place // 8] ^= 1 << place % 8
    path.write_bytes(data)


def truncate(path: Path, draw: random.Random) -> None:
    """Keep a beginning of it."""
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data))])


def exchange(path: Path, draw: random.Random) -> None:
    """Put another file of the same folder, or of another source's, in its place."""
    others = [p for p in path.parents[1].rglob(f"*{path.suffix}") if p != path]
    if path.suffix == ".parquet":
        with tempfile.TemporaryDirectory() as folder:
            counting.CHUNK = IMAGES // 3
            tally(Patches(IMAGES, "other"), Levels(), store=folder)
            others += sorted(Path(folder).rglob("*.parquet"))
            shutil.copy(draw.choice(others), path)
    else:
        shutil.copy(draw.choice(others), path)


def shorten(path: Path, draw: random.Random) -> None:
    """A whole file, with a right digest, of fewer rows."""
    table = pq.read_table(path)
    metadata = {k: v for k, v in table.schema.metadata.items() if k != b"digest"}
    kept = table.slice(0, draw.randrange(table.num_rows))
    write_table(path, kept.replace_schema_metadata(metadata))


def falsify(path: Path, draw: random.Random) -> None:
    """A whole file, with a right digest, of which a row has a label outside the vocabulary."""
    table = pq.read_table(path)
    metadata = {k: v for k, v in table.schema.metadata.items() if k != b"digest"}
    rows = table.to_pylist()
    rows[draw.randrange(len(rows))]["labels"][0] = draw.choice([-1, 25, 10**6, 2**31 - 1])
    spoiled = type(table).from_pylist(rows, schema=table.schema)
    write_table(path, spoiled.replace_schema_metadata(metadata))


CASES: list[tuple[str, Work, Spoil, int]] = [
    ("chunk: one bit flipped", TALLY, flip, 1000),
    ("chunk: truncated", TALLY, truncate, 60),
    ("chunk: another's in its place", TALLY, exchange, 60),
    ("chunk: fewer rows", TALLY, shorten, 60),
    ("chunk: a label outside the vocabulary", TALLY, falsify, 60),
    ("inversion: one bit flipped", INVERSION, flip, 300),
    ("inversion: truncated", INVERSION, truncate, 40),
    ("inversion: another's in its place", INVERSION, exchange, 40),
]


# ------------------------------------------------------------------------------------- outcomes


class _Heard(logging.Handler):
    """Keeps the warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


def one_case(work: Work, spoil: Spoil, whole: Path, right: bytes, draw: random.Random) -> str:
    """The outcome of one damaged file."""
    heard = _Heard()
    logger = logging.getLogger("seeingkit")
    logger.addHandler(heard)
    logger.propagate = False
    try:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "store"
            shutil.copytree(whole, folder)
            path = draw.choice(sorted(folder.rglob(f"*{work.suffix}")))
            before = path.read_bytes()
            spoil(path, draw)
            if path.read_bytes() == before:
                return "found"  # an exchange with itself
            try:
                same = work.run(folder) == right
            except SeeingkitError:
                return "refused"
            named = any(str(path) in line for line in heard.lines)
            if named:
                return "found" if same else "wrong"
            return "unnoticed" if same else "silent"
    finally:
        logger.removeHandler(heard)


def _worker(
    pipe: Connection, work: Work, spoil: Spoil, whole: Path, right: bytes, seeds: list[int]
) -> None:
    torch.set_num_threads(1)
    for seed in seeds:
        pipe.send(one_case(work, spoil, whole, right, random.Random(seed)))
    pipe.close()


def outcomes(work: Work, spoil: Spoil, number: int, seed: int) -> Iterator[str]:
    """The outcomes of some damaged files, each in a process that may end."""
    seeds = [seed * 1_000_003 + k for k in range(number)]
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        right = work.run(whole)
        while seeds:
            mine, theirs = multiprocessing.Pipe(duplex=False)
            process = multiprocessing.get_context("fork").Process(
                target=_worker, args=(theirs, work, spoil, whole, right, seeds)
            )
            process.start()
            theirs.close()
            try:
                while seeds:
                    yield mine.recv()
                    seeds = seeds[1:]
            except EOFError:
                yield "crashed"
                seeds = seeds[1:]
            process.join()


def stale() -> str:
    """The outcome of work that another version of the code left behind."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tallied(folder)
        counting.CHUNK = IMAGES // 3
        newer = Levels()
        newer.info = newer.info.model_copy(update={"code": "2-0123456789ab"})
        before = len(list(folder.rglob("*.parquet")))
        tally(Patches(IMAGES), newer, store=folder)
        return "found" if len(list(folder.rglob("*.parquet"))) == 2 * before else "silent"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers of files")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'damage':40}{'files':>6}" + "".join(f"{name:>11}" for name in OUTCOMES))
    for name, work, spoil, number in CASES:
        files = max(1, round(number * args.share))
        found = Counter(outcomes(work, spoil, files, args.seed))
        cells = "".join(f"{found[outcome]:11}" for outcome in OUTCOMES)
        print(f"{name:40}{files:6}{cells}", flush=True)
    print(f"{'chunk: of another version of the code':40}{1:6}  {stale()}")


if __name__ == "__main__":
    main()
