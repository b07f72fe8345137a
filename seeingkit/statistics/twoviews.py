"""Two views of the same images: how one class differs between two sides, and between the views.

Guarantees: views are compared on pairs (one image, seen twice), so that differences common to both
cancel; p-values are two-sided; a class without any variation gives 1 where there is no difference
and 0 where there is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .arrays import Floats

Areas = Floats
"""(N,) area of one class in percent of each image."""

ROUNDING = 1e-9
"""Percentage points below which a difference is one of floating-point arithmetic."""


@dataclass(frozen=True)
class TwoViews:
    """One class in both views of the same images.

    Attributes:
        real, real_again: (N,) percent of each real image in the first and the second view.
        generated, generated_again: (M,) the same for generated images.
        level: of the comparison's verdicts.
        sharper: the side of higher resolution, where the two are known not to match.
    """

    real: Areas
    real_again: Areas
    generated: Areas
    generated_again: Areas
    level: float
    sharper: Literal["real", "generated"] | None = None

    def above(self, threshold: float) -> TwoViews:
        """The same with 100 where the area is above a threshold, so that means are percent."""
        views = (self.real, self.real_again, self.generated, self.generated_again)
        r1, r2, g1, g2 = (np.where(areas > threshold, 100.0, 0.0) for areas in views)
        return TwoViews(r1, r2, g1, g2, self.level, self.sharper)

    @property
    def first(self) -> tuple[float, float]:
        """Difference generated − real in the first view, and its p-value."""
        return difference(self.real, self.generated)

    @property
    def again(self) -> tuple[float, float]:
        """Difference in the second view, and its p-value."""
        return difference(self.real_again, self.generated_again)

    @property
    def side(self) -> Literal["real", "generated"]:
        """The side whose softening is looked at: the sharper one, where they differ."""
        return self.sharper or "real"

    @property
    def moved(self) -> Areas:
        """Change of that side's images from the first to the second view."""
        if self.side == "real":
            return self.real_again - self.real
        return self.generated_again - self.generated

    @property
    def softening(self) -> tuple[float, float]:
        """Its mean, and the p-value of the paired test that it is zero."""
        mean = float(self.moved.mean())
        return mean, p_value_of(mean, [self.moved])

    @property
    def made(self) -> float:
        """The difference generated − real that softness alone makes."""
        mean = float(self.moved.mean())
        return mean if self.side == "real" else -mean

    @property
    def seen_again(self) -> float:
        """Relative difference in the second view ÷ that in the first; infinite if that is 0.

        Where real images show none of the class in a view, of the plain differences.
        """
        ours = relative(self.real, self.generated)
        theirs = relative(self.real_again, self.generated_again)
        if ours is None or theirs is None:
            ours, theirs = self.first[0], self.again[0]
        return theirs / ours if ours else math.inf

    @property
    def gap(self) -> float:
        """p-value of "both views show the same relative difference".

        That is of D = 0 for D = Ḡ₂ − ρ Ḡ₁ with ρ = R̄₂ / R̄₁ (generated G, real R, views 1 and 2):
        the area of the generated images in the second view beyond that expected from the relative
        difference of the first view. By the delta method its variance is
        var(G₂ − ρ G₁) / m + (Ḡ₁ / R̄₁)² var(R₂ − ρ R₁) / n: of pairs, so that differences common to
        both views cancel. Where the first view sees none in real images, the plain differences are
        compared.
        """
        base = float(self.real.mean())
        if base <= 0:
            real, generated = self.real_again - self.real, self.generated_again - self.generated
            return p_value_of(float(generated.mean() - real.mean()), [real, generated])
        ratio = float(self.real_again.mean()) / base
        generated = self.generated_again - ratio * self.generated
        real = float(self.generated.mean()) / base * (self.real_again - ratio * self.real)
        return p_value_of(float(generated.mean()), [generated, real])


def relative(real: Areas, generated: Areas) -> float | None:
    """Relative difference of the means, (generated − real) / real; None where real has none."""
    mean = float(real.mean())
    return float(generated.mean()) / mean - 1 if mean > 0 else None


def difference(real: Areas, generated: Areas) -> tuple[float, float]:
    """generated − real of two independent samples, and the p-value of Welch's test of zero."""
    difference = float(generated.mean() - real.mean())
    return difference, p_value_of(difference, [real, generated])


def p_value_of(value: float, samples: list[Areas]) -> float:
    """Two-sided p of "this sum of means is zero": t with Welch's (1947) degrees of freedom.

    One sample gives Student's test of paired differences. Where nothing varies, any value is
    beyond noise.
    """
    parts = [float(s.var(ddof=1)) / len(s) for s in samples]
    variance = sum(parts)
    if math.sqrt(variance) <= ROUNDING:
        return float(abs(value) <= ROUNDING)
    from scipy import special

    freedom = variance**2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, samples, strict=True))
    return float(2 * special.stdtr(freedom, -abs(value) / math.sqrt(variance)))
