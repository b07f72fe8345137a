"""Registers the trackers; imports none of their libraries, and never torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import Options, Register, TrackerSpec, hookimpl

PACKAGE = "seeingkit_plugins.tracking"


class TensorBoardOptions(Options):
    """Options of ``tensorboard``."""

    logdir: str = Field(
        "tensorboard", min_length=1, description="folder that TensorBoard is opened on"
    )
    pictures: bool = Field(True, description="also the figures of the report")


class WandbOptions(Options):
    """Options of ``wandb``."""

    project: str = Field("seeingkit", min_length=1, description="project that runs are added to")
    entity: str | None = Field(None, description="team or user; the account's own")
    mode: Literal["online", "offline"] | None = Field(
        None, description="offline: files for 'wandb sync'; WANDB_MODE, else online"
    )
    logdir: str = Field(".", min_length=1, description="folder in which wandb/ has the local files")
    pictures: bool = Field(True, description="also the figures of the report")


@hookimpl
def seeingkit_register(register: Register) -> None:
    """Register both trackers."""
    register(
        TrackerSpec(
            name="tensorboard",
            summary="event files of TensorBoard: scalars, class tables, figures, hyperparameters",
            licence="Apache-2.0 (tensorboard)",
            target=f"{PACKAGE}.tensorboard:load",
            options=TensorBoardOptions,
            package="tensorboard",
            extra="tensorboard",
        )
    )
    register(
        TrackerSpec(
            name="wandb",
            aliases=("weights-and-biases",),
            summary="runs of Weights & Biases: history, class tables, figures, config",
            licence="MIT (wandb)",
            target=f"{PACKAGE}.wandb:load",
            options=WandbOptions,
            package="wandb",
            extra="wandb",
        )
    )
