"""The photo of a request, inverted: an object of one's own photo in place of one of a sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seeingkit.analyses.inversion import load_inverter
from seeingkit.analyses.inversion.catalog import DEFAULT_METHOD
from seeingkit.analyses.rewriting.regions import InvertedPhoto, PhotoRegion, Request
from seeingkit.contracts import RewritableGenerator
from seeingkit.errors import SourceError, UsageError
from seeingkit.images import open_images

from .inversions import generator_preset


def with_photo(
    request: Request, folder: Path, generator: RewritableGenerator, site: str = ""
) -> Request:
    """The request with its photo inverted; itself where it copies from a sample.

    The photo is prepared as those of ``seeingkit invert`` (the shorter side to the generator's
    resolution, then the centre square), and inverted by the default method at the usual cut.

    Args:
        request: whose object may be a ``PhotoRegion``.
        folder: where its photo lies, unless it names a whole path.
        generator: that it is inverted by.
        site: that the photo is to be taken to; empty: any.

    Raises:
        SourceError: no such photo, or it cannot be read.
        UsageError: a site in front of the cut, or a conditional generator and more than one class.

    ::

        with_photo(read_request(path), path.parent, generator, "r16.conv1")
    """
    copy = request.copy
    if not isinstance(copy, PhotoRegion):
        return request
    height, width = copy.mask.shape
    if height != width:
        raise UsageError(
            f"the mask of {copy.photo} has {width} x {height} pixels: paint it on the centre "
            "square of the photo, which is what is inverted"
        )
    cut = generator.boundary(generator.default_cut)
    if site and generator.boundary(generator.site(site).before).index < cut.index:
        raise UsageError(
            f"site {site!r} lies in front of {cut.name!r}, where the photo is inverted: name a "
            "later one"
        )
    labels: list[int] | None = None
    if generator.info.class_names:
        if len(request.labels) != 1:
            raise UsageError("which class the photo is of: give one class with --labels")
        labels = list(request.labels)
    source = open_images(str(folder / copy.photo), preset=generator_preset(generator))
    image, _, skipped = source.load([0])
    if image is None:
        raise SourceError(f"{copy.photo}: {skipped[0].reason if skipped else 'cannot be read'}")
    inverter = load_inverter(DEFAULT_METHOD, encoder="found", cut=cut.name)
    inversion = inverter.invert(generator, image, labels=labels, seed=request.seed)
    if inversion.failed:
        raise UsageError(f"{copy.photo}: its inversion gave {inversion.failed[0]}")
    return replace(request, copy=replace(copy, inverted=InvertedPhoto(image, inversion.state)))
