"""Perceptual features of VGG-16 (Simonyan & Zisserman, ICLR 2015, configuration D).

Guarantees the activations of torchvision's ``vgg16().features`` up to the layer asked for, from
torchvision's own file (``vgg16-397923af.pth``) or from any file of the same keys: of these only
``features.N.weight`` and ``features.N.bias`` of the convolutions below that layer are needed.

Bau et al. (ICCV 2019, section 3.2) compare images in these features; their code takes ``relu4_2``
alone and feeds images in [-1, 1] without ImageNet's mean and standard deviation. Both are the
defaults here; ``normalise=True`` feeds the network's training distribution.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from seeingkit.contracts import Features, FeaturesInfo
from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.weights import WeightsFile, check_state, read_state_dict

from .catalog.features import VGG16Options
from .networks import NetworkModel

_CHANNELS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Convolutions between the poolings (table 1 of the paper, D)."""

MEAN = (0.485, 0.456, 0.406)
"""Red, green and blue means of ImageNet, of pixels in [0, 1]: torchvision trained with them."""
STD = (0.229, 0.224, 0.225)


def convolutions() -> nn.Sequential:
    """The 13 convolutions, numbered and named as in torchvision: ``features.0 … features.29``."""
    layers: list[nn.Module] = []
    inputs = 3
    for block in _CHANNELS:
        for outputs in block:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])  # no layer that can be asked for comes after a fifth pooling


def layer_index(layer: str) -> int:
    """Place of ``reluB_K`` (block B, convolution K, both from 1) in ``convolutions``."""
    block, _, k = layer.removeprefix("relu").partition("_")
    before = sum(2 * len(channels) + 1 for channels in _CHANNELS[: int(block) - 1])
    return before + 2 * int(k) - 1


class VGG16(NetworkModel, Features):
    """VGG-16 up to one layer.

    Args:
        module: the first layers of ``convolutions``, with weights.
        options: ``layer``, ``normalise``.
        weights_sha256: hash of the file.
        licence: licence of the weights.
    """

    network: nn.Sequential

    def __init__(
        self,
        module: nn.Sequential,
        options: VGG16Options,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        self.network = module.eval().requires_grad_(False)
        self.name = f"vgg16 {options.layer}"
        self.info = FeaturesInfo(
            family="vgg16",
            layer=options.layer,
            weights_sha256=weights_sha256,
            licence=licence,
            options=options.model_dump(mode="json"),
            parameters=sum(p.numel() for p in module.parameters()),
        )
        self.shortest = 2 ** sum(isinstance(layer, nn.MaxPool2d) for layer in module)
        self._mean = torch.tensor(MEAN).reshape(3, 1, 1) if options.normalise else None
        self._std = torch.tensor(STD).reshape(3, 1, 1)

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """One tensor (N, C, H / s, W / s), s = 8 and C = 512 for ``relu4_2``.

        Raises:
            UsageError: images of another shape, or smaller than the poolings can halve.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < self.shortest:
            raise UsageError(
                f"{self.name}: images are {tuple(images.shape)}, expected (N, 3, H, W) of at least "
                f"{self.shortest} pixels a side"
            )
        x = images
        if self._mean is not None:
            x = ((images + 1) / 2 - self._mean) / self._std
        return (self.network(x),)

    def to(self, device: str | torch.device) -> Self:
        """Move the network; returns itself."""
        super().to(device)
        self._std = self._std.to(device)
        self._mean = None if self._mean is None else self._mean.to(device)
        return self


def load(weights: Path | None, options: VGG16Options) -> VGG16:
    """Load the layers up to ``options.layer``; the classifier and later layers are left behind.

    Args:
        weights: torchvision's file, or a torch or safetensors file with the keys that are needed.
        options: ``layer``, ``normalise``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
    """
    if weights is None:
        raise MissingWeightsError("vgg16 needs weights: give --perceptual-weights FILE")
    file = read_state_dict(weights)
    with torch.device("meta"):
        module = convolutions()
        whole = {f"features.{key}" for key in module.state_dict()}
        module = nn.Sequential(*list(module)[: layer_index(options.layer) + 1])
    expected = {f"features.{key}": tensor for key, tensor in module.state_dict().items()}
    dropped = (whole - expected.keys()) | {
        f"classifier.{k}.{what}" for k in (0, 3, 6) for what in ("weight", "bias")
    }
    found = {key: tensor for key, tensor in file.tensors.items() if key not in dropped}
    check_state(file.path, found, expected)
    module.load_state_dict(
        {key.removeprefix("features."): _as_loaded(file, key) for key in expected}, assign=True
    )
    return VGG16(
        module,
        options,
        weights_sha256=file.sha256,
        licence=file.metadata.get("licence", "unknown"),
    )


def _as_loaded(file: WeightsFile, key: str) -> Tensor:
    tensor = file.tensors[key].detach()  # torchvision's file holds parameters, not plain tensors
    if not tensor.is_floating_point():
        raise StateMismatchError(f"{file.path}: {key} is {tensor.dtype}, expected floating point")
    return tensor.to(torch.float32).contiguous()
