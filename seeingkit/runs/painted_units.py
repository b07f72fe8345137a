"""Units of classes from a finished run of ``dissect``."""

from __future__ import annotations

from pathlib import Path

from seeingkit.analyses.painting.brushes import MOST_BRUSHES, MOST_UNITS
from seeingkit.contracts import Generator
from seeingkit.errors import RunError, UsageError
from seeingkit.report.runfiles import read_run
from seeingkit.results import DissectionResults

from .unit_rankings import AGREEMENTS, agreement_rows


def units_of_run(folder: Path, generator: Generator, layer: str) -> dict[str, list[int]]:
    """Units of each class that is the label of a unit, by IoU over chance::

        units_of_run(Path("runs/dissection"), generator, "r8.conv1")["tree"]

    Args:
        folder: a run directory of ``dissect``.
        generator: the same as there; it may have edits that the run knew nothing of.
        layer: canonical name of one of its layers.

    Raises:
        RunError: no finished dissection, or a damaged one.
        UsageError: of another generator, or without that layer.
    """
    results, _ = read_run(folder)
    if not isinstance(results, DissectionResults):
        raise RunError(f"{folder}: a run of another command; name a run of seeingkit dissect")
    if results.settings.basis != "units":
        raise UsageError(f"{folder}: a dissection of directions, not of units; dissect units")
    own = (generator.info.family, generator.info.weights_sha256)
    if (results.generator.family, results.generator.weights_sha256) != own:
        raise UsageError(f"{folder}: a dissection of {results.generator.name}, another generator")
    edits = results.generator.options.get("edits")
    if edits and edits != generator.info.options.get("edits"):
        raise UsageError(f"{folder}: a dissection of a generator with edits that this one lacks")
    names = [one.name for one in results.layers]
    if layer not in names:
        raise UsageError(f"{folder}: {layer!r} was not dissected, only {', '.join(names)}")
    counted = next(one for one in results.layers if one.name == layer).classes[:MOST_BRUSHES]
    wanted = [one.label for one in counted]
    excess: dict[str, list[tuple[float, int]]] = {name: [] for name in wanted}
    path, available = folder / AGREEMENTS, generator.boundary(layer).shape[0]
    numbers, labels, (ious, chances) = agreement_rows(path, layer, available, ("iou", "chance"))
    for unit, label, iou, chance in zip(numbers, labels, ious, chances, strict=True):
        if label in excess and iou > chance:
            excess[label].append((float(chance - iou), int(unit)))
    return {
        name: [unit for _, unit in sorted(found)[:MOST_UNITS]] for name, found in excess.items()
    }
