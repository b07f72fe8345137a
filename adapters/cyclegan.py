"""CycleGAN generators of junyanz/pytorch-CycleGAN-and-pix2pix, and its ``netG`` resnet anywhere.

Guarantees the pictures of upstream's test script: it never calls eval(), so norms use the image's
own statistics, also those that have running ones in the file (``statistics=stored`` for these).
Running statistics of instance norms without scale, which files from before torch 0.4 hold, are
ignored, as upstream does on loading.

The number of blocks, their dropout and padding by zeros follow from the numbers of the keys; the
kind of norm from its tensors and the biases. Reflected and repeated padding leave the same file.

Source: github.com/junyanz/pytorch-CycleGAN-and-pix2pix ``models/networks.py``; Zhu et al. 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.models.recognition import weights_file
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Near,
    fill,
    nearest,
    portable_config,
    portable_family,
    read_checkpoint,
    state_dict,
)

from .catalog.translation import CycleGANEncoderOptions, CycleGANOptions
from .configs import check_colours
from .translation.adapter import Translator, check_told, said
from .translation.encoder import TranslationEncoder, other_generator
from .translation.numbered import (
    Names,
    Numbered,
    candidates,
    read_numbered,
    renamed,
    shapes,
)
from .translation.residual import (
    Padding,
    ResidualConfig,
    ResidualNetwork,
    residual_boundaries,
    residual_stages,
)

FAMILY = "cyclegan"
NAMES = Names("model", "conv_block", 1, "CycleGAN generator")
LAYOUT = Layout(
    "a CycleGAN generator", (*NAMES.marks, "model.10.conv_block.1.weight"), NAMES.pattern
)

_INSIDE: dict[tuple[int, ...], tuple[Padding, bool]] = {
    (1, 5): ("reflect", False),
    (1, 6): ("reflect", True),
    (0, 3): ("zeros", False),
    (0, 4): ("zeros", True),
}
"""Padding and dropout by the numbers of a block's convolutions, as both are layers too."""


class CycleGANConfig(ResidualConfig):
    """The config of a CycleGAN generator."""

    KIND: ClassVar[str] = "a CycleGAN generator"


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this is a CycleGAN generator, else None. Looks at the keys only."""
    written_for = portable_family(checkpoint)
    if written_for is not None:
        return "seeingkit safetensors" if written_for == FAMILY else None
    return (
        "resnet generator of pytorch-CycleGAN-and-pix2pix"
        if candidates(checkpoint, NAMES)
        else None
    )


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, [LAYOUT])


def load(weights: Path | None, options: CycleGANOptions) -> Translator:
    """Load a generator.

    Args:
        weights: ``latest_net_G.pth`` or another file of one such network, or of ours.
        options: see ``CycleGANOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or holds another network (says why).
        UsageError: an option that does not fit the file.
        SourceError: no usable images at ``options.source``.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights_file(weights))
    stored = portable_config(checkpoint, FAMILY)
    native: dict[str, str] = {}
    own = None
    if stored is not None:
        config = CycleGANConfig.validated(checkpoint.path, stored)
        tensors = state_dict(checkpoint, checkpoint.content)
    else:
        modules, where = read_numbered(checkpoint, NAMES, options.key)
        config, inside = _config(modules)
        tensors, native = renamed(modules, inside, keep_statistics=config.tracked)
        options = options.model_copy(update={"key": where or None})
        own = other_generator(checkpoint.path, where, candidates(checkpoint, NAMES), FAMILY)
    config = _told(checkpoint.path, config, options)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = ResidualNetwork(config, options.statistics)
    fill(module, tensors, checkpoint.path)
    smallest = 2 ** (len(config.down) - 1)
    found = Translator(
        FAMILY,
        module,
        config,
        options,
        residual_boundaries(config, options.resolution, native),
        residual_stages(module),
        colours=(config.colours_in, config.colours_out),
        multiple=smallest,
        least=2 * smallest,
        assumed=said(options, tracked=config.tracked, drops=config.dropout),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )
    found.own_encoder = own
    return found


def load_encoder(weights: Path | None, options: CycleGANEncoderOptions) -> TranslationEncoder:
    """Load the generator of the other direction as an encoder.

    Args:
        weights: as of ``load``.
        options: see ``CycleGANEncoderOptions``.

    Raises:
        WeightsError, UsageError: as ``load``.
    """
    shared = options.model_dump(include={"statistics", "padding", "key"})
    back = load(weights, CycleGANOptions(**shared, resolution=options.size))
    chosen = options.model_copy(update={"key": back.info.options.get("key")})
    return TranslationEncoder(back, chosen)


def _config(found: Numbered) -> tuple[CycleGANConfig, tuple[int, ...]]:
    """The config that the tensors say, and the numbers of a block's convolutions."""
    values = shapes(found)
    insides = {
        tuple(k for k, leaves in block.items() if getattr(leaves.get("weight"), "ndim", 0) == 4)
        for block in found.blocks.values()
    }
    inside = insides.pop() if len(insides) == 1 else ()
    if inside not in _INSIDE:
        raise found.refuse("its blocks have convolutions of other numbers than 1 and 5 or 6")
    padding, dropout = _INSIDE[inside]
    kind, tracked, ignored = found.norms()
    assumed = []
    if padding == "reflect":
        assumed.append("padding=reflect in the residual blocks")
    if ignored:
        assumed.append("running statistics of instance norms in the file count for nothing")
    colours = found.modules[NAMES.first]["weight"].shape[1]
    check_colours(found.path, colours)
    config = CycleGANConfig(
        **values,
        colours_in=colours,
        norm=kind,
        tracked=tracked,
        padding=padding,
        edges="reflect",
        dropout=dropout,
        assumed=tuple(assumed),
    )
    return config, inside


def _told(path: Path, config: CycleGANConfig, options: CycleGANOptions) -> CycleGANConfig:
    """The config with what the options say.

    Raises:
        UsageError: they do not fit the network.
    """
    check_told(path, options, tracked=config.tracked, drops=config.dropout)
    if options.padding is None:
        return config
    if config.padding == "zeros":
        raise UsageError(f"{path}: padding={options.padding}, but the keys say zeros")
    assumed = config.unless_told(padding=options.padding)
    return config.model_copy(update={"padding": options.padding, "assumed": assumed})
