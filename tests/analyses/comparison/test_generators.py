"""Several generators against one set of real images: records, corrections, claims, words."""

from __future__ import annotations

import numpy as np
import pytest

import seeingkit
from seeingkit import Tally, compare, compare_generators
from seeingkit.analyses.comparison.generators import contrast_comparisons
from seeingkit.errors import TallyError
from seeingkit.report import summarise_generators
from seeingkit.results import GeneratorsResults

NAMES = ("sky", "tree", "person")
REAL = (6.0, 3.0, 1.0)


def images(seed: int, alpha: tuple[float, ...] = REAL, n: int = 150) -> Tally:
    return Tally.from_fractions(np.random.default_rng(seed).dirichlet(alpha, n), NAMES)


def three(permutations: int = 199) -> seeingkit.GeneratorsComparison:
    """A generator that is right, one without persons, one that is wrong throughout."""
    lacking = np.random.default_rng(2).dirichlet(REAL, 150)
    lacking[:, 0] += lacking[:, 2]
    lacking[:, 2] = 0
    made = {
        "right": images(1),
        "lacking": Tally.from_fractions(lacking, NAMES),
        "wrong": images(3, (1, 3, 6)),
    }
    return compare_generators(images(0), made, permutations=permutations)


def test_who_is_surely_nearer_and_in_what() -> None:
    results = three().results
    assert [(d.first, d.second, d.nearer) for d in results.differences] == [
        ("right", "lacking", "right"),
        ("right", "wrong", "right"),
        ("lacking", "wrong", "lacking"),
    ]
    person = next(c for c in results.classes if (c.label, c.second) == ("person", "lacking"))
    assert person.area.more == person.area.closer == "right"
    assert person.images.closer == "right"
    assert person.area.second == 0
    words = summarise_generators(results)
    assert words.headline.startswith("right is surely the nearest to the real images")
    assert any(": right in " in line and "person" in line for line in words.details)


@pytest.mark.slow
def test_each_generator_has_the_numbers_of_its_own_comparison() -> None:
    found = three()
    own = compare(images(0), images(1), permutations=199, evidence=False).results
    assert found.results.generators[0].fsd == own.fsd
    assert found.results.generators[0].classes == own.classes
    assert found.comparisons[0].results == own


@pytest.mark.slow
def test_intervals_and_claims_count_all_pairs_and_classes() -> None:
    results = three().results
    assert [d.confidence for d in results.differences] == pytest.approx([1 - 0.05 / 3] * 3)
    for question in ("area", "images"):
        records = [getattr(c, question) for c in results.classes]
        p = np.array([r.p_more for r in records])
        q = np.array([r.q_more for r in records])
        order = np.argsort(p)
        stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
        by_hand = np.minimum.accumulate(stepped[::-1])[::-1]
        assert q[order] == pytest.approx(np.minimum(by_hand, 1))
        assert all((r.q_more <= 0.025) == (r.more is not None) for r in records)
        assert all((r.q_closer <= 0.025) == (r.closer is not None) for r in records)


def test_one_distribution_three_times_gives_no_claim() -> None:
    results = compare_generators(images(0), [images(k) for k in (4, 5)], permutations=99).results
    assert [d.nearer for d in results.differences] == [None]
    assert not any(c.area.closer or c.images.closer for c in results.classes)
    assert summarise_generators(results).headline.startswith("Neither generator is surely nearer")
    assert [g.name for g in results.generators] == [
        "generated images (1)",
        "generated images (2)",
    ]


@pytest.mark.slow
def test_the_control_compares_halves_of_the_real_images() -> None:
    control = three().results.control
    assert control is not None
    assert control.n == 75
    assert control.claimed == []
    assert control.fsd.ci_low == 0


def test_too_few_permutations_claim_nothing_and_say_so() -> None:
    results = three(permutations=19).results  # 1/20 is above 0.05/3
    assert [d.nearer for d in results.differences] == [None] * 3
    assert any("--permutations" in line for line in summarise_generators(results).cautions)


def test_without_permutations_the_interval_alone_decides() -> None:
    results = three(permutations=0).results
    assert results.differences[1].nearer == "right"
    assert results.differences[1].p_swap is None
    assert any("rests on the interval" in line for line in summarise_generators(results).cautions)


def test_results_are_read_again_and_shown_with_names_escaped() -> None:
    found = compare_generators(images(0), {"<b>": images(1), "c": images(2)}, permutations=19)
    assert GeneratorsResults.model_validate(found.to_dict()) == found.results
    html = found._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_no_object_is_no_class() -> None:
    names = ("-", "tree", "person")
    made = [
        Tally.from_fractions(np.random.default_rng(k).dirichlet(REAL, 60), names) for k in range(3)
    ]
    labels = {
        c.label for c in compare_generators(made[0], made[1:], permutations=0).results.classes
    }
    assert labels == {"tree", "person"}


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(TallyError, match="two generators or more"):
        compare_generators(images(0), [images(1)])
    rows = np.random.default_rng(0).dirichlet(REAL, 150)
    other = Tally.from_fractions(rows, NAMES, ids=[f"x{k}" for k in range(150)])
    pair = [compare(real, images(9), permutations=0, evidence=False) for real in (images(0), other)]
    with pytest.raises(TallyError, match="different real images"):
        contrast_comparisons(pair)


@pytest.mark.slow
def test_of_many_generators_all_pairs_are_compared_at_once() -> None:
    """With 21 pairs, 19 permutations of each could never claim anything."""
    made = {f"good {k}": images(k) for k in range(1, 7)} | {"wrong": images(9, (1, 3, 6))}
    results = compare_generators(images(0), made, permutations=19).results
    claimed = {(d.first, d.second) for d in results.differences if d.nearer}
    assert claimed == {(f"good {k}", "wrong") for k in range(1, 7)}
    assert all(d.nearer == d.first for d in results.differences if d.nearer)
    assert all((d.ci_low <= 0 <= d.ci_high) == (d.nearer is None) for d in results.differences)
    assert {d.confidence for d in results.differences} == {results.differences[0].confidence}
    assert 1 - 0.05 / 6 < results.differences[0].confidence < 1 - 0.05 / 21
    assert all(d.permutations == 0 and d.p_swap is not None for d in results.differences)
    words = summarise_generators(results)
    assert not any("permutations" in line for line in words.cautions)
    assert "swap test of one common distribution: p < " in " ".join(words.details)
