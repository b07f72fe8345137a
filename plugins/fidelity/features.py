"""Extracts the features of an image source with a network of torch-fidelity, batch by batch.

Guarantees: the network gets 8-bit images; rows are in the order of the source, one for each image
that can be read; float32; no row holds NaN or Inf; memory that runs out halves the batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seeingkit.contracts import ImageSource
from seeingkit.errors import ModelError, TallyError
from seeingkit.images.preprocess import quantise
from seeingkit.system.devices import in_batches
from seeingkit.system.progress import progress_bar


@dataclass(frozen=True)
class Features:
    """The features of one side.

    Attributes:
        layers: (n, D) float32 on the CPU, by layer.
        n: number of images read.
        unread: number of images that could not be read.
    """

    layers: Mapping[str, Tensor]
    n: int
    unread: int


class Reader:
    """Runs a feature extractor over the images of a source.

    Args:
        network: an extractor of the library, on its device.
        batch_size: images at once; halved when memory runs out.
    """

    def __init__(self, network: nn.Module, batch_size: int) -> None:
        self.network, self.batch_size = network, batch_size
        held = (*network.parameters(), *network.buffers())
        self.device = held[0].device if held else torch.device("cpu")

    def read(self, source: ImageSource, layers: Collection[str], title: str) -> Features:
        """The features of all images that can be read, in the order of the source.

        Args:
            source: the images.
            layers: names of the features to keep.
            title: of the progress bar.

        Raises:
            TallyError: no image can be read.
            ModelError: NaN or Inf in features, or memory ran out at one image.
        """
        kept: dict[str, Tensor] = {}
        n, start = 0, 0
        with progress_bar(title, len(source), "images") as bar, torch.no_grad():
            while start < len(source):
                batch = range(start, min(start + self.batch_size, len(source)))
                images, good, _ = source.load(batch)
                if images is not None:
                    for layer, rows in self._features(images, layers).items():
                        if not torch.isfinite(rows).all():
                            where = ", ".join(str(source.ids[k]) for k in good[:3])
                            raise ModelError(f"features {layer!r} of {where} … hold NaN or Inf")
                        if layer not in kept:
                            kept[layer] = torch.empty(len(source), rows.shape[1])
                        kept[layer][n : n + len(rows)] = rows
                    n += len(good)
                start = batch.stop
                bar.advance(len(batch))
        if not n:
            raise TallyError(f"{source.name}: none of {len(source)} images can be used")
        return Features({layer: rows[:n] for layer, rows in kept.items()}, n, len(source) - n)

    def _features(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """(N, D) float32 by layer; ``images`` (N, 3, H, W) in [-1, 1]."""
        if not layers:
            return {}

        def given(pixels: Tensor) -> dict[str, Tensor]:
            found: Mapping[str, Tensor] = self.network.convert_features_tuple_to_dict(  # type: ignore[operator]
                self.network(pixels.to(self.device))
            )
            return {layer: found[layer].float().cpu() for layer in layers}

        pixels = quantise(images).movedim(-1, 1)
        parts, self.batch_size = in_batches(
            given, pixels, self.batch_size, "use --device cpu for these metrics"
        )
        return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}
