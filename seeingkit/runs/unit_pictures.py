"""Pictures of units: their strongest images, with the mask that was counted.

Guarantees: a mask has the pixels, the upsampling, the level and the comparison (greater than) of
the counts; images are made ``GROUP`` at a time, as they were when they were counted; at most
``CARDS`` units have pictures, so that a page of any number of layers stays small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seeingkit.analyses.dissection.counting import lattice
from seeingkit.analyses.dissection.grouping import GROUP
from seeingkit.analyses.dissection.observation import Observer
from seeingkit.analyses.dissection.presets import rule_of
from seeingkit.analyses.dissection.stage import LayerDissection
from seeingkit.contracts import Segmenter
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import quantise
from seeingkit.models.geometry import to_image_grid
from seeingkit.results import UnitResult
from seeingkit.system.writing import atomic_write, make_folder

CARDS = 96
"""Units of a run that have pictures, at most."""
IMAGES = 4
"""Pictures of a unit."""
SIDE = 256
"""Longest side in pixels of a picture that is stored."""
FOLDER = "units"


def pictured(units: Sequence[UnitResult], most: int = CARDS) -> list[UnitResult]:
    """The units that get pictures: of each layer and class the clearest first, then the second.

    >>> pictured([])
    []
    """
    ranked = sorted((u for u in units if u.label and u.level is not None), key=lambda u: -u.excess)
    taken: dict[tuple[str, str | None], int] = {}
    places = []
    for unit in ranked:
        key = unit.layer, unit.label
        taken[key] = taken.get(key, 0) + 1
        places.append((taken[key], -unit.excess, unit))
    places.sort(key=lambda place: place[:2])
    return [unit for _, _, unit in places[:most]]


Key = tuple[str, int]
"""Layer and number of a unit."""
Pixels = tuple[Tensor, Tensor] | None


def draw_units(
    run: Path,
    source: SamplerSource,
    segmenter: Segmenter,
    found: Sequence[LayerDissection],
    units: Sequence[UnitResult],
    rule: str,
) -> tuple[list[UnitResult], dict[str, str]]:
    """Write the pictures of a run.

    Args:
        run: its directory.
        source: the images that were evaluated.
        segmenter: gives the size of the label maps.
        found: the layers.
        units: their records.
        rule: name of the rule by which they were counted.

    Returns:
        the records, of which some name their masks; and the PNG of each image, by its number.
    """
    chosen = {(unit.layer, unit.unit): unit for unit in pictured(units)}
    images = sorted({image for unit in chosen.values() for image in unit.strongest[:IMAGES]})
    if not images:
        return list(units), {}
    layers = [one.layer for one in found if any(key[0] == one.layer.name for key in chosen)]
    observer = Observer(source, segmenter, layers, rule_of(rule).side)
    make_folder(run / FOLDER / "images")
    masks: dict[Key, dict[int, Tensor]] = {key: {} for key in chosen}
    pictures: dict[str, str] = {}
    for drawn in _drawn(observer, images):
        for row, image in enumerate(drawn.images):
            name = f"{FOLDER}/images/{image:06d}.png"
            save_photo(run / name, drawn.photos[row])
            pictures[str(image)] = name
        for key, unit in chosen.items():
            for image in set(unit.strongest[:IMAGES]) & set(drawn.images):
                masks[key][image] = drawn.mask(observer, unit, image)
    numbers = {layer.name: k for k, layer in enumerate(layers)}
    told = []
    for unit in units:
        key = unit.layer, unit.unit
        if key in chosen:
            file = f"{FOLDER}/{numbers[unit.layer]:02d}-{unit.unit:05d}.png"
            shown = unit.strongest[:IMAGES]
            save_masks(run / file, [masks[key][image] for image in shown])
            unit = unit.model_copy(update={"masks": file, "shown": shown})
        told.append(unit)
    return told, pictures


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Images, their 8-bit pictures (M, H, W, 3), and the maps of each layer (N, units, h, w)."""

    images: list[int]
    photos: Tensor
    maps: Mapping[str, Tensor]
    size: tuple[int, int]

    def mask(self, observer: Observer, unit: UnitResult, image: int) -> Tensor:
        """(H', W') bool: where the unit is above its level, at the pixels that are counted."""
        (layer,) = (one for one in observer.layers if one.name == unit.layer)
        row, pixels = self.images.index(image), lattice(self.size, observer.side)
        place = layer.numbers.index(unit.unit)
        own = self.maps[unit.layer][row : row + 1, place : place + 1]
        values = to_image_grid(own, layer.boundary, self.size, pixels)[0, 0]
        assert unit.level is not None
        return (values > torch.tensor(unit.level).to(values)).cpu()


def _drawn(observer: Observer, images: Sequence[int]) -> Iterator[_Drawn]:
    """The images, ``GROUP`` at a time: kernels for fewer round otherwise."""
    size = (0, 0)
    for start in range(0, len(images), GROUP):
        some = list(images[start : start + GROUP])
        batch = [*some, *([some[-1]] * (GROUP - len(some)))]
        with torch.no_grad():
            maps, raw = observer.maps(batch)
            pictures, good, _ = observer.source.prepare(raw[: len(some)], some)
            if pictures is None:
                continue
            if size == (0, 0):
                first = pictures[:1].to(observer.segmenter.device)
                height, width = observer.segmenter.label_maps(first).shape[2:]
                size = int(height), int(width)
        rows = [some.index(image) for image in good]
        kept = {name: found[rows] for name, found in maps.items()}
        yield _Drawn(good, quantise(pictures).cpu(), kept, size)


def save_photo(path: Path, photo: Tensor) -> None:
    """(H, W, 3) uint8 as PNG, at most ``SIDE`` pixels a side: ``save_photo(path, photo)``."""
    picture = Image.fromarray(photo.numpy())
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    _save(path, picture)


def save_masks(path: Path, masks: Sequence[Tensor]) -> None:
    """(H, W) bool masks side by side as PNG of one bit: ``save_masks(path, [mask])``."""
    strip = np.concatenate([mask.numpy() for mask in masks], axis=1)
    _save(path, Image.fromarray(strip.astype(np.uint8) * 255).convert("1"))


def _save(path: Path, picture: Image.Image) -> None:
    with atomic_write(path) as stream:
        picture.save(stream, "PNG")
