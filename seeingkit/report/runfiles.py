"""What a finished run says of itself: its results and its manifest, read from its folder.

A file that is missing or does not fit is named in the error, with what to do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from seeingkit.errors import RunError, first_fault
from seeingkit.results import (
    SCHEMA_VERSION,
    DissectionResults,
    GeneratorsResults,
    InterventionResults,
    InversionResults,
    Manifest,
    Results,
)

Shown = Results | InversionResults | GeneratorsResults | DissectionResults | InterventionResults
"""The findings that a page can be about."""
_Model = TypeVar("_Model", bound=BaseModel)


def read_run(run_dir: Path) -> tuple[Shown, Manifest]:
    """The results and the manifest of a finished run::

        results, manifest = read_run(Path("runs/church"))

    Raises:
        RunError: naming the file that is missing or does not fit.
    """
    path = run_dir / "results.json"
    if not path.is_file():
        raise RunError(f"{run_dir}: {_no_run(run_dir)}")
    return _read_results(path), read_record(run_dir / "manifest.json", Manifest)


def _no_run(folder: Path) -> str:
    """Why a folder without results is no finished run, and what to do."""
    if not folder.exists():
        return "no such folder; name a run directory, as analyze prints it: runs/…"
    if not folder.is_dir():
        return "a file, not a run; name the run directory, the folder that holds results.json"
    if not (folder / "manifest.json").is_file():
        return "not a run, for it holds no results.json; name a run directory, as runs/…"
    try:
        command = json.loads((folder / "manifest.json").read_bytes())["config"]["command"]
    except (OSError, ValueError, KeyError, TypeError):
        command = "COMMAND"
    return (
        f"a run that has not finished, for it holds no results.json; seeingkit {command} --config "
        f"{folder / 'manifest.json'} --out {folder} goes on with it"
    )


def _read_results(path: Path) -> Shown:
    kind = kind_of(path)
    if kind in ("suite", "ranking"):
        raise RunError(
            f"{path}: of a suite, whose pages are in its folder site; its single runs are in cells"
        )
    if kind == "inversion":
        return read_record(path, InversionResults)
    if kind == "dissection":
        return read_record(path, DissectionResults)
    if kind == "intervention":
        return read_record(path, InterventionResults)
    return (
        read_record(path, GeneratorsResults) if kind == "generators" else read_record(path, Results)
    )


def kind_of(path: Path) -> str | None:
    """The kind that results state; None where they cannot be read: reading them names the fault."""
    try:
        return str(json.loads(path.read_bytes()).get("kind"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def read_record(path: Path, model: type[_Model]) -> _Model:
    """A JSON file of a run as a record; one that states a schema has the version of this code.

    Raises:
        RunError: naming the file that is missing or does not fit.
    """
    try:
        record = model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        fault = first_fault(error)
        where = fault.where or "the whole file"
        raise RunError(f"{path} does not fit at {where}: {fault.reason}") from error
    version = getattr(record, "schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema_version {version}, this version reads "
            f"{SCHEMA_VERSION}: use the version that wrote it"
        )
    return record
