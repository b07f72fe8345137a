"""How much of a class the sites of a generator can give, before any image of an edit is made.

Guarantees: every site is looked at with the same photos; places beside the class (the same shapes,
moved aside within their photos) are the control: what they reach says nothing of the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import RewritableGenerator, Site, State
from seeingkit.errors import UsageError

from ..rewriting.bench import Bench, check_behind, is_behind
from ..rewriting.goals import Wanted
from ..rewriting.moments import KeyMoments
from ..rewriting.photos import PhotoAtSite, keys_within, photo_at_site, wanted_of_photos
from ..rewriting.reach import KeyReach, ValueReach, key_reach, needed, rows_of, value_reach
from .settings import RepairSettings

Masks = list[NDArray[np.uint8]]

SAMPLES, PLACES = 60, 4096
"""Images of the generator whose keys are looked at, and places of each at most."""


@dataclass(frozen=True, eq=False)
class ClassPhotos:
    """Photos of a class, and what the generator makes of them.

    Attributes:
        label: number of the class.
        ids: of the photos.
        images: (N, 3, R, R) in [-1, 1].
        masks: (R, R) uint8 of each, 255 where the class is.
        state: of their inversions, N rows.
        by_truth: the masks are true labels, not the segmenter's.
    """

    label: int
    ids: tuple[str, ...]
    images: Tensor
    masks: Masks
    state: State
    by_truth: bool


def moved_aside(mask: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The same shape half a picture further on, without pixels of the class; None: nothing left.

    >>> mask = np.zeros((4, 4), np.uint8)
    >>> mask[3, 0] = 255
    >>> moved_aside(mask)[3].tolist()
    [0, 0, 255, 0]
    """
    moved = np.where(mask > 0, 0, np.roll(mask, mask.shape[1] // 2, axis=1)).astype(np.uint8)
    return moved if moved.any() else None


@dataclass(frozen=True, eq=False)
class SiteReach:
    """The reach of a site.

    Attributes:
        bench: the generator at the site.
        moments: of its keys.
        wanted: values of the class's places; control: of places beside; None: there are none.
        made, reached: mean absolute error (range 2) in the class's places, of the inversions and of
            the optimised values.
        keys: of the class's places among others.
        values: of each edit, by rank and weight (keep): of the class, and of the control; None:
            the places beside need no other values.
    """

    bench: Bench
    moments: KeyMoments
    wanted: Wanted
    control: Wanted | None
    made: float
    reached: float
    keys: KeyReach
    values: dict[tuple[int, float], tuple[ValueReach, ValueReach | None]]

    @property
    def best(self) -> tuple[int, float]:
        """The edit that brings photos that were left out nearest to their values."""
        return max(self.values, key=lambda each: self.values[each][0].net)


def usable_sites(generator: RewritableGenerator, cut: str, names: Sequence[str] = ()) -> list[Site]:
    """The sites behind a cut, in front of the image.

    Raises:
        UsageError: none, or one of the names lies in front of the cut.
        UnknownNameError: no such site.

    ``usable_sites(generator, "r4.conv1")[0].name``
    """
    if names:
        chosen = [generator.site(name) for name in dict.fromkeys(names)]
    else:
        chosen = [
            site
            for site in generator.sites()
            if is_behind(generator, site, cut) and generator.boundary(site.after).kind == "feature"
        ]
    for site in chosen:
        check_behind(generator, site, cut)
        if site.keys[0] > site.values[0] or site.keys[1] > site.values[1]:
            raise UsageError(f"site {site.name!r} makes its map smaller; name another")
    if not chosen:
        raise UsageError(
            f"{generator.info.family} has no site behind {cut!r}, where photos are inverted: take "
            "an earlier boundary with --cut"
        )
    return chosen


def site_reach(
    bench: Bench, moments: KeyMoments, photos: ClassPhotos, settings: RepairSettings
) -> SiteReach:
    """Look at a site.

    Args:
        bench: the generator at the site.
        moments: of its keys.
        photos: of the class.
        settings: ranks and weights.

    Raises:
        UsageError: the class's places are too small for the map.

    ``site_reach(bench, moments, photos, RepairSettings()).best``
    """
    at = [
        photo_at_site(bench, photos.images[[k]], photos.state[[k]])
        for k in range(len(photos.images))
    ]
    errors = np.array([one.error(mask) for one, mask in zip(at, photos.masks, strict=True)])
    wanted = wanted_of_photos(bench, at, photos.masks)
    control = _control(bench, at, photos.masks)
    with torch.no_grad():
        drawn = [_some(bench.keys(k)) for k in range(SAMPLES)]
    ranks = _ranks(bench, wanted, settings)
    if not ranks:
        raise UsageError(
            f"site {bench.site.name!r}: the photos show the class at too few places for an edit of "
            f"rank {min(settings.ranks)}; take more photos or a later site"
        )
    own = value_reach(bench, wanted, moments, ranks, settings.keeps)
    beside: dict[tuple[int, float], ValueReach] = {}
    if control is not None and needed(control):
        able = [rank for rank in _ranks(bench, control, settings) if rank in ranks]
        if able:
            beside = value_reach(bench, control, moments, able, settings.keeps)
    values = {each: (found, beside.get(each)) for each, found in own.items()}
    made, reached = errors.mean(0).tolist()
    keys = key_reach(bench, wanted, moments, torch.cat(drawn))
    return SiteReach(bench, moments, wanted, control, made, reached, keys, values)


def _some(keys: Tensor) -> Tensor:
    """Keys (P, C_in) of one image, at ``PLACES`` of its places at most, by an odd step."""
    flat = keys[0].flatten(1).T
    return flat[:: -(-len(flat) // PLACES) | 1].cpu()


def _ranks(bench: Bench, wanted: Wanted, settings: RepairSettings) -> list[int]:
    """The ranks for which there are keys enough, whichever photo is left out."""
    rows = range(len(wanted.keys))
    each = [len(keys_within(rows_of(wanted, [row]), bench.site.keys)[0]) for row in rows]
    most = min(bench.site.rank, sum(each) - max(each))
    return [rank for rank in settings.ranks if rank <= most]


def _control(bench: Bench, at: Sequence[PhotoAtSite], masks: Masks) -> Wanted | None:
    found = []
    for one, mask in zip(at, masks, strict=True):
        aside = moved_aside(mask)
        try:
            if aside is not None:
                found.append(wanted_of_photos(bench, [one], [aside]))
        except UsageError:  # less than a cell of the map is left of it
            continue
    if len(found) < 3:
        return None
    states, *parts = zip(*found, strict=True)
    return Wanted(State.cat(states), *map(torch.cat, parts))
