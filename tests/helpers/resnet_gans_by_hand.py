"""Residual generators in the layouts of mimicry, StudioGAN and WGAN-GP, and their images by hand.

Nothing here comes from the adapter: the images are a straightforward reading of the formats'
descriptions, key by key, so that the two can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
Spectral = Literal["none", "stored", "iterated"]


@dataclass(frozen=True)
class Recipe:
    """What a network is made of.

    Attributes:
        layout: whose names it has.
        widths: channels of the first map, then after each block.
        attention: after how many blocks.
        chunk: of z, where StudioGAN cuts it; 0: it is not cut.
        shared: length of StudioGAN's shared embedding.
    """

    layout: Literal["mimicry", "StudioGAN", "WGAN-GP"]
    widths: tuple[int, ...] = (8, 8)
    bottom: int = 2
    z: int = 5
    classes: int = 0
    spectral: Spectral = "none"
    attention: int = 0
    chunk: int = 0
    shared: int = 0
    colours: int = 3
    seed: int = 0

    @property
    def pieces(self) -> int:
        return len(self.widths)

    @property
    def z_dim(self) -> int:
        return self.chunk * self.pieces if self.chunk else self.z


class Maker:
    """Draws tensors under a layout's names."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.state = recipe, State()
        self.draw = torch.Generator().manual_seed(recipe.seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.draw)

    def linear(self, name: str, *shape: int, bias: bool = True, normed: bool = True) -> None:
        weight = self.normal(*shape) / math.sqrt(math.prod(shape[1:]))
        columns = weight[0].numel()
        if bias:
            self.state[f"{name}.bias"] = 0.3 * self.normal(shape[0])
        spectral = self.recipe.spectral if normed else "none"
        self.state[f"{name}.weight{'_orig' if spectral == 'stored' else ''}"] = weight
        if spectral == "stored":
            self.state[f"{name}.weight_u"] = F.normalize(self.normal(shape[0]), dim=0)
            self.state[f"{name}.weight_v"] = F.normalize(self.normal(columns), dim=0)
        elif spectral == "iterated":
            self.state[f"{name}.sn_u"] = self.normal(1, shape[0])
            self.state[f"{name}.sn_sigma"] = torch.ones(1)

    def statistics(self, name: str, width: int) -> None:
        self.state[f"{name}.running_mean"] = 0.3 * self.normal(width)
        self.state[f"{name}.running_var"] = 0.1 + self.normal(width).square()
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def norm(self, name: str, width: int) -> None:
        self.state[f"{name}.weight"] = 1 + 0.3 * self.normal(width)
        self.state[f"{name}.bias"] = 0.3 * self.normal(width)
        self.statistics(name, width)

    def block_norm(self, name: str, width: int) -> None:
        recipe = self.recipe
        if not recipe.classes and not recipe.chunk:
            self.norm(name, width)
            return
        self.statistics(f"{name}.bn", width)
        if recipe.layout == "mimicry":
            self.state[f"{name}.embed.weight"] = self.normal(recipe.classes, 2 * width)
            return
        inputs = recipe.shared + recipe.chunk if recipe.chunk else recipe.classes
        for leaf in ("gain", "bias"):
            self.linear(f"{name}.{leaf}", width, inputs, bias=False)


NAMES = {
    "mimicry": ("c1", "c2", "c_sc", "b1", "b2", ("theta", "phi", "g", "o"), "gamma"),
    "StudioGAN": (
        *("conv2d1", "conv2d2", "conv2d0", "bn1", "bn2"),
        ("conv1x1_theta", "conv1x1_phi", "conv1x1_g", "conv1x1_attn"),
        "sigma",
    ),
    "WGAN-GP": (
        *("conv_1.conv.conv", "conv_2.conv", "conv_shortcut.conv.conv", "bn1", "bn2"),
        (),
        "",
    ),
}


def places(recipe: Recipe) -> tuple[str, list[str], str, str, str]:
    """Names of the first layer, the blocks, the attention, the last norm and convolution."""
    count = len(recipe.widths) - 1
    if recipe.layout == "mimicry":
        blocks = [f"block{k + 2}" for k in range(count)]
        return "l1", blocks, "attn_block", f"b{count + 2}", f"c{count + 2}"
    if recipe.layout == "WGAN-GP":
        return "ln1", [f"rb{k + 1}" for k in range(count)], "", "bn", "conv1.conv"
    numbers = [k + (recipe.attention and k >= recipe.attention) for k in range(count)]
    blocks = [f"blocks.{int(k)}.0" for k in numbers]
    return "linear0", blocks, f"blocks.{recipe.attention}.0", "bn4", "conv2d5"


def state(recipe: Recipe) -> State:
    """The tensors of a random network."""
    make = Maker(recipe)
    first, blocks, attention, norm, last = places(recipe)
    conv1, conv2, shortcut, norm1, norm2, parts, strength = NAMES[recipe.layout]
    make.linear(first, recipe.widths[0] * recipe.bottom**2, recipe.chunk or recipe.z)
    if recipe.shared:
        make.state["shared.weight"] = make.normal(recipe.classes, recipe.shared)
    for k, name in enumerate(blocks):
        before, after = recipe.widths[k : k + 2]
        make.linear(f"{name}.{conv1}", after, before, 3, 3, bias=recipe.layout != "WGAN-GP")
        make.linear(f"{name}.{conv2}", after, after, 3, 3)
        make.linear(f"{name}.{shortcut}", after, before, 1, 1)
        make.block_norm(f"{name}.{norm1}", before)
        make.block_norm(f"{name}.{norm2}", after)
    make.norm(norm, recipe.widths[-1])
    make.linear(last, recipe.colours, recipe.widths[-1], 3, 3)
    if recipe.attention:
        width = recipe.widths[recipe.attention]
        sizes = ((width // 8, width), (width // 8, width), (width // 2, width), (width, width // 2))
        for part, size in zip(parts, sizes, strict=True):
            make.linear(f"{attention}.{part}", *size, 1, 1, bias=False)
        shape = (1,) if recipe.layout == "StudioGAN" else ()
        make.state[f"{attention}.{strength}"] = torch.full(shape, 0.7)
    return make.state


def weight_of(found: State, name: str) -> Tensor:
    """A weight divided by its spectral norm."""
    if f"{name}.weight_orig" in found:
        weight = found[f"{name}.weight_orig"]
        return weight / torch.einsum(
            "a,ab,b->", found[f"{name}.weight_u"], weight.flatten(1), found[f"{name}.weight_v"]
        )
    weight = found[f"{name}.weight"]
    if f"{name}.sn_u" not in found:
        return weight
    matrix, u = weight.flatten(1), found[f"{name}.sn_u"][0]
    v = matrix.T @ u
    v = v / v.norm()
    u = matrix @ v
    return weight / ((u / u.norm()) @ matrix @ v)


def images(recipe: Recipe, found: State, z: Tensor, label: Tensor | None) -> Tensor:
    """Images of a network, one row after another."""
    rows = [
        _image(recipe, found, z[k : k + 1], None if label is None else int(label[k]))
        for k in range(len(z))
    ]
    return torch.cat(rows).expand(-1, 3, -1, -1)


def _image(recipe: Recipe, found: State, z: Tensor, label: int | None) -> Tensor:
    first, blocks, attention, norm, last = places(recipe)
    conv1, conv2, shortcut, norm1, norm2, *_ = NAMES[recipe.layout]
    eps = 1e-4 if recipe.layout == "StudioGAN" else 1e-5
    pieces = z.split(recipe.chunk, dim=1) if recipe.chunk else [z] * recipe.pieces
    x = pieces[0] @ weight_of(found, first).T + found[f"{first}.bias"]
    x = x.reshape(1, -1, recipe.bottom, recipe.bottom)

    def conv(h: Tensor, name: str) -> Tensor:
        weight = weight_of(found, name)
        return F.conv2d(h, weight, found.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def normed(h: Tensor, name: str, piece: Tensor) -> Tensor:
        inner = f"{name}.bn" if f"{name}.bn.running_mean" in found else name
        mean, variance = found[f"{inner}.running_mean"], found[f"{inner}.running_var"]
        h = (h - mean.view(1, -1, 1, 1)) / (variance.view(1, -1, 1, 1) + eps).sqrt()
        if inner == name:
            scale, shift = found[f"{name}.weight"], found[f"{name}.bias"]
        elif recipe.layout == "mimicry":
            scale, shift = found[f"{name}.embed.weight"][label].chunk(2)
        else:
            y = torch.zeros(max(recipe.classes, 1), dtype=piece.dtype)
            y[label or 0] = 1.0
            if recipe.chunk:
                y = piece[0]
            if recipe.shared:
                y = torch.cat([found["shared.weight"][label], piece[0]])
            scale = 1 + weight_of(found, f"{name}.gain") @ y
            shift = weight_of(found, f"{name}.bias") @ y
        return h * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)

    def larger(h: Tensor) -> Tensor:
        if recipe.layout == "mimicry":
            return F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
        return h.repeat_interleave(2, 2).repeat_interleave(2, 3)

    for k, name in enumerate(blocks):
        piece = pieces[k + 1]
        h = conv(larger(F.relu(normed(x, f"{name}.{norm1}", piece))), f"{name}.{conv1}")
        h = conv(F.relu(normed(h, f"{name}.{norm2}", piece)), f"{name}.{conv2}")
        x = h + conv(larger(x), f"{name}.{shortcut}")
        if recipe.attention == k + 1:
            x = _attended(recipe, found, x, attention)
    return torch.tanh(conv(F.relu(normed(x, norm, z)), last))


def _attended(recipe: Recipe, found: State, x: Tensor, name: str) -> Tensor:
    parts, strength = NAMES[recipe.layout][-2:]
    theta, phi, g, o = (weight_of(found, f"{name}.{part}")[:, :, 0, 0] for part in parts)
    side = x.shape[-1]
    pixels = x[0].flatten(1)

    def pooled(weight: Tensor) -> Tensor:
        return F.max_pool2d((weight @ pixels).view(1, -1, side, side), 2)[0].flatten(1)

    share = torch.softmax((theta @ pixels).T @ pooled(phi), dim=1)
    seen = o @ (pooled(g) @ share.T)
    return x + found[f"{name}.{strength}"] * seen.view_as(x)


def recipes() -> Sequence[Recipe]:
    """One of each kind, for tests of every layout."""
    return (
        Recipe("mimicry", (6, 4, 4), 4),
        Recipe("mimicry", (8, 8), 3, classes=3, spectral="iterated", attention=1),
        Recipe("mimicry", (16, 8, 8, 4), 1, classes=2, spectral="stored", attention=2),
        Recipe("StudioGAN", (8, 8, 4), 2, classes=3, spectral="stored", attention=1),
        Recipe("StudioGAN", (4, 3), 4, classes=4, chunk=3, shared=2),
        Recipe("StudioGAN", (4, 4, 2), 2, chunk=3),
        Recipe("WGAN-GP", (6, 4), 3, colours=1),
    )
