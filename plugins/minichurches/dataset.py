"""The scenes as an image source: scene i of a series is the same on every machine.

Each scene has its exact labels, pixel for pixel: the renderer paints shapes and labels at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import ImageSource
from seeingkit.errors import UsageError
from seeingkit.images.labelmaps import preset_labels
from seeingkit.images.preprocess import apply, to_tensor
from seeingkit.specs import Preset

from .catalog import SceneOptions
from .scenes import OBJECTS, RENDERER_VERSION, Scene, render


class MiniChurches(ImageSource):
    """Scenes 0 to n - 1 of one series.

    Args:
        options: resolution, series and number of scenes.
        preset: preprocessing of each picture, the same as of a file.
    """

    preset: Preset
    kind = "rendered scenes"
    name = "minichurches"
    label_names = OBJECTS

    def __init__(self, options: SceneOptions, preset: Preset) -> None:
        self.options, self.preset, self.seed = options, preset, options.seed
        self.ids = [f"scene{options.seed}-{k:06d}" for k in range(options.n)]
        drawn = {
            "renderer": RENDERER_VERSION,
            "seed": options.seed,
            "resolution": options.resolution,
            "preset": preset.identity(),
        }  # not n: more scenes do not change the first ones
        text = json.dumps(["minichurches", drawn], sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.labels_fingerprint = self.fingerprint  # drawn with the pictures

    def first(self, n: int) -> MiniChurches:
        """The same series with another number of scenes."""
        return MiniChurches(self.options.model_copy(update={"n": n}), self.preset)

    def stored_side(self, index: int) -> int:
        """Side of every scene in pixels, before the preset."""
        return self.options.resolution

    def scene(self, index: int) -> Scene:
        """Picture and exact labels of one scene, before the preset.

        Raises:
            UsageError: no scene has that index.
        """
        if not 0 <= index < len(self):
            raise UsageError(f"minichurches has scenes 0 to {len(self) - 1}, not {index}")
        return render(self.options.seed, index, self.options.resolution)

    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1]."""
        return torch.stack([to_tensor(self._pixels(int(k))) for k in indices])

    def read_labels(self, indices: Sequence[int]) -> Tensor:
        """(N, H, W) int64: the object at each pixel of ``read``, as a number of ``OBJECTS``."""
        maps = [preset_labels(self.scene(int(k)).objects, self.preset) for k in indices]
        return torch.from_numpy(np.stack(maps))

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        picture = Image.fromarray(self.scene(index).image)
        return apply(picture, self.preset, self.ids[index])

    def describe(self) -> dict[str, Any]:
        """A JSON-able record: name, kind, images, fingerprint, seed, resolution, renderer."""
        drawn = {"resolution": self.options.resolution, "renderer": RENDERER_VERSION}
        return super().describe() | drawn


def load(options: SceneOptions, preset: Preset) -> MiniChurches:
    """The data set, as the registry calls it."""
    return MiniChurches(options, preset)
