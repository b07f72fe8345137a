"""A finished analysis taken up again: its records, and whether everything is still what it was."""

from __future__ import annotations

from pathlib import Path

from seeingkit.errors import RunError
from seeingkit.report.runfiles import read_run
from seeingkit.results import Results
from seeingkit.tallies.record import model_record

from .sides import Sides, masks_of


def finished_analysis(path: Path, command: str) -> Results:
    """The results of a run of ``analyze`` with a generator.

    Args:
        path: its directory.
        command: that needs it, for the message.

    Raises:
        RunError: no such run.

    ::

        finished_analysis(Path("runs/progan"), "trace").classes
    """
    results, _ = read_run(path)
    if not isinstance(results, Results) or results.generator is None:
        raise RunError(f"{path}: {command} needs a run of analyze with a generator")
    return results


def check_same(path: Path, sides: Sides, results: Results) -> None:
    """Refuse models or images that are no longer those of the run, before anything is counted.

    Raises:
        RunError: names them.
        UsageError: the run counted classes of images, without masks.

    ::

        check_same(path, open_sides(plan), results)
    """
    masks_of(sides.segmenter, results.segmenter.name)
    segmenter, before = model_record(sides.segmenter.info), results.segmenter
    known = {
        "real images": (results.data.fingerprint, sides.real.fingerprint),
        "generator": (results.generated.fingerprint, sides.generated.fingerprint),
        "segmenter": (
            (before.family, before.weights_sha256, before.options),
            (segmenter.family, segmenter.weights_sha256, segmenter.options),
        ),
    }
    changed = [name for name, (then, now) in known.items() if then != now]
    if changed:
        raise RunError(
            f"{path}: {' and '.join(changed)} are no longer those of the run; analyze again into "
            "another folder"
        )
