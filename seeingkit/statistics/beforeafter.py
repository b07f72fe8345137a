"""The Fréchet distance from real images before and after an edit of the same generated images.

Guarantees: rows k before and after are one image without and with the edit; both sides meet the
same real images and the same halves; exchanging before and after changes the sign of the value and
nothing else; an edit that changes no row gives exactly 0 with an interval of 0.

For real images R, generated ones A and the same after the edit B, D = FSD(R, B) − FSD(R, A).

- *estimate*: 2 D(n) − mean D(n/2), as ``contrasts``: the bias of n images is nearly the same on
  both sides and most of it cancels before the halves are taken.
- *interval*: normal, from the influence functions: on each real image the difference of both pulls,
  and on each *pair* the difference of its pulls, so what an image does to both distances cancels.
- *exchange test*: within a random half of the pairs before and after change places;
  p = (1 + #{|D_b| ≥ |D|}) / (1 + N). Its null is *the edit is as likely as its opposite in every
  image* (exchangeable pairs); there it is exact at every n. Where it does not reject at the level
  of the interval, the interval is extended to 0, as in ``contrasts``.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse, special

from seeingkit.errors import TallyError

from .contrasts import Contrast, Measured, SharedPool, masks_of
from .frechet import Rows, distance_value
from .products import BLOCK


def before_after(
    real: Rows | sparse.csr_array,
    before: Rows | sparse.csr_array,
    after: Rows | sparse.csr_array,
    *,
    permutations: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> Contrast:
    """How much farther from the real images an edit moves the generated ones.

    Args:
        real: (N, L) areas in percent.
        before, after: (n, L) of the same images without and with the edit.
        permutations: of the exchange test; 0: none, and an interval that rests on n alone.
        confidence: of the interval, in (0, 1).
        seed: of halves and permutations.

    Returns:
        value, interval, error and ``p_swap``; below 0: the edit brings the images nearer.

    Raises:
        TallyError: sides of another size, or fewer than two images.

    >>> same = np.array([[0.0], [2.0], [4.0]])
    >>> before_after(same, same + 3, same, permutations=0).value
    -9.0
    """
    if before.shape != after.shape:
        raise TallyError(f"{before.shape[0]} images before and {after.shape[0]} after are no pairs")
    shared = SharedPool(real, [after, before], seed=seed)
    second, first = shared.measured
    plug_in = second.value - first.value
    value, extra = plug_in, 0.0
    if len(first.halves) and len(second.halves):
        halved = second.halves - first.halves
        value = 2 * plug_in - float(halved.mean())
        extra = float(halved.var(ddof=1)) / len(halved)
    variance = float((second.on_real - first.on_real).var()) / shared.pool.n + extra
    variance += float((second.on_own - first.on_own).var()) / len(first.members)
    error = float(np.sqrt(variance))
    reach = float(special.ndtri((1 + confidence) / 2)) * error
    low, high = value - reach, value + reach
    p = None
    if permutations:
        p = _exchange_test(shared, first, second, plug_in, permutations, [seed, 12])
        if p > 1 - confidence:
            low, high = min(low, 0.0), max(high, 0.0)
    return Contrast(value, low, high, error, confidence, p)


def _exchange_test(
    shared: SharedPool,
    first: Measured,
    second: Measured,
    observed: float,
    permutations: int,
    seed: list[int],
) -> float:
    rng = np.random.default_rng(seed)
    both = np.concatenate([first.members, second.members])
    total = shared.pool.sums(masks_of(len(shared.pool), [both]))[0]
    drawn = np.empty(permutations)
    for start in range(0, permutations, BLOCK):
        count = min(BLOCK, permutations - start)
        swaps = rng.random((count, len(first.members))) < 0.5
        parts = [np.where(swap, first.members, second.members) for swap in swaps]
        for k, found in enumerate(shared.pool.sums(masks_of(len(shared.pool), parts))):
            other = total.without(found)
            near, far = (distance_value(shared.real, x.moments()) for x in (found, other))
            drawn[start + k] = near - far
    edge = abs(observed) - 1e-7 * (first.value + second.value)
    return float((1 + (np.abs(drawn) >= edge).sum()) / (1 + permutations))
