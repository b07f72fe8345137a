"""Statistics of class areas: the Fréchet distance, resampling, and per-class tests.

All take areas in percent of the image, (N, L) for N images and L labels::

    pool = Pool(real_rows, generated_rows)
    distance = measure_distance(pool, permutations=1000)
    labels = [("-", "background"), ("wall", "object"), ("person", "object")]
    classes = compare_classes(
        pool, labels, permuted=distance.permuted, transport=distance.transport
    )
"""

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
