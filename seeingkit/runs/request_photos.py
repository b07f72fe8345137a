"""Photos of a request, inverted: regions of one's own photos in place of those of samples.

Guarantees: every fault that can be known is named before anything is inverted; a photo is inverted
once, whichever regions it has, and finished inversions are stored; a file that is not the one that
a request names by its SHA-256 is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from seeingkit.analyses.inversion import load_inverter
from seeingkit.analyses.inversion.catalog import DEFAULT_METHOD
from seeingkit.analyses.inversion.photos import invert_source
from seeingkit.analyses.inversion.store import InversionStore
from seeingkit.analyses.rewriting.assess import Target
from seeingkit.analyses.rewriting.bench import check_behind
from seeingkit.analyses.rewriting.photos import FAR, nearness
from seeingkit.analyses.rewriting.regions import InvertedPhoto, PhotoRegion, Region, Request
from seeingkit.contracts import ImageSource, RewritableGenerator
from seeingkit.errors import SourceError, UsageError
from seeingkit.images import open_images
from seeingkit.images.several import SeveralSources
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit
from seeingkit.system.cache import file_sha256

from .inversions import Store, beside_tallies, generator_preset

log = logging.getLogger(__name__)


def with_photos(
    request: Request,
    folders: Sequence[Path],
    generator: RewritableGenerator,
    sites: Sequence[str] = (),
    store: Store = None,
) -> Request:
    """The request with its photos inverted; itself where it has none.

    A photo is prepared as those of ``seeingkit invert`` (the shorter side to the generator's
    resolution, then the centre square), and inverted by the default method at the usual cut.

    Args:
        request: regions of which may be of photos (``PhotoRegion``).
        folders: where photos are looked for, in order, unless they name a whole path.
        generator: that they are inverted by.
        sites: that they are to be taken to.
        store: where inversions are kept; default: the cache.

    Raises:
        SourceError: no such photo, or it cannot be read.
        UsageError: a site in front of the cut, another file than the request names, a mask that is
            not square, or a conditional generator and more than one class.

    ::

        with_photos(read_request(path), [path.parent], generator, ["r16.conv1"])
    """
    regions = [region for region in request.photos if region.inverted is None]
    if not regions:
        return request
    cut = generator.boundary(generator.default_cut).name
    for site in sites:
        check_behind(generator, generator.site(site), cut)
    if generator.info.class_names and len(request.labels) != 1:
        raise UsageError("which class the photos are of: give one class with --labels")
    for region in regions:
        _check_mask(region)
    files = {region.photo: _file(region.photo, folders) for region in regions}
    hashes = {name: file_sha256(file) for name, file in files.items()}
    for region in regions:
        if region.sha256 not in ("", hashes[region.photo]):
            raise UsageError(
                f"{files[region.photo]}: not the photo that the request was made for (SHA-256 "
                f"{hashes[region.photo][:12]}…, not {region.sha256[:12]}…)"
            )
    found = _inverted(files, generator, cut, request, store)

    def filled(region: Region) -> Region:
        if not isinstance(region, PhotoRegion) or region.inverted is not None:
            return region
        name = region.photo
        return replace(region, inverted=found[name], sha256=hashes[name])

    return replace(
        request,
        copy=filled(request.copy),
        paste=filled(request.paste),
        context=tuple(filled(region) for region in request.context),
    )


def _check_mask(region: PhotoRegion) -> None:
    height, width = region.mask.shape
    if height != width:
        raise UsageError(
            f"the mask of {region.photo} has {width} x {height} pixels: paint it on the centre "
            "square of the photo, which is what is inverted"
        )


def _file(name: str, folders: Sequence[Path]) -> Path:
    """The file of a photo."""
    places = [folder / Path(name).expanduser() for folder in folders]
    for place in places:
        if place.is_file():
            return place
    tried = " and ".join(dict.fromkeys(map(str, places)))
    raise SourceError(f"{name}: there is no such photo; looked for {tried}")


def _inverted(
    files: dict[str, Path],
    generator: RewritableGenerator,
    cut: str,
    request: Request,
    store: Store,
) -> dict[str, InvertedPhoto]:
    """The inversions of photos, by their names."""
    places = list(dict.fromkeys(file.resolve() for file in files.values()))
    preset, sources = generator_preset(generator), list[ImageSource]()
    for place in places:
        source = open_images(place, preset=preset)
        if len(source) != 1:
            raise UsageError(f"{place}: {len(source)} pictures; name the file of one photo")
        sources.append(source)
    folder = beside_tallies(store, "inversions")
    with closing(SeveralSources(sources, "photos of the request")) as every:
        found = invert_source(
            generator,
            every,
            load_inverter(DEFAULT_METHOD, encoder="found", cut=cut),
            labels=list(request.labels) * len(sources) if generator.info.class_names else None,
            seed=request.seed,
            store=None if folder is None else InversionStore(folder),
            title="invert photos of the request",
        )
    if len(found.rows) < len(places):
        place = places[next(row for row in range(len(places)) if row not in found.rows)]
        reason = found.skipped[0].reason if found.skipped else "it has no inversion"
        raise SourceError(f"{place}: {reason}")
    of_place = {
        places[row]: InvertedPhoto(found.images[[k]], found.inversions[k].state)
        for k, row in enumerate(found.rows)
    }
    return {name: of_place[file.resolve()] for name, file in files.items()}


def target_with_photos(
    target: Target, folder: Path, store: Store = None, *, wanted: bool = False
) -> Target:
    """An edit to assess, with the photos that it was planned for, which its file does not hold.

    Args:
        target: of ``targets_of``.
        folder: of the edit's file, where photos are looked for, then in the working folder.
        store: where inversions are kept.
        wanted: classes are named, so that an object's photo can be missing.

    Raises:
        SourceError, UsageError: as of ``with_photos``.

    ::

        target_with_photos(target, Path("edits")).request
    """
    request = target.request
    if request is None or not request.photos:
        return target
    edited = target.bench.generator
    given: RewritableGenerator = edited
    if isinstance(edited, RewrittenGenerator) and not edited.edits:
        given = edited.base  # whose encoder and finished inversions are found
    object_alone = request.photos == (request.copy,)
    try:
        if not all(region.sha256 for region in request.photos):
            raise UsageError(
                f"{target.name}: its file does not say which photos it was planned for (their "
                "SHA-256); plan it anew"
            )
        found = with_photos(request, [folder, Path()], given, [target.bench.site.name], store)
    except (SourceError, UsageError) as error:
        if not object_alone:
            raise
        if not wanted:
            raise type(error)(f"{error}; or name the object's classes with --wanted") from error
        return target
    return replace(target, request=found)


def photo_hashes(targets: Sequence[Target]) -> dict[str, str]:
    """SHA-256 of the photos that edits were planned for and that were found, by their names.

    ::

        photo_hashes(asked.targets)
    """
    requests = [target.request for target in targets if target.request is not None]
    photos = [region for request in requests for region in request.photos]
    return {region.photo: region.sha256 for region in photos if region.inverted is not None}


def noting(edit: WeightEdit, errors: Mapping[str, float]) -> WeightEdit:
    """An edit that holds how far the inversions of its photos are from them.

    Args:
        edit: of a request.
        errors: of ``told_nearness``; empty: it has no photos.

    ::

        noting(edit, told_nearness(generator, request)).save("edit.safetensors")
    """
    return replace(edit, about={**edit.about, "photos": dict(errors)}) if errors else edit


def told_nearness(generator: RewritableGenerator, request: Request) -> dict[str, float]:
    """Say how near the inversion of each photo is to it in its region; returns the errors by photo.

    Mean absolute differences, of a range of 2. A warning where the photo is as good as not among
    the generator's images there: its keys are hardly those of what it shows.

    ::

        told_nearness(generator, with_photos(request, [folder], generator))
    """
    errors: dict[str, float] = {}
    for region in request.photos:
        near = nearness(generator, region, request.seed, request.labels)
        errors[region.photo] = max(near.error, errors.get(region.photo, 0.0))
        words = (
            f"{region.photo}: its inversion differs from it by {near.error:.2g} of 2 in the "
            f"region, other images of the generator by {near.other:.2g}"
        )
        if near.error <= FAR * near.other:
            log.info("%s", words)
        else:
            log.warning("%s: the keys may not be those of what it shows", words)
    return errors
