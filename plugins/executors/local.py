"""Workers as processes of this machine.

Guarantees: each worker has its GPU alone where GPUs are named; a worker that dies is told by name,
and the others go on; an interrupt ends all of them.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from seeingkit.contracts.executors import Ended, Executor
from seeingkit.errors import RunError

from .catalog import LocalOptions

log = logging.getLogger(__name__)

_PATIENCE = 20.0  # seconds that interrupted workers have to end


class LocalExecutor(Executor):
    """Processes of this machine."""

    def __init__(self, options: LocalOptions) -> None:
        self.options = options

    def run(self, command: Sequence[str], processes: int, folder: Path) -> list[Ended]:
        """See ``Executor.run``; what workers say goes where this process's words go."""
        started: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(processes):
                started.append(
                    subprocess.Popen(
                        list(command),
                        env=os.environ | self._environment(number, processes),
                        stdout=subprocess.DEVNULL,
                    )
                )
        except OSError as error:
            _end(started)
            raise RunError(f"{command[0]}: cannot be started ({error.strerror})") from error
        try:
            return [_ended(number, child) for number, child in enumerate(started, 1)]
        except BaseException:
            _end(started)
            raise

    def _environment(self, number: int, processes: int) -> dict[str, str]:
        threads = self.options.threads or max(1, (os.cpu_count() or 1) // processes)
        found = {"OMP_NUM_THREADS": str(threads)}
        if self.options.gpus:
            gpus = self.options.gpus.split(",")
            found["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
        return found


def _ended(number: int, child: subprocess.Popen[bytes]) -> Ended:
    ended = Ended(f"worker {number} (process {child.pid})", child.wait())
    if ended.lost:
        what = signal_name(ended.code) if ended.code < 0 else f"exit code {ended.code}"
        log.warning("%s ended early: %s; the others do its work", ended.name, what)
    return ended


def signal_name(code: int) -> str:
    """A signal by the negative exit code that it gives.

    >>> signal_name(-9)
    'SIGKILL'
    """
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
    for child in children:
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
