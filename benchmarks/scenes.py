"""Kernel distance, neighbourhoods and coverage of two tallies of n x 336, on one thread.

Targets: kernel and scenes under 10 s at n = 10,000; at n = 50,000, where neighbourhoods are those
of 10,000 images a side, the kernel under 30 s. The baseline of the kernel is the same U-statistic
from the matrices of all pairs, in the same run, at a size where these fit.
"""

# ruff: noqa: E402  (thread counts are read at import)

from __future__ import annotations

import argparse
import os
import resource
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
from comparison import rows
from interleaved import interleave, ratio, show

from seeingkit import Tally
from seeingkit.statistics.kernel import kernel_distance
from seeingkit.statistics.neighbourhoods import neighbourhoods
from seeingkit.statistics.scenes import scenes

PAIRS = 2_000


def all_pairs(a: np.ndarray, b: np.ndarray) -> float:
    """MMD² of square roots of fractions with (1 + x·y)², from three matrices of kernels."""
    x, y = np.sqrt(a), np.sqrt(b)
    within = 0.0
    for side in (x, y):
        kernel = (1 + side @ side.T) ** 2
        within += (kernel.sum() - np.trace(kernel)) / (len(side) * (len(side) - 1))
    return float(within - 2 * ((1 + x @ y.T) ** 2).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 50_000])
    args = parser.parse_args()
    a, b = rows(PAIRS, 0), rows(PAIRS, 1)
    sides = [Tally.from_fractions(side).sparse_percent(0) for side in (a, b)]
    seconds = interleave(
        {"moments": lambda: kernel_distance(*sides), "all pairs": lambda: all_pairs(a, b)}, 5
    )
    show(seconds, f"kernel distance of {PAIRS}", 1)
    print(f"moments: {ratio(seconds, 'moments', 'all pairs'):.1f} times as fast as all pairs")
    for n in args.n:
        real, generated = (Tally.from_fractions(rows(n, seed)) for seed in (0, 1))
        times = [time.process_time()]
        kernel = kernel_distance(real.sparse_percent(0), generated.sparse_percent(0))
        times.append(time.process_time())
        around = neighbourhoods(real, generated)
        times.append(time.process_time())
        found = scenes(real, generated, around=around)
        times.append(time.process_time())
        assert found is not None and kernel is not None
        steps = ", ".join(
            f"{name} {times[i + 1] - times[i]:.2f} s"
            for i, name in enumerate(("kernel", "neighbourhoods", "scenes from these"))
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"n = {n}, processor time: {steps}; coverage {found.coverage:.4f} (expected "
            f"{found.coverage_expected:.4f}), kernel {kernel.value:.1e} ± "
            f"{kernel.standard_error:.1e}; peak {memory:.2f} GB"
        )


if __name__ == "__main__":
    main()
