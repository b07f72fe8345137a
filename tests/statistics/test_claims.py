"""Claims: the correction for many classes, groups of images, and differences of composition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seeingkit.results import ClassResult, only_composition
from seeingkit.statistics import Pool, compare_classes
from seeingkit.statistics import claims as questions
from seeingkit.statistics.blocks import Units
from seeingkit.statistics.claims import EFFECTIVE, adjust, class_tests, effective
from seeingkit.statistics.resampling import permute


def records(pool: Pool, seed: int = 0) -> list[ClassResult]:
    """Of each label, in the order of the labels."""
    labels = [(f"label {k}", "object") for k in range(int(pool.live.max()) + 1)]
    found = compare_classes(pool, labels, permuted=permute(Units(pool), permutations=0, seed=seed))
    return sorted(found, key=lambda record: record.index)


def some_tests(area: list[float], images: list[float]) -> questions.Tests:
    nothing = np.full(len(area), np.nan)
    return questions.Tests(np.array(area), np.array(images), nothing, nothing)


def test_each_question_has_half_of_the_level_and_its_cut_agrees_with_q() -> None:
    area, images = [0.001, 0.02, 0.03, 0.9], [0.5, 0.5, 0.02, 0.01]
    found = adjust([some_tests(area, images)], 0.05)[0]
    assert found.q_area == pytest.approx(np.minimum(1, 2 * stats.false_discovery_control(area)))
    assert found.q_area[:3] == pytest.approx([0.008, 0.08, 0.08])
    assert found.cut_area == pytest.approx(0.025 / 4)
    assert found.q_images[3] == pytest.approx(0.08)  # nothing claimed: the strictest cut
    assert found.cut_images == pytest.approx(0.025 / 4)
    for q, p, cut in (
        (found.q_area, area, found.cut_area),
        (found.q_images, images, found.cut_images),
    ):
        assert ((q <= 0.05) == (np.array(p) <= cut)).all()


def test_several_comparisons_share_the_level() -> None:
    strong, weak = some_tests([1e-6, 1e-5], [1.0, 1.0]), some_tests([0.02, 0.5], [1.0, 1.0])
    alone = adjust([weak], 0.1)[0]
    first, second = adjust([strong, weak], 0.1)
    assert alone.q_area[0] == pytest.approx(0.08)
    assert first.q_area == pytest.approx([8e-6, 4e-5])
    assert second.q_area[0] == pytest.approx(2 * 4 * 0.02 / 3)
    assert first.cut_area == second.cut_area == pytest.approx(0.05 * 3 / 4 if 0.02 <= 0.0375 else 0)
    many = [some_tests([0.004], [1.0])] + [some_tests([0.9], [1.0])] * 39
    assert adjust(many, 0.05)[0].q_area[0] == pytest.approx(0.32)  # of 40, one so small is chance


def test_effective_images_are_a_share_of_those_that_show_the_class() -> None:
    rows = np.zeros((40, 2))
    rows[:10, 0] = 3
    rows[:20, 1] = [50] + [1] * 19
    side = Pool(rows, rows).side(np.repeat([1.0, 0.0], 40))
    assert effective(side) == pytest.approx([10, 69**2 / (2500 + 19)])


def test_areas_of_too_few_effective_images_are_not_tested() -> None:
    real, generated = np.zeros((400, 1)), np.zeros((400, 1))
    real[:200], generated[:EFFECTIVE] = 10, 10
    pool = Pool(real, generated)
    mask = pool.real_mask()
    found = class_tests(pool.side(mask), pool.side(1 - mask), None)
    assert found.area[0] == 1e-6
    generated[0] = 0
    pool = Pool(real, generated)
    found = class_tests(pool.side(mask), pool.side(1 - mask), None)
    assert found.area[0] == 1
    assert found.images[0] < 1e-20


# composition


def scenes(n: int, kept: float, seed: int) -> np.ndarray:
    """Five classes; of the last two a share ``kept`` is left before all fill the image."""
    rng = np.random.default_rng(seed)
    areas = rng.gamma([8, 5, 2, 1.5, 1], 1, (n, 5))
    areas[:, 3:] *= kept
    return 100 * areas / areas.sum(1, keepdims=True)


def test_what_grows_into_the_room_of_the_missing_is_marked() -> None:
    found = records(Pool(scenes(3000, 1, 1), scenes(3000, 0.2, 2)))
    assert [r.verdict for r in found] == ["excess"] * 3 + ["omitted"] * 2
    assert [r.composition for r in found] == [True] * 3 + [False] * 2
    for record in found[:3]:
        assert record.relative_difference is not None and record.relative_difference > 0.08
        assert record.rest_change == pytest.approx(0, abs=0.03)
    assert all(r.rest_change is None for r in found[3:])  # the larger part is not the cause


def test_a_class_that_takes_more_of_the_rest_is_not_marked() -> None:
    real, generated = scenes(3000, 1, 1), scenes(3000, 0.2, 2)
    generated[:, 2] += 0.1 * generated[:, 0]
    generated[:, 0] *= 0.9
    found = records(Pool(real, generated))
    assert (found[2].verdict, found[2].composition) == ("excess", False)
    assert found[2].rest_change is not None and found[2].rest_change > 0.2


def test_what_is_crowded_out_by_one_class_is_marked() -> None:
    real, generated = scenes(3000, 1, 1), scenes(3000, 1, 2)
    generated *= 0.8
    generated[:, 2] += 20
    found = records(Pool(real, generated))
    assert [r.verdict for r in found] == ["reduced"] * 2 + ["excess"] + ["reduced"] * 2
    assert [r.composition for r in found] == [True] * 2 + [False] + [True] * 2


@pytest.mark.slow
def test_the_mark_is_given_to_nearly_all_that_only_fill_the_room() -> None:
    # The hypothesis of each unmarked excess is false here: at most 2.5 % of runs make one.
    unmarked = 0
    for seed in range(40):
        found = records(Pool(scenes(800, 1, 2 * seed), scenes(800, 0.2, 2 * seed + 1)), seed)
        unmarked += any(r.verdict == "excess" and not r.composition for r in found)
    assert unmarked <= 4  # P(more | 2.5 %) = 0.3 %


# groups


def bursts(n: int, size: int, seed: int) -> np.ndarray:
    """n / size scenes of three classes, each of them ``size`` times with little changed."""
    rng = np.random.default_rng(seed)
    areas = rng.gamma([4, 2, 0.3], 1, (n // size, 3))
    areas = np.repeat(areas, size, 0) * np.exp(0.05 * rng.standard_normal((n, 3)))
    return np.asarray(100 * areas / areas.sum(1, keepdims=True))


@pytest.mark.slow
def test_bursts_make_false_claims_and_groups_do_not() -> None:
    groups = [np.repeat(range(80), 5)] * 2
    claims = np.zeros(2)
    for seed in range(40):
        rows = bursts(400, 5, 2 * seed), bursts(400, 5, 2 * seed + 1)
        for which, pool in enumerate((Pool(*rows), Pool(*rows, groups))):
            claims[which] += any(r.verdict != "no evidence" for r in records(pool, seed))
    assert claims[0] > 12
    assert claims[1] <= 6  # P(more | 5 %) = 0.3 %


def test_groups_find_a_loss_and_their_intervals_hold_it() -> None:
    real, generated = bursts(1000, 5, 1), bursts(1000, 5, 2)
    lost = 0.8 * generated[:, 2]
    generated[:, 2] -= lost
    generated[:, 0] += lost
    groups = [np.repeat(range(200), 5)] * 2
    found = records(Pool(real, generated, groups))[2]
    assert found.area_claim == "less area"
    assert found.ci_low is not None and found.ci_high is not None
    assert found.ci_low < -0.8 < found.ci_high < 0
    assert found.real_area_ci is None  # of single images: not given where they belong together


def test_permutations_keep_groups_whole() -> None:
    rows = np.eye(12)
    pool = Pool(rows[:6], rows[6:], ("aaabbb", "aabbcc"))
    assert (pool.real_groups, pool.groups) == (2, 5)
    drawn = permute(Units(pool), permutations=0).first
    pairs = drawn.areas[:, [0, 3, 6, 8, 10]]
    assert (drawn.areas[:, [1, 4, 7, 9, 11]] == pairs).all()
    assert set(np.unique(drawn.n)) <= {4, 5, 6}


def test_films_against_single_images_make_few_false_claims() -> None:
    # All images of a film show a class, or none; generated images are each their own.
    claims = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        films = np.repeat(rng.random((10, 30)) < 0.3, 20, axis=0)
        areas = [
            shown * rng.uniform(1, 3, shown.shape) for shown in (films, rng.random((200, 30)) < 0.3)
        ]
        pool = Pool(*areas, (np.repeat(range(10), 20), range(200)))
        claims += any(r.verdict != "no evidence" for r in records(pool, seed))
    assert claims <= 2


def test_the_class_that_is_nearly_all_of_the_rest_is_never_marked() -> None:
    rng = np.random.default_rng(0)
    shares = ([55, 20, 15, 10], [65, 15.5, 12, 7.5])
    found = records(Pool(*(100 * rng.dirichlet(2 * np.array(share), 1000) for share in shares)))
    assert (found[0].verdict, found[0].composition, found[0].rest_change) == ("excess", False, None)


def test_counts_of_objects_have_no_composition() -> None:
    rows = scenes(1500, 1, 1), scenes(1500, 0.2, 2)
    found = records(Pool(*(1.5 * each for each in rows)))
    assert found[0].verdict == "excess"
    assert not any(r.composition for r in found)
    assert all(r.rest_change is None for r in found)


def test_a_mark_is_settled_only_where_the_interval_says_so() -> None:
    found = records(Pool(scenes(3000, 1, 1), scenes(3000, 0.2, 2)))
    few = records(Pool(scenes(150, 1, 1), scenes(150, 0.2, 2)))
    assert only_composition(found[0]) and found[0].rest_ci is not None
    assert found[0].rest_ci[0] < 0 < found[0].rest_ci[1] < 0.05
    assert not any(only_composition(record) for record in few)
