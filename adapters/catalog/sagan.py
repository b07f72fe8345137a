"""Options and spec of ``sagan``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import GanSpec, Options, Register

from .common import Key, Latents


class SAGANOptions(Options):
    """Options of ``sagan``. ``None``: as the published code has it."""

    final: Literal["tanh", "sigmoid", "none"] | None = Field(
        None,
        description="after the last layer; not in the file: tanh unless told otherwise; sigmoid is "
        "rescaled to [-1, 1]",
    )
    eps: float | None = Field(
        None, gt=0, lt=10, description="of the batch norms; 1e-5 unless told otherwise"
    )
    key: Key = None
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="sagan",
            summary="SAGAN (Zhang et al. 2019) as heykeetae's code has it: transposed convolutions "
            "with spectral norm, and two self-attentions",
            licence="own code, MIT",
            target="seeingkit_adapters.sagan:load",
            recognise="seeingkit_adapters.sagan:recognise",
            explain="seeingkit_adapters.sagan:explain",
            options=SAGANOptions,
        )
    )
