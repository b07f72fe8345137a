"""Can an edit of a site give what is wanted? Numbers that need no image of an edit.

*Value*: of the change that the wanted places need, the share that the edit gives in photos that it
was not planned with: 1 − Σ share·slope²·(ΔW k − change)² / Σ share·slope²·change². 1: all of it; 0:
none; below 0: it makes things worse. *Net*: the same less what the edit changes at places that are
to stay, Σ slope²·(ΔW k)² over them: above 0 only where the edit brings the values of a whole photo
nearer to the wanted ones. Each photo is left out in turn.

*Keys*: does the generator draw such keys at all? With d = C⁻¹ k̄ of the wanted places of all other
photos, how often a wanted place of the photo that is left out has a greater d · k than another
place of it (0.5: its keys do not tell it from its surroundings), and how often places of the
generator's own images have a d · k that half of the wanted places reach.

Guarantees: no chance in it; every number is of photos that were left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from seeingkit.errors import UsageError

from .bench import Bench
from .closed import basis
from .directions import mean_key, query_direction
from .goals import Wanted
from .groundwork import Groundwork
from .moments import KeyMoments
from .photos import keys_within


class KeyReach(NamedTuple):
    """Keys of wanted places, among others.

    Attributes:
        apart: probability that a wanted place scores higher than another place of its photo, mean
            over photos, in [0, 1].
        in_samples: share of the places of the generator's images whose score half of the wanted
            places reach.
        in_photos: the same of the other places of the photos.
    """

    apart: float
    in_samples: float
    in_photos: float


@dataclass(frozen=True, eq=False)
class ValueReach:
    """The share of the wanted change that an edit gives.

    Attributes:
        apart: in photos that were left out; net: there, less what other places change.
        own: in the photos that it was planned with.
    """

    apart: float
    net: float
    own: float


def value_reach(
    bench: Bench,
    wanted: Wanted,
    moments: KeyMoments,
    ranks: Sequence[int],
    keeps: Sequence[float],
) -> dict[tuple[int, float], ValueReach]:
    """How much of the wanted change edits can give, by rank and weight.

    Args:
        bench: the generator at the site.
        wanted: one row a photo, two at least.
        moments: of its keys.
        ranks: directions of the keys.
        keeps: how much the change of other places counts.

    Raises:
        UsageError: a rank above the number of keys of the places, or places that have their values
            already.

    ``value_reach(bench, wanted, moments, [6], [1.0])[6, 1.0].apart``
    """
    if not needed(wanted):
        raise UsageError(f"site {bench.site.name!r}: all wanted places have their values already")
    rows = range(len(wanted.keys))
    every = [(rank, keep) for rank in ranks for keep in keeps]
    left = dict.fromkeys(every, (0.0, 0.0))
    whole = _size(wanted, wanted.change.double())
    for row in rows:
        others = rows_of(wanted, [k for k in rows if k != row])
        ground = Groundwork.of_values(bench, others, moments, max(ranks))
        alone = rows_of(wanted, [row])
        for each in every:
            missed, beside = _missed(ground, alone, *each)
            left[each] = left[each][0] + missed, left[each][1] + beside
    ground = Groundwork.of_values(bench, wanted, moments, max(ranks))
    return {
        each: ValueReach(
            1 - left[each][0] / whole,
            1 - sum(left[each]) / whole,
            1 - _missed(ground, wanted, *each)[0] / whole,
        )
        for each in every
    }


def needed(wanted: Wanted) -> bool:
    """Whether any wanted place needs another value than it has.

    ``needed(wanted_of_photos(bench, photos, masks))``
    """
    return _size(wanted, wanted.change.double()) > 0


@torch.no_grad()
def _missed(ground: Groundwork, wanted: Wanted, rank: int, keep: float) -> tuple[float, float]:
    """Sums of squares: of the change that an edit misses at wanted places, and of the change that
    it makes at all others. Of the least squares alone, whatever steps follow them."""
    bench = ground.bench
    kernels = basis(ground.along[:rank], (bench.site.shape[2], bench.site.shape[3]))
    delta = torch.einsum("oj,jiyx->oiyx", ground.equations.solution(keep, rank), kernels)
    reached = bench.linear(wanted.keys, delta.to(bench.kernel)).double()
    others = wanted._replace(share=(wanted.share == 0).to(wanted.share))
    return _size(wanted, reached - wanted.change.double()), _size(others, reached)


def rows_of(wanted: Wanted, rows: Sequence[int]) -> Wanted:
    """Some rows of it.

    ``rows_of(wanted, [0, 2]).keys.shape``
    """
    chosen = list(rows)
    return Wanted(wanted.state[chosen], *(part[chosen] for part in wanted[1:]))


def _size(wanted: Wanted, change: Tensor) -> float:
    """Sum of squares of a change over the wanted places, in units of the values."""
    weight = wanted.share.double() * wanted.slope.double().square()
    return float((weight * change.square()).sum())


def key_reach(bench: Bench, wanted: Wanted, moments: KeyMoments, samples: Tensor) -> KeyReach:
    """Whether keys like those of the wanted places are drawn.

    Args:
        bench: the generator at the site.
        wanted: one row a photo, two at least.
        moments: of its keys.
        samples: (P, C_in) keys of images of the generator.

    ``key_reach(bench, wanted, moments, keys).in_samples``
    """
    rows = range(len(wanted.keys))
    apart, reached, beside, drawn = [], [], [], []
    for row in rows:
        others = rows_of(wanted, [k for k in rows if k != row])
        along = query_direction(moments, mean_key(*keys_within(others, bench.site.keys)))
        size = bench.site.keys
        share = torch.nn.functional.interpolate(wanted.share[[row]], size, mode="area").flatten()
        scores = (wanted.keys[row].flatten(1).double().T.cpu() @ along).cpu()
        inside = share.cpu() > 0.5 * float(share.max())
        own, other = scores[inside], scores[share.cpu() == 0]
        if not len(other):
            continue
        level = own.median()
        test = stats.mannwhitneyu(own.numpy(), other.numpy(), method="asymptotic")
        apart.append(float(test.statistic) / (len(own) * len(other)))
        beside.append(float((other >= level).double().mean()))
        drawn.append(float((samples.double() @ along >= level).double().mean()))
        reached.append(float(level))
    if not apart:
        return KeyReach(float("nan"), float("nan"), float("nan"))
    count = len(apart)
    return KeyReach(sum(apart) / count, sum(drawn) / count, sum(beside) / count)
