"""ALI: adversarially learned inference, a generator and its encoder (Dumoulin et al. 2017)."""

from .encoder import load_encoder, recognise_encoder
from .generator import explain, load, recognise

__all__ = ["explain", "load", "load_encoder", "recognise", "recognise_encoder"]
