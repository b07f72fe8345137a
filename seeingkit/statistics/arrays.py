"""Names of the array types in the signatures of this room, and numbers that may be undefined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Booleans = NDArray[np.bool_]
Ends = tuple[Floats, Floats]
"""Lower and upper ends of intervals, one of each for each case."""


def defined(value: float) -> float | None:
    """The number; None for NaN and infinity."""
    return float(value) if np.isfinite(value) else None
