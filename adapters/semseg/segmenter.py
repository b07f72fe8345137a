"""semantic-segmentation-pytorch networks (Zhou et al. 2018) as a segmenter: ADE20K's 150 classes.

Guarantees the labels of the original's evaluation: images in [-1, 1] become RGB in [0, 1] minus
ImageNet's mean, over its standard deviation; logits are resized bilinearly to the image's grid; the
softmax maps of all input sizes are averaged before the best label is taken. By default there is one
input size, the image as the preset made it; the option ``sizes`` gives the original's several.

Networks with gandissect's ``labels.json`` follow its ``SemanticSegmenter``: input by that file, a
softmax and a plane for each category, label 0 for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import SegmenterInfo
from seeingkit.errors import MissingWeightsError

from ..constants import check_finite, constant, numbers
from ..logits import best_channels, mean_probabilities
from ..networks import NetworkSegmenter
from ..resnet import fold_norms
from .files import FAMILY, SemsegConfig, read_files
from .labels import Group, Preparation
from .network import EncoderDecoder

if TYPE_CHECKING:
    from ..catalog.semseg import SemsegOptions

LONGEST = 1000
"""Longer side that the original allows an input of several sizes (``imgMaxSize``)."""


def normalised(images: Tensor, preparation: Preparation) -> Tensor:
    """Images (N, 3, H, W) in [-1, 1] RGB to the network's values and order of channels."""
    x = (images + 1) / 2
    if preparation.order == "BGR":
        x = x.flip(1)
    mean, std = (
        constant(tuple(values), x.device, x.dtype).reshape(1, 3, 1, 1)
        for values in (preparation.mean, preparation.std)
    )
    return (x - mean) / std


def network_inputs(images: Tensor, preparation: Preparation) -> list[Tensor]:
    """One network input for each input size, from images (N, 3, H, W) in [-1, 1].

    A size of the original is the shorter side; the longer one is at most 1000, and both are rounded
    up to a multiple (``ValDataset`` of the original, whose 8-bit Pillow resize is done in floats).
    """
    x = normalised(images, preparation)
    if preparation.sizes is None:
        return [x]
    height, width = x.shape[-2:]
    inputs = []
    for size in preparation.sizes:
        if preparation.square:
            same = (height, width) == (size, size)
            inputs.append(x if same else F.adaptive_avg_pool2d(x, (size, size)))
            continue
        scale = min(size / min(height, width), LONGEST / max(height, width))
        grid = [_round_up(int(side * scale), preparation.multiple) for side in (height, width)]
        resized = F.interpolate(x, grid, mode="bilinear", antialias=True, align_corners=False)
        inputs.append(x if grid == [height, width] else resized)
    return inputs


def _round_up(side: int, multiple: int) -> int:
    return max(1, -(-side // multiple)) * multiple


class SemsegSegmenter(NetworkSegmenter):
    """A loaded pair with its labels.

    Attributes:
        network: both halves, normalisations folded.
        config: dilation, labels and preparation, as in the files.
        preparation: as used, the options' sizes included.
        downsample: the label grid is the image's divided by this.
    """

    network: EncoderDecoder
    thread_safe = True

    def __init__(
        self,
        network: EncoderDecoder,
        config: SemsegConfig,
        *,
        sizes: tuple[int, ...] | None = None,
        downsample: int = 1,
        weights_sha256: str | None = None,
    ) -> None:
        self.config = config
        naming, preparation = config.naming, config.preparation
        multiple = 8 if config.step == 8 else 32  # the original's padding_constant
        update = {"multiple": multiple} | ({} if sizes is None else {"sizes": sizes})
        self.preparation = preparation.model_copy(update=update)
        self.downsample = downsample
        self.vocabulary = naming.vocabulary
        self.info = SegmenterInfo(
            family=FAMILY,
            weights_sha256=weights_sha256,
            options={
                "dilated": {32: "no"}.get(config.step, str(config.step)),
                "labels": naming.source,
                "sizes": None if self.preparation.sizes is None else list(self.preparation.sizes),
                "downsample": downsample,
            },
            parameters=sum(p.numel() for p in network.parameters()),
            assumptions=(*config.assumed, *naming.assumed),
        )
        self.network = network.eval().requires_grad_(False)
        fold_norms(self.network)
        self.network.requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and config, as ``seeingkit.weights.write_portable`` takes them."""
        return dict(self.network.state_dict()), self.config.model_dump(mode="json")

    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to labels (N, planes, H', W') int64; H' = H // downsample.

        Raises:
            UsageError: images of the wrong shape, or smaller than ``downsample``.
            ModelError: the network gave NaN or Inf.
        """
        grid = self.grid(images)
        groups = self.config.naming.groups
        maps = torch.zeros(len(images), len(groups), *grid, dtype=torch.int64, device=self.device)
        if not len(images):
            return maps
        with torch.no_grad():
            logits = self._logits(images)
            best = [best_channels(_of(group, logits), grid) for group in groups]
        for plane, group in enumerate(groups):
            labels = numbers(tuple(group.labels), self.device)[best[plane]]
            if group.mask is not None:
                owner, output = group.mask
                labels = torch.where(best[owner] == output, labels, 0)
            maps[:, plane] = labels
        return maps

    def score(self, images: Tensor, label: int) -> Tensor:
        """How probable a label is at each pixel: (N, H', W') in [0, 1], differentiable.

        The mean over the input sizes of the softmax probability (within its category, for networks
        that have several), summed over the outputs that stand for the label.

        Raises:
            UsageError: no such label, or images of the wrong shape.
        """
        self.check_label(label)
        grid = self.grid(images)
        if not len(images):
            return images.new_zeros((0, *grid))
        logits = self._logits(images)
        total = (logits[0][:, 0, :1, :1] * 0).expand(-1, *grid)  # zero, yet with a gradient
        for group in self.config.naming.groups:
            places = tuple(k for k, number in enumerate(group.labels) if number == label)
            if places and (label or group is self.config.naming.groups[0]):
                probabilities = mean_probabilities(_of(group, logits), grid)
                total = total + probabilities[:, numbers(places, probabilities.device)].sum(dim=1)
        return total.clamp(max=1.0)

    def probabilities(self, images: Tensor) -> list[Tensor]:
        """The probability maps of each plane, (N, outputs, H', W'), means over the input sizes."""
        grid = self.grid(images)
        logits = self._logits(images)
        return [mean_probabilities(_of(group, logits), grid) for group in self.config.naming.groups]

    def _logits(self, images: Tensor) -> list[Tensor]:
        images = images.to(self.device, torch.float32)
        found = []
        for x in network_inputs(images, self.preparation):
            logits = self.network(x.contiguous(memory_format=torch.channels_last))
            check_finite(logits, "semseg: the network gave NaN or Inf; is an image NaN?")
            found.append(logits)
        return found


def _of(group: Group, logits: Sequence[Tensor]) -> list[Tensor]:
    outputs = logits[0].shape[1]
    if group.channels == tuple(range(outputs)):
        return list(logits)
    return [x[:, numbers(tuple(group.channels), x.device)] for x in logits]


def load(weights: Path | None, options: SemsegOptions) -> SemsegSegmenter:
    """Load a pair from its folder, or a file of ours; see ``files.read_files``.

    Raises:
        MissingWeightsError: none given, or a file that is not there.
        StateMismatchError, CorruptFileError, UnsafeFileError: as ``read_files``.
    """
    if weights is None:
        raise MissingWeightsError("semseg: no weights given; use --segmenter-weights FOLDER")
    parsed = read_files(weights, options)
    return SemsegSegmenter(
        parsed.network,
        parsed.config,
        sizes=options.sizes,
        downsample=options.downsample,
        weights_sha256=parsed.sha256,
    )
