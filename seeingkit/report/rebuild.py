"""The report of a finished run, made again from the files of the run alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from seeingkit.errors import RunError, first_fault
from seeingkit.results import SCHEMA_VERSION, InversionResults, Manifest, Results

from .page import write_report
from .pictures.gallery import FOLDER, Gallery
from .templates import Section

_Model = TypeVar("_Model", Results, InversionResults, Manifest)


def rebuild_report(run_dir: Path, *, sections: Sequence[Section] = ()) -> Path:
    """Write the report again from ``results.json``, ``manifest.json`` and pictures alone.

    Pictures are those in ``gallery/`` and those that the records of inversions name::

        rebuild_report(Path("runs/church"))

    Args:
        run_dir: the directory of a finished run.
        sections: further sections, shown between the examples and the method.

    Returns:
        path of the page.

    Raises:
        RunError: naming the file that is missing or does not fit.
    """
    found = _read(run_dir / "results.json")
    results: Results | InversionResults
    if _kind(found) == "inversion":
        results = _record(run_dir / "results.json", found, InversionResults)
    else:
        results = _record(run_dir / "results.json", found, Results)
    manifest = _record(run_dir / "manifest.json", _read(run_dir / "manifest.json"), Manifest)
    gallery = Gallery.load(run_dir) if (run_dir / FOLDER).is_dir() else None
    return write_report(run_dir, results, manifest, gallery, sections=sections)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error


def _kind(text: bytes) -> str | None:
    """The kind that the results state; None where they cannot be read, which the record names."""
    try:
        return str(json.loads(text).get("kind"))
    except (ValueError, AttributeError, RecursionError):
        return None


def _record(path: Path, text: bytes, model: type[_Model]) -> _Model:
    try:
        record = model.model_validate_json(text)
    except ValidationError as error:
        fault = first_fault(error)
        where = fault.where or "the whole file"
        raise RunError(f"{path} does not fit at {where}: {fault.reason}") from error
    if record.schema_version != SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema_version {record.schema_version}, this version reads "
            f"{SCHEMA_VERSION}: use the version that wrote it"
        )
    return record
