"""The pages of a suite as text: rankings and the first page, classes, generators.

A page is a function of the suite and of the pictures found in it; all text is escaped by the
templates, and what a script needs is JSON inside the page.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seeingkit.results import SuiteGenerator

from ..templates import asset, json_data, policy, render
from ..words.numbers import area, between, number, plain_text, share
from .figures import Axis, curves, intervals
from .matrix import Matrix, counted_matrix, ranking_matrix
from .photos import ClassPhotos
from .places import Links, Places
from .reading import Suite
from .standings import ClassHead, ClassKey, ClassValue, Quantity, Ranking, Standing
from .tables import note_words, rank_words
from .words import (
    class_details,
    class_headline,
    difference_ends,
    ranking_details,
    ranking_headline,
    suite_details,
    suite_headline,
    training_words,
    unfinished,
)

DEFINITIONS = (
    (
        "FSD",
        "Fréchet Segmentation Distance between the class areas of generated and of real images, in "
        "percent²: 0 is no difference. It is biased upwards; the distance that generators are "
        "ranked by is corrected for that.",
    ),
    (
        "groups",
        "Two rows share a letter if and only if no test tells them apart. Not being told apart is "
        "no proof of being equal: more images may tell them.",
    ),
    (
        "rank",
        "1 + the number of generators that are surely nearer, up to the number of generators less "
        "those that are surely farther.",
    ),
    (
        "control",
        "Real images that no other row uses, measured as if a generator had made them: what is "
        "found there is chance.",
    ),
    (
        "omitted",
        "A significant loss of at least half of a class's area, or of the images that show it.",
    ),
    ("floor", "The FSD of two disjoint samples of the real images at this number of images."),
    ("p", "Permutation test of “the generated images have the distribution of the real ones”."),
)
"""What the words of the pages mean."""


@functools.lru_cache(maxsize=1)
def _shell() -> dict[str, Any]:
    """Script, style and policy, which all pages have."""
    from markupsafe import Markup

    script = asset("page.js") + asset("suite/site.js")
    style = asset("style.css") + asset("suite/site.css")
    # Pictures are files of the site: beside a page that is a file, or on the server it came from.
    rules = policy(script).replace("img-src data:", "img-src 'self' file: data:")
    return {"policy": rules, "script": Markup(script), "style": Markup(style)}


def _page(template: str, data: dict[str, Any], **values: Any) -> str:
    from markupsafe import Markup

    return str(render(template, data=Markup(json_data(data)), **_shell(), **values))


# ------------------------------------------------------------------------------ rankings, index


@dataclass(frozen=True)
class OverviewCell:
    """One generator in one ranking: its place, its distance, and the colour of both."""

    text: str
    small: str = ""
    code: str = ""


@dataclass(frozen=True)
class OverviewRow:
    """One generator, or control, in all rankings."""

    name: str
    cells: tuple[OverviewCell, ...]


@dataclass(frozen=True)
class Overview:
    """All rankings side by side."""

    rankings: tuple[Ranking, ...]
    rows: tuple[OverviewRow, ...]


def overview(suite: Suite, order: Sequence[str]) -> Overview:
    """All rankings side by side.

    Args:
        order: generators that come first; the others follow as the suite lists them.
    """
    listed = [each.name for each in suite.results.generators]
    controls = [row.name for ranking in suite.rankings for row in ranking.controls]
    by_name = [{row.name: row for row in ranking.rows} for ranking in suite.rankings]
    rows = [
        OverviewRow(name, tuple(_overview_cell(rows.get(name)) for rows in by_name))
        for name in dict.fromkeys([*order, *listed, *controls])
    ]
    return Overview(suite.rankings, tuple(rows))


def _overview_cell(row: Standing | None) -> OverviewCell:
    if row is None:
        return OverviewCell("")
    if row.fsd is None:
        return OverviewCell("–" if row.state == "done" else row.state, code="bad")
    lead = "lead-cell" if row.rank_low == 1 else ""
    return OverviewCell(rank_words(row) or "–", number(row.distance), lead)


def index_page(suite: Suite, places: Places, notes: Sequence[str]) -> str:
    """The first page: of the one ranking, or of all rankings together."""
    rankings = suite.compared
    several = len(suite.rankings) > 1
    matrix = counted_matrix(rankings) if several else None
    ranking = None if several else next(iter(suite.rankings), None)
    names = [column.name for column in matrix.columns] if matrix else []
    warnings = dict.fromkeys(
        [*notes, *suite.results.warnings, *(w for r in rankings for w in r.warnings)]
    )
    return _ranking_page(
        suite,
        ranking,
        matrix,
        links=Links(places, ""),
        headline=suite_headline(suite),
        details=suite_details(suite) if rankings else [],
        overview=overview(suite, names) if several else None,
        notes_of_care=list(warnings),
    )


def ranking_page(suite: Suite, ranking: Ranking, places: Places) -> str:
    """The page of one ranking of several."""
    return _ranking_page(
        suite,
        ranking,
        None,
        links=Links(places, "../"),
        headline=ranking_headline(ranking),
        details=ranking_details(ranking),
        overview=None,
        notes_of_care=list(dict.fromkeys(ranking.warnings)),
    )


def _ranking_page(
    suite: Suite, ranking: Ranking | None, matrix: Matrix | None, *, links: Links, **values: Any
) -> str:
    figure = None if ranking is None else intervals(ranking)
    if ranking is not None and ranking.compared:
        matrix = ranking_matrix(ranking)
    series = [] if ranking is None else list(ranking.series.items())
    cells = unfinished(suite, None if ranking is None else ranking.name)
    show = (values["overview"] is not None, figure is not None, bool(matrix and matrix.rows))
    named = [
        ("rankings", "Rankings", show[0]),
        ("ranking", "Ranking", show[1]),
        ("matrix", "Classes × generators", show[2]),
        ("training", "Over training", bool(series)),
        ("failures", "Failed and waiting", bool(cells)),
        ("method", "How it was made", True),
    ]
    return _page(
        "suite/ranking.html.j2",
        {"matrix": matrix.data()} if matrix else {},
        title=suite.title,
        to=links,
        single=len(suite.rankings) == 1,
        ranking=ranking,
        figure=figure,
        matrix=matrix,
        series=[(name, curves(rows), training_words(rows)) for name, rows in series],
        cells=cells,
        sections=[(id, name) for id, name, shown in named if shown],
        definitions=DEFINITIONS,
        shown_rankings=suite.rankings if ranking is None else (ranking,),
        generators=_of(suite, ranking),
        note_words=note_words,
        rank_words=rank_words,
        **values,
    )


def _of(suite: Suite, ranking: Ranking | None) -> list[SuiteGenerator]:
    """The generators of a ranking, or all."""
    if ranking is None:
        return list(suite.results.generators)
    wanted = {row.name for row in ranking.rows}
    return [each for each in suite.results.generators if each.name in wanted]


# -------------------------------------------------------------------------------------- classes


@dataclass(frozen=True)
class Scales:
    """The drawn intervals of one class in one ranking, real images marked.

    Attributes:
        areas, shares: the two axes; head: of the class.
    """

    areas: Axis
    shares: Axis
    head: ClassHead

    @staticmethod
    def of(ranking: Ranking, head: ClassHead) -> Scales:
        """Axes on which all generators fit."""
        values = [row.values[head.key] for row in ranking.columns if head.key in row.values]
        areas = max([head.real_area, *(v.area.high for v in values)], default=0.0)
        shares = max([head.real_images, *(v.images.high for v in values)], default=0.0)
        return Scales(Axis((1.04 * areas) or 1.0), Axis((1.04 * shares) or 1.0), head)

    def area(self, quantity: Quantity) -> Any:
        """The interval of an area as markup."""
        return _drawn(self.areas, quantity, self.head.real_area)

    def images(self, quantity: Quantity) -> Any:
        """The interval of a share of images as markup."""
        return _drawn(self.shares, quantity, self.head.real_images)

    @staticmethod
    def area_ends(quantity: Quantity) -> str:
        """The interval of an area in words."""
        return between((quantity.low, quantity.high), area)

    @staticmethod
    def images_ends(quantity: Quantity) -> str:
        """The interval of a share of images in words."""
        return between((quantity.low, quantity.high), share)


def _drawn(axis: Axis, quantity: Quantity, real: float) -> Any:
    from markupsafe import Markup

    low, at, high = (axis.at(x) for x in (quantity.low, quantity.value, quantity.high))
    return Markup(  # numbers alone
        f'<span class="value-row"><u style="left:{axis.at(real):.1f}%"></u>'
        f'<i style="left:{low:.1f}%;width:{max(high - low, 0):.1f}%"></i>'
        f'<b style="left:{at:.1f}%"></b></span>'
    )


def class_page(
    suite: Suite,
    key: ClassKey,
    places: Places,
    photos: Sequence[ClassPhotos] = (),
    examples: Sequence[tuple[str, str]] = (),
) -> str:
    """The page of one class: photos, reconstructions, and its numbers for every generator.

    Args:
        examples: real images with it, for where no inverted photo shows it: id and path.
    """
    tables = []
    for ranking in suite.compared:
        head = next((head for head in ranking.classes if head.key == key), None)
        if head is not None:
            lines = class_details(key, ranking)
            tables.append((ranking, head, lines, Scales.of(ranking, head)))
    return _page(
        "suite/class.html.j2",
        {},
        title=suite.title,
        to=Links(places, "../"),
        key=key,
        headline=class_headline(key, [ranking for ranking, *_ in tables]),
        details=[],
        sections=[("photos", "Photos"), ("numbers", "Numbers")],
        photos=photos,
        examples=examples,
        tables=tables,
    )


# ----------------------------------------------------------------------------------- generators


def generator_page(suite: Suite, entry: SuiteGenerator, places: Places) -> str:
    """The page of one generator: places, reports, its classes, or why there are none."""
    shown = [
        (ranking, row)
        for ranking in suite.rankings
        for row in ranking.rows
        if row.name == entry.name and row.kind == "generator"
    ]
    compared = [(ranking, row) for ranking, row in shown if row.fsd is not None]
    sections = [("reports", "Reports"), ("classes", "Classes"), ("method", "What it is")]
    return _page(
        "suite/generator.html.j2",
        {},
        title=suite.title,
        to=Links(places, "../"),
        name=entry.name,
        headline=_generator_headline(entry.name, shown),
        details=[],
        sections=[each for each in sections if compared or each[0] != "classes"],
        shown=shown,
        compared=[(ranking, row, _against(ranking, row.name)) for ranking, row in compared],
        facts=_facts(entry),
        verdicts=_verdicts,
        note_words=note_words,
        rank_words=rank_words,
    )


def _generator_headline(name: str, shown: Sequence[tuple[Ranking, Standing]]) -> str:
    compared = [(ranking, row) for ranking, row in shown if row.fsd is not None]
    if not compared:
        reasons = dict.fromkeys(note_words(row) for _, row in shown)
        said = "; ".join(reason for reason in reasons if reason) or "it is in no ranking"
        return f"{name} has not been compared: {said}."
    if len(compared) > 1:
        first = sum(row.rank_low == 1 for _, row in compared)
        return (
            f"In {first} of {len(compared)} rankings no other generator is surely nearer to the "
            f"real images than {name}."
        )
    ranking, row = compared[0]
    others = len(ranking.compared) - 1
    if not others:
        return f"{name} is the only generator that has been compared."
    names = {one.name for one in ranking.compared}
    ahead = sum(other in names for other in row.nearer_than)
    behind = (row.rank_low or 1) - 1
    are = "is" if behind == 1 else "are"
    return (
        f"{name} is surely nearer to the real images than {ahead or 'none'} of the {others} other "
        f"generators, and {behind or 'none'} of them {are} surely nearer than it."
    )


def _against(ranking: Ranking, name: str) -> list[tuple[str, float, str, str | None]]:
    """Its distance less that of every other row, in the order of the rows."""
    found = {}
    for pair in ranking.pairs:
        if pair.first == name:
            found[pair.second] = (
                pair.value,
                difference_ends(pair.ci_low, pair.ci_high),
                pair.nearer,
            )
        elif pair.second == name:
            ends = difference_ends(-pair.ci_high, -pair.ci_low)
            found[pair.first] = (-pair.value, ends, pair.nearer)
    return [(row.name, *found[row.name]) for row in ranking.rows if row.name in found]


def _verdicts(row: Standing) -> list[tuple[ClassKey, ClassValue]]:
    """Its classes with a verdict, the largest losses first."""
    found = [(key, v) for key, v in row.values.items() if v.verdict != "no evidence"]
    return sorted(found, key=lambda one: (one[1].relative is None, one[1].relative or 0.0))


def _facts(entry: SuiteGenerator) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = [("source", entry.source)]
    if entry.weights:
        made.append(("weights", entry.weights))
    made += [(name, plain_text(value)) for name, value in sorted(entry.options.items())]
    if entry.labels is not None:
        made.append(("labels", entry.labels))
    if entry.series:
        made.append(("series", entry.series))
    if entry.step is not None:
        made.append(("step", f"{entry.step:,.10g}"))
    return made
