"""Numbers of ``results.json`` by their keys: a path is checked against the schema, then followed.

Guarantees: a path that ``checked_path`` accepts leads to a number in every result where its parts
are defined; where they are not, ``value_at`` gives the reason. Records in a list are found by their
names (``record_name``), a list counts its entries, yes and no count as 1 and 0. ``numbers_of``
gives the numbers of any record by the same paths.
"""

from __future__ import annotations

import itertools
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Union, get_args, get_origin

from seeingkit.errors import UnknownNameError, UsageError

from .assessment import AssessmentResults
from .comparison import PairResult, Results, UncoveredImage
from .effects import ClassEffect
from .paired import PairedClass, PairedImages
from .records import ClassResult, Record, SegmenterClass

Number = float | int | bool
GatedResults = Results | AssessmentResults
"""The results that gates are asked of."""

_EXCERPTS = (PairResult, UncoveredImage, PairedImages)
"""Records of lists that hold some of many: that one is not there says nothing, so no gate asks."""

_OF_CLASSES = (ClassResult, SegmenterClass, PairedClass, ClassEffect)
"""Records that are named by a class."""

_PLAIN_STEP = re.compile(r"[\w-]+")


def record_name(record: Record) -> str:
    """The name by which a record is found in a list: its fields ``NAMED_BY``, by comma.

    ::

        results.vanishing[0]  ->  "layered+r, r8, person"
    """
    parts = (getattr(record, field) for field in record.NAMED_BY)
    return ", ".join(part for part in parts if part)


def path_text(path: Sequence[str]) -> str:
    """A path as gates write it: keys by dots, those with other signs in brackets.

    >>> path_text(["classes", "traffic sign", "rest_ci", "[0]"])
    'classes[traffic sign].rest_ci[0]'
    """
    first, *rest = path
    steps = (
        step if step in _ENDS else f".{step}" if _PLAIN_STEP.fullmatch(step) else f"[{step}]"
        for step in rest
    )
    return first + "".join(steps)


_ENDS = ("[0]", "[1]")
"""Steps to the ends of an interval."""


def numbers_of(record: Record) -> dict[str, Number | None]:
    """Every number of a record and of all records within it, by the paths that gates take.

    A list counts its entries, and those of named records are entered; of several with one name the
    later ones are called ``NAME #2`` and so on. What is in a ``dict`` of anything is left out.

    Returns:
        int, float or bool by path, in the order of the fields; None where it is not defined.

    ::

        numbers_of(results)["classes[traffic sign].real_area"]
    """
    return {path_text(path): value for path, value in _numbers(record, type(record), ())}


def _numbers(
    value: Any, shape: Any, before: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Number | None]]:
    kind, inner = get_origin(shape), get_args(shape)
    if _is_number(shape):
        yield before, value if kind is None or value is None else len(value)
    if isinstance(shape, type) and issubclass(shape, Record) and value is not None:
        for name, field in shape.model_fields.items():
            yield from _numbers(
                getattr(value, name), _without_none(field.annotation), (*before, name)
            )
    elif kind is tuple and inner[0] in (int, float):
        ends = value or (None, None)
        for step, end in zip(_ENDS, ends, strict=True):
            yield (*before, step), end
    elif kind is dict and inner[1] is not Any:
        for name, one in (value or {}).items():
            yield from _numbers(one, inner[1], (*before, name))
    elif kind is list and _is_named(inner[0]):
        for step, one in _by_name(value or ()).items():
            yield from _numbers(one, inner[0], (*before, step))


def checked_path(
    path: Sequence[str], gate: str, of: type[GatedResults] = Results
) -> tuple[tuple[str, ...], str | None]:
    """A path by the results' own keys, and the class that it names.

    Args:
        path: keys as they were written; ``class`` stands for ``classes``.
        gate: text of the gate, for messages.
        of: the kind of results.

    Raises:
        UsageError: it leads nowhere, or not to a number.
    """
    found: list[str] = []
    shape: Any = of
    label: str | None = None
    for step in path:
        shape, key = _inside(shape, step, found, gate)
        label = key if shape in _OF_CLASSES else label
        found.append(key)
    if _is_number(shape):
        return tuple(found), label
    fields = getattr(shape, "model_fields", {})
    numbers = [n for n, field in fields.items() if _is_number(_without_none(field.annotation))]
    hint = f"; name one of its numbers: {', '.join(numbers)}" if numbers else ""
    raise UsageError(f"gate {gate!r}: {'.'.join(path)} is not a number{hint}")


def _inside(shape: Any, step: str, before: Sequence[str], gate: str) -> tuple[Any, str]:
    """The annotation of one member of a shape, without None, and its key."""
    where = ".".join(before) or "the results"
    kind, inner = get_origin(shape), get_args(shape)
    if isinstance(shape, type) and issubclass(shape, Record):
        fields = shape.model_fields
        step = "classes" if step == "class" and "classes" in fields else step
        if step not in fields:
            raise UnknownNameError("number", step, fields, hint=f"in {where} (gate {gate!r})")
        return _without_none(fields[step].annotation), step
    if kind is dict and inner[1] is not Any:
        return inner[1], step
    if kind is tuple and step in ("0", "1"):
        return inner[int(step)], step
    if kind is list and _is_named(inner[0]) and inner[0] not in _EXCERPTS:
        return inner[0], step
    raise UsageError(f"gate {gate!r}: there is no number {step!r} in {where}")


def _by_name(records: Sequence[Record]) -> dict[str, Record]:
    """Records by their names; later ones of one name with a number behind it."""
    named: dict[str, Record] = {}
    for record in records:
        name = record_name(record)
        numbered = (name if k == 1 else f"{name} #{k}" for k in itertools.count(1))
        named[next(one for one in numbered if one not in named)] = record
    return named


def _is_named(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, Record) and bool(shape.NAMED_BY)


def _is_number(shape: Any) -> bool:
    return get_origin(shape) is list or shape in (int, float, bool)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def value_at(results: GatedResults, found: Any, path: Sequence[str]) -> tuple[float | None, str]:
    """The number that a checked path leads to; None with the reason where it ends early.

    Args:
        results: of the run, which the reason depends on.
        found: the part of the results (a record, dict, list or interval) where the path begins.
        path: keys that ``checked_path`` has allowed.

    Raises:
        UnknownNameError: a dict of the results does not have the key.
    """
    for depth, step in enumerate(path):
        known: Iterable[str] = ()
        if isinstance(found, Record):
            known, found = (step,), getattr(found, step)
        elif isinstance(found, dict):
            known, found = found, found.get(step)
        elif isinstance(found, tuple):
            found = found[int(step)]
        else:
            named = _by_name(found)
            known, found = (step,), named.get(step)
            if found is None:
                return None, f"{step} is not in {'.'.join(path[:depth])}"
        if found is None:
            if known and step not in known:
                raise UnknownNameError("number", step, known, hint=f"in {'.'.join(path[:depth])}")
            return None, _undefined(results, path[: depth + 1])
    return float(len(found)) if isinstance(found, list) else float(found), ""


def _undefined(results: GatedResults, path: Sequence[str]) -> str:
    """Why a number may be missing, as far as the results show it."""
    if isinstance(results, AssessmentResults):
        if path[-1] == "relative":
            return "no image without the edits shows the class"
        return f"{results.n:,} images"
    if path[-1] == "p_value" and results.fsd.permutations == 0:
        return "without permutations"
    if path[-1] == "paired":
        return "it needs --paired"
    if path[-1] == "fidelity":
        return "it needs --fidelity"
    if path[-1] in ("relative_difference", "presence_change"):
        return "no real image shows the class"
    if path[-1] in Results.model_fields:
        return f"this run has no {path[-1].replace('_', ' ')}"
    return f"{results.n_real:,} real and {results.n_generated:,} generated images"
