"""Two processes on two cores against one process on one core, on the same tally.

Target: efficiency at 2 processes at least 0.95 (two cores, nothing else running). A process with
one thread still reads ahead in another one, so it is kept to one core (Linux; elsewhere it is not,
and the efficiency seems less than it is: shown as "1 process, free"). Beside it two processes that
know nothing of each other and share nothing but the machine: what those lose, the cores lose, and
what more is lost is lost by sharing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

from interleaved import interleave, ratio, show

ONE, FREE = "1 process, 1 core", "1 process, free"
TWO, STRANGERS = "2 processes, 2 n", "2 strangers, n each"
TARGET = 0.95
CODE = """
import os
if {pinned} and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
import torch; torch.set_num_threads(1)
from seeingkit import load_segmenter, open_images, tally
from seeingkit.tallies import counting
counting.CHUNK = 64
source = open_images("minichurches").first({n})
tally(source, load_segmenter("upernet:minichurches"), store={store!r})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    def run(n: int, world: int = 1, strangers: int = 1, pinned: bool = False) -> None:
        """Tallies of n images by ``world`` processes together, each ``strangers`` times at once."""
        with tempfile.TemporaryDirectory() as folder:
            started = []
            for stranger in range(strangers):
                code = CODE.format(n=n, store=f"{folder}/{stranger}", pinned=pinned)
                for rank in range(world):
                    own = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": str(world), "RANK": str(rank)}
                    words = [sys.executable, "-c", code]
                    started.append(subprocess.Popen(words, env={**os.environ, **own}))
            codes = [process.wait() for process in started]
            if any(codes):
                raise SystemExit("a process failed")

    # Twice the images on twice the processes: equal times mean an efficiency of 1.
    cases = {
        ONE: lambda: run(args.n, pinned=True),
        FREE: lambda: run(args.n),
        TWO: lambda: run(2 * args.n, world=2),
        STRANGERS: lambda: run(args.n, strangers=2),
    }
    seconds = interleave(cases, args.rounds)
    show(seconds, "x n images", 1)
    for name in (TWO, STRANGERS):
        print(f"efficiency, {name}: {1 / ratio(seconds, ONE, name):.2f} (target {TARGET})")
    print(f"efficiency, {TWO}, against {FREE}: {1 / ratio(seconds, FREE, TWO):.2f}")
    print(f"sharing: {1 / ratio(seconds, STRANGERS, TWO):.2f} of strangers")


if __name__ == "__main__":
    main()
