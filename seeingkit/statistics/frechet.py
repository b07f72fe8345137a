"""Fréchet Segmentation Distance between two sets of class-area rows.

Guarantees: real and finite for every pair of inputs (full rank, rank deficient, one row more than
none), symmetric, exactly 0 for identical moments, and equal to the reference formula with scipy's
``sqrtm`` to 1e-6 relative.

Formula (Bau et al. 2019, section 3.1; Dowson & Landau 1982):
FSD = |m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁ S₂)^½), rows in percent of the image, all labels of the object
plane including number 0, covariance with ddof 1. So the unit is percent².
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import TallyError

Rows = NDArray[np.float64]
"""(N, L) area of each label in percent of the image."""


class FSD(NamedTuple):
    """A distance and its two terms, percent²."""

    value: float
    mean_term: float
    cov_term: float

    def to_dict(self) -> dict[str, float | str]:
        """The keys of ``results.json``."""
        return {**self._asdict(), "unit": "percent^2"}

    def _repr_html_(self) -> str:
        return (
            f"FSD <b>{self.value:.4g}</b> percent² "
            f"(mean {self.mean_term:.4g} + covariance {self.cov_term:.4g})"
        )


class Moments(NamedTuple):
    """Mean (L,) and covariance (L, L) with ddof 1 of n rows."""

    n: int
    mean: NDArray[np.float64]
    cov: NDArray[np.float64]


def moments(rows: Rows | sparse.csr_array) -> Moments:
    """Mean and covariance of rows (N, L), dense or sparse.

    Two passes for dense rows. For sparse rows the cross product is formed first and the mean
    removed after, which is safe here: areas are bounded by 100 and float64 has 15 digits.

    Raises:
        TallyError: fewer than two rows, or a value that is not finite.
    """
    n = rows.shape[0]
    if n < 2:
        raise TallyError(f"a covariance needs at least 2 images, there are {n}")
    if sparse.issparse(rows):
        mean = np.asarray(rows.mean(axis=0)).ravel()
        cross = sparse.csr_array(rows.T @ rows).toarray()
        cov = (cross - n * np.outer(mean, mean)) / (n - 1)
    else:
        dense = np.asarray(rows, dtype=np.float64)
        mean = dense.mean(axis=0)
        centred = dense - mean
        cov = centred.T @ centred / (n - 1)
    if not (np.isfinite(mean).all() and np.isfinite(cov).all()):
        raise TallyError("class areas hold NaN or Inf; the tally is damaged")
    return Moments(n, mean, cov)


def trace_sqrt_product(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """tr((A B)^½) of two positive semidefinite matrices, through A^½ B A^½ which is symmetric.

    Eigenvalues below rounding are zero by definition of semidefinite and are set so.
    """
    live = (np.diag(a) > 0) & (np.diag(b) > 0)  # a label without variance adds nothing
    if not live.any():
        return 0.0
    a, b = a[np.ix_(live, live)], b[np.ix_(live, live)]
    values, vectors = np.linalg.eigh(a)
    # A = F Fᵀ with F = V sqrt(d); the non-zero eigenvalues of A B are those of Fᵀ B F, which is
    # only rank(A) wide: fewer images than labels make it cheaper, not less exact.
    keep = values > values[-1] * len(values) * np.finfo(np.float64).eps
    factor = vectors[:, keep] * np.sqrt(values[keep])
    inner = factor.T @ b @ factor
    inside = np.linalg.eigvalsh((inner + inner.T) / 2)
    return float(np.sqrt(np.clip(inside, 0, None)).sum())


def frechet(a: Moments, b: Moments) -> FSD:
    """The distance of two moments; exactly zero when they are equal."""
    if a.mean.shape != b.mean.shape:
        raise TallyError(f"{len(a.mean)} labels cannot be compared with {len(b.mean)}")
    difference = a.mean - b.mean
    mean_term = float(difference @ difference)
    if np.array_equal(a.cov, b.cov):
        cov_term = 0.0
    else:
        first = trace_sqrt_product(a.cov, b.cov)
        second = trace_sqrt_product(b.cov, a.cov)  # averaged so that d(a, b) = d(b, a) to the bit
        sums = float(np.trace(a.cov) + np.trace(b.cov))
        cov_term = max(0.0, sums - (first + second))
    return FSD(mean_term + cov_term, mean_term, cov_term)


def fsd_of_rows(a: Rows | sparse.csr_array, b: Rows | sparse.csr_array) -> FSD:
    """FSD of rows in percent: (N, L) against (M, L)."""
    return frechet(moments(a), moments(b))
