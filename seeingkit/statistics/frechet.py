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
from scipy import sparse
from scipy.linalg import lapack

from seeingkit.errors import TallyError

from .arrays import Floats

Rows = Floats
"""(N, L) area of each label in percent of the image."""


class FSD(NamedTuple):
    """A distance and its two terms, percent²; ``float`` of it is its value.

    >>> float(FSD(25.0, 9.0, 16.0))
    25.0
    """

    value: float
    mean_term: float
    cov_term: float

    def __float__(self) -> float:
        return self.value

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
    mean: Floats
    cov: Floats


def moments(rows: Rows | sparse.csr_array) -> Moments:
    """Mean and covariance of rows (N, L), dense or sparse.

    Two passes for dense rows. For sparse rows the cross product is formed first and the mean
    removed after, which is safe here: areas are bounded by 100 and float64 has 15 digits.

    Raises:
        TallyError: fewer than two rows, or a value that is not finite.

    >>> moments(np.array([[10.0, 20.0], [30.0, 40.0]])).mean
    array([20., 30.])
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


def factor(a: Floats) -> Floats:
    """F (L, r) with A = F Fᵀ for a positive semidefinite A (L, L) of rank r.

    Cholesky with pivots (LAPACK ``dpstrf``): it stops where only rounding is left, so that
    matrices of fewer images than labels are as exact as others, and cheaper.
    """
    if not a.any():
        return np.zeros((len(a), 0))
    lower, pivots, rank, _ = lapack.dpstrf(a, lower=1)
    found = np.zeros_like(a)
    found[pivots - 1] = np.tril(lower)
    return found[:, :rank]


def trace_sqrt_product(a: Floats, b: Floats) -> float:
    """tr((A B)^½) of two positive semidefinite matrices: with A = F Fᵀ, tr((Fᵀ B F)^½).

    Eigenvalues below rounding are zero by definition of semidefinite and are set so.
    """
    live = (np.diag(a) > 0) & (np.diag(b) > 0)  # a label without variance adds nothing
    if not live.any():
        return 0.0
    a, b = a[np.ix_(live, live)], b[np.ix_(live, live)]
    wide = factor(a)
    inner = wide.T @ b @ wide
    inside = np.linalg.eigvalsh((inner + inner.T) / 2)
    return float(np.sqrt(np.clip(inside, 0, None)).sum())


def frechet(a: Moments, b: Moments) -> FSD:
    """The distance of two moments; exactly zero when they are equal.

    >>> a, b = (moments(np.array([[x], [x + 2.0]])) for x in (0.0, 3.0))
    >>> float(frechet(a, b).value)
    9.0
    """
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


def distance_value(a: Moments, b: Moments) -> float:
    """``frechet(a, b).value`` at half the cost: from one side alone, so symmetric to rounding."""
    difference = a.mean - b.mean
    spread = np.trace(a.cov) + np.trace(b.cov) - 2 * trace_sqrt_product(a.cov, b.cov)
    return float(difference @ difference + max(0.0, spread))


class Transport(NamedTuple):
    """The optimal transport between two Gaussians with these moments (Dowson & Landau 1982).

    Attributes:
        forth, back: (L, L) symmetric maps from the first covariance to the second, and back.
        mean_terms, cov_terms: (L,) contributions of the labels to the two terms of the distance:
            expected squared movement of the area under the transport. Never negative; sums are the
            terms.
    """

    forth: Floats
    back: Floats
    mean_terms: Floats
    cov_terms: Floats


def transport(a: Moments, b: Moments) -> Transport:
    """Which labels make the distance, and the maps from which its influence function follows.

    With S₁ = F Fᵀ, S₂ = H Hᵀ and the singular values Fᵀ H = U Σ Vᵀ, the optimal coupling has the
    cross-covariance C = F U Vᵀ Hᵀ, of trace tr Σ; the maps are T = H V Σ⁺ Vᵀ Hᵀ from S₁ to S₂ and
    F U Σ⁺ Uᵀ Fᵀ back. Nothing is inverted but Σ, so singular covariances are as exact as others.
    Label k adds (m₁ − m₂)ₖ² to the mean term and (S₁ + S₂ − C − Cᵀ)ₖₖ to the covariance term: the
    coordinates of E|X − Y|².
    """
    difference = a.mean - b.mean
    first, second = factor(a.cov), factor(b.cov)
    u, s, vt = np.linalg.svd(first.T @ second, full_matrices=False)
    keep = s > np.max(s, initial=0.0) * 1e-10
    here, there = first @ u[:, keep], second @ vt[keep].T
    cov_terms = np.diag(a.cov) + np.diag(b.cov) - 2 * np.einsum("kj,kj->k", here, there)
    return Transport(
        (there / s[keep]) @ there.T,
        (here / s[keep]) @ here.T,
        difference**2,
        np.clip(cov_terms, 0.0, None),
    )


def influence(
    rows: Rows | sparse.csr_array,
    own: Moments,
    other: Moments,
    way: Floats,
    images: slice = slice(None),
) -> Floats:
    """(N,) how much each image of one side pulls on the distance (its influence function).

    The derivative of the distance with respect to S₁ is 1 − T, T the map from S₁ to S₂, and with
    respect to m₁ it is 2 (m₁ − m₂); so an image x at y = x − m₁ has 2 y·(m₁ − m₂) + yᵀ(1 − T)y,
    less the mean of that. Its variance over N is the squared standard error far from the null.

    Args:
        rows: (N, L) areas in percent, or of more images, of which the side's are ``images``.
        own, other: moments of the side and of the other one; way: map from the first to the second.
    """
    first, stop, _ = images.indices(rows.shape[0])
    gradient = np.eye(len(own.mean)) - way
    slope = 2 * (own.mean - other.mean)
    found = np.empty(stop - first)
    for start in range(0, len(found), 8192):
        part = rows[first + start : min(first + start + 8192, stop)]
        dense = sparse.csr_array(part).toarray()  # only a part at a time
        centred = dense - own.mean
        found[start : start + 8192] = centred @ slope + np.einsum(
            "ij,ij->i", centred @ gradient, centred
        )
    return np.asarray(found - found.mean())


def fsd_of_rows(a: Rows | sparse.csr_array, b: Rows | sparse.csr_array) -> FSD:
    """FSD of rows in percent: (N, L) against (M, L).

    >>> float(fsd_of_rows(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])).value)
    9.0
    """
    return frechet(moments(a), moments(b))
