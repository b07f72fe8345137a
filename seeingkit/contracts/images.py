"""Contract of image sources: pictures with stable ids, read as tensors in [-1, 1].

Guarantees: images are float32 RGB (N, 3, H, W) in [-1, 1]; an image has one id and one content,
however it is read.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seeingkit.errors import ImageError, SourceError
from seeingkit.specs import Preset

from .generators import GeneratorInfo


class Skipped(NamedTuple):
    """An image that could not be used: its stable id, and why.

    >>> Skipped("church/7.jpg", "truncated").item
    'church/7.jpg'
    """

    item: str
    reason: str

    @staticmethod
    def by(error: ImageError) -> Skipped:
        """The record of an error; ``Unread`` where the fault lay in the moment."""
        return (Unread if error.temporary else Skipped)(error.item, error.reason)


class Unread(Skipped):
    """An image that could not be read for a moment; it is tried again on the next start.

    >>> isinstance(Skipped.by(ImageError("7.jpg", "no memory", temporary=True)), Unread)
    True
    """


class ImageSource(ABC):
    """Pictures with stable ids: a folder, a zip, a data set, or a Sampler seen as images.

    A source must have ``name``, ``ids``, ``fingerprint`` and ``read``; all else has a default.

    Attributes:
        name: for people.
        ids: one stable string per image; the same for the same content on every machine.
        fingerprint: hash of everything that changes the pixels (content, preset, options).
        kind: for people: the sort of source.
        preset: the preprocessing that ``read`` applies, or None where it is unknown.
        seed: of a source that draws its images, else None.
        code: version of the code of a registered data set, filled in when it is opened.
        generator: the info of the generator that made the images, or None.
        label_names: names of the true labels that ``read_labels`` gives, by number; empty where
            the source has none.
        labels_fingerprint: changes when these labels do, where ``fingerprint`` stays; None: nobody
            knows, and nothing that was counted from them is kept for the next time.
        class_names: names of the classes that ``condition`` gives, by number; empty where they
            have none.
        classes_by: what gives these classes, for people (``dataset.json``).
        left_out: files that are pictures, or may hold some, and are none of the images, with the
            reason.
        notes: sentences on how the images were found, for people.
    """

    name: str
    ids: Sequence[str]
    fingerprint: str
    kind: str = "images"
    preset: Preset | None = None
    seed: int | None = None
    code: str = ""
    generator: GeneratorInfo | None = None
    label_names: tuple[str, ...] = ()
    labels_fingerprint: str | None = None
    class_names: tuple[str, ...] = ()
    classes_by: str = ""
    left_out: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Tensor:
        """(N, 3, H, W) float32 in [-1, 1], RGB.

        Raises:
            ImageError: naming the first image that cannot be read.
        """

    def load(self, indices: Sequence[int]) -> tuple[Tensor | None, list[int], list[Skipped]]:
        """Like ``read``, but images that cannot be read are named instead of raised.

        Returns:
            images (M, 3, H, W) or None when M = 0, the indices they belong to, and the rest.
        """
        images: list[Tensor] = []
        good: list[int] = []
        skipped: list[Skipped] = []
        for i in indices:
            try:
                images.append(self.read([i]))
                good.append(i)
            except ImageError as error:
                skipped.append(Skipped.by(error))
        return (torch.cat(images) if images else None), good, skipped

    def read_labels(self, indices: Sequence[int]) -> Tensor:
        """True labels of the pixels that ``read`` gives.

        Returns:
            (N, H, W) int64: numbers of ``label_names``, or -1 where a pixel has no known label.

        Raises:
            SourceError: this source has no true labels.
        """
        raise SourceError(f"{self.name} has no true labels")

    def stored_side(self, index: int) -> int | None:
        """Shorter side of an image in pixels before the preset, where the source knows it."""
        return None

    def condition(self, index: int) -> int | None:
        """The class that a generator drew an image for, or that its data set lists, else None."""
        return None

    def first(self, n: int) -> ImageSource | None:
        """The first n images, for a source whose images do not depend on how many there are.

        Returns:
            a source of the same kind, or None for a finite collection, of which any n are a
            sample (``seeingkit.images.select`` draws them).

        Raises:
            UsageError: an endless source that cannot give n images.
        """
        return None

    def compute_fingerprint(self, progress: Callable[[int, int], None] | None = None) -> str:
        """The fingerprint; a source that has to read many files says how far it is.

        Args:
            progress: called with (images hashed, images in all).
        """
        return self.fingerprint

    def digest(
        self, indices: Sequence[int], progress: Callable[[int, int], None] | None = None
    ) -> str:
        """Hash of everything that changes the pixels of these images, in this order."""
        text = json.dumps([self.fingerprint, [int(i) for i in indices]])
        return hashlib.sha256(text.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """A JSON-able record of this source; keys beyond these are details for the report."""
        return {
            "name": self.name,
            "kind": self.kind,
            "images": len(self),
            "fingerprint": self.fingerprint,
            "seed": self.seed,
        }

    def close(self) -> None:
        """Let go of files and handles."""
