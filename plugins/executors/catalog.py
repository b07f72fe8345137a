"""The built-in executors. Never imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seeingkit.specs import ExecutorSpec, Options, Register, hookimpl


class LocalOptions(Options):
    """Options of ``local``."""

    gpus: str = Field(
        default="",
        pattern=r"^(\d+(,\d+)*)?$",
        description="numbers of the GPUs that workers are pinned to in turn, as 0,1",
    )
    threads: int | None = Field(
        default=None, ge=1, description="of each worker; else the cores are shared equally"
    )


class TorchrunOptions(Options):
    """Options of ``torchrun``: those of torchrun itself."""

    nnodes: int = Field(
        default=1, ge=1, description="machines; the same command is given on each of them"
    )
    node_rank: int = Field(default=0, ge=0, description="number of this machine")
    rdzv_endpoint: str = Field(default="", description="HOST:PORT of one of the machines")
    rdzv_id: str = Field(default="seeingkit", description="the same on all machines")
    threads: int = Field(default=1, ge=1, description="of each worker")


class SlurmOptions(Options):
    """Options of ``slurm``, which are submitit's."""

    cluster: Literal["auto", "slurm", "local"] = Field(
        default="auto", description="local: jobs of this machine, without Slurm"
    )
    partition: str = Field(default="", description="of the jobs")
    account: str = Field(default="", description="of the jobs")
    qos: str = Field(default="", description="of the jobs")
    constraint: str = Field(default="", description="of the machines")
    minutes: int = Field(default=720, ge=1, description="that a job may take")
    gpus: int = Field(default=0, ge=0, description="of each job")
    cpus: int = Field(default=4, ge=1, description="of each job")
    memory_gb: int = Field(default=16, ge=1, description="of each job")


@hookimpl
def seeingkit_register(register: Register) -> None:
    register(
        ExecutorSpec(
            name="local",
            summary="processes of this machine, pinned to GPUs",
            licence="MIT",
            target="seeingkit_plugins.executors.local:LocalExecutor",
            options=LocalOptions,
            default=True,
        )
    )
    register(
        ExecutorSpec(
            name="torchrun",
            summary="torchrun: processes of one machine or of several that share a folder",
            licence="MIT",
            target="seeingkit_plugins.executors.torchrun:TorchrunExecutor",
            options=TorchrunOptions,
        )
    )
    register(
        ExecutorSpec(
            name="slurm",
            summary="jobs of a Slurm cluster, by submitit",
            licence="MIT",
            target="seeingkit_plugins.executors.slurm:SlurmExecutor",
            options=SlurmOptions,
            package="submitit",
            extra="slurm",
        )
    )
