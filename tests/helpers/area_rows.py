"""Rows of class areas whose distributions are known, in percent; label 0 is "nothing"."""

from __future__ import annotations

import numpy as np

PIXEL = 100 / 65_536
"""One pixel of 256 × 256, in percent."""


def long_tailed(n: int, labels: int, seed: int, live: int | None = None) -> np.ndarray:
    """(n, labels) rows that sum to 100: many labels, rare ones small, the last never seen."""
    rng = np.random.default_rng(seed)
    live = labels if live is None else live
    weight = np.zeros(labels)
    weight[:live] = 1 / np.arange(1, live + 1)
    raw = rng.gamma(0.5, 1, (n, labels)) * weight * (rng.random((n, labels)) < 0.6)
    raw[:, 0] += 0.05
    return np.asarray(100 * raw / raw.sum(1, keepdims=True))


def gaussian(n: int, mean: np.ndarray, sd: np.ndarray, seed: int) -> np.ndarray:
    """(n, L) independent normal areas, far from 0: the Fréchet distance of two such is known."""
    return np.random.default_rng(seed).normal(mean, sd, (n, len(mean)))


def scenes(n: int, shares: np.ndarray, seed: int, *, spread: float = 0.6) -> np.ndarray:
    """(n, 2 + C) nothing, wall, and C classes: each in its share of images, lognormal of mean 4."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(-(spread**2) / 2, spread, (n, len(shares))))
    shown = np.minimum(4 * size, 90 / len(shares)) * (rng.random(size.shape) < shares)
    return np.column_stack([np.zeros(n), 100 - shown.sum(1), shown])


def hard_case(n: int, labels: int, kind: int, rng: np.random.Generator) -> np.ndarray:
    """(n, labels) rows of one of six kinds that have broken other code."""
    if kind == 0:
        return rng.dirichlet(np.full(labels, 0.3), n) * 100
    if kind == 1:  # one label fills each image
        rows = np.zeros((n, labels))
        rows[np.arange(n), rng.integers(0, labels, n)] = 100
        return rows
    if kind == 2:  # every image is the same
        return np.tile(rng.dirichlet(np.ones(labels)) * 100, (n, 1))
    if kind == 3:  # duplicated images
        base = rng.dirichlet(np.ones(labels), max(1, n // 4)) * 100
        return np.asarray(base[rng.integers(0, len(base), n)])
    if kind == 4:  # specks of one pixel on one label that fills the rest
        rows = (rng.random((n, labels)) < 0.1) * PIXEL
        rows[:, 0] = 0
        rows[:, 0] = 100 - rows.sum(1)
        return rows
    return rng.dirichlet(np.ones(labels), n) * 100 * (rng.random((n, labels)) < rng.random(labels))


RELATIONS = ("fresh", "same", "sampled", "removed")
"""How the second side of a pair of hard cases may come from the first."""


def hard_pair(
    sizes: tuple[int, int],
    labels: int,
    kinds: tuple[int, int],
    relation: str,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Two sides of these kinds; "same" makes the second as long as the first."""
    first, second = (hard_case(n, labels, kind, rng) for n, kind in zip(sizes, kinds, strict=True))
    if relation == "same":
        return first, first.copy()
    if relation == "sampled":
        return first, first[rng.integers(0, len(first), len(second))]
    if relation == "removed":
        second[:, rng.integers(labels)] = 0
    return first, second
