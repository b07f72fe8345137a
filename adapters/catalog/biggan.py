"""Options and spec of ``biggan``. Importing this imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Key, Latents


class BigGANOptions(Options):
    """Options of ``biggan``. ``None``: the file's own value, else the published one."""

    truncation: float = Field(
        1.0,
        gt=0,
        le=1,
        description="1: none. ajbrock files: z from the normal cut off at this value; Hugging Face "
        "files: z and batch statistics of this truncation (its own default is 0.4)",
    )
    bn_eps: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="epsilon of the blocks' batch norms; None: from the config, else 1e-5",
    )
    sn_eps: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="epsilon of spectral norm (ajbrock); None: from the config, else 1e-6",
    )
    standing: bool | None = Field(
        None,
        description="whether statistics of --mybn files are sums over accumulation_counter; "
        "None: where the counter is above 0",
    )
    cross_replica_gain: Literal["added", "multiplied"] | None = Field(
        None,
        description="how --cross_replica files use their gains: added, as the original's own "
        "evaluation does (None), or multiplied, as its training on several GPUs does",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="biggan",
            summary="BigGAN and BigGAN-deep (Brock et al. 2019), ajbrock and Hugging Face files",
            licence="own code, MIT",
            target="seeingkit_adapters.biggan:load",
            recognise="seeingkit_adapters.biggan:recognise",
            explain="seeingkit_adapters.biggan:explain",
            options=BigGANOptions,
        )
    )
