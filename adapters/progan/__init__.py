"""Progressive GAN."""

from .generator import load, recognise

__all__ = ["load", "recognise"]
