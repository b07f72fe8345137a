"""Neighbourhoods, coverage and the test of compositions of two tallies of n x 336, on one thread.

Target: all under 10 s at n = 10,000. Neighbourhoods are those of 10,000 images a side at most, and
the test takes 2,000 of them, so larger n cost little more.
"""

# ruff: noqa: E402  (thread counts are read at import)

from __future__ import annotations

import argparse
import os
import resource
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from comparison import rows

from seeingkit import Tally
from seeingkit.statistics.compositions import composition_test
from seeingkit.statistics.neighbourhoods import neighbourhoods
from seeingkit.statistics.scenes import scenes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 50_000])
    args = parser.parse_args()
    for n in args.n:
        real, generated = (Tally.from_fractions(rows(n, seed)) for seed in (0, 1))
        times = [time.process_time()]
        test = composition_test(real.sparse_percent(0), generated.sparse_percent(0))
        times.append(time.process_time())
        around = neighbourhoods(real, generated)
        times.append(time.process_time())
        found = scenes(real, generated, around=around)
        times.append(time.process_time())
        assert found is not None and test is not None
        steps = ", ".join(
            f"{name} {times[i + 1] - times[i]:.2f} s"
            for i, name in enumerate(("test", "neighbourhoods", "scenes from these, with the test"))
        )
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"n = {n}, processor time: {steps}; coverage {found.coverage:.4f} (expected "
            f"{found.coverage_expected:.4f}), p {test.p_value:.3g}; peak {memory:.2f} GB"
        )


if __name__ == "__main__":
    main()
