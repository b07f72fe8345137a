"""Places that match a context: the level, and which pixels they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.directions import context_keys, mean_key, query_direction
from seeingkit.analyses.rewriting.matching import (
    Matcher,
    grown,
    level_above,
    level_of,
    matcher_of,
)
from seeingkit.analyses.rewriting.moments import KeyMoments, key_moments
from seeingkit.analyses.rewriting.plan import bench_of, usual_sample
from seeingkit.analyses.rewriting.query import scores
from seeingkit.contracts import RewritableGenerator
from seeingkit.errors import UsageError
from tests.helpers.rewriting import request, small

NUMBERS = st.lists(st.integers(-5, 5), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def generator() -> RewritableGenerator:
    return small()


@pytest.fixture(scope="module")
def moments(generator: RewritableGenerator) -> KeyMoments:
    return key_moments(generator, generator.site("r8"), Sample(range(30), 9))


@pytest.fixture(scope="module")
def matcher(generator: RewritableGenerator, moments: KeyMoments) -> Matcher:
    return matcher_of(generator, "r8", request(), moments, most=0.5)


@given(NUMBERS, st.floats(0.01, 1))
def test_levels_reach_a_share_and_leave_a_share(numbers: list[int], share: float) -> None:
    given_ = torch.tensor(numbers, dtype=torch.float32)
    weights = torch.linspace(0.1, 1, len(given_))
    level = level_of(given_, weights, share)
    assert float(weights[given_ >= level].sum() / weights.sum()) >= share - 1e-6
    tighter = weights[given_ > level].sum() / weights.sum()
    assert float(tighter) < share + 1e-6
    above = level_above(given_, share)
    assert float((given_ >= above).double().mean()) <= share + 1e-6
    looser = given_[given_ < above]
    if len(looser):
        assert float((given_ >= looser.max()).double().mean()) > share


def test_scores_are_those_of_a_query_and_the_level_is_as_told(
    generator: RewritableGenerator, moments: KeyMoments, matcher: Matcher
) -> None:
    bench = bench_of(generator, generator.site("r8"), request())
    keys, weights = context_keys(bench, request().contexts)
    direction = query_direction(moments, mean_key(keys, weights))
    assert torch.equal(matcher.direction, direction)
    (known,) = scores(bench, direction, [5])
    assert torch.allclose(matcher.scores(bench.state(5))[0], known, atol=1e-5)
    assert 0.5 - 1e-6 <= matcher.context_share < 0.7 and matcher.usual_share <= 0.5
    places = matcher.places(bench.state(5))
    assert torch.equal(places[0], known >= matcher.level)
    assert torch.equal(matcher.pixels(bench.state(5), (16, 16)), grown(places, (16, 16)))
    begun = generator.begin(generator.latents([5]))  # from further in front, the same
    assert torch.equal(matcher.places(begun), places)


def test_usual_images_hold_the_level_up(
    generator: RewritableGenerator, moments: KeyMoments, matcher: Matcher
) -> None:
    strict = matcher_of(generator, "r8", request(), moments, most=0.01)
    assert strict.level > matcher.level and strict.usual_share <= 0.01
    assert strict.context_share < matcher.context_share
    assert strict.identity() != matcher.identity()
    assert usual_sample(3, images=7) == Sample(range(7), 11_000_003)


def test_patches_have_the_direction_of_places(
    generator: RewritableGenerator, matcher: Matcher
) -> None:
    sample = Sample(range(30), 9)
    patches = key_moments(generator, generator.site("r8"), sample, patch=True)
    found = matcher_of(generator, "r8", request(), patches, most=0.5)
    assert torch.allclose(found.direction, matcher.direction, atol=1e-6)


def test_what_does_not_fit_is_refused(generator: RewritableGenerator, moments: KeyMoments) -> None:
    for given_ in ({"share": 0.0}, {"most": 1.5}, {"share": float("nan")}):
        with pytest.raises(UsageError, match="a share in \\(0, 1\\] is needed"):
            matcher_of(generator, "r8", request(), moments, **given_)
    with pytest.raises(UsageError, match="moments of other keys"):
        matcher_of(generator, "r8", request(), replace(moments, made_of="another"))
