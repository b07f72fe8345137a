"""Registers the data set ``minichurches`` and the weights trained on it; never imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import DataSpec, Options, Register, hookimpl

from ..shipped import shipped_weights

PACKAGE = "seeingkit_plugins.minichurches"
REAL_SEED = 2
"""The scenes that stand for real photographs: no network was trained or tuned on this series."""


class SceneOptions(Options):
    """Options of the data set ``minichurches``."""

    resolution: Literal[64, 128] = Field(64, description="pixels per side")
    seed: int = Field(
        REAL_SEED, ge=0, description="series of scenes; 0 trained and 1 validated the networks"
    )
    n: int = Field(10_000, ge=1, description="number of scenes; any number can be rendered")


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register the scenes and the weights trained on them."""
    register(
        DataSpec(
            name="minichurches",
            summary="outdoor church scenes at 64x64 or 128x128, drawn by a program, with labels",
            licence="MIT",
            target=f"{PACKAGE}.dataset:load",
            options=SceneOptions,
            default=True,
            preset="native",
            segmenter="upernet:minichurches",
            gan="progan:minichurches",
            n=2000,
        )
    )
    for spec in shipped_weights(PACKAGE, name="minichurches", domains=("minichurches",)):
        register(spec)
