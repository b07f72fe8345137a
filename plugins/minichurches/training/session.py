"""The folder and the command line of a GAN's training: options, log, checkpoints, publishing.

A run writes into its folder ``log.jsonl``, ``plan.json``, ``state.pt`` (from which it can be
resumed), ``samples.png`` and ``samples-NNNNNNN.png``. All but the log are written whole or not at
all.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from seeingkit.system.writing import atomic_write, write_text

from .adversarial import AdversarialRun, GrowingPlan
from .logs import thinned
from .pictures import save_sheet

P = TypeVar("P", bound=GrowingPlan)
LOG = "log.jsonl"
STATE = "state.pt"


def command_line(description: str, defaults: GrowingPlan) -> argparse.ArgumentParser:
    """A parser with the options that both recipes have.

    Args:
        description: one sentence for ``--help``.
        defaults: of the options that are fields of a plan.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--sizes", type=int, nargs="+", default=defaults.sizes)
    parser.add_argument("--fade", type=float, default=defaults.fade)
    parser.add_argument("--pictures", type=int, default=defaults.pictures)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--rate", type=float, default=defaults.rate)
    parser.add_argument("--r1", type=float, default=defaults.r1)
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    parser.add_argument("--cache", type=Path, help="rendered scenes; default OUT/scenes.npy")
    parser.add_argument("--resume", action="store_true", help=f"continue from OUT/{STATE}")
    parser.add_argument("--publish", type=Path, help="train nothing; copy OUT's result to a folder")
    return parser


def plan_of(arguments: argparse.Namespace, kind: type[P]) -> P:
    """The plan that the options give: each field by the option of its name, else its default."""
    fields = {field.name for field in dataclasses.fields(kind)}
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(arguments).items()
        if name in fields
    }
    return kind(**given)


def write_plan(folder: Path, plan: GrowingPlan, **more: object) -> None:
    """Write ``plan.json``: the plan's fields, and ``more``."""
    write_text(folder / "plan.json", json.dumps(dataclasses.asdict(plan) | more, indent=1))


def read_state(folder: Path) -> dict[str, Any]:
    """The last checkpoint of a run."""
    state: dict[str, Any] = torch.load(folder / STATE, weights_only=True)
    return state


class Recorder:
    """Writes log lines and checkpoints of a run, and measures the time since the last ones.

    Args:
        run: the run.
        folder: of the run; it exists.
    """

    def __init__(self, run: AdversarialRun[Any], folder: Path) -> None:
        self.run, self.folder = run, folder
        self._losses: dict[str, list[float]] = {}
        self._logged, self._logged_images, self._saved = run.seconds, run.images, run.seconds

    @property
    def images_since_log(self) -> int:
        """Images seen since the last line, or since the run began."""
        return self.run.images - self._logged_images

    @property
    def seconds_since_log(self) -> float:
        """Seconds of training since the last line, or since the run began."""
        return self.run.seconds - self._logged

    @property
    def minutes_since_save(self) -> float:
        """Minutes of training since the last checkpoint, or since the run began."""
        return (self.run.seconds - self._saved) / 60

    def add(self, losses: Mapping[str, float]) -> None:
        """Keep the last step's losses, by name, for the next line.

        Raises:
            SystemExit: a loss is NaN or Inf.
        """
        for key, value in losses.items():
            if not np.isfinite(value):
                raise SystemExit(f"{key} loss is {value} after {self.run.images} images: diverged")
            self._losses.setdefault(key, []).append(value)

    def log(self, resolution: int, alpha: float, rate: float) -> None:
        """Append a line to the log, with the mean losses since the last one, and print it."""
        speed = self.images_since_log / max(self.seconds_since_log, 1e-9)
        line = {
            "images": self.run.images,
            "resolution": resolution,
            "alpha": round(alpha, 3),
            **{key: round(float(np.mean(v)), 4) for key, v in self._losses.items()},
            "rate": round(rate, 6),
            "images_per_s": round(speed, 1),
            "seconds": round(self.run.seconds, 1),
        }
        with (self.folder / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(line, flush=True)
        self._logged, self._logged_images = self.run.seconds, self.run.images
        self._losses = {}

    def save(self) -> None:
        """Write a checkpoint and sheets of samples."""
        self._saved = self.run.seconds
        with atomic_write(self.folder / STATE) as stream:
            torch.save(self.run.state(), stream)
        for name in ("samples.png", f"samples-{self.run.images:07d}.png"):
            save_sheet(self.run.samples(), self.folder / name)


def publish_log(run: Path, weights: Path) -> None:
    """Write a run's log, thinned, beside the weights that it made."""
    write_text(weights.with_suffix(".log.jsonl"), thinned(run / LOG))
