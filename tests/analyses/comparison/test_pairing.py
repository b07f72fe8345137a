"""Pairs of images: found by name or order, said how, and compared within pairs alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import seeingkit
from seeingkit import Tally, compare
from seeingkit.analyses.comparison.pairing import pair_up, stem
from seeingkit.analyses.comparison.within import verdict_of
from seeingkit.contracts import Skipped
from seeingkit.errors import TallyError, UsageError
from seeingkit.results import ModelRecord, PairedClass, Results
from seeingkit.results.gates import check_gates


def named(ids: Sequence[str], skipped: Sequence[str] = (), generator: bool = False) -> Tally:
    rows = [[0.5 + k / 100, 0.5 - k / 100] for k in range(len(ids))]
    tally = Tally.from_fractions(rows, ["sky", "car"], ids=ids)
    if generator:
        made = ModelRecord(name="progan", family="progan")
        tally = replace(tally, record=tally.record.model_copy(update={"generator": made}))
    return replace(tally, skipped=tuple(Skipped(item, "broken") for item in skipped))


def test_names_without_the_ending_of_a_picture() -> None:
    assert stem("a/church.27.JPEG") == "a/church.27"
    assert stem("seed 1.5") == "seed 1.5"


def test_same_names_in_another_order() -> None:
    found = pair_up(named(["b.png", "a.png", "c.png"]), named(["a.jpg", "b.jpg", "c.jpg"]))
    assert found.real.ids == ("b.png", "a.png", "c.png")
    assert found.generated.ids == ("b.jpg", "a.jpg", "c.jpg")
    assert (found.matched, found.words, found.notes) == ("names", ("", ""), ())


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (
            ["church_2_target", "church_10_target"],
            ["church_2_rec", "church_10_rec"],
            ("target", "rec"),
        ),
        (["real-2", "real-10"], ["fake-10", "fake-2"], ("real", "fake")),
        (["2", "10"], ["10_edited", "2_edited"], ("", "edited")),
        (["x/2_a", "y/2_a"], ["y/2_b", "x/2_b"], ("a", "b")),
    ],
)
def test_a_word_that_all_names_of_a_side_have(
    first: list[str], second: list[str], words: tuple[str, str]
) -> None:
    found = pair_up(named(first), named(second))
    assert (found.matched, found.words) == ("words", words)
    keys = [
        [item.replace(word, "").strip("_-") for item in side.ids]
        for side, word in zip((found.real, found.generated), words, strict=True)
    ]
    assert keys[0] == keys[1]
    assert "paired by their names without" in found.notes[0]


def test_numbers_are_never_left_out_of_names() -> None:
    # "img1" and "img2" would both be "img" without their common endings.
    found = pair_up(named(["a1", "b1"]), named(["c2", "d2"]))
    assert found.matched == "order"


def test_order_where_no_names_agree_is_said_loudly() -> None:
    found = pair_up(named(["p", "q"]), named(["x", "y"]))
    assert found.matched == "order"
    assert found.generated.ids == ("x", "y")
    (note,) = found.notes
    assert "by their order" in note and "p with x" in note and "q with y" in note


@pytest.mark.parametrize(
    ("real", "generated", "words"),
    [
        (named(["a", "b", "c"]), named(["a", "b"]), ["1 real (c)", "--force"]),
        (
            named(["a", "b"]),
            named(["b", "c", "d", "e", "f"]),
            ["1 real (a)", "4 generated (c, d, e …"],
        ),
        (named(["a.png", "a.jpg"]), named(["a.png", "b.png"]), ["a.png and a.jpg", "'a'"]),
        (named(["p", "q"]), named(["x", "y", "z"]), ["2 and 3 images", "p and x"]),
        (named(["p", "q"], ["r"]), named(["x", "y", "z"]), ["skipped", "order"]),
        (named(["p", "q"]), named(["x", "y"], generator=True), ["only one side", "generator"]),
        (named(["a"], ["b"]), named(["b"], ["a"]), ["no image has a usable partner"]),
    ],
)
def test_what_cannot_be_paired_is_named(real: Tally, generated: Tally, words: list[str]) -> None:
    with pytest.raises(TallyError) as error:
        pair_up(real, generated)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_skipped_images_drop_their_pair_and_it_is_said() -> None:
    found = pair_up(named(["a", "b", "d"], ["c"]), named(["a", "c", "d"], ["b"]))
    assert found.real.ids == found.generated.ids == ("a", "d")
    assert found.left_out == (1, 1)
    assert found.notes == ("2 images were left out because the partner was skipped.",)


def test_forced_pairs_leave_out_the_others_and_count_them() -> None:
    found = pair_up(named(["a", "b", "c"]), named(["a", "b", "x"]), force=True)
    assert found.real.ids == ("a", "b")
    assert found.left_out == (1, 1)
    assert found.notes == ("2 images have no partner of the same name and took no part.",)


def test_two_generators_with_the_same_seeds_are_paired() -> None:
    sides = (named(["seed 1", "seed 2"], generator=True) for _ in range(2))
    assert pair_up(*sides).matched == "names"


# ------------------------------------------------------------------------------ whole comparisons


def scenes(lost: int = 12, n: int = 12) -> tuple[Tally, Tally]:
    """Cars are gone from the first so many images; all else is as it was, but for noise."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([8, 4, 2], n) * 0.85
    car = rng.uniform(0.05, 0.1, (n, 1))
    names = ["sky", "tree", "house", "car"]
    before = np.c_[rows, car]
    after = np.c_[
        rows + rng.normal(0, 0.005, rows.shape), np.where(np.arange(n)[:, None] < lost, 0, car)
    ]
    ids = [f"{k}.png" for k in range(n)]
    first = Tally.from_fractions(before, names, ids=ids)
    order = rng.permutation(n)
    second = Tally.from_fractions(np.clip(after, 0, 1), names, ids=ids).take(order)
    return first, second


def test_a_paired_comparison_has_paired_verdicts_alone() -> None:
    first, second = scenes()
    found = compare(first, second, paired=True, permutations=99)
    results, paired = found.results, found.results.paired
    assert found.omitted == ["car"]
    assert found.generated.ids == first.ids  # in the order of the real images
    assert paired is not None and paired.pairs == 12 and paired.matched == "names"
    assert (results.pairs, results.power, results.scenes, results.conditions) == (
        None,
        None,
        None,
        [],
    )
    fsd = results.fsd
    assert (fsd.floor, fsd.bias_reduced, fsd.ci_low, fsd.standard_error) == (None, None, None, None)
    assert fsd.p_value == paired.p_fsd
    assert fsd.value == pytest.approx(compare(first, second, permutations=0).results.fsd.value)
    by_label = {record.label: record for record in paired.classes}
    for record in results.classes:
        pair = by_label[record.label]
        assert (record.p_area, record.p_seen) == (pair.p_area, pair.p_images)
        assert (record.ci_low, record.ci_high) == (pair.relative_low, pair.relative_high)
        assert (record.p_presence, record.p_given, record.presence_ci) == (None, None, None)
        assert record.q_value == min(pair.q_area, pair.q_images)
    assert [c.label for c in paired.classes] == [c.label for c in results.classes]
    assert paired.shown_class == "car"
    assert all(p.real == p.generated and p.generated_area == 0 for p in paired.images)
    areas = [p.real_area for p in paired.images]
    assert areas == sorted(areas, reverse=True) and len(areas) == 12
    assert Results.model_validate_json(results.model_dump_json()) == results


def test_gates_see_the_paired_verdicts() -> None:
    first, second = scenes()
    plain = compare(first, second, permutations=0).results
    paired = compare(first, second, paired=True, permutations=0).results
    few = compare(*scenes(lost=3), paired=True, permutations=0).results
    (failure,) = check_gates(["omitted: car"], paired)
    assert "car is omitted" in failure
    assert check_gates(["omitted: car"], few) == []
    (failure,) = check_gates(["paired.classes[car].vanished >= 12"], paired)
    assert "it is 12" in failure
    (failure,) = check_gates(["paired.p_fsd < 0.05"], plain)
    assert "cannot be passed" in failure and "--paired" in failure


def test_seeds_and_order_of_the_rows() -> None:
    first, second = scenes(lost=5)
    one = compare(first, second, paired=True, permutations=99, seed=1).results
    two = compare(first, second, paired=True, permutations=99, seed=1).results
    assert one == two
    mixed = first.take(np.random.default_rng(5).permutation(len(first)))
    other = compare(mixed, second, paired=True, permutations=99, seed=1).results
    assert [(c.label, c.verdict) for c in other.classes] == [
        (c.label, c.verdict) for c in one.classes
    ]
    for a, b in zip(one.classes, other.classes, strict=True):
        assert a.p_value == pytest.approx(b.p_value)  # twelve pairs: all flips


def test_notes_of_the_pairing_reach_the_results() -> None:
    first, second = scenes()
    second = replace(second, ids=tuple(f"other {k}" for k in "abcdefghijkl"))
    found = compare(first, second, paired=True, permutations=0).results
    assert found.paired is not None and found.paired.matched == "order"
    assert any("by their order" in note for note in found.warnings)


def test_groups_of_pairs_are_refused() -> None:
    with pytest.raises(UsageError, match="groups"):
        compare(*scenes(), paired=True, groups="folder")


def test_a_single_pair_is_refused() -> None:
    with pytest.raises(TallyError, match="1 usable images; at least 2"):
        compare(named(["a"]), named(["a"]), paired=True)


def paired_class(**changes: object) -> PairedClass:
    first, second = scenes()
    found = compare(first, second, paired=True, permutations=0).results.paired
    assert found is not None
    usual = {"area_claim": "no evidence", "images_claim": "no evidence"}
    return found.classes[0].model_copy(update={**usual, **changes})


FEWER = {"images_claim": "in fewer images"}
MORE = {"images_claim": "in more images"}


@pytest.mark.parametrize(
    ("changes", "seen", "verdict"),
    [
        ({}, (1.0, 0.1), ("no evidence", None)),
        ({"area_claim": "less area", "relative_difference": -0.5}, (1, 1), ("omitted", "area")),
        ({"area_claim": "less area", "relative_difference": -0.4}, (1, 1), ("reduced", "area")),
        (
            {"area_claim": "more area", "images_claim": "in fewer images"},
            (1, 0),
            ("excess", "area"),
        ),
        (
            {"area_claim": "less area", "relative_difference": -0.4, **FEWER},
            (0.8, 0.4),
            ("omitted", "presence"),
        ),
        ({"relative_difference": -0.6, **FEWER}, (0.8, 0.4), ("omitted", "presence")),
        ({"relative_difference": -0.6, **FEWER}, (0.8, 0.5), ("in fewer images", "presence")),
        ({"relative_difference": -0.1, **FEWER}, (0.8, 0.4), ("in fewer images", "presence")),
        ({"relative_difference": 1.0, **MORE}, (0.1, 0.8), ("excess", "presence")),
        ({"relative_difference": None, **MORE}, (0.0, 0.8), ("excess", "presence")),
        ({"relative_difference": 0.9, **MORE}, (0.1, 0.8), ("in more images", "presence")),
    ],
)
def test_verdicts_sum_up_both_claims(
    changes: dict[str, object], seen: tuple[float, float], verdict: tuple[str, str | None]
) -> None:
    assert verdict_of(paired_class(**changes), *seen) == verdict


@pytest.mark.slow
def test_the_church_pairs(shared: Path, tmp_path: Path) -> None:
    """Thirteen photos and their reconstructions: cars and poles are lost, by pairs alone."""
    torch.set_num_threads(1)
    weights = shared / "real" / "weights" / "espnetv2" / "espnetv2_s_2.0_city_512x256.pth"
    segmenter = seeingkit.load_segmenter("espnetv2", weights=str(weights))
    sides = []
    for kind in ("target", "reconst"):
        images = seeingkit.open_images(
            str(shared / "real/ganseeing-church-pairs" / f"*_{kind}.png")
        )
        sides.append(seeingkit.tally(images, segmenter, store=tmp_path))
    assert compare(*sides, permutations=0).omitted == []
    found = compare(*sides, paired=True, permutations=99)
    assert found.omitted == ["car", "pole"]
    paired = found.results.paired
    assert paired is not None and paired.matched == "words"
    by_label = {record.label: record for record in paired.classes}
    car, pole = by_label["car"], by_label["pole"]
    assert (car.differing, car.p_area, car.vanished, car.shown) == (11, 2 / 2**11, 9, 9)
    assert (pole.differing, pole.p_area) == (9, 2 / 2**9)
    for label in ("person", "traffic sign"):
        assert by_label[label].area_claim == by_label[label].images_claim == "no evidence"


def test_names_of_pairs_are_those_within_their_archives() -> None:
    real = named(["photos.tar/b.png", "photos.tar/a.png"], skipped=["photos.tar/c.png"])
    rows = named([f"rec.parquet/00000{k}/{name}.png" for k, name in enumerate("abc")])
    found = pair_up(real, rows)
    assert found.generated.ids == ("rec.parquet/000001/b.png", "rec.parquet/000000/a.png")
    assert found.matched == "names" and found.left_out == (0, 1)
    plain = pair_up(named(["a.png", "b.png"]), named(["1.tar/b.png", "1.tar/a.png"]))
    assert plain.generated.ids == ("1.tar/a.png", "1.tar/b.png")
    # names that only their shards tell apart stay whole
    shards = [f"{k}.tar/0.png" for k in range(2)]
    assert pair_up(named(shards), named(shards[::-1])).generated.ids == tuple(shards)
