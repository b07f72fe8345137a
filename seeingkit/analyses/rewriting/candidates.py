"""Candidates of a sweep: edits of one request at several sites, of several ranks and strengths.

Guarantees: contexts that are held out are in no plan; a candidate depends on its site, rank, weight
and contexts alone, not on the other candidates (but for rounding).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from seeingkit.contracts import RewritableGenerator, Site
from seeingkit.errors import UsageError
from seeingkit.models.weightedits import WeightEdit

from .directions import context_keys
from .groundwork import Groundwork
from .moments import KeyMoments
from .plan import bench_of, check_plan
from .published import PublishedSettings
from .regions import Request

log = logging.getLogger(__name__)

SMALLEST_MAP = 8
"""Rows and columns of a map of values from which on a site is swept unless it is named."""


def fitting_sites(
    generator: RewritableGenerator, request: Request, sites: Sequence[str] | Literal["all"]
) -> list[Site]:
    """The sites of a sweep.

    Args:
        generator: of tier 3.
        request: whose regions have to fit.
        sites: names; ``all``: those whose maps have at least ``SMALLEST_MAP`` rows and columns,
            that do not paint the image itself, and that the regions fit.

    Raises:
        UsageError: a named site that does not fit, or none that does.
        UnknownNameError: no such site.

    ``fitting_sites(generator, request, ["r16.conv1", "r32.conv0"])``
    """
    named = sites != "all"
    chosen = [generator.site(name) for name in dict.fromkeys(sites)] if named else generator.sites()
    found = []
    for site in chosen:
        kind = generator.boundary(site.after).kind
        if not named and (min(site.values) < SMALLEST_MAP or kind == "image"):
            continue
        try:
            bench = bench_of(generator, site, request)
            check_plan(bench, request, "closed", None, None, 0, PublishedSettings())
        except UsageError as error:
            if named:
                raise
            log.info("site %s is left out: %s", site.name, error)
            continue
        found.append(site)
    if not found:
        raise UsageError("no site fits the regions of the request: paint larger ones")
    return found


@dataclass(frozen=True, eq=False)
class Candidate:
    """An edit that a sweep tries.

    Attributes:
        site, rank, keep: how it was planned.
        edit: it.
    """

    site: str
    rank: int
    keep: float
    edit: WeightEdit


def candidates(
    generator: RewritableGenerator,
    request: Request,
    site: Site,
    ranks: Sequence[int],
    keeps: Sequence[float],
    moments: KeyMoments,
) -> Iterator[Candidate]:
    """The candidates of a site; ranks above what its contexts have are left out.

    Args:
        generator: of tier 3.
        request: whose contexts are planned on.
        site: of the generator.
        ranks, keeps: of ``plan``.
        moments: of the keys of the site.
    """
    bench = bench_of(generator, site, request)
    keys, _ = context_keys(bench, request.contexts)
    able = [rank for rank in sorted(set(ranks)) if rank <= min(keys.shape)]
    if not able:
        log.warning("site %s: its contexts have %d keys, fewer than any rank", site.name, len(keys))
        return
    ground = Groundwork.of(bench, request.copy, request.contexts, moments, able[-1])
    for rank in able:
        for keep in dict.fromkeys(keeps):
            yield Candidate(site.name, rank, float(keep), ground.edit(rank, keep))
