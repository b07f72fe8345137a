"""How long steps take on this machine: measured at earlier ones, of this suite and of others.

The times lie in the cache (``rates.json``), for they are of the machine and not of the suite. A
step that took up finished work of an interrupted one is quicker than it would be anew, so the
slowest of the last few counts.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from seeingkit.errors import SeeingkitError
from seeingkit.system.cache import cache_folder
from seeingkit.system.writing import json_text, write_text

from .graph import Step

_KEPT = 5  # of the last measurements of one kind


def measured_by(step: Step) -> str:
    """What the time of a step depends on: models, device, kind of work."""
    plan = step.plan
    segmenter = "" if plan.segmenter is None else plan.segmenter.name
    generator = None if plan.generated.generator is None else plan.generated.generator.spec.name
    size = plan.preset.size or "own"
    if step.kind == "tally":
        images = generator if step.side == "generated" and generator else "images"
        return f"tally {images} by {segmenter} at {size} on {plan.device}"
    if step.kind == "ranking":
        return "ranking of 10 generators"
    work = "+".join(inverter.spec.name for inverter in plan.inverters) or "no inversion"
    extra = " fidelity" if plan.metric is not None else ""
    return (
        f"comparison with {work}{extra} of {generator or 'images'} by {segmenter} on {plan.device}"
    )


class Rates:
    """Seconds of an image of a tally, or of another step, by what they depend on."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / "rates.json"
        self.known: dict[str, list[float]] = {}
        with suppress(OSError, ValueError, AttributeError, TypeError):
            loaded = json.loads(self.path.read_bytes())
            self.known = {str(k): [float(v) for v in found] for k, found in loaded.items()}

    def add(self, step: Step, seconds: float, images: int = 0) -> None:
        """Keep the time of a step that was done."""
        value = seconds / max(images, 1) if step.kind == "tally" else seconds
        if step.kind == "ranking":
            value = seconds * 10 / max(1, len(step.needs) - 1)
        kept = [*self.known.get(measured_by(step), []), value][-_KEPT:]
        self.known[measured_by(step)] = kept
        with suppress(SeeingkitError, OSError):  # a cache that cannot be written is no error
            write_text(self.path, json_text(self.known) + "\n")

    def seconds(self, step: Step) -> float | None:
        """How long a step will take; None where nothing like it was measured."""
        measured = self.known.get(measured_by(step))
        if not measured:
            return None
        if step.kind == "tally":
            return max(measured) * (step.plan.config.n or 0)
        if step.kind == "ranking":
            return statistics.median(measured) * max(1, len(step.needs) - 1) / 10
        return statistics.median(measured)


def total(times: Sequence[float | None]) -> tuple[float, int]:
    """The sum of the known times, and how many are unknown.

    >>> total([1.0, None, 2.0])
    (3.0, 1)
    """
    known = [time for time in times if time is not None]
    return sum(known), len(times) - len(known)
