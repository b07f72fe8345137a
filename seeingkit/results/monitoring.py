"""The record of one check of a generator while it is trained (``seeingkit.Monitor``)."""

from __future__ import annotations

from pydantic import Field

from seeingkit.errors import printable

from .comparison import FSDResult
from .records import Record

_NOTHING = 1e-9  # percent², from which on an end of the interval is shown


class TrainingCheck(Record):
    """What the images of a training lack at the moment of a check.

    Attributes:
        images: generated images that were compared; real_images: real ones, as many.
        skipped: generated images that could not be used, such as those with NaN in them.
        fsd: the distance with its floor, interval and p-value, percent².
        missing: classes that are surely gone by at least half, largest real area first.
        level: false discovery rate of ``missing`` at this check: of the classes claimed to differ,
            at most this share is claimed wrongly on average.
        number: of this check, from 1 on.
        level_so_far: sum of the levels of all checks until now, at most 1: if nothing ever
            differed, a class would be claimed at any of them with at most this probability.
        warnings: what a reader must know of the comparison.

    ``float(record)`` is ``fsd.value``.

    >>> fsd = FSDResult(value=25.0, mean_term=9.0, cov_term=16.0, floor=2.0)
    >>> check = TrainingCheck(
    ...     images=500, real_images=500, fsd=fsd, missing=["door"], level=0.05, number=1,
    ...     level_so_far=0.05,
    ... )
    >>> print(check)
    FSD 25 (real images among themselves: 2), 500 images; missing: door (false claims: at most 5 %)
    """

    images: int
    real_images: int
    skipped: int = 0
    fsd: FSDResult
    missing: list[str] = Field(default_factory=list)
    level: float
    number: int
    level_so_far: float
    warnings: list[str] = Field(default_factory=list)

    def __float__(self) -> float:
        return self.fsd.value

    def __str__(self) -> str:
        fsd, notes = self.fsd, []
        if fsd.ci_low is not None and fsd.ci_high is not None:
            confidence = f"{100 * fsd.confidence:g} %"
            low = fsd.ci_low if fsd.ci_low > _NOTHING else 0.0
            notes.append(f"{confidence} interval {low:,.4g} to {fsd.ci_high:,.4g}")
        if fsd.floor is not None:
            notes.append(f"real images among themselves: {fsd.floor:,.4g}")
        around = f" ({'; '.join(notes)})" if notes else ""
        skipped = f", {self.skipped:,} could not be used" if self.skipped else ""
        names = ", ".join(map(printable, self.missing)) or "no class for sure"
        rate = f"(false claims: at most {100 * self.level:.3g} %)"
        found = f"FSD {fsd.value:,.4g}{around}, {self.images:,} images{skipped}"
        return f"{found}; missing: {names} {rate}"

    def numbers(self) -> dict[str, float]:
        """The numbers by name, as trackers of trainings take them; what is not known is left out.

        >>> fsd = FSDResult(value=25.0, mean_term=9.0, cov_term=16.0)
        >>> TrainingCheck(
        ...     images=9, real_images=9, fsd=fsd, level=0.05, number=1, level_so_far=0.05
        ... ).numbers()
        {'fsd': 25.0, 'missing_classes': 0.0}
        """
        known = {
            "fsd": self.fsd.value,
            "fsd_low": self.fsd.ci_low,
            "fsd_high": self.fsd.ci_high,
            "fsd_floor": self.fsd.floor,
            "missing_classes": float(len(self.missing)),
        }
        return {name: value for name, value in known.items() if value is not None}
