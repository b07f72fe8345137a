"""The session as the page reads it: JSON of regions, edits and sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seeingkit.analyses.rewriting.plan import region_pair
from seeingkit.analyses.rewriting.regions import Region
from seeingkit.analyses.rewriting.session import Session
from seeingkit.contracts import Generator, Site
from seeingkit.models.weightedits import WeightEdit

Answer = dict[str, Any]
"""What is sent as JSON."""

PIXELS = 4
"""Pixels a side of a place of the site that is chosen at first, at least."""


def state_record(session: Session) -> Answer:
    """Everything that the page shows, but for pictures.

    ``version`` changes with every image, ``series`` with every image as it is without edits.

    ``state_record(Session(generator))["edits"]``
    """
    series = "-".join(map(str, (session.seed, *session.labels)))
    return {
        "version": "-".join([edit.digest()[:12] for edit in session.edits] + [series]),
        "series": series,
        "seed": session.seed,
        "labels": list(session.labels),
        "copy": _region(session.copied),
        "paste": _region(session.pasted),
        "pasteCounts": session.paste_counts,
        "contexts": [_region(region) for region in session.contexts],
        "edits": [_edit(edit, session.seed) for edit in session.edits],
        "undone": len(session.undone),
    }


def _region(region: Region | None) -> Answer | None:
    if region is None:
        return None
    index, mask = region_pair(region)
    return {"index": index, "mask": mask}


def _edit(edit: WeightEdit, seed: int) -> Answer:
    given = edit.request or {}
    pairs = [given.get("object"), given.get("paste"), *(given.get("key") or [])]
    used = [pair[0] for pair in pairs if pair and isinstance(pair[0], int)]  # photos have names
    return {
        "site": edit.site,
        "rank": edit.rank,
        "strength": edit.strength,
        "images": list(dict.fromkeys(used)) if given.get("seed") == seed else [],
    }


def site_record(generator: Generator, site: Site) -> Answer:
    """A site, the layer behind it, and how many units that has (0: no map of units).

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> site_record(generator, generator.site("r16.conv1"))["units"]
    96
    """
    layer = generator.boundary(site.after)
    units = layer.shape[0] if layer.kind == "feature" and layer.extent else 0
    return {"name": site.name, "layer": layer.name, "units": units}


def usual_site(sites: Sequence[Site], size: int) -> str:
    """The last site that keeps the size of its map and has a place for 4 pixels at least.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> usual_site(generator.sites(), 64)
    'r16.conv1'
    """
    kept = [site for site in sites if site.keys == site.values] or list(sites)
    found = [site for site in kept if max(site.keys) <= max(size // PIXELS, 4)]
    return (found or kept[:1])[-1].name
