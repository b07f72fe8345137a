"""How often an encoder that knows nothing of z passes as the generator's own, and a weak one not.

``python benchmarks/strangers.py``: rates of the test of
``seeingkit.analyses.inversion.encoders.given.relation`` under its null, with estimates of any
scale, correlation, tail and mean, and its power where each number of the estimates is correlated
with z as little as stated.
"""

from __future__ import annotations

import numpy as np

from seeingkit.analyses.inversion.encoders.given import LEVEL, SAMPLES, relation

LENGTH = 20


def strange(stream: np.random.RandomState, rows: int, length: int) -> np.ndarray:
    """Estimates that are not of z: mixed, of scales from 0.001 to 1,000, half of them cubed."""
    mixed = stream.randn(rows, length) @ stream.randn(length, length)
    mixed *= 10.0 ** stream.randint(-3, 4, length)
    return np.abs(mixed) ** 3 if stream.rand() < 0.5 else mixed + 100 * stream.randn(length)


def main() -> None:
    """Print both."""
    stream = np.random.RandomState(0)
    for rows, length, runs in ((16, 4, 1500), (SAMPLES, LENGTH, 3000)):
        found = np.array(
            [
                relation(stream.randn(rows, length), strange(stream, rows, length))
                for _ in range(runs)
            ]
        )
        said = ", ".join(f"{(found <= level).mean():.2%} at {level:.0%}" for level in (0.05, LEVEL))
        print(f"{runs:,} strangers, {rows} samples of {length} numbers: {said}")
    for share in (0.05, 0.1, 0.2):
        hits = 0
        for _ in range(300):
            z = stream.randn(SAMPLES, LENGTH)
            hits += relation(z, share * z + stream.randn(SAMPLES, LENGTH)) <= LEVEL
        correlation = share / (1 + share**2) ** 0.5
        print(
            f"correlation {correlation:.2f} in each of {LENGTH} numbers: seen in {hits / 300:.0%}"
        )


if __name__ == "__main__":
    main()
