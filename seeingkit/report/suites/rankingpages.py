"""The first page of a suite, and the page of each of several rankings, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seeingkit.results import SuiteGenerator

from .figures import intervals
from .matrix import Matrix, counted_matrix, ranking_matrix
from .overview import overview
from .places import Links, Places
from .reading import Suite
from .shell import page
from .standings import Ranking
from .tables import note_words, rank_words
from .training import curves, training_words
from .words import (
    ranking_details,
    ranking_headline,
    suite_details,
    suite_headline,
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
    return page(
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
