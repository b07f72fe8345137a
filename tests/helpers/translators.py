"""Translators as their repositories nest and number them, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

NormLayer = Callable[[int], nn.Module]


def seeded(network: nn.Module, seed: int = 0, std: float = 0.4) -> nn.Module:
    """Weights of moderate size, and statistics that are not those of any image."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.2)
        own = dict(module.named_parameters(recurse=False))
        own |= dict(module.named_buffers(recurse=False))
        for name, value in own.items():
            if name == "running_mean":
                value.data.normal_()
            if name == "running_var":
                value.data.uniform_(0.5, 2)
            if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and name == "weight":
                value.data.uniform_(0.5, 1.5)
            if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and name == "bias":
                value.data.normal_()
    return network


class Residue(nn.Module):
    """x + a sequence of x, called as the family calls it."""

    def __init__(self, name: str, layers: list[nn.Module]) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.get_submodule(self.name)(x)


class Named(nn.Module):
    """A sequence below one name, which concatenates planes if there are any."""

    def __init__(self, name: str, layers: list[nn.Module]) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        if c is not None:
            x = torch.cat([x, c[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
        return self.get_submodule(self.name)(x)


NORMS: dict[str, tuple[NormLayer, bool]] = {
    "instance": (nn.InstanceNorm2d, True),
    "tracked instance": (lambda c: nn.InstanceNorm2d(c, track_running_stats=True), True),
    "batch": (nn.BatchNorm2d, False),
    "none": (lambda c: nn.Identity(), False),
}
"""Norm by its name in the training script, and whether convolutions then have a bias."""


def cyclegan(
    *,
    ngf: int = 4,
    blocks: int = 2,
    colours: tuple[int, int] = (3, 3),
    norm: str = "instance",
    dropout: bool = False,
    padding: str = "reflect",
) -> nn.Module:
    """A residual generator: ``model.N``, ``model.N.conv_block.K``."""
    make, bias = NORMS[norm]
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(colours[0], ngf, 7, bias=bias)]
    layers += [make(ngf), nn.ReLU(True)]
    for k in (1, 2):
        layers += [
            nn.Conv2d(ngf * k, ngf * k * 2, 3, 2, 1, bias=bias),
            make(ngf * k * 2),
            nn.ReLU(),
        ]
    width = 4 * ngf
    pads: dict[str, list[nn.Module]] = {
        "reflect": [nn.ReflectionPad2d(1)],
        "replicate": [nn.ReplicationPad2d(1)],
        "zero": [],
    }
    around = 0 if pads[padding] else 1
    for _ in range(blocks):
        inside: list[nn.Module] = []
        for last in (False, True):
            inside += [*pads[padding], nn.Conv2d(width, width, 3, padding=around, bias=bias)]
            inside += [make(width)] if last else [make(width), nn.ReLU()]
            inside += [nn.Dropout(0.5)] if dropout and not last else []
        layers.append(Residue("conv_block", inside))
    for k in (4, 2):
        up = nn.ConvTranspose2d(ngf * k, ngf * k // 2, 3, 2, 1, output_padding=1, bias=bias)
        layers += [up, make(ngf * k // 2), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, colours[1], 7), nn.Tanh()]
    return seeded(Named("model", layers), std=0.1 if norm == "none" else 0.4)


def stargan(*, width: int = 4, blocks: int = 2, attributes: int = 3) -> nn.Module:
    """A generator told attributes: ``main.N``, ``main.N.main.K``."""

    def norm(channels: int) -> nn.Module:
        return nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)

    first = nn.Conv2d(3 + attributes, width, 7, 1, 3, bias=False)
    layers: list[nn.Module] = [first, norm(width), nn.ReLU()]
    for k in (1, 2):
        down = nn.Conv2d(width * k, width * k * 2, 4, 2, 1, bias=False)
        layers += [down, norm(width * k * 2), nn.ReLU()]
    c = 4 * width
    for _ in range(blocks):
        inside = [nn.Conv2d(c, c, 3, 1, 1, bias=False), norm(c), nn.ReLU()]
        inside += [nn.Conv2d(c, c, 3, 1, 1, bias=False), norm(c)]
        layers.append(Residue("main", inside))
    for k in (4, 2):
        up = nn.ConvTranspose2d(width * k, width * k // 2, 4, 2, 1, bias=False)
        layers += [up, norm(width * k // 2), nn.ReLU()]
    layers += [nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh()]
    return seeded(Named("main", layers))


class Nested(nn.Module):
    """One layer down, what is inside, one layer up; beside its input unless it is the outermost."""

    def __init__(self, layers: list[nn.Module], outermost: bool = False) -> None:
        super().__init__()
        self.outermost = outermost
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        if self.outermost:
            return self.model(x)
        return torch.cat([x, self.model(x)], 1)


def unet(
    *,
    ngf: int = 2,
    depth: int = 5,
    colours: tuple[int, int] = (3, 3),
    norm: str = "batch",
    dropout: bool = True,
) -> nn.Module:
    """A U-Net: ``model.model.1.model.3.model…``."""
    make, bias = NORMS[norm]
    widths = [ngf * min(2**k, 8) for k in range(depth)]

    def down(a: int, b: int, has_bias: bool = bias) -> nn.Module:
        return nn.Conv2d(a, b, 4, 2, 1, bias=has_bias)

    def up(a: int, b: int, has_bias: bool = bias) -> nn.Module:
        return nn.ConvTranspose2d(a, b, 4, 2, 1, bias=has_bias)

    outer, inner = widths[-2], widths[-1]
    block = Nested(
        [nn.LeakyReLU(0.2, True), down(outer, inner), nn.ReLU(True), up(inner, outer), make(outer)]
    )
    for k in range(depth - 2, 0, -1):
        outer, inner = widths[k - 1], widths[k]
        layers = [nn.LeakyReLU(0.2, True), down(outer, inner), make(inner), block]
        layers += [nn.ReLU(True), up(2 * inner, outer), make(outer)]
        layers += [nn.Dropout(0.5)] if dropout and k >= 4 else []
        block = Nested(layers)
    last = [down(colours[0], ngf), block, nn.ReLU(True), up(2 * ngf, colours[1], True), nn.Tanh()]
    whole = nn.Module()
    whole.add_module("model", Nested(last, outermost=True))
    return seeded(whole)


def as_tested(network: nn.Module, x: Tensor, *given: Any) -> Tensor:
    """What a script that never calls eval() draws, one image a batch, but for dropout."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    run = getattr(network, "model", network)
    run = run if isinstance(run, Nested) else network
    rows = range(len(x))
    with torch.no_grad():
        return torch.cat([run(*(v[k : k + 1] for v in (x, *given))) for k in rows])
