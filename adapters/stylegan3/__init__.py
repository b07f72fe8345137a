"""StyleGAN3, T and R."""

from .generator import load, recognise

__all__ = ["load", "recognise"]
