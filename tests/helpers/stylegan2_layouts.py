"""StyleGAN2 networks of any size with random weights, and each file layout written by hand.

What is written follows the layouts' description to the key: every attribute, every buffer that the
original codes save, with values computed here and not by the adapter.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seeingkit_adapters.stylegan2.network import StyleGAN2Config, StyleGAN2Network, network
from tests.helpers.nvidia_pickle_writer import Module

GAINS = {"lrelu": np.sqrt(2), "relu": np.sqrt(2), "swish": np.sqrt(2)}


def config(**changes: Any) -> StyleGAN2Config:
    """A small network, 16 x 16, skip."""
    values: dict[str, Any] = {
        "z_dim": 6,
        "w_dim": 5,
        "mapping_widths": (7, 5),
        "resolution": 16,
        "channels": {4: 6, 8: 5, 16: 4},
    }
    return StyleGAN2Config(**(values | changes))


def random_network(shape: StyleGAN2Config, seed: int = 0) -> StyleGAN2Network:
    """A network in which no tensor is zero or one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = network(shape)
        with torch.no_grad():
            for name, tensor in made.state_dict().items():
                scale = 30.0 if name.startswith("mapping.fc") else 0.3
                tensor.add_(torch.randn(tensor.shape) * scale)
    return made.eval().requires_grad_(False)


def kernel(taps: tuple[float, ...]) -> Tensor:
    """The two-dimensional filter that files keep: of unit sum."""
    line = torch.tensor(taps)
    return torch.outer(line, line) / line.sum().square()


# ------------------------------------------------------------------------- NVIDIA's PyTorch pickles


def _dense(tensors: dict[str, Tensor], path: str, rate: float, kind: str) -> Module:
    weight = tensors[f"{path}.weight"]
    return Module(
        "FullyConnectedLayer",
        parameters={"weight": weight, "bias": tensors[f"{path}.bias"]},
        activation=kind,
        weight_gain=rate / np.sqrt(weight.shape[1]),
        bias_gain=rate,
        init_args=tuple(reversed(weight.shape)),
    )


def _layer(
    shape: StyleGAN2Config, tensors: dict[str, Tensor], path: str, r: int, up: int
) -> Module:
    parameters = {part: tensors[f"{path}.{part}"] for part in ("weight", "bias")}
    buffers = {"resample_filter": kernel(shape.resample_filter if up == 2 else (1, 3, 3, 1))}
    if shape.use_noise:
        parameters["noise_strength"] = tensors[f"{path}.noise_strength"]
        buffers["noise_const"] = tensors[f"{path}.noise_const"]
    return Module(
        "SynthesisLayer",
        parameters=parameters,
        buffers=buffers,
        modules={"affine": _dense(tensors, f"{path}.affine", 1.0, "linear")},
        resolution=r,
        up=up,
        use_noise=shape.use_noise,
        activation=shape.activation,
        conv_clamp=shape.conv_clamp,
        padding=1,
        act_gain=GAINS.get(shape.activation, 1),
    )


def _block(shape: StyleGAN2Config, tensors: dict[str, Tensor], r: int) -> Module:
    path, last = f"synthesis.b{r}", r == shape.resolution
    modules: dict[str, Module | None] = {}
    if r > 4:
        modules["conv0"] = _layer(shape, tensors, f"{path}.conv0", r, 2)
    modules["conv1"] = _layer(shape, tensors, f"{path}.conv1", r, 1)
    if f"{path}.torgb.weight" in tensors:
        modules["torgb"] = Module(
            "ToRGBLayer",
            parameters={part: tensors[f"{path}.torgb.{part}"] for part in ("weight", "bias")},
            modules={"affine": _dense(tensors, f"{path}.torgb.affine", 1.0, "linear")},
            conv_clamp=shape.conv_clamp,
            weight_gain=1 / np.sqrt(shape.channels[r]),
        )
    if f"{path}.skip.weight" in tensors:
        weight = tensors[f"{path}.skip.weight"]
        modules["skip"] = Module(
            "Conv2dLayer",
            parameters={"weight": weight},
            buffers={"resample_filter": kernel(shape.resample_filter)},
            activation="linear",
            up=2,
            down=1,
            conv_clamp=None,
            padding=0,
            weight_gain=1 / np.sqrt(weight.shape[1]),
            act_gain=1,
            bias=None,
        )
    return Module(
        "SynthesisBlock",
        parameters={"const": tensors["synthesis.b4.const"]} if r == 4 else {},
        buffers={"resample_filter": kernel(shape.resample_filter)},
        modules=modules,
        in_channels=0 if r == 4 else shape.channels[r // 2],
        w_dim=shape.w_dim,
        resolution=r,
        img_channels=shape.img_channels,
        is_last=last,
        architecture=shape.architecture,
        use_fp16=False,
        channels_last=False,
        num_conv=1 + (r > 4),
        num_torgb=int("torgb" in modules),
    )


def pickled_modules(made: StyleGAN2Network) -> Module:
    """The generator as stylegan2-ada-pytorch saves it."""
    shape, tensors = made.config, dict(made.state_dict())
    dense: dict[str, Module | None] = {}
    if shape.c_dim:
        dense["embed"] = _dense(tensors, "mapping.embed", 1.0, "linear")
    for i in range(len(shape.mapping_widths)):
        kind = shape.mapping_activation
        dense[f"fc{i}"] = _dense(tensors, f"mapping.fc{i}", shape.lr_multiplier, kind)
    sizes = {"z_dim": shape.z_dim, "c_dim": shape.c_dim, "w_dim": shape.w_dim}
    mapping = Module(
        "MappingNetwork",
        buffers={"w_avg": tensors["mapping.w_avg"]} if shape.stored_average else {},
        modules=dense,
        num_ws=shape.num_ws,
        num_layers=len(shape.mapping_widths),
        w_avg_beta=0.995 if shape.stored_average else None,
        **sizes,
    )
    image = {"img_resolution": shape.resolution, "img_channels": shape.img_channels}
    synthesis = Module(
        "SynthesisNetwork",
        modules={f"b{r}": _block(shape, tensors, r) for r in shape.resolutions},
        w_dim=shape.w_dim,
        block_resolutions=list(shape.resolutions),
        num_ws=shape.num_ws,
        **image,
    )
    both: dict[str, Module | None] = {"synthesis": synthesis, "mapping": mapping}
    return Module("Generator", modules=both, num_ws=shape.num_ws, **sizes, **image)


# ---------------------------------------------------------------------- NVIDIA's TensorFlow pickles


class Network:
    """The record of a network, under the name that TensorFlow pickles give it."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


@contextlib.contextmanager
def _tensorflow_names() -> Iterator[None]:
    names = ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network")
    home = Network.__module__
    try:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[names[-1]])["Network"] = Network
        Network.__module__ = names[-1]
        yield
    finally:
        Network.__module__ = home
        for name in names:
            sys.modules.pop(name, None)


def _variables(made: StyleGAN2Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """Variables of mapping and synthesis, by TensorFlow's names."""
    mapping: dict[str, Any] = {}
    synthesis: dict[str, Any] = {}
    for name, tensor in made.state_dict().items():
        value = tensor.numpy()
        if name.startswith("mapping.embed."):
            scope = "LabelConcat" if made.config.label_style == "concat" else "LabelEmbed"
            mapping[f"{scope}/{name.rpartition('.')[2]}"] = value.T.copy()
        elif name.startswith("mapping.fc"):
            layer, _, part = name.removeprefix("mapping.fc").partition(".")
            mapping[f"Dense{layer}/{part}"] = value.T.copy()
        elif name == "synthesis.b4.const":
            synthesis["4x4/Const/const"] = value[None]
        elif name.startswith("synthesis."):
            _, block, layer, *rest = name.split(".")
            r, part = int(block[1:]), "_".join(rest)
            scope = {
                "conv0": "Conv0_up",
                "conv1": "Conv" if r == 4 else "Conv1",
                "torgb": "ToRGB",
                "skip": "Skip",
            }[layer]
            if part == "weight":
                value = value.transpose(2, 3, 1, 0)
                value = value[::-1, ::-1].copy() if layer in ("conv0", "skip") else value.copy()
            elif part == "affine_weight":
                part, value = "mod_weight", value.T.copy()
            elif part == "affine_bias":
                part, value = "mod_bias", value - 1
            elif part == "noise_strength":
                value = np.float32(value)
            if part == "noise_const":
                number = 2 * (r.bit_length() - 3) + int(layer[-1]) - 1
                synthesis[f"noise{number}"] = value[None, None]
            else:
                synthesis[f"{r}x{r}/{scope}/{part}"] = value
    return mapping, synthesis


def tensorflow_state(
    made: StyleGAN2Network, version: int = 4, **settings: Any
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """States of Gs, mapping and synthesis; Gs does not hold its components yet."""
    shape = made.config
    mapping, synthesis = _variables(made)
    static: dict[str, Any] = {
        "num_channels": shape.img_channels,
        "resolution": shape.resolution,
        "label_size": shape.c_dim,
        "latent_size": shape.z_dim,
        "dlatent_size": shape.w_dim,
        "mapping_layers": len(shape.mapping_widths),
        "architecture": shape.architecture,
        "truncation_psi": 0.5,
        **settings,
    }
    own: dict[str, Any] = {"lod": np.float32(0)}
    if shape.stored_average:
        own["dlatent_avg"] = made.state_dict()["mapping.w_avg"].numpy()
    synthesis_function = "G_synthesis_stylegan2" if version == 4 else "G_synthesis"
    states = []
    for name, function, variables in (
        ("Gs", "G_main", own),
        ("G_mapping", "G_mapping", mapping),
        ("G_synthesis", synthesis_function, synthesis),
    ):
        states.append(
            {
                "version": version,
                "name": name,
                "static_kwargs": dict(static),
                "components": {},
                "build_module_src": "raise RuntimeError('executed')\n",
                "build_func_name": function,
                "variables": list(variables.items()),
            }
        )
    return states[0], states[1], states[2]


def write_tensorflow(
    path: Path,
    states: tuple[dict[str, Any], dict[str, Any], dict[str, Any]],
    protocol: int = 4,
) -> Path:
    """Write (G, D, Gs) of such states."""
    gs, mapping, synthesis = states
    with _tensorflow_names():
        parts = {"synthesis": Network(synthesis), "mapping": Network(mapping)}
        nets = tuple(Network({**gs, "components": parts, "name": n}) for n in ("G", "D", "Gs"))
        path.write_bytes(pickle.dumps(nets, protocol))
    return path


# ------------------------------------------------------------------------- rosinality and rewriting


def rosinality_state(made: StyleGAN2Network, *, noises: bool = True) -> dict[str, Tensor]:
    """The state dict of rosinality's ``Generator``."""
    found: dict[str, Tensor] = {}
    blur = kernel(made.config.resample_filter) * 4
    for name, tensor in made.state_dict().items():
        if name.startswith("mapping.fc"):
            layer, _, part = name.removeprefix("mapping.fc").partition(".")
            found[f"style.{int(layer) + 1}.{part}"] = tensor
        elif name == "synthesis.b4.const":
            found["input.input"] = tensor[None]
        elif name.startswith("synthesis."):
            _, block, layer, *rest = name.split(".")
            level, part = int(block[1:]).bit_length() - 3, ".".join(rest)
            if layer == "torgb":
                scope = f"to_rgbs.{level - 1}" if level else "to_rgb1"
                if level:
                    found[f"{scope}.upsample.kernel"] = blur
            else:
                number = 2 * level + int(layer[-1]) - 2
                scope = f"convs.{number}" if level else "conv1"
                if layer == "conv0":
                    found[f"{scope}.conv.blur.kernel"] = blur
            match part:
                case "weight":
                    found[f"{scope}.conv.weight"] = tensor[None]
                case "affine.weight" | "affine.bias":
                    found[f"{scope}.conv.modulation.{rest[1]}"] = tensor
                case "noise_strength":
                    found[f"{scope}.noise.weight"] = tensor.reshape(1)
                case "noise_const":
                    if noises:
                        place = 2 * level + int(layer[-1]) - 1
                        found[f"noises.noise_{place}"] = tensor[None, None]
                case "bias" if layer == "torgb":
                    found[f"{scope}.bias"] = tensor[None, :, None, None]
                case "bias":
                    found[f"{scope}.activate.bias"] = tensor
    return found


def rewriting_state(made: StyleGAN2Network, *, seq: bool, scalar: bool) -> dict[str, Tensor]:
    """The state dict of rewriting's ``SeqStyleGAN2``; ``seq``: mconv='seq'.

    ``scalar``: its ``latents.latent_avg`` is the number it was registered as.
    """
    found = {}
    for key, tensor in rosinality_state(made).items():
        first, _, rest = key.partition(".")
        mconv = "mconv.dconv.weight" if seq else "mconv.weight"
        if first in ("conv1", "convs"):
            number, _, part = rest.partition(".") if first == "convs" else ("-1", "", rest)
            scope = f"layer{int(number) + 3}." + ("sconv" if first == "convs" else "conv")
            part = mconv if part == "conv.weight" else part.replace("conv.", "mconv.", 1)
            found[f"{scope}.{part}"] = tensor
        elif first == "to_rgb1":
            found[f"to_rgb1.rgb.{rest}"] = tensor
        elif first == "to_rgbs":
            number, _, part = rest.partition(".")
            if part == "upsample.kernel":
                found[f"up_rgb{int(number) + 1}.kernel"] = tensor
            else:
                found[f"to_rgb{int(number) + 2}.rgb.{part}"] = tensor
        else:
            found[key] = tensor
    average = made.state_dict().get("mapping.w_avg")
    found["latents.latent_avg"] = torch.tensor(0.0) if scalar or average is None else average
    return found
