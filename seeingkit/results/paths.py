"""Numbers of ``results.json`` by their keys: a path is checked against the schema, then followed.

Guarantees: a path that ``checked_path`` accepts leads to a number in every result where its parts
are defined; where they are not, ``value_at`` gives the reason. Classes are found by name, a list
counts its entries, yes and no count as 1 and 0.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from typing import Any, Union, get_args, get_origin

from seeingkit.errors import UnknownNameError, UsageError

from .comparison import ConditionResult, Results
from .paired import PairedClass
from .records import ClassResult, Record, SegmenterClass

_NAMED: dict[type[Record], str] = {
    ClassResult: "label",
    SegmenterClass: "label",
    PairedClass: "label",
    ConditionResult: "name",
}
"""Records of which a list is searched by name, and the field of that name."""


def checked_path(path: Sequence[str], gate: str) -> tuple[tuple[str, ...], str | None]:
    """A path by the results' own keys, and the class that it names.

    Args:
        path: keys as they were written; ``class`` stands for ``classes``.
        gate: text of the gate, for messages.

    Raises:
        UsageError: it leads nowhere, or not to a number.
    """
    found: list[str] = []
    shape: Any = Results
    label: str | None = None
    for step in path:
        shape, key = _inside(shape, step, found, gate)
        label = key if shape in (ClassResult, SegmenterClass, PairedClass) else label
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
    if kind is list and inner[0] in _NAMED:
        return inner[0], step
    raise UsageError(f"gate {gate!r}: there is no number {step!r} in {where}")


def _is_number(shape: Any) -> bool:
    return get_origin(shape) is list or shape in (int, float, bool)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def value_at(results: Results, found: Any, path: Sequence[str]) -> tuple[float | None, str]:
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
            named = {getattr(record, _NAMED[type(record)]): record for record in found}
            known, found = (step,), named.get(step)
            if found is None:
                return None, f"{step} is not in {'.'.join(path[:depth])}"
        if found is None:
            if known and step not in known:
                raise UnknownNameError("number", step, known, hint=f"in {'.'.join(path[:depth])}")
            return None, _undefined(results, path[: depth + 1])
    return float(len(found)) if isinstance(found, list) else float(found), ""


def _undefined(results: Results, path: Sequence[str]) -> str:
    """Why a number may be missing, as far as the results show it."""
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
