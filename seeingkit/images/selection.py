"""Part of a source, chosen as the paper chooses it.

Guarantees: ``select`` with the same source, n and seed chooses the same pictures in the same order
as ganseeing's ``fsd.py`` (``random.Random(seed).shuffle`` of the indices, the first n); a larger n
begins with the pictures of a smaller one; ids are kept.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from seeingkit.contracts import ImageSource, Skipped
from seeingkit.errors import UsageError

from .fingerprints import DigestedSource, Progress


class Selection(DigestedSource):
    """Some pictures of a source, in a given order.

    Args:
        source: where they come from; it stays open until the selection is closed.
        indices: which, each at most once.

    Raises:
        UsageError: an index that the source does not have, or the same one twice.

    >>> source = seeingkit.open_images("minichurches")
    >>> Selection(source, [7, 2]).ids == (source.ids[7], source.ids[2])
    True
    """

    def __init__(self, source: ImageSource, indices: Sequence[int]) -> None:
        self.source = source
        self.indices = tuple(int(i) for i in indices)
        wrong = next((i for i in self.indices if not 0 <= i < len(source)), None)
        if wrong is not None:
            raise UsageError(f"{source.name}: no image {wrong}; there are {len(source)}")
        if len(set(self.indices)) != len(self.indices):
            raise UsageError(f"{source.name}: an image is selected twice")
        self.ids = tuple(source.ids[i] for i in self.indices)
        self.name, self.kind, self.generator = source.name, source.kind, source.generator
        self.preset, self.seed, self.label_names = source.preset, source.seed, source.label_names
        self.labels_fingerprint = source.labels_fingerprint
        self.left_out, self.notes = source.left_out, source.notes
        self.class_names, self.classes_by = source.class_names, source.classes_by
        self.code = source.code

    def read(self, indices: Sequence[int]) -> Tensor:
        """As the source's ``read``, numbered within the selection."""
        return self.source.read([self.indices[i] for i in indices])

    def load(self, indices: Sequence[int]) -> tuple[Tensor | None, list[int], list[Skipped]]:
        """As the source's ``load``, numbered within the selection."""
        places = {self.indices[i]: i for i in indices}
        images, good, skipped = self.source.load([self.indices[i] for i in indices])
        return images, [places[i] for i in good], skipped

    def read_labels(self, indices: Sequence[int]) -> Tensor:
        """As the source's ``read_labels``, numbered within the selection."""
        return self.source.read_labels([self.indices[i] for i in indices])

    def stored_side(self, index: int) -> int | None:
        """As the source's ``stored_side``, numbered within the selection."""
        return self.source.stored_side(self.indices[index])

    def condition(self, index: int) -> int | None:
        """As the source's ``condition``, numbered within the selection."""
        return self.source.condition(self.indices[index])

    def digest(self, indices: Sequence[int], progress: Progress | None = None) -> str:
        """Hash of everything that changes the pixels of these pictures, in this order."""
        return self.source.digest([self.indices[i] for i in indices], progress)

    def describe(self) -> dict[str, Any]:
        """See ``ImageSource.describe``; with the preset's name and the size of the source."""
        preset = {} if self.preset is None else {"preset": self.preset.name}
        return {**super().describe(), **preset, "selected_from": len(self.source)}

    def close(self) -> None:
        """Close the source."""
        self.source.close()


def select(
    source: ImageSource, n: int | None = None, seed: int = 1, *, allow_fewer: bool = False
) -> ImageSource:
    """n pictures of a source, drawn without replacement as the paper's code draws them.

    Args:
        source: where they come from.
        n: how many; None takes the whole source as it stands.
        seed: of the shuffle; 1 is the paper's.
        allow_fewer: whether a source with fewer than n pictures gives all it has.

    Returns:
        The source itself when n is None, else a ``Selection``.

    Raises:
        UsageError: n below 1, or more pictures than there are.

    >>> len(select(seeingkit.open_images("minichurches", n=9), 4))
    4
    """
    if n is None:
        return source
    if n < 1:
        raise UsageError(f"n = {n}: ask for at least one image")
    if n > len(source) and not allow_fewer:
        raise UsageError(
            f"{source.name} has {len(source)} images, fewer than the {n} asked for; "
            f"ask for --n {len(source)} or add images"
        )
    return Selection(source, shuffled(len(source), seed)[:n])


def shuffled(count: int, seed: int) -> list[int]:
    """The places 0 to count - 1 in the order in which the paper's code draws them.

    >>> shuffled(4, 1)
    [3, 0, 2, 1]
    """
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order
