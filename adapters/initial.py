"""First values of networks that are about to be filled, or trained.

Guarantees that building a network on ``meta`` draws nothing: random numbers there would import
torch's compiler, which takes longer than loading most files.
"""

from __future__ import annotations

import torch
from torch import Tensor


def normal(*shape: int) -> Tensor:
    """N(0, 1) of a shape, on the default device; on ``meta`` no more than the shape."""
    if torch.get_default_device().type == "meta":
        return torch.empty(shape)
    return torch.randn(shape)
