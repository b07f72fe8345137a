"""The records of ``seeingkit repair``: can omitted classes be brought back by editing a weight?

Areas are percent of the image, errors mean absolute differences of images of range 2, distances
percent². They stand in ``results.json`` of the comparison, under ``repair``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .effects import ClassEffect
from .records import Record
from .tracing import DistanceChange

RepairVerdict = Literal["back", "partly", "no"]


class ReachRecord(Record):
    """How much an edit can give, before any image of it is made (``analyses.rewriting.reach``).

    Attributes:
        site: the layer; rank, keep: of the edit.
        apart: share of the wanted change that it gives in photos it was not planned with; net: the
            same less what it changes at all other places there, below 0 where that is more; own:
            as ``apart``, in the photos it was planned with; control: as ``apart``, of places
            beside the class, None: there are none, or none that needs a change.
    """

    site: str
    rank: int
    keep: float
    apart: float
    net: float
    own: float
    control: float | None


class SiteRecord(Record):
    """A layer and the photos of a class.

    Attributes:
        site: its name.
        made, reached: error in the class's places, of the inversions and of the values that the
            layer would have to give.
        keys_apart: probability that a place of the class has a stronger key than another place of
            its photo; keys_in_samples: share of the places of generated images whose key is as
            strong as that of half of the class's places; keys_in_photos: of the photos' other
            places. Means over photos that were left out.
            None: no photo has a place outside of the class.
        best: the edit that reaches most.
    """

    NAMED_BY = ("site",)

    site: str
    made: float
    reached: float
    keys_apart: float | None
    keys_in_samples: float | None
    keys_in_photos: float | None
    best: ReachRecord


class TrialRecord(Record):
    """An edit in the searched images.

    Attributes:
        reach: what it can give.
        shown: share of the images that show an object of the class; area: of the class.
        moved: share of the labels that change.
        chosen: it was measured in fresh images.
    """

    reach: ReachRecord
    shown: float
    area: float
    moved: float
    chosen: bool = False


class ObjectShare(Record):
    """Share of images that show an object of the class: a part of real size in both views.

    Attributes:
        size, largest: pixels of a part, at least and at most; None: no bound.
        before, after: of generated images without and with the edit; beside: with the edit that
            was planned from places beside the class, None: there is none; real: of real images.
        difference, low, high: after − before, and its 95 % interval within pairs of latents.
        against, against_low, against_high: after − beside.
        p: of "the edit shows no more of it, or no more than an equally large one from places beside
            does", 1 without places beside; q: Benjamini-Hochberg over classes and distances.
        shaped: real images show enough objects for a shape to be asked for.
        precise: share of the objects found in real images that lie on true labels of the class;
            None: the data has no true labels.
    """

    size: int
    largest: int | None
    before: float
    after: float
    beside: float | None
    real: float
    difference: float
    low: float | None
    high: float | None
    against: float | None
    against_low: float | None
    against_high: float | None
    p: float
    q: float = 1.0
    shaped: bool = False
    precise: float | None


class RepairedClass(Record):
    """What came of one class.

    Attributes:
        label, verdict_before: the class, and the comparison's verdict.
        real_area, generated_area: of the comparison.
        photos: from which edits were planned; by_truth: their places are true labels.
        cut: boundary where they were inverted.
        sites: before any image; best first.
        trials: in the searched images.
        edit: file in the run directory; None: nothing was tried.
        objects: in fresh images; before, after, difference, low, high: area in them.
        distance: of the images from the real ones.
        classes: all classes that change, largest change first.
        moved: share of the labels that change.
        verdict: ``back``: objects are surely more often shown, at least half as often as in real
            images, and the images are not surely farther from the real ones; ``partly``: surely
            more often; ``no``.
        pictures: PNG files in the run directory: photos, places, inversions and values; images
            before and after; the largest objects in real images, before, and after.
    """

    NAMED_BY = ("label",)

    label: str
    verdict_before: str
    real_area: float
    generated_area: float
    photos: int
    by_truth: bool
    cut: str
    sites: list[SiteRecord] = Field(default_factory=list)
    trials: list[TrialRecord] = Field(default_factory=list)
    edit: str | None = None
    objects: ObjectShare
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    distance: DistanceChange
    classes: list[ClassEffect] = Field(default_factory=list)
    moved: float
    verdict: RepairVerdict = "no"
    pictures: list[str] = Field(default_factory=list)


class RepairResult(Record):
    """Omitted classes, and whether an edit of one weight brings them back.

    Attributes:
        n, seed: fresh images that effects are measured in, and their seed.
        searched, search_seed: images in which edits were compared.
        view: the second view of the images, in words.
        level: false discovery rate of the claims.
        moved: share of the labels that a chosen edit was allowed to change.
        classes: of the repair; untried: classes that could not be tried, with the reason.
    """

    n: int
    seed: int
    searched: int
    search_seed: int
    view: str
    level: float
    moved: float
    classes: list[RepairedClass] = Field(default_factory=list)
    untried: list[tuple[str, str]] = Field(default_factory=list)
