"""Options and spec of ``stylegan1``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Key, Latents


class StyleGAN1Options(Options):
    """Options of ``stylegan1``. ``None``: the file's own value."""

    truncation: float = Field(
        1.0,
        allow_inf_nan=False,
        description="psi: w = mean + psi (w - mean); 1: none, as we measure a distribution "
        "(a call of NVIDIA's StyleGAN has 0.7 with cutoff 8)",
    )
    cutoff: Annotated[int, Field(ge=0)] | Literal["all"] | None = Field(
        "all",
        description="how many layers are truncated, from the first; None turns truncation off, as "
        "it does in NVIDIA's code",
    )
    noise: Literal["const", "none", "per-sample"] | None = Field(
        None,
        description="const: the file's maps; per-sample: drawn from each sample's own z; "
        "None: const where the file has maps (NVIDIA), else none (rosinality)",
    )
    step: int | None = Field(
        None, ge=0, description="rosinality files do not say it: the side is 4 * 2**step pixels"
    )
    resolution: int | None = Field(
        None, ge=4, description="the same in pixels; files that say it must agree"
    )
    alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="rosinality files: weight of the last resolution's RGB, the rest is the "
        "previous one's; None: 1, no blending",
    )
    styles: bool = Field(
        False,
        description="whether the styles of the layers are boundaries too, such as r8.conv1.style "
        "(and all w as one row, w.channels); images are the same",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="stylegan1",
            summary="StyleGAN (Karras et al. 2019), NVlabs TensorFlow .pkl and rosinality .model",
            licence="own code, MIT",
            target="seeingkit_adapters.stylegan1:load",
            recognise="seeingkit_adapters.stylegan1:recognise",
            explain="seeingkit_adapters.stylegan1:explain",
            options=StyleGAN1Options,
        )
    )
