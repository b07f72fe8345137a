"""Perceptual features of EfficientNet-Lite0, small enough to come with a package.

Guarantees the activations of the library ``efficientnet-lite-pytorch`` (the TensorFlow original,
converted) at the stages asked for, at any image size, from tensors that were checked: the library's
own loader, which unpickles whatever it is given, is not used.

A stage is a row of table 1 in Tan & Le, "EfficientNet" (ICML 2019); Lite leaves out squeeze and
excitation and has ReLU6 for swish:

===== ====== ======== ==================
stage stride channels made of
===== ====== ======== ==================
1     2      32       3x3 convolution
2     2      16       1 MBConv1, 3x3
3     4      24       2 MBConv6, 3x3
4     8      40       2 MBConv6, 5x5
5     16     80       3 MBConv6, 3x3
6     16     112      3 MBConv6, 5x5
7     32     192      4 MBConv6, 5x5
8     32     320      1 MBConv6, 3x3
9     32     1280     1x1 convolution
===== ====== ======== ==================

The default, 4 and 6, lies about where relu4_2 (stride 8, 92 pixels seen) of VGG-16 does.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from seeingkit.contracts import Features, FeaturesInfo
from seeingkit.errors import MissingWeightsError, PluginError, UsageError
from seeingkit.weights import load_into, read_state_dict

from .catalog.features import EfficientNetLiteOptions
from .networks import NetworkModel

_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""MBConv blocks of the stages 2 to 8."""


def network() -> nn.Module:
    """The library's network with its classifier, padded as TensorFlow does at any image size.

    Raises:
        PluginError: the library is not installed.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        raise PluginError(
            "efficientnet-lite0 needs the package efficientnet-lite-pytorch; "
            "pip install 'seeingkit[perceptual]'"
        ) from error
    # Padding fixed at building time, the library's default, is right for multiples of 32 only.
    built: nn.Module = EfficientNet.from_name("efficientnet-lite0", image_size=None)
    return built


def stages(built: nn.Module) -> nn.Sequential:
    """The network as one module for each stage of the table above, without the classifier."""
    parts = dict(built.named_children())
    blocks = list(parts["_blocks"].children())
    found: list[nn.Module] = [nn.Sequential(parts["_conv_stem"], parts["_bn0"], nn.ReLU6())]
    for count in _BLOCKS:
        found.append(nn.Sequential(*blocks[:count]))
        blocks = blocks[count:]
    found.append(nn.Sequential(parts["_conv_head"], parts["_bn1"], nn.ReLU6()))
    return nn.Sequential(*found)


class EfficientNetLite(NetworkModel, Features):
    """EfficientNet-Lite0 up to the last stage that is read out.

    Args:
        module: ``stages`` of a network with weights.
        options: ``stages``.
        weights_sha256: hash of the file.
        licence: licence of the weights.
    """

    network: nn.Sequential

    def __init__(
        self,
        module: nn.Sequential,
        options: EfficientNetLiteOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        self.network = nn.Sequential(*list(module)[: options.stages[-1]])
        self.network.eval().requires_grad_(False)
        # Channels-last kernels: 1.2 to 1.4 times as fast, there and back, on the CPU.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        layer = "+".join(f"stage{k}" for k in options.stages)
        self.name = f"efficientnet-lite0 {layer}"
        self.info = FeaturesInfo(
            family="efficientnet-lite0",
            layer=layer,
            weights_sha256=weights_sha256,
            licence=licence,
            options=options.model_dump(mode="json"),
            parameters=sum(p.numel() for p in self.network.parameters()),
        )
        self._wanted = frozenset(options.stages)

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """One tensor (N, C, ceil(H / stride), ceil(W / stride)) for each requested stage.

        Raises:
            UsageError: images of another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
            raise UsageError(
                f"{self.name}: images are {tuple(images.shape)}, expected (N, 3, H, W)"
            )
        x = ((images + 1) * 127.5 - 127) / 128  # as in training: levels 0..255, less 127, by 128
        found = []
        for k, stage in enumerate(self.network, start=1):
            x = stage(x)
            if k in self._wanted:
                found.append(x)
        return tuple(found)


def load(weights: Path | None, options: EfficientNetLiteOptions) -> EfficientNetLite:
    """Load the stages up to the last of ``options.stages``.

    Args:
        weights: ``efficientnet-lite0-57934424.pth``, or a file of the same keys and shapes.
        options: ``stages``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
        PluginError: the library is not installed.
    """
    if weights is None:
        raise MissingWeightsError(
            "efficientnet-lite0 needs weights: give --perceptual-weights FILE"
        )
    built = network()
    file = read_state_dict(weights)
    load_into(built, file)
    return EfficientNetLite(
        stages(built),
        options,
        weights_sha256=file.sha256,
        licence=file.metadata.get("licence", "unknown"),
    )
