"""How well a unit above its level agrees with a class: IoU, information quality, accuracy.

Guarantees: each is a function of four counts of pixels over a whole sample (never a mean over
images), float64, and 0 where it has no meaning (no pixel above the level and none of the class).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def iou(both: ArrayLike, active: ArrayLike, area: ArrayLike) -> Floats:
    """Intersection over union (Bau et al., ICLR 2019, equation 1), of any shapes that broadcast.

    Args:
        both: pixels that are above the level and of the class.
        active: pixels above the level.
        area: pixels of the class.

    >>> float(iou(2, 3, 5))
    0.3333333333333333
    """
    both = np.asarray(both, np.float64)
    union = np.asarray(np.add(active, area) - both)
    found: Floats = np.divide(both, union, out=np.zeros(union.shape), where=union > 0)
    return found


def accuracy(both: ArrayLike, active: ArrayLike, area: ArrayLike, total: ArrayLike) -> Floats:
    """Share of pixels that are above the level and of the class, or neither.

    >>> float(accuracy(2, 3, 5, 10))
    0.6
    """
    wrong = np.add(active, area) - 2.0 * np.asarray(both, np.float64)
    return np.asarray(1 - wrong / np.asarray(total, np.float64), np.float64)


def information_quality(
    both: ArrayLike, active: ArrayLike, area: ArrayLike, total: ArrayLike
) -> Floats:
    """Mutual information over joint entropy of "above the level" and "of the class", 0 to 1.

    The ratio by which a level is chosen (Bau et al., ICLR 2019, section 3.1:
    t = argmax I(r > t; s) / H(r > t, s)).

    >>> float(information_quality(5, 5, 5, 10)), float(information_quality(1, 2, 5, 10))
    (1.0, 0.0)
    """
    total, both = np.asarray(total, np.float64), np.asarray(both, np.float64)
    active, area = np.asarray(active, np.float64), np.asarray(area, np.float64)
    p1, q1 = active / total, area / total
    # Differences of whole numbers, which are exact: a cell that is empty is 0, and no rounding.
    cells = (
        (both / total, p1 * q1),
        ((active - both) / total, p1 * (1 - q1)),
        ((area - both) / total, (1 - p1) * q1),
        ((total - active - area + both) / total, (1 - p1) * (1 - q1)),
    )
    shape = np.broadcast_shapes(*(np.shape(cell) for cell, _ in cells))
    information, entropy = np.zeros(shape), np.zeros(shape)
    for joint, apart in cells:
        joint, apart = np.broadcast_to(joint, shape), np.broadcast_to(apart, shape)
        there = joint > 0
        log = np.log(joint, out=np.zeros(shape), where=there)
        information += joint * (log - np.log(apart, out=np.zeros(shape), where=there))
        entropy -= joint * log
    found = np.divide(information, entropy, out=np.zeros(shape), where=entropy > 0)
    return np.asarray(np.where(found < 1e-15, 0.0, found))  # independent but for rounding
