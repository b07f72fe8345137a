"""Which units make a class: their strengths α, optimised for the average causal effect.

Guarantees: the same seed gives the same units; with a budget the strengths sum to at most it, after
every update; the loss and its presets are those of ``objective``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit.system.progress import progress_bar

from .objective import AlphaSettings, Objective, Pairs, Places
from .subjects import Integers, Subject


class Optimised(NamedTuple):
    """The strengths of units.

    Attributes:
        alpha: (T + 1, U) before each update, and at the end.
        losses: (T,) mean loss of the pairs of each update, without the penalty.
        penalties: (T,) λ Σ α².
        ranking: (U,) units by their strength at the end; ties by the mean over the updates.
    """

    alpha: Tensor
    losses: Tensor
    penalties: Tensor
    ranking: tuple[int, ...]


def capped_simplex(values: Tensor, most: float) -> Tensor:
    """The nearest point with 0 ≤ a ≤ 1 and Σ a ≤ most (Euclid).

    a = clamp(v − τ, 0, 1) with τ ≥ 0 as small as the sum allows; found by bisection in float64.

    >>> capped_simplex(torch.tensor([2.0, 0.5, 0.5, -1.0]), 1.5)
    tensor([1.0000, 0.2500, 0.2500, 0.0000])
    """
    exact = values.detach().double()
    if float(exact.clamp(0, 1).sum()) <= most:
        return exact.clamp(0, 1).to(values)
    low, high = 0.0, float(exact.max())
    for _ in range(100):
        middle = (low + high) / 2
        if float((exact - middle).clamp(0, 1).sum()) > most:
            low = middle
        else:
            high = middle
    return (exact - high).clamp(0, 1).to(values)


def start_strengths(
    units: int, scores: Sequence[float] | Tensor | None, budget: int | None
) -> Tensor:
    """α before the first update: scores of the units / the largest (the paper's: IoU).

    Args:
        scores: (U,) of any ranking; None: all alike, m / U or 1/2.

    Raises:
        UsageError: not one score for each unit, or none above 0.

    >>> start_strengths(2, [0.1, 0.2], None)
    tensor([0.5000, 1.0000])
    """
    if scores is None:
        return torch.full((units,), 0.5 if budget is None else min(1.0, budget / units))
    given = torch.as_tensor(scores, dtype=torch.float32).flatten()
    if len(given) != units:
        raise UsageError(f"{len(given)} scores for {units} units; give one for each")
    if not bool(torch.isfinite(given).all()) or not float(given.max()) > 0:
        raise UsageError("scores of units are finite, and at least one is above 0")
    scaled = given / given.max()
    return scaled if budget is None else capped_simplex(scaled, budget)


def drawn_pairs(present: int, candidates: int, settings: AlphaSettings, seed: int) -> list[Pairs]:
    """The pairs of all updates: each list is gone through in a random order, again and again.

    >>> [len(each.present) for each in drawn_pairs(5, 3, AlphaSettings(updates=2, pairs=4), 0)]
    [4, 4]
    """
    many = settings.updates * settings.pairs

    def orders(size: int, stream: int) -> Integers:
        if not size:
            return np.zeros(0, np.int64)
        draw = np.random.default_rng([seed, stream])
        rounds = [draw.permutation(size) for _ in range(-(-many // size))]
        return np.concatenate(rounds or [np.zeros(0, np.int64)])[:many].astype(np.int64)

    first, second = orders(present, 31), orders(candidates, 37)
    return [
        Pairs(*(each[u * settings.pairs : (u + 1) * settings.pairs] for each in (first, second)))
        for u in range(settings.updates)
    ]


def optimise(
    subject: Subject,
    label: int,
    places: Places,
    settings: AlphaSettings | None = None,
    *,
    start: Sequence[float] | Tensor | None = None,
    seed: int = 0,
    pairs: Sequence[Pairs] | None = None,
) -> Optimised:
    """Optimise the strengths of all units of the layer for one class.

    Args:
        label: the class.
        places: of ``candidates``.
        settings: default: a budget of 20 units.
        start: scores of the units (``start_strengths``).
        seed: of the order of pairs.
        pairs: those of each update, instead of random ones; to repeat a run.

    Raises:
        UsageError: no cell where the class is, and none where it could grow.
    """
    settings = settings or AlphaSettings()
    if not len(places.present.rows) and not len(places.candidates.rows):
        raise UsageError("no cell where the class is or could grow; search more images")
    work = Objective(subject, label, places, settings)
    if pairs is None:
        sizes = len(places.present.rows), len(places.candidates.rows)
        pairs = drawn_pairs(*sizes, settings, seed)
    first = start_strengths(subject.units, start, settings.budget)
    alpha = first.to(subject.generator.device).clone().requires_grad_(True)
    adam = torch.optim.Adam([alpha], lr=settings.rate)
    path, losses, penalties = [], [], []
    with progress_bar("strengths of units", len(pairs), "updates") as bar:
        for each in pairs:
            path.append(alpha.detach().cpu().clone())
            adam.zero_grad()
            many = max(len(each.present), len(each.candidate))
            losses.append(work.backward(alpha, each) / many)
            penalty = settings.penalty * alpha.pow(2).sum()
            (penalty * many).backward()
            penalties.append(float(penalty.detach()))
            adam.step()
            with torch.no_grad():
                most = float(subject.units) if settings.budget is None else settings.budget
                alpha.copy_(capped_simplex(alpha, most))
            bar.advance(1)
    path.append(alpha.detach().cpu().clone())
    whole = torch.stack(path)
    return Optimised(whole, torch.tensor(losses), torch.tensor(penalties), ranked(whole))


def ranked(path: Tensor) -> tuple[int, ...]:
    """Units by their last strength, ties by their mean strength, then by number.

    >>> ranked(torch.tensor([[0.2, 0.9, 0.1], [1.0, 1.0, 0.0]]))
    (1, 0, 2)
    """
    last, mean = path[-1].double().numpy(), path.double().mean(0).numpy()
    return tuple(int(unit) for unit in np.lexsort((-mean, -last)))
