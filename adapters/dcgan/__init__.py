"""DCGAN and its relatives: stacks of transposed convolutions."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
