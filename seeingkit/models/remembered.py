"""Label maps of a run, kept in memory: no picture of a run is segmented twice on a CPU.

A run counts its images, then compares some with true labels, and shows some with their labels.

Guarantees: what is given again is what the segmenter gave for the very same pixels; its identity is
the segmenter's; memory stays below ``MOST_BYTES``, beyond which nothing more is kept.
"""

from __future__ import annotations

import hashlib
import math
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seeingkit.contracts import Annotator, Segmenter

from .wrapped import WrappedSegmenter

MOST_BYTES = 256 * 2**20
"""Of packed label maps and of what keeps them: those of 64 x 64 pixels take some hundred bytes."""
ENTRY_BYTES = 384
"""What a map takes beside its packed labels: key, place in the table, shape (measured: 320)."""


class RememberedSegmenter(WrappedSegmenter):
    """A segmenter on a CPU that segments each picture once.

    >>> segmenter = RememberedSegmenter(seeingkit.load_segmenter("upernet:minichurches"))
    >>> pictures = torch.zeros(1, 3, 64, 64)
    >>> torch.equal(segmenter.label_maps(pictures), segmenter.label_maps(pictures))
    True
    >>> segmenter.segmented
    1

    Args:
        segmenter: whose labels they are.
        most_bytes: that are kept.
        maps: that are known, by ``picture_key``; all are kept.

    Attributes:
        segmented: how many pictures the segmenter was given.
        maps: what is known now.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        most_bytes: int = MOST_BYTES,
        maps: Mapping[bytes, KeptMap] | None = None,
    ) -> None:
        super().__init__(segmenter)
        self.segmented = 0
        self.maps: dict[bytes, KeptMap] = dict(maps or {})
        self._room = most_bytes - sum(each.size for each in self.maps.values())
        self._keeping = threading.Lock()

    @property
    def thread_safe(self) -> bool:  # type: ignore[override]
        """As the segmenter."""
        return self.segmenter.thread_safe

    def added_options(self) -> dict[str, Any]:
        """None: labels are the segmenter's."""
        return {}

    def segment(self, images: Tensor) -> Tensor:
        """As the segmenter's, or as it was for the same pixels."""
        if images.device.type != "cpu":
            return self.segmenter.label_maps(images)
        keys = [picture_key(image) for image in images]
        new = [row for row, key in enumerate(keys) if key not in self.maps]
        if len(new) == len(keys):
            return self._segmented(images, keys)
        size = len(self.vocabulary)
        found = [None if key not in self.maps else self.maps[key].labels(size) for key in keys]
        if new:
            maps = self._segmented(images[new], [keys[row] for row in new])
            for row, labels in zip(new, maps, strict=True):
                found[row] = labels
        return torch.stack([labels for labels in found if labels is not None])

    def _segmented(self, images: Tensor, keys: list[bytes]) -> Tensor:
        """The segmenter's labels, kept while there is room."""
        maps = self.segmenter.label_maps(images)
        kept = [KeptMap.of(labels, len(self.vocabulary)) for labels in maps]
        with self._keeping:  # two threads may have segmented at once
            self.segmented += len(keys)
            for key, each in zip(keys, kept, strict=True):
                if each.size <= self._room and key not in self.maps:
                    self._room -= each.size
                    self.maps[key] = each
        return maps

    def score(self, images: Tensor, label: int) -> Tensor:
        """As the segmenter's."""
        return self.segmenter.score(images, label)


@dataclass(frozen=True, slots=True)
class KeptMap:
    """One label map, packed.

    Attributes:
        packed: zlib of its numbers, as small as the vocabulary allows.
        shape: (planes, H, W).

    >>> KeptMap.of(torch.tensor([[[3, 5]]]), 6).labels(6)
    tensor([[[3, 5]]])
    """

    packed: bytes
    shape: tuple[int, ...]

    @classmethod
    def of(cls, labels: Tensor, size: int) -> KeptMap:
        """Of labels (planes, H, W) int64, of so many."""
        numbers = labels.cpu().numpy().astype(_kind(size))
        return cls(zlib.compress(numbers.tobytes(), 1), tuple(labels.shape))

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.packed) + ENTRY_BYTES

    def labels(self, size: int) -> Tensor:
        """As they were given: int64.

        Args:
            size: of the vocabulary.

        Raises:
            ValueError: not a label map of this shape and vocabulary.
        """
        try:
            flat = np.frombuffer(zlib.decompress(self.packed), _kind(size))
        except zlib.error as error:
            raise ValueError(f"labels are damaged: {error}") from error
        if flat.size != math.prod(self.shape) or (flat.size and int(flat.max()) >= size):
            raise ValueError("labels are of another picture or vocabulary")
        return torch.from_numpy(flat.astype(np.int64)).reshape(self.shape)


def _kind(size: int) -> np.dtype[Any]:
    return np.min_scalar_type(max(size - 1, 0))


def picture_key(image: Tensor) -> bytes:
    """SHA-256 of the pixels of a picture on the CPU, and of their type and shape.

    >>> len(picture_key(torch.zeros(3, 4, 4)))
    32
    """
    pixels = image.detach().contiguous().numpy()
    found = hashlib.sha256(f"{pixels.dtype} {pixels.shape}".encode())
    found.update(pixels.data)
    return found.digest()


def remembered(annotator: Annotator) -> Annotator:
    """A segmenter on a CPU with a memory; any other annotator as it is.

    On a GPU pixels would have to come back for it, and segmenting again is cheap.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> type(remembered(segmenter)).__name__
    'RememberedSegmenter'
    """
    if not isinstance(annotator, Segmenter) or annotator.device.type != "cpu":
        return annotator
    return RememberedSegmenter(annotator)
