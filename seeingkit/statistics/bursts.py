"""Near copies among the images of one side: frames of a film, crops of a photo, series of shots.

Guarantees: the same rows and seed give the same numbers; images of one continuous distribution have
near copies in about ``BY_CHANCE`` of cases, whatever their number and the number of classes.

An image with area fractions a is the point √a. If images lie like independent draws in a space of
D dimensions, then of the distances d₁ ≤ … ≤ d₈ to its nearest neighbours (d₁ / d₈)^D is the least
of seven uniform numbers. D is found from the same distances, farther out: by the median of
d₃₂ / d₈, as (32 / 8)^(1/D) (Levina and Bickel 2004, for the idea of neighbours as a Poisson
process). An image whose nearest neighbour is so close that (d₁ / d₈)^D is below ``CLOSE`` has a
near copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .arrays import Floats, Integers
from .compositions import roots
from .frechet import Rows

CLOSE = 0.01
"""(d₁ / d₈)^D below which the nearest image is called a near copy."""

BY_CHANCE = 1 - (1 - CLOSE) ** 7
"""Share of independent images that have one: 7 %."""

_CELLS = 1 << 22
"""Distances held at once: 32 MB."""

_ROWS = 1 << 16
"""Images whose square roots are held at once, where each is looked at alone."""

NOTED = 0.35
"""Share from which on it is said. Of independent images of the made-up families of
``benchmarks/omissions``, whose density varies much, up to 27 % have one; in bursts of five with
areas that differ by 5 to 20 %, 40 to 100 %."""

ENOUGH = 100
"""Images needed."""

LOOKED_AT = 2000
"""Images whose neighbours are sought, at most; among all images."""

SEVERAL = 4
"""Labels that an image must show: of simple scenes, equal areas are no coincidence."""

NEAR, FAR = 8, 32


class NearCopies(NamedTuple):
    """Images that have a near copy on their own side.

    Attributes:
        share: of the images looked at, in [0, 1]; looked_at: how many.
        first, second: rows of the closest pairs, closest first, at most 3.
    """

    share: float
    looked_at: int
    first: Integers
    second: Integers


def near_copies(percent: Rows | sparse.csr_array, *, seed: int = 0) -> NearCopies | None:
    """How many images have a near copy; None with fewer than ``ENOUGH`` of several labels.

    Args:
        percent: (N, L) areas in percent of one side.
        seed: of the images looked at, where there are more than ``LOOKED_AT``.

    >>> rows = np.random.default_rng(0).dirichlet(np.ones(5), 200) * 100
    >>> near_copies(rows).share < 0.2, near_copies(np.repeat(rows, 2, axis=0)).share
    (True, 1.0)
    """
    percent = sparse.csr_array(percent)
    several = np.flatnonzero(np.diff(percent.indptr) >= SEVERAL)
    if len(several) < ENOUGH:
        return None
    if len(several) > LOOKED_AT:
        several = np.sort(np.random.default_rng([seed, 5]).permutation(several)[:LOOKED_AT])
    squares, nearest = _neighbours(percent, several)
    near, far = squares[:, NEAR - 1], squares[:, FAR - 1]
    apart = near > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.log(np.median(far[apart] / near[apart])) if apart.any() else np.inf
        dimension = 2 * np.log(FAR / NEAR) / spread
        place = np.where(apart, squares[:, 0] / np.where(apart, near, 1.0), 0.0) ** (dimension / 2)
    copied = place < CLOSE
    order = np.argsort(squares[:, 0], kind="stable")
    # Two images that are nearest to each other come twice.
    seen = [tuple(sorted((int(several[k]), int(nearest[k])))) for k in order[:6] if copied[k]]
    pairs = np.array(list(dict.fromkeys(seen))[:3], dtype=np.intp).reshape(-1, 2)
    return NearCopies(float(copied.mean()), len(several), pairs[:, 0], pairs[:, 1])


def _neighbours(percent: sparse.csr_array, chosen: Integers) -> tuple[Floats, Integers]:
    """Squared distances (k, ``FAR``) to the nearest other points, in order, and the nearest row."""
    own = roots(percent[chosen])
    labels = np.unique(own.indices)
    points, lengths = own[:, labels].toarray(), _lengths(own)
    squares, nearest = np.full((len(chosen), FAR), np.inf), np.zeros(len(chosen), dtype=np.intp)
    step = max(FAR, _CELLS // len(chosen))
    for start in range(0, percent.shape[0], step):
        others = roots(percent[start : start + step])
        found = points @ others[:, labels].toarray().T
        found *= -2
        found += lengths[:, None]
        found += _lengths(others)
        inside = np.flatnonzero((chosen >= start) & (chosen < start + step))
        found[inside, chosen[inside] - start] = np.inf
        found[found < 1e-13] = 0.0  # float64's rounding, far below one pixel
        place = found.argmin(axis=1)
        nearer = found[np.arange(len(found)), place] < squares[:, 0]
        nearest[nearer] = start + place[nearer]
        if found.shape[1] > FAR:
            found.partition(FAR - 1, axis=1)
        squares = np.sort(np.hstack([squares, found[:, :FAR]]), axis=1)[:, :FAR]
    return squares, nearest


def _lengths(points: sparse.csr_array) -> Floats:
    """(N,) squared lengths."""
    return np.asarray(points.multiply(points).sum(axis=1)).ravel()


ORDERED = 0.8
"""Ratio of distances of neighbours by name to those of all images, below which it is said."""

SURE = 4.0
"""Standard errors that this ratio lies below 1."""


def likeness_in_order(
    percent: Rows | sparse.csr_array,
    folders: Sequence[object] | Integers | None = None,
    order: Integers | None = None,
) -> float | None:
    """Squared distance of images that follow each other ÷ that of images of one folder, on average.

    About 1 where the order says nothing, as of independent images; below where images that follow
    each other are alike, as frames are (von Neumann 1941). None with fewer than ``ENOUGH`` pairs,
    or where the ratio is not ``SURE`` standard errors below 1.

    Args:
        percent: (N, L) areas in percent.
        folders: of each image, in the order of their names, or its number (``numbered``); only
            images of one folder are compared.
        order: (N,) the rows in the order of their names, where they are not so.

    >>> rows = np.random.default_rng(0).dirichlet(np.ones(5), 400) * 100
    >>> likeness_in_order(rows), round(likeness_in_order(np.repeat(rows, 5, axis=0)), 1)
    (None, 0.2)
    """
    percent = sparse.csr_array(percent)
    order = np.arange(percent.shape[0]) if order is None else order
    place = numbered(folders if folders is not None else [None] * len(order))
    together = np.flatnonzero(place[1:] == place[:-1])
    if len(together) < ENOUGH:
        return None
    squares = np.empty(len(together))
    for start in range(0, len(together), _ROWS):
        part = together[start : start + _ROWS]
        difference = roots(percent[order[part]]) - roots(percent[order[part + 1]])
        squares[start : start + _ROWS] = _lengths(difference)
    expected = _any_two(percent, place, order)[place[together]]
    if not expected.sum() > 0:
        return None
    ratio = float(squares.sum() / expected.sum())
    excess = squares - ratio * expected
    error = float(np.sqrt((excess**2).sum())) / float(expected.sum())
    return ratio if ratio < min(ORDERED, 1 - SURE * error) else None


ALIKE = 0.5
"""Ratio of distances within folders to all distances, below which it is said."""


def likeness_in_folders(
    percent: Rows | sparse.csr_array,
    folders: Sequence[object] | Integers,
    order: Integers | None = None,
) -> float | None:
    """Mean squared distance of two images of one folder ÷ that of any two images.

    None with one folder, with fewer than ``ENOUGH`` images that share theirs, or from ``ALIKE`` on.
    Films in a folder each are alike, and so are kinds of scene: the ratio does not tell them apart.
    Arguments as of ``likeness_in_order``.

    >>> rows = np.random.default_rng(0).dirichlet(np.ones(5), 40) * 100
    >>> likeness_in_folders(np.repeat(rows, 5, axis=0), np.repeat(range(40), 5).tolist())
    0.0
    """
    percent, place = sparse.csr_array(percent), numbered(folders)
    order = np.arange(percent.shape[0]) if order is None else order
    sizes = np.bincount(place)
    shared = sizes > 1
    if len(sizes) < 2 or sizes[shared].sum() < ENOUGH:
        return None
    together = np.average(_any_two(percent, place, order)[shared], weights=sizes[shared])
    everywhere = _any_two(percent, np.zeros_like(place), order)[0]
    ratio = float(together / everywhere) if everywhere > 0 else 1.0
    return round(ratio, 12) if ratio < ALIKE else None


def numbered(folders: Sequence[object] | Integers) -> Integers:
    """(N,) the number of each image's folder, in the order of their names.

    >>> numbered(["b", "a", "b"])
    array([1, 0, 1])
    """
    if isinstance(folders, np.ndarray):
        return folders
    names = [str(each) for each in folders]
    places = {name: k for k, name in enumerate(sorted(set(names)))}
    return np.fromiter((places[name] for name in names), np.intp, len(names))


def _any_two(percent: sparse.csr_array, place: Integers, order: Integers) -> Floats:
    """(F,) mean squared distance of any two images of each folder; 0 for a single one.

    Args:
        place: (N,) folders of the rows in this order.
    """
    sizes = np.bincount(place)
    shape = (len(sizes), percent.shape[1])
    lengths, sums = np.zeros(len(sizes)), sparse.csr_array(shape)
    for start in range(0, len(order), _ROWS):
        points = roots(percent[order[start : start + _ROWS]])
        folders = place[start : start + _ROWS]
        lengths += np.bincount(folders, _lengths(points), minlength=len(sizes))
        ones, images = np.ones(len(folders)), np.arange(len(folders))
        within = sparse.csr_array((ones, (folders, images)), shape=(len(sizes), len(folders)))
        sums = sums + within @ points
    about_mean = np.maximum(lengths - _lengths(sums) / sizes, 0.0)
    return np.asarray(2 * about_mean / np.maximum(sizes - 1, 1))
