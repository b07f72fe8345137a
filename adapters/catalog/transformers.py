"""Options and spec of ``transformers``.

Light: importing this imports neither torch nor the library of that name.
"""

from __future__ import annotations

import re

from pydantic import Field, ValidationInfo, field_validator

from seeingkit.specs import Options, Register, SegmenterSpec

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class TransformersOptions(Options):
    """Options of ``transformers``."""

    checkpoint: str | None = Field(
        None, description="hub id, ORG/NAME; instead of --segmenter-weights FOLDER"
    )
    revision: str | None = Field(None, description="branch, tag or commit of the hub id")
    size: tuple[int, int] | None = Field(
        None,
        description="network input (height, width); None: the image's own, but for networks with a "
        "fixed input",
    )
    mean: tuple[float, float, float] | None = Field(
        None, description="subtracted, 0..1; None: by preprocessor_config.json"
    )
    std: tuple[float, float, float] | None = Field(
        None, description="divided by; None: by preprocessor_config.json"
    )
    downsample: int = Field(1, ge=1, description="labels are given at 1/downsample of the image")

    @field_validator("checkpoint")
    @classmethod
    def _hub_id(cls, value: str | None) -> str | None:
        if value is not None and not _HUB_ID.fullmatch(value):
            raise ValueError("a hub id reads ORG/NAME; for a folder use --segmenter-weights")
        return value

    @field_validator("size", "mean", "std", mode="before")
    @classmethod
    def _list_of_numbers(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, (int, float)):
            return (value,) * (2 if info.field_name == "size" else 3)
        return re.split(r"[x, ]+", value.lower()) if isinstance(value, str) else value

    @field_validator("size")
    @classmethod
    def _sensible(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and (min(value) < 32 or max(value) > 8192):
            raise ValueError("sides from 32 to 8192 pixels")
        return value

    @field_validator("std")
    @classmethod
    def _positive(
        cls, value: tuple[float, float, float] | None
    ) -> tuple[float, float, float] | None:
        if value is not None and min(value) <= 0:
            raise ValueError("standard deviations are above 0")
        return value


def register(register: Register) -> None:
    """Register the family."""
    register(
        SegmenterSpec(
            name="transformers",
            aliases=("hf",),
            summary="SegFormer, UPerNet, DPT, BEiT, Mask2Former, MaskFormer, OneFormer …: any "
            "semantic or universal segmentation checkpoint of the transformers library",
            licence="own code, MIT; the library: Apache-2.0",
            target="seeingkit_adapters.transformers_segmenters:load",
            options=TransformersOptions,
            needs_weights=False,
        )
    )
