"""The label file of Unified Perceptual Parsing, and the one numbering it is merged into.

Guarantees the numbering of the published statistics: 0 is "-" (nothing), then the objects in the
file's order, then the materials, then those part names that are not object names, in order of first
appearance in ``object_part``. A part that is also an object ("door") has the object's number.

``labels.json`` reads ``{"object": ["-", ...], "scene": [...], "material": ["-", ...],
"part": [...], "object_part": {owner: ["-", part, ...]}}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from seeingkit.contracts import Label, Vocabulary
from seeingkit.errors import CorruptFileError, StateMismatchError, first_fault

NOTHING = "-"
LARGEST_LABELS = 1 << 20
"""Bytes of a label file beyond which it is refused; the published one has 20 kB."""


class _LabelFile(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    object: list[str]
    scene: list[str] = []
    material: list[str] = []
    object_part: dict[str, list[str]] = {}


@dataclass(frozen=True)
class PartGroup:
    """The parts of one object, as a run of the part head's channels.

    Attributes:
        owner: number of the object.
        start: first channel in the part head.
        labels: merged label number of each channel of the group; the first is 0 (no part).
    """

    owner: int
    start: int
    labels: tuple[int, ...]

    @property
    def channels(self) -> slice:
        """The group's channels in the part head."""
        return slice(self.start, self.start + len(self.labels))


@dataclass(frozen=True)
class Hierarchy:
    """Objects, materials and parts in one numbering.

    Attributes:
        labels: all of them; the number of a label is its place.
        objects: number of object labels, "-" included (336 as published).
        materials: number of material labels, "-" included, or 0.
        scenes: number of scenes.
        groups: the parts of each object that has any, in the order of the part head's channels.
    """

    labels: tuple[Label, ...]
    objects: int
    materials: int
    scenes: int
    groups: tuple[PartGroup, ...]

    @property
    def material_offset(self) -> int:
        """Offset from a material's channel (1, 2, ...) to its merged number."""
        return self.objects - 1

    @property
    def classes(self) -> dict[str, int]:
        """Channels that each head must have for this file."""
        return {
            "scene": self.scenes,
            "object": self.objects,
            "part": sum(len(group.labels) for group in self.groups),
            "material": self.materials,
        }

    def vocabulary(self, planes: tuple[str, ...]) -> Vocabulary:
        """The labels that a segmentation of these planes can show.

        Objects alone need only the object labels (336 as published); otherwise all.
        """
        labels = self.labels[: self.objects] if planes == ("object",) else self.labels
        return Vocabulary(labels=labels, planes=planes, has_background=True)


def read_hierarchy(text: str, path: Path) -> Hierarchy:
    """Read the text of a ``labels.json``.

    Args:
        text: the JSON.
        path: where it comes from, for messages.

    Raises:
        CorruptFileError: not JSON, or not of the form above.
        StateMismatchError: lists that do not open with "-", or parts of an object that is none.
    """
    if len(text) > LARGEST_LABELS:
        raise CorruptFileError(f"{path}: too large for a file of labels")
    try:
        file = _LabelFile.model_validate(json.loads(text))
    except ValidationError as error:
        fault = first_fault(error)
        raise CorruptFileError(f"{path}: not a labels.json of UPerNet ({fault})") from error
    except (ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise CorruptFileError(f"{path}: not a labels.json of UPerNet ({first})") from error
    _check_first(path, "object", file.object)
    if file.material:
        _check_first(path, "material", file.material)
    numbers = {name: number for number, name in enumerate(file.object)}
    first_part = len(file.object) + max(len(file.material) - 1, 0)
    part_names: dict[str, int] = {}
    numbered: list[tuple[int, tuple[int, ...]]] = []
    for owner, parts in file.object_part.items():
        if owner not in numbers:
            raise StateMismatchError(f"{path}: object_part names {owner!r}, which is no object")
        _check_first(path, f"object_part[{owner!r}]", parts)
        numbered.append((numbers[owner], _number_parts(parts, numbers, part_names, first_part)))
    labels = (
        *(Label(name, "object") for name in file.object),
        *(Label(name, "material") for name in file.material[1:]),
        *(Label(name, "part") for name in part_names),
    )
    return Hierarchy(
        labels, len(file.object), len(file.material), len(file.scene), _group(numbered)
    )


def _number_parts(
    parts: list[str], objects: Mapping[str, int], part_names: dict[str, int], first: int
) -> tuple[int, ...]:
    found = []
    for part in parts:
        if part not in objects:
            part_names.setdefault(part, len(part_names))
        found.append(objects[part] if part in objects else first + part_names[part])
    return tuple(found)


def _group(numbered: list[tuple[int, tuple[int, ...]]]) -> tuple[PartGroup, ...]:
    # The network was trained with its channels in ascending order of the owners, whatever the order
    # of the file.
    groups, start = [], 0
    for owner, labels in sorted(numbered):
        groups.append(PartGroup(owner, start, labels))
        start += len(labels)
    return tuple(groups)


def _check_first(path: Path, what: str, names: list[str]) -> None:
    if not names or names[0] != NOTHING:
        shown = repr(names[0]) if names else "nothing"
        raise StateMismatchError(f"{path}: {what} opens with {shown}, expected {NOTHING!r}")
