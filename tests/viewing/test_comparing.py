"""Runs side by side: the numbers of the page are those of the results; what is not comparable."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seeingkit import Tally, compare_generators
from seeingkit.report.words.numbers import area, change, interval, number
from seeingkit.report.words.paired import relative_ends
from seeingkit.results import ClassResult, FSDResult, GeneratorsResults, Results
from seeingkit.viewing.comparing import bars, class_rows, columns, settings, verdict_of
from tests.helpers.church_report import CHURCH, HOSTILE, church_results, class_result
from tests.helpers.viewer import Cells, Viewer, add_run
from tests.report.test_report_paired import results as paired_results

from .test_listing import inversion_results

OTHER = [(label, real, 0.7 * change_ + 0.01) for label, real, change_ in CHURCH]


def other_results(**changes: Any) -> Results:
    fsd = FSDResult(
        value=12.345678901234567,
        mean_term=2.0,
        cov_term=10.345678901234567,
        floor=4.3,
        bias_reduced=8.1,
        ci_low=5.5,
        ci_high=10.75,
        p_value=0.001,
    )
    classes = [class_result(label, i + 1, *numbers) for i, (label, *numbers) in enumerate(OTHER)]
    return church_results(**{"fsd": fsd, "classes": classes, **changes})


def several_results() -> GeneratorsResults:
    rng = np.random.default_rng(0)
    real, *made = (
        Tally.from_fractions(rng.dirichlet([6, 3, 1], 60), ("sky", "tree", HOSTILE))
        for _ in range(3)
    )
    named = dict(zip(("a", HOSTILE), made, strict=True))
    return compare_generators(real, named, permutations=19).results


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Viewer:
    root = tmp_path_factory.mktemp("runs")
    add_run(root / "first")
    add_run(root / "second", other_results())
    add_run(root / "inverted", inversion_results())
    add_run(root / "several", several_results())
    for k, name in enumerate("ab", 1):
        add_run(root / "several" / "generators" / f"{k}-{name}", report="<p>")
    return Viewer(root)


def compare(viewer: Viewer, *titles: str, query: str = "") -> Cells:
    keys = "&".join(f"run={viewer.key(title)}" for title in titles)
    page = viewer.page(f"compare?{keys}{query}")
    assert page.status == 200
    return Cells(page.text)


def test_distances_equal_the_results(viewer: Viewer) -> None:
    page = compare(viewer, "first", "second")
    found = [church_results().fsd, other_results().fsd]
    for name, key in (("FSD", "value"), ("floor", "floor"), ("bias-reduced", "bias_reduced")):
        cells = page.row(name)
        values = [getattr(fsd, key) for fsd in found]
        assert [float(attributes["data-v"]) for attributes, _ in cells] == values
        assert [text for _, text in cells] == [number(value) for value in values]
    ends = page.row("95\u00a0% interval")
    assert [text for _, text in ends] == ["–", "5.5 to 10.8"]
    assert ends[1][0]["data-v"] == "5.5 10.75"
    assert [text.split(":")[0] for _, text in page.row("omitted classes")] == ["6", "2"]


def by_label(results: Results) -> dict[str, list[ClassResult]]:
    """The classes but "no object"; two may have one name."""
    found: dict[str, list[ClassResult]] = {}
    for record in results.classes:
        if record.index:
            found.setdefault(record.label, []).append(record)
    return found


def test_every_class_of_the_matrix_equals_the_results(viewer: Viewer) -> None:
    page = compare(viewer, "first", "second", query="&show=all")
    sides = [by_label(results) for results in (church_results(), other_results())]
    rows: dict[str, list[Any]] = {}
    for row, cells in page.rows:
        if "data-label" in row:
            rows.setdefault(row["data-label"], []).append(cells[1:])
    assert rows.keys() == sides[0].keys() and len(rows["wall"]) == 2
    for label, found in rows.items():
        for k, side in enumerate(sides):
            records = side.get(label, [])
            for cells, record in zip_longest(found, records):
                attributes, text = cells[k]
                if record is None:
                    assert text == "not among its classes" and "data-v" not in attributes
                else:
                    check_cell(attributes, text, record)


def check_cell(attributes: dict[str, str], text: str, record: ClassResult) -> None:
    relative = record.relative_difference
    assert attributes["data-v"] == ("" if relative is None else repr(relative))
    assert attributes["data-verdict"] == record.verdict and record.verdict in text
    assert text.startswith(f"{'new' if relative is None else change(relative)} ")
    assert f"{area(record.real_area)} → {area(record.generated_area)}" in text
    if relative is not None:
        assert interval(record.ci_low, record.ci_high) in text


def test_which_classes_are_shown() -> None:
    first, second = (columns(r, "x", "k")[0] for r in (church_results(), other_results()))
    every, known = class_rows([first, second], "all")
    assert len(every) == known == len(church_results().classes) - 1
    claimed, _ = class_rows([first, second], "claimed")
    differ, _ = class_rows([first, second], "differ")
    assert 0 < len(differ) < len(every) and 0 < len(claimed) < len(every)
    for row in every:
        verdicts = {None if cell is None else cell.verdict for cell in row.cells}
        assert (row in claimed) == bool(verdicts - {None, "no evidence"})
        assert (row in differ) == (len(verdicts) > 1)
    named, total = class_rows([first, second], "all", "STEP")
    assert [row.label for row in named] == ["step"] and total == known
    areas = [max(_real(cell.areas) for cell in row.cells if cell is not None) for row in every]
    assert areas == sorted(areas, reverse=True)


def _real(areas: str) -> float:
    return float(areas.split("\u00a0")[0])


def test_intervals_of_a_paired_run_are_those_within_pairs() -> None:
    results = paired_results()
    assert results.paired is not None
    rows, _ = class_rows(columns(results, "x", "k"), "all")
    ends = {record.label: relative_ends(record) for record in results.paired.classes}
    shown = {row.label: row.cells[0].ends for row in rows if row.cells[0] is not None}
    assert shown["car"] == ends["car"] != ""


def test_several_generators_are_columns_of_their_own(viewer: Viewer) -> None:
    page = compare(viewer, "several", query="&show=all")
    results = several_results()
    cells = page.row("FSD")
    assert [a["data-v"] for a, _ in cells] == [repr(g.fsd.value) for g in results.generators]
    text = viewer.page(f"run/{viewer.key('several')}").text
    part = viewer.key("several/generators/1-a")
    assert f'href="/{viewer.secrets.token}/run/{part}"' in text
    assert viewer.page(f"run/{part}").status == 200
    assert viewer.ask(f"/{part}/report.html").text == "<p>"
    assert len(compare(viewer, "several/generators/1-a", "several").row("FSD")) == 3


# --------------------------------------------------------------------------- what is comparable


def changed(**changes: Any) -> list[Results]:
    return [church_results(), other_results(**changes)]


SEGMENTER = church_results().segmenter
DATA = church_results().data


@pytest.mark.parametrize(
    ("changes", "words", "verdict"),
    [
        ({}, [], "Comparable"),
        (
            {"data": DATA.model_copy(update={"fingerprint": "99" * 32})},
            ["The real images differ (church_outdoor_train (12121212); church_outdoor_train (9999"],
            "Not comparable",
        ),
        (
            {"segmenter": SEGMENTER.model_copy(update={"weights_sha256": "ee" * 32})},
            ["The segmenters differ (upernet (weights abababab); upernet (weights eeeeeeee))"],
            "Not comparable",
        ),
        (
            {"segmenter": SEGMENTER.model_copy(update={"options": {"planes": ["part"]}})},
            ["The segmenters differ"],
            "Not comparable",
        ),
        ({"preset": {"name": "native"}}, ["The preparation of the images"], "Not comparable"),
        (
            {"n_real": 200, "n_generated": 200},
            ["The numbers of images differ (10,000 a side; 200 a side): FSD falls as n grows"],
            "Comparable in part",
        ),
        ({"n_real": 200}, ["200 real, 10,000 generated"], "Comparable in part"),
        ({"level": 0.1}, ["The levels of the verdicts differ (5"], "Comparable in part"),
        (
            {"preset": {"name": "native"}, "n_real": 5},
            ["The preparation", "The numbers"],
            "Not comparable",
        ),
    ],
)
def test_what_keeps_runs_from_being_compared(
    tmp_path: Path, changes: dict[str, Any], words: list[str], verdict: str
) -> None:
    found = [columns(results, "x", "k")[0] for results in changed(**changes)]
    rows, cautions = settings(found)
    assert len(cautions) == len(words) == sum(row.differs for row in rows)
    for caution, start in zip(cautions, words, strict=True):
        assert start in caution.words
    assert verdict_of(cautions) == verdict
    for title, results in zip("ab", changed(**changes), strict=True):
        add_run(tmp_path / title, results)
    viewer = Viewer(tmp_path)
    text = viewer.page(f"compare?run={viewer.key('a')}&run={viewer.key('b')}").text
    assert f"<h2>{verdict}</h2>" in text
    assert text.count("<small>differs</small>") == len(words)


def test_real_images_of_which_nothing_is_known() -> None:
    results = church_results(data=DATA.model_copy(update={"fingerprint": ""}))
    found = [columns(results, run, "k")[0] for run in "ab"]
    (caution,) = settings(found)[1]
    assert caution.total and caution.words.startswith("Nothing tells whether the real images")
    assert settings([found[0], found[0]])[1] == []  # two generators of one run


def test_tests_within_pairs_are_others() -> None:
    paired = paired_results()
    between = paired.model_copy(update={"paired": None})
    found = [columns(results, "x", "k")[0] for results in (paired, between)]
    assert any(
        "The tests differ (within pairs; between sides)" in c.words for c in settings(found)[1]
    )


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_the_picture_of_distances_takes_any_number(value: float) -> None:
    fsd = FSDResult(value=value, mean_term=0, cov_term=0, floor=value, ci_low=value, ci_high=value)
    made, end = bars([columns(church_results(fsd=fsd), "x", "k")[0]])
    assert end > 0
    for x in (made[0].value, made[0].floor, made[0].low, made[0].high):
        assert x is None or 0 <= x <= 100


# ---------------------------------------------------------------------------- nothing to compare


def test_too_few_runs_and_unknown_ones(viewer: Viewer, tmp_path: Path) -> None:
    first, inverted = viewer.key("first"), viewer.key("inverted")
    for query in ("", "?run=", f"?run={first}", f"?run={first}&run={first}", "?run=../first"):
        page = viewer.page(f"compare{query}")
        assert page.status == 404 and "Choose two or more runs" in page.text
    page = viewer.page(f"compare?run={first}&run={inverted}&run=gone")
    assert page.status == 404
    assert "inverted: a run of inversions has no distance" in page.text
    assert "1 of the chosen runs is not there any more" in page.text
    text = viewer.page(f"compare?run={first}&run={viewer.key('second')}&run={inverted}").text
    assert "inverted: a run of inversions" in text and "Comparable" in text


def test_the_way_back_keeps_what_was_chosen(viewer: Viewer) -> None:
    page = compare(viewer, "first", "second")
    back = next(a["href"] for tag, a in page.elements if tag == "a" and "?" in a["href"])
    assert back == (
        f"/{viewer.secrets.token}/?run={viewer.key('first')}&run={viewer.key('second')}"
    )


def test_a_search_that_finds_nothing(viewer: Viewer) -> None:
    keys = f"run={viewer.key('first')}&run={viewer.key('second')}"
    text = viewer.page(f"compare?{keys}&label=%3Cscript%3E0&show=nonsense").text
    assert "No class fits these choices." in text and "<script>0" not in text
