"""Encoders, from images back to a latent (Bau et al. 2019, section 3.2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from .base import OnDevice


class Encoder(OnDevice, ABC):
    """Estimates the latent of an image, and x at a boundary where it can.

    Attributes:
        kind: ``layered`` (E = e_1 ∘ … ∘ e_n ∘ e_f), ``direct`` (one network, image to latent), or
            another family's own word.
        cut: canonical name of the boundary whose x it estimates; ``input`` if none.
        sha256: hash of its file, or None while it has none. It goes into ``Prepared.settings``,
            and so into the identity of every inversion that starts from the encoder.
    """

    kind: str
    cut: str
    sha256: str | None

    @abstractmethod
    def estimate(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Estimates for images (N, 3, R, R) in [-1, 1]; row k depends on image k only.

        Returns:
            the latent (N, …), and x at ``cut`` (N, …) or None.
        """

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """A JSON-able record of the encoder for ``results.json``."""
