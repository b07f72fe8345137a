"""Plants an omission whose size is known into the areas of generated images.

Guarantees: only the chosen images change; in them the class keeps ``keep`` times its area, and
what it loses goes to one other label of the same image, so the sum of each row stays as it was;
images that do not show the class are never touched.

A generator that cannot draw a person paints what lies behind instead. So the area goes to the
largest other label of the image (or to a given class, for a swap), not to all in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .families import Rows


@dataclass(frozen=True)
class Plant:
    """What is done to the generated images.

    Attributes:
        label: number of the class that suffers.
        share: each image that shows it is chosen with this probability, by itself, so that the
            planted images are again independent draws from one distribution.
        keep: what is left of its area in a chosen image, as a factor; 0 removes it.
        into: the class that receives the area; None: the largest other label of the image.
    """

    label: int
    share: float = 1.0
    keep: float = 0.0
    into: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not 0 <= self.keep <= 1:
            raise ValueError(f"share {self.share} and keep {self.keep} must lie in [0, 1]")
        if self.label < 0 or self.into == self.label:
            raise ValueError(f"label {self.label} cannot be given to {self.into}")

    @property
    def kind(self) -> str:
        """``removed``, ``thinned`` or ``swapped``."""
        return "swapped" if self.into is not None else "thinned" if self.keep else "removed"

    def words(self, classes: tuple[str, ...]) -> str:
        """What was done, for a table."""
        name, share = classes[self.label], f"{100 * self.share:g} %"
        if self.into is not None:
            return f"{name} turned into {classes[self.into]} in {share} of its images"
        if self.keep:
            return f"{name} × {self.keep:g} in {share} of its images"
        return f"{name} removed from {share} of its images"


def plant(rows: Rows, what: Plant, rng: np.random.Generator) -> Rows:
    """A copy of (N, L) rows with the omission planted.

    One uniform number is drawn for each row, so what happens to an image does not depend on the
    others. An image that shows nothing but the class gives its area to label 0 (to label 1, if
    label 0 is the class).

    Raises:
        ValueError: the label or the receiver is not a column of the rows, or there is only one.
    """
    n, size = rows.shape
    if max(what.label, what.into or 0) >= size or size < 2:
        raise ValueError(f"{what} does not fit rows of {size} labels")
    chosen = np.flatnonzero((rows[:, what.label] > 0) & (rng.random(n) < what.share))
    planted = rows.copy()
    lost = (1 - what.keep) * rows[chosen, what.label]
    planted[chosen, what.label] = rows[chosen, what.label] - lost
    if what.keep == 0:
        planted[chosen, what.label] = 0.0
    planted[chosen, receivers(rows, chosen, what)] += lost
    return planted


def receivers(rows: Rows, chosen: NDArray[np.intp], what: Plant) -> NDArray[np.intp]:
    """(len(chosen),) number of the label that gets the area in each chosen image."""
    if what.into is not None:
        return np.full(len(chosen), what.into)
    others = rows[chosen]
    others[:, what.label] = 0.0
    largest: NDArray[np.intp] = others.argmax(axis=1)
    largest[others.max(axis=1, initial=0.0) == 0] = 1 if what.label == 0 else 0
    return largest
