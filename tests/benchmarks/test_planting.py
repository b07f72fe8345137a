"""Planted omissions are what they say, and the simulations around them count correctly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.omissions import hypotheses, page, summary, trials
from benchmarks.omissions.families import FAMILIES, family
from benchmarks.omissions.grid import QUICK, Cell, cells_of, plants_of
from benchmarks.omissions.planting import Plant, plant
from benchmarks.omissions.running import Finding, findings, known_truths, part_path, run
from benchmarks.omissions.sources import Source, camvid, family_source
from benchmarks.omissions.truths import Truth, nearest_class, truths
from seeingkit import fsd


def some_rows(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.random((n, 6)) * (rng.random((n, 6)) < np.linspace(0.9, 0.2, 6))
    rows[:, 0] += 0.01
    return rows / rows.sum(axis=1, keepdims=True)


def pool(rows: np.ndarray) -> Source:
    """The images of these rows, in pixels of a 100 x 100 image."""
    counts = np.floor(rows * 10_000).astype(np.uint16)
    counts[:, 0] += (10_000 - counts.sum(axis=1)).astype(np.uint16)
    names = tuple(f"c{k}" for k in range(rows.shape[1]))
    return Source("pool", names, False, "some rows", "pool 1", counts, 10_000)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    label=st.integers(0, 5),
    share=st.floats(0, 1),
    keep=st.sampled_from([0.0, 0.3, 0.9]),
    into=st.sampled_from([None, 0, 3]),
)
def test_only_images_with_the_class_change_and_sums_stay(
    seed: int, label: int, share: float, keep: float, into: int | None
) -> None:
    if into == label:
        into = None
    rows = some_rows(60, seed=seed)
    what = Plant(label, share, keep, into)
    planted = plant(rows, what, np.random.default_rng(seed))
    np.testing.assert_allclose(planted.sum(axis=1), rows.sum(axis=1), atol=1e-12)
    assert (planted >= 0).all() and (planted <= 1 + 1e-12).all()
    chosen = (rows[:, label] > 0) & (np.random.default_rng(seed).random(60) < share)
    np.testing.assert_array_equal(planted[~chosen], rows[~chosen])
    np.testing.assert_allclose(planted[chosen, label], keep * rows[chosen, label], atol=1e-15)
    changed = np.abs(planted - rows) > 1e-15
    assert (changed[chosen].sum(axis=1) == 2).all(), "one class loses, one receives"
    if keep == 0:
        assert (planted[chosen, label] == 0).all()


def test_share_of_the_images_that_lose_the_class() -> None:
    rows = some_rows(20_000)
    shown = int((rows[:, 5] > 0).sum())
    for share in (0.1, 0.5, 0.75):
        planted = plant(rows, Plant(5, share), np.random.default_rng(1))
        lost = shown - int((planted[:, 5] > 0).sum())
        assert abs(lost - share * shown) < 4 * np.sqrt(shown * share * (1 - share))
    assert (plant(rows, Plant(5), np.random.default_rng(1))[:, 5] == 0).all()
    np.testing.assert_array_equal(plant(rows, Plant(5, 0.0), np.random.default_rng(1)), rows)


def test_who_receives_the_area() -> None:
    rows = np.array([[0.1, 0.5, 0.4, 0.0], [0.0, 0.0, 1.0, 0.0], [0.6, 0.3, 0.0, 0.1]])
    gone = plant(rows, Plant(2), np.random.default_rng(0))
    np.testing.assert_allclose(gone, [[0.1, 0.9, 0, 0], [1, 0, 0, 0], [0.6, 0.3, 0, 0.1]])
    swapped = plant(rows, Plant(2, into=3), np.random.default_rng(0))
    np.testing.assert_allclose(swapped, [[0.1, 0.5, 0, 0.4], [0, 0, 0, 1], [0.6, 0.3, 0, 0.1]])
    first = plant(np.array([[1.0, 0.0]]), Plant(0), np.random.default_rng(0))
    np.testing.assert_array_equal(first, [[0.0, 1.0]])
    assert [Plant(2).kind, Plant(2, keep=0.5).kind, Plant(2, into=3).kind] == [
        "removed",
        "thinned",
        "swapped",
    ]


@pytest.mark.parametrize("wrong", [{"share": 1.2}, {"keep": -0.1}, {"into": 1}, {"label": -1}])
def test_omissions_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must lie in|cannot be given"):
        Plant(**{"label": 1, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="does not fit"):
        plant(some_rows(5), Plant(6), np.random.default_rng(0))


@pytest.mark.parametrize("name", list(FAMILIES))
def test_families_are_compositions_and_repeat_by_seed(name: str) -> None:
    found = family(name)
    rows = found.draw(500, np.random.default_rng(3))
    assert rows.shape == (500, found.size) == (500, len(found.classes))
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(rows, found.draw(500, np.random.default_rng(3)))
    assert (rows != found.draw(500, np.random.default_rng(4))).any()


def test_long_tail_has_the_stated_presences() -> None:
    rows = family("long-tail").draw(40_000, np.random.default_rng(0))
    presence = (rows > 0).mean(axis=0)
    k = np.arange(2, 217)
    stated = np.minimum(0.98, 1.2 / k**1.1)
    error = np.sqrt(stated * (1 - stated) / len(rows))
    assert (np.abs(presence[1:216] - stated) < 4.5 * error).all()
    assert abs(presence[30] - 0.0275) < 0.004 and abs(presence[5] - 0.167) < 0.008
    assert not presence[216:].any()
    with pytest.raises(KeyError, match="there are long-tail"):
        family("short-tail")


def test_two_samples_of_a_pool_share_no_image() -> None:
    source = pool(some_rows(100))
    assert source.pool is not None
    a, b = source.pair(50, np.random.default_rng(0))
    both = np.concatenate([a, b]) * 10_000
    np.testing.assert_allclose(np.sort(both, axis=0), np.sort(source.pool, axis=0))
    assert source.reaches(50) and not source.reaches(51)
    assert source.plentiful(5) and not source.plentiful(6)
    with pytest.raises(ValueError, match="102 are needed"):
        source.pair(51, np.random.default_rng(0))


def test_truth_of_a_pool_is_that_of_the_pool() -> None:
    source = pool(some_rows(300))
    rows = next(source.population(0))
    gone = Plant(4)
    nothing, removed = truths(source, [None, gone], 0)
    assert nothing.fsd == 0 and not nothing.directions().any()
    planted = plant(rows, gone, np.random.default_rng(0))
    assert removed.fsd == pytest.approx(fsd(rows, planted).value, rel=1e-6)
    np.testing.assert_allclose(removed.planted_area, 100 * planted.mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(removed.presence, (rows > 0).mean(axis=0))
    assert removed.relative[4] == pytest.approx(-1) and removed.presence_change[4] == -1
    assert removed.directions()[4].tolist() == [-1, -1]
    assert nearest_class(nothing, float(nothing.presence[2])) == 2
    again = Truth.from_arrays({k: np.asarray(v) for k, v in removed.arrays().items()})
    np.testing.assert_array_equal(again.planted_area, removed.planted_area)
    assert again.fsd == removed.fsd and again.images == 300


def test_truth_of_half_removed_is_closed_form() -> None:
    """Two labels, the second in every image with 20 %: half gone means 10 % and a known spread."""
    rows = np.tile([0.8, 0.2], (40_000, 1))
    (truth,) = truths(pool(rows), [Plant(1, 0.5)], 0)
    error = 20 * 0.5 / np.sqrt(40_000)
    assert abs(truth.planted_area[1] - 10) < 5 * error
    assert truth.area[1] == pytest.approx(20)
    # The real side never varies, so FSD = 2 (10² + 10²): mean term 200, variance term 200.
    assert truth.fsd == pytest.approx(400, rel=0.02)
    assert truth.fsd_mean_term == pytest.approx(200, rel=0.04)


def test_measuring_asks_the_public_comparison() -> None:
    real, generated = some_rows(500, seed=1), some_rows(500, seed=2)
    generated = plant(generated, Plant(5), np.random.default_rng(0))
    real, generated = (np.pad(rows, ((0, 0), (0, 1))) for rows in (real, generated))
    found = trials.measure(real, generated, 0, permutations=19)
    values = dict(zip(trials.DISTANCE, found["distance"], strict=True))
    assert values["value"] == pytest.approx(fsd(real, generated).value, rel=1e-6)
    assert values["p_value"] == pytest.approx(1 / 20)
    assert trials.VERDICTS[found["verdict"][5]] == "omitted"
    assert found["claims"][5].tolist() == [0, -1]  # no image is left whose area could be tested
    assert found["p"][5, trials.P_VALUES.index("p_seen")] < 1e-6
    assert np.isnan(found["p"][6]).all(), "a class that never occurs has no p-value"
    column = trials.INTERVALS.index("area difference")
    assert found["low"][5, column] <= -1 + 1e-9 and np.isnan(found["low"][6, column])


def test_intervals_are_judged_against_the_truth() -> None:
    (truth,) = truths(pool(some_rows(200)), [Plant(4)], 0)
    size = len(truth.area)
    low, high = np.zeros((size, 7)), np.full((size, 7), 1e9)
    low[:, 6], high[0, 6] = np.nan, np.nan
    low[1, 0], high[2, 0] = truth.area[1] + 1, truth.area[2] - 1
    found = trials.judge(low, high, truth, plentiful=True)
    assert found[0, 0] == trials.INSIDE
    assert found[1, 0] == trials.TRUTH_BELOW and found[2, 0] == trials.TRUTH_ABOVE
    assert (found[:, 6] == trials.ABSENT).all()
    assert found[4, 4] == trials.TRUTH_BELOW, "the class is gone: its truth is -1"
    few = trials.judge(low, high, truth, plentiful=False)
    assert (few[:, :4] == trials.ABSENT).all() and (few[:, 4:] == found[:, 4:]).all()


def test_parts_do_not_depend_on_one_another() -> None:
    source = pool(some_rows(400))
    (truth,) = truths(source, [Plant(4, 0.5)], 0)
    whole = Cell("pool", 50, Plant(4, 0.5), trials.PART + 2)
    late = trials.run_part(source, whole, truth, 1)
    first = trials.run_part(source, replace(whole, repeats=3), truth, 0)
    again = trials.run_part(source, replace(whole, repeats=2), truth, 0)
    for name in ("p", "verdict", "inside"):
        assert len(late[name]) == 2
        np.testing.assert_array_equal(first[name][:2], again[name])
    timeless = slice(0, trials.DISTANCE.index("seconds"))
    np.testing.assert_array_equal(first["distance"][:2, timeless], again["distance"][:, timeless])
    assert (late["distance"][:, 0] != first["distance"][:2, 0]).all()


def test_a_wrong_claim_is_one_the_truth_does_not_bear_out() -> None:
    source = pool(some_rows(200))
    (truth,) = truths(source, [Plant(4, into=1)], 0)  # 4 shrinks, 1 grows, the others stay
    claimed = np.zeros((3, 6, 2), dtype=np.int8)
    claimed[0, 4], claimed[0, 1, 0] = (-1, -1), 1
    claimed[1, 1, 0] = -1
    claimed[2, 0, 1] = 1
    arrays = {"claims": claimed, "distance": np.zeros((3, 8))}
    finding = Finding(Cell("pool", 50, Plant(4, into=1), 3), source, truth, arrays)
    wrong, claims = summary.false_claims(finding)
    assert wrong.tolist() == [0, 1, 1] and claims.tolist() == [3, 1, 1]


def test_rates_and_uniformity() -> None:
    rate = summary.Rate.of_share(25, 100)
    assert rate.value == 0.25 and rate.error == pytest.approx(np.sqrt(0.25 * 0.75 / 100))
    assert summary.Rate.of_share(0, 100).error > 0
    rng = np.random.default_rng(0)
    steps = (1 + rng.integers(0, 20, 400)) / 20
    flat = summary.uniformity(summary.randomised(steps, 19))
    skewed = summary.uniformity(rng.random(400) ** 2)
    assert flat is not None and flat > 0.01
    assert skewed is not None and skewed < 1e-6
    assert summary.uniformity(np.full(400, np.nan)) is None


def test_street_labels_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no label maps"):
        camvid(tmp_path)


def test_street_labels(shared: Path) -> None:
    folder = shared / "real" / "camvid" / "labels" / "val"
    if not folder.is_dir():
        pytest.skip("CamVid is not beside this checkout")
    source = camvid(folder)
    assert source.images == len(list(folder.glob("*.png")))
    rows = next(source.population(0))
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    assert rows[:, source.classes.index("road")].mean() > 0.1


@pytest.mark.slow
def test_from_cells_to_the_page(tmp_path: Path) -> None:
    source = pool(some_rows(2_000))
    effort = replace(
        QUICK, sizes=(50, 100), repeats=6, promised=6, power_repeats=6, presences=(0.3,)
    )
    known = known_truths(source, [None], 0, tmp_path)
    plants = plants_of(known["pool", None], effort, power=False)
    known |= known_truths(source, plants, 0, tmp_path)
    cells = cells_of(source, plants, effort)
    for cell in cells:
        arrays = trials.run_part(source, cell, known["pool", cell.plant], 0)
        trials.save_arrays(part_path(tmp_path, source, cell, 0), arrays)
    run(cells, {"pool": source}, known, tmp_path, 1)  # nothing is left to do
    found = findings(cells, {"pool": source}, known, tmp_path)
    assert [f.repeats for f in found] == [6] * len(cells) and len(cells) == 4
    text = page.write(found, tmp_path / "docs", "the command", ["a note"]).read_text("utf-8")
    assert "`the command`" in text and "- a note" in text
    for name in ("claims", "p-values", "coverage", "bias"):
        svg = (tmp_path / "docs" / "figures" / f"validation-{name}.svg").read_text("utf-8")
        assert svg.startswith("<svg") and f"validation-{name}.svg" in text
    rows = summary.power(found)
    assert {r["n"] for r in rows} == {50, 100} and all(0 <= r["found"].value <= 1 for r in rows)
    assert summary.bias(found)[0]["truth"] == 0


def test_a_family_is_drawn_anew_for_each_sample() -> None:
    source = family_source("dense")
    a, b = source.pair(20, np.random.default_rng(0))
    assert not np.isin(a.round(12), b.round(12)).any()
    assert source.reaches(10**9) and source.images is None
    assert sum(map(len, source.population(25_000))) == 25_000


@pytest.mark.slow
@pytest.mark.parametrize("which", hypotheses.HYPOTHESES, ids=lambda which: which.name)
def test_families_of_a_claim_have_its_null(which: hypotheses.Hypothesis) -> None:
    real, generated, groups = which.draw(40_000, np.random.default_rng(0))
    for rows in (real, generated):
        assert (rows >= 0).all() and rows.sum(axis=1) == pytest.approx(np.ones(len(rows)))
    labels = np.arange(1, min(real.shape[1], 12))
    means = [rows[:, labels].mean(axis=0) for rows in (real, generated)]
    if which.claim == "area":
        assert means[1] == pytest.approx(means[0], rel=0.15)
        shapes = [rows[:, labels].std(axis=0) for rows in (real, generated)]
        assert (np.abs(np.log(shapes[1] / shapes[0])) > 0.1).all()
    if which.claim == "images":
        shown = [(rows[:, labels] > 0).mean(axis=0) for rows in (real, generated)]
        assert shown[1] == pytest.approx(shown[0], rel=0.1)
        assert (means[1] > 1.5 * means[0]).all()
    if which.claim == "area, in itself":
        rest = [rows[:, list(which.false)].sum(axis=1).mean() for rows in (real, generated)]
        inside = [m[: len(which.false)] / r for m, r in zip(means, rest, strict=True)]
        assert inside[1] == pytest.approx(inside[0], rel=0.03)
        assert rest[1] > 1.05 * rest[0]
    assert (groups is not None) == (which.name in ("bursts, named", "films, named"))


def test_a_claim_whose_null_is_true_is_rarely_made() -> None:
    found = hypotheses.measure(hypotheses.HYPOTHESES[1], 300, 12)
    assert found["any"].value <= 0.25
    named, alone = (hypotheses.measure(h, 300, 6) for h in hypotheses.HYPOTHESES[-2:])
    assert named["any"].value <= 0.2 and alone["any"].value == 1
