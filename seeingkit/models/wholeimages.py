"""A classifier seen as a segmenter: every pixel of an image has the image's class.

Guarantee: pictures beside a class are those that the classifier read as it, and a reconstruction
keeps the class exactly if it is read alike. Nothing is counted with it.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from seeingkit.contracts import Classifier, Segmenter, SegmenterInfo, Vocabulary
from seeingkit.errors import UsageError


class WholeImages(Segmenter):
    """Label maps of one label, the class of the image.

    Args:
        classifier: gives the classes.

    >>> WholeImages(seeingkit.load_annotator("digit-reader:digits")).vocabulary.unit
    'pixels'
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        known = {name: getattr(classifier.info, name) for name in SegmenterInfo.model_fields}
        self.info = SegmenterInfo(**known)
        labels = classifier.vocabulary
        self.vocabulary = Vocabulary(labels.labels, has_background=labels.has_background)

    @property
    def device(self) -> torch.device:
        """The classifier's."""
        return self.classifier.device

    def to(self, device: str | torch.device) -> Self:
        """Move the classifier; returns itself."""
        self.classifier.to(device)
        return self

    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, 1, H, W) int64: the class of each image, everywhere."""
        n, _, height, width = images.shape
        classes = self.classifier.statistics(images).argmax(1).to(images.device)
        return classes.reshape(n, 1, 1, 1).repeat(1, 1, height, width)

    def score(self, images: Tensor, label: int) -> Tensor:
        """Refused: a class that is read has no degree at a pixel.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.info.family} names the class of an image; it has no scores")
