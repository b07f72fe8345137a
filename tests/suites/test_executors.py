"""Executors: workers in processes of their own find what one worker finds, to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.suites.kills import content
from seeingkit.contracts.executors import Executor
from seeingkit.errors import PluginError, RunError, UnknownNameError, UsageError
from seeingkit.models.registry import registry
from seeingkit.specs import ExecutorSpec
from seeingkit.suites.launch import Workers, run_suite
from seeingkit_plugins.executors.catalog import LocalOptions, SlurmOptions, TorchrunOptions
from seeingkit_plugins.executors.local import LocalExecutor
from seeingkit_plugins.executors.slurm import SlurmExecutor
from seeingkit_plugins.executors.torchrun import TorchrunExecutor
from tests.suites.conftest import TOML

SMALL = TOML.replace('name = "training"', 'name = "t"').replace("n = 40", "n = 40\ncontrols = 1")


def suite_words(suite: Path, out: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "seeingkit", "suite", str(suite), "--out", str(out)]
    return [*words, "--store", str(out.parent / f"{out.name} store"), *more]


@pytest.fixture
def small(suite: Path, entry_point: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    suite.write_text(SMALL)
    (suite.parent / "run" / "snap-001000.txt").unlink()
    monkeypatch.setenv("SEEINGKIT_CACHE", str(suite.parent / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return suite


@pytest.mark.slow
def test_two_processes_and_one_find_the_same_to_the_bit(small: Path) -> None:
    one, two = small.parent / "one", small.parent / "two"
    assert run_suite(small, out=one, store=small.parent / "one store") is not None
    options = ("--processes", "2", "--executor-option", "threads=1")
    done = subprocess.run(
        suite_words(small, two, *options), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert content(one) == content(two)
    assert done.stderr.count("done in") == 7  # each step by one of them


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["torchrun", "slurm"])
def test_other_executors_find_the_same(small: Path, executor: str) -> None:
    one, other = small.parent / "one", small.parent / "other"
    subprocess.run(suite_words(small, one), check=True, capture_output=True)
    option = {"torchrun": "threads=1", "slurm": "cluster=local"}[executor]
    words = ("--executor", executor, "--processes", "2", "--executor-option", option)
    if executor == "slurm":
        pytest.importorskip("submitit")
        words += ("--executor-option", "cpus=1")
    done = subprocess.run(
        suite_words(small, other, *words), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert content(one) == content(other)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_started_by_torchrun_itself(small: Path, processes: int) -> None:
    one, many = small.parent / "one", small.parent / "many"
    subprocess.run(suite_words(small, one), check=True, capture_output=True)
    agent = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words = [*agent, f"--nproc-per-node={processes}", *suite_words(small, many)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert content(one) == content(many)


@pytest.mark.slow
def test_a_worker_that_dies_is_named_and_the_others_do_its_work(small: Path) -> None:
    one, two = small.parent / "one", small.parent / "two"
    subprocess.run(suite_words(small, one), check=True, capture_output=True)
    words = suite_words(small, two, "--processes", "2", "--executor-option", "threads=1")
    suite = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not list((two / "steps").glob("*.json")):  # both are at work
        time.sleep(0.05)
    children = Path(f"/proc/{suite.pid}/task/{suite.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    _, said = suite.communicate()
    assert suite.returncode == 0, said
    assert "worker 1" in said and "SIGKILL" in said and children[0] in said
    assert content(one) == content(two)


class Nobody(Executor):
    """Starts no worker that does anything."""

    def __init__(self, options: object) -> None:
        self.local = LocalExecutor(LocalOptions())

    def run(self, command: Any, processes: int, folder: Path) -> Any:
        return self.local.run([sys.executable, "-c", "raise SystemExit(7)"], processes, folder)


@pytest.mark.slow
def test_workers_that_end_early_are_an_error_that_keeps_what_is_done(
    suite: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = ExecutorSpec(name="nobody", summary="x", target=f"{__name__}:Nobody")
    registry()._specs["executor", "nobody"] = spec
    with pytest.raises(RunError, match=r"10 of 10 steps are left.*worker 2 \(process \d+\): exit"):
        run_suite(suite, out=suite.parent / "out", workers=Workers(2, "nobody"))
    assert "ended early: exit code 7; the others do its work" in caplog.text
    assert (suite.parent / "out" / "results.json").is_file()


def test_options_and_names_are_checked_before_anything_runs(suite: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'local'"):
        run_suite(suite, out=suite.parent / "out", workers=Workers(2, "locla"))
    with pytest.raises(UsageError, match="gpus"):
        run_suite(suite, out=suite.parent / "out", workers=Workers(2, "", {"gpus": "first"}))
    assert not (suite.parent / "out").exists()


def test_a_library_that_is_not_installed_and_a_target_that_gives_something_else(
    suite: Path,
) -> None:
    about = {"summary": "x", "target": "builtins:repr"}
    missing = ExecutorSpec(name="far", package="nowhere_at_all", extra="slurm", **about)
    other = ExecutorSpec(name="text", **about)
    registry()._specs |= {("executor", "far"): missing, ("executor", "text"): other}
    with pytest.raises(PluginError, match=r"nowhere_at_all, which is not .*seeingkit\[slurm\]"):
        run_suite(suite, out=suite.parent / "out", workers=Workers(2, "far"))
    with pytest.raises(PluginError, match="text: builtins:repr gives no Executor"):
        run_suite(suite, out=suite.parent / "out", workers=Workers(2, "text"))


def test_gpus_are_given_in_turn() -> None:
    executor = LocalExecutor(LocalOptions(gpus="0,3", threads=2))
    found = [executor._environment(number, 3) for number in range(3)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == ["0", "3", "0"]
    assert {one["OMP_NUM_THREADS"] for one in found} == {"2"}


def test_torchrun_takes_modules_alone(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="modules of this Python"):
        TorchrunExecutor(TorchrunOptions()).run(["ls"], 2, tmp_path)


def test_parameters_of_slurm_jobs() -> None:
    pytest.importorskip("submitit")
    executor = SlurmExecutor(SlurmOptions(partition="gpu", gpus=1, minutes=60))
    assert executor._parameters("slurm")["slurm_partition"] == "gpu"
    assert "slurm_partition" not in executor._parameters("local")
    assert executor._parameters("slurm")["gpus_per_node"] == 1
