"""Workers as jobs of a Slurm cluster, by submitit (an extra); also as submitit's local jobs.

Guarantees: all jobs are of one array; a job that is preempted or reaches its limit of time loses
nothing but the step in work, which another job takes over.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from seeingkit.contracts.executors import Ended, Executor
from seeingkit.errors import RunError, one_line

from .catalog import SlurmOptions


class SlurmExecutor(Executor):
    """Jobs by submitit."""

    def __init__(self, options: SlurmOptions) -> None:
        self.options = options

    def run(self, command: Sequence[str], processes: int, folder: Path) -> list[Ended]:
        """See ``Executor.run``; logs of the jobs lie in ``folder/slurm``."""
        import submitit

        cluster = None if self.options.cluster == "auto" else self.options.cluster
        try:
            executor = submitit.AutoExecutor(folder=str(folder / "slurm"), cluster=cluster)
            executor.update_parameters(**self._parameters(executor.cluster))
            jobs = executor.map_array(run_worker, [list(command)] * processes)
        except (RuntimeError, OSError, ValueError) as error:
            raise RunError(f"submitit cannot start jobs: {one_line(error, 300)}") from error
        return [_ended(job) for job in jobs]

    def _parameters(self, cluster: str) -> dict[str, object]:
        chosen = self.options
        found: dict[str, object] = {
            "name": "seeingkit",
            "timeout_min": chosen.minutes,
            "cpus_per_task": chosen.cpus,
            "mem_gb": chosen.memory_gb,
        }
        if chosen.gpus:
            found["gpus_per_node"] = chosen.gpus
        if cluster == "slurm":
            for name in ("partition", "account", "qos", "constraint"):
                if value := getattr(chosen, name):
                    found[f"slurm_{name}"] = value
        return found


def run_worker(command: list[str]) -> int:
    """Run a worker within a job, with as many threads as the job has cores; its exit code."""
    cores = os.environ.get("SLURM_CPUS_PER_TASK") or "1"
    environment = os.environ | {"OMP_NUM_THREADS": cores}
    return subprocess.run(command, env=environment, check=False).returncode


def _ended(job: object) -> Ended:
    name = f"job {job.job_id}"  # type: ignore[attr-defined]
    try:
        return Ended(name, int(job.result()))  # type: ignore[attr-defined]
    except Exception as error:  # whatever a job died of, the others go on
        return Ended(name, 1, one_line(error, 300))
