"""Roots of many monotonic functions of one number each, all at once.

Guarantees: a root that lies within ``REACH`` spreads of the start is found, whatever flat parts the
function has (ReLU, clamps) and however it saturates; where there is none, the nearest value tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

DOUBLINGS, STEPS = 16, 60
REACH = 2**DOUBLINGS


class Root(NamedTuple):
    """Places, how far each function is from its value there, and its slope; all of one shape."""

    x: Tensor
    gap: Tensor
    slope: Tensor


def root_of(tried: Callable[[Tensor], Root], start: Tensor, spread: Tensor, near: float) -> Root:
    """Where gaps are 0: bracketed at growing distances, then Newton's method inside the bracket.

    Args:
        tried: gaps and slopes (of the function: minus those of the gap) at some places.
        start: where to begin.
        spread: (), the usual distance.
        near: gaps up to it are 0.

    >>> found = root_of(
    ...     lambda x: Root(x, 0.5 - x.tanh(), 1 - x.tanh().square()),
    ...     torch.tensor([9.0]),
    ...     torch.tensor(1.0),
    ...     1e-6,
    ... )
    >>> round(float(found.x), 3)
    0.549
    """
    best = tried(start)
    first, other = best, best  # two places between which the root lies, where their gaps differ
    apart = torch.zeros_like(start, dtype=torch.bool)
    for doubling in range(DOUBLINGS + 1):
        for side in (1, -1):
            if bool((apart | (best.gap.abs() <= near)).all()):
                break
            found = tried(start + side * 2**doubling * spread)
            crosses = ~apart & (found.gap * first.gap <= 0)
            other = _where(crosses, found, other)
            nearer = found.gap.abs() < best.gap.abs()
            first = _where(~apart & ~crosses & nearer, found, first)
            best = _where(nearer, found, best)
            apart = apart | crosses
    for _ in range(STEPS):
        open_ = apart & (best.gap.abs() > near)
        if not bool(open_.any()):
            break
        low, high = torch.minimum(first.x, other.x), torch.maximum(first.x, other.x)
        step = best.x + best.gap / torch.where(best.slope == 0, 1, best.slope)
        inside = (best.slope != 0) & (step > low) & (step < high)
        found = tried(torch.where(open_, torch.where(inside, step, (low + high) / 2), best.x))
        same = found.gap * first.gap > 0
        first, other = _where(open_ & same, found, first), _where(open_ & ~same, found, other)
        best = _where(open_ & (found.gap.abs() < best.gap.abs()), found, best)
    return best


def _where(chosen: Tensor, one: Root, two: Root) -> Root:
    return Root(*(torch.where(chosen, a, b) for a, b in zip(one, two, strict=True)))
