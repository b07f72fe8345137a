"""Unified Perceptual Parsing (Xiao et al. 2018) as a segmenter: objects, materials and parts.

Guarantees the labels of the wrapper used for the published statistics (Bau et al. 2019): images in
[-1, 1] RGB become BGR in [0, 255] minus a mean, are averaged (adaptively, which repeats pixels when
it enlarges) to each square size of ``segsizes``; logits are resized bilinearly to the image's grid
(divided by ``downsample``), and the softmax maps of all sizes are summed before the best label is
taken.

Shortcuts that leave every label as it is: with one size there is no softmax, which is monotonic;
heads and label groups that are not requested, or whose owner is not in the picture, are not
computed; and a label that cannot win anywhere is not resized (see ``logits``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import SegmenterInfo
from seeingkit.errors import MissingWeightsError, UsageError

from ..constants import check_finite, constant, numbers
from ..logits import best_channels, mean_probabilities
from ..networks import NetworkSegmenter
from .files import DEFAULT_SEGSIZES, read_file, read_folder
from .labels import Hierarchy, PartGroup
from .network import UPerNet, for_inference

if TYPE_CHECKING:
    from ..catalog.segmenters import UPerNetOptions

MEAN_BGR = (102.9801, 115.9465, 122.7717)
MINIMUM_SEGSIZE = 32  # the coarsest feature map is at 1/32


def prepare(images: Tensor, segsize: int) -> Tensor:
    """Network input of images in [-1, 1] RGB: (N, 3, segsize, segsize) BGR, mean subtracted."""
    x = ((images + 1) / 2 * 255).flip(1)
    x = x - constant(MEAN_BGR, x.device, x.dtype).reshape(1, 3, 1, 1)
    if x.shape[-2:] != (segsize, segsize):
        x = F.adaptive_avg_pool2d(x, (segsize, segsize))
    return x.contiguous(memory_format=torch.channels_last)


class UPerNetSegmenter(NetworkSegmenter):
    """A loaded network with its labels.

    Attributes:
        network: the network, normalisations folded.
        hierarchy: its labels.
        segsizes: network input sizes, in pixels.
        downsample: the label grid is the image's divided by this.
        planes: of ``segment``: ``object`` alone, or all that the weights have of
            ``object``, ``material``, ``part``, in that order.
    """

    network: UPerNet
    thread_safe = True

    def __init__(
        self,
        network: UPerNet,
        hierarchy: Hierarchy,
        *,
        segsizes: tuple[int, ...] = DEFAULT_SEGSIZES,
        downsample: int = 1,
        planes: tuple[str, ...] = ("object",),
        assumptions: tuple[str, ...] = (),
        weights_sha256: str | None = None,
    ) -> None:
        if not segsizes or min(segsizes) < MINIMUM_SEGSIZE:
            raise UsageError(f"upernet: segsizes {segsizes} must be {MINIMUM_SEGSIZE} or more")
        parameters = sum(p.numel() for p in network.parameters())
        self.network = for_inference(network.eval())
        self.hierarchy = hierarchy
        self.segsizes = tuple(segsizes)
        self.downsample = downsample
        self.planes = planes
        self.vocabulary = hierarchy.vocabulary(planes)
        options = {"segsizes": list(segsizes), "downsample": downsample, "planes": list(planes)}
        self.info = SegmenterInfo(
            family="upernet",
            weights_sha256=weights_sha256,
            options=options,
            parameters=parameters,
            assumptions=assumptions,
        )

    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to labels (N, planes, H', W') int64 in the merged numbering.

        H' = H // downsample. The material plane is 0 where the best material is "-"; the part plane
        is 0 except where the object plane shows the part's owner.

        Raises:
            UsageError: images of the wrong shape, or smaller than ``downsample``.
            ModelError: the network gave NaN or Inf.
        """
        grid = self.grid(images)
        maps = torch.zeros(
            len(images), len(self.planes), *grid, dtype=torch.int64, device=self.device
        )
        if not len(images):
            return maps
        with torch.no_grad():
            logits = self._logits(images, self.planes)
            maps[:, 0] = best_channels(logits["object"], grid)
            for plane, name in enumerate(self.planes):
                if name == "material":
                    best = best_channels(logits["material"], grid)
                    offset = self.hierarchy.material_offset
                    maps[:, plane] = torch.where(best > 0, best + offset, 0)
                elif name == "part":
                    maps[:, plane] = self._parts(logits["part"], maps[:, 0])
        return maps

    def score(self, images: Tensor, label: int) -> Tensor:
        """How probable a label is at each pixel: (N, H', W') in [0, 1], differentiable.

        The mean over ``segsizes`` of the softmax probability. A part's probability is the sum over
        its owners of P(owner) P(part | owner). Where parts are among the planes, a label that is
        both an object and a part ("door") adds the two, other owners only.

        Raises:
            UsageError: no such label, or images of the wrong shape.
        """
        return self.scores(images, [label])[:, 0]

    def scores(self, images: Tensor, labels: Sequence[int]) -> Tensor:
        """``score`` of several labels in one pass: (N, len(labels), H', W'), differentiable.

        Raises:
            UsageError: as ``score``, or no labels.
        """
        if not len(labels):
            raise UsageError("upernet: no labels to score")
        for label in labels:
            self.check_label(label)
        grid = self.grid(images)
        if not len(images):
            return images.new_zeros((0, len(labels), *grid))
        owners = {n: [g for g in self.hierarchy.groups if self._owns(g, n)] for n in labels}
        materials = [self._is_material(label) for label in labels]
        heads = [
            *(["object"] if not all(materials) else []),
            *(["part"] if any(owners.values()) else []),
            *(["material"] if any(materials) else []),
        ]
        logits = self._logits(images, heads)
        maps = {h: mean_probabilities(logits[h], grid) for h in heads if h != "part"}
        parts = {
            group.owner: mean_probabilities([x[:, group.channels] for x in logits["part"]], grid)
            for group in {g.owner: g for found in owners.values() for g in found}.values()
        }
        found = []
        for label, material in zip(labels, materials, strict=True):
            if material:
                found.append(maps["material"][:, label - self.hierarchy.material_offset])
            else:
                found.append(self._probability(label, maps["object"], parts, owners[label]))
        return torch.stack(found, 1)

    def _is_material(self, label: int) -> bool:
        objects, materials = self.hierarchy.objects, self.hierarchy.materials
        return objects <= label < objects + max(materials - 1, 0)

    def _probability(
        self,
        label: int,
        objects: Tensor,
        parts: Mapping[int, Tensor],
        owners: Sequence[PartGroup],
    ) -> Tensor:
        """Of an object or a part: (N, H', W')."""
        own = label < self.hierarchy.objects
        found = objects[:, label] if own else torch.zeros_like(objects[:, 0])
        for group in owners:
            for channel, number in enumerate(group.labels):
                if number == label:
                    found = found + objects[:, group.owner] * parts[group.owner][:, channel]
        return found.clamp(max=1.0)

    def probabilities(self, images: Tensor) -> dict[str, list[Tensor]]:
        """All probability maps of the planes, each (N, channels, H', W'), means over ``segsizes``.

        ``object`` and ``material`` have one map, ``part`` one for each of ``hierarchy.groups``.
        """
        grid = self.grid(images)
        logits = self._logits(images, self.planes)
        maps = {
            name: [mean_probabilities(logits[name], grid)] for name in self.planes if name != "part"
        }
        if "part" in self.planes:
            maps["part"] = [
                mean_probabilities([x[:, group.channels] for x in logits["part"]], grid)
                for group in self.hierarchy.groups
            ]
        return maps

    def _owns(self, group: PartGroup, label: int) -> bool:
        return "part" in self.planes and 0 < label != group.owner and label in group.labels

    def _logits(self, images: Tensor, heads: Sequence[str]) -> dict[str, list[Tensor]]:
        images = images.to(self.device, torch.float32)
        found: dict[str, list[Tensor]] = {head: [] for head in heads}
        for segsize in self.segsizes:
            for head, logits in self.network(prepare(images, segsize), heads).items():
                check_finite(logits, f"upernet: {head} head gave NaN or Inf; is an image NaN?")
                found[head].append(logits)
        return found

    def _parts(self, logits: Sequence[Tensor], objects: Tensor) -> Tensor:
        parts = torch.zeros_like(objects)
        for group in self.hierarchy.groups:
            owned = objects == group.owner
            rows: Tensor | slice = slice(None)
            if owned.device.type == "cpu":  # elsewhere, to ask which rows are meant is to wait
                rows = owned.flatten(1).any(dim=1).nonzero().flatten()
                if not len(rows):
                    continue
            best = best_channels([x[rows][:, group.channels] for x in logits], objects.shape[-2:])
            labels = numbers(tuple(group.labels), best.device)[best]
            parts[rows] = torch.where(owned[rows], labels, parts[rows])
        return parts


def load(weights: Path | None, options: UPerNetOptions) -> UPerNetSegmenter:
    """Load a network from a folder or a file.

    Args:
        weights: a folder with ``encoder_epoch_*.pth``, ``decoder_epoch_*.pth`` and ``labels.json``
            as published, or one ``.safetensors`` file with the keys ``encoder.*`` and ``decoder.*``
            and, as metadata, ``labels`` (the text of a labels.json) and optionally
            ``preprocessing`` (``{"segsizes": [...]}``, used when the options name no sizes).
        options: see ``catalog.UPerNetOptions``.

    Raises:
        MissingWeightsError: a file is not there.
        StateMismatchError: tensors or labels that do not fit; names the file and the key.
        CorruptFileError, UnsafeFileError: from reading the files.
    """
    if weights is None:
        raise MissingWeightsError("upernet: no weights given; use --segmenter-weights PATH")
    parsed = read_folder(weights) if weights.is_dir() else read_file(weights)
    heads = parsed.network.decoder.layout.classes
    planes = tuple(
        name
        for name in ("object", "material", "part")
        if name == "object" or (options.planes == "all" and name in heads)
    )
    sized = parsed.sized or options.segsizes is not None
    return UPerNetSegmenter(
        parsed.network,
        parsed.hierarchy,
        segsizes=options.segsizes or parsed.segsizes,
        downsample=options.downsample,
        planes=planes,
        assumptions=() if sized else ("segsizes=256 pixels, as its authors do",),
        weights_sha256=parsed.sha256,
    )
