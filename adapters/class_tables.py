"""Tables of classes: a row for each class, which soft classes mix."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def untrained_embedding(classes: int, width: int) -> nn.Embedding:
    """A table that is filled from a file; its first values are nothing."""
    table: nn.Embedding = nn.Embedding.from_pretrained(torch.empty(classes, width), freeze=False)
    return table


def look_up(table: nn.Linear | nn.Embedding, y: Tensor) -> Tensor:
    """(N, C) of a condition; a soft class mixes the rows of an embedding."""
    if isinstance(table, nn.Embedding) and y.is_floating_point():
        return y @ table.weight
    found: Tensor = table(y)
    return found
