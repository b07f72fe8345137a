"""StyleGAN, the first generation."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
