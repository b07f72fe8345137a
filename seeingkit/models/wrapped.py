"""A segmenter around another one: the base of views and of merged vocabularies."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import torch

from seeingkit.contracts import Segmenter, SegmenterInfo


class WrappedSegmenter(Segmenter):
    """A segmenter that changes the input or the output of another.

    It computes where the other does, and has its identity with ``added_options`` beside the other
    options, so that tallies of the two are kept apart.

    Attributes:
        segmenter: the other one.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.vocabulary = segmenter.vocabulary

    @abstractmethod
    def added_options(self) -> dict[str, Any]:
        """JSON-able options that identify the change."""

    @property
    def info(self) -> SegmenterInfo:  # type: ignore[override]
        """The other's, with ``added_options`` among the options."""
        found = self.segmenter.info
        return found.model_copy(update={"options": {**found.options, **self.added_options()}})

    @property
    def device(self) -> torch.device:
        """The device of the other segmenter."""
        return self.segmenter.device

    def to(self, device: str | torch.device) -> Self:
        """Move the other segmenter; returns itself."""
        self.segmenter.to(device)
        return self
