"""StyleGAN2 out of NVIDIA's PyTorch pickles (stylegan2-ada-pytorch, and StyleGAN2 of stylegan3).

Guarantees that a number which the network does not follow is refused by the name of its module and
attribute: gains, activations, clamps and filters are compared with those expected.

The average network ``G_ema`` is read. Names of tensors are kept (``mapping.fc0.weight``,
``synthesis.b8.conv0.affine.bias``, …); the filters (``resample_filter``) go into the config.
"""

from __future__ import annotations

import math
import re

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint

from ..nvidia_pickles import NvidiaModule, NvidiaNetwork, network, outline
from .config import StyleGAN2Config
from .layers import GAINS
from .settings import separable_taps, single

LAYOUT = "StyleGAN2 .pkl of NVIDIA's PyTorch code (stylegan2-ada-pytorch or stylegan3)"

_KINDS = (
    (re.compile(r""), "Generator"),
    (re.compile(r"mapping"), "MappingNetwork"),
    (re.compile(r"synthesis"), "SynthesisNetwork"),
    (re.compile(r"synthesis\.b\d+"), "SynthesisBlock"),
    (re.compile(r"synthesis\.b\d+\.conv[01]"), "SynthesisLayer"),
    (re.compile(r"synthesis\.b\d+\.torgb"), "ToRGBLayer"),
    (re.compile(r"synthesis\.b\d+\.skip"), "Conv2dLayer"),
    (re.compile(r"mapping\.(fc\d+|embed)|synthesis\..*\.affine"), "FullyConnectedLayer"),
)


def recognise(checkpoint: Checkpoint) -> str | None:
    """The layout's name, or None if the file is not of it."""
    kinds = outline(checkpoint)
    if kinds is None or kinds.get("") != "Generator":
        return None
    found = kinds.get("synthesis") == "SynthesisNetwork"
    return LAYOUT if found and kinds.get("synthesis.b4") == "SynthesisBlock" else None


def holds(checkpoint: Checkpoint) -> bool:
    """Whether the file is of NVIDIA's PyTorch code at all, whatever its network."""
    return outline(checkpoint) is not None


def read(
    checkpoint: Checkpoint, key: str | None = None
) -> tuple[StyleGAN2Config, dict[str, Tensor], str]:
    """The config, the tensors, views of the file, by our names, and which network they are.

    Raises:
        WeightsError: something in the file that this network does not compute (names it).
    """
    found = network(checkpoint, key)
    _check_kinds(found)
    root, mapping = found.root, found.module("mapping")
    z_dim, w_dim = root.integer("z_dim"), root.integer("w_dim")
    c_dim = root.integer("c_dim")
    if z_dim < 1:
        raise root.refuse("z_dim", "1 or more: a network without z draws one image per class")
    dense = [f"mapping.fc{i}" for i in range(_depth(found, mapping))]
    layers = [p for p, m in found.modules.items() if m.kind == "SynthesisLayer"]
    blocks = [p for p, m in found.modules.items() if m.kind == "SynthesisBlock"]
    clamped = layers + [p for p, m in found.modules.items() if m.kind == "ToRGBLayer"]
    if not layers:
        raise StateMismatchError(f"{found.file}: {found.entry}.synthesis has no layers")
    config = StyleGAN2Config.validated(
        found.file,
        {
            "z_dim": z_dim,
            "w_dim": w_dim,
            "c_dim": c_dim,
            "label_style": "embed",
            "embed_features": _rows(found, "mapping.embed.weight") if c_dim else None,
            "mapping_widths": [_rows(found, f"{path}.weight") for path in dense],
            "lr_multiplier": single(found.file, "bias_gain", _each(found, dense, "bias_gain")),
            "mapping_activation": single(
                found.file, "activation", _each(found, dense, "activation")
            ),
            "resolution": root.integer("img_resolution"),
            "img_channels": root.integer("img_channels"),
            "channels": {
                found.module(path).integer("resolution"): _rows(found, f"{path}.conv1.weight")
                for path in blocks
            },
            "architecture": single(
                found.file, "architecture", _each(found, blocks, "architecture")
            ),
            "activation": single(found.file, "activation", _each(found, layers, "activation")),
            "conv_clamp": single(found.file, "conv_clamp", _each(found, clamped, "conv_clamp")),
            "use_noise": single(found.file, "use_noise", _each(found, layers, "use_noise")),
            "stored_noise": any(name.endswith(".noise_const") for name in found.tensors),
            "stored_average": "mapping.w_avg" in found.tensors,
            "scale_weights": False,
            "resample_filter": _taps(found),
            "implied_noise": None,
        },
    )
    _check_gains(found, config)
    own = {k: v for k, v in found.tensors.items() if not k.endswith(".resample_filter")}
    return config, own, found.entry


def _check_kinds(found: NvidiaNetwork) -> None:
    for path, module in found.modules.items():
        expected = [kind for pattern, kind in _KINDS if pattern.fullmatch(path)]
        if not expected:
            raise StateMismatchError(
                f"{found.file}: {found.entry} has a module {path} ({module.kind}), which no "
                "StyleGAN2 generator has"
            )
        found.module(path, expected[0])


def _rows(found: NvidiaNetwork, name: str) -> int:
    tensor = found.tensors.get(name)
    if tensor is None or not tensor.ndim:
        raise StateMismatchError(f"{found.file}: {found.entry} has no tensor {name}")
    return int(tensor.shape[0])


def _depth(found: NvidiaNetwork, mapping: NvidiaModule) -> int:
    """Number of dense layers that the mapping network states; no more than there are."""
    depth = mapping.integer("num_layers", 1)
    if depth > len(found.modules):
        raise mapping.refuse("num_layers", "the number of layers that are there")
    return depth


def _each(found: NvidiaNetwork, paths: list[str], attribute: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for path in paths:
        module = found.module(path)
        if attribute in ("activation", "architecture"):
            values[path] = module.text(attribute)
        elif attribute == "use_noise":
            values[path] = module.flag(attribute)
        else:
            values[path] = module.number_or_none(attribute)
    return values


def _taps(found: NvidiaNetwork) -> tuple[float, ...]:
    kernels = {
        name: tensor  # conv1 keeps one too, but never resamples
        for name, tensor in found.tensors.items()
        if name.endswith(".resample_filter") and not name.endswith(".conv1.resample_filter")
    }
    taps = {name: separable_taps(found.file, name, kernel) for name, kernel in kernels.items()}
    return single(found.file, "resample_filter", taps) if taps else (1.0,)


def _check_gains(found: NvidiaNetwork, config: StyleGAN2Config) -> None:
    """Every constant that a layer keeps beside its tensors is the one that the network computes."""
    for path, module in found.modules.items():
        match module.kind:
            case "FullyConnectedLayer":
                mapped = path.startswith("mapping.fc")
                rate = config.lr_multiplier if mapped else 1.0
                weight = found.tensors.get(f"{path}.weight")
                if weight is None or weight.ndim != 2:
                    raise StateMismatchError(f"{found.file}: {path} has no matrix named weight")
                _equal(module, "weight_gain", rate / math.sqrt(max(1, weight.shape[1])))
                _equal(module, "bias_gain", rate)
                if not mapped and module.text("activation") != "linear":
                    raise module.refuse("activation", "'linear'")
            case "SynthesisLayer":
                _equal(module, "up", 2 if path.endswith("conv0") else 1)
                _equal(module, "padding", 1)
                _equal(module, "act_gain", GAINS.get(config.activation, 1.0))
            case "ToRGBLayer":
                width = config.channels[found.module(path.rpartition(".")[0]).integer("resolution")]
                _equal(module, "weight_gain", 1 / math.sqrt(width))
            case "Conv2dLayer":
                if module.text("activation") != "linear":
                    raise module.refuse("activation", "'linear'")
                if module.value("conv_clamp") is not None:
                    raise module.refuse("conv_clamp", "None")
                _equal(module, "up", 2)
                _equal(module, "act_gain", 1.0)
                weight = found.tensors.get(f"{path}.weight")
                if weight is not None and weight.ndim == 4:
                    _equal(module, "weight_gain", 1 / math.sqrt(max(1, weight.shape[1])))


def _equal(module: NvidiaModule, name: str, expected: float) -> None:
    if not math.isclose(module.number(name), expected, rel_tol=1e-5):
        raise module.refuse(name, f"{expected:.6g}")
