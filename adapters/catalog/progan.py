"""Options and spec of ``progan``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Key, Latents


class ProGANOptions(Options):
    """Options of ``progan``."""

    clamp: bool | None = Field(
        None,
        description="hard tanh on the output (ganseeing); off: gandissect, TensorFlow; "
        "None: off for TensorFlow files, else on",
    )
    variant: Literal["progan", "equallr", "pixelwisenorm", "minibatch_disc", "simple"] | None = (
        Field(None, description="ablation network; needed only where the keys cannot tell")
    )
    truncation: float = Field(
        1.0,
        gt=0,
        le=1,
        description="1: none; below: z is drawn from the normal cut off at this value. The network "
        "takes the direction of z alone, so the effect is small",
    )
    final: Literal["none", "tanh"] | None = Field(
        None,
        description="after the last layer of a pytorch_GAN_zoo network whose config is not in the "
        "file: none for losses WGANGP and Logistic, tanh for DCGAN and MSE",
    )
    alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="weight of the previous resolution's RGB in such a network; 0 unless told "
        "otherwise",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="progan",
            summary="Progressive GAN (Karras et al. 2018), ganseeing and gandissect .pth files, "
            "TensorFlow .pkl, torch.hub's PGAN (pytorch_GAN_zoo)",
            licence="own code, MIT",
            target="seeingkit_adapters.progan:load",
            recognise="seeingkit_adapters.progan:recognise",
            explain="seeingkit_adapters.progan:explain",
            options=ProGANOptions,
        )
    )
