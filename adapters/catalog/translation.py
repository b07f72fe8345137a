"""Options and specs of ``cyclegan``, ``pix2pix`` and ``stargan``.

Importing this imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from seeingkit.specs import EncoderOptions, EncoderSpec, GanSpec, Register, SourceOptions

from .common import ClassNames, Key

Statistics = Annotated[
    Literal["image", "stored"],
    Field(
        description="what norms subtract and divide by: image, the image's own mean and variance, "
        "as the published test scripts draw, which never call eval(); stored, those of the file"
    ),
]
Dropout = Annotated[
    Literal["off", "drawn"],
    Field(
        description="dropout at test time: off, or drawn anew for each image from its seed, as the "
        "published test scripts draw"
    ),
]


class CycleGANOptions(SourceOptions):
    """Options of ``cyclegan``."""

    statistics: Statistics = "image"
    dropout: Dropout = "off"
    padding: Literal["reflect", "replicate"] | None = Field(
        None, description="in the residual blocks, where the file leaves it open; None: reflect"
    )
    key: Key = None


class CycleGANEncoderOptions(EncoderOptions):
    """Options of the encoder ``cyclegan``: the generator of the other direction."""

    statistics: Statistics = "image"
    padding: Literal["reflect", "replicate"] | None = Field(
        None, description="in the residual blocks, where the file leaves it open; None: reflect"
    )
    size: int = Field(
        256,
        ge=4,
        le=4096,
        description="height and width of its images; where the generator is known, the generator's",
    )
    key: Key = None


class Pix2PixOptions(SourceOptions):
    """Options of ``pix2pix``."""

    statistics: Statistics = "image"
    dropout: Dropout = "off"
    key: Key = None


class StarGANOptions(SourceOptions):
    """Options of ``stargan``."""

    statistics: Statistics = "image"
    classes: ClassNames = None
    domains: Annotated[str, BeforeValidator(str)] | None = Field(
        None,
        min_length=1,
        description="the classes to draw, each some attributes joined by +, such as "
        "Blond_Hair+Young,Black_Hair; none: no attribute. None: each attribute alone",
    )
    key: Key = None


def register(register: Register) -> None:
    """Register the families."""
    register(
        GanSpec(
            name="cyclegan",
            summary="CycleGAN (Zhu et al. 2017) and other residual translators of its repository",
            licence="own code, MIT",
            target="seeingkit_adapters.cyclegan:load",
            recognise="seeingkit_adapters.cyclegan:recognise",
            explain="seeingkit_adapters.cyclegan:explain",
            options=CycleGANOptions,
        )
    )
    register(
        EncoderSpec(
            name="cyclegan",
            summary="the generator of the other direction, which takes translations back",
            licence="own code, MIT",
            target="seeingkit_adapters.cyclegan:load_encoder",
            recognise="seeingkit_adapters.cyclegan:recognise",
            generators=("cyclegan",),
            options=CycleGANEncoderOptions,
        )
    )
    register(
        GanSpec(
            name="pix2pix",
            summary="pix2pix (Isola et al. 2017): U-Net translators of its repository",
            licence="own code, MIT",
            target="seeingkit_adapters.pix2pix:load",
            recognise="seeingkit_adapters.pix2pix:recognise",
            explain="seeingkit_adapters.pix2pix:explain",
            options=Pix2PixOptions,
        )
    )
    register(
        GanSpec(
            name="stargan",
            summary="StarGAN (Choi et al. 2018): translators to domains given by attributes",
            licence="own code, MIT",
            target="seeingkit_adapters.stargan:load",
            recognise="seeingkit_adapters.stargan:recognise",
            explain="seeingkit_adapters.stargan:explain",
            options=StarGANOptions,
        )
    )
