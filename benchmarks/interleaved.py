"""Times several functions in turn, so that whatever slows the machine slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleave(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each case in each round, after one round of warming up."""
    for case in cases.values():
        case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def show(seconds: Mapping[str, list[float]], unit: str, amount: float) -> None:
    """Median rate of each case, and its spread."""
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(
            f"{name:34} {amount / middle:9.2f} {unit}/s   median {middle:.3f} s, "
            f"{min(values):.3f} to {max(values):.3f}"
        )


def ratio(seconds: Mapping[str, list[float]], fast: str, slow: str) -> float:
    """Median over rounds of time(slow) / time(fast): how many times faster ``fast`` is."""
    return statistics.median(b / a for a, b in zip(seconds[fast], seconds[slow], strict=True))
