"""The gallery of a run: example images of a few classes, real and generated, with their labels.

It is stored in ``gallery/`` of a run as ``images.npz`` (arrays only, never pickled objects) and
``gallery.json``, and comes back equal to the bit.
"""

from __future__ import annotations

import functools
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import RunError, UsageError
from seeingkit.system.writing import atomic_write, json_text, write_text

from ..selection import SIDES, Side, Why
from .colours import class_colour
from .marks import Colour
from .places import PlaceMap

FOLDER = "gallery"
_SCHEMA = 1
_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)
"""Errors of json, numpy and zipfile for a damaged file, and of records of another form."""


@dataclass(frozen=True, eq=False)
class GalleryImage:
    """One example.

    Attributes:
        id: the stable id of the image in its source.
        image: (H, W, 3) uint8 RGB.
        labels: (h, w) uint8 or uint16, the number of the label of each pixel; its size may differ
            from the image's, but covers the same field.
        area: share of the class that it is an example of, in percent; 0 for a whole scene.
        why: why it is shown; None for a whole scene, and in galleries that do not say it.
    """

    id: str
    image: NDArray[np.uint8]
    labels: NDArray[Any]
    area: float = 0.0
    why: Why | None = None

    def __post_init__(self) -> None:
        found = f"{self.image.dtype} {self.image.shape}; give uint8 of shape (H, W, 3)"
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise UsageError(f"image {self.id!r} of a gallery is {found}")
        found = f"{self.labels.dtype} {self.labels.shape}; give uint8 or uint16 of shape (H, W)"
        if self.labels.dtype not in (np.uint8, np.uint16) or self.labels.ndim != 2:
            raise UsageError(f"labels of {self.id!r} are {found}")
        if not self.image.size or not self.labels.size:
            raise UsageError(f"image {self.id!r} of a gallery has no pixels")
        if self.why is not None and self.why not in get_args(Why):
            raise UsageError(f"image {self.id!r} of a gallery is shown for {self.why!r}")


@dataclass(frozen=True, eq=False)
class GalleryClass:
    """Examples of one class: real ones, and generated ones beside them.

    Attributes:
        places: where it is in the images, by side; a side whose images cannot be shown has none,
            nor has either side in older galleries.
    """

    label: str
    index: int
    real: tuple[GalleryImage, ...] = ()
    generated: tuple[GalleryImage, ...] = ()
    places: Mapping[Side, PlaceMap] = field(default_factory=dict)

    def side(self, name: Side) -> tuple[GalleryImage, ...]:
        """The images of one side."""
        return self.real if name == "real" else self.generated


@dataclass(frozen=True, eq=False)
class GalleryScene:
    """A real image and a generated one beside it, if that can be shown.

    A real image that no generated one is near, with the nearest of these; or a pair of a paired
    comparison.
    """

    real: GalleryImage
    nearest: GalleryImage | None = None

    @property
    def images(self) -> tuple[tuple[Side, GalleryImage], ...]:
        """One or two images with their side."""
        if self.nearest is None:
            return (("real", self.real),)
        return (("real", self.real), ("generated", self.nearest))


@dataclass(frozen=True, eq=False)
class Gallery:
    """Example images of some classes, and the vocabulary that their labels count in.

    Attributes:
        names: name of each label.
        classes: with their examples, in this order.
        has_background: whether label 0 is "no object" and stays transparent in overlays.
        scenes: the least covered real images, or the pairs of a paired comparison, in the order of
            the results.
    """

    names: tuple[str, ...]
    classes: tuple[GalleryClass, ...] = ()
    has_background: bool = True
    scenes: tuple[GalleryScene, ...] = ()

    def __post_init__(self) -> None:
        for shown in self.classes:
            items = [item for side in SIDES for item in shown.side(side)]
            self._check_labels(repr(shown.label), items, shown.index)
        for scene in self.scenes:
            self._check_labels(f"scene {scene.real.id!r}", [item for _, item in scene.images])

    @functools.cached_property
    def colours(self) -> tuple[Colour, ...]:
        """One RGB triple in 0..255 per label, by its name alone."""
        return tuple(map(class_colour, self.names))

    def _check_labels(self, name: str, items: Sequence[GalleryImage], index: int = 0) -> None:
        highest = max([index, *(int(item.labels.max()) for item in items)])
        if highest >= len(self.names):
            raise UsageError(
                f"gallery of {name} uses label number {highest}, "
                f"but the vocabulary has {len(self.names)}"
            )

    def save(self, run_dir: Path) -> Path:
        """Write ``gallery/images.npz`` and ``gallery/gallery.json``; returns the folder.

        Raises:
            StorageError: a file cannot be written.
        """
        folder = run_dir / FOLDER
        arrays: dict[str, NDArray[Any]] = {}
        for key, item in self._images():
            arrays |= {f"{key}.image": item.image, f"{key}.labels": item.labels}
        for c, shown in enumerate(self.classes):
            for side, found in shown.places.items():
                if found.shares is not None:
                    arrays[f"{c}.{side}.places"] = found.shares
        with atomic_write(folder / "images.npz") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        text = json_text(self._document(), indent=1)
        write_text(folder / "gallery.json", text)
        return folder

    def _images(self) -> Iterator[tuple[str, GalleryImage]]:
        """All images, with the beginning of the names of their arrays in ``images.npz``."""
        for c, shown in enumerate(self.classes):
            for side in SIDES:
                yield from ((f"{c}.{side}.{k}", item) for k, item in enumerate(shown.side(side)))
        for k, scene in enumerate(self.scenes):
            yield from ((f"scene.{k}.{side}", item) for side, item in scene.images)

    def _document(self) -> dict[str, Any]:
        """The content of ``gallery.json``: all but the arrays."""
        return {
            "schema_version": _SCHEMA,
            "names": list(self.names),
            "has_background": self.has_background,
            "classes": [
                {"label": shown.label, "index": shown.index}
                | {side: [_example(item) for item in shown.side(side)] for side in SIDES}
                | {"places": {side: _numbers(found) for side, found in shown.places.items()}}
                for shown in self.classes
            ],
            "scenes": [{side: {"id": i.id} for side, i in scene.images} for scene in self.scenes],
        }

    @staticmethod
    def load(run_dir: Path) -> Gallery:
        """The gallery that ``save`` wrote.

        Raises:
            RunError: naming the file that is missing or damaged.
        """
        folder = run_dir / FOLDER
        try:
            document = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
            if document["schema_version"] != _SCHEMA:
                raise RunError(
                    f"{folder / 'gallery.json'} has schema_version {document['schema_version']}, "
                    f"this version reads {_SCHEMA}: make the run again"
                )
            with (
                (folder / "images.npz").open("rb") as file,
                np.load(file, allow_pickle=False) as arrays,
            ):
                return _gallery(document, arrays)
        except FileNotFoundError as error:
            raise RunError(f"no gallery in {run_dir}: {error.filename} is missing") from None
        except _DAMAGE as error:
            reason = f"gallery in {folder} is damaged ({error}); make the run again"
            raise RunError(reason) from None
        except UsageError as error:
            raise RunError(f"gallery in {folder} is damaged: {error}") from None


def _example(item: GalleryImage) -> dict[str, Any]:
    """An example as ``gallery.json`` describes it."""
    return {"id": item.id, "area": item.area} | ({} if item.why is None else {"why": item.why})


def _numbers(found: PlaceMap) -> dict[str, int]:
    """A map of places as ``gallery.json`` describes it."""
    return {"images": found.images, "showing": found.showing}


def _gallery(document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Gallery:
    """A gallery from the content of its two files."""

    def image(key: str, record: Mapping[str, Any], area: float = 0.0) -> GalleryImage:
        labels = arrays[f"{key}.labels"]
        why = record.get("why")
        return GalleryImage(str(record["id"]), arrays[f"{key}.image"], labels, area, why)

    def places(c: int, records: Mapping[str, Any]) -> dict[Side, PlaceMap]:
        return {
            side: PlaceMap(
                images=records[side]["images"],
                showing=records[side]["showing"],
                shares=arrays[f"{c}.{side}.places"] if records[side]["images"] else None,
            )
            for side in SIDES
            if side in records
        }

    def examples(c: int, side: Side, records: Sequence[Any]) -> tuple[GalleryImage, ...]:
        return tuple(
            image(f"{c}.{side}.{k}", record, float(record["area"]))
            for k, record in enumerate(records)
        )

    def scene(k: int, record: Mapping[str, Any]) -> GalleryScene:
        twin = record.get("generated")
        return GalleryScene(
            real=image(f"scene.{k}.real", record["real"]),
            nearest=None if twin is None else image(f"scene.{k}.generated", twin),
        )

    return Gallery(
        names=tuple(str(name) for name in document["names"]),
        classes=tuple(
            GalleryClass(
                label=str(record["label"]),
                index=int(record["index"]),
                real=examples(c, "real", record["real"]),
                generated=examples(c, "generated", record["generated"]),
                places=places(c, record.get("places", {})),
            )
            for c, record in enumerate(document["classes"])
        ),
        has_background=bool(document["has_background"]),
        scenes=tuple(scene(k, record) for k, record in enumerate(document.get("scenes", ()))),
    )
