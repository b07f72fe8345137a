"""Stored files of dissections, seen from outside: whether one is whole, and who made it."""

from __future__ import annotations

from typing import Any

import safetensors

from seeingkit.errors import StorageError
from seeingkit.system.addresses import Place
from seeingkit.system.tensors import read_sealed_tensors

from .bases import GIVEN, check_given
from .bases import KEY as BASES_KEY
from .candidates import KEY as LEVELS_KEY
from .parts import DISSECTION_SCHEMA
from .parts import KEY as PARTS_KEY

KEYS = (PARTS_KEY, LEVELS_KEY, BASES_KEY)
"""Keys of the header by which a file says that it is one of these."""


def check_dissection_file(path: Place) -> None:
    """Read a file of parts, levels, components or directions; check its bytes and its name.

    ::

        check_dissection_file(dissection_folder() / "0a" / "0a….safetensors")

    Raises:
        ValueError, OSError: its bytes are not those that were written.
        StorageError: it is not named by what it holds.
    """
    if path.parent.name == GIVEN:
        check_given(path)
        return
    try:
        _, about = _read(path)
    except safetensors.SafetensorError as error:
        raise StorageError(f"{path}: damaged ({error})") from error
    if about["name"] != path.stem:
        raise StorageError(f"{path}: it is of another dissection than its name says")


def _read(path: Place) -> tuple[str, dict[str, Any]]:
    for key in KEYS[:-1]:
        try:
            return key, read_sealed_tensors(path, key)[1]
        except LookupError:
            continue
    return KEYS[-1], read_sealed_tensors(path, KEYS[-1])[1]


def is_of_this_version(about: dict[str, Any]) -> bool:
    """Whether the rules of counting are those of the file's header.

    >>> is_of_this_version({"schema": 0})
    False
    """
    return bool(about.get("schema") == DISSECTION_SCHEMA)
