"""The numbers of finished runs as one flat table: a row a run, a row a class, or a row a number.

Guarantees: numbers have the names that gates take (``results.paths``); a number that a run does not
have is missing, never 0; the order of rows is that of the runs, the order of columns that of the
first run that has them. A run of several generators has a row for itself, with their differences,
and one for each of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from seeingkit.errors import RunError, UnknownNameError
from seeingkit.results import ClassResult, Manifest, Record
from seeingkit.results.paths import Number, numbers_of
from seeingkit.results.steps import Step, step_of
from seeingkit.results.units import unit_of

from .runfiles import read_run
from .tables import Cell, TableColumn

Form = Literal["runs", "classes", "numbers"]
FORMS: tuple[Form, ...] = get_args(Form)
"""Rows of a table: one a run, one a run and class, one a run and number."""


@dataclass(frozen=True)
class RunNumbers:
    """What a run has found, flat.

    Attributes:
        run: its folder, as it was named.
        folder: the same, as a path.
        kind: ``comparison``, ``inversion``, ``generators`` or as its results call it.
        generator, data, segmenter: names; "" where there is none.
        weights: the weights file of the generator, as the run was told; "" where it was not.
        step: how far the training of these weights had come, by the file's name.
        started: time, ISO 8601; seeingkit: version.
        numbers: by path; classes: of a comparison.
        config, timings: of the manifest: settings (texts, numbers, or JSON of lists) and seconds.
    """

    run: str
    folder: Path
    kind: str
    generator: str
    data: str
    segmenter: str
    weights: str
    step: Step | None
    started: str
    seeingkit: str
    numbers: Mapping[str, Number | None]
    classes: Sequence[ClassResult] = ()
    config: Mapping[str, Cell] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)


def read_numbers(folder: str | Path) -> list[RunNumbers]:
    """The numbers of a finished run; of several generators, of the run and of each of them::

        (run,) = read_numbers("runs/church")
        run.numbers["fsd.value"]

    Raises:
        RunError: no finished run, or a file of it cannot be read; names the file.
    """
    top = Path(folder)
    results, manifest = read_run(top)
    whole = _described(str(folder), results, manifest)
    parts = [one.folder for one in getattr(results, "generators", ()) if one.folder]
    if not parts:
        return [whole]
    # Each is a run in itself, which has more numbers than this one tells of it.
    own = {path: value for path, value in whole.numbers.items() if not _PART.match(path)}
    found = [replace(whole, numbers=own)]
    for part in parts:
        if not (top / part).resolve().is_relative_to(top.resolve()):
            raise RunError(f"{folder}: {part} leads out of the run, and is not read")
        found.append(_described(str(top / part), *read_run(top / part)))
    return found


_PART = re.compile(r"generators[.\[]")


def _described(run: str, results: Any, manifest: Manifest) -> RunNumbers:
    def name(*roles: str) -> str:
        records = (getattr(results, role, None) for role in roles)
        return next((record.name for record in records if record is not None), "")

    classes = getattr(results, "classes", ())
    weights = _weights(manifest.config)
    return RunNumbers(
        run=run,
        folder=Path(run),
        kind=getattr(results, "kind", "comparison"),
        generator=name("generator", "generated"),
        data=name("data"),
        segmenter=name("segmenter"),
        weights=weights,
        step=step_of(re.split(r"[/\\:]", weights)[-1]) if weights else None,
        started=manifest.started,
        seeingkit=manifest.seeingkit,
        numbers=numbers_of(results),
        classes=[one for one in classes if isinstance(one, ClassResult)],
        config=_settings(manifest.config),
        timings=manifest.timings,
    )


def _weights(config: Mapping[str, Any]) -> str:
    """The weights file of the generator, or the path or name that stands for it."""
    given = config.get("weights") or config.get("generated") or ""
    return given if isinstance(given, str) else ""


def _settings(config: Mapping[str, Any], before: str = "") -> dict[str, Cell]:
    """Settings by dotted names; lists as JSON, without those that are empty or not set."""
    found: dict[str, Cell] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            found |= _settings(value, f"{before}{name}.")
        elif isinstance(value, list):
            found |= {f"{before}{name}": json.dumps(value, ensure_ascii=False)} if value else {}
        elif value is not None:
            found[f"{before}{name}"] = value
    return found


def numbers_table(
    runs: Sequence[RunNumbers], form: str = "runs", only: Sequence[str] = ()
) -> list[TableColumn]:
    """The columns of a table of runs, for ``tables.render_table``.

    Args:
        form: ``runs``: a column a number, then the settings (``config.…``) and the seconds of each
            stage (``timings.…``); ``classes``: the fields of each class; ``numbers``: columns
            ``number``, ``value`` and ``unit``. Columns on what the run is come first in each.
        only: patterns of names as of a shell, such as ``fsd.*``; none: all.

    Raises:
        UnknownNameError: no such form; a pattern that fits no number of these runs.
        RunError: none of the runs has classes, which the form needs.
    """
    if form not in FORMS:
        raise UnknownNameError("form", form, FORMS)
    if form == "classes":
        rows = [(run, _class_row(record)) for run in runs for record in run.classes]
        if not rows:
            raise RunError("none of these runs compares classes, so a table of them is empty")
        return [*_identity([run for run, _ in rows]), *_columns([row for _, row in rows], only)]
    if form == "numbers":
        long = [
            (run, path, value)
            for run, row in zip(runs, _chosen([run.numbers for run in runs], only), strict=True)
            for path, value in row.items()
        ]
        return [
            *_identity([run for run, _, _ in long]),
            TableColumn("number", [path for _, path, _ in long]),
            TableColumn("value", [None if x is None else float(x) for _, _, x in long]),
            TableColumn("unit", [unit_of(path) or None for _, path, _ in long]),
        ]
    return [*_identity(runs), *_columns([_whole_row(run) for run in runs], only)]


def _identity(runs: Sequence[RunNumbers]) -> list[TableColumn]:
    """What the runs are; the step and its unit only where one has a step."""
    names = ("run", "kind", "generator", "data", "segmenter", "started", "seeingkit")
    made = [TableColumn(name, [getattr(run, name) for run in runs]) for name in names]
    if any(run.step for run in runs):
        steps = [(None, None) if run.step is None else run.step for run in runs]
        made.insert(5, TableColumn("step", [step[0] for step in steps]))
        made.insert(6, TableColumn("step_unit", [step[1] for step in steps]))
    return made


def _whole_row(run: RunNumbers) -> dict[str, Cell]:
    return {
        **run.numbers,
        **{f"config.{name}": value for name, value in run.config.items()},
        **{f"timings.{name}": value for name, value in run.timings.items()},
    }


def _class_row(record: Record) -> dict[str, Cell]:
    """The texts and numbers of a record, in the order of its fields; an interval is two."""
    numbers = numbers_of(record)
    row: dict[str, Cell] = {}
    for name, value in record:
        ends = [f"{name}{end}" for end in ("", "[0]", "[1]") if f"{name}{end}" in numbers]
        row |= {end: numbers[end] for end in ends} if ends else {name: value}
    return row


def _columns(rows: Sequence[Mapping[str, Cell]], only: Sequence[str]) -> Iterator[TableColumn]:
    chosen = _chosen(rows, only)
    for name in _union(chosen):
        values = [row.get(name) for row in chosen]
        kinds = {isinstance(value, str) for value in values if value is not None}
        if len(kinds) > 1:  # a setting that is a name here and a number there
            values = [None if value is None else str(value) for value in values]
        yield TableColumn(name, values, unit=unit_of(name))


def _chosen(rows: Sequence[Mapping[str, Any]], only: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with the names that fit a pattern."""
    if not only:
        return [dict(row) for row in rows]
    wanted = chosen_names(_union(rows), only)
    return [{name: value for name, value in row.items() if name in wanted} for row in rows]


_BRACKETS = re.compile(r"\[(.+?)\](?=[.\[]|$)")


def chosen_names(known: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """The names that fit a pattern, which may have dots where a name has brackets.

    Raises:
        UnknownNameError: a pattern fits none.

    >>> chosen_names(["n_real", "classes[traffic sign].real_area"], ["classes.*.real_area"])
    {'classes[traffic sign].real_area'}
    """
    found: set[str] = set()
    dotted = {name: _BRACKETS.sub(r".\1", name) for name in known}
    for pattern in patterns:
        literal = pattern.replace("[", "[[]")  # a bracket of a path, not a set of signs
        names = {n for n, also in dotted.items() if any(fnmatchcase(x, literal) for x in (n, also))}
        if not names:
            raise UnknownNameError("number", pattern, known, "in these runs")
        found |= names
    return found


def _union(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of all rows, each after the one that it follows in the first row that has it."""
    order: dict[str, None] = {}
    for row in rows:
        if row.keys() <= order.keys():
            continue
        new = [name for name in row if name not in order]
        order |= dict.fromkeys(new)
    return list(order)
