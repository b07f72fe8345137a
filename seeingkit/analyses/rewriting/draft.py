"""A request that is being painted: regions that come and go, of a series of images.

Guarantees: a step that fails leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seeingkit.errors import UsageError
from seeingkit.system.writing import json_text, write_text

from .plan import request_record
from .regions import PhotoRegion, Region, Request
from .requestfiles import parse_request

Kind = Literal["copy", "paste", "context"]
"""The parts that a region can have in a request."""

LAST_IMAGE = 2**31 - 1
"""The last number of an image that a region may name."""


class Draft:
    """Regions of images, until they are a request.

    Args:
        seed: of the images.
        labels: of a conditional generator: image i is of class labels[i % len(labels)]; empty: all
            classes in turn.
        classes: how many the generator has.

    Attributes:
        copied, pasted, contexts: the regions.
        paste_counts: whether the place of ``pasted`` is an example of the context, too; only a
            loaded request can say that it is not.

    Raises:
        UsageError: a seed or classes that cannot be.

    >>> draft, mask = Draft(), np.full((8, 8), 255, np.uint8)
    >>> draft.copy(Region(3, mask)); draft.paste(Region(5, mask)); draft.context(Region(7, mask))
    >>> [region.index for region in draft.request.contexts]
    [5, 7]
    """

    def __init__(self, seed: int = 0, labels: Sequence[int] = (), *, classes: int = 0) -> None:
        self.classes = classes
        self.seed, self.labels = self._checked_series(seed, tuple(labels))
        self.copied: Region | None = None
        self.pasted: Region | None = None
        self.contexts: tuple[Region, ...] = ()
        self.paste_counts = True

    def copy(self, region: Region) -> None:
        """What is copied.

        Raises:
            UsageError: an image number that is too large.
        """
        self.copied = self._checked(region)

    def paste(self, region: Region) -> None:
        """Where it is to appear: the first example of the context."""
        self.pasted, self.paste_counts = self._checked(region), True

    def context(self, region: Region, number: int | None = None) -> None:
        """Add a further example of such places; in place of the one of that number, if given.

        Raises:
            UsageError: no such number.
        """
        number = len(self.contexts) if number is None else self._number(number)
        changed = list(self.contexts)
        changed[number : number + 1] = [self._checked(region)]
        self.contexts = tuple(changed)

    def remove(self, kind: Kind, number: int = 0) -> None:
        """Take a region out of the request; ``number``: of a context.

        Raises:
            UsageError: no such number.
        """
        if kind == "context":
            number = self._number(number)
            self.contexts = self.contexts[:number] + self.contexts[number + 1 :]
        elif kind == "copy":
            self.copied = None
        else:
            self.pasted, self.paste_counts = None, True

    def clear(self) -> None:
        """Begin a new request; edits stay."""
        self.copied, self.pasted, self.contexts, self.paste_counts = None, None, (), True

    def _number(self, number: int) -> int:
        if not 0 <= number < len(self.contexts):
            raise UsageError(f"no context {number}; there are {len(self.contexts)}")
        return number

    def _checked(self, region: Region) -> Region:
        if isinstance(region, PhotoRegion):
            raise UsageError("regions of photos are for seeingkit rewrite; paint on samples here")
        if region.index > LAST_IMAGE:
            raise UsageError(f"image {region.index}: numbers of images end at {LAST_IMAGE}")
        return region

    @property
    def examples(self) -> tuple[Region, ...]:
        """The places that are to change: of ``pasted``, and the contexts."""
        counts = self.pasted is not None and (self.paste_counts or not self.contexts)
        return ((self.pasted,) if counts and self.pasted else ()) + self.contexts

    @property
    def request(self) -> Request:
        """The regions as a request.

        Raises:
            UsageError: nothing is copied, or there is no place to paste it.
        """
        if self.copied is None:
            raise UsageError("nothing is copied yet: paint a region to copy")
        if not self.examples:
            raise UsageError("there is no place to change yet: paint one to paste, or a context")
        pasted = self.pasted or self.contexts[0]
        return Request(self.copied, pasted, self.examples, self.seed, self.labels)

    def save_request(self, path: str | Path) -> Path:
        """Write the request as JSON, in the form of the original's notebook.

        ``draft.save_request("request.json")``
        """
        return write_text(Path(path), json_text(request_record(self.request)) + "\n")

    def load_request(self, text: str, name: str = "request", **limits: Any) -> None:
        """Take the regions and the images of a request.

        Args:
            text: of its file.
            name: of the file, for messages.
            limits: of ``requestfiles.parse_request``.

        Raises:
            RunError, UsageError: something else, or classes that the generator lacks.

        ``draft.load_request(Path("request.json").read_text())``
        """
        given = parse_request(text, name, **limits)
        regions = [self._checked(one) for one in (given.copy, given.paste, *given.context)]
        labels = given.labels or self.labels
        self.seed, self.labels = self._checked_series(given.seed, labels)
        self.copied, self.pasted = regions[:2]
        others = tuple(one for one in given.context if not _same(one, given.paste))
        self.paste_counts = not given.context or len(others) < len(given.context)
        self.contexts = others

    def _checked_series(self, seed: int, labels: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        if not 0 <= seed < 2**32:
            raise UsageError(f"seed {seed}: seeds are from 0 to 4,294,967,295")
        if not all(0 <= label < self.classes for label in labels):
            raise UsageError(f"classes {list(labels)}: the generator has {self.classes}")
        return seed, labels


def _same(one: Region, other: Region) -> bool:
    return one.index == other.index and np.array_equal(one.mask, other.mask)
