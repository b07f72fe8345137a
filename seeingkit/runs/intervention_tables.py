"""Tables of an intervention as Parquet: effects, single units, the curve, contexts.

Columns are the fields of the records in ``results.json``; a number that is not defined is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pyarrow as pa

from seeingkit.analyses.interventions.tables import curve_rows
from seeingkit.results import InterventionResults, Record
from seeingkit.results.curves import CellEffect, ClassUnder, ContextEffect, CurvePoint
from seeingkit.results.effects import ClassEffect, UnitEffect
from seeingkit.tallies.chunks import write_table

_KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def write_intervention_tables(run: Path, found: InterventionResults) -> None:
    """``effects.parquet``, and where they were asked for ``single_units.parquet``,
    ``curve.parquet``, ``cells.parquet``, ``contexts.parquet``, ``context_classes.parquet``::

        write_intervention_tables(Path("runs/trees"), results)

    Of the curve each row is a ranking and a number of units; random rankings have the name
    ``random`` and the mean, lowest and highest share that is left.
    """
    _write(run / "effects.parquet", ClassEffect, found.effect.classes)
    if found.single is not None:
        _write(run / "single_units.parquet", UnitEffect, found.single.effects)
    if rows := curve_rows(found):
        _write(run / "curve.parquet", CurvePoint, rows, {"ranking": pa.string()})
    if (context := found.context) is not None:
        _write(run / "cells.parquet", CellEffect, context.cells)
        _write(run / "contexts.parquet", ContextEffect, context.contexts)
        if context.matrix:
            _write(run / "context_classes.parquet", ClassUnder, context.matrix)


def _write(
    path: Path,
    model: type[Record],
    records: Iterable[Record | Mapping[str, Any]],
    before: Mapping[str, pa.DataType] | None = None,
) -> None:
    """Records as a table, with the types of the model's fields."""
    kinds = dict(before or {})
    for name, field in model.model_fields.items():
        options = [one for one in get_args(field.annotation) if one is not NoneType]
        kinds[name] = _KINDS.get((options or [field.annotation])[0], pa.string())
    rows = [one.model_dump() if isinstance(one, Record) else one for one in records]
    columns = {
        name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()
    }
    write_table(path, pa.table(columns))
