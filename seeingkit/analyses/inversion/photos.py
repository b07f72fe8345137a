"""Resumable inversion of the images of one source, or of several together.

Guarantees: what is found is the same alone and together; an image that cannot be read, or whose
inversion gives NaN, is named and the others go on; finished work is kept (``session``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from seeingkit.contracts import Generator, ImageSource, Inversion, Inverter, Prepared, Skipped
from seeingkit.errors import ModelError, UsageError
from seeingkit.models.code import class_code
from seeingkit.system.addresses import Place
from seeingkit.system.lanes import lanes_here
from seeingkit.system.processes import world

from .job import ON_CPU
from .prepared import LayerPrepared
from .session import Session
from .store import InversionStore, seconds_of


@dataclass(frozen=True, eq=False)
class Inverted:
    """Inversions of some images of a source, by one method at one cut.

    Attributes:
        rows: (M,) numbers of the images in the source, in the order asked for.
        ids: their stable ids.
        inversions: one ``Inversion`` of one row each.
        skipped: images that have none, and why.
        files: the file of each inversion.
        seconds: mean wall time per image, as it was when it was inverted.
        images: (M, 3, R, R) float32 in [-1, 1], the photos.
    """

    rows: tuple[int, ...]
    ids: tuple[str, ...]
    inversions: tuple[Inversion, ...]
    skipped: tuple[Skipped, ...] = ()
    files: tuple[Place, ...] = ()
    seconds: float = 0.0
    images: Tensor = field(default_factory=lambda: torch.empty(0))


@dataclass(frozen=True, eq=False)
class Chosen:
    """Images of a source that are to be inverted.

    Attributes:
        source: pictures of the generator's size.
        rows: numbers of the images; None: all.
        labels: class of each of them, for a conditional generator.
    """

    source: ImageSource
    rows: Sequence[int] | None = None
    labels: Sequence[int] | None = None


def invert_source(
    generator: Generator,
    source: ImageSource,
    inverter: Inverter,
    *,
    prepared: Prepared | None = None,
    rows: Sequence[int] | None = None,
    labels: Sequence[int] | None = None,
    seed: int = 0,
    batch_size: int = 8,
    store: InversionStore | None = None,
    title: str | None = None,
) -> Inverted:
    """Invert images of a source whose size is the generator's.

    ``invert_source(generator, open_images("photos", preset=preset), load_inverter("z"))``.

    Args:
        prepared, seed: as ``Inverter.invert``.
        batch_size: images optimised together, on a CPU at most ``job.ON_CPU``.
        rows: numbers of the images; default: all.
        labels: class of each of them, for a conditional generator.
        store: where finished ones are kept; default: the cache.
        title: of the progress bar.
    """
    (found,) = invert_sources(
        generator,
        [Chosen(source, rows, labels)],
        inverter,
        prepared=prepared,
        seed=seed,
        batch_size=batch_size,
        store=store,
        title=title,
    )
    return found


def invert_sources(
    generator: Generator,
    chosen: Sequence[Chosen],
    inverter: Inverter,
    *,
    prepared: Prepared | None = None,
    seed: int = 0,
    batch_size: int = 8,
    store: InversionStore | None = None,
    title: str | None = None,
    all_readable: bool = False,
) -> list[Inverted]:
    """Invert images of several sources together, so that few of each share a pass.

    ``invert_sources(generator, [Chosen(photos), Chosen(samples)], load_inverter("z"))``.

    Args:
        chosen: the images, of the generator's size.
        prepared, seed, batch_size, store, title: as ``invert_source``.
        all_readable: refuse images of which one cannot be read, before any is inverted.

    Returns:
        the inversions of each source; the same as of each one alone.

    Raises:
        ModelError: an image that cannot be read, with ``all_readable``.
    """
    store = store or InversionStore()
    if prepared is None:
        prepared = inverter.prepare(generator)
    known = str(prepared.settings.get("code", ""))
    code = "" if known else inverter.code or class_code(type(inverter))
    place = partial(store.path, generator, prepared, seed=seed, code=code)
    sets = [_Loaded.of(each, place) for each in chosen]
    unread = [skip for each in sets for skip in each.skipped]
    if all_readable and unread:
        raise ModelError(f"{unread[0].item}: {unread[0].reason}")
    good = [each for each in sets if each.paths]
    if good:
        invert = partial(
            inverter.invert, generator, prepared=prepared, seed=seed, batch_size=batch_size
        )
        about = {"gan": generator.info.family, "gan_code": generator.info.code}
        about |= {"inverter": inverter.name, "code": known or code}
        apart = generator.device.type == "cpu" and generator.thread_safe
        lanes = lanes_here() if apart and isinstance(prepared, LayerPrepared) else 1
        paths = [path for each in good for path in each.paths]
        session = Session(invert, _together(good), _labels(good), paths, about, prepared.cut, lanes)
        size = _piece_size(generator, batch_size, len(paths))
        session.make_absent(title or f"invert by {inverter.name}", store, size)
        inversions = iter(session.results())
        for each in good:
            each.inversions = [next(inversions) for _ in each.paths]
    return [each.inverted(inverter.name) for each in sets]


@dataclass(eq=False)
class _Loaded:
    """The images of a source that could be read, and the file of the inversion of each.

    Attributes:
        rows, ids, labels, images, paths: of each image; a label is None without classes.
        skipped: images that could not be read, and why.
        inversions: of each image, once they are made.
    """

    rows: Sequence[int]
    ids: Sequence[str]
    labels: Sequence[int | None]
    images: Tensor
    paths: Sequence[Place]
    skipped: Sequence[Skipped]
    inversions: Sequence[Inversion] = ()

    @classmethod
    def of(cls, chosen: Chosen, place: Callable[..., Place]) -> _Loaded:
        """Read the images; ``place`` gives the file of an image and its label."""
        source = chosen.source
        rows = list(range(len(source)) if chosen.rows is None else chosen.rows)
        images, good, skipped = source.load(rows)
        if images is None:
            return cls((), (), (), torch.empty(0), (), skipped)
        given = chosen.labels
        label_of = {} if given is None else dict(zip(rows, given, strict=True))
        labels = [label_of.get(row) for row in good]
        paths = [place(image, label=label) for image, label in zip(images, labels, strict=True)]
        ids = [str(source.ids[row]) for row in good]
        return cls(good, ids, labels, images, paths, skipped)

    def inverted(self, name: str) -> Inverted:
        """The result, without inversions that failed; ``name``: of the inverter."""
        if not self.paths:
            return Inverted((), (), (), tuple(self.skipped))
        fine = [k for k, inversion in enumerate(self.inversions) if not inversion.failed]
        failed = [
            Skipped(item, f"inversion by {name} gave {inversion.failed[0]}")
            for item, inversion in zip(self.ids, self.inversions, strict=True)
            if inversion.failed
        ]
        files = tuple(self.paths[k] for k in fine)
        return Inverted(
            tuple(self.rows[k] for k in fine),
            tuple(self.ids[k] for k in fine),
            tuple(self.inversions[k] for k in fine),
            (*self.skipped, *failed),
            files,
            seconds_of(files),
            self.images[fine],
        )


def _together(sets: Sequence[_Loaded]) -> Tensor:
    """All images (M, 3, R, R)."""
    sizes = {tuple(each.images.shape[-2:]): None for each in sets}
    if len(sizes) > 1:
        shown = " and ".join(f"{width} x {height}" for height, width in sizes)
        raise UsageError(f"images of {shown} pixels cannot be inverted together")
    return torch.cat([each.images for each in sets])


def _labels(sets: Sequence[_Loaded]) -> list[int] | None:
    """The class of every image; None where there are no classes."""
    labels = [label for each in sets for label in each.labels]
    known = [label for label in labels if label is not None]
    if known and len(known) < len(labels):
        raise UsageError("some images have a class and others have none")
    return known or None


def _piece_size(generator: Generator, batch_size: int, images: int) -> int:
    """Images in a piece of work: a batch, or fewer where that gives work to every process."""
    if generator.device.type == "cpu":  # where a pass costs as much with fewer
        return min(batch_size, ON_CPU)
    return max(1, min(batch_size, -(-images // world())))
