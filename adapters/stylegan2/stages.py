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

from .network import StyleGAN2Network
from .noise import Noise, per_sample, rewriting

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
        """One function from each boundary to the next."""
        stages: list[StageFunction] = [self._map, self._start]
        for place, _ in enumerate(self.module.config.resolutions[1:], start=1):
            stages += [partial(self._first, place), partial(self._second, place)]
        return [*stages, self._image]

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

    def _start(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """ws to ``r4.conv1``."""
        noise, rest = self._noise("r4.conv1", x, carry)
        return self.module.synthesis.block(4).start(x[:, 0], noise), {**rest, "ws": x}

    def _first(self, place: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """``conv1`` of one resolution to ``conv0`` of the next, and the ToRGB in between."""
        block = self.module.synthesis.block(4 << place)
        w = carry["ws"][:, 2 * place - 1]
        noise, rest = self._noise(f"r{4 << place}.conv0", x, carry)
        rgb = self.module.synthesis.block(2 << place).draw(x, w, carry.get("rgb"))
        shortcut = block.shortcut(x)
        live = {"rgb": rgb, "shortcut": shortcut}
        found = {name: value for name, value in live.items() if value is not None}
        return block.first(x, w, noise), {**rest, **found}

    def _second(self, place: int, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """``conv0`` to ``conv1`` of one resolution."""
        block = self.module.synthesis.block(4 << place)
        noise, rest = self._noise(f"r{4 << place}.conv1", x, carry)
        x = block.second(x, carry["ws"][:, 2 * place], noise, carry.get("shortcut"))
        return x, _without(rest, "shortcut")

    def _image(self, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """The last layer to the image; grey becomes three equal channels."""
        config = self.module.config
        block = self.module.synthesis.block(config.resolution)
        image = block.draw(x, carry["ws"][:, -1], carry.get("rgb"))
        assert image is not None
        kept = _without(carry, "rgb", "noise_seed")
        return image.repeat(1, 3, 1, 1) if config.img_channels == 1 else image, kept

    def _noise(self, name: str, x: Tensor, carry: Carry) -> tuple[Tensor | None, Carry]:
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
                return rewriting(layer.resolution).to(x.device), carry
        return None, carry


def _without(carry: Carry, *names: str) -> Mapping[str, Tensor]:
    return {name: value for name, value in carry.items() if name not in names}
