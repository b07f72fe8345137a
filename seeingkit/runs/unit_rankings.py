"""Units of a layer ranked by their IoU with a class, from the files of a run of ``dissect``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seeingkit.contracts import Generator
from seeingkit.errors import RunError, UnknownNameError
from seeingkit.report.runfiles import read_run
from seeingkit.results import DissectionResults
from seeingkit.results.interventions import AgreementRanking
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
    name = generator.boundary(layer).name
    known = [one.name for one in results.layers]
    if name not in known:
        raise UnknownNameError("dissected layer", name, known)
    ious = _ious(folder / AGREEMENTS, name, label)
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


def _ious(path: Path, layer: str, label: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(U,) IoU of each unit with the class."""
    columns = ["layer", "unit", "label", "iou"]
    try:
        table = pq.read_table(path, columns=columns, filters=[("layer", "=", layer)])
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    labels = np.array(table["label"].to_pylist(), object)
    here = labels == label
    if not here.any():
        raise UnknownNameError("dissected class", label, list(dict.fromkeys(labels.tolist())))
    units = table["unit"].to_numpy()[here]
    found = np.zeros(int(units.max()) + 1)
    np.maximum.at(found, units, table["iou"].to_numpy()[here])
    return found
