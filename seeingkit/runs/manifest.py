"""How a run was made: versions, settings, hashes and times, and the command that repeats it."""

from __future__ import annotations

import datetime
import json
import platform
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from seeingkit.results import Manifest
from seeingkit.system.processes import rank

from .config import (
    ArtifactsConfig,
    Config,
    DissectionConfig,
    InterventionConfig,
    InversionConfig,
)
from .directory import RunDirectory

_PACKAGES = ("torch", "numpy", "scipy", "pillow", "pyarrow", "safetensors", "pydantic")


@dataclass
class Clock:
    """Seconds of each stage of a run."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        started = time.perf_counter()
        yield
        spent = self.seconds.get(stage, 0.0) + time.perf_counter() - started
        self.seconds[stage] = round(spent, 3)


def now() -> str:
    """The time in seconds, ISO 8601 in UTC.

    >>> len(now())
    25
    """
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def begin_run(config: Config, out: str | Path | None) -> RunDirectory | None:
    """The claimed folder of a run that starts now, with its manifest; None above rank 0.

    Raises:
        RunError: as of ``RunDirectory.for_config``.
    """
    import torch

    if rank():
        return None
    run = RunDirectory.for_config(config, out)
    manifest = Manifest(
        seeingkit=version("seeingkit"),
        command=command_line(config),
        config=config.model_dump(mode="json"),
        versions={
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "threads": str(torch.get_num_threads()),
            **{name: version(name) for name in _PACKAGES},
        },
        started=now(),
    )
    run.write_json("manifest.json", manifest.model_dump(mode="json"))
    return run


def end_run(run: RunDirectory, clock: Clock, hashes: dict[str, str]) -> None:
    """Complete the manifest of a run that has ended: content hashes, the seconds of each stage."""
    begun = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    ended = {"hashes": hashes, "timings": clock.seconds, "finished": now()}
    run.write_json("manifest.json", begun | ended)


def command_line(config: Config) -> str:
    """A command that repeats the run: each setting that is no default, as the option of its name.

    >>> from seeingkit.runs.config import make_config
    >>> command_line(make_config(command="compare", real="a b", generated="c", segmenter="s", n=9))
    "seeingkit compare 'a b' c --segmenter s --n 9 --preset paper"
    """
    words = ["seeingkit", config.command]
    if config.command in ("analyze", "artifacts", "assess"):
        words += ["--gan", config.generated, "--data", config.real]
        words += _artifacts_words(config.artifacts) if config.command == "artifacts" else []
        words += [word for name in config.assessment.wanted for word in ("--wanted", name)]
    elif config.command == "invert":
        words += [*config.photos, "--gan", config.generated]
        words += ["--data", config.real] if config.real else []
    elif config.command in ("dissect", "intervene"):
        words += ["--gan", config.generated]
        words += ["--data", config.real] if config.real else []
        dissects = config.command == "dissect"
        words += _dissection_words(config.dissection) if dissects else []
        words += [] if dissects else _intervention_words(config.intervention)
    else:
        words += [config.real, config.generated, *config.others]
    said = {
        "command",
        "real",
        "generated",
        "others",
        "photos",
        "inversion",
        "dissection",
        "artifacts",
        "intervention",
        "assessment",
    }
    settings = config.model_dump(mode="json", exclude_defaults=True, exclude=said)
    if config.command == "invert":
        settings.pop("preset", None)  # it has no such option: the data set's is taken
    else:
        settings["preset"] = config.preset  # a data set may have another default
    if config.inversion.label is not None:
        settings.pop("labels", None)  # --label says both
    for name, value in settings.items():
        words += _option(name, value)
    return shlex.join(words + _inversion_words(config))


def _option(name: str, value: object) -> list[str]:
    """A setting as an option: a flag, a value, or the option once for each item."""
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if isinstance(value, list):
        return [word for item in value for word in (option, str(item))]
    if isinstance(value, dict):  # such as gan_options: --gan-option key=value
        pairs = (f"{key}={_value(item)}" for key, item in value.items())
        return [word for pair in pairs for word in (option.removesuffix("s"), pair)]
    return [option, str(value)]


def _dissection_words(chosen: DissectionConfig) -> list[str]:
    """Settings of a dissection that differ from the defaults, as options of the command."""
    usual, words = DissectionConfig(), list[str]()
    if chosen.layers:
        words += ["--layers", ",".join(chosen.layers)]
    if chosen.units:
        words += ["--units", ",".join(map(str, chosen.units))]
    options = {"preset": "rule", "level_images": "level-images", "basis": "basis", "fdr": "fdr"}
    for name, option in options.items():
        if (value := getattr(chosen, name)) != getattr(usual, name):
            words += [f"--{option}", str(value)]
    return words


def _artifacts_words(chosen: ArtifactsConfig) -> list[str]:
    """Settings of a search for artifact units that are no defaults, as options of the command."""
    usual, words = ArtifactsConfig(), list[str]()
    for name in ArtifactsConfig.model_fields:
        if (value := getattr(chosen, name)) != getattr(usual, name):
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{name}", text]
    return words


def _intervention_words(chosen: InterventionConfig) -> list[str]:
    """Settings of an intervention that differ from the defaults, as options of the command."""
    named = {"label": "class", "values": "value"}
    words: list[str] = []
    for name, value in chosen.model_dump(exclude_defaults=True).items():
        option = f"--{named.get(name, name).replace('_', '-')}"
        if isinstance(value, tuple):
            value = ",".join(str(one) for one in value)
        words += [option] if value is True else [option, str(value)]
    return words


_PICKING = ("per_class", "pick", "ids", "classes")  # settings of analyze alone
_NAMED = {"cuts": "--cut", "classes": "--photos-of"}
"""Options whose names are not those of the settings."""


def _inversion_words(config: Config) -> list[str]:
    """Settings that differ from the defaults of the command."""
    if config.command in ("compare", "dissect", "artifacts", "intervene", "assess"):
        return []
    chosen, usual = config.inversion, InversionConfig()
    words = ["--method", ",".join(chosen.methods) or "none"]
    picking = _PICKING if config.command == "analyze" and chosen.methods else ()
    for name in ("cuts", *picking, "own", "patched", "label"):
        if (value := getattr(chosen, name)) != getattr(usual, name):
            option = _NAMED.get(name, f"--{name.replace('_', '-')}")
            words += [option, ",".join(value) if isinstance(value, tuple) else str(value)]
    options = dict(chosen.options)
    if "preset" in options:
        flag = "--preset" if config.command == "invert" else "--inversion-preset"
        words += [flag, str(options.pop("preset"))]
    return words + _option("inverter_options", options)


def _value(value: object) -> str:
    """A value as ``parse_options`` reads it: text as it stands unless that would be JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)
