"""Sets of images of which it is known which objects the generator draws.

Guarantee: a set is a function of the generator and the seeds below. Scenes are rendered, so their
classes are known to the pixel; a class counts as omitted where the generator's samples show at most
half of its area in scenes, both by the segmenter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.analyses.inversion.patches import PatchedSamples
from seeingkit.analyses.inversion.vanishing import areas, label_maps
from seeingkit.contracts import Generator, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import to_tensor
from seeingkit.models.registry import find_preset
from seeingkit_plugins.minichurches.palette import OBJECTS
from seeingkit_plugins.minichurches.scenes import Scene, render

SERIES = 4242
"""Seed of the scenes; no network was trained on it."""
COUNTED = 1000
"""Scenes, and generator samples, of which the true classes are measured."""
LEAST = 1.0
"""Percent of the image that an object must cover to be looked for."""
SIZES = {"own": 40, "patched": 96, "clean": 60, "omitted": 60, "pasted": 48}


@dataclass(frozen=True)
class Truth:
    """Mean areas in percent of the image, by class: of scenes, and of the generator's samples."""

    real: Mapping[str, float]
    generated: Mapping[str, float]

    @property
    def omitted(self) -> tuple[str, ...]:
        """Classes of which samples show at most half of the area in scenes."""
        shown = [name for name, area in self.real.items() if area >= 0.02]
        return tuple(name for name in shown if self.generated[name] <= 0.5 * self.real[name])


def measure_truth(generator: Generator, segmenter: Segmenter) -> Truth:
    """The classes that a generator draws, by the areas of ``COUNTED`` scenes and samples."""
    names = segmenter.vocabulary.names
    scenes = torch.stack([picture(render(SERIES + 1, k, 64)) for k in range(COUNTED)])
    own = SamplerSource(generator, COUNTED, SERIES, preset=find_preset("native"))
    found = []
    for images in (scenes, own.read(range(COUNTED))):
        mean = areas(label_maps(images, segmenter, find_preset("native")), len(names)).mean(0)
        found.append({name: float(mean[k]) for k, name in enumerate(names) if k})
    return Truth(*found)


def build(name: str, generator: Generator, truth: Truth) -> tuple[Tensor, list[str]]:
    """Images (N, 3, 64, 64) of a set, and the omitted class that was put into each ("" for none).

    ``own``: samples as they are. ``patched``: with a square of another sample. ``clean``: scenes
    without a pixel of an omitted class. ``omitted``: scenes with one. ``pasted``: samples with an
    object of an omitted class cut out of a scene.
    """
    n = SIZES[name]
    own = SamplerSource(generator, n, SERIES + 7, preset=find_preset("native"))
    if name == "own":
        return own.read(range(n)), [""] * n
    if name == "patched":
        return PatchedSamples(own).read(range(n)), [""] * n
    if name == "clean":
        scenes = (scene for scene in _scenes(0) if not _areas(scene, truth.omitted).any())
        return torch.stack([picture(next(scenes)) for _ in range(n)]), [""] * n
    chosen = list(_with_omitted(truth.omitted, n))
    images = torch.stack([picture(scene) for scene, _ in chosen])
    if name == "pasted":
        grounds = own.read(range(n))
        for k, (scene, label) in enumerate(chosen):
            mask = torch.from_numpy(scene.objects == OBJECTS.index(label))
            images[k] = torch.where(mask, images[k], grounds[k])
    return images, [label for _, label in chosen]


def picture(scene: Scene) -> Tensor:
    """(3, H, W) in [-1, 1]."""
    return to_tensor(scene.image)


def _scenes(first: int) -> Iterator[Scene]:
    k = first
    while True:
        yield render(SERIES, k, 64)
        k += 1


def _areas(scene: Scene, labels: tuple[str, ...]) -> NDArray[np.float64]:
    """Percent of the scene that each of these classes covers, by its exact labels."""
    numbers = [OBJECTS.index(label) for label in labels]
    return np.array([100 * float((scene.objects == k).mean()) for k in numbers])


def _with_omitted(labels: tuple[str, ...], n: int) -> Iterator[tuple[Scene, str]]:
    """n scenes that show an omitted class, the classes in turn as far as scenes have them."""
    wanted = {label: n // len(labels) + (k < n % len(labels)) for k, label in enumerate(labels)}
    for scene in _scenes(100_000):
        shown = _areas(scene, labels)
        for k in np.argsort([wanted[label] == 0 for label in labels], kind="stable"):
            if shown[k] >= LEAST and wanted[labels[k]]:
                wanted[labels[k]] -= 1
                yield scene, labels[k]
                break
        if not any(wanted.values()):
            return
