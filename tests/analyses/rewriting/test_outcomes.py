"""What an edit did, in numbers of each image: against counts by hand, resumed, and under nulls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seeingkit import RewrittenGenerator, WeightEdit
from seeingkit.analyses.interventions.differences import effect
from seeingkit.analyses.interventions.effects import Measured
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.matching import Matcher, matcher_of
from seeingkit.analyses.rewriting.moments import KeyMoments, key_moments
from seeingkit.analyses.rewriting.outcome_parts import OutcomeRows
from seeingkit.analyses.rewriting.outcomes import (
    Name,
    Outcome,
    contrast,
    copied_classes,
    outcome,
    outcomes,
)
from seeingkit.analyses.rewriting.plan import bench_of, plan
from seeingkit.analyses.rewriting.regions import Request
from seeingkit.contracts import RewritableGenerator
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.images.preprocess import quantise, to_tensor
from tests.helpers.rewriting import request, small
from tests.helpers.toys import LevelSegmenter

SAMPLE = Sample(range(20), 12_000_000)
NAMES: tuple[Name, ...] = (
    "before",
    "after",
    "success",
    "converted",
    "outside",
    "labels_outside",
    "touched",
)


@pytest.fixture(scope="module")
def generator() -> RewritableGenerator:
    return small()


@pytest.fixture(scope="module")
def moments(generator: RewritableGenerator) -> KeyMoments:
    return key_moments(generator, generator.site("r8"), Sample(range(30), 9))


@pytest.fixture(scope="module")
def edit(generator: RewritableGenerator, moments: KeyMoments) -> WeightEdit:
    return plan(generator, request(), "r8", rank=2, keep=0.1, moments=moments)


@pytest.fixture(scope="module")
def matcher(generator: RewritableGenerator, moments: KeyMoments) -> Matcher:
    return matcher_of(generator, "r8", request(), moments, most=0.2)


def measured(
    generator: RewritableGenerator, edits: list[WeightEdit], matcher: Matcher, **more: Any
) -> Outcome:
    given: dict[str, Any] = {"wanted": ["bright"], **more}
    return outcome(generator, edits, matcher, LevelSegmenter("thirds"), SAMPLE, **given)


def test_rows_are_counts_by_hand(
    generator: RewritableGenerator, edit: WeightEdit, matcher: Matcher
) -> None:
    found = measured(generator, [edit], matcher)
    latent = generator.latents(range(20), seed=SAMPLE.seed)
    state = generator.advance(generator.begin(latent), matcher.site.before)
    there = matcher.pixels(state, (16, 16))
    first = quantise(generator(latent))
    second = quantise(RewrittenGenerator(generator, [edit])(latent))
    a, b = (LevelSegmenter("thirds").segment(to_tensor(each))[:, 0] for each in (first, second))
    moved = (first.int() - second.int()).abs().sum(-1)
    wanted = [
        there,
        there & (a == 3),
        there & (b == 3),
        there & (b == 3) & (a != 3),
        a != b,
        (a != b) & ~there,
        there,
        moved,
        moved * ~there,
    ]
    assert 0 < int(there.sum()) < there.numel() and int(moved.sum())
    for name, own in zip(OutcomeRows._fields, wanted, strict=True):
        assert getattr(found.rows, name).tolist() == own.sum((1, 2)).tolist(), name
    assert found.measured.before[:, 3].tolist() == (a == 3).sum((1, 2)).tolist()
    assert found.measured.after[0, :, 3].tolist() == (b == 3).sum((1, 2)).tolist()
    assert found.outside.value == pytest.approx(
        float((second.float() - first.float()).abs().mean(-1)[~there].mean() / 127.5), rel=1e-6
    )
    success, before, after = found.success.value, found.before.value, found.after.value
    assert success is not None and before is not None and after is not None
    assert success == pytest.approx(after - before) and found.wanted == ("bright",)
    told = effect(found.measured, LevelSegmenter().vocabulary)
    assert told.n == 20 and told.moved == pytest.approx(float((a != b).double().mean()))


def test_nothing_changes_nothing(
    generator: RewritableGenerator, edit: WeightEdit, matcher: Matcher, moments: KeyMoments
) -> None:
    asked = request()
    itself = Request(asked.copy, asked.copy, (asked.copy,), asked.seed)
    pasted = plan(generator, itself, "r8", rank=1, moments=moments)
    for nothing in (edit.at(0), pasted):
        found = measured(generator, [nothing], matcher)
        for name in ("success", "converted", "outside", "labels_outside"):
            assert found.ratio(name)[:4] == (0, 0, 0, 1), name
        assert found.touched[:2] == (0, 0)
        assert found.before == found.after


def test_candidates_are_as_if_alone_and_are_met_again(
    tmp_path: Path, generator: RewritableGenerator, edit: WeightEdit, matcher: Matcher
) -> None:
    half = edit.at(0.5)
    segmenter = LevelSegmenter("thirds")
    given: dict[str, Any] = {"wanted": ["bright"], "store": tmp_path}
    both = outcomes(generator, [[edit], [half]], matcher, segmenter, SAMPLE, **given)
    assert segmenter.seen == 3 * 20
    alone = measured(generator, [half], matcher)
    for name in NAMES:
        assert both[1].ratio(name) == alone.ratio(name)
    again = outcomes(generator, [[half], [edit]], matcher, segmenter, SAMPLE, **given)
    assert segmenter.seen == 3 * 20
    assert all(np.array_equal(x, y) for x, y in zip(again[1].rows, both[0].rows, strict=True))
    files = sorted(tmp_path.glob("??/*.safetensors"))
    assert len(files) == 4
    files[0].unlink()  # as of a run that was killed
    outcomes(generator, [[half], [edit]], matcher, segmenter, SAMPLE, **given)
    assert 60 < segmenter.seen <= 60 + 2 * 16
    other = {**given, "wanted": ["dark"]}
    outcomes(generator, [[half]], matcher, segmenter, SAMPLE, **other)
    assert len(list(tmp_path.glob("??/*.safetensors"))) == 6


def test_contrast_is_of_the_same_images(
    generator: RewritableGenerator, edit: WeightEdit, matcher: Matcher
) -> None:
    first, second = (measured(generator, [edit.at(s)], matcher) for s in (1, 0))
    for name in ("success", "outside", "labels_outside"):
        found, own = contrast(first, second, name), first.ratio(name)
        assert (found.value, found.p) == (own.value, own.p)
        turned = contrast(second, first, name)
        assert found.value is not None and turned.value == -found.value
    stricter = replace(matcher, level=matcher.level + 0.01)
    with pytest.raises(UsageError, match="the same matching places"):
        contrast(first, measured(generator, [edit], stricter), "success")
    with pytest.raises(UsageError, match="no number named 'nothing'"):
        first.parts("nothing")  # type: ignore[arg-type]


def test_wanted_classes_are_those_of_the_copied_region(generator: RewritableGenerator) -> None:
    bench = bench_of(generator, generator.site("r8"), request())
    segmenter, copy = LevelSegmenter("thirds"), request().copy
    maps = segmenter.segment(to_tensor(quantise(bench.image(copy.index))))[0, 0]
    weights = copy.area((16, 16))
    shares = {
        name: float(weights[maps == k].sum() / weights.sum())
        for k, name in enumerate(segmenter.vocabulary.names)
    }
    order = sorted((name for name in shares if name != "-"), key=lambda name: -shares[name])
    assert copied_classes(bench, copy, segmenter, least=2.0) == (order[0],)
    kept = [name for name in order if shares[name] >= 0.25]
    assert list(copied_classes(bench, copy, segmenter)) == kept


def test_what_does_not_fit_is_refused(
    generator: RewritableGenerator, edit: WeightEdit, matcher: Matcher
) -> None:
    with pytest.raises(UsageError, match="no edit to measure"):
        measured(generator, [], matcher)
    with pytest.raises(UsageError, match="no wanted class"):
        measured(generator, [edit], matcher, wanted=[])
    with pytest.raises(UnknownNameError, match="castle"):
        measured(generator, [edit], matcher, wanted=["castle"])
    twice = Sample((1, 1), 0)
    with pytest.raises(UsageError, match="an image twice"):
        outcome(generator, [edit], matcher, LevelSegmenter(), twice, wanted=["dark"])


# ----------------------------------------------------------------------------------------- nulls


def exchanged(images: int, seed: int, strong: bool = False) -> Outcome:
    """An edit that exchanges, at matching places, images of one distribution: nearly all labels and
    pixels change, and how much of an image matches has a long tail. ``strong``: one of both images
    has most of the wanted class, the other hardly any."""
    rng = np.random.default_rng(seed)
    matched = np.floor(rng.gamma(0.5, 200, images)).astype(np.int64)
    wanted = [np.round(rng.beta(0.1, 0.9, images) * matched).astype(np.int64) for _ in range(2)]
    if strong:
        little, much = matched // 50, matched * 7 // 10
        turn = rng.random(images) < 0.5
        wanted = [np.where(turn, little, much), np.where(turn, much, little)]
    rest = 4096 - matched
    columns = OutcomeRows(
        matched=matched,
        wanted_before=wanted[0],
        wanted_after=wanted[1],
        gained=wanted[1],
        relabelled=np.round(0.9 * rest).astype(np.int64) + matched,
        relabelled_outside=np.round(0.9 * rest).astype(np.int64),
        picture_matched=matched,
        change=4096 * 200 + 0 * matched,
        change_outside=rest * 200,
    )
    nothing = np.zeros((1, images, 1), np.int64)
    counts = Measured(
        nothing[0], nothing, columns.relabelled[None] / 4096, nothing[:, :1], 4096, matched
    )
    return Outcome(columns, counts, 4096, 4096, ("tree",), Sample(range(images)), ("m",))


def claimed(images: int, runs: int, strong: bool = False) -> float:
    """Share of such edits that have a success, or a loss."""
    found = [exchanged(images, seed, strong).success.p for seed in range(runs)]
    return sum(p is not None and p <= 0.05 for p in found) / runs


@pytest.mark.slow
def test_an_edit_that_exchanges_images_has_no_success() -> None:
    for strong in (False, True):
        assert claimed(40, 200, strong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    found = exchanged(100, 0)
    assert found.labels_outside.value == pytest.approx(0.9, abs=0.01)
    assert found.touched.value == 1


@pytest.mark.slow
@pytest.mark.parametrize("images", [30, 100, 500])
@pytest.mark.parametrize("strong", [False, True])
def test_an_edit_that_exchanges_images_has_no_success_at_full_length(
    images: int, strong: bool
) -> None:
    assert claimed(images, 1000, strong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
