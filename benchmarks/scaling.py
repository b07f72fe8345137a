"""Two processes with one thread each against one process with one thread, on the same tally.

Target: efficiency at 2 processes at least 0.9 (two cores, nothing else running).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

from interleaved import interleave, ratio, show

CODE = """
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

    def run(world: int, n: int) -> None:
        with tempfile.TemporaryDirectory() as store:
            env = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(world)}
            code = CODE.format(n=n, store=store)
            started = [
                subprocess.Popen([sys.executable, "-c", code], env={**env, "RANK": str(rank)})
                for rank in range(world)
            ]
            for process in started:
                if process.wait():
                    raise SystemExit("a process failed")

    # Twice the images on twice the processes: equal times mean an efficiency of 1.
    seconds = interleave(
        {"1 process": lambda: run(1, args.n), "2 processes, 2 n": lambda: run(2, 2 * args.n)},
        args.rounds,
    )
    show(seconds, "x n images", 1)
    print(f"efficiency: {1 / ratio(seconds, '1 process', '2 processes, 2 n'):.2f} (target 0.9)")


if __name__ == "__main__":
    main()
