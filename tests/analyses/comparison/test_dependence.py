"""Images that belong together: rules for groups, and signs of groups that nobody named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seeingkit import Tally, compare
from seeingkit.analyses.comparison import notes
from seeingkit.analyses.comparison.dependence import (
    _natural,
    dependence_warnings,
    groups_of,
    read_rule,
)
from seeingkit.errors import UsageError
from seeingkit.results import ModelRecord
from seeingkit.statistics import bursts
from seeingkit.statistics.bursts import likeness_in_folders, likeness_in_order, near_copies
from seeingkit.tallies.table import TallyRecord

NAMES = ["sky", "tree", "wall", "road", "car"]


def rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(5), n)


def tally(areas: np.ndarray, ids: list[str] | None = None, generator: bool = False) -> Tally:
    plain = Tally.from_fractions(areas, NAMES)
    made = ModelRecord(name="g", family="g") if generator else None
    record = TallyRecord(generator=made) if made else plain.record
    return Tally(
        tuple(ids or plain.ids),
        plain.counts,
        plain.pixels,
        plain.vocabulary,
        plain.identity,
        record=record,
    )


def test_rules(tmp_path: Path) -> None:
    assert read_rule("folder")("a/b/1.png") == "a/b"
    assert read_rule("folder")("1.png") is None
    assert read_rule(r"^(v\d+)_(\d+)")("v7_003.png") == "v7"
    assert read_rule(r"v\d+")("x/v7_003.png") == "v7"
    table = tmp_path / "films.csv"
    table.write_text("image,film\na.png,1\nb.png,1\nc.png,2\n")
    assert [read_rule(f"{table}:film")(f"{k}.png") for k in "abcd"] == ["1", "1", "2", None]
    with pytest.raises(UsageError, match="no column 'scene'; it has image, film"):
        read_rule(f"{table}:scene")
    with pytest.raises(UsageError, match="cannot be read"):
        read_rule(f"{tmp_path / 'none.csv'}:film")
    table.write_text("image,film\na.png,1\na.png,2\n")
    with pytest.raises(UsageError, match=r"puts 'a.png' into two groups"):
        read_rule(f"{table}:film")
    with pytest.raises(UsageError, match="name the column of the groups"):
        read_rule(str(table))
    table.write_text("image,film\na.png,\n")
    assert read_rule(f"{table}:film")("a.png") is None
    assert read_rule("film[01]|$")("x.png") is None
    with pytest.raises(UsageError, match="no regular expression"):
        read_rule("(")


def test_every_image_of_a_file_has_a_group_and_generated_ones_are_their_own() -> None:
    real = tally(rows(6, 0), [f"v{k // 2}/{k}.png" for k in range(6)])
    made = tally(rows(4, 1), ["0", "1", "2", "3"], generator=True)
    (first, second), record = groups_of(real, made, "folder")
    assert first == ["v0", "v0", "v1", "v1", "v2", "v2"] and second == ["0", "1", "2", "3"]
    assert (record.rule, record.real, record.generated) == ("folder", 3, 4)
    with pytest.raises(UsageError, match="gives no group to the generated image 'x.png'"):
        groups_of(real, tally(rows(2, 1), ["x.png", "a/y.png"]), "folder")
    with pytest.raises(UsageError, match="all real images into one group"):
        groups_of(real, made, "^v")


def test_compare_with_groups_says_so_and_leaves_out_tests_of_single_images() -> None:
    ids = [f"film{k // 5}/{k}.png" for k in range(100)]
    first, second = (np.repeat(rows(20, seed), 5, 0) for seed in (0, 1))
    alone = compare(tally(first, ids), tally(second, ids), permutations=99).results
    found = compare(tally(first, ids), tally(second, ids), permutations=99, groups="folder").results
    assert found.groups is not None and found.groups.real == 20
    assert alone.groups is None
    assert found.pairs is None and found.power is None
    assert any("stay together" in text for text in found.warnings)
    assert found.fsd.value == alone.fsd.value
    assert found.fsd.p_value is not None and alone.fsd.p_value is not None
    assert found.fsd.p_value > 0.05 > alone.fsd.p_value
    assert found.fsd.ci_low is None  # fewer than 50 groups a side
    assert all(record.verdict == "no evidence" for record in found.classes)


def test_independent_images_have_few_near_copies_and_bursts_many() -> None:
    plain = near_copies(100 * rows(1000, 0))
    assert plain is not None and plain.share < 0.15
    rng = np.random.default_rng(1)
    burst = np.repeat(rows(200, 1), 5, 0) * np.exp(0.05 * rng.standard_normal((1000, 5)))
    found = near_copies(100 * burst / burst.sum(1, keepdims=True))
    assert found is not None and found.share > 0.5
    assert (found.first // 5 == found.second // 5).all()
    assert near_copies(100 * rows(99, 0)) is None
    two = np.array([[50.0, 50, 0, 0, 0]] * 500)
    assert near_copies(two) is None  # simple scenes may well be equal


def test_the_closest_pair_comes_first_wherever_it_stands() -> None:
    plain = rows(300, 4)
    close = plain[5] + [0.0001, -0.0001, 0, 0, 0]
    found = near_copies(100 * np.vstack([plain, close, plain[100]]))
    assert found is not None
    assert list(zip(found.first, found.second, strict=True))[:2] == [(100, 301), (5, 300)]


def test_frames_are_known_by_their_order_and_folders_are_not_frames() -> None:
    rng = np.random.default_rng(0)
    slow = 100 * rows(60, 0)[np.repeat(range(60), 10)]
    slow = np.abs(slow + 8 * rng.standard_normal(slow.shape))
    ratio = likeness_in_order(slow)
    assert ratio is not None and ratio < 0.5
    assert likeness_in_order(slow[rng.permutation(600)]) is None
    # Two folders of other scenes: alike within a folder, but not one after the other.
    mixed = np.concatenate(
        [rng.dirichlet([9, 1, 1, 1, 1], 300), rng.dirichlet([1, 1, 1, 1, 9], 300)]
    )
    assert likeness_in_order(100 * mixed, ["a"] * 300 + ["b"] * 300) is None
    assert likeness_in_order(100 * mixed) is not None


def test_films_in_folders_are_said_and_may_be_kinds_of_scene() -> None:
    rng = np.random.default_rng(0)
    long = np.repeat(rows(20, 3), 20, 0) * np.exp(0.3 * rng.standard_normal((400, 5)))
    ids = [f"film{k // 20}/{k:04}.png" for k in range(400)]
    (warning,) = dependence_warnings("real", tally(long / long.sum(1, keepdims=True), ids), seed=0)
    assert "images of one folder are alike" in warning and "--groups" in warning
    assert likeness_in_folders(100 * rows(400, 1), [item[:6] for item in ids]) is None
    assert likeness_in_folders(100 * rows(400, 1), ["a"] * 400) is None


def test_warnings_name_a_pair_and_the_option() -> None:
    ids = [f"{k:04}.png" for k in range(400)]
    burst = np.repeat(rows(100, 1), 4, 0)
    (warning,) = dependence_warnings("real", tally(burst, ids), seed=0)
    assert warning.startswith("100 % of the real images have a near copy")
    assert "0000.png with 0001.png" in warning and "--groups" in warning
    assert dependence_warnings("real", tally(rows(400, 2), ids), seed=0) == []


def test_archives_are_no_folders_of_images_that_belong_together() -> None:
    rule = read_rule("folder")
    assert rule("train-00.tar/holiday/1.jpg") == "holiday"
    assert rule("train.parquet/000012/1.jpg") is None


def test_signs_of_dependence_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    areas = 100 * np.repeat(rows(60, 0), 4, axis=0) + np.linspace(0, 0.1, 240)[:, None]
    order = np.random.default_rng(0).permutation(240)
    shuffled, folders = areas[np.argsort(order)], [f"film {k // 40}" for k in range(240)]

    def signs() -> list[object]:
        found = near_copies(shuffled)
        assert found is not None
        return [
            found.share,
            found.first.tolist(),
            found.second.tolist(),
            likeness_in_order(shuffled, folders, order),
            likeness_in_folders(shuffled, folders, order),
        ]

    whole = signs()
    assert whole[3] == pytest.approx(likeness_in_order(areas, folders))
    monkeypatch.setattr(bursts, "_CELLS", 0)  # 32 images at a time
    monkeypatch.setattr(bursts, "_ROWS", 7)
    parts = signs()
    assert parts[:3] == whole[:3]
    assert parts[3:] == pytest.approx(whole[3:])


def test_copies_are_counted_across_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    areas = rows(40, 3)
    tally = Tally.from_fractions(np.vstack([areas, areas[:9]]))
    assert notes._copies(tally) == 9
    monkeypatch.setattr(notes, "_ROWS", 6)
    assert notes._copies(tally) == 9


@given(st.lists(st.text("ab019/.-é", max_size=8), max_size=8))
def test_names_are_in_the_order_of_their_numbers(names: list[str]) -> None:
    def listed(name: str) -> list[object]:
        parts = re.split(r"(\d+)", name)
        return [int(part) if place % 2 else part for place, part in enumerate(parts)]

    assert sorted(names, key=_natural) == sorted(names, key=listed)
