"""Truncation of normal z as BigGAN does it (Brock et al. 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seeingkit.contracts import Latent
from seeingkit.models.staged import StagedAdapter


class CutOffAdapter(StagedAdapter):
    """A staged generator whose normal z may be cut off.

    Attributes:
        z_bound: largest absolute value in z; None: z is normal.
    """

    z_bound: float | None = None

    def latents(
        self,
        indices: Sequence[int],
        *,
        seed: int = 0,
        labels: Sequence[int] | Tensor | None = None,
    ) -> Latent:
        """Latents of the given image numbers; row k depends on (seed, indices[k]) only.

        Returns:
            ``z`` (N, D) float32, normal or cut off, and ``label`` (N,) if conditional.
        """
        latent = dict(super().latents(indices, seed=seed, labels=labels))
        if self.z_bound is not None:
            latent["z"] = cut_off(latent["z"], self.z_bound)
        return latent


def cut_off(z: Tensor, bound: float) -> Tensor:
    """Standard normal numbers as numbers of the normal cut off at ±bound, any shape, float32.

    The inverse distribution function of the one at the distribution function of the other; it is
    increasing, and depends on each number alone.
    """
    least = torch.special.ndtr(torch.tensor(-bound, dtype=torch.float64))
    share = torch.special.ndtr(z.double())
    inside: Tensor = torch.special.ndtri(least + share * (1 - 2 * least))
    return inside.clamp(-bound, bound).to(torch.float32)
