"""Statistics of class areas: the Fréchet distance, resampling, and per-class tests."""

from .classes import compare_classes
from .frechet import FSD, Moments, frechet, fsd_of_rows, moments
from .resampling import Floor, bias_reduced, disjoint_half_floor, permutation_p_value

__all__ = [
    "FSD",
    "Floor",
    "Moments",
    "bias_reduced",
    "compare_classes",
    "disjoint_half_floor",
    "frechet",
    "fsd_of_rows",
    "moments",
    "permutation_p_value",
]
