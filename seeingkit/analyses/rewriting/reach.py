"""Can an edit of a site give what is wanted? Two numbers that need no image of an edit.

*Value*: of the change that the wanted places need, the share that the edit gives in photos that it
was not planned with: 1 − Σ share·slope²·(ΔW k − change)² / Σ share·slope²·change². 1: all of it; 0:
none; below 0: it makes things worse. Each photo is left out in turn.

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

from .bench import Bench
from .closed import basis, least_squares
from .directions import directions, mean_key, query_direction
from .goals import Wanted
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
        apart: in photos that were left out; own: in those that it was planned with.
    """

    apart: float
    own: float


def value_reach(
    bench: Bench, wanted: Wanted, moments: KeyMoments, rank: int, keep: float
) -> ValueReach:
    """How much of the wanted change an edit of a rank can give.

    Args:
        bench: the generator at the site.
        wanted: one row a photo, two at least.
        moments: of its keys.
        rank: directions of the keys.
        keep: how much the change of other places counts.

    Raises:
        UsageError: a rank above the number of keys of the places.

    ``value_reach(bench, wanted, moments, 6, 1.0).apart``
    """
    rows = range(len(wanted.keys))
    own = _missed(bench, wanted, planned(bench, wanted, moments, rank, keep))
    left = whole = 0.0
    for row in rows:
        others = rows_of(wanted, [k for k in rows if k != row])
        change = planned(bench, others, moments, rank, keep)
        missed, there = _missed(bench, rows_of(wanted, [row]), change)
        left, whole = left + missed, whole + there
    return ValueReach(1 - left / whole, 1 - own[0] / own[1])


def planned(
    bench: Bench, wanted: Wanted, moments: KeyMoments, rank: int, keep: float
) -> tuple[Tensor, Tensor]:
    """Numbers Λ (C_out, J) and directions (rank, C_in) of the edit for some places.

    Arguments and errors as of ``value_reach``.

    ``planned(bench, wanted, moments, 6, 1.0)[0].shape``
    """
    keys, weights = keys_within(wanted, bench.site.keys)
    along = directions(moments, keys, weights, rank)
    return least_squares(bench, wanted, moments, along, keep), along


def rows_of(wanted: Wanted, rows: Sequence[int]) -> Wanted:
    """Some rows of it.

    ``rows_of(wanted, [0, 2]).keys.shape``
    """
    chosen = list(rows)
    return Wanted(wanted.state[chosen], *(part[chosen] for part in wanted[1:]))


@torch.no_grad()
def _missed(bench: Bench, wanted: Wanted, edit: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Sums over the wanted places: of the square of the change that is missed, and of all of it."""
    factors, along = edit
    kernels = basis(along, (bench.site.shape[2], bench.site.shape[3]))
    delta = torch.einsum("oj,jiyx->oiyx", factors, kernels).to(bench.kernel)
    reached = bench.linear(wanted.keys, delta).double()
    weight = wanted.share.double() * wanted.slope.double().square()
    missed = (weight * (reached - wanted.change.double()).square()).sum()
    return float(missed), float((weight * wanted.change.double().square()).sum())


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
