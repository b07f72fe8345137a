"""Inverted photos of one cell, and the pictures of a site as files."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from seeingkit.results import InversionRecord, InversionSettings

from ..runfiles import read_record
from ..words.losses import PhotoGroup, group_photos
from .reading import RESULTS

FOLDER = "pictures"
"""Of the pictures in a site."""


class _Inverted(BaseModel):
    """The part of a run's results that is about inversions; the rest is not read."""

    model_config = ConfigDict(extra="ignore")

    inversion: InversionSettings | None = None
    inversions: list[InversionRecord] = Field(default_factory=list)


@dataclass(frozen=True)
class InvertedRun:
    """The inverted photos of one cell."""

    generator: str
    folder: Path
    settings: InversionSettings
    groups: dict[str, PhotoGroup]


def read_inverted(generator: str, folder: Path) -> InvertedRun | None:
    """The inverted photos of a cell; None where there are none.

    Raises:
        RunError: its results cannot be read.
    """
    found = read_record(folder / RESULTS, _Inverted)
    if not found.inversions or found.inversion is None:
        return None
    groups = {group.image: group for group in group_photos(found.inversions)}
    return InvertedRun(generator, folder, found.inversion, groups)


@dataclass
class Pictures:
    """Files of pictures, each given out once to be written."""

    _known: set[str] = field(default_factory=set)
    _new: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, uri: str) -> str:
        """The path in the site of a picture that is given as a data URI."""
        kind, _, text = uri.partition(";base64,")
        content = base64.b64decode(text)
        suffix = kind.rpartition("/")[2]
        path = f"{FOLDER}/{hashlib.sha256(content).hexdigest()[:20]}.{suffix}"
        if path not in self._known:
            self._known.add(path)
            self._new.append((path, content))
        return path

    def taken(self) -> list[tuple[str, bytes]]:
        """The pictures that were added since the last time, by their paths."""
        new, self._new = self._new, []
        return new
