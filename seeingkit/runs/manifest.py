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
        """Count what happens inside towards a stage."""
        started = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - started, 3)


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


_NAMED = ("weights", "segmenter", "segmenter_weights", "classes", "n", "seed", "preset", "device")


def command_line(config: Config) -> str:
    """A command that repeats the run."""
    words = ["seeingkit", config.command]
    if config.command == "analyze":
        words += ["--gan", config.generated, "--data", config.real]
    elif config.command == "invert":
        words += [*config.photos, "--gan", config.generated]
        words += ["--data", config.real] if config.real else []
    else:
        words += [config.real, config.generated]
    plain = config.model_dump(mode="json", exclude_defaults=True)
    labels = () if config.inversion.label is not None else ("labels",)  # --label says both
    for name in (*_NAMED, *labels):
        if plain.get(name) is not None and (name, config.command) != ("preset", "invert"):
            words += [f"--{name.replace('_', '-')}", str(plain[name])]
    for name in ("batch_size", "level", "permutations", "on_bad", "truth", "sensitivity"):
        if name in plain:
            words += [f"--{name.replace('_', '-')}", str(plain[name])]
    words += [f"--{name}" for name in ("force", "fidelity") if name in plain]
    for gate in plain.get("fail_if", ()):
        words += ["--fail-if", gate]
    for name in ("gan_options", "segmenter_options", "data_options"):
        for key, value in plain.get(name, {}).items():
            words += [f"--{name[:-1].replace('_', '-')}", f"{key}={_option(value)}"]
    return shlex.join(words + _inversion_words(config))


def _inversion_words(config: Config) -> list[str]:
    """Only what differs from the defaults of the command."""
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
    for key, value in chosen.options.items():
        if key == "preset":
            flag = "--preset" if config.command == "invert" else "--inversion-preset"
            words += [flag, str(value)]
        else:
            words += ["--inverter-option", f"{key}={_option(value)}"]
    return words


def _option(value: object) -> str:
    """A value as ``parse_options`` reads it: text as it stands unless that would be JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)
