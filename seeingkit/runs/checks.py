"""Checks of a finished comparison: resolution, segmentation error, other measures.

Guarantees: no number of the comparison changes; a check that fails becomes a warning of the
results and never loses them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from seeingkit.analyses.comparison.checks.ground_truth import share_by_labels
from seeingkit.analyses.comparison.checks.metrics import measure
from seeingkit.analyses.comparison.checks.resolution import compare_resolution
from seeingkit.analyses.comparison.checks.sensitivity import check_sensitivity
from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.contracts import Segmenter
from seeingkit.errors import SeeingkitError, UsageError
from seeingkit.tallies.counted import CountedSource

from .inversions import Store, kept_in
from .plan import Plan
from .sides import Sides

if TYPE_CHECKING:
    from seeingkit.results import ResolutionResult, SegmenterShare

T = TypeVar("T")


def check(
    plan: Plan,
    comparison: Comparison,
    sides: Sides,
    *,
    store: Store = None,
) -> Comparison:
    """The comparison with resolution, the segmenter's share, and other measures in its results."""
    config = plan.config
    warnings: list[str] = []

    def tried(what: str, work: Callable[[], T | None]) -> T | None:
        try:
            return work()
        except SeeingkitError as error:
            warnings.append(f"{what}: {error}")
            return None

    resolution = tried(
        "The resolutions could not be compared",
        lambda: compare_resolution(sides.real, sides.generated, seed=config.seed),
    )
    share = tried(
        "The segmenter's share was not checked",
        lambda: _segmenter_share(plan, comparison, sides, resolution, store),
    )
    fidelity = None
    metric = sides.metric
    if metric is not None:
        fidelity = tried(
            "The other measures are missing",
            lambda: measure(
                metric,
                sides.real,
                sides.generated,
                device=plan.device,
                batch_size=config.batch_size,
                seed=config.seed,
            ),
        )
    update = {
        "resolution": resolution,
        "segmenter_share": share,
        "fidelity": fidelity,
        "warnings": [*comparison.results.warnings, *warnings],
    }
    return replace(comparison, results=comparison.results.model_copy(update=update))


def _segmenter_share(
    plan: Plan,
    comparison: Comparison,
    sides: Sides,
    resolution: ResolutionResult | None,
    store: Store,
) -> SegmenterShare | None:
    """By true labels where there are any and nothing else was asked for, else by a second view.

    Where the two sides differ in resolution, true labels of real images say little about the other
    side, so ``auto`` looks at another scale.
    """
    config = plan.config
    auto = config.sensitivity == "auto"
    if not isinstance(sides.segmenter, Segmenter):  # a classifier brings its own table of confusion
        if auto or config.sensitivity == "off":
            return None
        raise UsageError(
            "a second view is of a segmenter; leave --sensitivity out for a classifier"
        )
    mismatch = resolution is not None and resolution.mismatch
    if config.truth is not None or (auto and not mismatch):
        share = share_by_labels(
            sides.real,
            sides.shown,
            comparison.results,
            comparison.real,
            comparison.generated,
            truth=config.truth,
            seed=config.seed,
            batch_size=config.batch_size,
            store=kept_in(store, "confusions"),
        )
        if share is not None:
            return share
    counted = any(isinstance(side, CountedSource) for side in (sides.real, sides.generated))
    if config.sensitivity == "off" or (auto and counted):
        return None
    second = None if sides.second is None else sides.second.load(plan.device)
    mode = "scale" if auto else config.sensitivity
    return check_sensitivity(
        sides.real,
        sides.generated,
        comparison,
        sides.shown,
        mode=plan.second_name or mode,
        second=second,
        classes=config.classes,
        resolution=resolution,
        batch_size=config.batch_size,
        on_bad=config.on_bad,
        store=store,
        seed=config.seed,
    )
