"""Generators of a few dozen numbers whose best inversion can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakValueDictionary

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seeingkit.analyses.inversion import methods
from seeingkit.analyses.inversion.catalog import InverterOptions
from seeingkit.analyses.inversion.encoders.recipes import Recipe
from seeingkit.analyses.inversion.methods import LayerInverter
from seeingkit.analyses.inversion.presets import InversionPreset
from seeingkit.analyses.inversion.rows import Schedule
from seeingkit.contracts import Boundary, Features, FeaturesInfo, GeneratorInfo, LatentSpec
from seeingkit.models.staged import Carry, StagedAdapter
from seeingkit_adapters.catalog.progan import ProGANOptions
from seeingkit_adapters.progan.generator import ProGAN
from seeingkit_adapters.progan.network import network

SIDE, BLOCK = 2, 3
SIZE = SIDE * BLOCK
NUMBERS = 3 * SIDE * SIDE

RECIPE = Recipe(
    "toy", layer_steps=30, image_steps=40, tune_steps=40, batch=16, width=8, most=16, blocks=1
)

EXACT = InversionPreset(
    latent=Schedule(steps=500, rate=0.2, cosine=True),
    residual=Schedule(steps=500, rate=0.2, cosine=True),
    residuals="before",
    residual_weight=0.0,
    scaled=False,
    recipe=RECIPE,
)
"""Falls to a rate of zero, so that a kink of the L1 loss is hit to about 1e-5."""


def inverter(method: str, preset: InversionPreset = EXACT, **options: object) -> LayerInverter:
    """A method with a preset of the test's own; pixels only and no encoder unless told."""
    guess, _, target = method.partition("+")
    start = {"z": "random", "encoder": "direct", "layered": "layered"}[guess]
    aim = "z" if method == "z" else target or "none"
    given = {"perceptual": "none", "encoder": "none", **options}
    chosen = InverterOptions.model_validate(given)
    return LayerInverter(method, start, aim, chosen, preset)  # type: ignore[arg-type]


def changed(preset: InversionPreset, **values: object) -> InversionPreset:
    """The preset with other values."""
    return replace(preset, **values)  # type: ignore[arg-type]


def blocks(x: Tensor) -> Tensor:
    """(N, C, 2, 2) to (N, C, 6, 6): every number fills a 3x3 block."""
    return x.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)


def medians(images: Tensor) -> Tensor:
    """(N, 3, 6, 6) to (N, 3, 2, 2): the number that is nearest to each block in the L1 sense."""
    tiles = images.unflatten(3, (SIDE, BLOCK)).unflatten(2, (SIDE, BLOCK))
    return tiles.transpose(3, 4).flatten(4).median(dim=4).values


def orthogonal(n: int, seed: int = 0) -> Tensor:
    """An orthogonal matrix (n, n)."""
    draw = np.random.RandomState(seed).standard_normal((n, n))
    return torch.from_numpy(np.linalg.qr(draw)[0].astype(np.float32))


class _Blocks(nn.Module):
    """a = M z, M orthogonal; b = 2 a; image = the 3x3 blocks of b."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(orthogonal(NUMBERS) * 0.2)
        self.two = nn.Parameter(torch.tensor(2.0))

    def first(self, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        # One product and sum for each number: no matrix kernel that depends on the batch.
        a = (z[:, None, :] * self.matrix).sum(2)
        return a.reshape(len(z), 3, SIDE, SIDE), carry

    def second(self, a: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        return self.two * a, carry

    def paint(self, b: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        return blocks(b), carry


def _boundaries(*between: Boundary, latent: int = NUMBERS) -> tuple[Boundary, ...]:
    return (
        Boundary("input", 0, (latent,), "latent", aliases=("z",)),
        *between,
        Boundary("image", len(between) + 1, (3, SIZE, SIZE), "image", (SIZE, SIZE)),
    )


def _map(name: str, index: int, channels: int = 3, *aliases: str) -> Boundary:
    return Boundary(name, index, (channels, SIDE, SIDE), "feature", (SIDE, SIDE), aliases)


def _info(family: str, latent: int = NUMBERS, **more: object) -> GeneratorInfo:
    return GeneratorInfo(
        family=family,
        resolution=SIZE,
        latent=(LatentSpec(shape=(latent,)),),
        **more,  # type: ignore[arg-type]
    )


def linear_generator(**info: object) -> StagedAdapter:
    """input → a → b → image, see ``_Blocks``; the default cut is b."""
    module = _Blocks()
    cuts = _boundaries(_map("a", 1), _map("b", 2, 3, "layer2"))
    stages = [module.first, module.second, module.paint]
    return StagedAdapter(module, _info("blocks", **info), cuts, stages)


class _Styled(nn.Module):
    """r = 2x2 greys, the first four numbers of z; carry: style, the other three, one per colour."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.tensor(1.0))

    def first(self, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        number = torch.zeros(len(z), dtype=torch.int64)
        grey = self.one * z[:, :4].reshape(-1, 1, SIDE, SIDE)
        return grey, {"style": z[:, 4:7], "number": number}

    def paint(self, grey: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        return blocks(grey) + carry["style"][:, :, None, None], {}


def styled_generator() -> StagedAdapter:
    """input → r → image; the colour of an image is in the carry alone."""
    module = _Styled()
    cuts = _boundaries(_map("r", 1, 1), latent=7)
    return StagedAdapter(module, _info("styled", 7), cuts, [module.first, module.paint])


class _Conditional(_Blocks):
    """As ``_Blocks``, with the label added to every pixel through a carried shift."""

    def first(self, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        a, _ = super().first(z, {})
        return a, {"shift": carry["label"].to(z)}

    def paint(self, b: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        return blocks(b) + carry["shift"][:, None, None, None], {}


def conditional_generator() -> StagedAdapter:
    """input → a → b → image of class "no" (+ 0) or "yes" (+ 1)."""
    module = _Conditional()
    cuts = _boundaries(_map("a", 1), _map("b", 2))
    info = _info("conditional", class_names=("no", "yes"))
    return StagedAdapter(module, info, cuts, [module.first, module.second, module.paint])


class _Fragile(_Blocks):
    """As ``_Blocks``, but NaN for every z whose first number is above a limit."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def first(self, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        a, carry = super().first(z, carry)
        return a.masked_fill((z[:, :1, None, None] > self.limit), torch.nan), carry


def fragile_generator(limit: float = 5.0) -> StagedAdapter:
    """input → a → b → image; NaN where z[0] > limit."""
    module = _Fragile(limit)
    cuts = _boundaries(_map("a", 1), _map("b", 2))
    stages = [module.first, module.second, module.paint]
    return StagedAdapter(module, _info("fragile"), cuts, stages)


def tiny_progan(seed: int = 0, **options: object) -> ProGAN:
    """An untrained ProGAN of 16 pixels; its default cut is r4.conv1, the last map of 4x4."""
    sizes = (8, 8, 8, 4)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        module = network(sizes)
        for name, tensor in module.named_parameters():
            if name.endswith("wscale.b"):
                nn.init.normal_(tensor, std=0.2)
    chosen = ProGANOptions.model_validate({"variant": "progan", **options})
    return ProGAN(module, sizes, chosen, weights_sha256=f"{seed:064x}")


def exchange_features(monkeypatch: pytest.MonkeyPatch, features: Features) -> None:
    """Make these the perceptual features, also where others are still held by an earlier test."""
    monkeypatch.setattr(methods, "_SHARED", WeakValueDictionary())
    monkeypatch.setattr(methods, "load_features", lambda *_, **__: features)


class Mirror(Features):
    """Perceptual features of an image: the image itself, and three times its red channel."""

    def __init__(self) -> None:
        self.name = "mirror"
        self.info = FeaturesInfo(family="mirror", layer="glass")

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        return images, 3 * images[:, :1]


def noise(n: int, seed: int = 0, size: int = SIZE) -> Tensor:
    """(n, 3, size, size) uniform in [-0.9, 0.9]."""
    draw = np.random.RandomState(seed).uniform(-0.9, 0.9, (n, 3, size, size))
    return torch.from_numpy(draw.astype(np.float32))


def tensors_of(generator: StagedAdapter) -> Mapping[str, Tensor]:
    """Copies of every tensor of the network."""
    return {name: t.clone() for name, t in generator.module.state_dict().items()}
