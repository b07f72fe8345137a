"""What a run folder holds, as one record: from ``results.json`` and ``manifest.json`` alone.

A folder that cannot be read is a record too, with the reason: nothing is left out in silence.
"""

from __future__ import annotations

import datetime
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import from_json

from seeingkit.errors import RunError, first_fault, one_line
from seeingkit.report.selection import is_judged
from seeingkit.results import (
    KINDS,
    SCHEMA_VERSION,
    AnyResults,
    ArtifactResults,
    AssessmentResults,
    ClassResult,
    DissectionResults,
    FSDResult,
    GeneratorsResults,
    InterventionResults,
    InversionResults,
    Manifest,
    ModelRecord,
    Results,
    UnitContrastsResults,
)

from .files import MANIFEST, RESULTS, is_inside, read_inside

State = Literal["finished", "not ended", "unfinished", "unreadable"]
_KIND = re.compile(rb'"kind"\s*:\s*"(' + "|".join(KINDS).encode() + rb')"')
_Model = TypeVar("_Model", bound=AnyResults | Manifest)


@dataclass(frozen=True)
class Entry:
    """One set of generated images against the real ones.

    Attributes:
        name: of the generator or the set of images.
        omitted: labels of the omitted classes that findings speak of, as the results order them.
    """

    name: str
    n_real: int
    n_generated: int
    fsd: FSDResult
    omitted: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A run, as far as its files tell.

    Attributes:
        title: its folder, below the folder of runs; named: the title of its report, where it was
            given one.
        kind: "analysis", "comparison", "paired comparison", "several generators", "inversion",
            "dissection", "units compared", "artifact units", "intervention"; "" where it is not
            known.
        note: of a run that is not finished: its state in one line; of a finished one a fault that
            keeps nothing from being shown, or nothing; again: the command that goes on with it.
        started: when it began; None where no manifest tells.
        data, generator, segmenter: names, "" where they are not known.
        entries: none of an inversion, and of a run without results.
        photos: how many were inverted; units: how many units of a generator were dissected.
    """

    title: str
    folder: Path
    state: State
    kind: str = ""
    note: str = ""
    again: str = ""
    started: datetime.datetime | None = None
    data: str = ""
    generator: str = ""
    segmenter: str = ""
    entries: tuple[Entry, ...] = ()
    photos: int = 0
    units: int = 0
    dissected: int = 0
    command: str = ""
    named: str = ""

    @property
    def generators(self) -> tuple[str, ...]:
        """Names of what was compared with the real images."""
        return tuple(entry.name for entry in self.entries) or tuple(filter(None, [self.generator]))

    @property
    def omitted(self) -> tuple[str, ...]:
        """Labels that some generator of the run omits, each once."""
        return tuple(dict.fromkeys(label for entry in self.entries for label in entry.omitted))

    @property
    def least_fsd(self) -> float | None:
        """The smallest FSD of its generators."""
        return min((entry.fsd.value for entry in self.entries), default=None)

    @property
    def images(self) -> int:
        """The largest number of generated images."""
        return max((entry.n_generated for entry in self.entries), default=self.dissected)


def read_run(folder: Path, root: Path) -> Run:
    """The record of a run folder; never raises for what lies in it.

    Args:
        root: the folder of runs, which ``folder`` lies in or is.
    """
    title = root.name if folder == root else folder.relative_to(root).as_posix()
    manifest, fault = _manifest(folder, root)
    known = {"title": title, "folder": folder, **_told_by(manifest)}
    if not (folder / RESULTS).is_symlink() and not (folder / RESULTS).exists():
        if manifest is None:
            return Run(**known, state="unreadable", note=fault)
        note = f"{RESULTS} is not there yet"
        return Run(**known, state="unfinished", note=note, again=_again(manifest, folder))
    try:
        found = read_findings(folder, root)
    except RunError as error:
        return Run(**known, state="unreadable", note=str(error))
    known |= _found_by(found, manifest)
    if manifest is not None and manifest.finished is None:
        note = "the results are there, inversions and report may follow"
        return Run(**known, state="not ended", note=note, again=_again(manifest, folder))
    return Run(**known, state="finished", note=fault)


def _manifest(folder: Path, root: Path) -> tuple[Manifest | None, str]:
    """The manifest, or None and the reason."""
    try:
        return _checked(read_inside(folder / MANIFEST, folder, root), MANIFEST, Manifest), ""
    except RunError as error:
        return None, str(error)


def read_findings(folder: Path, root: Path) -> AnyResults:
    """The results of a run, of whatever kind.

    Raises:
        RunError: they cannot be read, are damaged, or made by another version; names the file.
    """
    content = read_inside(folder / RESULTS, folder, root)
    kind = _kind(content)
    return _checked(content, RESULTS, KINDS.get(kind, Results))


def _kind(content: bytes) -> str:
    """The kind that results state; empty of a comparison, and where reading will name a fault."""
    if _KIND.search(content) is None:  # most are comparisons, and are parsed once
        return ""
    try:
        return str(from_json(content).get("kind"))
    except (ValueError, AttributeError):
        return ""


def _checked(content: bytes, name: str, model: type[_Model]) -> _Model:
    try:
        record = cast("_Model", model.model_validate_json(content))
    except ValidationError as error:
        fault = first_fault(error)
        if fault.kind == "extra_forbidden":
            raise RunError(
                f"{name} has {one_line(fault.where, 80)}, which this version does not know: "
                "use the version that wrote it"
            ) from error
        where = f"at {fault.where}" if fault.where else "as a whole"
        reason = one_line(fault.reason, 160)
        raise RunError(f"{name} does not fit {one_line(where, 80)}: {reason}") from error
    if record.schema_version != SCHEMA_VERSION:
        raise RunError(
            f"{name} has schema_version {record.schema_version}, this version reads "
            f"{SCHEMA_VERSION}: use the version that wrote it"
        )
    return record


def _told_by(manifest: Manifest | None) -> dict[str, Any]:
    """What a manifest alone tells of a run."""
    if manifest is None:
        return {}

    def text(name: str) -> str:
        value = manifest.config.get(name)
        return value if isinstance(value, str) else ""

    commands = {
        "analyze": "analysis",
        "compare": "comparison",
        "invert": "inversion",
        "dissect": "dissection",
        "compare-units": "units compared",
        "artifacts": "artifact units",
        "intervene": "intervention",
        "assess": "assessment",
    }
    return {
        "kind": commands.get(text("command"), ""),
        "started": _time(manifest.started),
        "data": text("real"),
        "generator": text("generated"),
        "segmenter": text("segmenter"),
        "command": manifest.command,
        "named": text("title"),
    }


def _time(text: str) -> datetime.datetime | None:
    try:
        time = datetime.datetime.fromisoformat(text)
        if time.tzinfo is None:
            return time.replace(tzinfo=datetime.UTC)
        return time.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


def _found_by(found: AnyResults, manifest: Manifest | None) -> dict[str, Any]:
    """What the results tell, in place of what the manifest says."""
    if isinstance(found, InversionResults):
        return {
            "kind": "inversion",
            "data": found.data.name,
            "generator": found.generator.name,
            "segmenter": found.segmenter.name if found.segmenter else "",
            "photos": len({record.image for record in found.inversions}),
        }
    if isinstance(found, UnitContrastsResults):
        return {
            "kind": "units compared",
            "generator": ", ".join(dict.fromkeys(one.name for one in found.networks)),
            "segmenter": found.segmenter.name,
            "dissected": found.n,
        }
    if isinstance(found, DissectionResults):
        return {**_of_a_generator(found, "dissection"), "units": len(found.units)}
    if isinstance(found, ArtifactResults):
        told = _of_a_generator(found, "artifact units", found.data.name)
        return {**told, "units": found.layer_units}
    if isinstance(found, AssessmentResults):
        return _of_a_generator(found, "assessment", found.data.name)
    if isinstance(found, InterventionResults):
        return {**_of_a_generator(found, "intervention"), "units": len(found.units)}
    told = {"data": found.data.name, "segmenter": found.segmenter.name}
    if isinstance(found, GeneratorsResults):
        entries = tuple(
            Entry(one.name, found.n_real, one.n, one.fsd, omitted(one.classes))
            for one in found.generators
        )
        return {**told, "kind": "several generators", "entries": entries}
    name = generated_name(found.generator, found.generated.name)
    entry = Entry(name, found.n_real, found.n_generated, found.fsd, omitted(found.classes))
    asked = "" if manifest is None else manifest.config.get("command")
    kind = "analysis" if asked == "analyze" else "comparison"
    kind = "paired comparison" if found.paired is not None else kind
    return {**told, "kind": kind, "generator": name, "entries": (entry,)}


def _of_a_generator(
    found: DissectionResults | ArtifactResults | AssessmentResults | InterventionResults,
    kind: str,
    data: str = "",
) -> dict[str, Any]:
    """What results of the images of one generator tell."""
    return {
        "kind": kind,
        "data": data,
        "generator": found.generator.name,
        "segmenter": found.segmenter.name,
        "dissected": found.n,
    }


def generated_name(generator: ModelRecord | None, source: str) -> str:
    """The name of a generator, or of the set of images that stands for one."""
    return generator.name if generator is not None else source


def omitted(classes: list[ClassResult]) -> tuple[str, ...]:
    """Labels of the omitted classes that findings speak of."""
    return tuple(record.label for record in classes if record.omitted and is_judged(record))


def _again(manifest: Manifest, folder: Path) -> str:
    """The command that goes on with a run."""
    command = manifest.config.get("command")
    known = ("analyze", "compare", "invert", "dissect", "artifacts", "intervene", "assess")
    name = command if command in known else "COMMAND"
    words = ["seeingkit", name, "--config", str(folder / MANIFEST), "--out", str(folder)]
    return shlex.join(words)


def parts_of(folder: Path, root: Path) -> list[Path]:
    """The folders of the generators of a run, each a run in itself."""
    inner = folder / "generators"
    if inner.is_symlink() or not inner.is_dir():
        return []
    try:
        found = sorted(inner.iterdir())
    except OSError:
        return []
    return [
        path for path in found if not path.is_symlink() and is_inside(path / RESULTS, path, root)
    ]
