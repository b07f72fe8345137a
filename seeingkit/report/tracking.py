"""What a tracker of experiments is given of finished runs, and what a tracker is.

A run is one point; runs of snapshots of one training, with the same settings, are the points of one
history, in the order of training. Importing this imports no tracker.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from seeingkit.system.writing import json_text

from .numbers import RunNumbers, chosen_names, numbers_table
from .tables import Cell, TableColumn

MAIN = frozenset(
    {
        *("real_area", "generated_area", "relative_difference", "images_change", "omitted"),
        *("psnr", "vanished", "photos", "value", "bias_reduced", "ci_low", "ci_high"),
        *("coverage", "p_value", "mean_difference"),
        *("labelled", "distinct", "by_iou", "by_iou_of_others"),
    }
)
"""Numbers of classes, methods and parts that go to a tracker unless others are asked for."""

_OF_A_CLASS = (
    *("label", "category", "real_area", "generated_area", "relative_difference"),
    *("ci_low", "ci_high", "q_value", "verdict"),
)
_NO_NUMBER = ("schema_version",)
_ELSEWHERE = ("weights", "generated", "others", "title", "device", "batch_size", "fail_if")
"""Settings that differ within the runs of one training, or change no number."""


@dataclass(frozen=True)
class Picture:
    """A picture of a run.

    Attributes:
        name: without its ending, such as ``classes``.
        png: the file's bytes.
    """

    name: str
    png: bytes


@dataclass(frozen=True)
class Point:
    """A run in a history.

    Attributes:
        run: its folder, as it was named.
        step: where it stands; 0 where no step is known.
        numbers: float by the path that gates take; yes and no are 1 and 0, and what is not defined
            is left out.
        classes: a table of the classes: label, areas, difference, interval, q, verdict; else empty.
        pictures: figures of the report.
    """

    run: str
    step: int
    numbers: Mapping[str, float]
    classes: Sequence[TableColumn] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class History:
    """Runs that belong together.

    Attributes:
        name: of the run's folder, or of the training's; unique among the histories made with it.
        key: 16 hexadecimal digits, the same whenever the same work is exported.
        unit: of the steps, such as ``kimg``; "" where there is none.
        about: what was compared: kind, generator, data, segmenter.
        config: settings by dotted names.
        points: by step.
    """

    name: str
    key: str
    unit: str
    about: Mapping[str, str]
    config: Mapping[str, Cell]
    points: Sequence[Point]


class Tracker(ABC):
    """Something that histories are written to; the target of a ``TrackerSpec`` gives one."""

    @abstractmethod
    def write(self, history: History) -> str:
        """Write a history, in place of what an earlier export of it has written.

        Returns:
            where it is now: a folder or an address.

        Raises:
            SeeingkitError: it cannot be written; the run itself is not touched.
        """


def tag_of(path: str) -> str:
    """The name of a number in a tracker, which groups names by what stands before the ``/``.

    >>> tag_of("fsd.value"), tag_of("classes[traffic sign].real_area"), tag_of("n_real")
    ('fsd/value', 'classes/[traffic sign].real_area', 'n_real')
    """
    ends = [path.find(sign) for sign in ".[" if sign in path]
    if not ends:
        return path
    first = min(ends)
    return f"{path[:first]}/{path[first:].removeprefix('.')}"


def histories(runs: Sequence[RunNumbers], only: Sequence[str] = ()) -> list[History]:
    """Runs as histories: snapshots of one training as one, every other run alone.

    Args:
        only: patterns of the numbers that are wanted (``numbers_table``); none: the main ones.

    Raises:
        UnknownNameError: a pattern that fits no number.
    """
    groups: dict[str, list[RunNumbers]] = {}
    for run in {run.folder.resolve(): run for run in runs}.values():
        text = _key(run)
        while any(one.step == run.step for one in groups.get(text, ())):
            text += " again"  # another run of the same snapshot, or of the same settings
        groups.setdefault(text, []).append(run)
    groups = {text: sorted(group, key=_step) for text, group in groups.items()}
    names = _short([_folder(group[0]) for group in groups.values()])
    wanted = _wanted(runs, only)
    return [
        History(
            name=name,
            key=hashlib.sha256(text.encode()).hexdigest()[:16],
            unit=group[0].step.unit if group[0].step else "",
            about={
                role: getattr(group[-1], role)
                for role in ("kind", "generator", "data", "segmenter", "seeingkit")
            },
            config=group[-1].config,
            points=[_point(run, wanted) for run in group],
        )
        for name, (text, group) in zip(names, groups.items(), strict=True)
    ]


def _step(run: RunNumbers) -> int:
    return 0 if run.step is None else run.step.value


def _key(run: RunNumbers) -> str:
    """What a run has in common with others of its history; for a run without step it is its own."""
    config = dict(run.config)
    if run.step is None:
        return json_text([run.folder.name, run.generator, run.data, run.segmenter, config])
    config = {name: value for name, value in config.items() if name not in _ELSEWHERE}
    training = str(PurePath(run.weights).parent)
    return json_text([training, run.step.unit, run.kind, run.data, run.segmenter, config])


def _folder(run: RunNumbers) -> Path:
    """The folder that a history is called by: that of the training, else that of the run."""
    if run.step is not None and len(PurePath(run.weights).parts) > 1:
        return Path(run.weights.partition(":")[2] or run.weights).parent
    return run.folder


def _short(folders: Sequence[Path]) -> list[str]:
    """As many of the last parts of each path as tell it from the others; else a number too."""
    parts = [folder.resolve().parts for folder in folders]
    found: list[str] = []
    for own in parts:
        lengths = range(1, len(own) + 1)
        apart = (k for k in lengths if sum(one[-k:] == own[-k:] for one in parts) == 1)
        name = "/".join(own[-next(apart, 1) :]).strip("/") or "run"
        again = found.count(name) + sum(one.startswith(f"{name} (") for one in found)
        found.append(f"{name} ({again + 1})" if again else name)
    return found


def _wanted(runs: Iterable[RunNumbers], only: Sequence[str]) -> set[str]:
    known = {path: None for run in runs for path in run.numbers}
    if only:
        return chosen_names(list(known), only)
    return {path for path in known if _is_main(path)}


def _is_main(path: str) -> bool:
    """Whether a number is of the run as a whole, or one of the main ones of a part."""
    whole = "[" not in path and path.count(".") < 2 and path not in _NO_NUMBER
    return whole or path.startswith("fidelity.values.") or path.rpartition(".")[2] in MAIN


def _point(run: RunNumbers, wanted: set[str]) -> Point:
    numbers = {path: float(x) for path, x in run.numbers.items() if x is not None}
    classes = numbers_table([run], "classes") if run.classes else []
    return Point(
        run=run.run,
        step=_step(run),
        numbers={path: value for path, value in numbers.items() if path in wanted},
        classes=[column for column in classes if column.name in _OF_A_CLASS],
        pictures=_pictures(run.folder / "figures"),
    )


def _pictures(folder: Path) -> list[Picture]:
    """The PNG figures in a folder: regular files that lie in it."""
    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    return [Picture(f.stem, f.read_bytes()) for f in files if f.is_file() and not f.is_symlink()]
