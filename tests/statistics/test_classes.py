"""Per-class comparison: verdicts, what supports them, calibration, and what may be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seeingkit import Tally, compare
from seeingkit.analyses.comparison.compare import check_comparable
from seeingkit.contracts import Label, Skipped, Vocabulary
from seeingkit.errors import TallyError
from seeingkit.results import ClassResult
from seeingkit.statistics import Pool, compare_classes, measure_distance, resampling
from seeingkit.statistics.blocks import Units
from seeingkit.tallies.table import TallyIdentity
from tests.helpers.area_rows import PIXEL, RELATIONS, hard_case, hard_pair, scenes
from tests.helpers.simulations import repeats

NAMES = Vocabulary((Label("-"), Label("wall"), Label("person")))


def classes(
    real: np.ndarray, generated: np.ndarray, permutations: int = 99
) -> dict[int, ClassResult]:
    """Records by the number of the label; without permutations, tests are Student's."""
    pool = Pool(real, generated)
    distance = measure_distance(pool, permutations=permutations, seed=0)
    labels = [(f"label {k}", "object") for k in range(real.shape[1])]
    found = compare_classes(
        pool,
        labels,
        permuted=distance.permuted if permutations else None,
        transport=distance.transport,
    )
    assert [r.index for r in found] == sorted(
        (r.index for r in found),
        key=lambda k: (-real[:, k].mean(), -generated[:, k].mean(), k),
    )
    return {record.index: record for record in found}


def person(real: np.ndarray, generated: np.ndarray) -> ClassResult:
    """The record of label 2."""
    return classes(real, generated)[2]


def tally(rows: np.ndarray) -> Tally:
    return Tally.from_fractions(rows / 100, NAMES)


# verdicts


def test_areas_presences_and_order() -> None:
    real = np.array([[0, 50.0, 50], [0, 100, 0]])
    generated = np.array([[0, 100.0, 0], [0, 100, 0]])
    result = compare(tally(real), tally(generated), permutations=0).results
    wall, someone = result.classes
    assert [wall.label, someone.label] == ["wall", "person"]
    assert (wall.real_area, someone.real_area) == (pytest.approx(75), pytest.approx(25))
    assert wall.relative_difference == pytest.approx(1 / 3)
    assert someone.relative_difference == -1
    assert (someone.real_presence, someone.generated_presence) == (0.5, 0)
    assert someone.real_area_if_present == pytest.approx(50)
    assert (someone.generated_area_if_present, someone.given_change) == (None, None)
    assert someone.presence_change == -1
    assert (someone.verdict, someone.because) == ("no evidence", None)  # two images prove nothing
    assert result.fsd.p_value is None
    assert (result.n_real, result.n_generated) == (2, 2)


def test_a_class_removed_from_all_images_is_omitted() -> None:
    share = np.array([0.1, 0.3])
    real, generated = scenes(400, share, 1), scenes(400, share, 2)
    generated[:, 1] += generated[:, 2]
    generated[:, 2] = 0
    found = classes(real, generated)
    assert (found[2].verdict, found[2].because, found[2].omitted) == ("omitted", "presence", True)
    assert (found[2].area_claim, found[2].images_claim) == ("no evidence", "in fewer images")
    assert found[2].p_value < 1e-6
    assert found[2].images_ci is not None and found[2].images_ci[1] < -0.75
    assert found[2].presence_change == -1
    assert found[2].ci_low == -1
    assert found[3].verdict == "no evidence"


def test_a_class_removed_from_most_images_is_omitted_and_named_by_compare() -> None:
    real, generated = scenes(600, np.array([0.2]), 1), scenes(600, np.array([0.02]), 2)
    found = compare(tally(real), tally(generated), permutations=99)
    assert found.omitted == ["person"]
    someone = found.results.classes[1]
    assert (someone.verdict, someone.because) == ("omitted", "presence")
    assert someone.images_ci is not None
    assert someone.images_ci[0] < -0.9 < someone.images_ci[1] < -0.5
    assert set(found.to_dict()) >= {"fsd", "classes", "n_real", "segmenter", "skipped"}


def thinned(rows: np.ndarray, left: float) -> np.ndarray:
    """Label 2 keeps a part of its area in every image; label 1 takes the rest."""
    rows = rows.copy()
    rows[:, 1] += (1 - left) * rows[:, 2]
    rows[:, 2] *= left
    return rows


def test_a_class_thinned_in_every_image_is_lost_by_area() -> None:
    share = np.array([0.3])
    real, generated = scenes(800, share, 1), scenes(800, share, 2)
    gone = person(real, thinned(generated, 0.3))
    assert (gone.verdict, gone.because) == ("omitted", "area")
    assert gone.given_ci is not None
    assert gone.given_ci[0] <= -0.7 <= gone.given_ci[1] < -0.5
    less = person(real, thinned(generated, 0.7))
    assert (less.verdict, less.because, less.omitted) == ("reduced", "area", False)
    assert less.ci_low is not None and less.ci_high is not None
    assert less.ci_low <= -0.3 <= less.ci_high < 0
    more = person(thinned(real, 0.5), generated)
    assert (more.verdict, more.because) == ("excess", "area")


def test_half_of_the_images_lost_is_an_omission_even_where_less_area_is() -> None:
    # Shown in 0.45 of as many images, but larger there: 55 % of the presence is gone, 37 % of area.
    real, generated = scenes(2000, np.array([0.2]), 1), scenes(2000, np.array([0.09]), 2)
    generated = thinned(generated, 1.4)
    found = person(real, generated)
    assert found.relative_difference is not None and found.relative_difference > -0.5
    assert (found.verdict, found.because) == ("omitted", "presence")


def test_areas_below_the_threshold_are_neither_loss_nor_excess() -> None:
    # Single pixels of person in half of the generated images: presence rises, area given presence
    # falls, and the amount is as it was.
    real, generated = scenes(500, np.array([0.2]), 1), scenes(500, np.array([0.2]), 2)
    generated[::2, 2] += PIXEL
    generated[::2, 1] -= PIXEL
    found = person(real, generated)
    assert found.generated_presence > 0.55
    assert found.p_presence is not None and found.p_presence < 1e-9
    assert found.p_given is not None and found.p_given < 1e-3
    assert found.given_change is not None and found.given_change < -0.5
    assert (found.verdict, found.because) == ("no evidence", None)


def test_a_class_only_generated() -> None:
    none, some = scenes(300, np.array([0.0]), 1), scenes(300, np.array([0.5]), 2)
    found = person(none, some)
    assert (found.verdict, found.because) == ("excess", "presence")
    assert (found.relative_difference, found.ci_low, found.presence_change) == (None, None, None)
    one = scenes(300, np.array([0.0]), 3)
    one[7, 1:] = 60, 40
    found = person(none, one)
    assert (found.verdict, found.p_presence) == ("no evidence", pytest.approx(1.0))
    assert found.p_value > 0.2


def test_a_class_of_few_images_proves_nothing_whatever_its_area() -> None:
    real, generated = scenes(300, np.array([0.0]), 1), scenes(300, np.array([0.0]), 2)
    real[:3, 1:] = 10, 90
    found = person(real, generated)
    assert found.verdict == "no evidence"
    assert found.p_area is not None and found.p_area > 0.05
    assert found.ci_high is None or found.ci_high >= 0


@pytest.mark.parametrize(("times", "claim"), [(2, "in more images"), (0.5, "in fewer images")])
def test_half_the_images_with_twice_the_area_is_a_claim_about_images_alone(
    times: float, claim: str
) -> None:
    share = np.array([0.2])
    real = scenes(4000, share, 1, spread=0.3)
    generated = thinned(scenes(4000, times * share, 2, spread=0.3), 1 / times)
    found = person(real, generated)
    assert found.relative_difference == pytest.approx(0, abs=0.1)
    assert (found.area_claim, found.images_claim) == ("no evidence", claim)
    assert (found.verdict, found.because, found.omitted) == (claim, "presence", False)
    assert found.ci_low is not None and found.ci_high is not None
    assert found.ci_low <= 0 <= found.ci_high
    assert found.images_ci is not None
    assert found.images_change == pytest.approx(times - 1, abs=0.15)
    assert found.images_ci[0] > 0 or found.images_ci[1] < 0


def test_four_images_a_side_prove_nothing() -> None:
    # 2 of the 70 divisions of eight images are as far: more than half of the level.
    real, generated = np.tile([0, 50.0, 50], (4, 1)), np.tile([0, 100.0, 0], (4, 1))
    found = person(real, generated)
    assert found.p_seen == pytest.approx(2 / 70)
    assert found.verdict == "no evidence"


def test_a_class_in_every_image_has_no_test_of_presence() -> None:
    rng = np.random.default_rng(0)
    sky = rng.uniform(20, 60, (2, 200))
    real, generated = (np.column_stack([100 - s, s]) for s in (sky[0], 0.4 * sky[1]))
    found = classes(real, generated)
    assert (found[1].p_presence, found[1].verdict, found[1].because) == (None, "omitted", "area")
    assert found[0].verdict == "excess"
    assert found[1].real_presence_ci is not None and found[1].real_presence_ci[1] == 1


@pytest.mark.slow
def test_single_pixels_beside_a_label_that_fills_the_rest_are_no_evidence() -> None:
    # The rest varies by a hundred-thousandth of itself, which is not "not at all".
    named = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tiny = (rng.random((2, 1000)) < 0.1) * PIXEL
        real, generated = (np.column_stack([100 - s, s]) for s in tiny)
        found = classes(real, generated)
        assert found[0].p_area == pytest.approx(found[1].p_area, abs=0.2)  # skewness is rounding
        named += any(r.verdict != "no evidence" for r in found.values())
    assert named <= 3


# calibration


@pytest.fixture
def no_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permutations without those that the bias of the distance needs: three times as fast."""
    monkeypatch.setattr(resampling, "MOST_HALVED", 0)


def classes_alone(real: np.ndarray, generated: np.ndarray, seed: int) -> dict[int, ClassResult]:
    pool = Pool(real, generated)
    permuted = resampling.permute(Units(pool), permutations=99, seed=seed)
    labels = [(f"label {k}", "object") for k in range(real.shape[1])]
    return {r.index: r for r in compare_classes(pool, labels, permuted=permuted)}


@pytest.mark.usefixtures("no_halves")
@repeats(75, 150)
def test_p_values_under_the_null_are_uniform_and_verdicts_rare(times: int) -> None:
    share = np.array([0.9, 0.4, 0.15])
    p = np.empty((times, 3))
    named = 0
    for k in range(times):
        found = classes_alone(scenes(200, share, 2 * k), scenes(150, share, 2 * k + 1), seed=k)
        p[k] = [found[label].p_value for label in (2, 3, 4)]
        named += any(r.verdict != "no evidence" for r in found.values())
    assert (p <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / p.size)
    assert named / times <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / times)


@pytest.mark.slow
@pytest.mark.usefixtures("no_halves")
def test_rare_heavy_tailed_classes_are_not_named_under_the_null() -> None:
    share = np.full(12, 0.06)
    p, named = [], 0
    for k in range(60):
        sides = (scenes(250, share, 2 * k + side, spread=1.5) for side in (0, 1))
        found = classes_alone(*sides, seed=k)
        p += [r.p_value for r in found.values()]
        named += any(r.verdict != "no evidence" for r in found.values())
    assert np.mean(np.array(p) <= 0.05) <= 0.065
    assert named / 60 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_q_values_are_benjamini_hochberg() -> None:
    rng = np.random.default_rng(0)
    real, generated = rng.random((50, 6)), rng.random((50, 6))
    generated[:, 0] += 0.5
    found = list(classes(real, generated).values())
    for p, q, cut in (
        ("p_area", "q_area", "ci_confidence"),
        ("p_seen", "q_images", "images_confidence"),
    ):
        values = np.array([getattr(r, p) for r in found])
        expected = np.minimum(1, 2 * stats.false_discovery_control(values))
        assert [getattr(r, q) for r in found] == pytest.approx(expected)
        claims = max(1, (expected <= 0.05).sum())
        assert [getattr(r, cut) for r in found] == pytest.approx([1 - 0.025 * claims / 6] * 6)


# properties

cases = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3, 5, 30, 60]),
    st.sampled_from([2, 4, 33]),
    st.integers(1, 8),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from(RELATIONS),
    st.sampled_from([0, 1, 99]),
)
LEVEL = 1 - 0.95
"""What the intervals' confidence leaves, as a float."""


def check_record(record: ClassResult) -> None:
    """Whatever the data: finite, in range, ordered, and each interval agrees with its test."""
    values = record.model_dump()
    for name, value in values.items():
        if isinstance(value, float):
            assert np.isfinite(value), name
        if isinstance(value, tuple):
            assert np.isfinite(value).all() and value[0] <= value[1], name
        if name.startswith(("p_", "q_")) and value is not None:
            assert 0 <= value <= 1, name
    assert ClassResult.model_validate_json(record.model_dump_json()) == record
    for ends, claim in (
        ((record.ci_low, record.ci_high), record.area_claim),
        (record.images_ci, record.images_claim),
    ):
        if ends is not None and ends[0] is not None and ends[1] is not None:
            assert (ends[0] <= 0 <= ends[1]) == (claim == "no evidence")
            assert ends[0] >= -1
    for ends, p in (
        (record.given_ci, record.p_given),
        (record.presence_ci, record.p_presence),
    ):
        if p is not None and ends is not None and ends[0] is not None and ends[1] is not None:
            assert (ends[0] <= 0 <= ends[1]) == (p > LEVEL)
            assert ends[0] >= -1
    for ends, value, most in (
        (record.real_area_ci, record.real_area, 100),
        (record.generated_area_ci, record.generated_area, 100),
        (record.real_presence_ci, record.real_presence, 1),
        (record.generated_presence_ci, record.generated_presence, 1),
    ):
        if ends is not None:
            assert -1e-12 <= ends[0] <= value * (1 + 1e-9) + 1e-12
            assert value * (1 - 1e-9) <= ends[1] <= most * (1 + 1e-9)
    assert record.omitted == (record.verdict == "omitted")
    assert (record.because is None) == (record.verdict == "no evidence")
    if record.verdict != "no evidence":
        assert record.q_value <= 0.05
        change = record.relative_difference
        if record.verdict in ("omitted", "reduced"):
            assert change is not None and change < 0
        if record.verdict == "excess":
            assert change is None or change > 0
    else:
        assert (record.area_claim, record.images_claim) == ("no evidence", "no evidence")
    assert not record.composition or record.p_rest is not None


@pytest.mark.slow
@settings(max_examples=15)
@given(cases)
def test_properties(case: tuple[int, int, int, int, int, int, str, int]) -> None:
    seed, n, m, labels, first, second, relation, permutations = case
    rng = np.random.default_rng(seed)
    real, generated = hard_pair((n, m), labels, (first, second), relation, rng)
    m = len(generated)
    found = classes(real, generated, permutations)
    assert sorted(found) == np.flatnonzero(real.any(0) | generated.any(0)).tolist()
    for record in found.values():
        check_record(record)
        if relation == "same":
            assert record.verdict == "no evidence"
            assert record.p_value > 0.99

    # Labels that never occur change nothing; the order of the labels only rounding.
    padded = (np.pad(rows, ((0, 0), (1, 2))) for rows in (real, generated))
    wide = classes(*padded, permutations)
    assert {k - 1: _numbers(r) for k, r in wide.items()} == {
        k: _numbers(r) for k, r in found.items()
    }
    order = rng.permutation(labels)
    for k, record in classes(real[:, order], generated[:, order], permutations).items():
        original = found[int(order[k])]
        assert (record.verdict, record.because) == (original.verdict, original.because)
        for name in ("p_value", "q_value", "p_area", "p_seen", "p_rest", "ci_low", "ci_high"):
            assert near(getattr(record, name), getattr(original, name)), name

    # Without permutations nothing depends on the order of the images.
    plain = classes(real, generated, 0)
    shuffled = classes(real[rng.permutation(n)], generated[rng.permutation(m)], 0)
    for k, record in plain.items():
        assert shuffled[k].verdict == record.verdict
        if record.real_area > 99.99:  # its spread is below what sums of cubes can hold
            continue
        assert shuffled[k].p_value == pytest.approx(record.p_value, rel=1e-5, abs=1e-7)
        assert near(shuffled[k].ci_low, record.ci_low)


def near(found: float | None, expected: float | None) -> bool:
    """Equal but for rounding, or both undefined."""
    if found is None or expected is None:
        return found is expected
    return bool(np.isclose(found, expected, rtol=1e-5, atol=1e-7))


def _numbers(record: ClassResult) -> dict[str, object]:
    return record.model_dump(exclude={"label", "index"})


# the whole comparison


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 13])
def test_few_images_give_a_whole_and_valid_result(n: int) -> None:
    for kind in range(6):
        rng = np.random.default_rng(kind)
        rows = [np.pad(hard_case(n, 2, kind, rng), ((0, 0), (1, 0))) for _ in range(2)]
        found = compare(*(tally(np.minimum(r, 100)) for r in rows), permutations=99)
        again = json.loads(found.results.model_dump_json())
        assert again == found.to_dict()
        assert "NaN" not in found.results.model_dump_json()
        for record in found.results.classes:
            check_record(record)


def test_no_label_at_all_is_still_a_result() -> None:
    found = compare(tally(np.zeros((60, 3))), tally(np.zeros((60, 3))), permutations=99).results
    assert found.classes == []
    assert (found.fsd.value, found.fsd.p_value, found.fsd.ci_high) == (0, 1, 0)


def test_same_seed_same_bytes_and_another_changes_only_what_is_drawn() -> None:
    share = np.array([0.3])
    sides = tally(scenes(80, share, 1)), tally(scenes(80, share, 2))
    first, again, other = (compare(*sides, permutations=99, seed=s).results for s in (0, 0, 1))
    assert first.model_dump_json() == again.model_dump_json()
    assert first.fsd.value == other.fsd.value
    assert first.fsd.bias_reduced != other.fsd.bias_reduced
    for one, two in zip(first.classes, other.classes, strict=True):
        drawn = {"p_value", "q_value", "p_area", "q_area", "ci_low", "ci_high"}
        assert one.model_dump(exclude=drawn) == two.model_dump(exclude=drawn)
        assert one.p_presence == two.p_presence


def identified(n: int, skipped: int = 0, **changes: dict[str, object]) -> Tally:
    """A tally of n images of one segmenter, some of which could not be read."""
    rows = scenes(n, np.array([0.5]), 0)[: n - skipped] / 100
    identity = TallyIdentity(
        source="x",
        segmenter=changes.get("segmenter", {"family": "a", "weights_sha256": "1"}),
        preset=changes.get("preset", {"size": 256}),
    )
    plain = Tally.from_fractions(rows, NAMES)
    reasons = tuple(Skipped(f"bad {k}", "cannot be read") for k in range(skipped))
    return Tally(plain.ids, plain.counts, plain.pixels, NAMES, identity, reasons)


def test_tallies_that_do_not_compare_are_refused_unless_forced() -> None:
    good = identified(20)
    check_comparable(good, identified(20))
    unread = identified(20, skipped=3)
    check_comparable(unread, identified(20, skipped=3))
    for other, why in (
        (identified(21), "20 and 21 images"),
        (unread, r"20 and 17 images \(3 could not be used\)"),
        (identified(20, segmenter={"family": "a", "weights_sha256": "2"}), "segmenter.*weights"),
        (identified(20, segmenter={"family": "b"}), "segmenter.*family"),
        (identified(20, preset={"size": 128}), r"preset \(size\)"),
    ):
        with pytest.raises(TallyError, match=why) as caught:
            compare(good, other)
        assert "\n" not in str(caught.value)
        check_comparable(good, other, force=True)
        assert compare(good, other, force=True, permutations=0, evidence=False).results.classes


def test_different_vocabularies_and_single_images_are_refused_even_if_forced() -> None:
    rows = scenes(10, np.array([0.5]), 0) / 100
    other = Vocabulary((Label("-"), Label("wall"), Label("car")))
    mine = Tally.from_fractions(rows, NAMES)
    for force in (False, True):
        with pytest.raises(TallyError, match="label 2 is 'person' on one side and 'car'"):
            compare(mine, Tally.from_fractions(rows, other), force=force)
        with pytest.raises(TallyError, match="3 and 2 labels"):
            compare(mine, Tally.from_fractions(rows[:, :2], ["-", "wall"]), force=force)
        with pytest.raises(TallyError, match="at least 2"):
            compare(Tally.from_fractions(rows[:1], NAMES), mine, force=force)
