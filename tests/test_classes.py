"""Per-class comparison: closed forms, verdicts, calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seeingkit import Tally, compare
from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import TallyError
from seeingkit.statistics.classes import class_p_value, compare_classes, fieller_interval


def scenes(n: int, share: float, seed: int, area: float = 0.05) -> np.ndarray:
    """Rows of three labels: nothing, wall, person (present in a share of the images)."""
    rng = np.random.default_rng(seed)
    person = (rng.random(n) < share) * rng.uniform(0.5, 1.5, n) * area
    return np.stack([np.zeros(n), 1 - person, person], 1)


NAMES = Vocabulary((Label("-"), Label("wall"), Label("person")))


def test_areas_presences_and_order() -> None:
    real = np.array([[0, 0.5, 0.5], [0, 1, 0]])
    generated = np.array([[0, 1, 0], [0, 1, 0]])
    result = compare(
        Tally.from_fractions(real, NAMES), Tally.from_fractions(generated, NAMES), permutations=0
    ).results
    wall, person = result.classes
    assert [wall.label, person.label] == ["wall", "person"]
    assert wall.real_area == pytest.approx(75)
    assert person.real_area == pytest.approx(25)
    assert person.relative_difference == -1
    assert wall.relative_difference == pytest.approx(1 / 3)
    assert (person.real_presence, person.generated_presence) == (0.5, 0)
    assert not person.omitted  # two images prove nothing
    assert result.fsd.p_value is None
    assert (result.n_real, result.n_generated) == (2, 2)


def test_a_removed_class_is_named_and_others_are_not() -> None:
    real = Tally.from_fractions(scenes(600, 0.2, 1), NAMES)
    generated = Tally.from_fractions(scenes(600, 0.02, 2), NAMES)
    found = compare(real, generated, permutations=20)
    assert found.omitted == ["person"]
    person = next(c for c in found.results.classes if c.label == "person")
    assert person.ci_low is not None
    assert person.ci_high is not None
    assert person.ci_low < -0.9 < person.ci_high
    assert found.results.fsd.p_value == pytest.approx(1 / 21)
    assert set(found.to_dict()) >= {"fsd", "classes", "n_real", "segmenter", "skipped"}


def test_a_class_only_generated_is_an_excess_without_relative_difference() -> None:
    real = Tally.from_fractions(scenes(300, 0, 1), NAMES)
    generated = Tally.from_fractions(scenes(300, 0.5, 2), NAMES)
    person = next(
        c for c in compare(real, generated, permutations=0).results.classes if c.label == "person"
    )
    assert (person.verdict, person.relative_difference, person.ci_low) == ("excess", None, None)


def test_fieller_interval_covers() -> None:
    covered = 0
    for k in range(400):
        rng = np.random.default_rng(k)
        x, y = rng.gamma(2, 1, 80), rng.gamma(2, 0.6, 70)
        interval = fieller_interval(x, y)
        assert interval is not None
        covered += interval[0] <= -0.4 <= interval[1]
    assert 0.92 <= covered / 400 <= 0.98
    assert fieller_interval(np.zeros(5), np.ones(5)) is None
    assert fieller_interval(np.array([0, 0, 0, 1.0]), np.ones(5)) is None  # mean not above zero


def test_p_values_are_valid_under_the_null() -> None:
    found = np.array(
        [
            class_p_value(scenes(80, 0.3, k)[:, 2], scenes(60, 0.3, 10_000 + k)[:, 2])
            for k in range(400)
        ]
    )
    for level in (0.05, 0.2):
        assert (found <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 400)
    assert class_p_value(np.zeros(4), np.zeros(5)) == 1
    assert class_p_value(np.ones(4), np.ones(5)) == 1
    assert class_p_value(np.ones(4), np.zeros(5)) == 0
    assert class_p_value(np.ones(1), np.zeros(5)) == 1


def test_p_is_welchs_closed_form() -> None:
    # Means 2 and 0, variances 2/(n) on one side and 0 on the other: t = 2 / sqrt(4/3 / 4), 3 df.
    x, y = np.array([1.0, 3, 1, 3]), np.zeros(9)
    t = 2 / np.sqrt(x.var(ddof=1) / 4)
    assert class_p_value(x, y) == pytest.approx(2 * stats.t.sf(t, 3))


def test_specks_are_no_loss_of_area() -> None:
    # Every generated image has a speck of person: presence and ranks differ, area does not.
    real, generated = scenes(500, 0.2, 1), scenes(500, 0.2, 2)
    generated[:, 2] += 2e-5
    generated[:, 1] -= 2e-5
    records = compare_classes(100 * real, 100 * generated, [(n.name, "object") for n in NAMES])
    person = next(r for r in records if r.label == "person")
    assert person.generated_presence == 1
    assert person.verdict == "no evidence"


def test_q_values_are_benjamini_hochberg() -> None:
    rng = np.random.default_rng(0)
    real, generated = rng.random((50, 6)), rng.random((50, 6))
    generated[:, 0] += 0.5
    records = compare_classes(real, generated, [(f"c{k}", "object") for k in range(6)])
    p = np.array([r.p_value for r in records])
    assert [r.q_value for r in records] == pytest.approx(stats.false_discovery_control(p))


def test_different_vocabularies_and_presets_are_refused() -> None:
    rows = scenes(10, 0.5, 0)
    other = Vocabulary((Label("-"), Label("wall"), Label("car")))
    with pytest.raises(TallyError, match="label 2 is 'person' on one side and 'car'"):
        compare(Tally.from_fractions(rows, NAMES), Tally.from_fractions(rows, other))
    with pytest.raises(TallyError, match="at least 2"):
        compare(Tally.from_fractions(rows[:1], NAMES), Tally.from_fractions(rows, NAMES))
