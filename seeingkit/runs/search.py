"""The search for faults and missing files while the names of a config are resolved.

Guarantees: all faults that can be known at once are one error, and so are all missing files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seeingkit.analyses.inversion import ResolvedInverter, resolve_inverter
from seeingkit.analyses.inversion.catalog import ENCODERS, METHODS
from seeingkit.errors import (
    Faults,
    MissingWeightsError,
    SeeingkitError,
    SourceError,
    UnknownNameError,
)
from seeingkit.models.registry import find_preset, registry
from seeingkit.models.resolved import AUTO
from seeingkit.system.devices import resolve_device
from seeingkit.tallies.vocabularies import read_classes

from .config import Config

T = TypeVar("T")


class MissingFiles:
    """Collects missing files, so that all of them are named at once."""

    def __init__(self, messages: Sequence[str] = ()) -> None:
        self.messages = list(messages)

    def find(self, work: Callable[[], T]) -> T | None:
        """The result of some work; None where a file is missing.

        Raises:
            SourceError: images that are there and cannot be used.
        """
        try:
            return work()
        except (MissingWeightsError, SourceError) as error:
            if not any(isinstance(e, MissingWeightsError) for e in (error, error.__cause__)):
                raise
            self.messages.append(str(error))
        return None

    def raise_if_any(self) -> None:
        """Name everything that is missing.

        Raises:
            MissingWeightsError: if anything is.
        """
        if self.messages:
            raise MissingWeightsError("; ".join(self.messages))


class Search:
    """The faults and the missing files that are found while a config is resolved.

    Attributes:
        lost: the images were not found, so what depends on them cannot be told: only names that
            nobody registered are faults then.
    """

    def __init__(self) -> None:
        self.faults, self.missing, self.lost = Faults(), MissingFiles(), False

    def find(self, work: Callable[[], T]) -> T | None:
        """The result of some work; None where it has a fault or a file is missing."""
        try:
            return self.missing.find(work)
        except SeeingkitError as error:
            if not self.lost or isinstance(error, UnknownNameError):
                self.faults.add(error)
        return None

    def inverters(self, config: Config) -> tuple[ResolvedInverter, ...]:
        """The methods of inversion, resolved."""
        chosen = config.inversion
        found = [
            self.find(partial(resolve_inverter, method, chosen.options))
            for method in dict.fromkeys(chosen.methods)
        ]
        if set(chosen.methods) & set(METHODS):
            for check in (_check_features, _check_files):
                self.find(partial(check, chosen.options))
        return tuple(one for one in found if one is not None)

    def settled(self, config: Config) -> dict[str, Any]:
        """What every plan begins with; raises what was found wrong, missing files along with it."""
        lost, self.lost = self.lost, False
        if (classes := config.classes) is not None:
            self.find(lambda: read_classes(classes))
        preset = self.find(lambda: find_preset(config.preset))
        device = self.find(lambda: resolve_device(config.device))
        if self.faults.errors:
            for message in () if lost else self.missing.messages:
                self.faults.add(MissingWeightsError(message))
            self.faults.raise_if_any()
        assert preset is not None and device is not None
        return {"config": config.filled(device=device), "preset": preset, "device": device}


def _check_features(options: Mapping[str, Any]) -> None:
    """Perceptual features that were named are registered; their weights are found later."""
    name = str(options.get("perceptual", AUTO))
    if name not in (AUTO, "none"):
        registry().resolve("features", name.partition(":")[0])


def _check_files(options: Mapping[str, Any]) -> None:
    """Files that were named as parts of an inversion exist."""
    encoder, features = str(options.get("encoder", AUTO)), options.get("perceptual_weights")
    if encoder not in ENCODERS and not Path(encoder).is_file():
        words = ", ".join(ENCODERS)
        raise MissingWeightsError(
            f"{encoder}: no such encoder file; check --encoder, or give one of {words}"
        )
    if features is not None and not Path(str(features)).exists():
        raise MissingWeightsError(f"{features}: no such file; check --perceptual-weights")
