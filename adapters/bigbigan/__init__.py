"""Small BigBiGANs: a generator and an encoder in one file (Donahue and Simonyan 2019)."""

from .encoder import load_encoder, recognise_encoder
from .generator import explain, load, recognise

__all__ = ["explain", "load", "load_encoder", "recognise", "recognise_encoder"]
