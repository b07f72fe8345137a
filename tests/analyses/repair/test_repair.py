"""Repair on generators of which it is known whether an edit can bring the class back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seeingkit import AutoStaged
from seeingkit.analyses.comparison.checks.views import View
from seeingkit.analyses.repair.objects import (
    ObjectFinder,
    Part,
    Shape,
    Sizes,
    parts_of,
    real_sizes,
)
from seeingkit.analyses.repair.reachable import ClassPhotos, moved_aside, usable_sites
from seeingkit.analyses.repair.real import real_objects
from seeingkit.analyses.repair.settings import RepairSettings
from seeingkit.analyses.repair.stage import (
    Repaired,
    concluded,
    more_often,
    reach_words,
    repair_class,
    site_record,
)
from seeingkit.analyses.repair.trials import Looked, chosen
from seeingkit.analyses.rewriting.bench import Bench
from seeingkit.analyses.rewriting.photos import photo_at_site
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.report.words.repair import reach_sentence, repair_sentence, repair_summary
from seeingkit.results import ClassResult
from seeingkit.results.repairs import RepairedClass, RepairResult
from seeingkit.specs import PRESETS
from seeingkit.tallies import Tally
from tests.helpers.spotted import Keys, Reds, spots, spotted

SETTINGS = RepairSettings(
    photos=6, ranks=(1, 2), keeps=(0.01, 1.0), trials=2, search=30, n=60, moved=0.2
)


def photos_of(keys: Keys, count: int = 6) -> ClassPhotos:
    """Photos with a spot, and their exact inversions by a generator with such keys."""
    real = spotted(drawn=True)
    latent = real.latents(range(40), seed=7)
    z = latent["z"]
    rows = [k for k in range(40) if z[k, 0] > 0][:count]
    images = real.advance(real.begin(latent)).x[rows]
    masks = [(mask.numpy() * 255).astype(np.uint8) for mask in spots(z[rows])]
    generator = spotted(keys)
    state = generator.advance(generator.begin(generator.latents(range(40), seed=7)), "r16.place")
    ids = tuple(str(row) for row in rows)
    return ClassPhotos(2, ids, images, masks, state[rows], True)


def repaired(keys: Keys) -> Repaired:
    source = SamplerSource(spotted(drawn=True), 120, seed=3, preset=PRESETS["native"])
    finder = ObjectFinder.of(Reds(), View("segmenter", Reds(0.4), "by another"), 2)
    real = real_objects(source, finder, 120, 0)
    assert real.images == 60 and (real.finder.shape is not None) and real.pixels == 256
    pictures, _, _ = source.load(range(120))
    assert pictures is not None
    maps = Reds().segment(pictures)[:, 0]
    shares = torch.stack([(maps == k).double().mean((1, 2)) for k in range(3)], 1)
    tally = Tally.from_fractions(shares.numpy(), Reds().vocabulary)
    area = 100 * float(shares[:, 2].mean())
    record = ClassResult.model_construct(
        label="spot", verdict="omitted", real_area=area, generated_area=0.0
    )
    return repair_class(
        spotted(keys), record, photos_of(keys), real, tally, SETTINGS, PRESETS["native"]
    )


def result_of(*classes: RepairedClass) -> RepairResult:
    found = RepairResult(
        n=60, seed=0, searched=30, search_seed=0, view="by another", level=0.05, moved=0.2
    )
    return concluded(found.model_copy(update={"classes": list(classes)}))


def test_a_class_whose_keys_are_drawn_is_brought_back() -> None:
    found = repaired("clear")
    result = result_of(found.record)
    (one,) = result.classes
    reach = one.sites[0]
    assert reach.best.apart > 0.8 and reach.best.net > 0.8
    assert reach.keys_apart == 1.0 and reach.keys_in_photos == 0.0
    assert one.objects.before == 0 and one.objects.after > 0.3 and one.objects.size == 16
    assert one.objects.beside == 0 and one.objects.q <= 0.05
    assert one.verdict == "back" and one.distance.direction == "nearer"
    assert one.after == pytest.approx(one.real_area, rel=0.5)
    assert repair_sentence(one).startswith("spot is drawn again with an edit of r16")
    assert repair_summary(result).endswith("drawn again: spot.")
    assert "of the wanted values in photos left out" in reach_words(reach)


@pytest.mark.slow
@pytest.mark.parametrize("keys", ["lost", "everywhere"])
def test_a_class_whose_keys_say_nothing_is_not(keys: Keys) -> None:
    """The keys of spots are those of all places, so no edit tells them apart."""
    found = repaired(keys)
    result = result_of(found.record)
    (one,) = result.classes
    assert one.sites[0].best.net < 0 and one.sites[0].keys_in_samples > 0.3
    assert "changes more than that at places that are to stay" in reach_sentence(one)
    assert one.verdict == "no" and one.objects.after < 0.05
    assert repair_sentence(one).startswith("No edit of r16 that was tried brings spot back")
    assert "keys do not say where spot is to be" in reach_sentence(one)


@pytest.mark.slow
def test_the_network_stays_as_it_is_and_repeats_are_equal() -> None:
    generator = spotted()
    before = {name: tensor.clone() for name, tensor in generator.module.state_dict().items()}
    first, second = repaired("clear"), repaired("clear")
    assert first.record == second.record
    for name, tensor in generator.module.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert torch.equal(first.edit.factors, second.edit.factors)


# -------------------------------------------------------------------------------- photos and sites


def test_values_of_a_photo_show_it() -> None:
    photos, generator = photos_of("clear"), spotted()
    bench = Bench(generator, generator.site("r16"))
    at = photo_at_site(bench, photos.images[[0]], photos.state[[0]])
    made, reached = at.error(photos.masks[0])
    assert made > 0.5 and reached < 0.05
    assert torch.equal(at.made, generator.advance(photos.state[[0]]).x)


def test_a_photo_inverted_behind_the_site_is_refused() -> None:
    photos, generator = photos_of("clear"), spotted()
    state = generator.advance(photos.state[[0]], "r16")
    bench = Bench(generator, generator.site("r16"))
    with pytest.raises(UsageError, match="in front of 'r16', where photos"):
        photo_at_site(bench, photos.images[[0]], state)
    with pytest.raises(UsageError, match="in front of 'r16', where photos"):
        usable_sites(generator, "r16", ["r16"])
    with pytest.raises(UsageError, match="no site behind"):
        usable_sites(generator, "r16")


def test_masks_are_moved_off_the_class() -> None:
    mask = np.zeros((4, 8), np.uint8)
    mask[:, 1:6] = 255
    moved = moved_aside(mask)
    assert moved is not None and not (moved & mask).any()
    assert moved_aside(np.full((4, 8), 255, np.uint8)) is None


# ----------------------------------------------------------------------------------------- objects


@given(st.integers(0, 999))
def test_parts_hold_all_pixels_and_agree_with_themselves(seed: int) -> None:
    mask = np.random.default_rng(seed).random((12, 12)) < 0.4
    parts = parts_of(mask)
    assert sum(part.pixels for part in parts) == mask.sum()
    assert parts_of(mask, mask) == parts and parts_of(mask, ~mask) == []
    sizes = real_sizes([mask])
    kept = sum(part.pixels for part in parts_of(mask, None, sizes))
    assert kept >= 0.9 * mask.sum()


def test_specks_are_no_objects() -> None:
    """A class in one large part and many specks: the size is that of the large one."""
    large, specks = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    large[2:8, 2:8] = True
    specks[::8, ::8] = True
    sizes = real_sizes([large, large, large, specks])
    assert sizes == Sizes(36, 36)
    assert parts_of(specks, None, sizes) == [] and len(parts_of(large, large, sizes)) == 1
    assert parts_of(np.ones((16, 16), bool), None, sizes) == []  # nor is a whole red image


def test_smears_have_another_shape() -> None:
    """As many pixels as a real part, but long and flat; hollow; or hardly of the class."""
    shape = Shape.of([Part(36, (0, 0, 6, 6), 0.9), Part(42, (0, 0, 6, 7), 0.8)])
    assert shape is not None and shape.has(Part(36, (3, 3, 9, 9), 0.85))
    assert not shape.has(Part(36, (0, 0, 2, 18), 0.9))
    assert not shape.has(Part(30, (0, 0, 6, 6), 0.9))
    assert not shape.has(Part(36, (0, 0, 6, 6), 0.5))
    assert Shape.of([]) is None


def test_scores_are_means_over_parts() -> None:
    mask, scores = np.zeros((4, 4), bool), np.zeros((4, 4), np.float32)
    mask[0, :2], mask[3, 3] = True, True
    scores[0, 0], scores[3, 3] = 1.0, 0.25
    assert [part.sure for part in parts_of(mask, scores=scores)] == [0.5, 0.25]


def test_a_second_view_without_the_class_is_refused() -> None:
    from tests.helpers.toys import LevelSegmenter

    view = View("segmenter", LevelSegmenter(), "by levels")
    with pytest.raises(UsageError, match=r"by levels\) has no class 'spot'"):
        ObjectFinder.of(Reds(), view, 2)


# ------------------------------------------------------------------------------------- the claims


def test_an_edit_that_exchanges_images_of_one_rate_is_seldom_claimed() -> None:
    """With the edit other images show the class, as many on average: at most 5 % are claimed. Of
    2,000, 130 or more would have a probability below 0.2 % if that holds."""
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.05, 0.6, 2000)
    wrong = sum(more_often(rng.random(60) < rate, rng.random(60) < rate) <= 0.05 for rate in rates)
    assert 0 < wrong < 130


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "real", "direction", "verdict"),
    [(0.4, 0.5, -3.0, "back"), (0.2, 0.5, -3.0, "partly"), (0.4, 0.5, 3.0, "partly")],
)
def test_verdicts(after: float, real: float, direction: float, verdict: str) -> None:
    found = repaired("clear").record
    objects = found.objects.model_copy(update={"after": after, "real": real, "p": 1e-6})
    distance = found.distance.model_copy(update={"difference": direction, "p": 1e-6})
    one = found.model_copy(update={"objects": objects, "distance": distance})
    assert result_of(one).classes[0].verdict == verdict
    unsure = objects.model_copy(update={"p": 0.5})
    assert result_of(one.model_copy(update={"objects": unsure})).classes[0].verdict == "no"


def test_the_choice_is_bounded_by_its_price() -> None:
    def seen(shown: int, moved: float) -> Looked:
        parts = parts_of(np.ones((2, 2), bool))
        objects = [parts if k < shown else [] for k in range(4)]
        return Looked(objects, np.full(4, shown), np.full(4, moved), 16)

    plain = seen(0, 0.0)
    assert chosen([plain, seen(1, 0.02), seen(3, 0.3), seen(2, 0.09)], 0.1) == 2
    assert chosen([plain, seen(1, 0.4), seen(3, 0.3)], 0.1) == 1


def test_a_class_without_real_objects_cannot_be_judged() -> None:
    """Without them every speck would count, and half of nothing would be enough."""
    source = SamplerSource(spotted(), 40, seed=3, preset=PRESETS["native"])
    finder = ObjectFinder.of(Reds(), View("segmenter", Reds(0.4), "by another"), 2)
    with pytest.raises(UsageError, match="none of 20 real images shows an object of spot"):
        real_objects(source, finder, 40, 0)


def test_a_shape_is_of_other_images_than_the_rate_beside_it() -> None:
    """Parts of one law pass a shape of others as often as they pass their own, or nearly."""
    rng = np.random.default_rng(0)

    def parts(count: int) -> list[Part]:
        ends = rng.integers(4, 12, (count, 2))
        return [Part(int(h * w), (0, 0, int(h), int(w)), rng.uniform(0.6, 1)) for h, w in ends]

    shape = Shape.of(parts(400))
    assert shape is not None
    assert np.mean([shape.has(part) for part in parts(4000)]) > 0.7


def test_weights_are_finite() -> None:
    for wrong in (float("nan"), float("inf"), -1.0):
        with pytest.raises(UsageError, match="above 0"):
            RepairSettings(keeps=(1.0, wrong))


def test_settings_that_cannot_be_right() -> None:
    for wrong in ({"photos": 2}, {"ranks": ()}, {"keeps": (0.0,)}, {"n": 5}):
        with pytest.raises(UsageError):
            RepairSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_site_of_the_toy() -> None:
    generator = spotted()
    assert isinstance(generator, AutoStaged)
    assert [site.name for site in usable_sites(generator, "r16.place")] == ["r16"]
    found = repaired("clear").sites
    assert site_record(found[0]).site == "r16"
