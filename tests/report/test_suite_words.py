"""The words and figures of a suite: nothing is called sure that is not, and places are exact."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.report.suites.classwords import class_details, class_headline
from seeingkit.report.suites.figures import Axis, intervals
from seeingkit.report.suites.places import file_names
from seeingkit.report.suites.standings import ClassKey, ClassValues, Ranking, Standing
from seeingkit.report.suites.tables import note_words, rank_words
from seeingkit.report.suites.training import curves, training_words
from seeingkit.report.suites.words import ranking_details, ranking_headline
from seeingkit.results import (
    ClassRanking,
    FSDResult,
    RankedClass,
    SuiteRanking,
    Verdict,
)

BOAT = ClassKey("boat")


def record() -> SuiteRanking:
    return SuiteRanking(name="r", data="d", segmenter="s", seed=0, n=100, state="done")


def row(
    name: str,
    value: float,
    ranks: tuple[int, int] | None = None,
    nearer: Sequence[str] = (),
    letters: str = "",
    *,
    step: float | None = None,
) -> Standing:
    return Standing(
        name,
        "generator" if ranks else "control",
        "done",
        rank_low=ranks[0] if ranks else None,
        rank_high=ranks[1] if ranks else None,
        rank=ranks[0] if ranks else None,
        letters=letters,
        distance=value,
        low=0.5 * value,
        high=2 * value,
        shared=value,
        nearer_than=tuple(nearer),
        fsd=FSDResult(value=value, mean_term=value, cov_term=0.0),
        series="s" if step is not None else "",
        step=step,
    )


def ranking(*rows: Standing) -> Ranking:
    return Ranking(record(), rows)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((), "Nothing has been compared yet."),
        ((row("a", 1, (1, 1)),), "a is the only generator that has been compared."),
        (
            (row("a", 1, (1, 1), ["b"]), row("b", 9, (2, 2))),
            "a is surely nearer to the real images than b.",
        ),
        (
            (row("a", 1, (1, 1), ["b", "c"]), row("b", 8, (2, 3)), row("c", 9, (2, 3))),
            "a is surely nearer to the real images than each of the 2 other generators.",
        ),
        (
            (row("a", 1, (1, 2)), row("b", 2, (1, 2))),
            "The 2 generators cannot be told apart by their distance from the real images.",
        ),
        (
            (row("a", 1, (1, 2), ["c"]), row("b", 2, (1, 2), ["c"]), row("c", 9, (3, 3))),
            "a and b are nearest to the real images and cannot be told apart.",
        ),
    ],
)
def test_headline(rows: Sequence[Standing], says: str) -> None:
    assert ranking_headline(ranking(*rows)) == says


def test_who_is_surely_behind_all_of_the_nearest() -> None:
    rows = (
        row("a", 1, (1, 3), ["d"]),
        row("b", 2, (1, 2), ["c", "d"]),
        row("c", 3, (2, 3)),
        row("d", 9, (4, 4)),
    )
    details = ranking_details(ranking(*rows))
    assert "Each of them is surely nearer than d." in details
    assert "d is surely farther than every other one." in details
    apart = (row("a", 1, (1, 3), ["d"]), row("b", 2, (1, 2), ["c"]), *rows[2:])
    details = ranking_details(ranking(*apart))
    assert details[:2] == ["a is surely nearer than d.", "b is surely nearer than c."]


def test_ranks_and_reasons_in_words() -> None:
    assert [rank_words(row("a", 1, ranks)) for ranks in ((1, 1), (2, 5), None)] == [
        "1",
        "2–5",
        "control",
    ]
    waiting = Standing("a", "generator", "waiting", "its turn")
    assert rank_words(waiting) is None and note_words(waiting) == "waiting: its turn"
    assert note_words(Standing("a", "generator", "done")) == "not ranked"
    assert note_words(row("a", 1, (1, 1))) == ""


# ---------------------------------------------------------------------------------------- class


def classes(verdicts: Sequence[Verdict], letters: Sequence[str]) -> dict[ClassKey, RankedClass]:
    values = [4.0, 2.0, 1.0][: len(verdicts)]
    question = ClassRanking(
        values=values, low=values, high=values, p_equal=0.0, q_equal=0.0, letters=list(letters)
    )
    found = RankedClass(
        label="boat",
        category="object",
        index=1,
        real_area=4.0,
        real_images=0.5,
        speck_area=0.1,
        verdicts=list(verdicts),
        area=question,
        images=question.model_copy(update={"letters": []}),
    )
    return {BOAT: found}


def ranked(verdicts: Sequence[Verdict], letters: Sequence[str]) -> Ranking:
    found = classes(verdicts, letters)
    rows = [
        Standing(
            "abc"[k],
            "generator",
            "done",
            values=ClassValues(found, k),
            fsd=FSDResult(value=1.0, mean_term=1.0, cov_term=0.0),
        )
        for k in range(len(verdicts))
    ]
    return Ranking(record(), tuple(rows))


def test_the_numbers_of_a_class_are_those_of_the_lists() -> None:
    value = ClassValues(classes(["no evidence", "omitted"], ["a", "b"]), 1)[BOAT]
    assert value.verdict == "omitted" and value.relative == -0.5
    assert (value.area.value, value.area.letters, value.images.letters) == (2.0, "b", "")


def test_a_verdict_about_images_shows_their_difference() -> None:
    found = classes(["in more images", "reduced"], [])
    values = [ClassValues(found, k)[BOAT] for k in range(2)]
    assert [value.relative for value in values] == [0.0, -0.5]
    assert [value.images_change for value in values] == [7.0, 3.0]
    assert [value.change for value in values] == [7.0, -0.5]


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        (["omitted"] * 3, "Boats are omitted by all 3 generators."),
        (["omitted", "reduced", "omitted"], "Boats are omitted by 2 of 3 generators."),
        (["reduced"] * 3, "No generator is found to omit boats."),
        (["omitted"], "Boats are omitted by the one generator."),
    ],
)
def test_class_headline(verdicts: Sequence[Verdict], says: str) -> None:
    assert class_headline(BOAT, [ranked(verdicts, ["a"] * len(verdicts))]) == says


@pytest.mark.parametrize(
    ("letters", "says"),
    [
        (["a", "a b", "b"], "Most area: a, from which b cannot be told; surely less: c."),
        (["a", "b", "c"], "Most area: a; surely less: b and c."),
        (
            ["a b", "a", "b"],
            "Most area: a, from which b and c cannot be told; others differ",
        ),
        (["a", "a", "a"], "No generator surely draws less of it than another one"),
        ([], "No generator surely draws less of it than another one"),
    ],
)
def test_surely_less_is_said_only_of_other_letters(letters: Sequence[str], says: str) -> None:
    (line,) = class_details(BOAT, ranked(["no evidence"] * 3, letters))
    assert line.startswith(says)


# -------------------------------------------------------------------------------------- figures


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=20))
def test_an_axis_has_room_for_all_values_in_their_order(values: list[float]) -> None:
    axis = Axis.of(values)
    places = [axis.at(value) for value in sorted(values)]
    assert places == sorted(places) and places[0] >= 0 and places[-1] < 100
    ticks = axis.ticks
    assert ticks[0] == 0 and ticks == sorted(set(ticks)) and ticks[-1] <= axis.top
    assert 2 <= len(ticks) <= 7


def test_an_axis_of_square_roots() -> None:
    axis = Axis(100.0, root=True)
    assert (axis.at(25.0), axis.at(-3.0), axis.at(400.0)) == (50.0, 0.0, 100.0)
    assert Axis.of([1.0, 1.0, 1.0, 50.0]).root and not Axis.of([1.0, 2.0]).root
    assert Axis.of([]).top > 0 and Axis.of([-1.0]).at(-1.0) == 0


def test_intervals_lie_on_the_axis() -> None:
    found = intervals(ranking(row("control", 1.0), row("a", 10.0, (1, 1), letters="b a")))
    assert found is not None
    assert found.rows["a"].at == found.axis.at(10.0) and found.rows["a"].high == found.axis.at(20)
    assert found.band == found.axis.at(2.0) and found.letters == ("b", "a")
    assert intervals(ranking()) is None


def test_curves_keep_their_numbers() -> None:
    rows = [
        row(f"s{k}", 40.0 / k, (1, 3), letters=x, step=10.0 * k)
        for k, x in ((1, "b"), (2, "a"), (4, "a"))
    ]
    wide, narrow = curves(rows)
    assert [p.x for p in wide.points] == [
        wide.left,
        pytest.approx(wide.left + (wide.right - wide.left) / 3, abs=0.1),
        wide.right,
    ]
    heights = [p.y for p in narrow.points]
    assert heights == sorted(heights) and heights[-1] < narrow.tops[0] + narrow.panel
    assert wide.band.count(",") == 2 * len(rows)
    words = " ".join(training_words(rows))
    assert "From step 10 to step 40 the distance goes from 40.0 to 10.0" in words
    assert "The least distance is at step 40; it cannot be told from that at step 20." in words


@given(st.lists(st.text(max_size=90), max_size=12))
def test_file_names_are_safe_and_differ(names: list[str]) -> None:
    found = file_names(names)
    assert len({name.lower() for name in found}) == len(names)
    assert all(name and name.isascii() and not set(name) & set('/\\:*?"<>| \0') for name in found)
    assert all(name.strip(".") and not name.startswith((".", "-")) for name in found)
