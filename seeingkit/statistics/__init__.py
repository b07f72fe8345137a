"""Statistics of class areas: the Fréchet distance, resampling, and per-class tests."""

from .classes import compare_classes
from .distance import Distance, measure_distance
from .frechet import FSD, Moments, frechet, fsd_of_rows, moments
from .products import Pool
from .resampling import Floor, disjoint_half_floor

__all__ = [
    "FSD",
    "Distance",
    "Floor",
    "Moments",
    "Pool",
    "compare_classes",
    "disjoint_half_floor",
    "frechet",
    "fsd_of_rows",
    "measure_distance",
    "moments",
]
