"""The settings of a tracing, and the series of latents that it uses."""

from __future__ import annotations

from dataclasses import dataclass

from seeingkit.contracts.latents import Series, further_seed
from seeingkit.errors import UsageError

UNITS = 20
"""Chosen for each class where nothing is said, as in GAN Dissection (Bau et al., ICLR 2019)."""


@dataclass(frozen=True)
class TracingSettings:
    """How classes are traced to units.

    Attributes:
        layer: name or alias of a boundary with a feature map.
        units: chosen for each class; None: ``UNITS``, or half of the layer's where it has few.
        n: images that effects are measured on.
        search: images of each series in which units and strengths are searched.
        dissected: images of the agreement of units and classes.
        random: sets of as many random units, as control.
        places: insertions in each image, at random cells.
        most: classes of each kind that are traced, largest difference first.
        level: false discovery rate of all claims.
        seed: of the comparison.

    Raises:
        UsageError: a number that cannot be right.

    >>> TracingSettings("r8.conv1", n=50).units_of(128)
    20
    """

    layer: str
    units: int | None = None
    n: int = 200
    search: int = 100
    dissected: int = 480
    random: int = 5
    places: int = 2
    most: int = 6
    level: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"units": 1, "n": 50, "search": 20, "dissected": 160, "random": 2}
        least |= {"places": 1, "most": 1}
        for name, smallest in least.items():
            given = getattr(self, name)
            if given is not None and given < smallest:
                option = f"--{name}"
                raise UsageError(f"{option} {given}: take {smallest} or more")
        if not 0 < self.level < 1:
            raise UsageError(f"--level {self.level:g}: take a number between 0 and 1")

    def units_of(self, available: int) -> int:
        """How many units of a layer are chosen.

        Args:
            available: units of the layer.

        Raises:
            UsageError: more than it has.

        >>> TracingSettings("layer2").units_of(16)
        8
        """
        if self.units is None:
            return min(UNITS, max(1, available // 2))
        if self.units > available:
            raise UsageError(
                f"--units {self.units}: {self.layer!r} has {available} units; choose fewer"
            )
        return self.units

    @property
    def effect_seed(self) -> int:
        """Of the images that effects are measured on."""
        return further_seed(self.seed, Series.TRACED)

    @property
    def strength_seed(self) -> int:
        """Of the images in which a strength is searched."""
        return further_seed(self.seed, Series.STRENGTH)
