"""The tables of a suite that are about classes, and about pairs of generators."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from seeingkit.results import Verdict

from ..tables import Cell, TableColumn
from ..templates import MARKS
from ..words.numbers import change, probability
from .reading import Suite
from .standings import ClassKey, Ranking
from .words import difference_ends

FOR_PROGRAMS = ("csv", "json", "parquet")
"""Formats with a column for each number."""
LATEX_MARKS: dict[Verdict, str] = {
    "omitted": "o",
    "reduced": "r",
    "in fewer images": "f",
    "excess": "e",
    "in more images": "m",
    "no evidence": "",
}
"""Marks of verdicts in letters, for fonts without the signs of ``MARKS``."""


def ranking_names(suite: Suite, rankings: Sequence[Ranking]) -> list[TableColumn]:
    """The column of the rankings' names, where there are several."""
    if len(suite.rankings) < 2:
        return []
    return [TableColumn("ranking", [ranking.name for ranking in rankings])]


def class_columns(suite: Suite, format: str) -> list[TableColumn]:
    """Classes by generators for people, one row a class and generator for programs."""
    if format in FOR_PROGRAMS:
        return _class_rows(suite)
    rows = [(ranking, head) for ranking in suite.rankings for head in ranking.classes]
    names = dict.fromkeys(row.name for ranking in suite.rankings for row in ranking.columns)
    controls = {row.name for ranking in suite.rankings for row in ranking.controls}
    by_name = {
        ranking.name: {row.name: row for row in ranking.columns} for ranking in suite.rankings
    }
    marks: dict[Verdict, str] = LATEX_MARKS if format == "latex" else MARKS  # type: ignore[assignment]

    def cell(ranking: Ranking, name: str, key: ClassKey) -> str | None:
        row = by_name[ranking.name].get(name)
        value = None if row is None else row.values.get(key)
        if value is None:
            return None
        what = "images " if value.by_images else ""
        return f"{marks[value.verdict]} {what}{change(value.change, unit=False)}".strip()

    return [
        *ranking_names(suite, [ranking for ranking, _ in rows]),
        TableColumn("class", [head.key.label for _, head in rows]),
        TableColumn("real area", [head.real_area for _, head in rows], unit="%"),
        *(
            TableColumn(
                title,
                [cell(ranking, name, head.key) for ranking, head in rows],
                unit="%",
                align="right",
            )
            for name, title in zip(names, _heads(names, controls), strict=True)
        ),
    ]


def _heads(names: Iterable[str], controls: Collection[str]) -> list[str]:
    """Heads of the columns of generators: different from each other and from the columns before.

    >>> _heads(["a", "class", "real"], ["real"])
    ['a', 'class ', 'real (control)']
    """
    used = {"ranking", "class", "real area"}
    found = []
    for name in names:
        head = f"{name} (control)" if name in controls else name
        while head in used:
            head += " "
        used.add(head)
        found.append(head)
    return found


CLASS_COLUMNS = {
    "class": "",
    "category": "",
    "generator": "",
    "kind": "",
    "verdict": "",
    "relative_difference": "",
    "real_area": "percent",
    "area": "percent",
    "area_low": "percent",
    "area_high": "percent",
    "area_groups": "",
    "real_images": "share",
    "images": "share",
    "images_low": "share",
    "images_high": "share",
    "images_groups": "",
}
"""The columns of the classes for programs, with their units."""


def _class_rows(suite: Suite) -> list[TableColumn]:
    """One row a ranking, class and member."""
    rows: list[tuple[Cell, ...]] = []
    rankings: list[Ranking] = []
    for ranking in suite.rankings:
        for head in ranking.classes:
            for row in ranking.columns:
                value = row.values[head.key]
                rows.append(
                    (
                        *(head.key.label, head.category, row.name, row.kind, value.verdict),
                        *(value.relative, head.real_area, *value.area[:3]),
                        value.area.letters or None,
                        *(head.real_images, *value.images[:3], value.images.letters or None),
                    )
                )
        rankings += [ranking] * (len(rows) - len(rankings))
    values = zip(*rows, strict=True) if rows else [()] * len(CLASS_COLUMNS)
    return [
        *ranking_names(suite, rankings),
        *(
            TableColumn(name, list(column), unit=unit)
            for (name, unit), column in zip(CLASS_COLUMNS.items(), values, strict=True)
        ),
    ]


# ---------------------------------------------------------------------------------- differences


def difference_columns(suite: Suite, format: str) -> list[TableColumn]:
    """One row a pair of rows of a ranking."""
    pairs = [(ranking, pair) for ranking in suite.rankings for pair in ranking.pairs]
    p_values = [pair.p_alike for _, pair in pairs]
    head = [
        *ranking_names(suite, [ranking for ranking, _ in pairs]),
        TableColumn("first", [pair.first for _, pair in pairs]),
        TableColumn("second", [pair.second for _, pair in pairs]),
    ]
    nearer = TableColumn("nearer", [pair.nearer for _, pair in pairs])
    if format in FOR_PROGRAMS:
        return [
            *head,
            TableColumn("difference", [pair.value for _, pair in pairs], unit="percent^2"),
            TableColumn("ci_low", [pair.ci_low for _, pair in pairs], unit="percent^2"),
            TableColumn("ci_high", [pair.ci_high for _, pair in pairs], unit="percent^2"),
            TableColumn("standard_error", [pair.standard_error for _, pair in pairs]),
            TableColumn("p_alike", p_values),
            nearer,
        ]
    return [
        *head,
        TableColumn("first − second", [pair.value for _, pair in pairs], unit="percent²"),
        TableColumn(
            "interval",
            [difference_ends(pair.ci_low, pair.ci_high) for _, pair in pairs],
            align="right",
        ),
        TableColumn("p", [None if p is None else probability(p) for p in p_values], align="right"),
        nearer,
    ]
