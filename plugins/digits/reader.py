"""The annotator ``digit-reader``: which digit a picture shows, or one in each colour.

Guarantees: pictures of 28 and of 32 pixels are read as they are; every other size is resized, and a
picture that is not square is refused. It has no word for "no digit": whatever it is shown is read
as one of the ten.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from seeingkit.contracts import Classifier, ClassifierInfo, Label, Vocabulary
from seeingkit.errors import MissingWeightsError, ModelError, StateMismatchError, first_fault
from seeingkit.results import ConfusionTable
from seeingkit.weights import load_into, read_state_dict
from seeingkit_adapters.networks import NetworkModel

from .catalog import ReaderOptions
from .network import CLASSES, SIDE, DigitNetwork
from .pictures import SIDE as PUBLISHED

COLOURS = 3


class DigitReader(NetworkModel, Classifier):
    """Reads pictures with a network.

    Args:
        network: gives the logits of ten digits.
        info: with its table of confusion.
        stacked: whether each colour is a digit of its own; the label is then a word of three.

    >>> reader = seeingkit.load_annotator("digit-reader:digits")
    >>> reader.classify(seeingkit.open_images("digits").read([0, 1, 2]))
    tensor([...])
    """

    network: DigitNetwork
    info: ClassifierInfo
    thread_safe = True

    def __init__(self, network: DigitNetwork, info: ClassifierInfo, stacked: bool) -> None:
        self.network = network.eval().requires_grad_(False)
        self.info, self.stacked = info, stacked
        words = product("0123456789", repeat=COLOURS if stacked else 1)
        labels = tuple(Label("".join(word), "digit") for word in words)
        self.vocabulary = Vocabulary(labels, has_background=False, unit="class")

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        """(N, 3, H, H) in [-1, 1] to (N,) int64.

        Raises:
            ModelError: pictures that are not square.
        """
        if not self.stacked:
            return self._read(images.mean(1, keepdim=True))
        found = [self._read(images[:, k : k + 1]) for k in range(COLOURS)]
        return (found[0] * CLASSES + found[1]) * CLASSES + found[2]

    def _read(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if height != width:
            raise ModelError(f"digit-reader: pictures are square, not {width} x {height}")
        if height == PUBLISHED:
            images = F.pad(images, (2, 2, 2, 2), value=-1.0)
        elif height != SIDE:
            images = F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
        logits: Tensor = self.network(images)
        return logits.argmax(1)


def load(weights: Path | None, options: ReaderOptions) -> DigitReader:
    """The reader, as the registry calls it.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
    """
    if weights is None:
        raise MissingWeightsError("digit-reader needs weights: give --segmenter-weights FILE")
    file = read_state_dict(weights)
    network = DigitNetwork()
    load_into(network, file)
    info = ClassifierInfo(
        family="digit-reader",
        weights_sha256=file.sha256,
        licence="MIT",
        options=options.model_dump(),
        parameters=sum(p.numel() for p in network.parameters()),
        confusion=_confusion(network.confusion, COLOURS if options.stacked else 1, weights),
    )
    return DigitReader(network, info, options.stacked)


def _confusion(counts: Tensor, readings: int, path: Path) -> ConfusionTable:
    try:
        return ConfusionTable(
            counts=tuple(tuple(row) for row in counts.tolist()),
            readings=readings,
            images=f"{int(counts.sum()):,} digits that were kept apart from its training",
        )
    except ValidationError as error:
        raise StateMismatchError(f"{path}: confusion: {first_fault(error).reason}") from error
