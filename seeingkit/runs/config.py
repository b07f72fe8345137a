"""The validated configuration of a run. Never imports torch."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from seeingkit.analyses.comparison.defaults import PERMUTATIONS
from seeingkit.analyses.dissection.config import DissectionConfig
from seeingkit.analyses.interventions.artifacts.config import ArtifactsConfig
from seeingkit.analyses.interventions.config import InterventionConfig
from seeingkit.analyses.inversion.config import InversionConfig
from seeingkit.analyses.rewriting.config import AssessmentConfig
from seeingkit.errors import Faults, RunError, UsageError, all_faults
from seeingkit.results import AssessmentResults, Results
from seeingkit.results.gates import parse_gate

__all__ = [
    "PERMUTATIONS",
    "ArtifactsConfig",
    "AssessmentConfig",
    "Config",
    "DissectionConfig",
    "InterventionConfig",
    "InversionConfig",
    "make_config",
    "read_config",
]

Command = Literal["analyze", "compare", "invert", "dissect", "artifacts", "intervene", "assess"]
"""Commands whose settings these are."""


class Config(BaseModel):
    """The settings of a command that makes a run.

    They are in every manifest. As the user gave it a config may have gaps;
    ``seeingkit.runs.plan.resolve`` fills them from the data set and the registry, and manifests
    hold it complete.

    Attributes:
        real: the real images: a data set's name, a path or a glob; empty: the default data set.
        generated: a generator (``family`` or ``family:weights``), a path or a glob; empty: the data
            set's usual generator.
        others: further generators of ``compare``, as ``generated``; all against the same images.
        weights: the generator's weights file, instead of registered weights.
        segmenter: ``family`` or ``family:weights``; empty: the data set's, else the default.
        segmenter_weights: the segmenter's weights file or folder.
        n: images per side; None: all there are, at most the data set's default.
        seed: of latents, of the choice of images, of permutations.
        preset: preprocessing by name.
        level: false discovery rate of the verdicts.
        permutations: behind the p-value; 0: none.
        paired: image k of one side belongs to image k of the other (``compare``; ``analyze`` of a
            generator that translates images, against those images).
        force: compare although number policy, segmenter or preset differ.
        truth: true labels of the real images: a folder of label maps; ``data``: the data set's
            own; ``none``: not used; None: the data set's own if it has any.
        sensitivity: how segmentation error is told from a difference: ``auto`` (true labels if
            there are any, otherwise ``scale``), ``off``, ``scale`` (the same segmenter at a second
            scale, also ``scale:0.5``), or a second segmenter, ``family``, ``family:weights`` or
            ``family:FILE``.
        fidelity: also FID, KID, IS, precision and recall, by another library.
        fail_if: gates (``seeingkit.results.gates``). The command line ends with exit code 4 where
            one fails; in Python ask ``check_gates``. They change no number, so they are no part of
            ``key``: other gates on the same run use its directory and finished work.
        labels: which classes a conditional generator draws
            (``seeingkit.analyses.comparison.conditions``).
        groups: which images belong together: ``folder``, ``FILE.csv:COLUMN`` or a regular
            expression (``seeingkit.analyses.comparison.dependence``).
        classes: a common vocabulary that labels are merged into: its name or TOML file.
        title: of the report; empty: made of names. It changes no number.
        dissection: layers and rule of ``dissect``; other commands do not read it.
        artifacts: layer, ranking and numbers of units of ``artifacts``, likewise.
        intervention: units and measurements of ``intervene``, likewise.
        assessment: classes that edits are to bring, of ``assess``, likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Command = "analyze"
    real: str = ""
    generated: str = ""
    others: tuple[str, ...] = ()
    weights: str | None = None
    segmenter: str = ""
    segmenter_weights: str | None = None
    n: int | None = Field(default=None, ge=2)
    seed: int = Field(default=0, ge=0, lt=2**32)
    preset: str = "paper"
    device: str = "cpu"
    batch_size: int = Field(default=16, ge=1)
    level: float = Field(default=0.05, gt=0, lt=1)
    permutations: int = Field(default=PERMUTATIONS, ge=0)
    paired: bool = False
    force: bool = False
    truth: str | None = Field(default=None, min_length=1)
    sensitivity: str = "auto"
    fidelity: bool = False
    fail_if: tuple[str, ...] = ()
    on_bad: Literal["skip", "fail"] = "skip"
    labels: str | None = None
    classes: str | None = None
    groups: str | None = Field(default=None, min_length=1)
    gan_options: dict[str, Any] = Field(default_factory=dict)
    segmenter_options: dict[str, Any] = Field(default_factory=dict)
    data_options: dict[str, Any] = Field(default_factory=dict)
    photos: tuple[str, ...] = ()
    title: str = Field(default="", max_length=200)
    inversion: InversionConfig = Field(default_factory=lambda: InversionConfig())
    dissection: DissectionConfig = Field(default_factory=lambda: DissectionConfig())
    artifacts: ArtifactsConfig = Field(default_factory=lambda: ArtifactsConfig())
    intervention: InterventionConfig = Field(default_factory=lambda: InterventionConfig())
    assessment: AssessmentConfig = Field(default_factory=lambda: AssessmentConfig())

    @field_validator("fail_if")
    @classmethod
    def _gates_can_be_read(cls, texts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        of = AssessmentResults if info.data.get("command") == "assess" else Results
        return tuple(dict.fromkeys(parse_gate(text, of).text for text in texts))

    @field_validator("paired")
    @classmethod
    def _only_two_sets_have_pairs(cls, paired: bool, info: ValidationInfo) -> bool:
        if paired and info.data.get("command") not in ("compare", "analyze"):
            raise ValueError(
                "it is for the command compare, of two sets of images that belong together"
            )
        return paired

    @field_validator("sensitivity")
    @classmethod
    def _sensitivity_can_be_read(cls, text: str) -> str:
        check, colon, scale = text.strip().partition(":")
        if not check or (colon and not scale):
            raise ValueError("name auto, off, scale, scale:0.5 or a second segmenter")
        if check in ("auto", "off") and colon:
            raise ValueError(f"{check} takes nothing after it, not {scale!r}")
        if check == "scale" and colon:
            try:
                fits = 0.01 <= float(scale) < 1
            except ValueError:
                fits = False
            if not fits:
                raise ValueError(f"a scale is a number from 0.01 to below 1, not {scale!r}")
        return text.strip()

    def filled(self, **settings: Any) -> Config:
        """The same with some settings filled in, checked as if they had been given."""
        return make_config(**{**self.model_dump(exclude_unset=True), **settings})

    def key(self) -> str:
        """Short hash of all settings that can change a number: not device, gates, title, …"""
        # Settings that came later: where they are not given, keys are those of earlier runs.
        later = ("others", "groups", "paired")
        same = {"device", "batch_size", "fail_if", "title"}
        unsaid = same | {name for name in later if not getattr(self, name)}
        settings = self.model_dump(mode="json", exclude=unsaid)
        if not self.inversion.classes:
            del settings["inversion"]["classes"]
        of_commands = {"dissection": "dissect", "artifacts": "artifacts"}
        of_commands |= {"intervention": "intervene", "assessment": "assess"}
        for name, command in of_commands.items():
            if self.command != command:
                del settings[name]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


_OPTIONS = {
    "dissection.preset": "rule",
    "intervention.label": "class",
    "intervention.values": "value",
}
"""Options whose names are not those of the settings."""
_GROUPS = ("dissection", "artifacts", "intervention", "assessment")
"""Settings that are groups of settings, of which each has an option."""


class SettingsError(UsageError):
    """Settings that have faults.

    Attributes:
        rest: the config without them, in which names may have faults too.
    """

    def __init__(self, faults: Faults, rest: Config | None) -> None:
        super().__init__(str(faults))
        self.faults, self.rest = tuple(faults.errors), rest


def make_config(**settings: Any) -> Config:
    """A checked config; settings that are None are left to their defaults.

    Raises:
        SettingsError: names every setting that has a fault.
    """
    given = {k: v for k, v in settings.items() if v is not None}
    try:
        config = Config.model_validate(given)
        if config.command == "intervene" and "intervention" in given:
            _check_intervention(config, given)
        return config
    except ValidationError as error:
        faults, wrong = Faults(), set()
        for fault in all_faults(error):
            group, _, name = fault.where.partition(".")
            wrong.add(group)
            option = name.partition(".")[0] if group in _GROUPS else fault.where
            option = _OPTIONS.get(f"{group}.{option}", option)
            faults.add(UsageError(f"--{option.replace('_', '-')}: {fault.reason}"))
        rest = None
        with suppress(ValidationError):
            rest = Config.model_validate({k: v for k, v in given.items() if k not in wrong})
        raise SettingsError(faults, rest) from error


def _check_intervention(config: Config, given: dict[str, Any]) -> None:
    """Settings of an intervention go together.

    Raises:
        SettingsError: names those that do not.
    """
    try:
        config.intervention.check()
    except UsageError as error:
        faults = Faults()
        faults.add(error)
        rest = {name: value for name, value in given.items() if name != "intervention"}
        raise SettingsError(faults, Config.model_validate(rest)) from error


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
        config = Config.model_validate(loaded.get("config", loaded))
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    except UsageError as error:
        raise RunError(f"{path}: {error}") from error
    except (ValueError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise RunError(f"{path}: not a manifest of this version ({first})") from error
    absent = sorted({"generated", "real", "segmenter"} - config.model_fields_set)
    if absent:
        raise RunError(f"{path}: not a manifest of this version ({absent[0]} is missing)")
    return config
