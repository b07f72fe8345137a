"""The records of what edits of weights did; ``results.json`` of ``seeingkit assess``.

Areas are percent of the image, shares lie in [0, 1]; all images are a generator's own, each without
and with the edits, and none of them is one that an edit was planned with.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .effects import Effect
from .records import SCHEMA_VERSION, ModelRecord, Record, SkippedItem, SourceRecord

DistanceClaim = Literal["nearer", "no evidence", "farther"]
Group = Literal["match", "first", "outside"]
"""Why an image is shown: most of it matches; it is among the first, which nothing was chosen by; it
changes most outside of the matching places."""
Role = Literal["copy", "paste", "context"]


class Share(Record):
    """A share, or a difference of shares, over images.

    Attributes:
        value: None where no image has anything that it is a share of.
        low, high: its 95 % interval; None with too few images.
        p: of "it is 0", where that is a question.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None = None


class RequestPicture(Record):
    """A picture of a request: an image and the region that was painted.

    Attributes:
        role: of the region.
        image: its number; photo: file of the photo that stands in its place; empty: none.
        file, mask: PNG of the image, and of the region, white.
    """

    role: Role
    image: int
    photo: str = ""
    file: str
    mask: str


class AssessedEdit(Record):
    """One edit, and what all edits together do where its context matches.

    Attributes:
        name: of its file; digest: of all that changes an image.
        site, rank, strength, solver: of the edit; solver is empty where the file does not say.
        wanted: classes that are to appear at matching places.
        matching: whether it says what it was planned for; without that nothing matches.
        context_share: share of the context's own area that matches.
        usual_share: share of the places of usual images that match.
        images: in which anything matches; area: of matching places, percent of all images.
        before, after: share of the matching pixels that show a wanted class.
        success: after − before; converted: of the matching pixels of no wanted class, the share
            that shows one afterwards.
        claimed: p of ``success`` is at most the level, corrected for the number of edits.
        outside: mean absolute change of all other pixels, of images of range 2.
        labels_outside: share of all other pixels whose label changes.
        request: pictures of what was asked for.
    """

    NAMED_BY = ("name",)

    name: str
    digest: str
    site: str
    rank: int
    strength: float
    solver: str
    wanted: list[str] = Field(default_factory=list)
    matching: bool
    context_share: float | None = None
    usual_share: float | None = None
    images: int
    area: float
    before: Share
    after: Share
    success: Share
    converted: Share
    claimed: bool
    outside: Share
    labels_outside: Share
    request: list[RequestPicture] = Field(default_factory=list)


class EditedDistance(Record):
    """Distance from the real images (FSD, percent², bias-reduced) without and with the edits.

    Attributes:
        before, before_error, after, after_error: distances and their standard errors.
        gain, low, high: before − after and its interval; above 0: nearer. error: standard error.
        confidence: of the interval.
        p_swap: of "images without and with the edits can change places"; None where it was not
            needed.
    """

    before: float
    before_error: float
    after: float
    after_error: float
    gain: float
    low: float
    high: float
    error: float
    confidence: float
    p_swap: float | None
    claim: DistanceClaim


class AssessedImage(Record):
    """One image without and with the edits, as pictures in the run directory.

    Attributes:
        image: its number.
        group: why it is shown.
        matched: share of its pixels that match, of any edit.
        moved: share of its pixels whose label changes.
        outside: mean absolute change of its pixels that match no edit; None where all match.
        files: PNG of the image before and after.
        masks: PNG of the matching places, and of the pixels whose label changes, white.
    """

    image: int
    group: Group
    matched: float
    moved: float
    outside: float | None
    files: tuple[str, str]
    masks: tuple[str, str]


class AssessmentResults(Record):
    """Everything that edits of weights did: ``results.json`` of ``seeingkit assess``.

    Attributes:
        generator: with the edits; data: the real images.
        n, seed: images 0 to n − 1 of the seed, which is that of a series of its own.
        n_real: real images that distances are taken from.
        level: of each question: classes (false discovery rate), success, distance.
        edits: in the order in which they apply.
        touched: share of the images in which more than ``touched_share`` of the labels change.
        effect: on every class.
        distance: from the real images.
        pictures: images without and with the edits.
        skipped: real images that could not be used.
        warnings: about models; cautions: all that the page says, most important first.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["assessment"] = "assessment"
    seeingkit: str
    generator: ModelRecord
    segmenter: ModelRecord
    data: SourceRecord
    n: int
    n_real: int
    seed: int
    preset: str
    level: float
    edits: list[AssessedEdit]
    touched: Share
    touched_share: float
    effect: Effect
    distance: EditedDistance
    pictures: list[AssessedImage] = Field(default_factory=list)
    skipped: list[SkippedItem] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    cautions: list[str] = Field(default_factory=list)
