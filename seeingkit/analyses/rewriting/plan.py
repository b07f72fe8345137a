"""Plans an edit: from a request to a ``WeightEdit``.

Guarantees: the same request gives the same edit; contexts of earlier requests that are named are
protected; nothing of the generator is changed.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from PIL import Image

from seeingkit.contracts import RewritableGenerator, Site
from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError
from seeingkit.models.weightedits import WeightEdit, edit_of
from seeingkit.results.edits import PNG_URI
from seeingkit.system.addresses import Place

from ..interventions.subjects import Sample
from .bench import Bench, check_behind
from .directions import context_keys, directions, strongest_units
from .groundwork import Groundwork
from .moments import KeyMoments, key_moments
from .published import PublishedSettings, erase_goal, paste_goal, projected, solve
from .regions import PhotoRegion, Region, Request

Solver = Literal["closed", "published"]

RANK = 6
"""Directions of a least-squares edit: one alone reaches less at equal side effects."""

MOMENT_IMAGES = 400
"""Images whose keys an edit leaves as they are, unless told otherwise."""


def plan(
    generator: RewritableGenerator,
    request: Request,
    site: str,
    *,
    rank: int | None = None,
    solver: Solver = "closed",
    keep: float | None = None,
    polish: int | None = None,
    erase: int = 0,
    published: PublishedSettings | None = None,
    moments: KeyMoments | None = None,
    protect: Sequence[Request] = (),
    folder: Place | None = None,
) -> WeightEdit:
    """Plan an edit.

    Args:
        generator: of tier 3; one with edits, for a further one.
        request: regions of its images.
        site: name of the site.
        rank: directions of the keys that it may use.
        solver: ``closed``: least squares on all contexts; ``published``: Adam as in the original.
        keep: of ``closed``: how much the change of other places counts.
        polish: of ``closed``: steps of Adam afterwards; None: 100 for a site that is
            ``nonlinear``, else none.
        erase: in place of what was copied, the same images without so many units of the keys, those
            that stand out most in the context; ``published`` alone.
        published: settings of that solver.
        moments: of the keys; None: of ``MOMENT_IMAGES`` images of a series of their own.
        protect: earlier requests whose contexts are to keep their values.
        folder: where moments are stored.

    Raises:
        UsageError: a region that is too small, a rank above what the context has, …
        UnknownNameError: no such site.

    ``plan(generator, request, "r16.conv1").save("dome2tree.safetensors")``
    """
    place = generator.site(site)
    bench = bench_of(generator, place, request)
    settings = published or PublishedSettings()
    check_plan(bench, request, solver, rank, keep, erase, settings)
    rank = rank or (RANK if solver == "closed" else 1)
    if moments is None:
        labels = request.labels
        moments = usual_moments(generator, place, request.seed, labels=labels, folder=folder)
    moments.check(generator, place)
    moments = protected(moments, bench, protect)
    record = request_record(request)
    if solver == "closed":
        ground = Groundwork.of(bench, request.copy, request.contexts, moments, rank)
        return ground.edit(rank, keep, polish, request=record)
    if moments.patch > 1:
        raise UsageError("the published solver takes moments of places, not of patches")
    keys, weights = context_keys(bench, request.contexts)
    along = directions(moments, keys, weights, rank)
    if erase:
        units = strongest_units(moments, keys, weights, erase)
        goal = erase_goal(bench, request.paste, units, tight=settings.tight)
    else:
        goal = paste_goal(bench, request.copy, request.paste, tight=settings.tight)
    kernels = solve(bench, goal, along, settings)
    change = projected(kernels.kernel - bench.kernel, along.to(bench.kernel))
    factors = torch.einsum("oiyx,di->odyx", change, along.to(change)).flatten(1)
    about: dict[str, Any] = {"solver": solver, "rank": rank, "keys": moments.count}
    about |= {"steps": settings.steps, "rate": settings.rate, "erased": erase}
    return edit_of(generator, place, factors, along, request=record, about=about)


def bench_of(generator: RewritableGenerator, site: Site, request: Request) -> Bench:
    """The generator at a site, with the images that a request numbers.

    ``bench_of(generator, generator.site("r16.conv1"), request).keys(3)``
    """
    return Bench(generator, site, request.seed, request.labels)


def check_plan(
    bench: Bench,
    request: Request,
    solver: str,
    rank: int | None,
    keep: float | None,
    erase: int,
    published: PublishedSettings,
) -> None:
    """Refuse what cannot be right, before any image is made; arguments as of ``plan``.

    Raises:
        UsageError: names it.

    ``check_plan(bench, request, "closed", 500, None, 0, PublishedSettings())`` is refused.
    """
    site = bench.site
    if solver not in get_args(Solver):
        raise UsageError(f"no solver named {solver!r}; there are: closed, published")
    if rank is not None and not 1 <= rank <= site.rank:
        raise UsageError(f"rank {rank}: keys of {site.name!r} have {site.rank} numbers")
    if not 0 <= erase <= site.rank:
        raise UsageError(f"erase {erase}: keys of {site.name!r} have {site.rank} units")
    if solver == "published" and isinstance(request.copy, PhotoRegion):
        raise UsageError("the published solver copies from samples: take solver closed for photos")
    if erase and solver != "published":
        raise UsageError("units are erased by the published solver: take solver published")
    if keep is not None and solver == "published":
        raise UsageError(f"keep {keep}: the published solver has none")
    if keep is not None and not keep >= 0:
        raise UsageError(f"keep {keep}: at least 0 is needed")
    if solver == "published" and published.steps < 1:
        raise UsageError(f"{published.steps} steps: the published solver takes at least one")
    if site.keys[0] > site.values[0] or site.keys[1] > site.values[1]:
        raise UsageError(f"site {site.name!r} makes its map smaller; take another one")
    for region in (request.copy, request.paste):
        region.area(site.values)
    for region in request.contexts:
        region.area(site.keys)
    for photo in request.photos:
        if photo.inverted is not None:
            check_behind(bench.generator, site, photo.inverted.state.at)


def usual_sample(
    seed: int = 0, images: int = MOMENT_IMAGES, labels: tuple[int, ...] = ()
) -> Sample:
    """Images that no effect is measured on.

    >>> usual_sample(seed=1).seed
    11000001
    """
    return Sample(range(images), further_seed(seed, Series.KEYS), labels)


def usual_moments(
    generator: RewritableGenerator,
    site: Site,
    seed: int = 0,
    *,
    images: int = MOMENT_IMAGES,
    patch: bool = False,
    labels: tuple[int, ...] = (),
    folder: Place | None = None,
) -> KeyMoments:
    """Moments of the keys of images that no effect is measured on.

    ``usual_moments(generator, generator.site("r16.conv1")).effective_rank``
    """
    sample = usual_sample(seed, images, labels)
    return key_moments(generator, site, sample, patch=patch, folder=folder)


PROTECTION = 10.0
"""How much more the keys of protected contexts count, all together, than those of all images."""


def protected(moments: KeyMoments, bench: Bench, requests: Sequence[Request]) -> KeyMoments:
    """Moments in which the contexts of earlier edits count ``PROTECTION`` times as much as all
    other keys together, so that a further edit leaves their values as they are.

    ``protected(moments, bench, [earlier]).count``
    """
    kernel = (bench.site.shape[2], bench.site.shape[3]) if moments.patch > 1 else (1, 1)
    for request in requests:
        own = bench_of(bench.generator, bench.site, request)
        keys, weights = context_keys(own, request.contexts, kernel)
        second = (keys * weights[:, None]).T @ keys / weights.sum()
        count = moments.count
        whole = moments.covariance + PROTECTION / len(requests) * second
        moments = replace(moments, second=whole * count)
    return moments


def request_record(request: Request) -> dict[str, Any]:
    """A request as JSON, in the form of the original's notebook, with the seed and the classes, and
    the SHA-256 of the files of photos.

    ``request_record(request)["paste"]``
    """
    photos = {region.photo: region.sha256 for region in request.photos if region.sha256}
    return {
        **({"photos": photos} if photos else {}),
        "seed": request.seed,
        "labels": list(request.labels),
        "object": region_pair(request.copy),
        "paste": region_pair(request.paste),
        "key": [region_pair(region) for region in request.contexts],
    }


def region_pair(region: Region) -> list[Any]:
    """A region as JSON: the number of the image, or the name of the photo, and the mask as PNG in a
    data URI.

    >>> region_pair(Region(3, np.full((8, 8), 255, np.uint8)))[0]
    3
    """
    stream = io.BytesIO()
    Image.fromarray(region.mask).save(stream, "PNG")
    which = region.photo if isinstance(region, PhotoRegion) else region.index
    return [which, PNG_URI + base64.b64encode(stream.getvalue()).decode()]
