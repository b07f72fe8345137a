"""Base of all loaded models: an info record that identifies the model, and a device."""

from __future__ import annotations

from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict


class ModelInfo(BaseModel):
    """Description of a loaded model. Everything that changes its output is in here.

    Attributes:
        family: registered name of the adapter.
        weights_sha256: hash of the weights file(s).
        licence: of the weights.
        options: resolved options of the adapter.
        parameters: number of trained numbers.
        assumptions: what the loader takes to be so without finding it in the file or being told,
            one short phrase each ("activation relu", "z is drawn from N(0, 1)"); shown to people.
        code: version of the adapter's code, filled in by the loader.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    weights_sha256: str | None = None
    licence: str = "unknown"
    options: dict[str, Any] = {}
    parameters: int = 0
    assumptions: tuple[str, ...] = ()
    code: str = ""

    def identity(self) -> dict[str, Any]:
        """The JSON-able part that changes the output; part of the identity of all results."""
        return self.model_dump(mode="json", exclude={"licence", "parameters", "assumptions"})


class OnDevice:
    """Where a model computes; a model without a network stays on the CPU."""

    @property
    def device(self) -> torch.device:
        """The device of the model's tensors."""
        return torch.device("cpu")

    def to(self, device: str | torch.device) -> Self:
        """Move the model to a device; returns itself."""
        return self
