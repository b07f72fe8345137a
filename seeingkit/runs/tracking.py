"""Finished runs to a tracker of experiments, by the name of a registered one.

Guarantee: nothing of a run is changed, so a tracker that fails costs nothing but the export.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from seeingkit.errors import Faults, PluginError, SeeingkitError, UsageError, one_line
from seeingkit.models.registry import Registry, registry
from seeingkit.models.resolved import opened
from seeingkit.report.numbers import RunNumbers, read_numbers
from seeingkit.report.tracking import History, Tracker, histories
from seeingkit.specs import TrackerSpec


@dataclass(frozen=True)
class Exported:
    """Where a history is now.

    Attributes:
        name: of the history.
        place: a folder or an address.
        runs: folders of its runs, by step.
        steps: of these; unit: of the steps, "" where none is known.
        numbers: how many were written.
    """

    name: str
    place: str
    runs: tuple[str, ...]
    steps: tuple[int, ...]
    unit: str
    numbers: int

    def to_dict(self) -> dict[str, Any]:
        """The content in plain objects."""
        return asdict(self)


def open_tracker(
    name: str, options: Mapping[str, Any] | None = None, *, known: Registry | None = None
) -> Tracker:
    """The tracker of that name::

        open_tracker("tensorboard", {"logdir": "logs"})

    Raises:
        UnknownNameError, UsageError: no such tracker, or an option that it does not take.
        PluginError: its library is not installed, or it cannot be loaded.
    """
    spec = cast("TrackerSpec", (known or registry()).resolve("tracker", name))
    return cast("Tracker", opened(spec, options or {}, Tracker))


def export_runs(
    runs: Sequence[RunNumbers], tracker: Tracker, only: Sequence[str] = ()
) -> list[Exported]:
    """Write runs to a tracker; snapshots of one training become one history.

    Args:
        only: patterns of the numbers that are wanted, such as ``classes[*].real_area``; none: the
            main ones.

    Raises:
        SeeingkitError: a run cannot be exported; the others are, before it is raised.
    """
    if not runs:
        raise UsageError("name the runs to export")
    done: list[Exported] = []
    faults = Faults()
    for history in histories(runs, only):
        place = faults.find(lambda one=history: _written(tracker, one))  # type: ignore[misc]
        if place is not None:
            done.append(
                Exported(
                    name=history.name,
                    place=place,
                    runs=tuple(point.run for point in history.points),
                    steps=tuple(point.step for point in history.points),
                    unit=history.unit,
                    numbers=sum(len(point.numbers) for point in history.points),
                )
            )
    faults.raise_if_any()
    return done


def _written(tracker: Tracker, history: History) -> str:
    try:
        return tracker.write(history)
    except SeeingkitError:
        raise
    except Exception as error:  # whatever a library does must not look like a failed run
        reason = one_line(f"{type(error).__name__}: {error}", 300)
        raise PluginError(f"{history.name} was not exported ({reason}); the run is kept") from error


def read_runs(folders: Sequence[Path]) -> tuple[list[RunNumbers], list[SeeingkitError]]:
    """The numbers of all runs that can be read, and a fault for each that cannot.

    Raises:
        RunError: none can be read; names each.
    """
    found: list[RunNumbers] = []
    faults = Faults()
    for folder in folders:
        found += faults.find(lambda one=folder: read_numbers(one)) or []  # type: ignore[misc]
    if not found:
        faults.raise_if_any()
    return found, faults.errors
