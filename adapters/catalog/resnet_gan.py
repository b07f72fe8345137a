"""Options and spec of ``resnet-gan``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import GanSpec, Options, Register

from .common import ClassNames, Key, Latents


class ResNetGANOptions(Options):
    """Options of ``resnet-gan``. ``None``: as the code of the file's layout has it."""

    activation: Literal["relu", "leaky", "elu", "gelu"] | None = Field(
        None,
        description="between the layers; not in the file: relu unless told otherwise (leaky: 0.1, "
        "as in StudioGAN)",
    )
    final: Literal["tanh", "sigmoid", "none"] | None = Field(
        None,
        description="after the last layer; not in the file: tanh unless told otherwise; sigmoid "
        "(mimicry's DCGAN for CIFAR) is rescaled to [-1, 1]",
    )
    eps: float | None = Field(
        None,
        gt=0,
        lt=10,
        description="of the batch norms; unless told otherwise 1e-5, in StudioGAN's files 1e-4",
    )
    upsampling: Literal["nearest", "bilinear"] | None = Field(
        None,
        description="of the blocks; unless told otherwise nearest, in mimicry's files bilinear",
    )
    attention: int | None = Field(
        None,
        ge=1,
        le=256,
        description="number of blocks before the attention of a mimicry file; needed where neither "
        "its channels nor the published networks (2 of 3, 3 of 5) tell",
    )
    condition: Literal["class", "chunks"] | None = Field(
        None,
        description="what the norms of a StudioGAN file without shared embedding take: the class, "
        "or pieces of z; needed only where both would have the same sizes",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


def register(register: Register) -> None:
    """Register the family."""
    register(
        GanSpec(
            name="resnet-gan",
            summary="residual GANs: mimicry (SNGAN, SAGAN, cGAN-PD, SSGAN, InfoMax-GAN, WGAN-GP), "
            "StudioGAN (resnet, big_resnet), and the ResNet of WGAN-GP",
            licence="own code, MIT",
            target="seeingkit_adapters.resnet_gan:load",
            recognise="seeingkit_adapters.resnet_gan:recognise",
            explain="seeingkit_adapters.resnet_gan:explain",
            options=ResNetGANOptions,
        )
    )
