"""Histories as event files of TensorBoard, written by torch's writer.

Each history is a folder below ``logdir``, which TensorBoard shows as one run. Numbers have single
precision: the usual loader of TensorBoard (2.21) shows nothing of scalars in double. An export
replaces the event files that an earlier one of the same history has written there, and no others;
where a folder is another history's, the name gets a part of the key.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seeingkit.report.tables import render_table
from seeingkit.report.tracking import History, Point, Tracker, tag_of
from seeingkit.system.failures import told

from .catalog import TensorBoardOptions

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SUFFIX = ".seeingkit"
"""End of the names of our event files."""


def load(options: TensorBoardOptions) -> Tracker:
    """The tracker ``tensorboard``."""
    return TensorBoard(options)


class TensorBoard(Tracker):
    """Writes event files."""

    def __init__(self, options: TensorBoardOptions) -> None:
        self.options = options

    def write(self, history: History) -> str:
        folder = Path(self.options.logdir).joinpath(*_parts(history.name))
        with told(folder):
            if any(not _is_of(path, history) for path in _own_files(folder)):
                folder = folder.with_name(f"{folder.name}-{history.key[:8]}")
            earlier = [path for path in _own_files(folder) if _is_of(path, history)]
            with _writer(folder, history) as writer:
                for point in history.points:
                    self._write_point(writer, point)
                _write_settings(writer, history)
            for path in earlier:  # only now: a fault above leaves what there was
                path.unlink(missing_ok=True)
        return str(folder)

    def _write_point(self, writer: SummaryWriter, point: Point) -> None:
        for path, value in point.numbers.items():
            writer.add_scalar(tag_of(path), value, point.step)
        if point.classes:
            text = render_table(point.classes, "markdown")
            writer.add_text("classes/table", str(text), point.step)
        for picture in point.pictures if self.options.pictures else ():
            with Image.open(io.BytesIO(picture.png)) as image:
                pixels = np.asarray(image.convert("RGB"))
            writer.add_image(f"figures/{picture.name}", pixels, point.step, dataformats="HWC")


def _writer(folder: Path, history: History) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), filename_suffix=f".{history.key}{SUFFIX}")


def _write_settings(writer: SummaryWriter, history: History) -> None:
    """The settings as hyperparameters, beside the numbers of the last point."""
    from torch.utils.tensorboard.summary import hparams

    settings = {**history.about, **history.config, "step_unit": history.unit}
    known: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    metrics = dict.fromkeys(map(tag_of, history.points[-1].numbers), 0.0)
    for summary in hparams(known, metrics):
        writer._get_file_writer().add_summary(summary)  # as add_hparams, but in this very file


def _own_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"events.out.tfevents.*{SUFFIX}"))


def _is_of(path: Path, history: History) -> bool:
    return path.name.endswith(f".{history.key}{SUFFIX}")


def _parts(name: str) -> list[str]:
    """The parts of a name as folders that stay below ``logdir``."""
    return [part for part in name.split("/") if part not in ("", ".", "..")] or ["run"]
