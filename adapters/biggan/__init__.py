"""BigGAN and BigGAN-deep."""

from .generator import load, recognise

__all__ = ["load", "recognise"]
