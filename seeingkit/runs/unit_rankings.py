"""Units of a layer ranked by their IoU with a class, from the files of a run of ``dissect``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seeingkit.contracts import Generator
from seeingkit.errors import RunError, UnknownNameError
from seeingkit.report.runfiles import read_run
from seeingkit.results import DissectionResults
from seeingkit.results.interventions import AgreementRanking
from seeingkit.tallies.chunks import read_table
from seeingkit.tallies.record import model_record

AGREEMENTS = "agreements.parquet"


def agreement_ranking(
    run: str | Path, generator: Generator, layer: str, label: str
) -> AgreementRanking:
    """The units of a layer by their IoU with a class, greatest first.

    Args:
        run: folder of a finished run of ``dissect``.
        generator: that it must be of.
        layer: name or alias of the boundary.
        label: the class.

    Raises:
        RunError: no such run, one of another generator or of other directions than units, or a
            file of it cannot be read.
        UnknownNameError: the layer was not dissected, or the class took no part.

    ::

        agreement_ranking("runs/church", generator, "r8.conv1", "tree").ranking[:20]
    """
    folder = Path(run)
    results, _ = read_run(folder)
    if not isinstance(results, DissectionResults):
        raise RunError(f"{folder}: not a run of dissect, so it ranks no units")
    made, own = results.generator, model_record(generator.info)
    if (made.family, made.weights_sha256) != (own.family, own.weights_sha256):
        raise RunError(f"{folder}: a dissection of {made.name}, not of this {own.family}")
    if results.settings.basis != "units":
        raise RunError(
            f"{folder}: a dissection of directions ({results.settings.basis}), not units"
        )
    boundary = generator.boundary(layer)
    name = boundary.name
    known = [one.name for one in results.layers]
    if name not in known:
        raise UnknownNameError("dissected layer", name, known)
    ious = _ious(folder / AGREEMENTS, name, label, boundary.shape[0])
    order = np.argsort(-ious, kind="stable")
    return AgreementRanking(
        label=label,
        ranking=[int(unit) for unit in order],
        ious=[float(ious[unit]) for unit in order],
        seed=results.seed,
        images=results.n,
        level_seed=results.settings.level_seed,
        level_images=results.settings.level_images,
    )


def agreement_rows(
    path: Path, layer: str, units: int, names: Sequence[str] = ("iou",)
) -> tuple[NDArray[np.int64], list[str], list[NDArray[np.float64]]]:
    """The rows of a layer in ``agreements.parquet``: unit, class, and numbers.

    Args:
        path: of the file.
        layer: canonical name.
        units: that the layer has.
        names: of the columns of numbers, each from 0 to 1.

    Raises:
        RunError: the file cannot be read, or a row is of no unit, of no class, or no number.

    ::

        agreement_rows(Path("runs/church/agreements.parquet"), "r8.conv1", 128)
    """
    columns = ["layer", "unit", "label", *names]
    try:
        table = read_table(path.read_bytes(), columns)
        table = table.filter(pc.equal(table["layer"], layer))
        empty = next((name for name in columns if table[name].null_count), None)
        if empty is not None:
            raise ValueError(f"a row without {empty}")
        unit = table["unit"].cast(pa.int64()).to_numpy()
        labels = table["label"].cast(pa.string()).to_pylist()
        numbers = [table[name].cast(pa.float64()).to_numpy() for name in names]
        if np.any((unit < 0) | (unit >= units)):
            raise ValueError(f"a unit that {layer} does not have; its units are 0 to {units - 1}")
        for name, found in zip(names, numbers, strict=True):
            if not np.all((found >= 0) & (found <= 1)):
                raise ValueError(f"{name} that is not between 0 and 1")
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    return unit, labels, numbers


def _ious(path: Path, layer: str, label: str, units: int) -> NDArray[np.float64]:
    """(U,) IoU of each unit with the class."""
    unit, labels, (iou,) = agreement_rows(path, layer, units)
    here = np.array([one == label for one in labels], bool)
    if not here.any():
        raise UnknownNameError("dissected class", label, list(dict.fromkeys(labels)))
    found = np.zeros(units)
    np.maximum.at(found, unit[here], iou[here])
    return found
