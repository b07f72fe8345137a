"""Histories as runs of Weights & Biases, written by its own library.

A history is one run; exported again it has the same id. Nothing but numbers, tables, figures and
settings leaves: no code, no git, no host, no list of packages. With ``SEEINGKIT_OFFLINE=1`` or
``mode=offline`` it writes files for ``wandb sync`` and touches no network.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from seeingkit.errors import PluginError, UsageError, one_line
from seeingkit.models.hub.downloading import offline
from seeingkit.report.tracking import History, Point, Tracker, tag_of
from seeingkit.system.writing import make_folder

from .catalog import WandbOptions

STEP = "training_step"
"""The number that curves are drawn over: the library's own step only counts calls."""


def load(options: WandbOptions) -> Tracker:
    """The tracker ``wandb``."""
    return WeightsAndBiases(options)


class WeightsAndBiases(Tracker):
    """Writes runs."""

    def __init__(self, options: WandbOptions) -> None:
        self.options = options

    def write(self, history: History) -> str:
        import wandb

        folder = make_folder(Path(self.options.logdir))
        try:
            run = wandb.init(
                project=self.options.project,
                entity=self.options.entity,
                dir=str(folder),
                id=history.key,
                name=history.name,
                config={**history.about, "step_unit": history.unit, **history.config},
                settings=self._settings(wandb),
                reinit="create_new",  # a run that the caller has open stays the caller's
            )
            with run:
                run.define_metric(STEP)
                run.define_metric("*", step_metric=STEP)
                for point in history.points:
                    run.log(self._logged(wandb, point))
            return str(run.settings.sync_dir if run.offline else run.url)
        except Exception as error:  # of the service, the account, the network
            raise _fault(error) from error

    def _settings(self, wandb: ModuleType) -> Any:
        mode = "offline" if offline() else self.options.mode or os.environ.get("WANDB_MODE")
        if mode not in (None, "online", "offline"):
            raise UsageError(f"WANDB_MODE={mode}: an export is online or offline")
        return wandb.Settings(
            mode=mode or "online",
            silent=True,  # stdout is the result
            console="off",
            save_code=False,
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            host="-",
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )

    def _logged(self, wandb: ModuleType, point: Point) -> dict[str, Any]:
        logged: dict[str, Any] = {STEP: point.step}
        logged |= {tag_of(path): x for path, x in point.numbers.items() if math.isfinite(x)}
        if point.classes:
            names = [column.name for column in point.classes]
            rows = zip(*(column.data() for column in point.classes), strict=True)
            logged["classes/table"] = wandb.Table(columns=names, data=[list(row) for row in rows])
        for picture in point.pictures if self.options.pictures else ():
            with Image.open(io.BytesIO(picture.png)) as image:
                logged[f"figures/{picture.name}"] = wandb.Image(image.convert("RGB"))
        return logged


def _fault(error: Exception) -> Exception:
    """A fault of the library as one of ours, in one line."""
    if isinstance(error, UsageError):
        return error
    reason = one_line(str(error) or type(error).__name__, 300)
    return PluginError(
        f"wandb: {reason}; the run is kept, and seeingkit export RUN --to wandb "
        "--option mode=offline writes files for 'wandb sync'"
    )
