"""pix2pix U-Nets: see ``generator``."""

from .generator import explain, load, recognise

__all__ = ["explain", "load", "recognise"]
