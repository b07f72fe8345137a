"""Options and spec of ``stylegan3``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from pydantic import Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Key, Latents


class StyleGAN3Options(Options):
    """Options of ``stylegan3``. There is no noise option: these networks have no noise."""

    truncation: float = Field(
        1.0,
        allow_inf_nan=False,
        description="psi: w is drawn towards the average, 1 = not at all (the original's default)",
    )
    cutoff: int | None = Field(
        None, ge=0, description="how many of the first ws are truncated; None = all"
    )
    styles: bool = Field(
        False,
        description="whether the styles of the layers are boundaries too, such as r36.l1.style "
        "(and all w as one row, w.channels); images are the same",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="stylegan3",
            summary="StyleGAN3, configurations T and R (Karras et al. 2021), NVIDIA's .pkl files",
            licence="own code, MIT",
            target="seeingkit_adapters.stylegan3:load",
            recognise="seeingkit_adapters.stylegan3:recognise",
            explain="seeingkit_adapters.stylegan3:explain",
            options=StyleGAN3Options,
        )
    )
