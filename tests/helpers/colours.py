"""The segmenter "colours" of the golden dissections: a formula of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seeingkit.contracts import Label, Segmenter, SegmenterInfo, Vocabulary


class ColourSegmenter(Segmenter):
    """Label 1 + argmax of -|x - centre|² / tau; label 0 is never given.

    Args:
        names, centres, tau: of ``case.json``.
    """

    def __init__(
        self, names: Sequence[str], centres: Sequence[Sequence[float]], tau: float
    ) -> None:
        self.vocabulary = Vocabulary((Label("-"), *map(Label, names)))
        self.centres, self.tau = torch.tensor(centres), tau
        options: dict[str, Any] = {"centres": [list(c) for c in centres], "tau": tau}
        self.info = SegmenterInfo(family="colours", options=options)

    def logits(self, images: Tensor) -> Tensor:
        far = images.clamp(-1, 1)[:, None] - self.centres[None, :, :, None, None]
        return -far.square().sum(2) / self.tau

    def segment(self, images: Tensor) -> Tensor:
        return 1 + self.logits(images).argmax(1, keepdim=True)

    def score(self, images: Tensor, label: int) -> Tensor:
        found = self.logits(images).softmax(1)
        return found[:, label - 1] if label else found[:, 0] * 0
