"""Records that every kind of run has: sources, models, skipped images, the manifest.

Field names and units are stable within one ``schema_version``. ``None`` means "not defined here",
never zero. A record is frozen, and unknown keys are refused.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

Interval = tuple[float, float]
"""Lower and upper end of a confidence interval."""


class Record(BaseModel):
    """Base of all records of a run: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SkippedItem(Record):
    """An image that was not used."""

    source: Literal["real", "generated", "photo", "own"]
    item: str
    reason: str


class SourceRecord(Record):
    """Where one side's images came from."""

    name: str
    kind: str
    images: int
    fingerprint: str
    seed: int | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class ModelRecord(Record):
    """A generator or segmenter, as far as a reader needs it."""

    name: str
    family: str
    weights_sha256: str | None = None
    licence: str = "unknown"
    parameters: int = 0
    resolution: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Manifest(Record):
    """How a run was made: ``manifest.json``. ``config`` alone is enough to repeat it."""

    schema_version: int = SCHEMA_VERSION
    seeingkit: str
    command: str
    config: dict[str, Any]
    versions: dict[str, str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)
    timings: dict[str, float] = Field(default_factory=dict)
    started: str
    finished: str | None = None
