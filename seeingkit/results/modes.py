"""The records of counted modes: which classes a generator draws at all, and how often.

Shares are in [0, 1], divergences in nats.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from .records import Interval, Record


class ConfusionTable(Record):
    """How a classifier reads labelled images that it never saw.

    Attributes:
        counts: of images, true class by row, class read by column.
        readings: a label is a word of so many readings, the first one most significant: label
            number 123 of a reader of three digits is a 1, a 2 and a 3. Mistakes of one word's
            readings are independent.
        images: a sentence on what was read.

    >>> ConfusionTable(counts=((9, 1), (0, 10)), images="20 photos").right
    0.95
    """

    counts: tuple[tuple[int, ...], ...]
    readings: int = 1
    images: str = ""

    @model_validator(mode="after")
    def _square(self) -> ConfusionTable:
        size = len(self.counts)
        if any(len(row) != size for row in self.counts) or self.readings < 1:
            raise ValueError(f"a confusion of {size} classes is {size} x {size} counts")
        if any(count < 0 for row in self.counts for count in row) or not all(map(sum, self.counts)):
            raise ValueError("each class needs labelled images, and counts are not negative")
        return self

    @property
    def labels(self) -> int:
        """Number of labels that it is about: classes to the power of readings."""
        return int(len(self.counts) ** self.readings)

    @property
    def right(self) -> float:
        """Share of single readings that are right."""
        return sum(row[k] for k, row in enumerate(self.counts)) / sum(map(sum, self.counts))


class ModeResult(Record):
    """One mode.

    Attributes:
        real, generated: images that are read as it.
        mistaken: generated images that are expected to be read as it if none were drawn.
        p_value, q_value: of "no generated image is of it"; None without a table of confusion.
        drawn: the claim that some are, at the level.
        real_share, generated_share: shares of the images, corrected for confusion; None without.
    """

    NAMED_BY = ("label",)

    label: str
    index: int
    real: int
    generated: int
    mistaken: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    drawn: bool | None = None
    real_share: float | None = None
    generated_share: float | None = None


class AskedClass(Record):
    """One class of a conditional generator: what is read where it was asked for.

    Attributes:
        label, name: the class that was asked for; read_as: the label of that name.
        images: how many; right: that are read as asked, right_ci: 95 % interval of their share.
        modes: how many labels are read among them.
        other: the label that is read most often besides, None if none is; other_images: how often.
    """

    NAMED_BY = ("name",)

    label: int
    name: str
    read_as: str
    images: int
    right: int
    right_ci: Interval
    modes: int
    other: str | None = None
    other_images: int = 0


class ModesResult(Record):
    """Modes captured by a generator, with what as many real images would give.

    Attributes:
        labels: of the vocabulary; real_seen, generated_seen: read at least once.
        expected_seen: mean over samples of as many images with the real shares; expected_range:
            95 % of them.
        drawn: modes that are claimed to be drawn, beyond mistakes of the reader; None without a
            table of confusion. mistaken_seen: modes that are expected to be read although they are
            never drawn, were only the claimed ones drawn.
        kl: divergence of the generated from the real shares, with half an image added to each real
            count; kl_expected, kl_range: its mean and 95 % where both sides have the same shares;
            p_value: of that.
        real_entropy, generated_entropy: of the shares.
        level: false discovery rate of the claims about modes; draws: of all simulations.
        confusion: the reader's.
        modes: those that real or generated images are read as, most real images first.
        asked: classes of a conditional generator; asked_by: how they were matched with labels
            (``name`` or ``number``).
    """

    labels: int
    real_seen: int
    generated_seen: int
    expected_seen: float
    expected_range: Interval
    drawn: int | None = None
    mistaken_seen: float | None = None
    kl: float
    kl_expected: float
    kl_range: Interval
    p_value: float
    real_entropy: float
    generated_entropy: float
    level: float
    draws: int
    confusion: ConfusionTable | None = None
    modes: list[ModeResult]
    asked: list[AskedClass] = Field(default_factory=list)
    asked_by: str = ""
