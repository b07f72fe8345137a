"""Values that an edit is to give to places of whole images, one image of the context at a time.

Guarantees: nothing is cut out, so that what a place is to become is compared with what the layer
makes of it and of its neighbours: an object pasted onto itself asks for no change at all.

The copied values are pasted at the middle of **every** region of the context, not of one alone: at
equal side effects more places change (measured on the embedded networks, ``docs/rewriting.md``).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seeingkit.contracts import State

from .bench import Bench
from .regions import PhotoRegion, Region, bounding_box, put_at


class Wanted(NamedTuple):
    """Values that places of some images are to have.

    Attributes:
        state: of N images at ``site.before``.
        keys: (N, C_in, h, w).
        change: (N, C_out, H, W) of the linear values; 0 where nothing is to change.
        share: (N, 1, H, W) in [0, 1]: how much each place counts.
        slope: (N, C_out, H, W): d value / d linear where the value is to be, 1 for a site that is
            not ``elementwise``.
        values: (N, C_out, H, W) at ``site.after``, or linear ones for a site that is not
            ``elementwise``.
    """

    state: State
    keys: Tensor
    change: Tensor
    share: Tensor
    slope: Tensor
    values: Tensor


@torch.no_grad()
def pasted(
    bench: Bench, copy: Region, contexts: tuple[Region, ...], source: Tensor | None = None
) -> Wanted:
    """What was copied, pasted at the middle of every region of the context.

    A context of the photo that is copied from has the values that show the photo, not those that
    the generator gives it: so an object of a photo pasted onto itself asks for no change, too.

    Args:
        bench: the generator at the site.
        copy: of one image.
        contexts: of other images, or of photos.
        source: (1, C_out, H, W) values of the whole image that is copied from; None: those of the
            image that ``copy`` numbers.

    Returns:
        one row a region.
    """
    if source is None:
        source = _values(bench, bench.state(copy), bench.keys(copy))
    size = (source.shape[2], source.shape[3])
    area = copy.area(size).to(source.device)
    top, left, bottom, right = bounding_box(area)
    clip, alpha = source[:, :, top:bottom, left:right], area[top:bottom, left:right]
    rows = [
        _row(bench, region, clip, alpha, source if _same_photo(copy, region) else None)
        for region in contexts
    ]
    states, keys, change, share, slope, values = zip(*rows, strict=True)
    return Wanted(
        State.cat(states),
        *(torch.cat(parts) for parts in (keys, change, share, slope, values)),
    )


def _values(bench: Bench, state: State, keys: Tensor) -> Tensor:
    return bench.values(state) if bench.site.elementwise else bench.linear(keys)


def _same_photo(one: Region, other: Region) -> bool:
    if not isinstance(one, PhotoRegion) or not isinstance(other, PhotoRegion):
        return False
    return one.photo == other.photo or "" != one.sha256 == other.sha256


def _row(
    bench: Bench, region: Region, clip: Tensor, alpha: Tensor, before: Tensor | None
) -> Wanted:
    """The values of one region; ``before``: of its whole image, None: those that it has."""
    state, keys = bench.state(region), bench.keys(region)
    before = _values(bench, state, keys) if before is None else before
    own = bench.linear(keys)
    size = (before.shape[2], before.shape[3])
    top, left, bottom, right = put_at(size, alpha.shape, region.area(size))
    after, share = before.clone(), before.new_zeros(1, 1, *size)
    there = before[:, :, top:bottom, left:right]
    after[:, :, top:bottom, left:right] = there + alpha * (clip - there)
    share[:, :, top:bottom, left:right] = alpha
    wanted, slope = after, torch.ones_like(before)
    if bench.site.elementwise:
        wanted, slope = bench.generator.unfinish(state, bench.site, after)
    # exactly nothing where the value stays: going back through an activation rounds
    change = torch.where(after == before, 0, wanted - own)
    return Wanted(state, keys, change, share, slope, after)
