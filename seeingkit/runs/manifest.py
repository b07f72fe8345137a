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

from seeingkit.results import Manifest

from .config import Config, InversionConfig

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
    """The time in UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def new_manifest(config: Config) -> Manifest:
    """The manifest of a run that starts now."""
    import torch

    return Manifest(
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


def finished(manifest: Manifest, clock: Clock, hashes: dict[str, str]) -> Manifest:
    """The manifest of a run that has ended: with content hashes and the seconds of each stage."""
    return manifest.model_copy(
        update={"hashes": hashes, "timings": clock.seconds, "finished": now()}
    )


def command_line(config: Config) -> str:
    """A command that repeats the run: each setting that is no default, as the option of its name.

    >>> from seeingkit.runs.config import make_config
    >>> command_line(make_config(command="compare", real="a b", generated="c", segmenter="s", n=9))
    "seeingkit compare 'a b' c --segmenter s --n 9 --preset paper"
    """
    words = ["seeingkit", config.command]
    if config.command == "analyze":
        words += ["--gan", config.generated, "--data", config.real]
    elif config.command == "invert":
        words += [*config.photos, "--gan", config.generated]
        words += ["--data", config.real] if config.real else []
    else:
        words += [config.real, config.generated]
    said = {"command", "real", "generated", "photos", "inversion"}
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


def _inversion_words(config: Config) -> list[str]:
    """Settings that differ from the defaults of the command."""
    if config.command == "compare":
        return []
    chosen, usual = config.inversion, InversionConfig()
    words = ["--method", ",".join(chosen.methods) or "none"]
    if chosen.cuts:
        words += ["--cut", ",".join(chosen.cuts)]
    if config.command == "analyze" and chosen.methods:
        if chosen.per_class != usual.per_class:
            words += ["--per-class", str(chosen.per_class)]
        if chosen.pick != usual.pick:
            words += ["--pick", chosen.pick]
        if chosen.ids:
            words += ["--ids", ",".join(chosen.ids)]
    if chosen.own != usual.own:
        words += ["--own", str(chosen.own)]
    if chosen.label is not None:
        words += ["--label", str(chosen.label)]
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
