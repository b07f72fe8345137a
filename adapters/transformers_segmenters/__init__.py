"""Segmenters of the library ``transformers``."""

from .segmenter import load

__all__ = ["load"]
