"""The hook that a plugin implements, and the marker for it. Importing this never imports torch.

A plugin is a module named by an entry point in the group ``seeingkit``::

    from seeingkit.hooks import Register, hookimpl
    from seeingkit.specs import GanSpec

    @hookimpl
    def seeingkit_register(register: Register) -> None:
        register(GanSpec(name="mygan", summary="…", target="mypackage.model:load"))
"""

from __future__ import annotations

from typing import Protocol

import pluggy

from seeingkit.specs import Preset, Spec

PROJECT = "seeingkit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """What a plugin calls for each thing it brings."""

    def __call__(self, spec: Spec | Preset) -> None:
        """Register one spec (or a preprocessing preset)."""


class Hooks:
    """The hook specifications."""

    @hookspec
    def seeingkit_register(self, register: Register) -> None:
        """Call ``register(spec)`` for each thing that the plugin brings, of any kind."""
