"""State dicts of ALI and of small BigBiGANs in their authentic layouts, computed plainly.

Nothing here comes from the adapters: images and distributions are a straightforward reading of the
formats' description, key by key, so that the two can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


class _Numbers:
    """Tensors from a seed, under names."""

    def __init__(self, seed: int) -> None:
        self.source = torch.Generator().manual_seed(seed)
        self.state: State = {}

    def weight(self, name: str, *shape: int, scale: float | None = None) -> None:
        fan = max(1, shape[1] * (shape[2] * shape[3] if len(shape) == 4 else 1))
        drawn = torch.randn(shape, generator=self.source)
        self.state[name] = drawn * (fan**-0.5 if scale is None else scale)

    def vector(self, name: str, length: int, scale: float = 0.1) -> None:
        self.state[name] = torch.randn(length, generator=self.source) * scale

    def norm(self, name: str, width: int, *, affine: bool = True) -> None:
        if affine:
            self.state[f"{name}.weight"] = 1 + 0.2 * torch.randn(width, generator=self.source)
            self.vector(f"{name}.bias", width)
        self.vector(f"{name}.running_mean", width)
        self.state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=self.source)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def _normed(state: State, name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    gain, offset = state.get(f"{name}.weight"), state.get(f"{name}.bias")
    return F.batch_norm(x, mean, variance, gain, offset)


# ---------------------------------------------------------------------------------------------- ALI

ALI_KERNELS, ALI_STRIDES = (4, 4, 4, 4, 5, 1, 1), (1, 2, 1, 2, 1, 1, 1)
ALI_PLACES = ("main1.0", "main1.3", "main1.6", "main1.9", "main2.0", "main3.0", "main4.0")


def ali_generator(latent: int = 5, seed: int = 0, colours: int = 3) -> State:
    """netG with narrow layers."""
    numbers, before = _Numbers(seed), latent
    for k, width in enumerate((9, 8, 7, 6, 5, 4, colours)):
        numbers.weight(f"main.{3 * k}.weight", before, width, *[ALI_KERNELS[k]] * 2)
        if k < 6:
            numbers.norm(f"main.{3 * k + 1}", width)
        before = width
    numbers.state["output_bias"] = torch.randn(colours, 32, 32, generator=numbers.source)
    return numbers.state


def ali_image(state: State, z: Tensor) -> Tensor:
    """(N, C, 32, 32) in [0, 1]."""
    x = z[:, :, None, None]
    for k, stride in enumerate(ALI_STRIDES):
        x = F.conv_transpose2d(x, state[f"main.{3 * k}.weight"], stride=stride)
        if k < 6:
            x = F.leaky_relu(_normed(state, f"main.{3 * k + 1}", x), 0.01)
    return torch.sigmoid(x + state["output_bias"])


def ali_encoder(outputs: int = 10, seed: int = 1, colours: int = 3) -> State:
    """netE with narrow layers."""
    numbers, before = _Numbers(seed), colours
    widths = (4, 5, 6, 7, 8, 9, outputs)
    for place, width, kernel in zip(ALI_PLACES, widths, (5, 4, 4, 4, 4, 1, 1), strict=True):
        numbers.weight(f"{place}.weight", width, before, kernel, kernel)
        if place != "main4.0":
            group, _, number = place.partition(".")
            numbers.norm(f"{group}.{int(number) + 1}", width)
        before = width
    numbers.vector("main4.0.bias", outputs)
    return numbers.state


def ali_outputs(state: State, images: Tensor) -> Tensor:
    """(N, outputs) of images in [0, 1]."""
    x = images
    for place, stride in zip(ALI_PLACES, ALI_STRIDES, strict=True):
        x = F.conv2d(x, state[f"{place}.weight"], state.get(f"{place}.bias"), stride)
        if place != "main4.0":
            group, _, number = place.partition(".")
            x = F.leaky_relu(_normed(state, f"{group}.{int(number) + 1}", x), 0.01)
    return x.flatten(1)


# ---------------------------------------------------------------------------------- small BigBiGANs


@dataclass(frozen=True)
class Recipe:
    """A small BigBiGAN; names as in the original's options."""

    pre: tuple[int, ...] = (10, 8)
    post: tuple[int, ...] = (6,)
    colours: int = 1
    classes: int = 3
    embedding: int = 4
    piece: int = 2
    spectral: bool = True
    blocks: tuple[int, ...] = (4, 4, 8, 8)
    hidden: int = 7

    @property
    def z_dim(self) -> int:
        return self.piece * (len(self.pre) + len(self.post) + 1)

    @property
    def size(self) -> int:
        return 4 << (len(self.pre) + len(self.post))


def _layer(
    numbers: _Numbers, recipe: Recipe, name: str, *shape: int, bias: bool, dim: int = 0
) -> None:
    """A layer in the wrapper of spectral norm: weight, or weight_orig, weight_u and weight_v."""
    if not recipe.spectral:
        numbers.weight(f"{name}.layer.weight", *shape)
    else:
        numbers.weight(f"{name}.layer.weight_orig", *shape)
        weight = numbers.state[f"{name}.layer.weight_orig"]
        matrix = weight.transpose(0, dim).flatten(1)
        v = torch.randn(matrix.shape[1], generator=numbers.source)
        for _ in range(5):  # of the power iteration, as training makes
            u = F.normalize(matrix @ v, dim=0)
            v = F.normalize(u @ matrix, dim=0)
        numbers.state |= {f"{name}.layer.weight_u": u, f"{name}.layer.weight_v": v}
    if bias:
        numbers.vector(f"{name}.layer.bias", shape[0])


def bigbigan(recipe: Recipe, seed: int = 0) -> State:
    """The whole model, with the prefixes ``generator.``, ``encoder.`` and a critic's."""
    numbers = _Numbers(seed)
    _generator(numbers, recipe)
    made = {f"generator.{name}": tensor for name, tensor in numbers.state.items()}
    numbers.state = {}
    _encoder(numbers, recipe)
    made |= {f"encoder.{name}": tensor for name, tensor in numbers.state.items()}
    critic = {
        "latent_discriminator.linear.weight": torch.ones(1, 8),
        "img_discriminator.non_loc.gamma": torch.ones(1),
        "comb_discriminator.linear.weight": torch.ones(1, 8),
    }
    return made | critic


def _generator(numbers: _Numbers, recipe: Recipe) -> None:
    condition = recipe.piece + (recipe.embedding if recipe.classes else 0)
    if recipe.classes:
        numbers.weight("class_embedding.weight", recipe.classes, recipe.embedding, scale=1.0)
    _layer(numbers, recipe, "linear", 16 * recipe.pre[0], recipe.piece, bias=True)
    before = recipe.pre[0]
    for group, widths in (("pre", recipe.pre), ("post", recipe.post)):
        for k, width in enumerate(widths):
            name = f"{group}_up_blocks.{k}"
            _layer(numbers, recipe, f"{name}.skip_conv", width, before, 1, 1, bias=False)
            _layer(numbers, recipe, f"{name}.conv1", width, before, 3, 3, bias=False)
            _layer(numbers, recipe, f"{name}.conv2", width, width, 3, 3, bias=False)
            for norm, channels in (("bn1", before), ("bn2", width)):
                numbers.norm(f"{name}.{norm}.bn", channels, affine=False)
                numbers.weight(f"{name}.{norm}.linear.weight", 2 * channels, condition)
                numbers.vector(f"{name}.{norm}.linear.bias", 2 * channels, 1.0)
            before = width
    middle = recipe.pre[-1]
    numbers.state["non_loc.gamma"] = torch.tensor([0.7])
    for part, width in (("query", middle // 8), ("key", middle // 8), ("value", middle)):
        _layer(numbers, recipe, f"non_loc.{part}_conv", width, middle, 1, 1, bias=True)
    numbers.norm("bn", before)
    _layer(numbers, recipe, "conv", before, recipe.colours, 3, 3, bias=False, dim=1)


def _weight(state: State, name: str, dim: int = 0) -> Tensor:
    """The weight of a layer as evaluation uses it."""
    if f"{name}.layer.weight" in state:
        return state[f"{name}.layer.weight"]
    weight = state[f"{name}.layer.weight_orig"]
    u, v = (state[f"{name}.layer.weight_{part}"] for part in "uv")
    return weight / torch.einsum("i,ij,j->", u, weight.transpose(0, dim).flatten(1), v)


def _doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def bigbigan_image(whole: State, recipe: Recipe, z: Tensor, label: Tensor | None = None) -> Tensor:
    """(N, C, R, R) in [0, 1]."""
    state = {k.removeprefix("generator."): v for k, v in whole.items() if k[0] == "g"}
    first, *pieces = z.split(recipe.piece, 1)
    x = F.linear(first, _weight(state, "linear"), state["linear.layer.bias"])
    x = x.reshape(len(z), -1, 4, 4)
    names = [f"pre_up_blocks.{k}" for k in range(len(recipe.pre))]
    names += [f"post_up_blocks.{k}" for k in range(len(recipe.post))]
    for k, (name, piece) in enumerate(zip(names, pieces, strict=True)):
        y = piece
        if label is not None:
            y = torch.cat((piece, state["class_embedding.weight"][label]), 1)

        def norm(h: Tensor, which: str, name: str = name, y: Tensor = y) -> Tensor:
            linear = f"{name}.{which}.linear"
            both = F.linear(y, state[f"{linear}.weight"], state[f"{linear}.bias"])
            gain, offset = both[:, :, None, None].chunk(2, 1)
            return F.relu(gain * _normed(state, f"{name}.{which}.bn", h) + offset)

        side = F.conv2d(_doubled(x), _weight(state, f"{name}.skip_conv"))
        h = F.conv2d(_doubled(norm(x, "bn1")), _weight(state, f"{name}.conv1"), padding=1)
        x = F.conv2d(norm(h, "bn2"), _weight(state, f"{name}.conv2"), padding=1) + side
        if k == len(recipe.pre) - 1:
            x = _attended(state, x)
    x = F.relu(_normed(state, "bn", x))
    return torch.sigmoid(F.conv_transpose2d(x, _weight(state, "conv", 1), padding=1))


def _attended(state: State, x: Tensor) -> Tensor:
    query, key, value = (
        F.conv2d(
            x, _weight(state, f"non_loc.{part}_conv"), state[f"non_loc.{part}_conv.layer.bias"]
        ).flatten(2)
        for part in ("query", "key", "value")
    )
    shares = torch.einsum("nci,ncj->nij", query, key).softmax(-1)
    seen = torch.einsum("ncj,nij->nci", value, shares)
    return state["non_loc.gamma"] * seen.reshape(x.shape) + x


def _encoder(numbers: _Numbers, recipe: Recipe) -> None:
    numbers.weight("conv.weight", recipe.blocks[0], recipe.colours, 7, 7)
    numbers.vector("conv.bias", recipe.blocks[0])
    place = 0
    for k, width in enumerate(recipe.blocks):
        place += int(k > 0 and k % 2 == 0)  # a padding layer, which has no tensors
        name, half = f"rev_blocks.{place}.res_block", width // 2
        numbers.weight(f"{name}.skip_conv.layer.weight", half, half, 1, 1)
        numbers.vector(f"{name}.skip_conv.layer.bias", half)
        for number in (1, 2):
            numbers.weight(f"{name}.conv{number}.layer.weight", half, half, 3, 3)
            numbers.norm(f"{name}.bn{number}", half)
        place += 1
    for number, inputs in ((1, recipe.blocks[-1]), (2, recipe.hidden)):
        sizes = (("linear1", inputs), ("linear2", recipe.hidden), ("skip_linear", inputs))
        for part, before in sizes:
            numbers.weight(f"res_lin{number}.{part}.layer.weight", recipe.hidden, before)
            numbers.vector(f"res_lin{number}.{part}.layer.bias", recipe.hidden)
    numbers.weight("linear_dist_params.weight", 2 * recipe.z_dim, recipe.hidden)
    numbers.vector("linear_dist_params.bias", 2 * recipe.z_dim)


def bigbigan_posterior(whole: State, recipe: Recipe, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (N, z_dim) each, of images in the encoder's own range."""
    state = {k.removeprefix("encoder."): v for k, v in whole.items() if k[0] == "e"}
    x = F.conv2d(_doubled(images), state["conv.weight"], state["conv.bias"], 2, 3)
    x = F.max_pool2d(x, 3, 2, 1)
    place = 0
    for k in range(len(recipe.blocks)):
        if k > 0 and k % 2 == 0:
            x = F.avg_pool2d(x, 3, 2, 1)
            nothing = torch.zeros_like(x[:, : x.shape[1] // 2])
            x = torch.cat((nothing, x, nothing), 1)
            place += 1
        name = f"rev_blocks.{place}.res_block"
        first, second = x.chunk(2, 1)
        h = second
        for number in (1, 2):
            h = F.conv2d(h, state[f"{name}.conv{number}.layer.weight"], padding=1)
            h = F.relu(_normed(state, f"{name}.bn{number}", h))
        x = torch.cat((first + h + second, second), 1)
        place += 1
    x = x.mean((2, 3))
    for number in (1, 2):

        def linear(part: str, h: Tensor, number: int = number) -> Tensor:
            name = f"res_lin{number}.{part}.layer"
            return F.leaky_relu(F.linear(h, state[f"{name}.weight"], state[f"{name}.bias"]), 0.3)

        x = linear("linear2", linear("linear1", x)) + linear("skip_linear", x)
    last = "linear_dist_params"
    mean, spread = F.linear(x, state[f"{last}.weight"], state[f"{last}.bias"]).chunk(2, 1)
    return mean, F.softplus(spread)
