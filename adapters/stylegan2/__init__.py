"""StyleGAN2 and ADA."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
