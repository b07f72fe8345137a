"""Workers started by torchrun, on one machine or on several that share the suite's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from seeingkit.contracts.executors import Ended, Executor
from seeingkit.errors import RunError

from .catalog import TorchrunOptions


class TorchrunExecutor(Executor):
    """One agent of torchrun: when a worker dies, the agent ends the others, too."""

    def __init__(self, options: TorchrunOptions) -> None:
        self.options = options

    def run(self, command: Sequence[str], processes: int, folder: Path) -> list[Ended]:
        """See ``Executor.run``.

        Raises:
            RunError: the command is no module of this Python.
        """
        if list(command[:2]) != [sys.executable, "-m"]:
            raise RunError("torchrun starts modules of this Python alone")
        chosen = self.options
        words = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
        if chosen.nnodes > 1 or chosen.rdzv_endpoint:
            words += [f"--nnodes={chosen.nnodes}", f"--node-rank={chosen.node_rank}"]
            words += [f"--rdzv-endpoint={chosen.rdzv_endpoint}", f"--rdzv-id={chosen.rdzv_id}"]
            words += ["--rdzv-backend=c10d"]
        else:
            words += ["--standalone"]
        environment = os.environ | {"OMP_NUM_THREADS": str(chosen.threads)}
        done = subprocess.run(
            [*words, "-m", *command[2:]], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        return [Ended("torchrun", done.returncode)]
