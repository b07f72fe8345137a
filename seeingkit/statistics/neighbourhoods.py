"""Neighbourhoods of real images among compositions of classes, and the images in them.

Guarantees: every number depends on ids, areas and seed, not on the order of images or classes; a
generated image with exactly the areas of a real one is at distance 0 from it; memory stays below
1 GiB at 50,000 images a side.

An image with area fractions a is the point √a; the distance of two images is Euclidean there
(Hellinger). The neighbourhood of a real image reaches to its k-th nearest other real image
(Naeem et al. 2020, section 3). Neighbourhoods are taken of real images only, so one strange
generated image covers little. A kind of scene that fewer than k + 1 real images show has
neighbourhoods that reach to other kinds, and can't be seen to be missing.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from seeingkit.errors import UsageError
from seeingkit.tallies import Tally

from .arrays import Booleans, Floats, Integers
from .compositions import roots

ROUNDING = 1e-13
"""Squared distances this close are equal: far above float64's rounding, far below one pixel."""

CELLS = 2_000_000
"""Distances held at once: 16 MB."""


class Nearest(NamedTuple):
    """The images of one side that are nearest to each of N real images, nearest first.

    Attributes:
        places: (N, K) where they stand among the images used of that side.
        squares: (N, K) squared distances, 0 for copies.
    """

    places: Integers
    squares: Floats


class Neighbourhoods(NamedTuple):
    """The images around each real image that was used. Arrays have one entry for each, N in all.

    Attributes:
        k: of the neighbourhoods.
        rows_real: rows in the real tally, in the order in which they were drawn.
        rows_generated: (M,) rows in the generated tally that were used.
        radius: distance to the k-th nearest other real image; 0 where there are k copies.
        within: how many other real images are no farther than that (k, or more with ties).
        held: how many generated images are no farther than that.
        distance: distance to the nearest generated image; nearest: its row in its tally.
        ratio: distance ÷ radius. Where the radius is 0, ÷ distance to the nearest real image that
            is different (√2, the longest distance, if there is none).
        real, generated: the nearest 4 k + 20 of each side (all, where there are fewer).
    """

    k: int
    rows_real: Integers
    rows_generated: Integers
    radius: Floats
    within: Integers
    held: Integers
    distance: Floats
    nearest: Integers
    ratio: Floats
    real: Nearest
    generated: Nearest

    @property
    def covered(self) -> Booleans:
        """Whether a generated image lies in the neighbourhood: ratio ≤ 1, copies aside."""
        return np.asarray(self.held > 0)


def neighbourhoods(
    real: Tally, generated: Tally, *, k: int = 5, most: int = 10_000, seed: int = 0
) -> Neighbourhoods | None:
    """Distances from each real image to the real and the generated images nearest to it.

    Args:
        k: size of a neighbourhood.
        most: images per side; of more, those whose hash of id and seed is smallest.
        seed: of that choice.

    Returns:
        None with fewer than k + 1 real images or without generated ones.

    Raises:
        UsageError: k or most is not positive.
    """
    if k < 1 or most < 1:
        raise UsageError(f"neighbourhoods need k and most of at least 1, not {k} and {most}")
    rows_real, rows_generated = (_choice(side, most, seed) for side in (real, generated))
    n, m = len(rows_real), len(rows_generated)
    if n <= k or not m:
        return None
    x, y = (
        roots(side.sparse_percent(0, rows))
        for side, rows in ((real, rows_real), (generated, rows_generated))
    )
    live = np.union1d(x.indices, y.indices)
    x, y = x[:, live].toarray(), y[:, live].toarray()
    to_real, to_generated, within, held, different = _search(x, y, k)
    radius = np.sqrt(to_real.squares[:, k - 1])
    distance = np.sqrt(to_generated.squares[:, 0])
    return Neighbourhoods(
        k=k,
        rows_real=rows_real,
        rows_generated=rows_generated,
        radius=radius,
        within=within,
        held=held,
        distance=distance,
        nearest=rows_generated[to_generated.places[:, 0]],
        ratio=distance / np.where(radius > 0, radius, np.sqrt(different)),
        real=to_real,
        generated=to_generated,
    )


def _search(x: Floats, y: Floats, k: int) -> tuple[Nearest, Nearest, Integers, Integers, Floats]:
    """Distances from each row of x (N, d) to all others of x and all of y (M, d), in blocks.

    Returns:
        the nearest in x and in y; (N,) counts of ``within`` and ``held`` as in ``Neighbourhoods``;
        (N,) squared distance to the nearest different row of x, of those that have k copies.
    """
    n, m = len(x), len(y)
    size = 4 * k + 20
    to_real, to_generated = (
        Nearest(np.empty((n, width), dtype=np.intp), np.empty((n, width)))
        for width in (min(size, n - 1), min(size, m))
    )
    within, held = np.empty(n, dtype=np.intp), np.empty(n, dtype=np.intp)
    different = np.full(n, 2.0)
    step = max(1, CELLS // max(n, m))
    for start in range(0, n, step):
        part = slice(start, min(n, start + step))
        squares = _squared_distances(x[part], x)
        squares[np.arange(len(squares)), np.arange(part.start, part.stop)] = np.inf
        _keep(squares, to_real, part)
        edge = to_real.squares[part, k - 1 : k] + ROUNDING
        within[part] = np.count_nonzero(squares <= edge, axis=1)
        if (copied := np.flatnonzero(edge <= ROUNDING)).size:
            others = squares[copied]
            others[others <= ROUNDING] = np.inf
            different[start + copied] = np.minimum(others.min(axis=1), 2.0)
        squares = _squared_distances(x[part], y)
        _keep(squares, to_generated, part)
        held[part] = np.count_nonzero(squares <= edge, axis=1)
    return to_real, to_generated, within, held, different


def _choice(tally: Tally, most: int, seed: int) -> Integers:
    """Rows of at most ``most`` images in an order that only seed and ids decide."""
    keys = [
        hashlib.blake2b(f"{seed} {item}".encode(errors="surrogatepass"), digest_size=16).digest()
        for item in tally.ids
    ]
    order = sorted(range(len(tally)), key=keys.__getitem__)
    return np.array(order[:most], dtype=np.intp)


def _keep(squares: Floats, nearest: Nearest, part: slice) -> None:
    """Write the smallest of each row, in order; of equals, the one drawn first comes first."""
    width = nearest.places.shape[1]
    places = np.sort(np.argpartition(squares, width - 1, axis=1)[:, :width], axis=1)
    found = np.take_along_axis(squares, places, axis=1)
    found[found <= ROUNDING] = 0
    order = np.argsort(found, axis=1, kind="stable")
    nearest.places[part] = np.take_along_axis(places, order, axis=1)
    nearest.squares[part] = np.take_along_axis(found, order, axis=1)


def _squared_distances(a: Floats, b: Floats) -> Floats:
    """(N, M) squared Euclidean distances of rows, right to about 1e-15 for rows of length 1."""
    products: Floats = a @ b.T
    products *= -2
    products += (a * a).sum(axis=1)[:, None]
    products += (b * b).sum(axis=1)
    return products
