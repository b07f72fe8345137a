"""Options and specs of ``bigbigan``, generator and encoder. Importing this imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import EncoderOptions, EncoderSpec, GanSpec, Options, Register

from .common import ClassNames, Key, Latents


class BigBiGANOptions(Options):
    """Options of the generator."""

    truncation: float = Field(
        1.0,
        gt=0,
        le=1,
        description="z is drawn from the normal cut off at this value; 1 is what it was trained on",
    )
    classes: ClassNames = None
    key: Key = None
    latents: Latents = "seeds"


class BigBiGANEncoderOptions(EncoderOptions):
    """Options of the encoder."""

    range: Literal["-1..1", "0..1"] = Field(
        "-1..1", description="range of the images that it was trained on, which no file holds"
    )
    size: int | None = Field(
        None,
        ge=2,
        le=4096,
        description="pixels a side of its images; None: those of the generator, or of the "
        "generator in its file",
    )
    key: Key = None


def register(register: Register) -> None:
    """Register generator and encoder."""
    register(
        GanSpec(
            name="bigbigan",
            summary="small BigBiGANs and BigGANs of BigBiGAN-PyTorch, with the encoder in their "
            "file (DeepMind's own generator, BigBiGAN_x1.pth, is read by biggan)",
            licence="own code, MIT",
            target="seeingkit_adapters.bigbigan:load",
            recognise="seeingkit_adapters.bigbigan:recognise",
            explain="seeingkit_adapters.bigbigan:explain",
            options=BigBiGANOptions,
        )
    )
    register(
        EncoderSpec(
            name="bigbigan",
            summary="the encoder of BigBiGAN-PyTorch (Donahue and Simonyan 2019, with a small "
            "RevNet)",
            licence="own code, MIT",
            target="seeingkit_adapters.bigbigan:load_encoder",
            recognise="seeingkit_adapters.bigbigan:recognise_encoder",
            generators=("bigbigan",),
            options=BigBiGANEncoderOptions,
        )
    )
