"""Unified Perceptual Parsing."""

from .files import recognise
from .segmenter import load

__all__ = ["load", "recognise"]
