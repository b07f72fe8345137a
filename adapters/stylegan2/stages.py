"""The stages of a StyleGAN2 generator: from z to w, through every convolution, to the image.

Guarantees that each stage is a pure function of x and of what is carried, and that walking them one
by one equals ``StyleGAN2Network.forward``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from seeingkit.contracts import sequence_latents
from seeingkit.models.staged import Carry, StageFunction

from .config import ORDER
from .layers import NoiseMap
from .network import StyleGAN2Network
from .noise import Noise, per_sample, rewriting_like

NOISE_ENTRY = "noise_"
"""Prefix of a layer's name in a latent and in the carried tensors."""

AVERAGED = 4096
"""Latents whose mean w stands for an average that a file does not hold."""


@torch.no_grad()
def estimate_average(module: StyleGAN2Network) -> None:
    """Give a network without an average w the mean w of ``AVERAGED`` latents of seed 0.

    Classes of a conditional network take turns. The mean is no part of the network's saved state.
    """
    config, device = module.config, module.synthesis.block(4).const.device
    z = torch.from_numpy(sequence_latents(range(AVERAGED), config.z_dim, 0).copy()).to(device)
    c = None
    if config.c_dim:
        turns = torch.arange(AVERAGED, device=device) % config.c_dim
        c = torch.nn.functional.one_hot(turns, config.c_dim).float()
    average = module.mapping(z, c).mean(dim=0)
    module.mapping.register_buffer("w_avg", average, persistent=False)


class Stages:
    """The stage functions of one network under one set of options.

    Args:
        module: the network.
        noise: policy of the layers for which a state carries no map.
        truncation: psi; 1 = none.
        cutoff: number of vectors w that are truncated; None = all.
    """

    def __init__(
        self, module: StyleGAN2Network, noise: Noise, truncation: float, cutoff: int | None
    ) -> None:
        self.module = module
        self.policy = noise
        self.psi = truncation
        count = module.config.num_ws
        self.truncated = 0 if truncation == 1.0 else count if cutoff is None else min(cutoff, count)

    def in_order(self) -> list[StageFunction]:
        """One function from each boundary to the next, styles among them (``config.styles``)."""
        config = self.module.config
        steps: list[StageFunction] = [self._map, _flat]
        arrive: StageFunction | None = None  # finishes a ToRGB, behind which no boundary stands
        for name in config.styles:
            place, last = config.resolutions.index(config.side(name)), name.partition(".")[2]
            style = partial(self._style, name, 2 * place + ORDER.index(last) - 1)
            steps.append(style if arrive is None else partial(_both, arrive, style))
            arrive = None
            if last == "torgb":
                arrive = partial(self._draw, place)
            else:
                steps.append(partial(self._first if last == "conv0" else self._second, place))
        assert arrive is not None
        return [*steps, partial(_both, arrive, self._image)]

    def _map(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """z to ws, truncated: w_avg + psi (w - w_avg) (CVPR 2019, appendix B)."""
        if "ws" in carry:
            return carry["ws"], _without(carry, "ws", "c")
        w = self.module.mapping(x, carry.get("c"))
        count = self.module.config.num_ws
        near = w
        if self.truncated:
            average = self.module.mapping.w_avg
            assert average is not None
            near = average + self.psi * (w - average)
        ws = torch.stack([near] * self.truncated + [w] * (count - self.truncated), dim=1)
        return ws, _without(carry, "c")

    def _style(self, name: str, number: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """The style of a layer, from its vector w; its map is carried."""
        if number == 0:  # x is all vectors of w, behind each other
            ws = x.unflatten(1, (self.module.config.num_ws, -1))
            carry = {**carry, "ws": ws}
        else:
            ws, carry = carry["ws"], {**carry, "map": x}
        return self.module.synthesis.styled(name).affine(ws[:, number]), carry

    def _first(self, place: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """The style of ``conv0`` of one resolution to its output."""
        block = self.module.synthesis.block(4 << place)
        noise, rest = self._noise(f"r{4 << place}.conv0", carry)
        below, rest = rest["map"], _without(rest, "map")
        shortcut = block.shortcut(below)
        if shortcut is not None:
            rest = {**rest, "shortcut": shortcut}
        return block.first(below, x, noise), rest

    def _second(self, place: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """The style of ``conv1`` of one resolution to its output."""
        block = self.module.synthesis.block(4 << place)
        noise, rest = self._noise(f"r{4 << place}.conv1", carry)
        if place == 0:
            return block.start(x, noise), rest
        y = block.second(rest["map"], x, noise, rest.get("shortcut"))
        return y, _without(rest, "map", "shortcut")

    def _draw(self, place: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """The style of a ToRGB to the layer's own map, with the image so far."""
        block = self.module.synthesis.block(4 << place)
        rgb = block.draw(carry["map"], x, carry.get("rgb"))
        return carry["map"], {**_without(carry, "map"), "rgb": rgb}

    def _image(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """The sum of all ToRGB as the image; grey becomes three equal channels."""
        image, kept = carry["rgb"], _without(carry, "rgb", "noise_seed")
        grey = self.module.config.img_channels == 1
        return image.repeat(1, 3, 1, 1) if grey else image, kept

    def _noise(self, name: str, carry: Carry) -> tuple[NoiseMap, Carry]:
        """The map of a layer, and the carried tensors without it."""
        entry = NOISE_ENTRY + name
        if entry in carry:
            return carry[entry], _without(carry, entry)
        layer = self.module.synthesis.layer(name)
        match self.policy:
            case "const":
                return layer.noise_const[None, None], carry
            case "per-sample":
                number = self.module.config.layers.index(name)
                return per_sample(carry["noise_seed"], number, layer.resolution), carry
            case "rewriting":
                return rewriting_like, carry
        return None, carry


def _flat(x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    """ws (N, num_ws, w_dim), one vector behind the other."""
    return x.flatten(1), carry


def _both(
    first: StageFunction, second: StageFunction, x: Tensor, carry: Carry
) -> tuple[Tensor, Carry]:
    return second(*first(x, carry))


def _without(carry: Carry, *names: str) -> Mapping[str, Tensor]:
    return {name: value for name, value in carry.items() if name not in names}
