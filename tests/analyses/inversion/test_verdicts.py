"""Verdicts by rates of vanishing, and generator samples with a foreign patch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seeingkit import load_generator
from seeingkit.analyses.inversion.calibration import ENOUGH, conformal_bound
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.analyses.inversion.cuts import cuts_of
from seeingkit.analyses.inversion.patches import SIDES, PatchedSamples, squares
from seeingkit.analyses.inversion.vanishing import Losses
from seeingkit.analyses.inversion.verdicts import (
    classes_seen,
    judge_classes,
    losses_of,
    with_usual,
)
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.results import ClassVanishing, InversionRecord, LostClass

NAMES = ("-", "person", "tree", "car", "house")
PERSON, TREE, CAR, HOUSE = 1, 2, 3, 4


def losses(*groups: tuple[int, float, int, int]) -> Losses:
    """Pairs from (class, area, vanished, pairs)."""
    label, area, lost = [], [], []
    for number, size, gone, pairs in groups:
        label += [number] * pairs
        area += [size] * pairs
        lost += [1.0] * gone + [0.0] * (pairs - gone)
    return Losses(NAMES, np.array(label, dtype=np.int64), np.array(area), np.array(lost))


def judged(photos: Losses, patched: Losses | None, drawn: Any = (2, 3, 4)) -> dict[str, Any]:
    found: list[ClassVanishing] = judge_classes(photos, patched, drawn, method="m", cut="r8")
    return {record.label: record for record in found}


def test_a_class_that_always_vanishes_beside_drawn_ones_that_do_not() -> None:
    photos = losses((PERSON, 2, 8, 8), (TREE, 3, 2, 10))
    found = judged(photos, losses((TREE, 2.5, 1, 20)))
    person, tree = found["person"], found["tree"]
    assert (person.photos, person.vanished, person.method, person.cut) == (8, 8, "m", "r8")
    assert (person.in_photos.vanished, person.in_photos.pairs, person.in_photos.rate) == (
        2,
        10,
        0.2,
    )
    near = 45 / 43758  # C(10, 2) / C(18, 10): all 8 persons among the 10 pairs that vanish
    assert person.in_photos.p_value == pytest.approx(near)
    assert person.in_samples is not None and not person.in_samples.same_class
    assert person.in_samples.p_value == pytest.approx(20 / 6906900)  # C(20, 1) / C(28, 9)
    assert person.p_value == pytest.approx(near)  # the larger of the two
    assert person.verdict == "more often" and next(iter(found)) == "person"
    # Tree has no other drawn class in the photos to be compared with, so its p is 1.
    assert tree.in_photos.rate is None and tree.p_value == 1 and tree.verdict == "too few"
    assert tree.q_value is None and person.q_value == pytest.approx(near)  # one class was tested


def test_both_references_must_be_exceeded() -> None:
    calm, hard = losses((TREE, 3, 0, 30)), losses((TREE, 3, 30, 30))
    photos = losses((PERSON, 2, 8, 8), (TREE, 3, 0, 30))
    assert judged(photos, calm)["person"].verdict == "more often"
    assert judged(photos, hard)["person"].verdict != "more often"
    stormy = losses((PERSON, 2, 8, 8), (TREE, 3, 30, 30))
    assert judged(stormy, calm)["person"].verdict != "more often"


def test_a_drawn_class_is_compared_with_itself_where_enough_samples_show_it() -> None:
    photos = losses((TREE, 3, 8, 8), (CAR, 3, 0, 30))
    hard = losses((TREE, 20, 9, 10), (CAR, 3, 0, 30))  # trees are hard at any size
    itself = judged(photos, hard)["tree"]
    assert itself.in_samples.same_class and itself.in_samples.rate == 0.9
    assert itself.verdict == "too few"  # with 17 of 18 gone in all, p is 10/18 or more
    seldom = losses((TREE, 20, 5, 10), (CAR, 3, 0, 30))
    some = losses((TREE, 3, 6, 8), (CAR, 3, 0, 30))
    assert judged(some, seldom)["tree"].verdict == "no evidence"
    assert judged(photos, hard, drawn=(CAR,))["tree"].verdict == "more often"  # it is not drawn
    few = losses((TREE, 20, 4, 4), (CAR, 3, 0, 30))
    assert not judged(photos, few)["tree"].in_samples.same_class


def test_other_sizes_are_no_reference() -> None:
    photos = losses((PERSON, 0.4, 8, 8), (TREE, 40, 0, 50))
    person = judged(photos, losses((TREE, 40, 0, 50)))["person"]
    assert (person.in_photos.pairs, person.p_value, person.verdict) == (0, 1.0, "too few")


def test_without_patched_samples_there_are_rates_and_no_verdict() -> None:
    person = judged(losses((PERSON, 2, 8, 8), (TREE, 3, 2, 10)), None)["person"]
    assert person.in_samples is None and person.p_value is None and person.q_value is None
    assert (person.verdict, person.in_photos.rate) == ("not compared", 0.2)


def test_one_photo_is_too_few() -> None:
    photos = losses((PERSON, 2, 1, 1), (TREE, 3, 0, 1), (CAR, 3, 0, 1))
    assert {r.verdict for r in judged(photos, losses((TREE, 3, 0, 40))).values()} == {"too few"}


def test_false_discoveries_over_equal_classes() -> None:
    """All classes vanish at one rate in each band: runs with any claim stay at the level."""
    random = np.random.default_rng(0)
    rate = np.array([0.6, 0.1])
    claims, runs = 0, 300

    def draw(n: int) -> Losses:
        label = np.repeat([PERSON, TREE, CAR, HOUSE], n)
        band = random.integers(0, 2, len(label))
        lost = (random.random(len(label)) < rate[band]).astype(float)
        return Losses(NAMES, label, np.array([0.3, 10.0])[band], lost)

    for _ in range(runs):
        found = judge_classes(draw(12), draw(20), (TREE, CAR, HOUSE))
        claims += any(record.verdict == "more often" for record in found)
    assert claims / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_classes_that_samples_show_count_as_drawn() -> None:
    found = losses((PERSON, 2, 0, 1), (TREE, 2, 0, 2), (CAR, 2, 0, 30))
    assert classes_seen(found, 40) == {TREE, CAR}
    assert classes_seen(found, 60) == {CAR}
    assert classes_seen(losses(), 40) == frozenset()


def test_cards_tell_how_often_drawn_classes_of_like_area_vanish() -> None:
    def entry(label: str, area: float, after: float) -> LostClass:
        lost = (area - after) / area
        return LostClass(label=label, photo_area=area, reconstruction_area=after, lost=lost)

    base = {"method": "m", "psnr": 20.0, "lost": {}, "reconstruction": "r.png"}
    records = [
        InversionRecord(image="a", classes=[entry("person", 3, 0), entry("tree", 2.5, 0)], **base),
        InversionRecord(image="b", classes=[entry("car", 3, 3), entry("house", 40, 39)], **base),
    ]
    found = losses_of(records, NAMES)
    assert found.label.tolist() == [PERSON, TREE, CAR, HOUSE]
    a, b = with_usual(records, found, (TREE, CAR, HOUSE))
    assert [(c.usual, c.usual_pairs) for c in a.classes] == [(0.5, 2), (0.0, 1)]
    assert [(c.usual, c.usual_pairs) for c in b.classes] == [(1.0, 1), (None, 0)]
    assert a.image == "a" and records[0].classes[0].usual is None


def test_conformal_bound_in_closed_form() -> None:
    assert ENOUGH == 19
    # k = 19: ceil(0.95 * 20) = 19, the largest; k = 39: the 38th of 39; k = 100: ceil(95.95) = 96.
    assert conformal_bound(np.arange(19.0)[::-1]) == 18
    assert conformal_bound(np.arange(39.0)) == 37
    assert conformal_bound(np.arange(100.0)) == 95
    assert conformal_bound(np.arange(4.0)) == 3  # fewer: no more than the largest is known


def test_patched_samples_are_two_samples_each() -> None:
    generator = load_generator("progan:minichurches")
    own = SamplerSource(generator, 3, seed=5, preset=find_preset("native"))
    patched = PatchedSamples(own)
    images = patched.read([0, 1, 2])
    inside = squares(patched, [0, 1, 2], 64)[:, None].expand_as(images)
    assert torch.equal(images[inside], patched.other.read([0, 1, 2])[inside])
    assert torch.equal(images[~inside], patched.whole.read([0, 1, 2])[~inside])
    near = 1.01 / 127.5  # kernels round by batch size, so one level of 8 bits may differ
    assert torch.allclose(patched.read([2]), images[2:], atol=near)  # a function of its number
    sides = squares(patched, [0, 1, 2], 64).sum((1, 2)).sqrt() / 64
    assert (sides >= SIDES[0] - 0.01).all() and (sides <= SIDES[1] + 0.01).all()
    more = PatchedSamples(own.first(9))
    assert torch.allclose(more.read([1]), images[1:2], atol=near) and len(more) == 9
    seeds = {patched.whole.seed, patched.other.seed, own.seed}
    assert len(seeds) == 3 and patched.fingerprint == more.fingerprint
    assert PatchedSamples(SamplerSource(generator, 3, seed=6)).fingerprint != patched.fingerprint


def test_next_is_the_end_of_the_next_resolution() -> None:
    generator = load_generator("progan:minichurches")
    assert cuts_of(generator, InversionConfig()) == ["r4.conv1", "r8.conv1"]
    assert cuts_of(generator, InversionConfig(cuts=("default",))) == ["r4.conv1"]
    assert cuts_of(generator, InversionConfig(cuts=("next",))) == ["r8.conv1"]
    assert cuts_of(generator, InversionConfig(cuts=("r16.conv0", "default", "r4", "next"))) == [
        "r16.conv0",
        "r4.conv1",
        "r8.conv1",
    ]
