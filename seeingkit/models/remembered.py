"""Label maps of a run, kept in memory: no picture of a run is segmented twice on a CPU.

A run counts its images, then compares some with true labels, and shows some with their labels.

Guarantees: what is given again is what the segmenter gave for the very same pixels; its identity is
the segmenter's; memory stays below ``MOST_BYTES``, beyond which nothing more is kept.
"""

from __future__ import annotations

import hashlib
import zlib
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

    Attributes:
        segmented: how many pictures the segmenter was given.
    """

    def __init__(self, segmenter: Segmenter, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(segmenter)
        self.segmented = 0
        self._room = most_bytes
        self._maps: dict[bytes, _KeptMap] = {}

    def added_options(self) -> dict[str, Any]:
        """None: labels are the segmenter's."""
        return {}

    def segment(self, images: Tensor) -> Tensor:
        """As the segmenter's, or as it was for the same pixels."""
        if images.device.type != "cpu":
            return self.segmenter.label_maps(images)
        keys = [_key(image) for image in images]
        new = [row for row, key in enumerate(keys) if key not in self._maps]
        if len(new) == len(keys):
            return self._segmented(images, keys)
        found = [None if key not in self._maps else self._maps[key].labels() for key in keys]
        if new:
            maps = self._segmented(images[new], [keys[row] for row in new])
            for row, labels in zip(new, maps, strict=True):
                found[row] = labels
        return torch.stack([labels for labels in found if labels is not None])

    def _segmented(self, images: Tensor, keys: list[bytes]) -> Tensor:
        """The segmenter's labels, kept while there is room."""
        maps = self.segmenter.label_maps(images)
        self.segmented += len(keys)
        for key, labels in zip(keys, maps, strict=True):
            kept = _KeptMap(labels, len(self.vocabulary))
            size = len(kept.packed) + ENTRY_BYTES
            if size <= self._room and key not in self._maps:
                self._room -= size
                self._maps[key] = kept
        return maps

    def score(self, images: Tensor, label: int) -> Tensor:
        """As the segmenter's."""
        return self.segmenter.score(images, label)


class _KeptMap:
    """One label map (planes, H, W), packed."""

    __slots__ = ("kind", "packed", "shape")

    def __init__(self, labels: Tensor, size: int) -> None:
        self.shape = tuple(labels.shape)
        self.kind = np.min_scalar_type(max(size - 1, 0))
        self.packed = zlib.compress(labels.cpu().numpy().astype(self.kind).tobytes(), 1)

    def labels(self) -> Tensor:
        """As they were given: int64."""
        flat = np.frombuffer(zlib.decompress(self.packed), self.kind)
        return torch.from_numpy(flat.astype(np.int64)).reshape(self.shape)


def _key(image: Tensor) -> bytes:
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
