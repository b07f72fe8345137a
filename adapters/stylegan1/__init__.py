"""StyleGAN, the first generation."""

from .generator import load, recognise

__all__ = ["load", "recognise"]
