"""The range of a generator's values, watched: images in 0..1 or 0..255 are no images in [-1, 1].

Measured on trained generators of the project's families (128 images each): without an output
function 0.4 % of all values lie beyond ±1.05 and 0.02 % beyond ±1.5 (largest: 2.4), and every
single image goes below -0.5. Networks with random weights reach ±43, with at most 1 value in 20
beyond ±16. So images are refused where no right generator is near, and doubted in between.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from seeingkit.errors import ModelError
from seeingkit.system.devices import fetched

log = logging.getLogger(__name__)

ENOUGH = 16
"""Images that are looked at before values that never go below the middle count as wrong."""
_DARK, _DARKEST = -0.1, -0.5  # below the first is darker than the middle grey; the second surely is
_STRAY = 1e-3  # share of values that may overshoot a range
_FAR, _OUTSIDE = 16.0, 1.5
_DOUBTFUL = 0.05  # share of values beyond ±1.5 from which it is said
_MEND = (
    "scale them in its adapter (the family 'module' does it: --gan-option range=0..1 or "
    "range=0..255)"
)
_BYTES = 8.0  # from here on the brightest value speaks of 0..255


class ValueRange:
    """What the values of a generator's first images were, and what is wrong with them.

    Args:
        name: of the generator, for messages.
        mend: how its images can be mended, for messages.

    >>> seen = ValueRange("mygan")
    >>> seen.add(torch.rand(16, 3, 8, 8) * 2 - 1)
    >>> seen.doubt() is None
    True
    """

    def __init__(self, name: str, mend: str = _MEND) -> None:
        self.name, self.mend, self.images, self.values = name, mend, 0, 0
        self.low, self.high = float("inf"), float("-inf")
        self._dark = self._outside = self._far = 0
        self._said = False

    def add(self, images: Tensor) -> None:
        """Look at images (N, 3, H, W); those with NaN or Inf are left out.

        Raises:
            ModelError: their values are of another range than [-1, 1].
        """
        if self.known:
            return
        flat = fetched(images.detach()).flatten(1)
        flat = flat[torch.isfinite(flat).all(1)]
        if not flat.numel():
            return
        low, high = torch.aminmax(flat)
        size = flat.abs()
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        self._dark += int((flat < _DARK).sum())
        self._outside += int((size > _OUTSIDE).sum())
        self._far += int((size > _FAR).sum())
        self.images += len(flat)
        self.values += flat.numel()
        fault = self._fault()
        if fault is not None:
            raise ModelError(
                f"{self.name}: its images go from {self.low:.3g} to {self.high:.3g}, which is "
                f"{fault}; images of a generator are in [-1, 1]: {self.mend}"
            )

    @property
    def known(self) -> bool:
        """Whether enough images were seen; more change nothing."""
        return self.images >= ENOUGH

    @property
    def never_dark(self) -> bool:
        """Whether next to no value lies in the darker half of [-1, 1]."""
        return self._dark <= _STRAY * self.values and self.low > _DARKEST

    def _fault(self) -> str | None:
        if self.never_dark and self.high > _BYTES:
            return "the range 0..255"
        if self._far > self.values / 2:
            return "a range of whole levels of grey"
        # A range ends where images have pixels: near 0, and near 1.
        if self.known and self.never_dark and self.low < -_DARK and self.high > 0.8:
            return f"the range 0..1: none of {self.images} images has a dark pixel"
        return None

    def say(self) -> str | None:
        """As ``doubt``; the sentence is also logged, once."""
        found = self.doubt()
        if found is not None and not self._said:
            log.warning("%s", found)
            self._said = True
        return found

    def doubt(self) -> str | None:
        """A sentence about a range that may be wrong, or None."""
        if not self.images:
            return None
        ends = f"values of {self.images} images go from {self.low:.3g} to {self.high:.3g}"
        ends = f"{self.name}: {ends}"
        if self._outside > _DOUBTFUL * self.values:
            share = 100 * self._outside / self.values
            return (
                f"{ends}; {share:.0f} % lie beyond ±{_OUTSIDE} and become black or white. Check "
                "that the generator gives images in [-1, 1]."
            )
        if self.never_dark and self.high > self.low:
            return (
                f"{ends}, without a dark pixel. Check that the generator gives images in [-1, 1], "
                "and not in 0..1."
            )
        if self.images >= ENOUGH and max(-self.low, self.high) <= 0.51:
            return (
                f"{ends}, so that no pixel is dark or bright. Check that the generator gives "
                "images in [-1, 1], and not in -0.5..0.5."
            )
        return None
