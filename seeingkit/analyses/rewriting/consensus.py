"""Which places match the context of a request, by the keys of many sites together.

The matcher of one site says where its own keys match: where an edit of that site acts. Edits of
different sites need places that favour none of them: the mean over sites of the share of usual
places whose score is lower, weighted by how far the site tells contexts from the rest of their
images better than chance (``contexts.separation``).

Guarantees: as of ``matching``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import RewritableGenerator, State
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.system.tensors import tensor_digest

from ..interventions.subjects import Sample
from .contexts import separation
from .directions import context_keys, mean_key, query_direction
from .matching import MOST_PLACES, USUAL_IMAGES, Matcher, level_above, level_of
from .moments import BATCH, KeyMoments
from .plan import bench_of, usual_sample
from .regions import Request

SHARE = 0.75
"""Share of the context's area that is to match."""
LEVELS = 1000
"""Quantiles of a site's scores at usual places that are kept."""


@dataclass(frozen=True, eq=False)
class Consensus(Matcher):
    """Finds matching places by the keys of several sites.

    Attributes:
        parts: matchers of single sites, whose levels are not used.
        weights: of them; their sum is 1.
        quantiles: of each one's scores at usual places, (``LEVELS``,) ascending.
        told: area under the ROC curve of each, see ``separation``.

    ``consensus(generator, request, moments).pixels(state, (64, 64))``
    """

    parts: tuple[Matcher, ...] = ()
    weights: tuple[float, ...] = ()
    quantiles: tuple[Tensor, ...] = ()
    told: Mapping[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def scores(self, state: State) -> Tensor:
        """Weighted shares in [0, 1], (N, h, w), on the largest map of keys."""
        height = max(part.site.keys[0] for part in self.parts)
        width = max(part.site.keys[1] for part in self.parts)
        found = torch.zeros(())
        for part, weight, levels in zip(self.parts, self.weights, self.quantiles, strict=True):
            own = part.scores(state)
            lower = torch.searchsorted(levels.to(own), own.contiguous()).to(own) / len(levels)
            grown = F.interpolate(lower[:, None], (height, width), mode="nearest-exact")[:, 0]
            found = found.to(own) + weight * grown
        return found

    def identity(self) -> list[object]:
        """Everything that changes which places match, as JSON."""
        own: list[object] = ["consensus", self.level, list(self.weights)]
        for part, levels in zip(self.parts, self.quantiles, strict=True):
            own += [*part.identity(), tensor_digest(levels)]
        return own


def consensus(
    generator: RewritableGenerator,
    request: Request,
    moments: Mapping[str, KeyMoments],
    *,
    usual: Sample | None = None,
) -> Consensus:
    """The matcher of the contexts of a request by the keys of all sites that tell them at all.

    Args:
        generator: without an edit.
        request: whose contexts are matched.
        moments: of the keys, by name of the site.
        usual: images that scores are compared with; default: those of ``usual_sample``.

    Raises:
        UsageError: no site tells the contexts from the rest of their images better than chance.

    ``consensus(generator, request, {"r16.conv1": moments}).told``
    """
    order = sorted(moments, key=lambda name: _start(generator, name))
    told, parts = {}, []
    for name in order:
        bench = bench_of(generator, generator.site(name), request)
        told[name] = separation(bench, request.contexts, moments[name])
        key = mean_key(*context_keys(bench, request.contexts))
        direction = query_direction(moments[name].of_places(), key)
        parts.append(Matcher(generator, bench.site, direction, float("-inf"), 1.0, 1.0))
    able = [part for part in parts if told[part.site.name] > 0.5]
    if not able:
        raise UsageError(
            "no site tells the contexts from the rest of their images: name the classes or the "
            "site whose keys are to match, or give clearer contexts"
        )
    whole = sum(told[part.site.name] - 0.5 for part in able)
    weights = tuple((told[part.site.name] - 0.5) / whole for part in able)
    sample = usual or usual_sample(request.seed, USUAL_IMAGES, request.labels)
    states = list(_states(generator, able[0].site.before, sample))
    steps = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    quantiles = tuple(
        _quantiles(torch.cat([part.scores(state).flatten().cpu() for state in states]), steps)
        for part in able
    )
    given = (tuple(able), weights, quantiles, told)
    loose = Consensus(generator, able[0].site, torch.zeros(0), float("-inf"), 1.0, 1.0, *given)
    every = torch.cat([loose.scores(state).flatten().cpu() for state in states])
    bench, own, shares = bench_of(generator, able[0].site, request), [], []
    for region in request.contexts:
        found = loose.scores(bench.state(region))[0].cpu()
        area = region.area((found.shape[0], found.shape[1]))
        own.append(found[area > 0])
        shares.append(area[area > 0])
    scores, areas = torch.cat(own), torch.cat(shares)
    level = max(level_of(scores, areas, SHARE), level_above(every, MOST_PLACES))
    shown = float(areas[scores >= level].sum() / areas.sum())
    usually = float((every >= level).double().mean())
    return Consensus(generator, able[0].site, torch.zeros(0), level, shown, usually, *given)


def _start(generator: RewritableGenerator, name: str) -> int:
    return generator.boundary(generator.site(name).before).index


def _states(generator: RewritableGenerator, before: str, sample: Sample) -> Iterator[State]:
    source = SamplerSource(generator, max(sample.indices) + 1, sample.seed, sample.labels or None)
    for start in range(0, len(sample), BATCH):
        latent = source.latent([int(index) for index in sample.indices[start : start + BATCH]])
        with torch.no_grad():
            yield generator.advance(generator.begin(latent), before)


def _quantiles(scores: Tensor, steps: Tensor) -> Tensor:
    """Quantiles of any number of scores; torch's own take 16 million at most."""
    found = np.quantile(scores.double().numpy(), steps.numpy())
    return torch.from_numpy(np.asarray(found, np.float32))
