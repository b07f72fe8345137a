"""Options and specs of ``upernet``, ``espnet`` and ``espnetv2``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from seeingkit.specs import Options, Register, SegmenterSpec


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


def register(register: Register) -> None:
    """Register the families."""
    register(
        SegmenterSpec(
            name="upernet",
            aliases=("upp",),
            summary="Unified Perceptual Parsing (Xiao et al. 2018): objects, parts and materials",
            licence="own code, MIT",
            target="seeingkit_adapters.upernet:load",
            recognise="seeingkit_adapters.upernet:recognise",
            options=UPerNetOptions,
            default=True,
        )
    )
    register(
        SegmenterSpec(
            name="espnet",
            summary="ESPNet (Mehta et al. 2018), CamVid weights: 11 street classes",
            licence="own code, MIT",
            target="seeingkit_adapters.espnet.segmenter:load",
            recognise="seeingkit_adapters.espnet.segmenter:recognise",
            options=ESPNetOptions,
        )
    )
    register(
        SegmenterSpec(
            name="espnetv2",
            summary="ESPNetv2 (Mehta et al. 2019), Cityscapes and PASCAL VOC weights",
            licence="own code, MIT",
            target="seeingkit_adapters.espnet.v2:load",
            recognise="seeingkit_adapters.espnet.v2:recognise",
            options=ESPNetV2Options,
        )
    )
