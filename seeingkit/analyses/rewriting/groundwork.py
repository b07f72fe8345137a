"""All that the least squares of a site need, made once for all ranks and weights of keeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seeingkit.models.weightedits import WeightEdit, edit_of

from .bench import Bench
from .closed import KEEP, POLISH_KEEP, Equations, polished, tapwise
from .directions import context_keys, directions
from .goals import Wanted, pasted
from .moments import KeyMoments
from .photos import keys_within, photo_values
from .regions import PhotoRegion, Region

POLISH = 100
"""Steps of Adam after the least squares, where the weight also changes how values are finished."""


@dataclass(frozen=True, eq=False)
class Groundwork:
    """The equations of a request, or of other wanted values, at a site.

    Attributes:
        bench: the generator at the site.
        wanted: values at the contexts.
        along: directions of the keys, the main one first, (r, C_in) or (r, C_in, kh, kw).
        cost: (J, J), the penalty of their basis kernels.
        equations: of the least squares.
        keys: in the moments.

    ``Groundwork.of(bench, request.copy, request.contexts, moments, 10).edit(rank=3, keep=2.0)``
    """

    bench: Bench
    wanted: Wanted
    along: Tensor
    cost: Tensor
    equations: Equations
    keys: int

    @staticmethod
    def of(
        bench: Bench,
        copy: Region,
        contexts: tuple[Region, ...],
        moments: KeyMoments,
        rank: int,
    ) -> Groundwork:
        """The groundwork of edits of up to ``rank`` directions.

        Raises:
            UsageError: a region that is too small, or a rank above what the context has.
        """
        site = bench.site
        kernel = (site.shape[2], site.shape[3]) if moments.patch > 1 else (1, 1)
        keys = context_keys(bench, contexts, kernel)
        along = directions(moments, *keys, rank)
        if moments.patch > 1:
            along = along.reshape(rank, site.shape[1], *kernel)
        source = photo_values(bench, copy) if isinstance(copy, PhotoRegion) else None
        return Groundwork._along(bench, pasted(bench, copy, contexts, source), moments, along)

    @staticmethod
    def of_values(bench: Bench, wanted: Wanted, moments: KeyMoments, rank: int) -> Groundwork:
        """The groundwork of edits that give values of their own to places: the keys of these places
        are the context.

        Raises:
            UsageError: a rank above the number of keys of the places.
        """
        along = directions(moments, *keys_within(wanted, bench.site.keys), rank)
        return Groundwork._along(bench, wanted, moments, along)

    @staticmethod
    def _along(bench: Bench, wanted: Wanted, moments: KeyMoments, along: Tensor) -> Groundwork:
        cost = tapwise(moments, along, bench.site)
        equations = Equations.of(bench, wanted, along, cost)
        return Groundwork(bench, wanted, along, cost, equations, moments.count)

    def edit(
        self,
        rank: int | None = None,
        keep: float | None = None,
        polish: int | None = None,
        *,
        request: Mapping[str, Any] | None = None,
    ) -> WeightEdit:
        """An edit along the first directions.

        Args:
            rank: directions; default: all.
            keep: how much the change of other places counts; default: ``closed.KEEP``.
            polish: steps of Adam afterwards; None: ``POLISH`` for a site that is ``nonlinear``.
            request: that the edit records.

        Raises:
            UsageError: ``keep`` below 0, or 0 where the places do not determine an edit.
        """
        rank = len(self.along) if rank is None else rank
        keep = KEEP if keep is None else keep
        along, site = self.along[:rank], self.bench.site
        factors = self.equations.solution(keep, rank)
        steps = (POLISH if site.nonlinear else 0) if polish is None else polish
        if steps and bool(self.wanted.change.any()):
            many = factors.shape[1]
            own, cost = POLISH_KEEP * (keep / KEEP) ** 0.5, self.cost[:many, :many]
            factors = polished(self.bench, self.wanted, cost, along, factors, keep=own, steps=steps)
        about = {"solver": "closed", "rank": rank, "keys": self.keys, "keep": keep, "polish": steps}
        given: dict[str, Any] = {"request": request, "about": about}
        return edit_of(self.bench.generator, site, factors, along, **given)
