"""Names of the outputs of semantic-segmentation-pytorch networks, and how outputs become labels.

Guarantees that every output has a place: output i of a plain network is label i, by the names of
ADE20K's 150 scene parsing classes where there are 150, by a file of names, or by numbers. The older
networks of gandissect bring a ``labels.json`` whose categories each have a softmax and a plane of
their own; label 0 is then "-" (nothing), and "internal" labels count as nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import CorruptFileError, StateMismatchError, UsageError, first_fault

from ..configs import Record
from ..nothing import number_outputs

_FILE = resources.files(__package__).joinpath("ade20k.toml")
ADE20K: tuple[str, ...] = tuple(tomllib.loads(_FILE.read_text(encoding="utf-8"))["names"])
"""Names of the 150 scene parsing classes, in the order of the outputs."""
NOTHING = "-"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_LARGEST_FILE = 1 << 24


class Group(Record):
    """Outputs that compete with each other, and the plane they fill.

    Attributes:
        name: of the plane.
        channels: outputs of the network.
        labels: label number of each of them.
        mask: where this plane is shown: where the plane of that number has that output (counted
            within its group) as its best.
    """

    name: str
    channels: tuple[int, ...] = Field(min_length=1)
    labels: tuple[int, ...]
    mask: tuple[int, int] | None = None


class Naming(Record):
    """Labels of a network, and which outputs stand for them.

    Attributes:
        source: for the identity: ``ade20k``, ``numbers``, or the hash of a file.
        labels: (name, category) by number.
        has_background: number 0 is "nothing".
        groups: one for each plane.
        assumed: readings of names, in words.
    """

    source: str
    labels: tuple[tuple[str, str], ...] = Field(min_length=1)
    has_background: bool = False
    groups: tuple[Group, ...] = Field(min_length=1)
    assumed: tuple[str, ...] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """The labels as the engine wants them."""
        return Vocabulary(
            tuple(Label(*label) for label in self.labels),
            tuple(group.name for group in self.groups),
            self.has_background,
        )

    @property
    def outputs(self) -> int:
        """Channels that the network must have."""
        return 1 + max(channel for group in self.groups for channel in group.channels)


class Preparation(Record):
    """How images become the network's input.

    Attributes:
        mean, std: of values in [0, 1], in the network's order of channels.
        order: ``BGR`` or ``RGB``.
        sizes: input sizes whose probabilities are averaged; None: the image's own.
        square: each size is a square, reached by adaptive averages (gandissect); otherwise the
            shorter side, with the aspect kept.
        multiple: sides are rounded up to a multiple of this; not for squares.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    order: Literal["RGB", "BGR"] = "RGB"
    sizes: tuple[int, ...] | None = None
    square: bool = False
    multiple: int = Field(default=1, ge=1)


def plain_naming(names: Sequence[str], source: str) -> Naming:
    """One plane of objects, each output a label; see ``nothing`` for the outputs of no object."""
    numbering = number_outputs(names)
    return Naming(
        source=source,
        labels=tuple((name, "object") for name in numbering.names),
        has_background=numbering.has_background,
        groups=(Group(name="object", channels=tuple(range(len(names))), labels=numbering.numbers),),
        assumed=numbering.assumptions,
    )


def usual_naming(outputs: int) -> Naming:
    """ADE20K's names for 150 outputs, else numbers: "class 0", "class 1" …"""
    if outputs == len(ADE20K):
        return plain_naming(ADE20K, "ade20k")
    return plain_naming([f"class {number}" for number in range(outputs)], "numbers")


def read_naming(path: Path, outputs: int) -> tuple[Naming, Preparation | None]:
    """Read a file of names for a network with so many outputs.

    Four forms: a name a line; a JSON list of names; the benchmark's table with a column ``Name``
    (``object150_info.csv``; the first of the names between semicolons counts); gandissect's
    ``labels.json``, which also says how images are prepared.

    Raises:
        UsageError: no such file.
        CorruptFileError: none of these forms.
        StateMismatchError: another number of names than outputs, or a name twice.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise CorruptFileError(f"{path}: too large for a file of names")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file of names; check the option labels") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{path}: not readable as UTF-8 text ({error})") from error
    source = "sha256 " + hashlib.sha256(text.encode()).hexdigest()
    content = _parse(path, text)
    if isinstance(content, dict):
        naming, preparation = _read_gandissect(path, content, source)
        if naming.outputs != outputs or len(content["labels"]) != outputs:
            raise _miscounted(path, len(content["labels"]), outputs)
        return naming, preparation
    if len(content) != outputs:
        raise _miscounted(path, len(content), outputs)
    double = sorted({name for name in content if content.count(name) > 1})
    if double:
        raise StateMismatchError(f"{path}: {double[0]!r} is there twice")
    return plain_naming(content, source), None


def _miscounted(path: Path, names: int, outputs: int) -> StateMismatchError:
    return StateMismatchError(f"{path}: {names} labels, the network has {outputs} outputs")


def _parse(path: Path, text: str) -> list[str] | dict[str, Any]:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorruptFileError(f"{path}: not valid JSON ({error})") from error
        if isinstance(content, dict) and "labels" in content:
            return content
        names = content
    elif "," in (head := text.partition("\n")[0]) and "Name" in head.strip().split(","):
        rows = csv.DictReader(io.StringIO(text))
        names = [str(row["Name"]).partition(";")[0].strip() for row in rows]
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise CorruptFileError(f"{path}: neither names, one a line, nor a JSON list of names")
    return [name.strip() for name in names]


# ------------------------------------------------------------------------- gandissect's labels.json


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    category: str
    internal: bool | int | str | None = None


class _Category(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    mask: str | None = None


class _ImageFormat(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    byteorder: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    stdev: tuple[float, float, float] = IMAGENET_STD


class _LabelsFile(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    labels: list[_Entry] = Field(min_length=1)
    categories: list[_Category] = Field(min_length=1)
    imageformat: _ImageFormat = _ImageFormat()
    segsizes: tuple[int, ...] = (256,)


def _read_gandissect(
    path: Path, content: Mapping[str, Any], source: str
) -> tuple[Naming, Preparation]:
    try:
        file = _LabelsFile.model_validate(content)
    except ValidationError as error:
        raise CorruptFileError(f"{path}: {first_fault(error)}") from error
    planes = [category.name for category in file.categories]
    for entry in file.labels:
        if entry.category not in planes:
            raise StateMismatchError(
                f"{path}: {entry.name!r} is of category {entry.category!r}, which is not listed"
            )
    numbers = {NOTHING: 0}
    labels = [(NOTHING, planes[0])]
    for entry in file.labels:  # an output whose name was seen adds to that label
        if not entry.internal and entry.name not in numbers:
            numbers[entry.name] = len(labels)
            labels.append((entry.name, entry.category))
    places = {
        plane: [k for k, entry in enumerate(file.labels) if entry.category == plane]
        for plane in planes
    }
    groups = []
    for category in file.categories:
        channels = places[category.name]
        if not channels:
            raise StateMismatchError(f"{path}: no label is of category {category.name!r}")
        groups.append(
            Group(
                name=category.name,
                channels=tuple(channels),
                labels=tuple(numbers.get(file.labels[k].name, 0) for k in channels),
                mask=_mask(path, category.mask, file.labels, planes, places),
            )
        )
    naming = Naming(source=source, labels=tuple(labels), has_background=True, groups=tuple(groups))
    form = file.imageformat
    return naming, Preparation(
        mean=form.mean, std=form.stdev, order=form.byteorder, sizes=file.segsizes, square=True
    )


def _mask(
    path: Path,
    name: str | None,
    entries: Sequence[_Entry],
    planes: Sequence[str],
    places: Mapping[str, list[int]],
) -> tuple[int, int] | None:
    if name is None:
        return None
    found = [k for k, entry in enumerate(entries) if entry.name == name]
    if not found:
        raise StateMismatchError(f"{path}: a category is masked by {name!r}, which is no label")
    plane = entries[found[-1]].category
    return planes.index(plane), places[plane].index(found[-1])
