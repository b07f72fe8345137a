"""The file of a suite: generators × data sets × segmenters, in TOML.

Guarantees: every mistake in a file is named with its line and its key, all of them at once; paths
are taken from the folder of the file. Never imports torch.

::

    n = 2000

    [[data]]
    name = "minichurches"

    [[generators]]
    name = "progan"
    source = "progan:minichurches"

    [[generators]]
    name = "training"                # one entry a file
    source = "stylegan2"
    weights = "runs/network-snapshot-*.pkl"
"""

from __future__ import annotations

import difflib
import glob
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from seeingkit.analyses.comparison.defaults import PERMUTATIONS
from seeingkit.analyses.inversion.config import Pick
from seeingkit.errors import Fault, UsageError, all_faults, printable
from seeingkit.results import SuiteGenerator
from seeingkit.results.steps import step_of

from .lines import Lines

_NAME = re.compile(r"\w[\w .+=@-]{0,79}")
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")


def _plain_name(text: str) -> str:
    if not _NAME.fullmatch(text) or text != text.strip() or text.endswith("."):
        raise ValueError(
            f"a name begins with a letter or digit and holds letters, digits, spaces and . _ + = @ "
            f"-, at most 80, not {printable(text)!r}"
        )
    return text


Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _Table(BaseModel):
    """Base of the tables of a file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataTable(_Table):
    """``[[data]]``: a set of real images.

    Attributes:
        name: of the data set in tables and folders.
        source: a registered data set, a path or a pattern; default: the name.
        options: of the source, as ``--data-option``.
        preset: preprocessing; default: the data set's own.
        truth: true labels, as ``--truth``.
    """

    name: str
    source: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    preset: str | None = None
    truth: str | None = None

    _check = field_validator("name")(_plain_name)


class SegmenterTable(_Table):
    """``[[segmenters]]``: without one, each data set's own is taken.

    Attributes:
        name: in tables and folders.
        source: ``family`` or ``family:weights``.
        weights: the user's own file or folder.
        options: as ``--segmenter-option``.
    """

    name: str
    source: str = Field(min_length=1)
    weights: str = ""
    options: dict[str, Any] = Field(default_factory=dict)

    _check = field_validator("name")(_plain_name)


class GeneratorTable(_Table):
    """``[[generators]]``: a generator, images by path, or one of either for each file of a pattern.

    Attributes:
        name: in tables and folders; of a pattern the first part of the names.
        source: a registered family (``family`` or ``family:weights``), or images by path, pattern
            or name.
        weights: the user's own file; a pattern makes one entry a file.
        options: as ``--gan-option``.
        labels: which classes a conditional generator draws, as ``--labels``.
    """

    name: str
    source: str = Field(min_length=1)
    weights: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    labels: str | None = None

    _check = field_validator("name")(_plain_name)


class InversionTable(_Table):
    """``[inversion]``: photos of omitted classes are inverted. Without it, none is.

    Attributes:
        methods: names of inverters; default: the registered default.
        cuts, per_class, pick, own, patched: as of ``InversionConfig``.
        classes: each generator inverts photos of these too, the same ones, omitted or not.
        options: as ``--inverter-option``.
    """

    methods: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    per_class: int = Field(default=8, ge=1)
    pick: Literal[Pick] = "stratified"
    own: int = Field(default=20, ge=0)
    patched: int = Field(default=40, ge=0)
    classes: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("pick")
    @classmethod
    def _photos_are_not_listed(cls, pick: str) -> str:
        if pick == "list":
            raise ValueError("a suite takes stratified, random or most; photos are not listed")
        return pick


class SuiteFile(_Table):
    """The content of a suite's file.

    Attributes:
        n: images of each side.
        seeds: each makes rankings of its own: of latents, of the choice of images, of permutations;
            at least n apart, so that no two share latents.
        controls: disjoint sets of real images that stand in each ranking as if they were
            generators.
        level, permutations, sensitivity, fidelity, classes, on_bad: as of ``Config``.
    """

    title: str = Field(default="", max_length=200)
    n: int = Field(ge=4)
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    controls: int = Field(default=2, ge=0, le=20)
    level: float = Field(default=0.05, gt=0, lt=1)
    permutations: int = Field(default=PERMUTATIONS, ge=0)
    sensitivity: str = "auto"
    fidelity: bool = False
    classes: str | None = None
    on_bad: Literal["skip", "fail"] = "skip"
    data: tuple[DataTable, ...] = Field(min_length=1)
    segmenters: tuple[SegmenterTable, ...] = ()
    generators: tuple[GeneratorTable, ...] = Field(min_length=1)
    inversion: InversionTable | None = None

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice")
        n, ordered = info.data.get("n", 0), sorted(seeds)
        near = [(a, b) for a, b in pairwise(ordered) if b - a < n]
        if near:
            (first, second), apart = near[0], ", ".join(str(k * n) for k in range(len(seeds)))
            raise ValueError(
                f"seeds {first} and {second} share {n - second + first:,} of {n:,} latents, for "
                f"image k of seed s is drawn from s + k; keep them n apart: {apart}"
            )
        return seeds


def read_suite(path: Path) -> tuple[SuiteFile, Lines]:
    """The checked content of a suite's file, and where its keys stand.

    Raises:
        UsageError: names each mistake, with its line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text in UTF-8; a suite's file is TOML") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: is no TOML: {error}") from error
    lines = Lines(path, text)
    try:
        found = SuiteFile.model_validate(content)
    except ValidationError as error:
        raise lines.mistakes([_said(fault) for fault in all_faults(error)]) from error
    lines.raise_if_any([*_repeated("data", found.data), *_repeated("segmenters", found.segmenters)])
    lines.raise_if_any(_repeated("generators", found.generators))
    return found, lines


def expand(suite: SuiteFile, lines: Lines, folder: Path) -> list[SuiteGenerator]:
    """The generators of a suite in the order of the file: one for each file of a pattern.

    Args:
        folder: that paths are taken from.

    Raises:
        UsageError: two have one name, or a pattern is within the options of one.
    """
    found: list[SuiteGenerator] = []
    mistakes: list[tuple[str, str]] = []
    controls = {control_name(number) for number in range(1, suite.controls + 1)}
    for k, table in enumerate(suite.generators):
        members = list(_members(table, folder))
        mistakes += [
            (f"generators.{k}.name", f"{one.name!r} is the name of a control")
            for one in members
            if one.name in controls
        ]
        taken = {one.name for one in found}
        mistakes += [
            (f"generators.{k}.name", f"{one.name!r} is the name of another generator")
            for one in members
            if one.name in taken
        ]
        found += members
    lines.raise_if_any(mistakes)
    return found


def control_name(number: int) -> str:
    """The name of a control in tables.

    >>> control_name(1)
    'real images 1'
    """
    return f"real images {number}"


def _members(table: GeneratorTable, folder: Path) -> Iterator[SuiteGenerator]:
    """The generator of a table, or those of its pattern, by training step and name."""
    options = dict(table.options)
    if edits := options.get("edits"):
        listed = edits if isinstance(edits, list) else [edits]
        options["edits"] = [in_folder(str(edit), folder) for edit in listed]
    settings = {"options": options, "labels": table.labels}
    weights = in_folder(table.weights, folder) if table.weights else ""
    source = table.source
    if not weights or not glob.has_magic(weights) or Path(weights).exists():
        yield SuiteGenerator(name=table.name, source=source, weights=weights, **settings)
        return
    files = [Path(name) for name in glob.glob(weights, recursive=True)]
    told = {file: training_step(file) for file in files}
    numbered = Counter(step for step, _ in told.values())
    for file in sorted(files, key=lambda f: (told[f][0] is None, told[f][0] or 0, f.name)):
        step, unit = told[file]
        alone = step is not None and numbered[step] == 1
        own = f"{step:g}" if alone else re.sub(r"[^\w.+=@-]", "-", file.name)
        yield SuiteGenerator(
            name=f"{table.name} {own}"[:80],
            source=source,
            weights=str(file),
            series=table.name,
            step=step,
            step_unit=unit,
            **settings,
        )


def training_step(file: Path) -> tuple[float | None, str]:
    """The training step that the name of a snapshot states, and its unit.

    A number beside a known word, else the last number of the name, of no known unit.

    >>> training_step(Path("runs/network-snapshot-000200.pkl")), training_step(Path("g-7.pt"))
    ((200.0, 'kimg'), (7.0, ''))
    """
    known = step_of(file.name)
    if known is not None:
        return float(known.value), known.unit
    found = _LAST_NUMBER.search(file.stem)
    return (float(found[1]) if found else None), ""


def in_folder(name: str, folder: Path) -> str:
    """A path of the file as it is from here: relative ones begin at the file's folder."""
    path = Path(name).expanduser()
    return str(path if path.is_absolute() else folder / path)


def _said(fault: Fault) -> tuple[str, str]:
    """Where a fault lies, and what it is; near keys of one that is unknown."""
    if fault.kind == "missing":
        return fault.where, "is missing"
    if fault.kind != "extra_forbidden":
        return fault.where, fault.reason
    known = _keys(fault.where)
    near = difflib.get_close_matches(fault.where.rpartition(".")[2], known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    return fault.where, f"no such key; {hint}"


def _keys(where: str) -> list[str]:
    """The keys of the table that a place lies in."""
    tables: dict[str, type[_Table]] = {
        "data": DataTable,
        "segmenters": SegmenterTable,
        "generators": GeneratorTable,
        "inversion": InversionTable,
    }
    head, dot, _ = where.partition(".")
    return list((tables.get(head, SuiteFile) if dot else SuiteFile).model_fields)


def _repeated(table: str, entries: tuple[Any, ...]) -> list[tuple[str, str]]:
    """The entries whose name another one has, or nearly: folders may not tell letters' case."""
    seen: dict[str, str] = {}
    found = []
    for k, entry in enumerate(entries):
        key = entry.name.casefold()
        if key in seen:
            found.append((f"{table}.{k}.name", f"{entry.name!r} stands twice (as {seen[key]!r})"))
        seen.setdefault(key, entry.name)
    return found
