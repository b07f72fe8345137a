"""Registers the metric ``fidelity`` and its Inception weights; never imports torch.

The address of the Inception file is torch-fidelity's. Its SHA-256 begins with the digits in the
file's name (torch.hub's convention).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from seeingkit.specs import MetricSpec, Options, Register, WeightFile, WeightsSpec, hookimpl

PACKAGE = "seeingkit_plugins.fidelity"

INCEPTION = WeightFile(
    name="weights-inception-2015-12-05-6726825d.pth",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95628359,
)
"""TensorFlow's Inception of 2015-12-05, the network of published FID values, as a torch file."""


class FidelityOptions(Options):
    """Options of ``fidelity``; all defaults are the library's."""

    metrics: tuple[Literal["fid", "kid", "is", "prc"], ...] = Field(
        ("fid", "kid", "is", "prc"), description="metrics to compute"
    )
    kid_subsets: int = Field(100, ge=1, description="random subsets that KID is averaged over")
    kid_subset_size: int = Field(
        1000, ge=2, description="images in each subset; fewer where a side has fewer"
    )
    is_splits: int = Field(10, ge=1, description="parts that the Inception Score is averaged over")
    prc_neighbours: int = Field(
        3, ge=1, description="k of the neighbourhoods of precision and recall"
    )

    @field_validator("metrics")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("names, each once: fid, kid, is, prc")
        return value


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register the metric and the weights of its feature extractor."""
    register(
        MetricSpec(
            name="fidelity",
            summary="FID, KID, Inception Score, precision and recall, by torch-fidelity",
            licence="Apache-2.0 (torch-fidelity)",
            target=f"{PACKAGE}.metrics:load",
            options=FidelityOptions,
            default=True,
            package="torch_fidelity",
            extra="fidelity",
        )
    )
    register(
        WeightsSpec(
            name="inception",
            family="fidelity",
            kind="metric",
            summary="TensorFlow's Inception of 2015-12-05, converted by torch-fidelity",
            licence="Apache-2.0 (TensorFlow models)",
            files=(INCEPTION,),
        )
    )
