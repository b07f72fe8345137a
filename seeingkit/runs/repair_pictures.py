"""Pictures of a repair: photos and what the layer makes of them, images before and after, and the
largest objects side by side with real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.repair.objects import Part
from seeingkit.analyses.repair.stage import Repaired
from seeingkit.analyses.rewriting.photos import photo_at_site
from seeingkit.contracts import ImageSource, RewritableGenerator
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import quantise
from seeingkit.models.weightedits import RewrittenGenerator
from seeingkit.specs import Preset

from .strips import Box, save_strip, slug

IMAGES = 6
"""Pictures in a strip."""
AROUND = 0.75
"""Of the larger side of an object, shown around it."""


@dataclass(frozen=True, eq=False)
class RepairPictures:
    """Draws into a run directory.

    Attributes:
        run: its path.
        generator: without the edit.
        preset: of pictures before they are segmented.
        real: the real images, prepared with it.
    """

    run: Path
    generator: RewritableGenerator
    preset: Preset
    real: ImageSource

    def stem(self, found: Repaired) -> str:
        """Begin of the names of a class's files."""
        return f"{found.photos.label:04d}-{slug(found.record.label)}"

    def draw(self, found: Repaired, stem: str) -> list[str]:
        """Write six strips and return their files: photos, inversions, values; images without and
        with the edit that gain most; close-ups of the largest objects, real ones above generated.
        """
        strips: dict[str, tuple[Tensor, list[Box | None]]] = {}
        best, photos = found.sites[0], found.photos
        some = range(min(IMAGES, len(photos.images)))
        at = [photo_at_site(best.bench, photos.images[[k]], photos.state[[k]]) for k in some]
        boxes: list[Box | None] = [_around(mask > 0) for mask in photos.masks[: len(some)]]
        strips["photos"] = quantise(photos.images[: len(some)]), boxes
        strips["made"] = quantise(torch.cat([one.made for one in at])), []
        strips["values"] = quantise(torch.cat([one.reached for one in at])), []
        before, after = found.looks
        gained = np.array([_largest(one) for one in after.objects]) - np.array(
            [_largest(one) for one in before.objects]
        )
        order = np.lexsort((-(after.pixels - before.pixels), -gained))
        rows = order[:IMAGES].tolist()
        edited = RewrittenGenerator(self.generator, [found.edit])
        strips["before"] = self._images(self.generator, found.sample, rows), []
        strips["after"] = (
            self._images(edited, found.sample, rows),
            [self._box(after.objects[row], after.total) for row in rows],
        )
        close = self._close(found, edited)
        strips |= {name: (pictures, []) for name, pictures in close.items()}
        files = []
        for name, (pictures, marked) in strips.items():
            if len(pictures):
                files.append(f"{stem}-{name}.png")
                save_strip(self.run / files[-1], pictures, marked, IMAGES)
        return files

    def _images(self, generator: RewritableGenerator, sample: Sample, rows: list[int]) -> Tensor:
        source = SamplerSource(
            generator, max(sample.indices) + 1, sample.seed, sample.labels or None
        )
        latent = source.latent([int(sample.indices[row]) for row in rows])
        with torch.no_grad():
            return quantise(generator.advance(generator.begin(latent)).x)

    def _box(self, parts: list[Part], total: int) -> Box | None:
        if not parts or self.preset.size is not None:
            return None
        side = round(total**0.5)
        top, left, bottom, right = parts[0].box
        return left / side, top / side, right / side, bottom / side

    def _close(self, found: Repaired, edited: RewritableGenerator) -> dict[str, Tensor]:
        """Close-ups of the largest objects: in real images, and with the edit."""
        real = []
        for row, part in found.real.largest[:IMAGES]:
            pictures, _, _ = self.real.load([row])
            if pictures is not None:
                real.append(_crop(quantise(pictures)[0], part))
        after = found.looks[1]
        rows = [k for k, parts in enumerate(after.objects) if parts]
        rows = sorted(rows, key=lambda k: -after.objects[k][0].pixels)[:IMAGES]
        made = []
        if rows:
            images = self._images(edited, found.sample, rows)
            made = [
                _crop(image, after.objects[row][0], after.total)
                for image, row in zip(images, rows, strict=True)
            ]
        empty = torch.zeros(0, dtype=torch.uint8)
        return {
            "real-objects": torch.stack(real) if real else empty,
            "made-objects": torch.stack(made) if made else empty,
        }


def _largest(parts: list[Part]) -> int:
    return parts[0].pixels if parts else 0


def _around(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Box:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return (
        float(columns.min() / width),
        float(rows.min() / height),
        float((columns.max() + 1) / width),
        float((rows.max() + 1) / height),
    )


def _crop(picture: Tensor, part: Part, total: int | None = None) -> Tensor:
    """A square around a part, (48, 48, 3) uint8, of a picture (H, W, 3)."""
    height, width = picture.shape[:2]
    scale = 1.0 if total is None else (height * width / total) ** 0.5
    top, left, bottom, right = (round(scale * end) for end in part.box)
    side = max(8, round((1 + AROUND) * max(bottom - top, right - left)))
    side = min(side, height, width)
    y = min(max(0, (top + bottom - side) // 2), height - side)
    x = min(max(0, (left + right - side) // 2), width - side)
    square = picture[y : y + side, x : x + side].movedim(-1, 0)[None].float()
    grown = torch.nn.functional.interpolate(square, (48, 48), mode="nearest")
    return grown[0].movedim(0, -1).to(torch.uint8)
