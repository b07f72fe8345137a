"""The default solver: an edit by regularised least squares, without steps.

With directions d_1 … d_r of the keys and free numbers Λ, an edit is ΔW = Σ_j Λ_j B_j, B_j being the
basis kernels that the directions span. Minimised is

    Σ_places share · slope² · (ΔW k − change)² / Σ_places share
    + keep · slope² · Σ_taps E[(ΔW_t k)²]

for every output channel by itself: how far the wanted places are from their values, in units of
the values (the slope of what comes behind the layer), and how much each tap of the kernel moves
other places on average: the constraint of ECCV 2020, equation 6, as a penalty. It bounds the whole
kernel: E[(ΔW k)²] ≤ taps · Σ_taps E[(ΔW_t k)²]. With moments of patches E[(ΔW k)²] itself stands in
its place. Of places that itself could be measured (``kept``), and at equal side effects such edits
reach less (``docs/rewriting.md``): it spares kernels whose taps cancel, which fit the examples and
nothing else.

Guarantees: no chance and no order of images in it; where no change is wanted the edit is exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.contracts import Site
from seeingkit.errors import UsageError

from .bench import Bench
from .goals import Wanted
from .moments import KeyMoments

KEEP, POLISH_KEEP = 5.0, 0.3
"""Default weight of what other places move."""

CHANNELS = 32
"""Output channels whose equations are made at once."""


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


@dataclass(frozen=True, eq=False)
class Equations:
    """The least squares of an edit, for all weights of what other places move, and all ranks.

    Attributes:
        normal: (C_out, J, J) float64.
        right: (C_out, J) float64.
        slope: (C_out,) float64: mean square of the slope at the wanted places.
        cost: (J, J) float64, the penalty.
        site: its name.
        taps: basis kernels of one direction.

    ``Equations.of(bench, wanted, along, cost).solution(keep=2.0, rank=3)``
    """

    normal: Tensor
    right: Tensor
    slope: Tensor
    cost: Tensor
    site: str
    taps: int

    @staticmethod
    def of(bench: Bench, wanted: Wanted, directions: Tensor, cost: Tensor) -> Equations:
        """The equations of directions, (r, C_in) or (r, C_in, kh, kw), with a penalty."""
        kernels = basis(directions, (bench.site.shape[2], bench.site.shape[3])).to(bench.kernel)
        marked = wanted.share[:, 0] > 0
        share = wanted.share[:, 0][marked].double().cpu()
        share = share / share.sum()
        reached = bench.responses(wanted.keys, kernels, marked)
        change, slope = (
            each.movedim(1, -1)[marked].double().cpu() for each in (wanted.change, wanted.slope)
        )
        weight = share[:, None] * slope.square()
        parts = weight.split(CHANNELS, 1)
        normal = torch.cat([torch.einsum("po,pj,pl->ojl", o, reached, reached) for o in parts])
        right = torch.einsum("po,po,pj->oj", weight, change, reached)
        taps = len(kernels) // len(directions)
        return Equations(normal, right, weight.sum(0), cost, bench.site.name, taps)

    def solution(self, keep: float = KEEP, rank: int | None = None) -> Tensor:
        """The numbers Λ (C_out, J) float64, for the basis of the first ``rank`` directions.

        Args:
            keep: how much the change of other places counts.
            rank: default: all directions.

        Raises:
            UsageError: ``keep`` below 0, or 0 where the places do not determine Λ.
        """
        if not keep >= 0:
            raise UsageError(f"keep = {keep}: give a number of at least 0")
        many = len(self.cost) if rank is None else rank * self.taps
        cost = self.slope[:, None, None] * self.cost[:many, :many]
        try:
            found: Tensor = torch.linalg.solve(
                self.normal[:, :many, :many] + keep * cost, self.right[:, :many]
            )
        except RuntimeError as error:  # torch's own class for singular matrices
            raise UsageError(
                f"site {self.site!r}: the places do not determine an edit of {many} numbers a "
                "channel; take keep above 0, or a lower rank"
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


def tapwise(moments: KeyMoments, directions: Tensor, site: Site) -> Tensor:
    """The penalty, (J, J) float64: E[a aᵀ] of moments of patches, else that of each tap by itself.

    Args:
        moments: of the keys, by places or by patches.
        directions: (r, C_in), or (r, C_in, kh, kw).
        site: of them; the penalty is of its stored numbers.

    Raises:
        UsageError: directions of patches with moments of places.

    >>> site = Site("a", "b", "a", "w", (4, 2, 3, 3))
    >>> tapwise(KeyMoments(1, torch.eye(2).double(), 2), torch.ones(1, 2), site).diagonal()[:2]
    tensor([2., 2.], dtype=torch.float64)
    """
    kernel = (site.shape[2], site.shape[3])
    if moments.patch > 1:
        flat = basis(directions.double(), kernel).flatten(1)
        found: Tensor = flat @ moments.covariance @ flat.T
    elif directions.ndim == 4:
        raise UsageError("directions of patches need the moments of patches")
    else:
        single = directions.double() @ moments.covariance @ directions.double().T
        found = torch.kron(single, torch.eye(kernel[0] * kernel[1], dtype=single.dtype))
    return found * site.unit**2


def polished(
    bench: Bench,
    wanted: Wanted,
    cost: Tensor,
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
    squares do not see.

    Args:
        bench: the generator at the site.
        wanted: of ``goals.pasted``.
        cost: of ``tapwise``.
        directions: (r, C_in), or (r, C_in, kh, kw).
        factors: Λ (C_out, J) to start from.
        keep: how much the change of other places counts.
        steps, rate: of Adam.
    """
    kernel = (bench.site.shape[2], bench.site.shape[3])
    start, kernels = bench.kernel, basis(directions, kernel).to(bench.kernel)
    cost = cost.to(start)
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
