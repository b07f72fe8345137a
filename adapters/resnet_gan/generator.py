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

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

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

from ..catalog.resnet_gan import ResNetGANOptions
from ..class_names import class_names
from ..configs import resolved_options
from ..labels import checked_class
from ..residual_blocks import alone, block_maps, block_stages, map_boundaries
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


def _image(network: ResNetGANNetwork, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return network.image(x), {}


def _stages(network: ResNetGANNetwork) -> list[StageFunction]:
    chunks = network.config.condition == "chunks"
    return [
        partial(_first, network),
        *block_stages(network.blocks, chunks=chunks),
        partial(alone, network.output_norm),
        partial(_image, network),
    ]


def _boundaries(config: ResNetGANConfig) -> list[Boundary]:
    """The cuts; the last map of each size gets the alias ``rN``."""
    first, norm = _HEADS[config.layout]
    norm = norm.format(last=2 + config.residual_blocks)
    return map_boundaries(config.z_dim, block_maps(config.bottom, config.blocks, first), norm)


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
