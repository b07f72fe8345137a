"""Options and spec of ``semseg``.

Light: importing this never imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from seeingkit.specs import Options, Register, SegmenterSpec


class SemsegOptions(Options):
    """Options of ``semseg``."""

    dilated: Literal["no", "8", "16"] | None = Field(
        None,
        description="dilation in place of the encoder's last strides, so that its coarsest map is "
        "1/8 or 1/16 of the image; None: by the folder's name, else by the kind of decoder",
    )
    labels: Path | None = Field(
        None,
        description="file of names, one a line or a JSON list; None: the folder's labels.json, "
        "ADE20K's names for 150 outputs, else numbers",
    )
    sizes: tuple[int, ...] | None = Field(
        None,
        description="network input sizes (shorter side) whose probabilities are averaged, the "
        "original's being 300, 375, 450, 525, 600; None: the image as the preset made it",
    )
    downsample: int = Field(1, ge=1, description="labels are given at 1/downsample of the image")

    @field_validator("dilated", mode="before")
    @classmethod
    def _by_word_or_number(cls, value: object) -> object:
        if isinstance(value, bool) or str(value).lower() in ("true", "false", "yes", "none"):
            wanted = str(value).lower()
            return {"true": "8", "yes": "8", "false": "no", "none": None}[wanted]
        return str(value) if isinstance(value, int) else value

    @field_validator("sizes", mode="before")
    @classmethod
    def _list_of_numbers(cls, value: object) -> object:
        if isinstance(value, int):
            return (value,)
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("sizes")
    @classmethod
    def _large_enough(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or min(value) < 32 or max(value) > 8192):
            raise ValueError("one or more sizes from 32 to 8192 pixels")
        return value


def register(register: Register) -> None:
    """Register the family."""
    register(
        SegmenterSpec(
            name="semseg",
            aliases=("ade20k",),
            summary="semantic-segmentation-pytorch (Zhou et al. 2018) encoder and decoder pairs, "
            "ADE20K's 150 classes",
            licence="own code, MIT",
            target="seeingkit_adapters.semseg:load",
            recognise="seeingkit_adapters.semseg:recognise",
            options=SemsegOptions,
        )
    )
