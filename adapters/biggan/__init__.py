"""BigGAN and BigGAN-deep."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
