"""ADE20K networks of CSAIL semantic-segmentation-pytorch."""

from .files import recognise
from .segmenter import load

__all__ = ["load", "recognise"]
