"""Segmentation checkpoints of the transformers library (Hugging Face) as segmenters.

Guarantees a label for every pixel at the images' own size, the labels of the library's own
``post_process_semantic_segmentation``: logits of semantic networks (SegFormer, UPerNet, DPT, BEiT
…) are resized bilinearly; those of universal networks (MaskFormer, Mask2Former, OneFormer …) are
first combined, the probability of class c at a pixel being Σ_q p_q(c) σ(m_q), without "no object"
(Cheng et al. 2021, "Per-Pixel Classification is Not All You Need", section 3.4).

The library is an extra. No torchvision, no code from a checkpoint, no pickled weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import SegmenterInfo
from seeingkit.errors import (
    MissingWeightsError,
    ModelError,
    UsageError,
)

from ..constants import check_finite, constant, numbers
from ..logits import best_channels, resized
from ..networks import NetworkSegmenter
from ..nothing import number_outputs
from .files import (
    Normalisation,
    fetch_folder,
    read_folder,
    read_normalisation,
)
from .labels import check_names, read_as, unique_names
from .models import first_line, fixed_size, library, load_model, quiet, task_tokens

if TYPE_CHECKING:
    from ..catalog.transformers import TransformersOptions

FAMILY = "transformers"
# Masks are enlarged to this grid before they are combined, as the library does.
_MASK_GRID = {"mask2former": (384, 384)}


class TransformersSegmenter(NetworkSegmenter):
    """A loaded checkpoint.

    Attributes:
        network: the library's model, evaluation mode.
        universal: whether it gives masks and their classes instead of logits.
        normalisation: of its input.
        size: network input (height, width), or None for the images' own.
        numbers: (outputs,) int64, the label of each output.
        task: (1, T) int64 token ids of the task, for OneFormer.
        downsample: the label grid is the image's divided by this.
    """

    network: Any

    def __init__(
        self,
        model: Any,
        *,
        universal: bool,
        normalisation: Normalisation,
        size: tuple[int, int] | None,
        task: Tensor | None = None,
        downsample: int = 1,
        weights_sha256: str | None = None,
    ) -> None:
        self.network = model.eval().requires_grad_(False)
        self.universal = universal
        self.normalisation = normalisation
        self.size = size
        self.task = task
        self.downsample = downsample
        numbering = number_outputs(unique_names(model.config.id2label))
        self.vocabulary = numbering.vocabulary
        self.labels = tuple(numbering.numbers)
        self.numbers = torch.tensor(self.labels)
        self.info = SegmenterInfo(
            family=FAMILY,
            weights_sha256=weights_sha256,
            options={
                "model": model.config.model_type,
                "size": None if size is None else list(size),
                "mean": list(normalisation.mean),
                "std": list(normalisation.std),
                "scale": normalisation.scale,
                "bgr": normalisation.bgr,
                "downsample": downsample,
            },
            parameters=sum(p.numel() for p in model.parameters()),
            assumptions=(*read_as(model.config.id2label), *numbering.assumptions),
        )

    def to(self, device: str | torch.device) -> Self:
        """Move the network and its task; returns itself."""
        super().to(device)
        self.numbers = self.numbers.to(device)
        self.task = None if self.task is None else self.task.to(device)
        return self

    def prepare(self, images: Tensor) -> Tensor:
        """Network input of images (N, 3, H, W) in [-1, 1] RGB."""
        form = self.normalisation
        x = (images.to(self.device, torch.float32) + 1) / 2
        if self.size is not None and x.shape[-2:] != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True, align_corners=False)
        x = x.flip(1) if form.bgr else x
        mean, std = (
            constant(tuple(values), x.device, x.dtype).reshape(1, 3, 1, 1)
            for values in (form.mean, form.std)
        )
        return (x * (255 * form.scale) - mean) / std

    def segment(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to labels (N, 1, H', W') int64; H' = H // downsample.

        Raises:
            UsageError: images of the wrong shape, or a size the network cannot take.
            ModelError: the network gave NaN or Inf, or another number of classes than it names.
        """
        grid = self.grid(images)
        if not len(images):
            return torch.zeros(0, 1, *grid, dtype=torch.int64, device=self.device)
        with torch.no_grad():
            return self.numbers[best_channels([self._maps(images)], grid)][:, None]

    def score(self, images: Tensor, label: int) -> Tensor:
        """How probable a label is at each pixel: (N, H', W') in [0, 1], differentiable.

        Semantic networks: the softmax of the resized logits. Universal ones: the label's share of
        the sum over all labels, since the combined maps are no distribution.

        Raises:
            UsageError: no such label, or images of the wrong shape.
        """
        self.check_label(label)
        grid = self.grid(images)
        if not len(images):
            return images.new_zeros((0, *grid))
        maps = resized(self._maps(images), grid)
        outputs = numbers(
            tuple(k for k, number in enumerate(self.labels) if number == label), maps.device
        )
        if not self.universal:
            return maps.softmax(dim=1)[:, outputs].sum(dim=1)
        whole = maps.sum(dim=1).clamp(min=torch.finfo(maps.dtype).tiny)
        return maps[:, outputs].sum(dim=1) / whole

    def _maps(self, images: Tensor) -> Tensor:
        """(N, outputs, h, w) of which the greatest wins."""
        x = self.prepare(images)
        inputs = {"pixel_values": x}
        if self.task is not None:
            inputs["task_inputs"] = self.task.expand(len(x), -1)
        try:
            output = self.network(**inputs)
        except (RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise  # the caller halves the batch
            size = " x ".join(str(side) for side in x.shape[-2:])
            raise UsageError(
                f"transformers: {self.network.config.model_type} cannot take {size} pixels "
                f"({first_line(error)}); give the option size=HEIGHTxWIDTH"
            ) from error
        maps = self._combined(output, x) if self.universal else output.logits
        if maps.shape[1] != len(self.numbers):
            raise ModelError(
                f"transformers: the network gives {maps.shape[1]} classes, its config names "
                f"{len(self.numbers)}"
            )
        check_finite(maps, "transformers: the network gave NaN or Inf; is an image NaN?")
        found: Tensor = maps
        return found

    def _combined(self, output: Any, x: Tensor) -> Tensor:
        kind = self.network.config.model_type
        classes = output.logits if kind == "detr" else output.class_queries_logits
        masks = output.pred_masks if kind == "detr" else output.masks_queries_logits
        grid = tuple(x.shape[-2:]) if kind.startswith("eomt") else _MASK_GRID.get(kind)
        rows = []
        for classes_of, masks_of in zip(classes, masks, strict=True):  # one image's masks at a time
            shown = masks_of[None] if grid is None else resized(masks_of[None], grid)
            known = classes_of.softmax(dim=-1)[:, :-1]
            rows.append(torch.einsum("qc,qhw->chw", known, shown[0].sigmoid()))
        return torch.stack(rows)


# ----------------------------------------------------------------------------------------- loading


def load(weights: Path | None, options: TransformersOptions) -> TransformersSegmenter:
    """Load a checkpoint from a folder or, by the option ``checkpoint``, from the hub.

    Args:
        weights: a folder as ``save_pretrained`` writes it, with safetensors weights.
        options: see ``catalog.transformers.TransformersOptions``.

    Raises:
        PluginError: the library is not installed, or lacks what the checkpoint needs.
        MissingWeightsError: files that are not there.
        StateMismatchError: not a segmentation checkpoint, or weights that do not fit its config.
        CorruptFileError: files that cannot be read.
    """
    if weights is None and options.checkpoint is None:
        raise MissingWeightsError(
            "transformers: no weights given; use --segmenter-weights FOLDER or "
            "--segmenter-option checkpoint=ORG/NAME"
        )
    if weights is not None and options.checkpoint is not None:
        raise UsageError("transformers: give a folder or the option checkpoint, not both")
    transformers = library()
    if weights is None:
        assert options.checkpoint is not None
        weights = fetch_folder(options.checkpoint, options.revision)
    folder = read_folder(weights)
    check_names(folder.path, folder.config)
    normalisation = read_normalisation(folder.path, options.mean, options.std)
    with quiet():
        model, universal = load_model(transformers, folder)
        task = task_tokens(transformers, folder, model)
    return TransformersSegmenter(
        model,
        universal=universal,
        normalisation=normalisation,
        size=options.size or fixed_size(model.config),
        task=task,
        downsample=options.downsample,
        weights_sha256=folder.sha256,
    )
