"""The tables of a suite: numbers are those of the records, names are escaped, edges are shown."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.report.suites import read_suite, suite_table
from seeingkit.results import RankingResults, SuiteResults
from tests.helpers.suite_folders import make_suite

HOSTILE = "<script>|\u202e$x_y\\"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generators = {"near": {}, "far": {"boat": 1.0, "water": 0.9}, HOSTILE: {"boat": 0.95}}
    return make_suite(
        tmp_path_factory.mktemp("suite") / "a",
        generators,
        failed={"broken": "out of memory"},
        waiting=["late"],
        steps={"near": ("snap-*.pkl", 5000.0)},
    )


@pytest.fixture(scope="module")
def ranked(suite: Path) -> RankingResults:
    text = (suite / "rankings" / "photos" / "results.json").read_text(encoding="utf-8")
    return RankingResults.model_validate_json(text)


def rows(folder: Path, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(suite_table(folder, what=what, format="json"))
    return found


def test_the_ranking_has_the_numbers_of_the_record(suite: Path, ranked: RankingResults) -> None:
    by_name = {row["generator"]: row for row in rows(suite, "ranking")}
    for member in ranked.members:
        row = by_name[member.name]
        assert row["kind"] == ("control" if member.control else "generator")
        assert (row["rank"], row["rank_low"], row["rank_high"]) == (
            member.rank,
            member.best_rank,
            member.worst_rank,
        )
        assert row["distance"] == member.distance and row["fsd"] == member.fsd.value
        assert row["groups"] == member.letters
        assert row["omitted"] == len(member.omitted)
    assert by_name["near"]["step"] == 5000 and by_name["near"]["series"] == "snap-*.pkl"
    assert by_name["near"]["step_unit"] == "kimg" and "5,000 kimg" in str(suite_table(suite))


def test_rows_stand_by_distance_and_what_has_none_follows(suite: Path) -> None:
    found = rows(suite, "ranking")
    distances = [row["distance"] for row in found if row["distance"] is not None]
    assert distances == sorted(distances) and len(distances) == 4
    assert [(r["generator"], r["state"], r["reason"]) for r in found[4:]] == [
        ("broken", "failed", "out of memory"),
        ("late", "waiting", "not run yet"),
    ]


def test_classes_have_the_numbers_of_the_record(suite: Path, ranked: RankingResults) -> None:
    found = {(row["class"], row["generator"]): row for row in rows(suite, "classes")}
    assert len(found) == len(ranked.classes) * len(ranked.members)
    for one in ranked.classes:
        for k, member in enumerate(ranked.members):
            row = found[one.label, member.name]
            assert row["verdict"] == one.verdicts[k]
            assert (row["area"], row["area_low"], row["area_high"]) == (
                one.area.values[k],
                one.area.low[k],
                one.area.high[k],
            )
            assert row["images"] == one.images.values[k]
            relative = (one.area.values[k] - one.real_area) / one.real_area
            assert row["relative_difference"] == pytest.approx(relative)


def test_differences_have_a_row_for_each_pair(suite: Path, ranked: RankingResults) -> None:
    found = rows(suite, "differences")
    assert [(r["first"], r["second"], r["difference"], r["nearer"]) for r in found] == [
        (d.first, d.second, d.value, d.nearer) for d in ranked.differences
    ]


def test_tables_for_people(suite: Path) -> None:
    text = str(suite_table(suite))
    head = text.splitlines()[0]
    assert head.split()[:2] == ["rank", "generator"]
    assert "control" in text and "failed: out of memory" in text and "waiting: not run yet" in text
    assert "\u202e" not in text and "\x1b" not in text
    classes = str(suite_table(suite, what="classes"))
    boat = next(line for line in classes.splitlines() if line.startswith("boat"))
    assert boat.count("▼") == 2 and "(control)" in classes
    assert "nearer" in str(suite_table(suite, what="differences"))


def test_names_are_escaped_for_each_format(suite: Path) -> None:
    markdown = str(suite_table(suite, format="markdown"))
    assert r"\<script\>\|" in markdown and "<script>" not in markdown
    widths = {line.replace(r"\|", "").count("|") for line in markdown.splitlines()}
    assert len(widths) == 1
    latex = str(suite_table(suite, what="classes", format="latex"))
    assert r"\textless{}script\textgreater{}" in latex and r"x\_y" in latex
    assert not set("▼↓↑−") & set(latex)
    assert latex.count("o -") == 3  # of two generators boats, of one of them water too


@pytest.mark.parametrize("what", ["ranking", "classes", "differences"])
def test_parquet_and_csv_have_the_rows_of_json(suite: Path, what: str) -> None:
    content = suite_table(suite, what=what, format="parquet")
    assert isinstance(content, bytes)
    table = parquet.read_table(io.BytesIO(content))
    found = rows(suite, what)
    assert table.num_rows == len(found) and table.column_names == list(found[0])
    csv = str(suite_table(suite, what=what, format="csv"))
    assert len(csv.splitlines()) == len(found) + 1


def test_several_rankings_have_a_column_of_their_names(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, {"a": {}, "b": {"boat": 1.0}}, rankings=["x", "y"], n=60)
    for what in ("ranking", "classes", "differences"):
        assert {row["ranking"] for row in rows(folder, what)} == {"x", "y"}
    assert str(suite_table(folder, what="classes", format="markdown")).startswith(
        "| ranking | class"
    )


def test_without_controls_the_halves_of_the_real_images_stand_in_the_table(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, {"a": {}, "b": {"boat": 1.0}}, controls=0, n=60)
    control = next(row for row in rows(folder, "ranking") if row["kind"] == "control")
    assert control["generator"] == "real images, one half against the other"
    assert control["n"] == 30 and control["rank"] is None and control["groups"] is None


def test_nothing_done_yet(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, {}, waiting=["a"], failed={"b": "no such file"})
    assert [row["state"] for row in rows(folder, "ranking")] == ["failed", "waiting"]
    with pytest.raises(UsageError, match="the table classes has no rows yet"):
        suite_table(folder, what="classes")


def test_what_is_asked_for_is_checked(suite: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no table named 'rankings'; did you mean 'ranking'"):
        suite_table(suite, what="rankings")
    with pytest.raises(UnknownNameError, match="format"):
        suite_table(suite, format="html")
    with pytest.raises(RunError, match="no suite, for it holds no results.json"):
        suite_table(tmp_path)


def _cut(folder: Path) -> None:
    path = folder / "rankings" / "photos" / "results.json"
    path.write_text(path.read_text(encoding="utf-8")[:500], encoding="utf-8")


def _gone(folder: Path) -> None:
    (folder / "rankings" / "photos" / "results.json").unlink()


def _outside(folder: Path) -> None:
    path = folder / "results.json"
    suite = SuiteResults.model_validate_json(path.read_text(encoding="utf-8"))
    rankings = [r.model_copy(update={"name": "../../etc"}) for r in suite.rankings]
    path.write_text(suite.model_copy(update={"rankings": rankings}).model_dump_json())


@pytest.mark.parametrize(
    ("damage", "said"),
    [(_cut, "does not fit"), (_gone, "cannot read"), (_outside, "inside")],
)
def test_damaged_suites_are_named(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    folder = make_suite(tmp_path, {"a": {}, "b": {}}, n=60)
    damage(folder)
    with pytest.raises(RunError, match=said):
        read_suite(folder)
