"""Controls of an edit: the same request with its contexts elsewhere, and edits of the same size.

A control copies the same object at the same site, rank and weight, but its contexts are boxes of
the same sizes at random places of random other images. It is scaled so that it moves the linear
values of all places as much as the edit does (root mean square, measured on images of the moments).
So it stirs the images as much, and puts the copied object into them, but not where it was asked.

Guarantees: a control depends on the request, its number and the site's plan alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from seeingkit.contracts import RewritableGenerator
from seeingkit.models.weightedits import WeightEdit
from seeingkit.statistics.ratios import MISS, Ratio, ratio_of_sums

from .closed import basis
from .contexts import with_contexts
from .directions import context_keys
from .kept import KeptPlaces
from .moments import KeyMoments
from .outcomes import Outcome
from .plan import bench_of, plan, usual_sample
from .regions import PhotoRegion, Region, Request

MOST_IMAGES = 10_000
"""Images among which those of shuffled contexts are drawn."""


def shuffled(request: Request, number: int) -> Request:
    """The request with each context at a random place of a random image.

    Args:
        request: any.
        number: of the control.

    >>> box = np.full((8, 8), 255, np.uint8)
    >>> shuffled(Request(Region(3, box), Region(7, box)), 0).contexts[0].mask.shape
    (8, 8)
    """
    source = np.random.default_rng([request.seed, number, 31])
    used = {one.index for one in request.contexts if not isinstance(one, PhotoRegion)}
    found = []
    for region in request.contexts:
        index = int(source.integers(MOST_IMAGES))
        while index in used:
            index = int(source.integers(MOST_IMAGES))
        used.add(index)
        rows, columns = (np.flatnonzero(region.mask.any(axis)) for axis in (1, 0))
        part = region.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        top, left = (
            int(source.integers(whole - side + 1))
            for whole, side in zip(region.mask.shape, part.shape, strict=True)
        )
        mask = np.zeros_like(region.mask)
        mask[top : top + part.shape[0], left : left + part.shape[1]] = part
        found.append(Region(index, mask))
    return with_contexts(request, found)


def controls(
    generator: RewritableGenerator,
    request: Request,
    edit: WeightEdit,
    moments: KeyMoments,
    count: int,
) -> list[WeightEdit]:
    """Edits of shuffled requests, of the size of an edit of ``plan``.

    Args:
        generator: that the edit is of.
        request: of the edit.
        edit: planned by the closed solver.
        moments: of the site.
        count: how many.

    ``controls(generator, request, edit, moments, 3)``
    """
    site = generator.site(edit.site)
    sample = moments.sample or usual_sample(request.seed, labels=request.labels)
    kept = KeptPlaces(bench_of(generator, site, request), sample)
    own, found = size(kept, edit), []
    for number in range(count):
        elsewhere = shuffled(request, number)
        keys, _ = context_keys(kept.bench, elsewhere.contexts)
        other = plan(
            generator,
            elsewhere,
            site.name,
            rank=min(int(edit.about["rank"]), *keys.shape),
            keep=float(edit.about["keep"]),
            polish=int(edit.about["polish"]),
            moments=moments,
        )
        its = size(kept, other)
        found.append(other.at(own / its if its else 1.0))
    return found


def size(kept: KeptPlaces, edit: WeightEdit) -> float:
    """Root mean square by which an edit moves linear values of all places, in stored numbers.

    Args:
        kept: the places.
        edit: of their site.

    ``size(kept, edit.at(2)) == 2 * size(kept, edit)``
    """
    kernels = basis(edit.directions, (edit.shape[2], edit.shape[3])).to(kept.bench.kernel)
    energy, factors = kept.energy(kernels), edit.factors.double()
    mean = torch.einsum("oj,jl,ol->o", factors, energy, factors).clamp_min(0).mean()
    return abs(edit.strength) * float(mean.sqrt())


class Beyond(NamedTuple):
    """Success of an edit beyond the control that comes nearest to it.

    Attributes:
        control: its number.
        difference: success − that of this control, image by image, with its interval.
        sure: whether the difference from **every** control is surely greater than asked for.
    """

    control: int
    difference: Ratio
    sure: bool


def beyond(own: Outcome, others: Sequence[Outcome], least: float) -> Beyond:
    """Compare an edit with its controls; an intersection-union test, so their number costs nothing.

    Args:
        own, others: of the same images and matching places; at least one other.
        least: difference that counts.

    ``beyond(outcome, outcomes, 0.05).sure``
    """
    above, below = own.parts("success")
    differences, sure = [], True
    for other in others:
        gained = above - other.parts("success")[0]
        differences.append(_within(ratio_of_sums(gained, below)))
        tested = ratio_of_sums(gained - least * below, below)
        higher = tested.low is not None and tested.low > 0
        sure = sure and higher and tested.p is not None and tested.p <= MISS
    nearest = min(range(len(others)), key=lambda k: (differences[k].value or 0.0, k))
    return Beyond(nearest, differences[nearest], sure)


def _within(found: Ratio) -> Ratio:
    """The interval cut to where a difference of two gains from the same start can lie."""
    low = None if found.low is None else max(-1.0, found.low)
    high = None if found.high is None else min(1.0, found.high)
    return found._replace(low=low, high=high)
