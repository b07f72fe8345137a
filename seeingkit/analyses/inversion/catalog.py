"""The six inverters, methods a to f of Bau et al. 2019, section 4.2. Never imports torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from seeingkit.specs import InverterSpec, Options, Register, hookimpl

_METHODS = {
    "z": ("optimise_z", "a: optimise z from a random start"),
    "encoder": ("direct", "b: a direct encoder, image to z"),
    "encoder+z": ("direct_then_z", "c: direct encoder, then optimise z (Zhu et al. 2016)"),
    "layered": ("layered", "d: layered encoder E = e_1 ∘ … ∘ e_n ∘ e_f"),
    "layered+z": ("layered_then_z", "e: layered encoder, then optimise z"),
    "layered+r": (
        "layered_then_r",
        "f: layered encoder, then optimise r through the layers' residuals: the method",
    ),
}
METHODS = tuple(_METHODS)
DEFAULT_METHOD = "layered+r"
ENCODERS = ("auto", "found", "train", "none")
"""Words for the option ``encoder``; anything else is a file."""


class InverterOptions(Options):
    """Options of all six methods; None takes the preset's value."""

    preset: Literal["fast", "paper"] = Field(
        "fast", description="losses and schedule: the paper's, or ours for a fraction of the cost"
    )
    cut: str | None = Field(None, description="boundary of r; None: the generator's own default")
    steps: int | None = Field(None, ge=0, description="optimisation steps at most")
    rate: float | None = Field(None, gt=0, description="learning rate at the start")
    residuals: Literal["before", "all"] | None = Field(
        None, description="residuals at the layers before the cut (the code) or also at it"
    )
    free_latent: bool | None = Field(
        None, description="optimise z0 along with the residuals, without a penalty"
    )
    residual_weight: float | None = Field(None, ge=0, description="weight of Σ mean δ²")
    perceptual: str = Field("auto", description="perceptual features by name, auto or none")
    perceptual_weights: str | None = Field(None, description="their weights file")
    perceptual_weight: float | None = Field(None, ge=0, description="weight of the perceptual loss")
    carry: tuple[str, ...] | None = Field(
        None,
        description="carried tensors optimised along with r, [] for none; default: the "
        "generator's own choice (such as styles)",
    )
    encoder: str = Field(
        "auto",
        description="auto: the one that came with the generator, shipped, cached or trained now; "
        "found: such a one, else none; train: anew; none: start from the average image; or a file, "
        "ours or of a registered encoder (seeingkit ls encoders)",
    )
    encoder_options: dict[str, Any] = Field(
        {},
        description="options of an encoder that came with the generator (--encoder-option)",
    )
    encoder_steps: int | None = Field(None, ge=1, description="training steps of e_f and of E")
    encoder_loss: Literal["l1", "cosine", "both"] | None = Field(
        None, description="loss of features in training: the paper's L1, its code's cosine"
    )
    frames: int = Field(9, ge=0, le=64, description="pictures kept of the optimisation")


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register the six methods."""
    for name, (target, summary) in _METHODS.items():
        register(
            InverterSpec(
                name=name,
                summary=summary,
                licence="MIT",
                target=f"seeingkit.analyses.inversion.methods:{target}",
                options=InverterOptions,
                default=name == DEFAULT_METHOD,
            )
        )
