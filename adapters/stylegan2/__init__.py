"""StyleGAN2 and ADA."""

from .generator import load, recognise

__all__ = ["load", "recognise"]
