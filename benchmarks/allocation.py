"""What ``keep_memory`` saves: CPU seconds of passes with and without it, in fresh processes.

Each round starts one process with it and one without; the medians of the rounds are printed, and
how often a page had to be cleared. glibc only.

    python benchmarks/allocation.py --rounds 5
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from seeingkit import load_generator, load_segmenter
from seeingkit.contracts import Generator
from seeingkit.system.allocation import keep_memory

BATCH, REPEATS = 16, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", choices=("kept", "usual"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(measured(kept=args.inside == "kept")))
        return
    found: dict[str, list[dict[str, list[float]]]] = {"usual": [], "kept": []}
    for _ in range(args.rounds):
        for how, rounds in found.items():
            command = [sys.executable, __file__, "--inside", how]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rounds.append(json.loads(out))
    for stage in found["usual"][0]:
        usual, kept = (
            [statistics.median(r[stage][k] for r in rounds) for k in (0, 1)]
            for rounds in found.values()
        )
        print(
            f"{stage:24} {usual[0] * 1000:6.1f} ms, {usual[1]:,.0f} pages; kept "
            f"{kept[0] * 1000:6.1f} ms, {kept[1]:,.0f} pages: {usual[0] / kept[0]:.2f}"
        )


def measured(*, kept: bool) -> dict[str, list[float]]:
    """CPU seconds and cleared pages of a pass, for each stage."""
    torch.set_num_threads(1)
    if kept and not keep_memory():
        raise SystemExit("this machine has no glibc, or its environment sets MALLOC_…")
    generator = load_generator("progan:minichurches")
    segmenter = load_segmenter("upernet:minichurches")
    assert isinstance(generator, Generator)
    images = torch.rand(BATCH, 3, 64, 64) * 2 - 1
    state = generator.advance(generator.begin(generator.latents(range(4))), generator.default_cut)
    r = state.x.detach().requires_grad_()

    def step() -> None:
        generator.advance(state.with_x(r)).x.sum().backward()

    stages = {
        "segment 16 images": torch.no_grad()(lambda: segmenter.statistics(images)),
        "generate 16 images": torch.no_grad()(lambda: generator(generator.latents(range(BATCH)))),
        "a step of 4 inversions": step,
    }
    found = {}
    for name, work in stages.items():
        work()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
        for _ in range(REPEATS):
            work()
        seconds = (time.process_time() - started) / REPEATS
        pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before.ru_minflt
        found[name] = [seconds, pages / REPEATS]
    return found


if __name__ == "__main__":
    main()
