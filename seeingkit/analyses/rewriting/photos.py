"""Photos at a site: keys that the generator has for them, and values that would show them.

A photo is inverted first (``analyses.inversion``): its state at the site's ``before`` is what the
generator makes of the photo, and gives the keys. Then the site's linear values alone are optimised,
so that what lies behind the site shows the photo itself: the values that an edit would have to
give. They are not unique (many values give one image), so they are held near the generator's own.

Guarantees: one photo at a time, so that nothing depends on which others there are; nothing of the
generator is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import RewritableGenerator, State
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import ModelError, UsageError

from .bench import Bench, check_behind, latent_of, state_on
from .goals import Wanted
from .regions import PhotoRegion, Region

STEPS, RATE = 150, 0.05
"""Of Adam, on values in units of their root mean square."""
OTHERS, FAR = 20, 0.5
"""Other images that the inversion of a photo is compared with, and the share of their distance from
it beyond which it is said to be far from the photo."""
PULL = 0.003
"""Weight of the squared distance from the generator's own values, beside the error of the image."""


@dataclass(frozen=True, eq=False)
class PhotoAtSite:
    """A photo at a site; every tensor has one row.

    Attributes:
        photo: (1, 3, R, R) in [-1, 1].
        state: at ``site.before``, of the photo's inversion.
        keys: (1, C_in, h, w).
        linear: (1, C_out, H, W), values with which the rest of the network shows the photo.
        made: (1, 3, R, R), the image of the state; reached: that of ``linear``.
    """

    photo: Tensor
    state: State
    keys: Tensor
    linear: Tensor
    made: Tensor
    reached: Tensor

    def error(self, mask: NDArray[np.uint8] | None = None) -> tuple[float, float]:
        """Mean absolute error (range 2) of ``made`` and of ``reached``, where a mask (R, R) is."""
        size = (self.photo.shape[2], self.photo.shape[3])
        area = torch.ones(size) if mask is None else Region(0, mask).area(size)
        share = (area / area.sum()).to(self.photo)
        made, reached = (
            float(((image - self.photo).abs().mean(1) * share).sum())
            for image in (self.made, self.reached)
        )
        return made, reached


def photo_at_site(
    bench: Bench,
    photo: Tensor,
    state: State,
    *,
    steps: int = STEPS,
    rate: float = RATE,
    pull: float = PULL,
) -> PhotoAtSite:
    """Find the values of a site that show a photo.

    Args:
        bench: the generator at the site.
        photo: (1, 3, R, R) in [-1, 1].
        state: of its inversion, at ``site.before`` or in front of it, one row.
        steps, rate: of Adam.
        pull: weight of the mean squared distance from the generator's own values, in units of their
            root mean square over the map.

    Raises:
        UsageError: a site in front of the state, or more than one photo.
        ModelError: the optimisation gave NaN.

    ``photo_at_site(bench, photo, inversion.state)``
    """
    generator, site = bench.generator, bench.site
    if len(state) != 1 or photo.shape[0] != 1:
        raise UsageError("one photo at a time, please: give one row of its inversion")
    check_behind(generator, site, state.at)
    with torch.no_grad():
        state, photo = state_on(state, bench.weight.device), photo.to(bench.weight.device)
        start = generator.advance(state, site.before).detach()
        keys = generator.keys(start, site)
        own = bench.linear(keys)
        scale = own.square().mean().sqrt().clamp_min(torch.finfo(own.dtype).tiny)
        made = _image(bench, start, own)
    moved = torch.zeros_like(own).requires_grad_()
    adam = torch.optim.Adam([moved], lr=rate)
    with torch.enable_grad():
        for _ in range(steps):
            image = _image(bench, start, own + scale * moved)
            loss = (image - photo).abs().mean() + pull * moved.square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    with torch.no_grad():
        linear = own + scale * moved.detach()
        reached = _image(bench, start, linear)
    if not bool(torch.isfinite(reached).all()):
        raise ModelError(f"site {site.name!r}: the values of a photo became NaN")
    return PhotoAtSite(photo, start, keys, linear, made, reached)


def _image(bench: Bench, state: State, linear: Tensor) -> Tensor:
    found: Tensor = bench.generator.advance(bench.generator.finish(state, bench.site, linear)).x
    return found


@torch.no_grad()
def wanted_of_photos(
    bench: Bench, photos: Sequence[PhotoAtSite], masks: Sequence[NDArray[np.uint8]]
) -> Wanted:
    """Values that the places of masks are to have, so that the photos are shown there.

    Args:
        bench: the generator at the site.
        photos: at that site.
        masks: (H, W) uint8 of each, 255 where it is to be shown.

    Returns:
        one row a photo.

    Raises:
        UsageError: no photo, or a mask that is too small for the map.

    ``wanted_of_photos(bench, [photo_at_site(bench, photo, state)], [mask])``
    """
    if not photos:
        raise UsageError("no photo to take values from")
    rows = []
    for found, mask in zip(photos, masks, strict=True):
        own = bench.linear(found.keys)
        share = Region(0, mask).area((own.shape[2], own.shape[3])).to(own)[None, None]
        values, slope = _values(bench, found), torch.ones_like(own)
        if bench.site.elementwise:
            slope = bench.generator.unfinish(found.state, bench.site, values)[1]
        rows.append((found.state, found.keys, found.linear - own, share, slope, values))
    states, *parts = zip(*rows, strict=True)
    return Wanted(State.cat(states), *map(torch.cat, parts))


def photo_values(bench: Bench, copy: PhotoRegion) -> Tensor:
    """Values (1, C_out, H, W) of the site that show the photo of a region.

    Raises:
        UsageError: the photo is not inverted, or behind the site.

    ``pasted(bench, copy, contexts, photo_values(bench, copy))``
    """
    return _values(bench, photo_at_site(bench, copy.found.image, copy.found.state))


@torch.no_grad()
def _values(bench: Bench, at: PhotoAtSite) -> Tensor:
    """Values that show a photo: linear ones of a site that is not ``elementwise``."""
    if not bench.site.elementwise:
        return at.linear
    return bench.generator.finish(at.state, bench.site, at.linear).x


class Nearness(NamedTuple):
    """How near the inversion of a photo is to it, in a region.

    Attributes:
        error: mean absolute difference, of a range of 2.
        other: the same of the generator's other images, median.
    """

    error: float
    other: float


@torch.no_grad()
def nearness(
    generator: RewritableGenerator,
    region: PhotoRegion,
    seed: int = 0,
    labels: tuple[int, ...] = (),
) -> Nearness:
    """Compare the inversion of a photo, and other images, with the photo where a region is.

    Args:
        generator: that inverted it.
        region: of the photo.
        seed, labels: of the series of images, as of ``Bench``.

    ``nearness(generator, request.copy).error``
    """
    photo = region.found.image.to(generator.device)
    area = region.area((photo.shape[2], photo.shape[3])).to(photo)
    share = area / area.sum()

    def error(image: Tensor) -> float:
        return float(((image - photo).abs().mean(1) * share).sum())

    made = generator.advance(state_on(region.found.state, generator.device)).x
    series = further_seed(seed, Series.KEYS)
    others = [
        error(generator(latent_of(generator, index, series, labels))) for index in range(OTHERS)
    ]
    return Nearness(error(made), median(others))


def keys_within(wanted: Wanted, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Keys of the wanted places, (P, C_in) float64, and how much of each is wanted, (P,).

    Args:
        wanted: of any photos.
        size: of the map of keys.

    ``keys_within(wanted, bench.site.keys)[0].shape``
    """
    share = torch.nn.functional.interpolate(wanted.share, size, mode="area").flatten()
    keys = wanted.keys.movedim(1, -1).flatten(0, 2)
    return keys[share > 0].double().cpu(), share[share > 0].double().cpu()
