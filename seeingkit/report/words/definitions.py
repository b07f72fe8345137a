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

_BETWEEN_SIDES = (
    "claims",
    "tests",
    "tests_before",
    "reduced",
    "reduced_before",
    "interval",
    "permutation",
    "blocks",
)
"""Groups of terms that a paired comparison does not have."""


class Definition(NamedTuple):
    """A term of the report, its meaning in one sentence, and the source of its formula, if any."""

    term: str
    meaning: str
    source: str = ""


def terms(*, comparison: bool, between: bool, inversion: bool) -> list[tuple[str, str]]:
    """One sentence of help at each term of a page: (term, meaning).

    Args:
        comparison, between, inversion: whether the page compares sides, does so not within pairs,
            and shows inverted photos.
    """
    found = tomllib.loads(Path(__file__).with_name("terms.toml").read_text(encoding="utf-8"))
    wanted = {"comparison": comparison, "between": between, "inversion": inversion}
    return [(name, meaning) for kind in wanted if wanted[kind] for name, meaning in found[kind]]


def definitions(results: Results) -> list[Definition]:
    """The definitions of the numbers on the page of these results, in the order of its sections."""
    combined, check = tested_presence(results), results.segmenter_share
    claims = any(record.area_claim is not None for record in results.classes)
    shown = {
        "areas": True,
        "claims": claims,
        "tests": combined and not claims,
        "tests_before": not combined and not claims,
        "power": results.power,
        "distance": True,
        "reduced": combined or claims,
        "reduced_before": not combined and not claims,
        "interval": results.fsd.ci_high is not None,
        "permutation": True,
        "blocks": results.fsd.block > 1,
        "contribution": any(record.fsd_mean_term is not None for record in results.classes),
        "pairs": results.pairs,
        "scenes": results.scenes,
        "confusion": check and check.kind == "labels",
        "two_views": check and check.kind != "labels",
        "paired": results.paired,
    }
    if results.paired is not None:  # tests within pairs take the place of those between sides
        shown |= dict.fromkeys(_BETWEEN_SIDES, False)
    chosen = [found for group, wanted in shown.items() if wanted for found in _groups()[group]]
    return [found for found in chosen if found.term != "floor" or results.paired is None]


def inversion_definitions() -> list[Definition]:
    """The terms of a report's section on inversions."""
    return _groups()["inversion"]


@functools.lru_cache(maxsize=1)
def _groups() -> dict[str, list[Definition]]:
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return {name: [Definition(*row) for row in rows] for name, rows in tomllib.loads(text).items()}
