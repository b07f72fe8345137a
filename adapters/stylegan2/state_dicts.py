"""StyleGAN2 out of state dicts of NVIDIA's PyTorch code, as people save them with ``torch.save``.

Guarantees that the structure is that of the tensors: depth, widths, classes, architecture, noise
and filters. Unlike the pickles, such files lack the constants of the layers: activation and
learning rate are taken to be those of every published network (leaky ReLU, 0.01), and convolutions
to be clamped to ±256, as NVIDIA's training scripts set it whatever the data. This is said
(``ASSUMED``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, Layout, Network, networks_with, state_dict

from .config import StyleGAN2Config
from .settings import separable_taps, single

LAYOUT = Layout(
    "StyleGAN2 state dict of NVIDIA's PyTorch code (stylegan2-ada-pytorch or stylegan3)",
    ("synthesis.b4.const", "synthesis.b4.conv1.affine.weight", "mapping.fc0.weight"),
    r"mapping\.(w_avg|(embed|fc\d+)\.\w+)"
    r"|synthesis\.b\d+\.(const|resample_filter|(conv[01]|torgb|skip)(\.\w+)+)",
)
_CONSTANTS = {"activation": "lrelu", "lr_multiplier": 0.01, "conv_clamp": 256.0}
ASSUMED = (
    "activation lrelu",
    "the mapping network learnt at a hundredth of the rate (lr_multiplier 0.01)",
    "conv_clamp=256: convolutions are clamped",
)
_FILTER = ".resample_filter"


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout's name, or None if the file is not of it."""
    return LAYOUT.name if networks_with(checkpoint, LAYOUT.marks) else None


def read(checkpoint: Checkpoint, network: Network) -> tuple[StyleGAN2Config, dict[str, Tensor]]:
    """The config and the tensors by our names, which are the file's.

    Raises:
        WeightsError: something in the file that this network does not compute (names it).
    """
    path = checkpoint.path
    found = state_dict(checkpoint, network.tree, network.where)
    kernels = {name: found.pop(name) for name in list(found) if name.endswith(_FILTER)}
    taps = {
        name: separable_taps(path, name, kernel)
        for name, kernel in kernels.items()
        if not name.endswith(f".conv1{_FILTER}")  # which never resamples
    }
    channels = {
        int(match[1]): _size(checkpoint, found, name, 0)
        for name in found
        if (match := re.fullmatch(r"synthesis\.b(\d{1,5})\.conv1\.weight", name))
    }
    resolution = max(channels, default=0)
    depth = sum(1 for name in found if re.fullmatch(r"mapping\.fc\d+\.weight", name))
    widths = [_size(checkpoint, found, f"mapping.fc{i}.weight", 0) for i in range(depth)]
    embed = "mapping.embed.weight"
    features = _size(checkpoint, found, embed, 0) if embed in found else 0
    config = StyleGAN2Config.validated(
        path,
        {
            "z_dim": _size(checkpoint, found, "mapping.fc0.weight", 1) - features,
            "w_dim": _size(checkpoint, found, "synthesis.b4.conv1.affine.weight", 1),
            "c_dim": _size(checkpoint, found, embed, 1) if features else 0,
            "label_style": "embed",
            "embed_features": features or None,
            "mapping_widths": widths,
            "resolution": resolution,
            "img_channels": _size(checkpoint, found, f"synthesis.b{resolution}.torgb.weight", 0),
            "channels": channels,
            "architecture": _architecture(found, resolution),
            "use_noise": any(name.endswith(".noise_strength") for name in found),
            "stored_noise": any(name.endswith(".noise_const") for name in found),
            "stored_average": "mapping.w_avg" in found,
            "scale_weights": False,
            "resample_filter": single(path, "resample_filter", taps) if taps else (1, 3, 3, 1),
            "implied_noise": None,
            **_CONSTANTS,
            "assumed": ASSUMED,
        },
    )
    return config, found


def _architecture(found: Mapping[str, Tensor], resolution: int) -> str:
    if any(re.fullmatch(r"synthesis\.b\d+\.skip\.weight", name) for name in found):
        return "resnet"
    return "skip" if resolution == 4 or "synthesis.b4.torgb.weight" in found else "orig"


def _size(checkpoint: Checkpoint, found: Mapping[str, Tensor], name: str, axis: int) -> int:
    if name not in found or found[name].ndim <= axis:
        shape = f"shape {tuple(found[name].shape)}" if name in found else "no place in the file"
        raise StateMismatchError(f"{checkpoint.path}: {name} has {shape}")
    return int(found[name].shape[axis])
