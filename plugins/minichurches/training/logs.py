"""Thins the logs of training runs for shipping: every part once, at most ``LINES`` lines."""

from __future__ import annotations

import json
from pathlib import Path

LINES = 300


def thinned(log: Path, most: int = LINES) -> str:
    """A run's log without the parts that were done again after a resume, thinned evenly.

    Args:
        log: JSON lines with the key ``images``.
        most: largest number of lines to keep; the last one is always kept.
    """
    lines: list[tuple[int, str]] = []
    for line in log.read_text(encoding="utf-8").splitlines():
        images = json.loads(line)["images"]
        while lines and lines[-1][0] >= images:  # a part that a resumed run did again
            lines.pop()
        lines.append((images, line))
    every = -(-len(lines) // most)
    kept = [line for i, (_, line) in enumerate(lines) if (len(lines) - 1 - i) % every == 0]
    return "\n".join(kept) + "\n"
