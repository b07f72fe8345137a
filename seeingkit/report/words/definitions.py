"""The definition of each number in a report, with the source of its formula.

The page lists them at its end. A run made before a definition changed is shown with the definition
that it was made by. The definitions themselves stand in ``definitions.toml``.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import NamedTuple

from seeingkit.results import Results

from .findings import tested_presence


class Definition(NamedTuple):
    """A term of the report, its meaning in one sentence, and the source of its formula, if any."""

    term: str
    meaning: str
    source: str = ""


def definitions(results: Results) -> list[Definition]:
    """The definitions of the numbers on the page of these results, in the order of its sections."""
    check, paired = results.segmenter_share, results.paired is not None
    combined = tested_presence(results)
    shown = {
        "areas": True,
        "paired": paired,
        "tests": combined and not paired,
        "tests_before": not combined and not paired,
        "power": results.power,
        "distance": True,
        "floor": not paired,
        "reduced": combined and not paired,
        "reduced_before": not combined and not paired,
        "interval": results.fsd.ci_high is not None,
        "permutation": not paired,
        "contribution": any(record.fsd_mean_term is not None for record in results.classes),
        "pairs": results.pairs,
        "scenes": results.scenes,
        "confusion": check and check.kind == "labels",
        "two_views": check and check.kind != "labels",
    }
    return [found for group, wanted in shown.items() if wanted for found in _groups()[group]]


def inversion_definitions() -> list[Definition]:
    """The terms of a report's section on inversions."""
    return _groups()["inversion"]


@functools.lru_cache(maxsize=1)
def _groups() -> dict[str, list[Definition]]:
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return {name: [Definition(*row) for row in rows] for name, rows in tomllib.loads(text).items()}
