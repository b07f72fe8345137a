"""Options and specs of ``ali``, generator and encoder. Importing this imports no torch."""

from __future__ import annotations

from pydantic import Field

from seeingkit.specs import EncoderOptions, EncoderSpec, GanSpec, Options, Register

from .common import Key, Latents


class ALIOptions(Options):
    """Options of the generator."""

    key: Key = None
    latents: Latents = "seeds"


class ALIEncoderOptions(EncoderOptions):
    """Options of the encoder."""

    latent: int | None = Field(
        None,
        ge=1,
        le=1 << 20,
        description="length of z: all outputs (a value) or half of them (mean and log sigma); "
        "None: that of the generator, else half",
    )
    key: Key = None


def register(register: Register) -> None:
    """Register generator and encoder."""
    register(
        GanSpec(
            name="ali",
            summary="ALI (Dumoulin et al. 2017), netG of ali-pytorch; its encoder is another file",
            licence="own code, MIT",
            target="seeingkit_adapters.ali:load",
            recognise="seeingkit_adapters.ali:recognise",
            explain="seeingkit_adapters.ali:explain",
            options=ALIOptions,
        )
    )
    register(
        EncoderSpec(
            name="ali",
            summary="the encoder of ALI, netE of ali-pytorch",
            licence="own code, MIT",
            target="seeingkit_adapters.ali:load_encoder",
            recognise="seeingkit_adapters.ali:recognise_encoder",
            generators=("ali",),
            options=ALIEncoderOptions,
        )
    )
