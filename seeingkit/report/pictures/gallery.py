"""Example images of a report: which ones, how they are kept, and how they get into the page.

A gallery holds real and generated images side by side for a few classes, with the label of every
pixel. It is stored in ``gallery/`` of a run as ``images.npz`` (arrays only, never pickled objects)
and ``gallery.json``, and comes back equal to the bit. Choices are functions of areas and seed.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import RunError, UsageError
from seeingkit.results import Results, UncoveredImage

from ..figures.classes import LABELS, in_figure

Side = Literal["real", "generated"]
SIDES: tuple[Side, Side] = ("real", "generated")
FOLDER = "gallery"
CLASSES = 8
EXAMPLES = 12
SCENES = 12
"""At most so many of the least covered real images are shown, as pictures or in words."""
_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class GalleryImage:
    """One example.

    Attributes:
        id: the stable id of the image in its source.
        image: (H, W, 3) uint8 RGB.
        labels: (h, w) uint8 or uint16, the number of the label of each pixel; its size may differ
            from the image's, but covers the same field.
        area: share of the class that it is an example of, in percent; 0 for a whole scene.
    """

    id: str
    image: NDArray[np.uint8]
    labels: NDArray[Any]
    area: float = 0.0

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise UsageError(
                f"image {self.id!r} of a gallery is {self.image.dtype} {self.image.shape}; "
                "give uint8 of shape (H, W, 3)"
            )
        if self.labels.dtype not in (np.uint8, np.uint16) or self.labels.ndim != 2:
            raise UsageError(
                f"labels of {self.id!r} are {self.labels.dtype} {self.labels.shape}; "
                "give uint8 or uint16 of shape (H, W)"
            )
        if not self.image.size or not self.labels.size:
            raise UsageError(f"image {self.id!r} of a gallery has no pixels")


@dataclass(frozen=True, eq=False)
class GalleryClass:
    """Examples of one class: real ones, and generated ones beside them."""

    label: str
    index: int
    real: tuple[GalleryImage, ...] = ()
    generated: tuple[GalleryImage, ...] = ()

    def side(self, name: Side) -> tuple[GalleryImage, ...]:
        """The images of one side."""
        return self.real if name == "real" else self.generated


@dataclass(frozen=True, eq=False)
class GalleryScene:
    """A real image that no generated one is near, and the nearest of these if it can be shown."""

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
        colours: one RGB triple in 0..255 per label; empty = colours are made up.
        classes: what is shown, in this order.
        has_background: whether label 0 is "no object" and stays transparent in overlays.
        scenes: the least covered real images, in the order of the results.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] = ()
    classes: tuple[GalleryClass, ...] = ()
    has_background: bool = True
    scenes: tuple[GalleryScene, ...] = ()

    def __post_init__(self) -> None:
        if not self.colours:
            object.__setattr__(self, "colours", label_colours(len(self.names)))
        if len(self.colours) != len(self.names):
            raise UsageError(f"{len(self.names)} labels, but {len(self.colours)} colours")
        for shown in self.classes:
            highest = max(
                [shown.index, *(int(i.labels.max()) for s in SIDES for i in shown.side(s))]
            )
            if highest >= len(self.names):
                raise UsageError(
                    f"gallery of {shown.label!r} uses label number {highest}, "
                    f"but the vocabulary has {len(self.names)}"
                )
        for scene in self.scenes:
            highest = max(int(item.labels.max()) for _, item in scene.images)
            if highest >= len(self.names):
                raise UsageError(
                    f"gallery of scene {scene.real.id!r} uses label number {highest}, "
                    f"but the vocabulary has {len(self.names)}"
                )

    def save(self, run_dir: Path) -> Path:
        """Write ``gallery/images.npz`` and ``gallery/gallery.json``; returns the folder."""
        folder = run_dir / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {}
        classes = []
        for c, shown in enumerate(self.classes):
            record: dict[str, Any] = {"label": shown.label, "index": shown.index}
            for side in SIDES:
                record[side] = [{"id": i.id, "area": i.area} for i in shown.side(side)]
                for k, item in enumerate(shown.side(side)):
                    arrays[f"{c}.{side}.{k}.image"] = item.image
                    arrays[f"{c}.{side}.{k}.labels"] = item.labels
            classes.append(record)
        scenes = []
        for k, scene in enumerate(self.scenes):
            scenes.append({side: {"id": item.id} for side, item in scene.images})
            for side, item in scene.images:
                arrays[f"scene.{k}.{side}.image"] = item.image
                arrays[f"scene.{k}.{side}.labels"] = item.labels
        document = {
            "schema_version": _SCHEMA,
            "names": list(self.names),
            "colours": [list(colour) for colour in self.colours],
            "has_background": self.has_background,
            "classes": classes,
            "scenes": scenes,
        }
        partial = folder / f"images.npz.{os.getpid()}.part"
        with partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        partial.replace(folder / "images.npz")
        partial = folder / f"gallery.json.{os.getpid()}.part"
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(folder / "gallery.json")
        return folder

    @staticmethod
    def load(run_dir: Path) -> Gallery:
        """Read what ``save`` wrote.

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
                classes = tuple(
                    GalleryClass(
                        str(record["label"]),
                        int(record["index"]),
                        *(
                            tuple(
                                GalleryImage(
                                    str(item["id"]),
                                    arrays[f"{c}.{side}.{k}.image"],
                                    arrays[f"{c}.{side}.{k}.labels"],
                                    float(item["area"]),
                                )
                                for k, item in enumerate(record[side])
                            )
                            for side in SIDES
                        ),
                    )
                    for c, record in enumerate(document["classes"])
                )
                scenes = tuple(
                    GalleryScene(
                        *(
                            GalleryImage(
                                str(record[side]["id"]),
                                arrays[f"scene.{k}.{side}.image"],
                                arrays[f"scene.{k}.{side}.labels"],
                            )
                            for side in SIDES
                            if side in record or side == "real"
                        )
                    )
                    for k, record in enumerate(document.get("scenes", ()))
                )
            colours = tuple((int(r), int(g), int(b)) for r, g, b in document["colours"])
            names = tuple(str(name) for name in document["names"])
            background = bool(document["has_background"])
            return Gallery(names, colours, classes, background, scenes)
        except RunError:
            raise
        except FileNotFoundError as error:
            raise RunError(f"no gallery in {run_dir}: {error.filename} is missing") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise RunError(
                f"gallery in {folder} is damaged ({error}); make the run again"
            ) from None
        except UsageError as error:
            raise RunError(f"gallery in {folder} is damaged: {error}") from None


def label_colours(n: int) -> tuple[tuple[int, int, int], ...]:
    """n well separated RGB colours, the same for every n: hues a golden angle apart."""
    colours = []
    for k in range(n):
        hue, value = (k * 0.6180339887) % 1, (0.95, 0.7, 0.85)[k % 3]
        saturation = (0.75, 0.9, 0.55)[k // 3 % 3]
        channels = []
        for offset in (5, 3, 1):  # HSV to RGB, closed form per channel
            x = (offset + hue * 6) % 6
            channels.append(value - value * saturation * max(0.0, min(x, 4 - x, 1.0)))
        r, g, b = (round(255 * channel) for channel in channels)
        colours.append((r, g, b))
    return tuple(colours)


def choose_classes(results: Results, limit: int = CLASSES) -> list[str]:
    """The labels of the classes whose examples are worth a look.

    The omitted ones, those that lost most area first, then the reduced ones; where there are
    none of either, the classes of the figure with the largest relative change.
    """
    shown = [record for record in results.classes if in_figure(record)]
    shown.sort(key=lambda record: (record.generated_area - record.real_area, record.index))
    lost = [record for record in shown if record.omitted]
    lost += [record for record in shown if not record.omitted and record.verdict == "reduced"]
    if not lost:
        largest = sorted(shown, key=lambda record: -record.real_area)[:LABELS]
        lost = sorted(largest, key=lambda record: -abs(record.relative_difference or 0.0))
    return [record.label for record in lost[:limit]]


def choose_scenes(results: Results, limit: int = SCENES) -> list[UncoveredImage]:
    """The real images worth a look because no generated one is near: least covered first."""
    return results.scenes.least_covered[:limit] if results.scenes is not None else []


def pick_examples(
    areas: NDArray[Any], count: int = EXAMPLES, seed: int = 0, *, side: Side = "real"
) -> NDArray[np.int64]:
    """Which images to show as examples of a class.

    Real: only images that contain the class, the half with most of it first, then random ones of
    the rest. Generated: those with most of it, filled up with random images that lack it.

    Args:
        areas: (N,) area of the class in each image, at least 0.
        count: how many at most.
        seed: of the random part.
        side: ``real`` or ``generated``.

    Returns:
        at most ``count`` different row numbers, int64.
    """
    values = np.asarray(areas, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise UsageError("areas of a class must be one finite number, at least 0, per image")
    draw = np.random.default_rng(seed)
    order = np.argsort(-values, kind="stable")
    having = order[: int((values > 0).sum())]
    if side == "real":
        first = having[: (count + 1) // 2]
        rest = having[len(first) :]
    else:
        first = having[:count]
        rest = order[len(having) :]
    more = draw.permutation(rest)[: max(0, count - len(first))]
    return np.concatenate([first, more]).astype(np.int64)
