"""StyleGAN3, T and R."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
