"""The former home of the hook; new plugins import it from ``seeingkit.specs``."""

from .specs import PROJECT, Hooks, Register, hookimpl, hookspec

__all__ = ["PROJECT", "Hooks", "Register", "hookimpl", "hookspec"]
