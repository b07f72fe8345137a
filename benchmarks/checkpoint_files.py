"""Large StyleGAN2 checkpoints with random numbers, in the layouts that people have.

Guarantees that what lies in a file is what the original programs leave there: the other networks
beside the generator (each with numbers of its own), all names, and the attributes that loading
checks. Nothing of those programs is needed: where a pickle names a class of theirs, a stand-in
carries that name while the file is written.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seeingkit.weights import write_portable
from seeingkit_adapters.stylegan2.network import StyleGAN2Config, StyleGAN2Network, network

Layout = Callable[[Path, int], int]
"""Writes a file for a generator of about so many bytes; returns its exact number."""

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])


def shape(size: int) -> StyleGAN2Config:
    """256 x 256 pixels, full width up to 64 x 64: the narrowest that has ``size`` bytes."""
    for width in range(16, 4096, 8):
        config = StyleGAN2Config(
            resolution=256,
            channels={4 << i: width if i < 5 else width >> (i - 4) for i in range(7)},
        )
        with torch.device("meta"):
            if measure(network(config).state_dict()) >= size:
                return config
    raise SystemExit(f"{size} bytes are too many")


def measure(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def made(config: StyleGAN2Config, seed: int) -> StyleGAN2Network:
    """A network full of small random numbers."""
    with torch.device("meta"):
        module = network(config)
    module.to_empty(device="cpu").requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        tensor.normal_(0.0, 0.1, generator=generator)
    return module


# -------------------------------------------------------------- torch files of rosinality, and ours


def rosinality(module: StyleGAN2Network) -> dict[str, Tensor]:
    """The state dict of rosinality's ``Generator``."""
    found: dict[str, Tensor] = {}
    blur = torch.outer(TAPS, TAPS) / TAPS.sum().square() * 4
    parts = {
        "weight": ("conv.weight", (None,)),
        "affine.weight": ("conv.modulation.weight", ()),
        "affine.bias": ("conv.modulation.bias", ()),
        "noise_strength": ("noise.weight", (None,)),
        "bias": ("activate.bias", ()),
    }
    for name, tensor in module.state_dict().items():
        if name.startswith("mapping.fc"):
            layer, _, part = name.removeprefix("mapping.fc").partition(".")
            found[f"style.{int(layer) + 1}.{part}"] = tensor
        elif name == "synthesis.b4.const":
            found["input.input"] = tensor[None]
        elif name.startswith("synthesis."):
            _, block, layer, part = name.split(".", 3)
            level = int(block[1:]).bit_length() - 3
            number = 2 * level + int(layer == "conv1") - 2
            if part == "noise_const":
                found[f"noises.noise_{number + 1}"] = tensor[None, None]
                continue
            theirs, axes = parts[part]
            if layer == "torgb":
                scope = f"to_rgbs.{level - 1}" if level else "to_rgb1"
                if part == "bias":
                    theirs, axes = "bias", (None, slice(None), None, None)
                if level:
                    found[f"{scope}.upsample.kernel"] = blur
            else:
                scope = f"convs.{number}" if level else "conv1"
                if layer == "conv0":
                    found[f"{scope}.conv.blur.kernel"] = blur
            found[f"{scope}.{theirs}"] = tensor[axes] if axes else tensor
    return found


def torch_file(zipped: bool) -> Layout:
    """A training file: ``g``, ``d``, ``g_ema``, ``latent_avg``."""

    def write(path: Path, size: int) -> int:
        config = shape(size)
        g, d, average = (made(config, seed) for seed in range(3))
        content = {
            "g": rosinality(g),
            "d": {f"convs.{name}": tensor for name, tensor in d.state_dict().items()},
            "g_ema": rosinality(average),
            "latent_avg": average.mapping.w_avg,
        }
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        return measure(average.state_dict())

    return write


def safetensors_file(path: Path, size: int) -> int:
    """Our own format, which holds the generator alone."""
    config = shape(size)
    module = made(config, 2)
    write_portable(path, module.state_dict(), "stylegan2", config.model_dump(mode="json"))
    return measure(module.state_dict())


# ------------------------------------------------------------------------ NVIDIA's PyTorch pickles


def _reconstruct_persistent_obj(meta: Any) -> Any:
    raise RuntimeError("written, never called")


class Persistent:
    """A module as ``torch_utils.persistence`` pickles it."""

    def __init__(self, kind: str, state: dict[str, Any]) -> None:
        self.meta = {"type": "class", "version": 6, "module_src": "", "class_name": kind}
        self.meta["state"] = state

    def __reduce__(self) -> tuple[Any, ...]:
        return _reconstruct_persistent_obj, (self.meta,)


@contextlib.contextmanager
def named(thing: Any, module: str) -> Iterator[None]:
    """While it lasts, ``thing`` can be imported from ``module``, and says so."""
    parts = module.split(".")
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    home = thing.__module__
    try:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[module], thing.__name__, thing)
        thing.__module__ = module
        yield
    finally:
        thing.__module__ = home
        for name in names:
            sys.modules.pop(name, None)


def persistent(module: nn.Module, config: StyleGAN2Config, path: str = "") -> Persistent:
    """A module of ours, whose tensors have NVIDIA's names, as NVIDIA's own."""
    parts, own = path.split("."), dict(module.named_parameters(recurse=False))
    filters = {"resample_filter": torch.outer(TAPS, TAPS) / TAPS.sum().square()}
    sizes = {"z_dim": config.z_dim, "w_dim": config.w_dim, "c_dim": 0, "num_ws": config.num_ws}
    image = {"img_resolution": config.resolution, "img_channels": 3}
    buffers: dict[str, Tensor] = dict(module.named_buffers(recurse=False))
    r = int(parts[1][1:]) if parts[0] == "synthesis" and len(parts) > 1 else 0
    values: dict[str, Any]
    if path == "":
        kind, values = "Generator", {**sizes, **image}
    elif path == "mapping":
        kind, values = "MappingNetwork", {**sizes, "num_layers": 8, "w_avg_beta": 0.998}
    elif path == "synthesis":
        kind, values = "SynthesisNetwork", {**sizes, **image}
    elif len(parts) == 2 and r:
        kind, buffers = "SynthesisBlock", filters
        values = {"resolution": r, "architecture": "skip", "use_fp16": r >= 32}
    elif parts[-1] in ("conv0", "conv1"):
        kind, buffers = "SynthesisLayer", buffers | filters
        up = 2 if parts[-1] == "conv0" else 1
        values = {"resolution": r, "up": up, "padding": 1, "act_gain": math.sqrt(2)}
        values |= {"use_noise": True, "activation": "lrelu", "conv_clamp": None}
    elif parts[-1] == "torgb":
        kind = "ToRGBLayer"
        values = {"conv_clamp": None, "weight_gain": 1 / math.sqrt(config.channels[r])}
    else:
        kind, mapped = "FullyConnectedLayer", path.startswith("mapping")
        rate = config.lr_multiplier if mapped else 1.0
        values = {"activation": "lrelu" if mapped else "linear", "bias_gain": rate}
        values["weight_gain"] = rate / math.sqrt(own["weight"].shape[1])
    below = {
        name: persistent(child, config, f"{path}.{name}" if path else name)
        for name, child in module.named_children()
    }
    state = dict(nn.Module().eval().__dict__) | values
    state |= {"_parameters": own, "_buffers": buffers, "_modules": below}
    return Persistent(kind, state)


def nvidia_pickle(path: Path, size: int) -> int:
    """A snapshot: ``G``, ``D``, ``G_ema``."""
    config = shape(size)
    g, d, average = (made(config, seed) for seed in range(3))
    critic = {"_parameters": {name.replace(".", "_"): t for name, t in d.state_dict().items()}}
    content = {
        "G": persistent(g, config),
        "D": Persistent("Discriminator", dict(nn.Module().__dict__) | critic),
        "G_ema": persistent(average, config),
        "augment_pipe": None,
    }
    with named(_reconstruct_persistent_obj, "torch_utils.persistence"), path.open("wb") as stream:
        pickle.dump(content, stream)
    return measure(average.state_dict())


# --------------------------------------------------------------------- NVIDIA's TensorFlow pickles


class Network:
    """The record of a network."""

    def __init__(self, **state: Any) -> None:
        self.state = {"version": 4, "build_module_src": "", "components": {}, **state}

    def __getstate__(self) -> dict[str, Any]:
        return self.state


def tensorflow_networks(module: StyleGAN2Network) -> Network:
    """Gs: kernels are (k, k, in, out), those of up-sampling layers mirrored."""
    mapping: dict[str, Any] = {}
    synthesis: dict[str, Any] = {}
    for name, tensor in module.state_dict().items():
        value = tensor.numpy()
        if name.startswith("mapping.fc"):
            layer, _, part = name.removeprefix("mapping.fc").partition(".")
            mapping[f"Dense{layer}/{part}"] = value.T.copy()
        elif name == "synthesis.b4.const":
            synthesis["4x4/Const/const"] = value[None]
        elif name.startswith("synthesis."):
            _, block, layer, part = name.split(".", 3)
            r = int(block[1:])
            if part == "noise_const":
                number = 2 * (r.bit_length() - 3) + int(layer[-1]) - 1
                synthesis[f"noise{number}"] = value[None, None]
                continue
            scopes = {"conv0": "Conv0_up", "conv1": "Conv1" if r > 4 else "Conv", "torgb": "ToRGB"}
            if part == "weight":
                value = value.transpose(2, 3, 1, 0)
                value = (value[::-1, ::-1] if layer == "conv0" else value).copy()
            elif part == "affine.weight":
                part, value = "mod_weight", value.T.copy()
            elif part == "affine.bias":
                part = "mod_bias"
            synthesis[f"{r}x{r}/{scopes[layer]}/{part}"] = value
    static = {"resolution": module.config.resolution, "truncation_psi": 0.5}
    parts = {
        name: Network(
            name=f"G_{name}",
            build_func_name=f"G_{function}",
            static_kwargs=static,
            variables=list(variables.items()),
        )
        for name, function, variables in (
            ("mapping", "mapping", mapping),
            ("synthesis", "synthesis_stylegan2", synthesis),
        )
    }
    average = module.state_dict()["mapping.w_avg"].numpy()
    return Network(
        name="Gs",
        build_func_name="G_main",
        static_kwargs=static,
        variables=[("dlatent_avg", average)],
        components=parts,
    )


def tensorflow_pickle(protocol: int) -> Layout:
    """(G, D, Gs)."""

    def write(path: Path, size: int) -> int:
        config = shape(size)
        networks = [made(config, seed) for seed in range(3)]
        content = tuple(tensorflow_networks(module) for module in networks)
        with named(Network, "dnnlib.tflib.network"), path.open("wb") as stream:
            pickle.dump(content, stream, protocol)
        return measure(networks[2].state_dict())

    return write


LAYOUTS: dict[str, Layout] = {
    "torch zip": torch_file(zipped=True),
    "torch legacy": torch_file(zipped=False),
    "NVIDIA PyTorch": nvidia_pickle,
    "TensorFlow": tensorflow_pickle(4),
    "TensorFlow, protocol 2": tensorflow_pickle(2),
    "our safetensors": safetensors_file,
}
"""Every layout that is measured, by the name that the tables use."""
