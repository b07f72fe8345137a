"""The words and figure of several generators: nothing is called sure that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seeingkit import Tally, compare_generators
from seeingkit.report import summarise_generators, write_report
from seeingkit.report.figures.generators import build_generators_chart, generator_rows
from seeingkit.report.sections.generators import matrix_rows
from seeingkit.report.words.generators import closer_in, judged_differences, q_text
from seeingkit.results import DistanceDifference, GeneratorsResults
from tests.helpers.chromium import Chromium
from tests.helpers.church_report import church_manifest

HOSTILE = "<script>b"


@pytest.fixture(scope="module")
def results() -> GeneratorsResults:
    rng = np.random.default_rng(0)
    real, *made = (
        Tally.from_fractions(rng.dirichlet([6, 3, 1], 60), ("sky", "tree", HOSTILE))
        for _ in range(4)
    )
    names = ("a", HOSTILE, "c")
    return compare_generators(real, dict(zip(names, made, strict=True)), permutations=19).results


def pair(first: str, second: str, nearer: str | None, p: float = 0.001) -> DistanceDifference:
    ends = {None: (-2.0, 3.0), first: (-9.0, -1.0), second: (1.0, 9.0)}[nearer]
    return DistanceDifference(
        first=first,
        second=second,
        value=sum(ends) / 2,
        ci_low=ends[0],
        ci_high=ends[1],
        confidence=0.95,
        standard_error=1.0,
        p_swap=p,
        permutations=999,
        nearer=nearer,
    )


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (
            [("a", "c", "a")],
            "a is surely nearer to the real images than c: its FSD is lower by 5.0",
        ),
        ([("a", "c", None)], "Neither generator is surely nearer to the real images: the FSD of a"),
        (
            [("a", HOSTILE, "a"), ("a", "c", None), (HOSTILE, "c", None)],
            f"No generator is surely the nearest to the real images of all. Surely nearer: a than "
            f"{HOSTILE}",
        ),
        (
            [("a", HOSTILE, None), ("a", "c", None), (HOSTILE, "c", None)],
            "No generator is surely nearer to the real images than another one",
        ),
    ],
)
def test_headline(
    results: GeneratorsResults, pairs: list[tuple[str, str, str | None]], says: str
) -> None:
    named = {name for one in pairs for name in one[:2]}
    update = {
        "differences": [pair(*one) for one in pairs],
        "generators": [g for g in results.generators if g.name in named],
    }
    words = summarise_generators(results.model_copy(update=update))
    assert words.headline.startswith(says)


@pytest.mark.parametrize(
    ("p", "says"),
    [
        (0.004, "That they are one distribution is rejected (swap test p = 0.004), but which is"),
        (0.3, "Two samples of one generator differ like this, too (swap test p = 0.30)"),
        (0.001, "(swap test p ≤ 0.001)"),
    ],
)
def test_the_two_nulls_are_told_apart(results: GeneratorsResults, p: float, says: str) -> None:
    changed = results.model_copy(update={"differences": [pair("a", "c", None, p)]})
    assert any(says in line for line in summarise_generators(changed).details)


def test_classes_are_named_only_where_no_question_contradicts(results: GeneratorsResults) -> None:
    record = judged_differences(results, "a", "c")[0]

    def closer(area: str | None, images: str | None) -> bool:
        asked = {
            "area": record.area.model_copy(update={"closer": area}),
            "images": record.images.model_copy(update={"closer": images}),
        }
        return bool(closer_in([record.model_copy(update=asked)], "a"))

    assert closer("a", None) and closer("a", "a")
    assert not closer("a", "c") and not closer(None, None)


def test_far_tails_have_no_digits() -> None:
    assert q_text(1e-40) == "< 0.001"
    assert q_text(0.0123) == "0.012"


def test_the_figure_has_a_row_for_each_class_and_generator(results: GeneratorsResults) -> None:
    rows = generator_rows(results)
    assert [(r["key"], r["generator"]) for r in rows][:4] == [
        ("sky", "a"),
        ("sky", HOSTILE),
        ("sky", "c"),
        ("tree", "a"),
    ]
    assert all(-1 <= r["shown"] <= 1.1 and r["low"] <= r["shown"] <= r["high"] for r in rows)
    wide, narrow = (build_generators_chart(rows, layout).to_dict() for layout in ("wide", "narrow"))
    assert "vconcat" in wide
    assert "hconcat" in narrow


# --------------------------------------------------------------------------------------- matrix


@pytest.fixture(scope="module")
def planted() -> GeneratorsResults:
    """Of two generators the second draws no tree, and both draw as much of the rest."""
    rng = np.random.default_rng(1)
    labels = ("sky", "tree", HOSTILE, "road")
    real, good, bad = (rng.dirichlet([6, 3, 1, 2], 400) for _ in range(3))
    bad[:, 0] += bad[:, 1]
    bad[:, 1] = 0.0
    real, good, bad = (Tally.from_fractions(one, labels) for one in (real, good, bad))
    return compare_generators(real, {"good": good, "bad": bad}, permutations=19).results


def test_the_matrix_begins_with_what_is_omitted(planted: GeneratorsResults) -> None:
    rows = matrix_rows(planted)
    assert rows[0].label == "tree" and rows[0].found
    cells = {name: record for name, record in rows[0].cells if record is not None}
    assert cells["bad"].verdict == "omitted" and cells["good"].verdict == "no evidence"
    assert [row.label for row in rows[1:] if not row.found] == [HOSTILE, "road"][::-1]
    assert rows[0].differences[0].area.closer == "good"


@pytest.mark.slow
@pytest.mark.browser
def test_a_cell_of_the_matrix_opens_its_class(
    browser: Chromium, planted: GeneratorsResults, tmp_path: Path
) -> None:
    write_report(tmp_path, planted, church_manifest())
    page = browser.open(tmp_path / "report.html")
    assert page.locator(".headline").inner_text().startswith("good is surely nearer")
    cell = page.locator(".matrix a.omitted")
    assert cell.inner_text() == "▼ −100\u00a0%"
    cell.click()
    opened = page.locator("details.class[open]")
    assert opened.locator("h3").inner_text() == "tree"
    assert " of 400 real images (" in opened.inner_text()
    assert "good is surely closer" in opened.inner_text()
    for width in (1280, 390):
        browser.open(tmp_path / "report.html", "?unfold=all", width=width)
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.violations() == []
    assert browser.problems == []
