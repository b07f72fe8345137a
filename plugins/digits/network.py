"""The network that reads a digit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 32
CLASSES = 10


class DigitNetwork(nn.Module):
    """Two convolutions and two linear layers: pictures (N, 1, 32, 32) in [-1, 1] to 10 logits.

    Attributes:
        confusion: (10, 10) int64, how it reads labelled digits that it never saw.

    >>> DigitNetwork()(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 10])
    """

    confusion: Tensor

    def __init__(self, width: int = 16, hidden: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 5, padding=2)
        self.second = nn.Conv2d(width, 2 * width, 5, padding=2)
        self.hidden = nn.Linear(2 * width * (SIDE // 4) ** 2, hidden)
        self.digit = nn.Linear(hidden, CLASSES)
        self.register_buffer("confusion", torch.zeros(CLASSES, CLASSES, dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.first(images), 2))
        x = F.relu(F.max_pool2d(self.second(x), 2)).flatten(1)
        logits: Tensor = self.digit(F.dropout(F.relu(self.hidden(x)), 0.3, self.training))
        return logits
