"""The record of a sweep: edits that were tried at several layers, and the one that was chosen."""

from __future__ import annotations

from .records import Record


class Estimate(Record):
    """A number over images with its 95 % interval.

    Attributes:
        value: None where nothing matches.
        low, high: None with too few images that have matching places.
    """

    value: float | None
    low: float | None
    high: float | None


class SweptEdit(Record):
    """An edit that was tried.

    Attributes:
        site, rank, keep: how it was planned.
        success: gain of wanted classes at matching places, in [-1, 1].
        outside: mean absolute change of other pixels, images of range 2.
        labels_outside: share of other pixels whose label changes: the price.
        held_out: gain of wanted classes in the regions of contexts that no candidate was planned
            on; None without one.
        unbeaten: no other one gains as much at a price as low.
        chosen: that of them with the greatest gain − price within the budget.
    """

    NAMED_BY = ("site",)

    site: str
    rank: int
    keep: float
    success: Estimate
    outside: Estimate
    labels_outside: Estimate
    held_out: float | None
    unbeaten: bool
    chosen: bool


class ChosenEdit(Record):
    """The chosen edit, planned on all contexts, in images that nothing was chosen with.

    Attributes:
        images: how many.
        before, after: share of the matching pixels that show a wanted class.
        success, outside, labels_outside: as of ``SweptEdit``.
        touched: share of the images in which more than 5 % of the labels change.
        controls: edits of the same size at the same site whose contexts are at random places.
        control_success, control_outside, control_labels_outside: of the control whose success comes
            nearest.
        beyond: success − that of this control, within images.
    """

    images: int
    before: Estimate
    after: Estimate
    success: Estimate
    outside: Estimate
    labels_outside: Estimate
    touched: Estimate
    controls: int
    control_success: Estimate
    control_outside: Estimate
    control_labels_outside: Estimate
    beyond: Estimate


class SweepResults(Record):
    """A sweep.

    Attributes:
        wanted: classes that are to appear at matching places.
        matching: sites whose keys say which places match, for all edits alike, and how well they
            tell contexts from the rest of the same images (area under the ROC curve).
        matching_share: share of all places of usual images that match.
        images: that candidates are compared on.
        contexts, held_out: contexts of the request, and how many of them candidates were not
            planned on.
        budget: the highest price that was allowed.
        edits: all candidates.
        chosen: None where no candidate within the budget gains anything.
        least: gain that counts, beyond every control.
        found: whether the gain beyond every control lies above it with its whole interval.
    """

    wanted: list[str]
    matching: dict[str, float]
    matching_share: float
    images: int
    contexts: int
    held_out: int
    budget: float
    edits: list[SweptEdit]
    chosen: ChosenEdit | None
    least: float
    found: bool
