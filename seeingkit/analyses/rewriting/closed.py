"""The default solver: an edit by regularised least squares, without steps.

With directions d_1 … d_r of the keys and free numbers Λ, an edit is ΔW = Σ_j Λ_j B_j, B_j being the
basis kernels that the directions span. Minimised is

    Σ_places share · slope² · (ΔW k − change)² / Σ_places share  +  keep · slope² · E[(ΔW k)²]

for every output channel by itself: how far the wanted places are from their values, in units of
the values (the slope of what comes behind the layer), and how much all other places move on
average: the constraint of ECCV 2020, equation 6, as a penalty. E[(ΔW k)²] is exact for moments of
patches of a plain convolution. With moments of places the taps of a kernel are taken as
uncorrelated, and it is too small (measured: a third; of a layer that grows, a fifth).

Guarantees: no chance and no order of images in it; where no change is wanted the edit is exactly 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seeingkit.errors import UsageError

from .bench import Bench
from .goals import Wanted
from .moments import KeyMoments

KEEP, POLISH_KEEP = 5.0, 0.3
"""Default weight of what other places move."""


def basis(directions: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Basis kernels (J, C_in, kh, kw) of directions.

    Args:
        directions: (r, C_in): a basis kernel for each direction and tap, J = r kh kw; or of patches
            (r, C_in, kh, kw): one for each direction, J = r.
        kernel: (kh, kw).

    >>> basis(torch.ones(2, 5), (3, 3)).shape, basis(torch.ones(2, 5, 3, 3), (3, 3)).shape
    (torch.Size([18, 5, 3, 3]), torch.Size([2, 5, 3, 3]))
    """
    if directions.ndim == 4:
        return directions
    taps = kernel[0] * kernel[1]
    eye = torch.eye(taps, dtype=directions.dtype, device=directions.device).reshape(taps, *kernel)
    return torch.einsum("ri,tyx->rtiyx", directions, eye).flatten(0, 1)


def least_squares(
    bench: Bench, wanted: Wanted, moments: KeyMoments, directions: Tensor, keep: float = KEEP
) -> Tensor:
    """The numbers Λ (C_out, J) float64, for ``basis(directions)`` in canonical numbers.

    Args:
        bench: the generator at the site.
        wanted: of ``goals.pasted``.
        moments: of its keys, by places or by patches.
        directions: (r, C_in), or (r, C_in, kh, kw).
        keep: how much the change of other places counts.

    Raises:
        UsageError: ``keep`` below 0, or 0 where the places do not determine Λ.
    """
    if not keep >= 0:
        raise UsageError(f"keep = {keep}: give a number of at least 0")
    height, width = bench.site.shape[2:]
    kernels = basis(directions, (height, width)).to(bench.kernel)
    marked = wanted.share[:, 0] > 0
    share = wanted.share[:, 0][marked].double().cpu()
    share = share / share.sum()
    reached = _responses(bench, wanted.keys, kernels, marked)
    change, slope = (
        each.movedim(1, -1)[marked].double().cpu() for each in (wanted.change, wanted.slope)
    )
    weight = share[:, None] * slope.square()
    normal = torch.einsum("po,pj,pl->ojl", weight, reached, reached)
    right = torch.einsum("po,po,pj->oj", weight, change, reached)
    cost = energy(moments, directions, (height, width)) * bench.site.unit**2
    normal = normal + keep * weight.sum(0)[:, None, None] * cost
    try:
        found: Tensor = torch.linalg.solve(normal, right)
    except RuntimeError as error:  # torch's own class for singular matrices
        raise UsageError(
            f"site {bench.site.name!r}: the places do not determine an edit of {len(kernels)} "
            "numbers a channel; take keep above 0, or a lower rank"
        ) from error
    return found


def constrained(weight: Tensor, inverse: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Λ of the least change W0 + Λ (C⁻¹ K)ᵀ that gives all keys exactly their values.

    Λ = (V − W0 K)(Kᵀ C⁻¹ K)⁻¹ (ECCV 2020, equations 6 to 9, for several keys at once).

    Args:
        weight: (O, D), W0.
        inverse: (D, D), C⁻¹.
        keys: (D, J), K.
        values: (O, J), V.

    >>> eye = torch.eye(2)
    >>> constrained(torch.zeros(1, 2), eye, eye[:, :1], torch.ones(1, 1)).tolist()
    [[1.0]]
    """
    metric = keys.T @ inverse @ keys
    found: Tensor = torch.linalg.solve(metric, (values - weight @ keys).T).T
    return found


def energy(moments: KeyMoments, directions: Tensor, kernel: tuple[int, int]) -> Tensor:
    """E[a aᵀ], (J, J) float64, a being the responses of the basis kernels at a place of the sample.

    With moments of single places only, the taps of a kernel are taken as uncorrelated.

    Raises:
        UsageError: directions of patches with moments of places.
    """
    if moments.patch > 1:
        flat = basis(directions.double(), kernel).flatten(1)
        return flat @ moments.covariance @ flat.T
    if directions.ndim == 4:
        raise UsageError("directions of patches need the moments of patches")
    single = directions.double() @ moments.covariance @ directions.double().T
    return torch.kron(single, torch.eye(kernel[0] * kernel[1], dtype=single.dtype))


@torch.no_grad()
def _responses(bench: Bench, keys: Tensor, kernels: Tensor, marked: Tensor) -> Tensor:
    """Linear values (P, J) float64 of the basis kernels at the marked places.

    An output channel depends on its own kernel alone, so the layer computes as many at once as it
    has outputs, whatever it does with keys beside (growing, blurring).
    """
    outputs, found = bench.site.shape[0], []
    for start in range(0, len(kernels), outputs):
        some = kernels[start : start + outputs]
        filled = torch.zeros_like(bench.kernel)
        filled[: len(some)] = some
        linear = bench.linear(keys, filled)[:, : len(some)]
        found.append(linear.movedim(1, -1)[marked].double().cpu())
    return torch.cat(found, 1)


def polished(
    bench: Bench,
    wanted: Wanted,
    moments: KeyMoments,
    directions: Tensor,
    factors: Tensor,
    *,
    keep: float = POLISH_KEEP,
    steps: int = 100,
    rate: float = 0.05,
) -> Tensor:
    """Λ after some steps of Adam on the values themselves: L1 at the wanted places, and ``keep``
    times the root mean square that other places move.

    For sites whose weight also changes how values are finished (demodulation), which the least
    squares do not see. Arguments as of ``least_squares``, and Λ (C_out, J) to start from.
    """
    kernel = (bench.site.shape[2], bench.site.shape[3])
    start, kernels = bench.kernel, basis(directions, kernel).to(bench.kernel)
    cost = (energy(moments, directions, kernel) * bench.site.unit**2).to(start)
    share = wanted.share / wanted.share.sum()
    slope = (share * wanted.slope.abs()).sum((0, 2, 3))
    found = factors.to(start).clone().requires_grad_()
    adam = torch.optim.Adam([found], lr=rate)
    with torch.enable_grad():
        for _ in range(steps):
            change = torch.einsum("oj,jiyx->oiyx", found, kernels)
            values = (
                bench.values(wanted.state, start + change)
                if bench.site.elementwise
                else bench.linear(wanted.keys, start + change)
            )
            miss = (share * (values - wanted.values).abs()).sum((0, 2, 3)).mean()
            moved = torch.einsum("oj,jl,ol->o", found, cost, found).clamp_min(1e-24).sqrt()
            loss = miss + keep * (slope * moved).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    return found.detach().double().cpu()
