"""Models around one network: their device, and the checks that all segmenters make.

Guarantees that segmenters refuse the same images and labels in the same words.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from seeingkit.contracts import OnDevice, Segmenter
from seeingkit.errors import UsageError


class NetworkModel(OnDevice):
    """A model that computes where its network is.

    Attributes:
        network: with at least one parameter.
    """

    network: nn.Module

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Move the network; returns itself."""
        self.network.to(device)
        return self


class NetworkSegmenter(NetworkModel, Segmenter):
    """A segmenter that is one network.

    Attributes:
        downsample: the label grid is the image's divided by this.
    """

    downsample: int = 1

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Height and width of the label maps of images (N, 3, H, W): (H, W) // ``downsample``.

        Raises:
            UsageError: images of the wrong shape or type, or smaller than ``downsample``.
        """
        family = self.info.family
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UsageError(
                f"{family}: images are float (N, 3, H, W), not {images.dtype} {tuple(images.shape)}"
            )
        height, width = (int(side) // self.downsample for side in images.shape[-2:])
        if min(height, width) < 1:
            size = tuple(images.shape[-2:])
            raise UsageError(f"{family}: downsample {self.downsample} leaves nothing of {size}")
        return height, width

    def check_label(self, label: int) -> None:
        """Refuse a number that no label has.

        Raises:
            UsageError: names the number and how many labels there are.
        """
        if not 0 <= label < len(self.vocabulary):
            raise UsageError(
                f"{self.info.family}: no label {label}; there are {len(self.vocabulary)}, from 0"
            )
