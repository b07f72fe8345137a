"""A class list: which labels, by name, make up each class of a coarser vocabulary.

Guarantees that a list is whole before anything is computed with it: every key of the file is known,
no name stands in two classes, and an unknown built-in name lists near ones. Never imports torch.

The file is TOML::

    name = "coarse"
    [classes]
    vegetation = ["tree", "grass", "plant", "palm"]
    sky = ["sky"]
    nothing = ["-"]
    [aliases]
    tree = ["arbre", "baum"]     # a class that lists "tree" means these labels too
    [options]
    unmapped = "other"           # labels in no class; see ``Unmapped``
    missing = "error"            # or "allow": names that this segmenter does not know
    background = "nothing"       # the class that means "no object"
"""

from __future__ import annotations

import hashlib
import importlib.resources
import itertools
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seeingkit.errors import UnknownNameError, UsageError, first_fault

Unmapped = Literal["other", "keep", "drop", "error"]
"""Labels in no class: pooled as "other" (number 0, no verdict on it); kept as they are; left out of
all areas (which stay shares of the whole image); or refused."""
BUILT_IN = ("scene", "street")
OTHER = "other"
NOTHING = "-"
_LARGEST_FILE = 1 << 20
_OPTIONS = ("unmapped", "missing", "background")


class ClassMap(BaseModel):
    """Classes and the names of their labels.

    Attributes:
        name: for people.
        classes: class name to label names, in the order of the coarse vocabulary.
        aliases: label name to other names of the same thing.
        unmapped: treatment of labels in no class.
        missing: whether a name that no label of a vocabulary has is refused or passed over.
        background: the class that means "no object": number 0, left out of figures and verdicts.
            None: the class ``nothing`` if there is one, else as ``unmapped`` implies.
        summary: for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    classes: dict[str, tuple[str, ...]]
    aliases: dict[str, tuple[str, ...]] = {}
    unmapped: Unmapped = "other"
    missing: Literal["error", "allow"] = "error"
    background: str | None = None
    summary: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> ClassMap:
        if not self.classes and self.unmapped != "keep":
            raise ValueError("no classes")
        owners: dict[str, str] = {}
        for name, members in self.classes.items():
            if not name.strip():
                raise ValueError("a class without a name")
            if not members:
                raise ValueError(f"class {name!r} lists no labels")
            for member in members:
                key = normalised(member)
                if not key:
                    raise ValueError(f"class {name!r} lists an empty name")
                if owners.setdefault(key, name) != name:
                    raise ValueError(f"{member!r} is in the classes {owners[key]!r} and {name!r}")
        for label, others in self.aliases.items():
            for other in others:
                inside = owners.get(normalised(other)), owners.get(normalised(label))
                if None not in inside and inside[0] != inside[1]:
                    raise ValueError(
                        f"{other!r} is an alias of {label!r} but is in another class, {inside[0]!r}"
                    )
        if self.background not in (None, *self.classes, OTHER if self.unmapped == OTHER else None):
            raise ValueError(f"the background {self.background!r} is no class")
        return self

    @property
    def empty_class(self) -> str | None:
        """The class that means "no object", or None where the list has none."""
        if self.background is not None:
            return self.background
        return "nothing" if "nothing" in self.classes else None

    def names(self, member: str) -> tuple[str, ...]:
        """A label name and its aliases."""
        wanted = normalised(member)
        found = (others for label, others in self.aliases.items() if normalised(label) == wanted)
        return (member, *itertools.chain.from_iterable(found))

    def identity(self) -> dict[str, Any]:
        """The part that changes the classes, as a name and a hash."""
        content = self.model_dump(mode="json", exclude={"summary", "name"})
        content["classes"] = list(content["classes"].items())  # their order is their number
        text = json.dumps(content, sort_keys=True)
        return {"name": self.name, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def normalised(name: str) -> str:
    """A label's name in one spelling, without case, spaces, hyphens, underscores.

    A name of nothing but such signs ("-", "nothing" in many vocabularies) stays.
    """
    plain = re.sub(r"[\s_\-]+", " ", name).strip().lower()
    return plain or name.strip()


def synonyms(name: str) -> tuple[str, ...]:
    """The names in one label: "person, individual" and "person;individual" have two each."""
    return tuple(filter(None, (normalised(part) for part in re.split(r"[,;]", name))))


def read_classes(name_or_path: str | Path) -> ClassMap:
    """A built-in class list by name, or a TOML file.

    Args:
        name_or_path: ``street``, ``scene``, or a path (it ends in ``.toml``, or has a slash).

    Raises:
        UnknownNameError: no such built-in list.
        UsageError: no such file, or one that is no class list; names the key.
    """
    text = str(name_or_path)
    if text in BUILT_IN:
        resource = importlib.resources.files(__package__).joinpath(f"{text}.toml")
        return _parse(resource.read_text(encoding="utf-8"), f"{text}.toml")
    path = Path(text).expanduser()
    if not (text.endswith(".toml") or path.name != text or path.is_file()):
        raise UnknownNameError(
            "class list", text, BUILT_IN, hint="or give the path of a .toml file"
        )
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UsageError(f"{path}: too large for a class list")
        content = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: the class list cannot be read ({reason})") from error
    return _parse(content, str(path))


def _parse(text: str, where: str) -> ClassMap:
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: not valid TOML ({error})") from error
    options = content.pop("options", {})
    if not isinstance(options, Mapping):
        raise UsageError(f"{where}: options is no table; write [options]")
    for key in options:
        if key not in _OPTIONS:
            raise UnknownNameError("option", str(key), _OPTIONS, f"({where})")
    content.setdefault("name", Path(where).stem)
    try:
        return ClassMap.model_validate({**content, **options})
    except ValidationError as error:
        raise UsageError(f"{where}: {first_fault(error)}") from error
