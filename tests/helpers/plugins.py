"""Plugins made for a test, and registries that hold nothing else."""

from __future__ import annotations

import itertools
import types

import pytest

from seeingkit.hooks import Register, hookimpl
from seeingkit.models.registry import PluginRecord, Registry, registry


def plugin(*specs: object, error: Exception | None = None) -> types.ModuleType:
    """A plugin that registers these, and then fails if it has an error."""

    @hookimpl
    def seeingkit_register(register: Register) -> None:
        for spec in specs:
            register(spec)  # type: ignore[arg-type]
        if error:
            raise error

    module = types.ModuleType("made_for_a_test")
    module.seeingkit_register = seeingkit_register  # type: ignore[attr-defined]
    return module


def registry_of(*specs: object) -> Registry:
    """A registry that knows only these."""
    found = Registry()
    found.add(plugin(*specs), PluginRecord("made", "for a test", "0", __name__))
    return found


def register_here(monkeypatch: pytest.MonkeyPatch, *specs: object) -> None:
    """Register these in the registry of this process, until the test has ended."""
    known = registry()
    for name in ("_specs", "_presets", "_origin"):
        monkeypatch.setattr(known, name, dict(getattr(known, name)))
    name = f"made-{next(_NUMBERS)}"  # each name is taken once
    known.add(plugin(*specs), PluginRecord(name, "for a test", "0", __name__))


_NUMBERS = itertools.count()
