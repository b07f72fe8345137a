"""BigGAN state dicts in the authentic layout of ajbrock's code, and their images computed plainly.

Nothing here comes from the adapter: the images are a straightforward reading of the format's
description, key by key, so that the two can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PLAIN = {
    32: [(4, 4), (4, 4), (4, 4)],
    64: [(16, 16), (16, 8), (8, 4), (4, 2)],
    128: [(16, 16), (16, 8), (8, 4), (4, 2), (2, 1)],
    256: [(16, 16), (16, 8), (8, 8), (8, 4), (4, 2), (2, 1)],
    512: [(16, 16), (16, 8), (8, 8), (8, 4), (4, 2), (2, 1), (1, 1)],
}


@dataclass(frozen=True)
class Recipe:
    """What a network is made of; names as in the original's options."""

    resolution: int
    ch: int
    attention: tuple[int, ...] = ()
    deep: bool = False
    depth: int = 2
    nested: bool = False
    shared_dim: int = 5
    chunk: int = 3
    classes: int = 4
    statistics: Literal["stored", "mybn", "cross_replica"] = "stored"
    counter: float = 0.0
    spectral: bool = True
    bn_eps: float = 1e-5

    @property
    def stages(self) -> list[tuple[int, int]]:
        return [(self.ch * a, self.ch * b) for a, b in PLAIN[self.resolution]]

    @property
    def z_dim(self) -> int:
        if not self.shared_dim or self.deep or not self.chunk:
            return 6
        return self.chunk * (len(self.stages) + 1)

    @property
    def condition(self) -> int:
        return self.shared_dim + (self.z_dim if self.deep else self.chunk)


@dataclass
class Layer:
    """One entry of ``blocks``: its module path and what it does."""

    name: str
    kind: Literal["residual", "bottleneck", "attention"]
    before: int
    after: int
    up: bool
    stage: int = field(default=0)


def layers(recipe: Recipe) -> list[Layer]:
    found: list[Layer] = []
    size, flat = 4, 0
    for stage, (before, after) in enumerate(recipe.stages):
        size *= 2
        depth = recipe.depth if recipe.deep else 1
        for g in range(depth):
            last = g == depth - 1
            width = after if last else before
            name = f"blocks.{stage}.{g}" if recipe.nested else f"blocks.{flat}.0"
            kind = "bottleneck" if recipe.deep else "residual"
            found.append(Layer(name, kind, before, width, last, stage))  # type: ignore[arg-type]
            flat += 1
        if size in recipe.attention:
            name = f"blocks.{stage}.{depth}" if recipe.nested else f"blocks.{flat - 1}.1"
            found.append(Layer(name, "attention", after, after, False, stage))
    return found


# Long, as the next one: the layers share the small functions inside, as in the original.
def state(recipe: Recipe, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors under the original's names."""
    made = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=made)

    def normed(name: str, *shape: int, bias: bool = True) -> None:
        fan_in = float(torch.tensor(shape[1:]).prod())
        tensors[f"{name}.weight"] = noise(*shape) / fan_in**0.5
        if bias:
            tensors[f"{name}.bias"] = 0.1 * noise(shape[0])
        if recipe.spectral:
            tensors[f"{name}.u0"] = noise(1, shape[0])
            tensors[f"{name}.sv0"] = torch.ones(1)

    def statistics(name: str, channels: int) -> None:
        mean, var = 0.2 * noise(channels), 0.5 + noise(channels).square()
        if recipe.statistics == "stored":
            tensors.update({f"{name}.stored_mean": mean, f"{name}.stored_var": var})
        elif recipe.statistics == "cross_replica":
            tensors.update({f"{name}.bn.running_mean": mean, f"{name}.bn.running_var": var})
            tensors[f"{name}.bn.num_batches_tracked"] = torch.tensor(7)
        else:
            sums = recipe.counter or 1.0
            tensors.update(
                {f"{name}.bn.stored_mean": mean * sums, f"{name}.bn.stored_var": var * sums}
            )
            tensors[f"{name}.bn.accumulation_counter"] = torch.tensor([recipe.counter])

    def conditional(name: str, channels: int) -> None:
        statistics(name, channels)
        for part in ("gain", "bias"):
            if recipe.shared_dim:
                normed(f"{name}.{part}", channels, recipe.condition, bias=False)
            else:
                tensors[f"{name}.{part}.weight"] = 0.3 * noise(recipe.classes, channels)

    if recipe.shared_dim:
        tensors["shared.weight"] = noise(recipe.classes, recipe.shared_dim)
    first = recipe.condition if recipe.deep else (recipe.chunk if recipe.shared_dim else 0)
    normed("linear", 16 * recipe.stages[0][0], first or recipe.z_dim)
    for layer in layers(recipe):
        name, before, after = layer.name, layer.before, layer.after
        if layer.kind == "attention":
            tensors[f"{name}.gamma"] = torch.tensor(0.7)
            normed(f"{name}.theta", before // 8, before, 1, 1, bias=False)
            normed(f"{name}.phi", before // 8, before, 1, 1, bias=False)
            normed(f"{name}.g", before // 2, before, 1, 1, bias=False)
            normed(f"{name}.o", before, before // 2, 1, 1, bias=False)
        elif layer.kind == "residual":
            normed(f"{name}.conv1", after, before, 3, 3)
            normed(f"{name}.conv2", after, after, 3, 3)
            normed(f"{name}.conv_sc", after, before, 1, 1)
            conditional(f"{name}.bn1", before)
            conditional(f"{name}.bn2", after)
        else:
            inside = before // 4
            sizes = [(inside, before, 1), (inside, inside, 3), (inside, inside, 3)]
            for k, (a, b, kernel) in enumerate([*sizes, (after, inside, 1)], start=1):
                normed(f"{name}.conv{k}", a, b, kernel, kernel)
                conditional(f"{name}.bn{k}", b)
    channels = recipe.stages[-1][1]
    tensors["output_layer.0.gain"] = 1 + 0.2 * noise(channels)
    tensors["output_layer.0.bias"] = 0.2 * noise(channels)
    statistics("output_layer.0", channels)
    normed("output_layer.2", 3, channels, 3, 3)
    return tensors


def image(recipe: Recipe, tensors: dict[str, Tensor], z: Tensor, label: Tensor) -> Tensor:
    """The image in float64, layer by layer as the original's evaluation computes it."""
    t = {key: value.double() for key, value in tensors.items()}
    z = z.double()

    def weight(name: str) -> Tensor:
        w = t[f"{name}.weight"]
        if not recipe.spectral:
            return w
        matrix = w.reshape(len(w), -1)
        v = t[f"{name}.u0"][0] @ matrix
        v = v / v.norm()
        u = matrix @ v
        u = u / u.norm()
        return w / (u @ (matrix @ v))

    def conv(name: str, x: Tensor) -> Tensor:
        w = weight(name)
        return F.conv2d(x, w, t.get(f"{name}.bias"), padding=w.shape[-1] // 2)

    def normalise(name: str, x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
        inner, count = "", 1.0
        if recipe.statistics != "stored":
            inner = "bn."
        kind = "running" if recipe.statistics == "cross_replica" else "stored"
        if recipe.statistics == "mybn":
            count = recipe.counter or 1.0
        mean, var = (t[f"{name}.{inner}{kind}_{part}"] / count for part in ("mean", "var"))
        x = F.batch_norm(x, mean, var, eps=eps)
        return x + gain + bias if recipe.statistics == "cross_replica" else x * gain + bias

    def conditional(name: str, x: Tensor, y: Tensor | None) -> Tensor:
        parts = []
        for part in ("gain", "bias"):
            found = (
                t[f"{name}.{part}.weight"][label] if y is None else y @ weight(f"{name}.{part}").T
            )
            parts.append(found[:, :, None, None])
        return F.relu(normalise(name, x, 1 + parts[0], parts[1], recipe.bn_eps))

    def up(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    e = t["shared.weight"][label] if recipe.shared_dim else None
    first, ys = z, [e] * len(recipe.stages)
    if recipe.deep:
        assert e is not None
        first = torch.cat([e, z], 1)
        ys = [first] * len(recipe.stages)
    elif e is not None and recipe.chunk:
        first, *rest = z.split(recipe.chunk, 1)
        ys = [torch.cat([e, part], 1) for part in rest]
    x = (first @ weight("linear").T + t["linear.bias"]).reshape(len(z), -1, 4, 4)
    for layer in layers(recipe):
        name, y = layer.name, ys[layer.stage]
        if layer.kind == "attention":
            query = conv(f"{name}.theta", x).flatten(2)
            key, value = (F.max_pool2d(conv(f"{name}.{p}", x), 2).flatten(2) for p in ("phi", "g"))
            seen = torch.einsum(
                "nqk,nck->ncq", torch.einsum("ncq,nck->nqk", query, key).softmax(-1), value
            )
            x = x + t[f"{name}.gamma"] * conv(f"{name}.o", seen.reshape(len(z), -1, *x.shape[2:]))
        elif layer.kind == "residual":
            h = conv(f"{name}.conv1", up(conditional(f"{name}.bn1", x, y)))
            x = conv(f"{name}.conv2", conditional(f"{name}.bn2", h, y)) + conv(
                f"{name}.conv_sc", up(x)
            )
        else:
            h = conditional(
                f"{name}.bn2", conv(f"{name}.conv1", conditional(f"{name}.bn1", x, y)), y
            )
            x = x[:, : layer.after]
            if layer.up:
                h, x = up(h), up(x)
            h = conv(f"{name}.conv3", conditional(f"{name}.bn3", conv(f"{name}.conv2", h), y))
            x = x + conv(f"{name}.conv4", conditional(f"{name}.bn4", h, y))
    gain, bias = (t[f"output_layer.0.{part}"][:, None, None] for part in ("gain", "bias"))
    x = F.relu(normalise("output_layer.0", x, gain, bias, 1e-5))
    return torch.tanh(conv("output_layer.2", x)).float()
