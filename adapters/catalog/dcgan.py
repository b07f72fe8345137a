"""Options and specs of ``dcgan`` and ``mlp-gan``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Key, Latents


def _listed(value: object) -> object:
    """``"1,2,2"`` as a list, and one number as a list of one, as people type them."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int) else value


Whole = Annotated[int, Field(ge=0, le=64)]
Counts = Annotated[tuple[Whole, ...], BeforeValidator(_listed)]
Strides = Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], BeforeValidator(_listed)]

_ACTIVATION = Field(None, description="between layers; not in the file: relu unless told otherwise")
_SLOPE = Field(None, ge=0, lt=1, description="of leaky below zero; 0.2 unless told otherwise")
_FINAL = Field(
    None,
    description="after the last layer: tanh unless told otherwise; sigmoid is rescaled to [-1, 1]; "
    "none takes the values as they are",
)
_EPS = Field(None, gt=0, lt=10, description="of the batch norms; 1e-5 unless told otherwise")
_PLAIN = Field(
    False,
    description="true: you know that the layers follow one another with nothing but one activation "
    "between them, where the file leaves room for more (resizing, sums, norms without parameters)",
)


class DCGANOptions(Options):
    """Options of ``dcgan``. A converted file of ours holds the defaults of all of them."""

    activation: Literal["relu", "leaky"] | None = _ACTIVATION
    slope: float | None = _SLOPE
    final: Literal["tanh", "sigmoid", "none"] | None = _FINAL
    strides: Strides | None = Field(
        None,
        description="of every convolution, first to last (1,2,2,2,2); needed where kernels are not "
        "4x4 or 2x2, because files do not hold them",
    )
    paddings: Counts | None = Field(
        None, description="of every convolution; default: an image grows by the stride, exactly"
    )
    output_paddings: Counts | None = Field(
        None, description="of every convolution; 0 for those that are not transposed"
    )
    kinds: Annotated[tuple[Literal["up", "conv"], ...], BeforeValidator(_listed)] | None = Field(
        None,
        description="of every convolution: up (transposed) or conv; needed where the shapes leave "
        "both open",
    )
    upsample: Strides | None = Field(
        None,
        description="factor by which the map is enlarged before every convolution, first to last "
        "(1,2,2,1; nearest pixel); no file holds it",
    )
    plain: bool = _PLAIN
    eps: float | None = _EPS
    condition: Literal["product", "none"] | None = Field(
        None,
        description="what the class table of a PyTorch-GAN file is for: product with z (acgan) "
        "unless told otherwise; none (sgan, which does not use it)",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


class MLPGANOptions(Options):
    """Options of ``mlp-gan``. A converted file of ours holds their defaults."""

    activation: Literal["relu", "leaky"] | None = _ACTIVATION
    slope: float | None = _SLOPE
    final: Literal["tanh", "sigmoid", "none"] | None = _FINAL
    shape: Counts | None = Field(
        None,
        description="of an image as its numbers lie in the output: C,H,W or H,W,C; needed only for "
        "colours last",
    )
    plain: bool = _PLAIN
    eps: float | None = _EPS
    condition: Literal["before"] | None = Field(
        None,
        description="what the class table of a PyTorch-GAN file is for: the class's row stands "
        "before z (cgan)",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the families."""
    register(
        GanSpec(
            name="dcgan",
            summary="DCGAN (Radford et al. 2016) and its relatives: stacks of transposed "
            "convolutions, as DCGAN, WGAN and LSGAN training scripts save them",
            licence="own code, MIT",
            target="seeingkit_adapters.dcgan:load",
            options=DCGANOptions,
            recognise="seeingkit_adapters.dcgan:recognise",
            explain="seeingkit_adapters.dcgan:explain",
        )
    )
    register(
        GanSpec(
            name="mlp-gan",
            summary="the GAN of Goodfellow et al. 2014 as usually written: a stack of linear "
            "layers, such as 64-256-256-784 for MNIST",
            licence="own code, MIT",
            target="seeingkit_adapters.mlp_gan:load",
            options=MLPGANOptions,
            recognise="seeingkit_adapters.mlp_gan:recognise",
            explain="seeingkit_adapters.mlp_gan:explain",
        )
    )
