"""Counting modes: which classes does a generator draw at all, and how far are its shares off?

Every image is read as one of L labels. Guarantees: every number is a function of the counts, the
table of confusion and the seed; a reader without a table makes no claim.

**Modes seen** are labels that are read at least once. Their number depends on n, so it stands
beside what n images with the real shares would give.

**Divergence** KL(p ‖ q) = Σ p ln(p / q) of the generated shares p from the real shares q (Metz et
al. 2017, section 3.3.1, with q uniform), half an image added to each real count so that it is
finite. It is above 0 for equal shares too, by about (L − 1) / 2n for each side; the value beside it
is its mean where both sides are drawn from the pooled shares, and p is from the same draws.

**Modes drawn.** A reader makes mistakes, so a generator of ten modes is read as dozens. Let R be
the rates of its mistakes and q the shares read. The share drawn of i is at most q_i / R[i, i], for
that much of it is read right. So, if mode m is never drawn, it is read with a share of at most

    e_m = Σ_{i ≠ m} q_i R[i, m] / R[i, i],

and p_m is the probability of as many readings as there were, Binomial(n, e_m), averaged over R:
rows drawn from Dirichlet distributions of the counted readings and half an image each (Jeffreys).
Claims follow Benjamini and Hochberg. They hold where the reader errs on generated images as it does
on the labelled ones; blurred images are read worse.

**Shares corrected** are those that make the readings most likely (``confusion.undo_confusion``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy import stats

from seeingkit.errors import TallyError
from seeingkit.results import ConfusionTable, ModeResult, ModesResult

from .arrays import Booleans, Floats, Integers
from .confusion import Confusion, undo_confusion

DRAWS = 400
"""Draws of each simulation."""
_NOTHING = 1e-9  # of all images: where the search for the likeliest shares ends
_CORRECTED = 64
"""Most labels whose shares are corrected; of words they are too many for their images."""


def count_modes(
    real: Integers,
    generated: Integers,
    names: Sequence[str],
    *,
    confusion: ConfusionTable | None = None,
    level: float = 0.05,
    seed: int = 0,
) -> ModesResult:
    """Compare the modes of generated images with those of real ones.

    Args:
        real, generated: (L,) images that are read as each label.
        names: of the labels.
        confusion: of the reader; without it no mode is claimed.
        level: false discovery rate of the claims that a mode is drawn.
        seed: of the simulations.

    Raises:
        TallyError: counts that do not fit each other, the names or the table, or a side without
            images.

    >>> found = count_modes(np.array([50, 50]), np.array([100, 0]), ["two", "three"])
    >>> found.generated_seen, round(found.kl, 3), found.p_value < 0.01
    (1, 0.693, True)
    """
    real, generated = np.asarray(real, np.int64), np.asarray(generated, np.int64)
    _check(real, generated, names, confusion)
    random = np.random.default_rng([seed, 4])
    pooled = (real + generated) / (real + generated).sum()
    n, m = int(real.sum()), int(generated.sum())
    first, second = random.multinomial(n, pooled, DRAWS), random.multinomial(m, pooled, DRAWS)
    null = np.array([divergence(b, a) for a, b in zip(first, second, strict=True)])
    like_real = (random.multinomial(m, real / n, DRAWS) > 0).sum(axis=1)
    value = divergence(generated, real)
    modes, mistaken = _modes(real, generated, names, confusion, level, random)
    return ModesResult(
        labels=len(names),
        real_seen=int((real > 0).sum()),
        generated_seen=int((generated > 0).sum()),
        expected_seen=float(like_real.mean()),
        expected_range=_range(like_real),
        drawn=None if confusion is None else sum(bool(mode.drawn) for mode in modes),
        mistaken_seen=mistaken,
        kl=value,
        kl_expected=float(null.mean()),
        kl_range=_range(null),
        p_value=float((1 + (null >= value).sum()) / (1 + DRAWS)),
        real_entropy=_entropy(real),
        generated_entropy=_entropy(generated),
        level=level,
        draws=DRAWS,
        confusion=confusion,
        modes=sorted(modes, key=lambda mode: (-mode.real, -mode.generated, mode.index)),
    )


def divergence(generated: Integers, real: Integers) -> float:
    """KL of the generated from the real shares, in nats; half an image is added to real counts.

    >>> divergence(np.array([10, 10]), np.array([10, 10]))
    0.0
    """
    return max(0.0, float(stats.entropy(generated, real + 0.5)))


def mistaken_shares(shares: Floats, counts: Floats, readings: int) -> Floats:
    """(L,) e of the module: at most this share is read as each label if it is never drawn.

    Args:
        shares: (L,) shares read.
        counts: (d, d) counts or rates of single readings.

    >>> mistaken_shares(np.array([1.0, 0.0]), np.array([[9.0, 1.0], [0.0, 10.0]]), 1)
    array([0.        , 0.11111111])
    """
    single = counts / counts.sum(axis=1, keepdims=True)
    size = len(single)
    right = reduce(np.kron, [single.diagonal()] * readings)
    drawn = np.divide(shares, right, out=np.zeros_like(shares), where=right > 0)
    # A product with the Kronecker power, one reading at a time.
    found = drawn.reshape((size,) * readings)
    for axis in range(readings):
        found = np.moveaxis(np.tensordot(found, single, (axis, 0)), -1, axis)
    return np.asarray(np.maximum(found.reshape(-1) - drawn * right, 0.0))


def _modes(
    real: Integers,
    generated: Integers,
    names: Sequence[str],
    confusion: ConfusionTable | None,
    level: float,
    random: np.random.Generator,
) -> tuple[list[ModeResult], float | None]:
    """The modes that are read on either side, and how many are read that are not drawn."""
    numbers = np.flatnonzero((real > 0) | (generated > 0))
    columns: dict[str, Floats] = {}
    mistaken = None
    if confusion is not None:
        rates = random.standard_gamma(_counts(confusion) + 0.5, (DRAWS, *_counts(confusion).shape))
        expected, p = _chances(generated, confusion, rates)
        q = stats.false_discovery_control(p)  # over all labels: those not read count too
        drawn = q <= level
        columns = {"mistaken": expected, "p_value": p, "q_value": q}
        only = np.where(drawn, generated, 0)
        mistaken = _mistaken_seen(only, ~drawn, int(generated.sum()), confusion, rates)
        columns |= _corrected(real, generated, confusion)
    return [
        ModeResult(
            label=names[k],
            index=k,
            real=int(real[k]),
            generated=int(generated[k]),
            drawn=None if confusion is None else bool(drawn[k]),
            **{name: float(column[k]) for name, column in columns.items()},
        )
        for k in numbers.tolist()
    ], mistaken


def _chances(
    generated: Integers, confusion: ConfusionTable, rates: Floats
) -> tuple[Floats, Floats]:
    """(L,) readings that mistakes alone are expected to give, and p of as many as there were."""
    n = int(generated.sum())
    shares = generated / n
    expected, p = np.zeros(len(shares)), np.zeros(len(shares))
    for drawn in rates:
        share = np.minimum(mistaken_shares(shares, drawn, confusion.readings), 1.0)
        expected += n * share / DRAWS
        p += stats.binom.sf(generated - 1, n, share) / DRAWS
    return expected, np.clip(p, 0.0, 1.0)


def _mistaken_seen(
    only: Integers, rest: Booleans, n: int, confusion: ConfusionTable, rates: Floats
) -> float:
    """How many of the labels ``rest`` n images are read as, if they are of the labels ``only``."""
    if not only.sum():
        return 0.0
    found = 0.0
    for drawn in rates:
        left = mistaken_shares(only / only.sum(), drawn, confusion.readings)[rest]
        found += float((1 - (1 - np.minimum(left, 1)) ** n).sum()) / len(rates)
    return found


def _corrected(real: Integers, generated: Integers, confusion: ConfusionTable) -> dict[str, Floats]:
    """Shares of both sides without the reader's mistakes, where there are few labels."""
    if confusion.readings > 1 or confusion.labels > _CORRECTED:
        return {}
    table = np.asarray(confusion.counts, np.int64)
    known = Confusion(table, np.ones(len(table), bool), table.sum(axis=1), int(table.sum()), "")
    sides = {"real_share": real, "generated_share": generated}
    found = {name: undo_confusion(side / side.sum(), known) for name, side in sides.items()}
    return {name: np.where(share < _NOTHING, 0.0, share) for name, share in found.items()}


def _counts(confusion: ConfusionTable) -> Floats:
    return np.asarray(confusion.counts, np.float64)


def _range(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def _entropy(counts: Integers) -> float:
    return float(stats.entropy(counts))


def _check(
    real: Integers, generated: Integers, names: Sequence[str], confusion: ConfusionTable | None
) -> None:
    if not (real.shape == generated.shape == (len(names),)):
        raise TallyError(
            f"{real.shape} real and {generated.shape} generated counts of {len(names)} labels"
        )
    if (real < 0).any() or (generated < 0).any() or not real.sum() or not generated.sum():
        raise TallyError("modes are counted in images: each side needs some, and no count below 0")
    if confusion is not None and confusion.labels != len(names):
        raise TallyError(f"a confusion of {confusion.labels} labels, and {len(names)} names")
