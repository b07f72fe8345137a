"""Options and spec of ``stylegan2``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Key, Latents


class StyleGAN2Options(Options):
    """Options of ``stylegan2``. The originals' own defaults are named where they differ."""

    truncation: float = Field(
        1.0,
        allow_inf_nan=False,
        description="psi: w is drawn towards its average; 1: not at all (the TensorFlow files' own "
        "default is 0.5). Where a file holds no average, 4096 mapped latents stand for it",
    )
    cutoff: int | None = Field(
        None, ge=0, description="truncate only the first so many of the vectors w; None: all"
    )
    noise: Literal["const", "none", "per-sample", "rewriting"] | None = Field(
        None,
        description="const: the maps in the file; none; per-sample: drawn from the sample's own z; "
        "rewriting: the one map that davidbau/rewriting gives to a single sample. None: rewriting "
        "for files of that code's own layout, else const if the file has maps, else none",
    )
    conv_clamp: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["none"] | None = Field(
        None,
        description="outputs of convolutions are clamped to ± this; not in a state dict: 256 "
        "unless told otherwise, as NVIDIA trains",
    )
    styles: bool = Field(
        False,
        description="whether the styles of the layers are boundaries too, such as r8.conv1.style "
        "(and all w as one row, w.channels); images are the same",
    )
    key: Key = None
    latents: Latents = "seeds"
    classes: ClassNames = None


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="stylegan2",
            summary="StyleGAN2 (Karras et al. 2020) and ADA: NVIDIA's PyTorch and TensorFlow .pkl, "
            "rosinality and rewriting .pt files",
            licence="own code, MIT",
            target="seeingkit_adapters.stylegan2:load",
            recognise="seeingkit_adapters.stylegan2:recognise",
            explain="seeingkit_adapters.stylegan2:explain",
            options=StyleGAN2Options,
        )
    )
