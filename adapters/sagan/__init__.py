"""SAGAN with transposed convolutions, as heykeetae's code saves it."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
