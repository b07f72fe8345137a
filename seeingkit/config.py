"""What a run was asked to do: one checked, repeatable record. Never imports torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import RunError, UsageError


class InversionConfig(BaseModel):
    """How photos are inverted.

    Attributes:
        methods: names of registered inverters; empty: no inversion.
        cuts: boundaries of r; empty: the generator's default; ``all``: every feature map.
        per_class: photos for each omitted class (``analyze``).
        pick: which of the photos that contain it.
        ids: the photos themselves, by id (``pick="list"``).
        own: how many of the generator's own images calibrate the method.
        label: class of the photos, for a conditional generator.
        options: of the inverters (preset, encoder, perceptual, steps, …).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    per_class: int = Field(default=5, ge=1)
    pick: Literal["stratified", "random", "most", "list"] = "stratified"
    ids: tuple[str, ...] = ()
    own: int = Field(default=40, ge=0)
    label: int | None = Field(default=None, ge=0)
    options: dict[str, Any] = Field(default_factory=dict)


class Config(BaseModel):
    """The settings of ``analyze`` and ``compare``; stored in every manifest.

    Attributes:
        real: the real images: a data set's name, a path or a glob.
        generated: a generator (``family`` or ``family:weights``), a path or a glob.
        weights: the generator's weights file, instead of registered weights.
        segmenter: ``family`` or ``family:weights``.
        segmenter_weights: the segmenter's weights file or folder.
        n: images per side; None: all there are, at most the data set's default.
        seed: of latents, of the choice of images, of permutations.
        preset: preprocessing by name.
        level: false discovery rate of the verdicts.
        labels: which classes a conditional generator draws (``seeingkit.conditions``).
        classes: a common vocabulary that labels are merged into: its name or TOML file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Literal["analyze", "compare", "invert"] = "analyze"
    real: str
    generated: str
    weights: str | None = None
    segmenter: str
    segmenter_weights: str | None = None
    n: int | None = Field(default=None, ge=2)
    seed: int = Field(default=0, ge=0, lt=2**32)
    preset: str = "paper"
    device: str = "cpu"
    batch_size: int = Field(default=16, ge=1)
    level: float = Field(default=0.05, gt=0, lt=1)
    permutations: int = Field(default=200, ge=0)
    on_bad: Literal["skip", "fail"] = "skip"
    labels: str | None = None
    classes: str | None = None
    gan_options: dict[str, Any] = Field(default_factory=dict)
    segmenter_options: dict[str, Any] = Field(default_factory=dict)
    data_options: dict[str, Any] = Field(default_factory=dict)
    photos: tuple[str, ...] = ()
    inversion: InversionConfig = Field(default_factory=lambda: InversionConfig())

    def key(self) -> str:
        """Short hash of all settings that can change a number (not device or batch size)."""
        settings = self.model_dump(mode="json", exclude={"device", "batch_size"})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def make_config(**settings: Any) -> Config:
    """A checked config.

    Raises:
        UsageError: names the setting and what is wrong with it.
    """
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(p) for p in first["loc"])
        raise UsageError(f"--{name.replace('_', '-')}: {first['msg'].lower()}") from error


def read_config(path: str | Path) -> Config:
    """The config of an earlier run, from its ``manifest.json`` (or a file with the config alone).

    Raises:
        RunError: no such file, not JSON, or made by another version.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "manifest.json"
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
        return Config.model_validate(loaded.get("config", loaded))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise RunError(f"{path}: not a manifest of this version ({first})") from error
