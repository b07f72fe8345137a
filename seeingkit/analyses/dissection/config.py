"""``DissectionConfig``: the validated settings of a dissection. Never imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

PresetName = Literal["default", "paper", "pnas"]
BASES = ("units", "pca", "random")
"""Directions with a name; any other basis is a file."""


class DissectionConfig(BaseModel):
    """What is dissected, and by which rule.

    Attributes:
        layers: boundaries with a feature map, or styles; ``all``: each feature map; empty: the
            generator's usual cut.
        preset: of levels and labels: ``default``; ``paper``: the choices of the code published with
            Bau et al. (ICLR 2019); ``pnas``: those of Bau et al. (PNAS 2020).
        level_images: images of another series, from which levels and candidates come.
        units: channels of the styles among the layers; empty: all.
        basis: ``units``, or directions of the feature space instead: ``pca``, a ``random``
            rotation of the channels, as a control, or a ``.npy`` or ``.safetensors`` file of a
            matrix (directions, channels).
        fdr: false discovery rate of the labels (preset ``default``).

    >>> DissectionConfig(layers=("r8.conv1",)).preset
    'default'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: tuple[str, ...] = ()
    preset: PresetName = "default"
    level_images: int = Field(default=320, ge=32)
    units: tuple[int, ...] = ()
    basis: str = "units"
    fdr: float = Field(default=0.05, gt=0, lt=1)

    @field_validator("basis")
    @classmethod
    def _known_basis(cls, basis: str) -> str:
        if basis not in BASES and not basis.endswith((".npy", ".safetensors")):
            raise ValueError(f"a basis is {', '.join(BASES)}, or a .npy or .safetensors file")
        return basis
