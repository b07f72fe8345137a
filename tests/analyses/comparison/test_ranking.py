"""A ranking of many generators and controls: rows, claims, letters, classes, and refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from seeingkit import Tally, compare
from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.analyses.comparison.generators import contrast_comparisons
from seeingkit.analyses.comparison.ranking import rank_generators
from seeingkit.errors import TallyError, UsageError
from seeingkit.results import RankingResults, SegmenterClass, SegmenterShare, share_letter

NAMES = ("-", "sky", "tree", "person")
REAL = (2.0, 5.0, 3.0, 2.5)


def images(seed: int, n: int = 160, lost: float = 0.0) -> Tally:
    """Rows of the real distribution; in a share of the images the sky takes the person's place."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(REAL, n)
    gone = rng.random(n) < lost
    rows[gone, 1] += rows[gone, 3]
    rows[gone, 3] = 0
    return Tally.from_fractions(rows, NAMES)


def compared(made: Tally) -> Comparison:
    return compare(images(0), made, permutations=0, evidence=False)


@pytest.fixture(scope="module")
def comparisons() -> dict[str, Comparison]:
    made = {"good": images(1), "again": images(2), "half": images(3, lost=0.5)}
    made["none"] = images(4, lost=1.0)
    return {name: compared(one) for name, one in made.items()}


@pytest.fixture(scope="module")
def ranking(comparisons: dict[str, Comparison]) -> RankingResults:
    controls = [compared(images(k)) for k in (5, 6)]
    return rank_generators(list(comparisons.values()), list(comparisons), controls=controls)


def test_generators_and_controls_stand_in_one_table(ranking: RankingResults) -> None:
    assert [m.distance for m in ranking.members] == sorted(m.distance for m in ranking.members)
    assert {m.name for m in ranking.members if m.control} == {"real images (1)", "real images (2)"}
    by_name = {m.name: m for m in ranking.members}
    assert [m.rank for m in ranking.members if not m.control] == [1, 2, 3, 4]
    assert by_name["none"].rank == by_name["none"].best_rank == by_name["none"].worst_rank == 4
    assert by_name["half"].best_rank == by_name["half"].worst_rank == 3
    for name in ("good", "again"):
        assert (by_name[name].best_rank, by_name[name].worst_rank) == (1, 2)
        assert by_name[name].beside_controls is True
        assert share_letter(by_name[name].letters, by_name["real images (1)"].letters)
    assert by_name["half"].beside_controls is False
    assert by_name["real images (1)"].beside_controls is None
    assert by_name["real images (1)"].rank is None
    assert by_name["none"].omitted == ["person"]
    assert by_name["good"].claimed == by_name["real images (2)"].claimed == []
    assert ranking.halves is None


def test_letters_intervals_and_claims_say_the_same(ranking: RankingResults) -> None:
    letters = {m.name: m.letters for m in ranking.members}
    assert len(ranking.differences) == 15
    for pair in ranking.differences:
        assert share_letter(letters[pair.first], letters[pair.second]) == (pair.nearer is None)
        assert (pair.ci_low <= 0 <= pair.ci_high) == (pair.nearer is None)
        if pair.nearer is not None:
            assert pair.p_alike is not None
            assert pair.p_alike <= 0.05 / 6  # at most the nine true claims were gone before
            assert pair.nearer == pair.first  # members are in order
    assert sum(pair.nearer is not None for pair in ranking.differences) == 9


def test_a_class_is_in_groups_and_has_the_verdicts_of_each_member(ranking: RankingResults) -> None:
    assert [c.label for c in ranking.classes] == ["sky", "tree", "person"]  # "-" is no class
    places = {m.name: k for k, m in enumerate(ranking.members)}
    person = ranking.classes[-1]
    assert person.verdicts[places["none"]] == "omitted"
    assert person.verdicts[places["good"]] == "no evidence"
    assert person.images.values[places["none"]] == 0
    for a, b in combinations(ranking.members, 2):
        kinds = [{"half": 1, "none": 2}.get(m.name, 0) for m in (a, b)]
        less = kinds[0] > kinds[1]
        ends = places[a.name], places[b.name]
        assert person.images.surely_less(*ends) == less
        assert person.images.surely_less(*ends[::-1]) == (kinds[0] < kinds[1])
    tree = ranking.classes[1]
    assert tree.area.letters == []
    assert tree.area.q_equal > 0.025
    assert not tree.area.surely_less(0, 1)
    assert tree.area.low[0] <= tree.area.values[0] <= tree.area.high[0]
    assert tree.real_area == pytest.approx(images(0).percent()[:, 2].mean())


def test_values_are_those_of_the_page_of_few_generators(
    comparisons: dict[str, Comparison], ranking: RankingResults
) -> None:
    page = contrast_comparisons(list(comparisons.values()), list(comparisons), permutations=0)
    values = {(p.first, p.second): p for p in ranking.differences}
    for pair in page.results.differences:
        names = (pair.first, pair.second)
        sign = 1 if names in values else -1
        found = values[names[::sign]]
        assert sign * found.value == pytest.approx(pair.value)
        assert found.standard_error == pytest.approx(pair.standard_error)
    by_name = {m.name: m for m in ranking.members}
    assert all(by_name[name].fsd == each.results.fsd for name, each in comparisons.items())


def test_the_order_of_the_comparisons_changes_nothing_but_draws(
    comparisons: dict[str, Comparison],
) -> None:
    names = list(comparisons)
    forth = rank_generators([comparisons[n] for n in names], names, permutations=0)
    back = rank_generators([comparisons[n] for n in names[::-1]], names[::-1], permutations=0)
    assert back == forth
    other = rank_generators([comparisons[n] for n in names], names, seed=1, permutations=0)
    assert other != forth


def test_without_controls_halves_of_the_real_images_are_compared(
    comparisons: dict[str, Comparison],
) -> None:
    found = rank_generators(list(comparisons.values()), list(comparisons), permutations=99)
    assert found.halves is not None
    assert found.halves.n == 80
    assert found.halves.claimed == []
    assert all(m.beside_controls is None for m in found.members)
    assert RankingResults.model_validate_json(found.model_dump_json()) == found


def test_names_are_numbered_or_given_once_each(comparisons: dict[str, Comparison]) -> None:
    two = list(comparisons.values())[:2]
    found = rank_generators(two, controls=[compared(images(9))])
    assert {m.name for m in found.members} == {
        "generated images (1)",
        "generated images (2)",
        "real images",
    }
    with pytest.raises(UsageError, match="two members of a ranking are named 'a'"):
        rank_generators(two, ["a", "a"])
    with pytest.raises(UsageError, match="1 names for 2 generators"):
        rank_generators(two, ["a"])


def test_what_cannot_be_ranked_is_refused(comparisons: dict[str, Comparison]) -> None:
    good = comparisons["good"]
    with pytest.raises(TallyError, match="two generators or more are ranked"):
        rank_generators([good])
    other = compare(images(9), images(1), permutations=0, evidence=False)
    with pytest.raises(TallyError, match="different real images"):
        rank_generators([good, other])
    paired = compare(images(0), images(1), permutations=0, paired=True, force=True)
    with pytest.raises(TallyError, match="within pairs"):
        rank_generators([good, paired])


def test_classes_that_may_be_segmentation_error_are_named(
    comparisons: dict[str, Comparison],
) -> None:
    checked = [
        SegmenterClass(label="person", flagged=True, why="x"),
        SegmenterClass(label="tree", flagged=False),
    ]
    share = SegmenterShare(kind="scale", against="a second scale", images=9, classes=checked)
    found = dict(comparisons)
    results = found["none"].results.model_copy(update={"segmenter_share": share})
    found["none"] = replace(found["none"], results=results)
    said = "none: the difference from the real images in person may be segmentation error"
    ranked = rank_generators(list(found.values()), list(found), permutations=0)
    assert [w for w in ranked.warnings if "segmentation error" in w] == [f"{said}."]
    two = contrast_comparisons([found["good"], found["none"]], ["good", "none"], permutations=0)
    assert [w for w in two.results.warnings if "segmentation error" in w] == [
        f"{said}, so a claim of who is closer in these classes may be, too."
    ]
