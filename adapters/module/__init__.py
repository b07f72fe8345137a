"""Generators that are programs: Python callables, TorchScript, ``torch.export``."""

from .generator import load

__all__ = ["load"]
