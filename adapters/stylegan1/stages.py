"""The stages of a StyleGAN (v1), its boundaries, and the entries of its latents.

Guarantees that each stage is a pure function of x and what is carried: noise is the file's, given,
or drawn from a number of each sample, so that a row's image depends on that row only.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import Tensor

from seeingkit.contracts import Boundary
from seeingkit.models.staged import Carry, StageFunction

from ..catalog.stylegan1 import StyleGAN1Options
from ..stylegan2.noise import per_sample
from .network import StyledLayer, StyleGAN1Config, StyleGAN1Network, styled


def stages(module: StyleGAN1Network, options: StyleGAN1Options) -> list[StageFunction]:
    """From z to w, to each layer before and after its style, and the image.

    Args:
        module: the network.
        options: ``noise`` resolved.
    """
    config, const = module.config, options.noise == "const"
    cutoff = _truncated_layers(config, options)
    first = partial(_map, module, options.truncation, cutoff)
    layers: list[StageFunction] = []
    for number, layer in enumerate(module.layers.values()):
        assert isinstance(layer, StyledLayer)
        layers.append(partial(_plain, module, layer, number, _noise_keys(config, number), const))
        layers.append(_styled)
    return [first, _flat, *layers, partial(_image, module)]


def _truncated_layers(config: StyleGAN1Config, options: StyleGAN1Options) -> int:
    """How many layers are truncated; None turns it off, as it does in NVIDIA's code."""
    if options.cutoff == "all":
        return config.layers
    return 0 if options.cutoff is None else min(options.cutoff, config.layers)


_MAPPED = ("c", "ws", "mean_style")
"""Entries that nothing behind ``w`` needs."""


def entries(config: StyleGAN1Config) -> dict[str, tuple[int, ...]]:
    """Shapes, without the batch axis, of everything a latent may hold."""
    shapes: dict[str, tuple[int, ...]] = {"z": (config.latent,)}
    if config.labels:
        shapes |= {"label": (), "c": (config.labels,)}
    shapes |= {"ws": (config.layers, config.style), "mean_style": (config.style,)}
    for number in range(config.layers):
        r = config.resolutions[number // 2]
        shapes |= dict.fromkeys(_noise_keys(config, number), (1, r, r))
    return shapes


def _noise_keys(config: StyleGAN1Config, number: int) -> tuple[str, ...]:
    """Names under which a layer looks for its noise map, the first found being taken."""
    shared = f"noise_r{config.resolutions[number // 2]}"
    if config.noise == "layer":
        return (f"{shared}.conv{number % 2}", shared)
    return (shared,) if config.noise == "resolution" else ()


def _map(
    module: StyleGAN1Network, psi: float, cutoff: int, x: Tensor, carry: Carry
) -> tuple[Tensor, Carry]:
    rest = {name: value for name, value in carry.items() if name not in _MAPPED}
    if "ws" in carry:
        return carry["ws"], rest
    return module.styles(x, carry.get("c"), psi, cutoff, carry.get("mean_style")), rest


def _flat(x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    """ws (N, layers, w), one vector behind the other."""
    return x.flatten(1), carry


def _plain(
    module: StyleGAN1Network,
    layer: StyledLayer,
    number: int,
    keys: tuple[str, ...],
    const: bool,
    x: Tensor,
    carry: Carry,
) -> tuple[Tensor, Carry]:
    carry = dict(carry)
    if number == 0:
        carry["ws"], below = x.unflatten(1, (module.config.layers, -1)), None
    else:
        below = x
    if number == len(module.layers) - 2 and below is not None:
        skip = module.skip(below)
        if skip is not None:
            carry["rgb"] = skip
    noise = next((carry[key] for key in keys if key in carry), None)
    if noise is None and keys and "noise_seed" in carry:
        first = number if len(keys) > 1 else number - number % 2  # the layer a map is drawn for
        side = module.config.resolutions[number // 2]
        noise = per_sample(carry["noise_seed"], first, side)
    elif noise is None and const:
        noise = cast(Tensor, layer.noise)
    for key in keys:  # a map that serves both layers stays until the second
        if number % 2 or key.endswith(".conv0"):
            carry.pop(key, None)
    carry["map"] = layer.plain(below, len(x), noise)
    return layer.style(carry["ws"][:, number]), carry


def _styled(x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    rest = {name: value for name, value in carry.items() if name != "map"}
    return styled(carry["map"], x), rest


def _image(module: StyleGAN1Network, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return module.blend(x, carry.get("rgb")), {}


def boundaries(config: StyleGAN1Config) -> list[Boundary]:
    """All of them, styles too; names of both originals are aliases."""
    cuts = [
        Boundary("input", 0, (config.latent,), "latent", aliases=("z",)),
        Boundary("w", 1, (config.layers, config.style), "latent", aliases=("ws", "dlatents_in")),
        Boundary("w.channels", 2, (config.layers * config.style,), "style"),
    ]
    for number in range(config.layers):
        i, half = divmod(number, 2)
        r, channels = config.resolutions[i], config.channels[i]
        native = ("Const", "Conv") if r == 4 else ("Conv0_up", "Conv1")
        aliases: tuple[str, ...] = (f"{r}x{r}/{native[half]}",)
        if half:
            aliases += (f"r{r}", f"generator.progression.{i}")
        shape, name = (channels, r, r), f"r{r}.conv{half}"
        cuts.append(Boundary(f"{name}.style", len(cuts), (2 * channels,), "style"))
        cuts.append(Boundary(name, len(cuts), shape, "feature", (r, r), aliases))
    r = config.resolution
    cuts.append(Boundary("image", len(cuts), (3, r, r), "image", (r, r), ("images_out",)))
    return cuts
