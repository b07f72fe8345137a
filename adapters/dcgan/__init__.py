"""DCGAN and its relatives: stacks of transposed convolutions."""

from .generator import load, recognise

__all__ = ["load", "recognise"]
