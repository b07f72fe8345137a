"""Residual generators from files of mimicry, StudioGAN and WGAN-GP, and our own safetensors.

Guarantees that every key and shape of a file was accounted for before its first image, that
spectral norm is folded into the weights once, and that a row's image depends on its z and class.

Latents: ``z`` (N, D), and where the network has classes one of ``label`` (N,) and ``c``
(N, classes), soft classes that mix rows of the tables.

Boundaries: ``input``, ``r4.linear``, then each block as ``r8.b0``, ``r16.b0``, ``r16.attention``, …
by the size of its output, ``output.norm``, ``image``. ``rN`` is the last block at N pixels; the
file's own module paths (``block2``, ``blocks.1.0``, ``rb1``) are aliases. Carried: the class, then
the condition ``y`` of all blocks, or ``y0``, ``y1``, … where each block has its own.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import MissingWeightsError
from seeingkit.models.staged import Carry, StagedAdapter, StageFunction
from seeingkit.weights import (
    Checkpoint,
    Near,
    fill,
    nearest,
    networks_with,
    portable_family,
    read_checkpoint,
)

from ..attention import Attention
from ..catalog.resnet_gan import ResNetGANOptions
from ..class_names import class_names
from ..configs import resolved_options
from ..labels import checked_class
from ..spectral import divide
from .config import ResNetGANConfig
from .files import FAMILY, LAYOUTS, read
from .network import ResNetGANNetwork

_HEADS = {
    "mimicry": ("l1", "b{last}"),
    "StudioGAN": ("linear0", "bn4"),
    "WGAN-GP ResNet": ("ln1", "bn"),
}
"""Of each layout the modules of the first map and of the last norm, as aliases."""


class ResNetGAN(StagedAdapter):
    """A residual generator that can be entered and left at every block.

    Args:
        network: filled.
        options: resolved.
        weights_sha256: hash of the file.
        licence: of the weights.
    """

    module: ResNetGANNetwork

    def __init__(
        self,
        network: ResNetGANNetwork,
        options: ResNetGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        config = network.config
        settled = {
            "activation": config.activation,
            "final": config.final,
            "eps": config.epsilon,
            "upsampling": config.upsampling,
        }
        info = GeneratorInfo(
            family=FAMILY,
            resolution=config.resolution,
            channels=config.colours,
            latent=(LatentSpec(name="z", shape=(config.z_dim,)),),
            class_names=class_names(config.classes, options.classes),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved_options(options.model_copy(update=settled), "classes"),
            parameters=sum(p.numel() for p in network.parameters()),
            assumptions=config.assumed,
        )
        super().__init__(network, info, _boundaries(config), _stages(network))
        self.config = config.model_dump(mode="json")

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z (N, D), and the class is carried as ``class``.

        Raises:
            UsageError: z or the class is missing, of another shape or type, or out of range.
        """
        state = super().begin({key: value for key, value in latent.items() if key == "z"})
        classes = self.module.config.classes
        if not classes:
            return state
        given = checked_class(FAMILY, classes, latent, len(state.x))
        return state.with_carry(**{"class": given.to(state.x.device)})


# ------------------------------------------------------------------------------ stages, boundaries


def _first(network: ResNetGANNetwork, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    x, conditions = network.conditions(z, carry.get("class"))
    return network.first_map(x), conditions


def _residual(block: nn.Module, key: str, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    x = block(x, carry.get(key))
    return x, {k: v for k, v in carry.items() if k != key or key == "y"}


def _alone(block: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return block(x), carry


def _image(network: ResNetGANNetwork, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return network.image(x), {}


def _stages(network: ResNetGANNetwork) -> list[StageFunction]:
    stages: list[StageFunction] = [partial(_first, network)]
    residual = 0
    for block in network.blocks:
        if isinstance(block, Attention):
            stages.append(partial(_alone, block))
            continue
        key = f"y{residual}" if network.config.condition == "chunks" else "y"
        stages.append(partial(_residual, block, key))
        residual += 1
    return [*stages, partial(_alone, network.output_norm), partial(_image, network)]


def _boundaries(config: ResNetGANConfig) -> list[Boundary]:
    """The cuts; the last map of each size gets the alias ``rN``."""
    first, last_norm = _HEADS[config.layout]
    number = 2 + config.residual_blocks
    size, channels = config.bottom, config.blocks[0].channels_in
    maps = [(f"r{size}.linear", channels, size, first)]
    numbers: Counter[str] = Counter()
    for block in config.blocks:
        size <<= block.upsample
        attends = block.kind == "attention"
        stem = f"r{size}.{'attention' if attends else 'b'}"
        name = stem if attends and not numbers[stem] else f"{stem}{numbers[stem]}"
        numbers[stem] += 1
        maps.append((name, block.channels_out, size, block.native))
    last = {r: name for name, _, r, _ in maps}
    maps.append(("output.norm", maps[-1][1], size, last_norm.format(last=number)))
    cuts = [Boundary("input", 0, (config.z_dim,), "latent", aliases=("z",))]
    for index, (name, channels, r, native) in enumerate(maps, start=1):
        aliases = (native, *((f"r{r}",) if last[r] == name else ()))
        cuts.append(Boundary(name, index, (channels, r, r), "feature", (r, r), aliases))
    cuts.append(Boundary("image", len(cuts), (3, size, size), "image", (size, size)))
    return cuts


# ----------------------------------------------------------------------------------------- loading


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this is a residual generator, else None. Looks at the keys only."""
    written_for = portable_family(checkpoint)
    if written_for is not None:
        return "seeingkit safetensors" if written_for == FAMILY else None
    return next((one.name for one in LAYOUTS if networks_with(checkpoint, one.marks)), None)


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, LAYOUTS)


def load(weights: Path | None, options: ResNetGANOptions) -> ResNetGAN:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above, or of ours.
        options: see ``ResNetGANOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
        UsageError: an option that does not fit this file, or one that it needs.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights)
    found, where = read(checkpoint, options)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        network = ResNetGANNetwork(found.config)
    fill(network, found.tensors, checkpoint.path)
    divide(network, found.divisors, checkpoint.path)
    return ResNetGAN(
        network,
        options.model_copy(update={"key": where or None}),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )
