"""ADE20K networks of CSAIL semantic-segmentation-pytorch."""

from .segmenter import load

__all__ = ["load"]
