"""Segmenter on ESPNet weights (Mehta et al., ECCV 2018): street scenes.

Guarantees the input that the published weights were trained on, which no file holds: channels in
the order BGR, 0..255, minus the mean and over the standard deviation of the training set, **then
over 255**. On CamVid's 0001TP the accuracy falls from .86 to .35 with RGB order, and to .14 without
the last division. Both sides of the input are multiples of 8.

Pictures smaller than the training photographs are enlarged until they have as many rows, unless
``size`` or ``shortest`` is given: CamVid photographs shrunk to 256x192 are labelled with a
mean IoU of .42 as they are and .55 enlarged (unshrunk .60; every third photograph of 0001TP).

CamVid and Cityscapes number their outputs with the classes first and one left-over ("unlabelled",
"background") last. The evaluation of both sets ignores pixels of that class, so its output is left
out before the argmax: every pixel gets a class. That reproduces the accuracy measured with the
original code (CamVid test 0001TP .856, mean IoU .568; letting the left-over win gives .825, .553).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import SegmenterInfo, Vocabulary
from seeingkit.errors import MissingWeightsError, ModelError, UsageError
from seeingkit.weights import Checkpoint, WeightsFile, networks_with, read_state_dict

from ..catalog.segmenters import ESPNetOptions, ESPNetV2Options
from ..constants import check_finite, constant, numbers
from ..networks import NetworkSegmenter
from .labels import choose_vocabulary
from .network import MARK, STRIDE, ESPNet, build, read_layout

LICENCE = "own code, MIT; weights as their publisher says"


@dataclass(frozen=True)
class TrainingSet:
    """The photographs some ESPNet weights were trained on.

    Attributes:
        mean: of the red, green and blue channels over 0..255.
        std: standard deviations of the same.
        rows: height of the photographs as the network saw them.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rows: int


TRAINING_SETS = {
    "camvid": TrainingSet((104.7, 108.1, 109.9), (78.0, 79.1, 77.9), 360),
    "cityscapes": TrainingSet(
        (73.15840149, 82.90893555, 72.3923111), (44.91483307, 46.15289307, 45.3192215), 512
    ),
}


@dataclass(frozen=True)
class Preparation:
    """How images become the input of a network.

    Attributes:
        mean: of the red, green and blue channels over 0..255; subtracted.
        std: standard deviations of the same; divided by.
        divisor: a further one of the result.
        reverse: whether the network takes BGR.
        multiple: both sides of the input are multiples of this.
        shortest: images with a shorter side below this are enlarged until it is this long.
        size: height and width of the network's input, or None: the image's own (enlarged if
            ``shortest`` asks for it), each side rounded to the nearest multiple.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    divisor: float
    reverse: bool
    multiple: int
    shortest: int
    size: tuple[int, int] | None

    def __post_init__(self) -> None:
        if self.size and any(side < 1 or side % self.multiple for side in self.size):
            raise UsageError(
                f"size {self.size[0]}x{self.size[1]}: both sides must be multiples of "
                f"{self.multiple}"
            )
        if not all(value > 0 for value in self.std):
            raise UsageError(f"std {self.std}: standard deviations must be above 0")

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the network's input for an image of this size."""
        if self.size:
            return self.size
        scale = max(1.0, self.shortest / min(height, width))
        step = self.multiple
        rows, columns = (max(1, int(side * scale / step + 0.5)) for side in (height, width))
        return rows * step, columns * step

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], RGB, to the network's input, channels-last."""
        height, width = images.shape[-2:]
        grid = self.grid(height, width)
        if grid != (height, width):
            shrinks = grid[0] < height or grid[1] < width
            images = F.interpolate(
                images, grid, mode="bilinear", align_corners=False, antialias=shrinks
            )
        mean = constant(self.mean, images.device, images.dtype).view(3, 1, 1)
        std = constant(self.std, images.device, images.dtype).view(3, 1, 1)
        # ((x + 1) 127.5 - mean) / std / divisor, as one product and one sum.
        scaled = images * (127.5 / (std * self.divisor)) + (127.5 - mean) / (std * self.divisor)
        ordered = scaled.flip(1) if self.reverse else scaled
        return ordered.contiguous(memory_format=torch.channels_last)


class PixelClassifier(NetworkSegmenter):
    """A segmenter with one plane: the label whose output is largest at each pixel.

    Args:
        network: (N, 3, h, w) to (N, at least as many channels as labels, h, w).
        vocabulary: label i is output i; outputs beyond the last label never win.
        preparation: how images become the network's input.
        info: description of the loaded weights.
    """

    thread_safe = True

    def __init__(
        self,
        network: nn.Module,
        vocabulary: Vocabulary,
        preparation: Preparation,
        info: SegmenterInfo,
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.vocabulary = vocabulary
        self.preparation = preparation
        self.info = info

    def logits(self, images: Tensor) -> Tensor:
        """Scores before the softmax, on the image's own grid (bilinear), differentiable.

        Args:
            images: (N, 3, H, W) in [-1, 1], RGB.

        Returns:
            (N, labels, H, W) float32.

        Raises:
            ModelError: images of another shape, or scores that are NaN or infinite.
        """
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
            raise ModelError(
                f"{self.info.family} takes images (N, 3, H, W), not {tuple(images.shape)}"
            )
        if len(images) == 0:
            return torch.zeros(0, len(self.vocabulary), *images.shape[-2:], device=self.device)
        images = images.to(self.device, torch.float32)
        # A processor is faster one image at a time (its caches hold the maps of one).
        step = 1 if images.device.type == "cpu" else len(images)
        starts = range(0, len(images), step)
        return torch.cat([self._logits(images[start : start + step]) for start in starts])

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.preparation(images))[:, : len(self.vocabulary)]
        fault = f"{self.info.family} gave NaN or Inf; are the images finite?"
        check_finite(logits.detach().sum(), fault)
        if logits.shape[-2:] != images.shape[-2:]:
            # In float32 whatever the precision: in half of the bits many pixels would be ties.
            logits = F.interpolate(
                logits.float(), images.shape[-2:], mode="bilinear", align_corners=False
            )
        return logits

    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, 1, H, W) int64: the label of each pixel.

        Raises:
            ModelError: as for ``logits``.
        """
        with torch.inference_mode():
            labels = self.logits(images).argmax(dim=1, keepdim=True)
        return labels.clone()  # an ordinary tensor, which autograd may use as a mask

    def score(self, images: Tensor, label: int) -> Tensor:
        """Softmax probability of one label among all: (N, H, W) in [0, 1], differentiable.

        Raises:
            UsageError: no label of that number.
            ModelError: as for ``logits``.
        """
        return self.scores(images, [label])[:, 0]

    def scores(self, images: Tensor, labels: Sequence[int]) -> Tensor:
        """``score`` of several labels in one pass: (N, len(labels), H, W), differentiable.

        Raises:
            UsageError: as ``score``, or no labels.
        """
        if not len(labels):
            raise UsageError(f"{self.info.family}: no labels to score")
        for label in labels:
            self.check_label(label)
        return self.logits(images).softmax(dim=1)[:, numbers(tuple(labels), self.device)]


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout of a file of this family, or None."""
    return "ESPNet" if networks_with(checkpoint, [MARK, "conv.conv.weight"]) else None


def read_weights(weights: Path | None, family: str, mark: str) -> WeightsFile:
    """The tensors of the file that was named; ``mark`` is one that the network has.

    Raises:
        MissingWeightsError: no file was named, or it does not exist.
        WeightsError: it cannot be read, or holds NaN.
    """
    if weights is None:
        raise MissingWeightsError(f"{family} has no weights of its own; give a weights file")
    return read_state_dict(weights, [mark])


def describe(
    family: str,
    file: WeightsFile,
    network: nn.Module,
    options: ESPNetV2Options,
    assumptions: Sequence[str],
    **resolved: Any,
) -> SegmenterInfo:
    """The description of a loaded network; ``resolved`` are the option values in use."""
    if options.vocabulary is None:
        said = f"vocabulary={resolved['vocabulary']} by the number of outputs"
        assumptions = (said, *assumptions)
    return SegmenterInfo(
        family=family,
        weights_sha256=file.sha256,
        licence=LICENCE,
        options={**options.model_dump(mode="json"), **resolved},
        parameters=sum(p.numel() for p in network.parameters()),
        assumptions=tuple(assumptions),
    )


def load(weights: Path | None, options: ESPNetOptions) -> PixelClassifier:
    """Load an ESPNet: any p, q, width, number of outputs, and either published decoder.

    Args:
        weights: a ``.pth`` or safetensors file with keys as in the authors' published files.
        options: network input size, vocabulary, and statistics of the training set where the
            vocabulary does not imply them.

    Raises:
        WeightsError: no file, unreadable, or keys, shapes or values that do not fit.
        UsageError: an option that does not fit the weights.
    """
    file = read_weights(weights, "espnet", MARK)
    network = build(file, read_layout, ESPNet, "ESPNet with a decoder")
    name, vocabulary = choose_vocabulary(options.vocabulary, network.layout.classes)
    known = TRAINING_SETS.get(name)
    mean = options.mean or (known.mean if known else None)
    std = options.std or (known.std if known else None)
    if mean is None or std is None:
        raise UsageError(
            f"{file.path}: the scaling of images is unknown for vocabulary {name}; give mean= "
            "and std= of the training set (red, green, blue over 0..255)"
        )
    preparation = Preparation(
        mean=mean,
        std=std,
        divisor=255.0,
        reverse=True,
        multiple=STRIDE,
        shortest=options.shortest or (known.rows if known else 1),
        size=options.size,
    )
    info = describe(
        "espnet",
        file,
        network,
        options,
        () if options.mean and options.std else (f"BGR input scaled as in training on {name}",),
        vocabulary=name,
        mean=list(mean),
        std=list(std),
        shortest=preparation.shortest,
        **network.layout.describe(),
    )
    return PixelClassifier(network, vocabulary, preparation, info)
