"""Which places of any image match the context of a request: where an edit is meant to act.

Guarantees: whether a place matches depends on its key alone, as it is without the edit; the level
is set by the request's own context and by images of the series of the moments, never by images that
an effect is measured on.

The score of a place is d · k, with d = C⁻¹ k̄ of length 1 and k̄ the mean key of the context
(``query``). A place matches where its score is at least the level: the one that a share of the
context's area reaches (``CONTEXT_SHARE``), but never one that more than a share of all places reach
(``MOST_PLACES``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import RewritableGenerator, Site, State
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.system.tensors import tensor_digest

from ..interventions.subjects import Sample
from .directions import context_keys, mean_key, query_direction
from .moments import BATCH, KeyMoments, keys_identity
from .plan import bench_of, usual_sample
from .regions import Request

MATCH_SCHEMA = 1
"""Version of the rules by which a place matches."""
CONTEXT_SHARE = 0.5
"""Share of the context's area that is to match."""
MOST_PLACES = 0.05
"""Share of all places of usual images that match at most."""
USUAL_IMAGES = 100
"""Usual images whose scores bound the level."""


@dataclass(frozen=True, eq=False)
class Matcher:
    """Finds the places of any image of a generator that match a context.

    Attributes:
        generator: whose keys are looked at: the one that is edited, without the edit.
        site: of it.
        direction: (C_in,) float64, of length 1.
        level: score from which on a place matches.
        context_share: share of the context's area at or above the level, in [0, 1].
        usual_share: share of the places of usual images at or above it, in [0, 1].

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> site = generator.site("r16.conv1")
    >>> matcher = Matcher(generator, site, torch.ones(96).double(), 0.0, 0.5, 0.01)
    >>> state = generator.advance(generator.begin(generator.latents([0])), site.before)
    >>> matcher.pixels(state, (64, 64)).shape
    torch.Size([1, 64, 64])
    """

    generator: RewritableGenerator
    site: Site
    direction: Tensor
    level: float
    context_share: float
    usual_share: float

    @torch.no_grad()
    def scores(self, state: State) -> Tensor:
        """Scores (N, h, w) of the places of images at ``site.before``, or before it."""
        own = self.generator.advance(state, self.site.before)
        keys = self.generator.keys(own, self.site)
        return torch.einsum("nchw,c->nhw", keys, self.direction.to(keys))

    def places(self, state: State) -> Tensor:
        """Matching places in the map of keys, (N, h, w) bool; argument as of ``scores``."""
        return self.scores(state) >= self.level

    def pixels(self, state: State, size: tuple[int, int]) -> Tensor:
        """Matching places grown to a picture of a size, (N, height, width) bool."""
        return grown(self.places(state), size)

    def identity(self) -> list[object]:
        """Everything that changes which places match, as JSON."""
        keys = keys_identity(self.generator, self.site)
        return [MATCH_SCHEMA, keys, tensor_digest(self.direction), self.level]


def grown(places: Tensor, size: tuple[int, int]) -> Tensor:
    """A map of places (N, h, w) bool at another size, each cell the nearest place.

    >>> grown(torch.tensor([[[True, False]]]), (2, 4)).int().tolist()
    [[[1, 1, 0, 0], [1, 1, 0, 0]]]
    """
    return F.interpolate(places[:, None].float(), size, mode="nearest-exact")[:, 0] > 0.5


def matcher_of(
    generator: RewritableGenerator,
    site: str,
    request: Request,
    moments: KeyMoments,
    *,
    share: float = CONTEXT_SHARE,
    most: float = MOST_PLACES,
    usual: Sample | None = None,
) -> Matcher:
    """The matcher of the context of a request.

    Args:
        generator: without the edit.
        site: name of the site whose keys are compared, such as that of the edit.
        request: whose contexts are matched.
        moments: of the keys of the site.
        share: of the context's area that is to match, in (0, 1].
        most: share of the places of usual images that match at most, in (0, 1]; where it holds the
            level up, less of the context matches (``Matcher.context_share`` says how much).
        usual: images that ``most`` is about; default: ``plan.usual_sample`` of the request's seed.

    Raises:
        UsageError: a share outside of (0, 1], a region that is too small for the map, or moments of
            other keys.
        UnknownNameError: no such site.

    ``matcher_of(generator, "r16.conv1", request, moments).context_share``
    """
    for name, given in (("share", share), ("most", most)):
        if not 0 < given <= 1:
            raise UsageError(f"{name} {given}: a share in (0, 1] is needed")
    place = generator.site(site)
    moments.check(generator, place)
    bench = bench_of(generator, place, request)
    keys, weights = context_keys(bench, request.contexts)
    direction = query_direction(moments.of_places(), mean_key(keys, weights))
    own = keys.float() @ direction.float()
    sample = usual or usual_sample(request.seed, USUAL_IMAGES, request.labels)
    loose = Matcher(generator, place, direction, float("-inf"), 1.0, 1.0)
    every = torch.cat([loose.scores(state).flatten().cpu() for state in _states(loose, sample)])
    level = max(level_of(own, weights, share), level_above(every, most))
    return Matcher(
        generator,
        place,
        direction,
        level,
        float(weights[own >= level].sum() / weights.sum()),
        float((every >= level).double().mean()),
    )


def level_of(scores: Tensor, weights: Tensor, share: float) -> float:
    """The greatest level that a share of the weights reaches.

    Args:
        scores, weights: (P,).
        share: in (0, 1].

    >>> level_of(torch.tensor([1.0, 4.0, 2.0]), torch.tensor([1.0, 1.0, 2.0]), 0.5)
    2.0
    """
    ordered, order = scores.sort(descending=True, stable=True)
    reached = weights[order].double().cumsum(0) / weights.double().sum()
    first = int((reached >= share - 1e-9).nonzero()[0])
    return float(ordered[first])


def level_above(scores: Tensor, most: float) -> float:
    """The least level among scores that at most a share of them reaches; just above the greatest
    one where even that is reached by more.

    >>> level_above(torch.tensor([1.0, 4.0, 2.0, 3.0]), 0.5)
    3.0
    """
    levels, many = scores.unique(sorted=True, return_counts=True)
    reached = many.flip(0).cumsum(0).flip(0).double() / len(scores)
    allowed = levels[reached <= most + 1e-9]
    if not len(allowed):
        return float(torch.nextafter(levels[-1], torch.tensor(float("inf")).to(levels)))
    return float(allowed[0])


def _states(matcher: Matcher, sample: Sample) -> Iterator[State]:
    generator, most = matcher.generator, max(sample.indices) + 1
    source = SamplerSource(generator, most, sample.seed, sample.labels or None)
    for start in range(0, len(sample), BATCH):
        latent = source.latent([int(index) for index in sample.indices[start : start + BATCH]])
        with torch.no_grad():
            yield generator.advance(generator.begin(latent), matcher.site.before)
