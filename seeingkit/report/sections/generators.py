"""The page of several generators: table, differences, figure, and the classes of each pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seeingkit.results import ClassDifference, ClassResult, FSDResult, GeneratorsResults

from ..figures.charts import themed_figures
from ..figures.generators import build_generators_chart, generator_rows
from ..selection import is_judged
from ..words.evidence import evidence
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


@dataclass(frozen=True)
class MatrixRow:
    """One class in the images of all generators.

    Attributes:
        anchor: its id in the page.
        cells: name of the generator and its record of the class, or None.
        differences: of the pairs of generators of which something is claimed.
    """

    label: str
    anchor: str
    cells: tuple[tuple[str, ClassResult | None], ...]
    differences: tuple[ClassDifference, ...]

    @property
    def found(self) -> bool:
        """Whether anything is claimed of it."""
        return bool(self.differences) or any(
            c and c.verdict != "no evidence" for _, c in self.cells
        )


def matrix_rows(results: GeneratorsResults) -> list[MatrixRow]:
    """The classes of all generators: those that most omit first, then by real area."""
    records = [{r.index: r for r in one.classes if is_judged(r)} for one in results.generators]
    labels = {index: record.label for found in records for index, record in found.items()}
    names = [one.name for one in results.generators]
    rows = []
    for index, label in labels.items():
        cells = tuple(zip(names, (found.get(index) for found in records), strict=True))
        differences = tuple(d for d in results.classes if d.index == index and claims(d))
        rows.append(MatrixRow(label, f"class-{index}", cells, differences))

    def order(row: MatrixRow) -> tuple[int, float]:
        shown = [record for _, record in row.cells if record is not None]
        return -sum(r.omitted for r in shown), -max((r.real_area for r in shown), default=0.0)

    return sorted(rows, key=order)


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
        "matrix": matrix_rows(results),
        "evidence": _evidence(results),
        "pairs": [_pair(results, d.first, d.second) for d in results.differences],
        "claim_level": results.level / QUESTIONS,
    }


def _evidence(results: GeneratorsResults) -> dict[str, dict[int, str]]:
    """The evidence on each class, by the name of the generator and the number of the class."""
    return {
        one.name: {r.index: " ".join(evidence(r, results.n_real, one.n)) for r in one.classes}
        for one in results.generators
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
