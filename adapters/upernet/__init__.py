"""Unified Perceptual Parsing."""

from .segmenter import load

__all__ = ["load"]
