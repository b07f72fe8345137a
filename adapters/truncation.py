"""Truncation of normal z as BigGAN does it (Brock et al. 2019, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor


def cut_off(z: Tensor, bound: float) -> Tensor:
    """Standard normal numbers as numbers of the normal cut off at ±bound, any shape, float32.

    The inverse distribution function of the one at the distribution function of the other; it is
    increasing, and depends on each number alone.
    """
    least = torch.special.ndtr(torch.tensor(-bound, dtype=torch.float64))
    share = torch.special.ndtr(z.double())
    inside: Tensor = torch.special.ndtri(least + share * (1 - 2 * least))
    return inside.clamp(-bound, bound).to(torch.float32)
