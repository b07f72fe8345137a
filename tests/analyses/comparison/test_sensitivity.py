"""Second views: what softening does in closed form, which classes are flagged, which are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from seeingkit.analyses.comparison.checks.sensitivity import check_sensitivity, judge
from seeingkit.analyses.comparison.checks.views import (
    SoftenedSegmenter,
    View,
    matched,
    same_images,
    second_view,
)
from seeingkit.analyses.comparison.compare import compare
from seeingkit.contracts import ImageSource, Label, Vocabulary
from seeingkit.errors import SourceError, TallyError, UnknownNameError, UsageError
from seeingkit.results import ResolutionResult, SegmenterClass, SegmenterShare, SideResolution
from seeingkit.statistics.twoviews import TwoViews, p_value_of
from seeingkit.tallies import Tally
from seeingkit.testing import check_segmenter
from tests.helpers.toys import CountedNoise, LevelSegmenter, Noise, looked_at

SIDE = 16


class Boards(ImageSource):
    """Grey above, below it a chessboard of single pixels; its share of image k is given.

    At half of the detail a chessboard is grey. Seen as it is, half of it is dark, half bright.
    """

    def __init__(self, shares: Sequence[float], name: str = "boards") -> None:
        self.name, self.shares = name, [round(SIDE * share) for share in shares]
        self.ids = [f"{name}-{k}" for k in range(len(shares))]
        self.fingerprint = f"boards {self.shares} {name}"

    def read(self, indices: Sequence[int]) -> Tensor:
        board = (torch.arange(SIDE)[:, None] + torch.arange(SIDE)[None, :]) % 2 * 2.0 - 1
        images = torch.zeros(len(indices), 3, SIDE, SIDE)
        for row, k in enumerate(indices):
            first = SIDE - self.shares[k]
            images[row, :, first:] = 0.8 * board[first:]
        return images


def by_name(share: SegmenterShare) -> dict[str, SegmenterClass]:
    return {found.label: found for found in share.classes}


# ----------------------------------------------------------------------------------------- views


def test_softening_makes_a_chessboard_grey() -> None:
    soft = SoftenedSegmenter(LevelSegmenter())
    images = Boards([1.0, 0.5, 0.0]).read(range(3))
    assert soft.soften(images).shape == images.shape
    assert float(soft.soften(images)[0].abs().max()) < 1 / 3
    flat = torch.full((2, 3, 7, 5), 0.25)
    assert torch.allclose(soft.soften(flat), flat)
    assert soft.statistics(images).tolist() == [[0, 0, SIDE * SIDE, 0]] * 3
    assert torch.equal(soft.segment(images), torch.full((3, 1, SIDE, SIDE), 2))
    assert torch.equal(soft.score(images, 2), LevelSegmenter().score(soft.soften(images), 2))


def test_a_softened_segmenter_is_a_segmenter_of_its_own() -> None:
    plain = LevelSegmenter()
    soft = SoftenedSegmenter(plain, 0.75)
    check_segmenter(soft)
    identities = [s.info.identity() for s in (plain, soft, SoftenedSegmenter(plain, 0.5))]
    assert identities[0] != identities[1] != identities[2]
    assert soft.to("cpu") is soft and soft.device == plain.device


def resolution(real: int, generated: int) -> ResolutionResult:
    sides = [SideResolution(stored=256, detail=d, images=64) for d in (real, generated)]
    return ResolutionResult(real=sides[0], generated=sides[1], mismatch=real != generated)


def test_what_modes_mean() -> None:
    plain = LevelSegmenter()

    def scale(mode: str, known: ResolutionResult | None = None) -> object:
        view = second_view(mode, plain, resolution=known)
        assert view.kind == "scale" and isinstance(view.segmenter, SoftenedSegmenter)
        assert f"{view.segmenter.scale:g}" in view.words
        return view.segmenter.scale

    assert scale("scale") == 0.5 == scale("scale", resolution(250, 250))
    assert scale("scale:0.75", resolution(256, 64)) == 0.75
    assert scale("scale", resolution(256, 64)) == 0.25 == scale("scale", resolution(64, 256))
    for wrong in ("scale:2", "scale:0", "scale:nan", "scale:half", "scale:1"):
        with pytest.raises(UsageError, match="give a factor"):
            second_view(wrong, plain)
    other = LevelSegmenter("others")
    assert second_view("others", plain, other) == View("segmenter", other, "by others")
    with pytest.raises(UsageError, match="this is the segmenter of the comparison"):
        second_view("levels", plain, LevelSegmenter())
    with pytest.raises(UnknownNameError):
        second_view("no-such-segmenter", plain)


def test_names_of_two_vocabularies() -> None:
    ours = Vocabulary(
        tuple(map(Label, ("-", "person, individual", "Sky", "traffic-light", "glass", "car")))
    )
    theirs = Vocabulary(
        tuple(map(Label, ("sky", "Person", "traffic light", "glass", "Glass", "car, auto", "-")))
    )
    assert matched(ours, theirs) == {0: 6, 1: 1, 2: 0, 3: 2, 5: 5}
    assert matched(ours, ours) == {k: k for k in range(6)}


def test_rows_are_brought_together_by_id() -> None:
    first = Tally.from_fractions(np.eye(4) / 2, ids=["a", "b", "c", "d"])
    second = Tally.from_fractions(np.eye(4)[:3], ids=["d", "x", "b"])
    one, two = same_images(first, second)
    assert one.ids == two.ids == ("d", "b")
    assert one.percent().tolist() == [[0, 0, 0, 50], [0, 50, 0, 0]]
    assert two.percent().tolist() == [[100, 0, 0, 0], [0, 0, 100, 0]]
    with pytest.raises(TallyError, match="1 images in common"):
        same_images(first, second.take([0, 1]))


# ------------------------------------------------------------------------------ from the pictures


def test_a_soft_generator_is_not_a_finding(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).choice([0.25, 0.5, 0.75, 1.0], 60)
    real, generated = Boards(shares, "real"), Boards(np.zeros(60), "generated")
    comparison = looked_at(real, generated, tmp_path)
    verdicts = {c.label: c.verdict for c in comparison.results.classes}
    assert verdicts == {"middle": "excess", "dark": "omitted", "bright": "omitted"}
    segmenter = LevelSegmenter()
    found = check_sensitivity(real, generated, comparison, segmenter, store=tmp_path)
    assert (found.kind, found.images, found.against) == ("scale", 60, "at 0.5 of the detail")
    classes = by_name(found)
    assert list(classes) == [c.label for c in comparison.results.classes]  # nothing for "-"
    for c in classes.values():
        assert c.flagged and "softening the real images alone" in c.why
        assert c.explained == pytest.approx(1)
        assert c.other_relative == (0 if c.label == "middle" else None)
    dark, middle = classes["dark"], classes["middle"]
    assert dark.shift == pytest.approx(-1) and dark.other_real_area == 0
    mean = float(100 - 100 * shares.mean())
    assert middle.shift == pytest.approx(100 / mean - 1)
    assert middle.other_real_area == middle.other_generated_area == pytest.approx(100)
    # The second time everything comes out of the store.
    seen = segmenter.seen
    assert check_sensitivity(real, generated, comparison, segmenter, store=tmp_path) == found
    assert segmenter.seen == seen > 0


def test_a_difference_that_softening_does_not_touch_is_not_flagged(tmp_path: Path) -> None:
    class Flat(Noise):
        """Each half of an image is dark or bright throughout."""

        def __init__(self, n: int, dark: float, name: str) -> None:
            super().__init__(n, bad=[3], name=name)
            self.ids = [f"{name}-{k}" for k in range(n)]
            self.dark = dark

        def read(self, indices: Sequence[int]) -> Tensor:
            super().read(indices)
            draws = [np.random.default_rng(k).random() for k in indices]
            return torch.stack(
                [torch.full((3, 8, 8), -0.9 if d < self.dark else 0.9) for d in draws]
            )

    real, generated = Flat(80, 0.6, "real"), Flat(80, 0.1, "generated")
    comparison = looked_at(real, generated, tmp_path)
    found = check_sensitivity(
        real, generated, comparison, LevelSegmenter(), store=tmp_path, images=70, seed=3
    )
    assert found.images in (69, 70)  # the picture that cannot be read may be among them
    assert {c.label: (c.flagged, c.shift, c.explained) for c in found.classes} == {
        "dark": (False, 0.0, 0.0),
        "bright": (False, 0.0, 0.0),
    }


def test_a_second_segmenter_and_its_own_names(tmp_path: Path) -> None:
    class Named(LevelSegmenter):
        """As the softened one sees it, under other names."""

        def __init__(self) -> None:
            super().__init__("named")
            self.vocabulary = Vocabulary(tuple(map(Label, ("-", "Dark", "middle", "light"))))

        def segment(self, images: Tensor) -> Tensor:
            return super().segment(SoftenedSegmenter(self).soften(images))

    shares = np.random.default_rng(1).choice([0.5, 0.75, 1.0], 40)
    real, generated = Boards(shares, "real"), Boards(shares / 4, "generated")
    comparison = looked_at(real, generated, tmp_path)
    found = check_sensitivity(
        real, generated, comparison, LevelSegmenter(), mode="named", second=Named(), store=tmp_path
    )
    classes = by_name(found)
    assert found.kind == "segmenter" and found.against == "by named"
    assert classes["bright"].why == "not comparable: no class of this name by named"
    assert not classes["bright"].flagged and classes["bright"].other_real_area is None
    # It sees no dark anywhere, so it cannot speak against the omission of dark …
    assert not classes["dark"].flagged and classes["dark"].other_real_area == 0
    # … but it sees grey everywhere, so the excess of grey is gone.
    assert classes["middle"].flagged and classes["middle"].why.startswith("gone")
    assert classes["middle"].explained == pytest.approx(1)


def test_classes_of_a_list_are_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text(
        'name = "two"\n[classes]\nextreme = ["dark", "bright"]\ngrey = ["middle"]\n'
        '[options]\nunmapped = "drop"\n'
    )
    shares = np.random.default_rng(2).choice([0.5, 1.0], 40)
    real, generated = Boards(shares, "real"), Boards(shares * 0, "generated")
    segmenter = LevelSegmenter()
    comparison = looked_at(real, generated, tmp_path, segmenter, classes=path)
    found = check_sensitivity(real, generated, comparison, segmenter, classes=path, store=tmp_path)
    assert {c.label: c.flagged for c in found.classes} == {"extreme": True, "grey": True}
    assert by_name(found)["extreme"].shift == pytest.approx(-1)


def test_sides_without_pictures_are_named(tmp_path: Path) -> None:
    real, generated = Boards([0.5, 1.0], "real"), Boards([0.0, 0.5], "generated")
    comparison = looked_at(real, generated, tmp_path)
    counted = CountedNoise(2, "generated")
    with pytest.raises(SourceError, match="generated: its areas were counted elsewhere"):
        check_sensitivity(real, counted, comparison, LevelSegmenter(), store=tmp_path)


# ------------------------------------------------------------------------------- from the numbers

VIEW = View("segmenter", LevelSegmenter("others"), "by others")
SCALE = View("scale", SoftenedSegmenter(LevelSegmenter()), "at 0.5 of the detail")


def areas(mean: float, n: int, seed: int, like: np.ndarray | None = None) -> np.ndarray:
    """Percent of n images: gamma with that mean; or ``like``, seen again with noise."""
    rng = np.random.default_rng(seed)
    if like is None:
        return np.minimum(rng.gamma(2, mean / 2, n), 45)
    return np.minimum(like * (mean / like.mean()) * rng.uniform(0.8, 1.2, n), 45)


def judged(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    view: View = VIEW,
    known: ResolutionResult | None = None,
    **changes: object,
) -> SegmenterClass:
    """What is said of one class whose areas these are: (real, generated) in both views."""
    r1, g1, r2, g2 = (
        Tally.from_fractions(np.stack([x, 100 - x], 1) / 100, ["thing", "rest"])
        for x in (*first, *second)
    )
    comparison = compare(r1, g1, permutations=0)
    if changes:
        classes = [c.model_copy(update=changes) for c in comparison.results.classes]
        results = comparison.results.model_copy(update={"classes": classes})
        comparison = replace(comparison, results=results)
    return by_name(judge(comparison, (r1, r2), (g1, g2), view, known))["thing"]


@pytest.mark.slow
def test_reversed_gone_and_kept() -> None:
    r1, g1 = areas(10, 400, 0), areas(5, 400, 1)
    r2 = areas(10, 400, 2, r1)
    kept = judged((r1, g1), (r2, areas(5, 400, 3, g1)))
    assert not kept.flagged and kept.why == "" and kept.explained is not None
    assert kept.explained < 0.1
    turned = judged((r1, g1), (r2, areas(15, 400, 3, g1)))
    assert turned.flagged and turned.why.startswith("reversed") and "less" in turned.why
    assert turned.explained == 1
    level = judged((r1, g1), (r2, g1 * r2.mean() / g1.mean()))
    assert level.flagged and level.why.startswith("gone") and level.explained == pytest.approx(1)
    # A second segmenter that sees a third of it, alike on both sides, agrees.
    third = judged((r1, g1), (areas(r2.mean() / 3, 400, 4, r1), areas(g1.mean() / 3, 400, 5, g1)))
    assert not third.flagged
    # One that sees too little to tell says nothing against.
    dim = judged((r1, g1), (np.where(np.arange(400) < 2, r1, 0), np.zeros(400)))
    assert not dim.flagged


def test_softness_explains_or_does_not() -> None:
    r1, g1 = areas(10, 300, 0), areas(5, 300, 1)
    soft, much = areas(7, 300, 2, r1), areas(9.5, 300, 2, r1)
    flagged = judged((r1, g1), (soft, areas(4, 300, 3, g1)), SCALE)
    assert flagged.flagged and flagged.why.startswith("softening the real images alone")
    gap = g1.mean() - r1.mean()
    assert flagged.explained == pytest.approx((soft.mean() - r1.mean()) / gap)
    assert not judged((r1, g1), (much, areas(4, 300, 3, g1)), SCALE).flagged
    # In the other direction softness explains nothing.
    assert not judged((g1, r1), (areas(3, 300, 2, g1), areas(8, 300, 3, r1)), SCALE).flagged


@pytest.mark.slow
def test_a_known_mismatch_needs_no_claim() -> None:
    r1, g1 = areas(10, 300, 0), areas(10, 300, 1)
    r2, g2 = areas(7, 300, 2, r1), areas(9.5, 300, 3, g1)
    assert not judged((r1, g1), (r2, g2), SCALE).flagged
    sharp = judged((r1, g1), (r2, g2), SCALE, resolution(256, 64), verdict="no evidence")
    assert sharp.flagged and "differ in resolution" in sharp.why and "real" in sharp.why
    # Where the generated side is the sharper one, its change counts.
    assert not judged((r1, g1), (r1, g1 * 0.97), SCALE, resolution(64, 256)).flagged
    other = judged((r1, g1), (r1, g1 * 0.7), SCALE, resolution(64, 256), verdict="no evidence")
    assert other.flagged and "softening the generated images alone" in other.why
    # Up in some and down in others: the mean stays, but rests on chance.
    swings = r1 * np.where(np.arange(300) % 2, 0.2, 1.8)
    shaky = judged((r1, g1), (swings, g1), SCALE, resolution(256, 64), verdict="no evidence")
    assert shaky.flagged and shaky.why.startswith("unstable")
    assert not judged((r1, g1), (swings, g1), SCALE).flagged
    one = np.where(np.arange(300) == 0, 40.0, 0.0)
    odd = judged((one, one), (one * 0, one), SCALE, resolution(256, 64), verdict="no evidence")
    assert not odd.flagged  # one image makes no class unstable


def test_a_verdict_by_presence_is_checked_by_presence() -> None:
    n = 400
    rng = np.random.default_rng(0)
    r1 = np.where(rng.random(n) < 0.6, 2.0, 0.0)
    g1 = np.where(rng.random(n) < 0.3, 4.0, 0.0)  # as much area in half as many images
    specks = np.where(rng.random(n) < 0.6, 1.6 * r1, 0.0)
    found = judged((r1, g1), (specks, g1), SCALE, because="presence", verdict="reduced")
    assert found.flagged and "softening" in found.why
    share = 100 * (specks > 0).mean() - 100 * (r1 > 0).mean()
    claim = 100 * (g1 > 0).mean() - 100 * (r1 > 0).mean()
    assert found.explained == pytest.approx(share / claim) and share / claim < 1
    by_area = judged((r1, g1), (specks, g1), SCALE, because="area", verdict="reduced")
    assert by_area.explained != found.explained


@pytest.mark.slow
def test_sampling_noise_flags_nothing() -> None:
    """Null comparisons, views that see alike but for noise: at most one flag in 100 classes."""
    classes, flags = 12, 0
    names = [f"class {k}" for k in range(classes)]
    for repeat in range(15):
        rng = np.random.default_rng(repeat)
        presence = np.geomspace(0.02, 0.95, classes)

        def rows(presence: np.ndarray = presence, rng: np.random.Generator = rng) -> np.ndarray:
            return np.where(rng.random((300, classes)) < presence, rng.gamma(1, 0.02, (300, 12)), 0)

        r1, g1 = rows(), rows()
        r2, g2 = (x * rng.uniform(0.5, 1.5, x.shape) for x in (r1, g1))
        tallies = [Tally.from_fractions(np.minimum(x, 0.08), names) for x in (r1, g1, r2, g2)]
        comparison = compare(tallies[0], tallies[1], permutations=0)
        for view in (VIEW, SCALE):
            share = judge(comparison, (tallies[0], tallies[2]), (tallies[1], tallies[3]), view)
            flags += sum(c.flagged for c in share.classes)
    assert flags <= 0.01 * 2 * 15 * classes


def test_p_values_are_the_textbooks() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.1, 1, 30), rng.normal(0, 3, 50)
    assert p_value_of(x.mean(), [x]) == pytest.approx(stats.ttest_1samp(x, 0).pvalue)
    welch = stats.ttest_ind(y, x, equal_var=False).pvalue
    assert p_value_of(y.mean() - x.mean(), [x, y]) == pytest.approx(welch)
    assert p_value_of(0.0, [np.zeros(5)]) == 1 and p_value_of(2.0, [np.full(5, 2.0)]) == 0


def test_relative_gaps_are_found_at_their_rate() -> None:
    """p uniform where both views have one relative difference; small where they do not."""
    found = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        r1, g1 = rng.gamma(2, 5, 150), rng.gamma(2, 3, 200)
        r2, g2 = (0.6 * x * rng.uniform(0.3, 1.7, len(x)) for x in (r1, g1))
        found.append(TwoViews(r1, r2, g1, g2, 0.05).gap)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert TwoViews(r1, r2, g1, 1.5 * g2, 0.05).gap < 1e-6


@given(scale=st.floats(0.01, 1), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_a_view_that_sees_all_in_proportion_agrees(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    r1, g1 = rng.gamma(1, 5, 40), rng.gamma(1, 8, 30)
    seen = TwoViews(r1, scale * r1, g1, scale * g1, 0.05)
    assert seen.gap > 0.99 and seen.seen_again == pytest.approx(1)


def test_classes_of_the_comparison_keep_their_order() -> None:
    rows = np.array([[0.1, 0.6], [0.2, 0.5], [0.3, 0.4]])
    tallies = [Tally.from_fractions(rows, ["small", "large"]) for _ in range(2)]
    comparison = compare(tallies[0], tallies[1], permutations=0)
    share = judge(comparison, (tallies[0],) * 2, (tallies[1],) * 2, SCALE)
    assert [c.label for c in share.classes] == ["large", "small"]
    strangers = Tally.from_fractions(rows, ["other", "another"])
    with pytest.raises(TallyError, match="no class of the same name"):
        judge(comparison, (tallies[0], strangers), (tallies[1], strangers), VIEW)


@pytest.mark.slow
def test_small_pictures_of_people(shared: Path, tmp_path: Path) -> None:
    """A street segmenter on church photographs against themselves shrunk to 64 pixels."""
    from PIL import Image

    from seeingkit.analyses.comparison.checks.resolution import compare_resolution
    from seeingkit.images import open_images
    from seeingkit.models.loading import load_segmenter

    pairs = shared / "real" / "ganseeing-church-pairs"
    (tmp_path / "small").mkdir()
    for path in pairs.glob("*_target.png"):
        Image.open(path).resize((64, 64), Image.Resampling.BOX).save(tmp_path / "small" / path.name)
    weights = shared / "real" / "weights" / "espnetv2" / "espnetv2_s_2.0_city_512x256.pth"
    segmenter = load_segmenter("espnetv2", weights=str(weights))
    real = open_images(str(pairs / "*_target.png"))
    for generated, mismatch in ((tmp_path / "small", True), (pairs / "*_reconst.png", False)):
        source = open_images(str(generated))
        found = compare_resolution(real, source)
        assert found is not None and found.mismatch is mismatch
        comparison = looked_at(real, source, tmp_path / "store", segmenter)
        share = check_sensitivity(
            real, source, comparison, segmenter, resolution=found, store=tmp_path / "store"
        )
        assert by_name(share)["person"].flagged is mismatch
