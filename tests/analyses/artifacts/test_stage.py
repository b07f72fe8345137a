"""Artifact units are found where they are planted, and none is where nothing is."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seeingkit.analyses.comparison.checks.metrics import resolve_metric
from seeingkit.analyses.interventions import parts
from seeingkit.analyses.interventions.artifacts import scores
from seeingkit.analyses.interventions.artifacts.config import ArtifactsConfig
from seeingkit.analyses.interventions.artifacts.measures import measure_ablation
from seeingkit.analyses.interventions.artifacts.real import (
    RealRows,
    parted_rows,
    readable_parts,
    split_real,
)
from seeingkit.analyses.interventions.artifacts.scores import by_ablation, by_images, strongest
from seeingkit.analyses.interventions.artifacts.spaces import AreaSpace, FeatureSpace, edited_rows
from seeingkit.analyses.interventions.artifacts.stage import (
    Artifacts,
    check_search,
    find_artifacts,
    search_sample,
)
from seeingkit.analyses.interventions.edited import EditedSampler
from seeingkit.analyses.interventions.effects import Intervention
from seeingkit.analyses.interventions.subjects import Sample, Starts, Subject
from seeingkit.contracts import Features, FeaturesInfo, ImageSource
from seeingkit.errors import TallyError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.edits import UnitEdit
from seeingkit.results import FidelityResult
from seeingkit.specs import PRESETS, MetricSpec
from seeingkit.system.digests import key_of
from tests.helpers.artifact_toys import ARTIFACT, UNITS, real_rows, subject
from tests.helpers.plugins import registry_of

CONFIG = ArtifactsConfig(units=(1, 3), search=100, random=3)


@functools.cache
def pool() -> np.ndarray:
    """Rows of real images; never of a seed that is searched or tested."""
    return real_rows(600, 10**8)


def found(
    chosen: Subject,
    config: ArtifactsConfig = CONFIG,
    seed: int = 7,
    n: int = 150,
    store: Path | None = None,
) -> Artifacts:
    order = np.random.default_rng(seed).permutation(len(pool()))
    real = RealRows(pool()[order[:100]], pool()[order[100 : 100 + n]])
    sample, space = Sample(range(n), seed), AreaSpace(chosen.segmenter)
    return find_artifacts(chosen, sample, space, real, config, store=store)


@pytest.mark.parametrize(("ranking", "shift"), [("ablation", 0.0), ("images", 0.15)])
def test_a_planted_unit_is_found_first_and_its_gain_is_shown(ranking: str, shift: float) -> None:
    config = CONFIG.model_copy(update={"ranking": ranking})
    made = found(subject(1.2, shift=shift), config)
    assert made.ranking.order[0] == ARTIFACT
    test = made.tests[0]
    assert test.units == [ARTIFACT] and test.claim == "gain" and test.as_good == 0
    assert test.before - test.after == pytest.approx(test.gain) and test.low > 0
    assert made.effect.classes[0].label in ("bright", "middle")
    assert (made.effect.n == 150 and made.best == 0) or made.tests[1].claim == "gain"


def test_where_nothing_is_planted_no_gain_is_claimed() -> None:
    for shift in (0.0, 0.15):
        made = found(subject(0.0, shift=shift), CONFIG.model_copy(update={"units": (2,)}))
        assert made.tests[0].claim in ("no evidence", "gain of any units")


def test_units_that_are_all_needed_are_a_loss() -> None:
    made = found(subject(0.0, lost=0.4), CONFIG.model_copy(update={"units": (3,)}))
    assert made.tests[0].claim == "loss" and made.tests[0].high < 0


@pytest.mark.slow
def test_false_gains_of_the_whole_search_stay_below_five_percent() -> None:
    """200 searches in which every ablation is neutral: half of them by a perfect generator."""
    claims = [
        found(subject(0.0, shift=shift), ArtifactsConfig(units=(2,), search=100, random=5), s, 100)
        .tests[0]
        .claim
        for shift in (0.0, 0.15)
        for s in range(0, 100_000, 1000)
    ]
    assert claims.count("gain") <= 10
    assert claims.count("gain") + claims.count("gain of any units") <= 12


def test_results_do_not_depend_on_the_batch() -> None:
    config = CONFIG.model_copy(update={"units": (1,)})
    one, other = (found(subject(1.2, batch=batch), config, n=60) for batch in (64, 31))
    assert one.tests == other.tests
    assert one.ranking.order == other.ranking.order and one.effect == other.effect


def test_a_search_that_was_killed_goes_on_and_ends_as_one_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ArtifactsConfig(units=(1,), search=100, random=2)
    made: list[tuple[int, object]] = []

    def killed(*given: Any) -> np.ndarray:
        if len(given) > 4:
            made.append((len(given[2]), given[4].units))
        if len(made) == 6:
            raise KeyboardInterrupt
        return edited_rows(*given)

    monkeypatch.setattr(scores, "edited_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        found(subject(1.2), config, n=50, store=tmp_path)
    before, _ = made[:5], made.append((0, "went on"))
    resumed = found(subject(1.2), config, n=50, store=tmp_path)
    assert len(before) == 5 and not set(before) & set(made[7:])
    at_once = found(subject(1.2), config, n=50)
    assert resumed.tests == at_once.tests and resumed.effect == at_once.effect
    assert resumed.ranking.order == at_once.ranking.order
    assert np.array_equal(resumed.ranking.scores, at_once.ranking.scores)
    monkeypatch.setattr(scores, "edited_rows", edited_rows)
    monkeypatch.setattr(parts, "_made", lambda *_: pytest.fail("counted again"))
    assert found(subject(1.2), config, n=50, store=tmp_path).tests == at_once.tests
    # Another strength, or other images, is other work.
    with pytest.raises(pytest.fail.Exception, match="counted again"):
        found(subject(1.2), config.model_copy(update={"alpha": 0.5}), n=50, store=tmp_path)


def test_searched_and_tested_images_are_others() -> None:
    sample = Sample(range(300), 5)
    searched = search_sample(sample, CONFIG)
    assert not sample.overlaps(searched) and len(searched) == 100
    for images, search in ((500, 200), (160, 200)):
        first, second = split_real(images, search, 3)
        assert sorted([*first, *second]) == list(range(images))
        assert len(first) == min(search, images // 3)
    with pytest.raises(UsageError, match="149 real images are too few"):
        split_real(149, 200, 0)


@pytest.mark.parametrize(
    ("update", "n", "said"),
    [
        ({"units": (7,)}, 100, "at most 6"),
        ({}, 49, "at least 50 images"),
        ({"ranking": "marks"}, 100, "painted regions"),
        ({"marks": "x.json"}, 100, "painted regions"),
    ],
)
def test_what_cannot_be_searched_is_refused_first(
    update: dict[str, object], n: int, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check_search(subject(), Sample(range(n)), CONFIG.model_copy(update=update))


def test_an_image_that_cannot_be_read_moves_no_other() -> None:
    parts = split_real(160, 200, 3)
    lost = int(parts.test[0])
    read = [number for number in range(160) if number != lost]
    found = readable_parts(parts, read)
    assert np.array_equal(found.search, parts.search)
    assert np.array_equal(found.test, parts.test[1:])
    rows = parted_rows(np.array(read, float)[:, None], read, found)
    assert np.array_equal(rows.search[:, 0], found.search)
    assert np.array_equal(rows.test[:, 0], found.test)
    with pytest.raises(UsageError, match="49 of the search, which needs 50"):
        readable_parts(parts, [k for k in range(160) if k not in parts.search[:4]])


def test_the_second_round_is_of_the_best_units_on_all_images() -> None:
    chosen = subject(1.2)
    starts = Starts(chosen, Sample(range(220), 4_000_000))
    space = AreaSpace(chosen.segmenter)
    ranking = by_ablation(chosen, starts, space, pool()[:100], most=1)
    assert ranking.order[0] == ARTIFACT and sorted(ranking.order) == list(range(UNITS))
    assert ranking.rounds.count(2) == 8 and ranking.passes == 55 * (1 + UNITS) + 220 * 9
    assert all(ranking.rounds[unit] == 2 for unit in ranking.order[:8])
    other = by_images(chosen, starts, space, pool()[:100])
    assert other.order[0] == ARTIFACT and other.passes == 220


def test_strongest_images_of_equal_value_are_the_first() -> None:
    assert strongest(np.zeros((4, 2)), 3) == [[0, 1, 2], [0, 1, 2]]


class Means(Features):
    """Means of the halves of a picture, as a map of 2 x 1, with a constant beside it."""

    name = "means"
    info = FeaturesInfo(family="means", layer="halves")

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        halves = images.unflatten(2, (2, -1)).mean((3, 4))
        return halves.permute(0, 2, 1)[..., None].contiguous(), torch.ones(len(images), 4)


def test_distances_may_be_of_features_and_see_the_artifact() -> None:
    chosen, clean = subject(1.2), subject()
    pictures = [clean.pictures(clean.images(s)) for _, s in clean.states(Sample(range(260), 10**8))]
    features = Means()
    raw = np.concatenate([pooled_means(features, each) for each in pictures])
    space = FeatureSpace.of(features, raw[:100])
    assert space.directions.shape[1] <= 6
    assert np.allclose(space.directions.T @ space.directions, np.eye(space.directions.shape[1]))
    real = RealRows(space.along(raw[:100]), space.along(raw[100:]))
    made = find_artifacts(chosen, Sample(range(160), 7), space, real, CONFIG)
    assert made.ranking.order[0] == ARTIFACT and made.tests[0].claim == "gain"
    with pytest.raises(TallyError, match="2 real images"):
        FeatureSpace.of(features, raw[:1])
    # Rows that are kept are of this network and these directions; a search met again is equal.
    again, other = (FeatureSpace.of(features, raw[rows]) for rows in (slice(100), slice(100, 200)))
    spaces = (space, again, other, AreaSpace(chosen.segmenter))
    keys = [key_of(*each.identity()) for each in spaces]
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_a_ranking_by_features_does_not_meet_rows_of_areas(tmp_path: Path) -> None:
    chosen = subject(1.2)
    starts = Starts(chosen, Sample(range(50), 7))
    areas, rows = AreaSpace(chosen.segmenter), pool()[:100]
    pictures = chosen.pictures(chosen.images(chosen.start(starts.sample, range(50))))
    raw = pooled_means(Means(), pictures)
    features = FeatureSpace.of(Means(), raw)
    for space, real in ((areas, rows), (features, features.along(raw))):
        plain, kept = (
            by_ablation(chosen, starts, space, real, store=store) for store in (None, tmp_path)
        )
        assert np.array_equal(plain.scores, kept.scores) and plain.order == kept.order


def pooled_means(features: Means, pictures: torch.Tensor) -> np.ndarray:
    halves, ones = features(pictures)
    return np.hstack([halves.flatten(2).mean(2).numpy(), ones.numpy()]).astype(float)


def test_an_edited_generator_gives_the_images_of_the_edit_under_another_name() -> None:
    chosen = subject(1.2)
    edited = EditedSampler(chosen.generator, [UnitEdit("r8", (ARTIFACT,))])
    source = SamplerSource(edited, 5, seed=3)
    plain = SamplerSource(chosen.generator, 5, seed=3)
    state = chosen.start(Sample(range(5), 3), range(5))
    change = Intervention.ablation([ARTIFACT]).edit("r8", range(5))
    assert torch.equal(source.generate(range(5)), chosen.images(state, [change]))
    half = EditedSampler(chosen.generator, [UnitEdit("r8", (ARTIFACT,), torch.tensor([0.5]))])
    prints = {source.fingerprint, plain.fingerprint, SamplerSource(half, 5, seed=3).fingerprint}
    assert len(prints) == 3


class Brightness:
    """Difference of the mean brightness of both sides."""

    def __call__(
        self, real: ImageSource, generated: ImageSource, **settings: object
    ) -> FidelityResult:
        sides = [one.read(range(len(one))).mean().item() for one in (real, generated)]
        return FidelityResult(
            library="here",
            features="mean",
            n_real=len(real),
            n_generated=len(generated),
            values={"difference": sides[1] - sides[0]},
        )


def load_brightness(weights: object, options: object) -> Brightness:
    return Brightness()


def test_other_metrics_are_measured_without_and_with_the_ablation() -> None:
    spec = MetricSpec(
        name="brightness",
        summary="toy",
        target=f"{__name__}:load_brightness",
        needs_weights=False,
        default=True,
    )
    metric = resolve_metric(known=registry_of(spec))
    chosen = subject(1.2)
    real = SamplerSource(subject().generator, 60, 10**8, preset=PRESETS["native"])
    pair = measure_ablation(metric, chosen, Sample(range(60), 7), real, [ARTIFACT])
    before, after = (one.values["difference"] for one in (pair.before, pair.after))
    assert pair.units == [ARTIFACT] and pair.after.n_generated == 60
    assert before > 0.02 > abs(after)
