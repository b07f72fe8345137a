"""The page of several generators: table, differences, figure, and the classes of each pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seeingkit.results import ClassDifference, FSDResult, GeneratorsResults

from ..figures.charts import themed_figures
from ..figures.generators import build_generators_chart, generator_rows
from ..selection import is_judged
from ..words.generators import (
    claims,
    closer_in,
    judged_differences,
    q_text,
    summarise_generators,
    swap_probability,
)
from ..words.numbers import count, listing, probability

QUESTIONS = 2
"""Area and images, which share the level."""


@dataclass(frozen=True)
class GeneratorRow:
    """One row of the table of generators."""

    name: str
    note: str
    n: int
    fsd: FSDResult
    left_out: str

    @property
    def p(self) -> str:
        """The permutation p-value."""
        return "–" if self.fsd.p_value is None else probability(self.fsd.p_value)


@dataclass(frozen=True)
class PairRows:
    """The classes of two generators of which something is claimed; ``hidden``: how many others."""

    first: str
    second: str
    answer: str
    rows: list[ClassDifference]
    hidden: int


def generators_values(results: GeneratorsResults) -> dict[str, Any]:
    """The words and numbers of the page."""
    words = summarise_generators(results)
    rows = generator_rows(results)
    return {
        "headline": words.headline,
        "details": words.details,
        "cautions": words.cautions,
        "names": listing([generator.name for generator in results.generators]),
        "generators": _table(results),
        "confidence": f"{100 * results.differences[0].confidence:.3g}",
        "swap": swap_probability,
        "q": q_text,
        "figures": themed_figures(lambda layout: build_generators_chart(rows, layout)),
        "pairs": [_pair(results, d.first, d.second) for d in results.differences],
        "claim_level": results.level / QUESTIONS,
    }


def _table(results: GeneratorsResults) -> list[GeneratorRow]:
    rows = []
    for one in results.generators:
        judged = [record for record in one.classes if is_judged(record)]
        omitted = [record.label for record in judged if record.omitted]
        note = "" if one.source.name == one.name else one.source.name
        rows.append(GeneratorRow(one.name, note, one.n, one.fsd, listing(omitted) or "none found"))
    if (control := results.control) is not None:
        claimed = listing(control.claimed) or "none found"
        rows.append(
            GeneratorRow(
                "real images", "one half against the other", control.n, control.fsd, claimed
            )
        )
    return rows


def _pair(results: GeneratorsResults, first: str, second: str) -> PairRows:
    records = judged_differences(results, first, second)
    rows = [record for record in records if claims(record)]
    won = [(name, len(closer_in(records, name))) for name in (first, second)]
    answer = "; ".join(f"{name} surely closer in {count(k, 'class', 'classes')}" for name, k in won)
    return PairRows(first, second, answer + ".", rows, len(records) - len(rows))
