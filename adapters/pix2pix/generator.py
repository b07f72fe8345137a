"""pix2pix generators of junyanz/pytorch-CycleGAN-and-pix2pix, and its ``netG`` unet anywhere.

Guarantees the pictures of upstream's test script but for its noise: it never calls eval(), so norms
use the image's own statistics (``statistics=stored`` for those of the file) and dropout stays on.
Here dropout is off, or drawn from each image's seed (``dropout=drawn``): then an image depends on
its own seed and not on the others of a batch.

Source: github.com/junyanz/pytorch-CycleGAN-and-pix2pix ``models/networks.py``; Isola et al. 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seeingkit.errors import MissingWeightsError, StateMismatchError
from seeingkit.models.recognition import weights_file
from seeingkit.weights import (
    Checkpoint,
    Near,
    choose_network,
    fill,
    nearest,
    portable_config,
    portable_family,
    read_checkpoint,
    state_dict,
)

from ..catalog.translation import Pix2PixOptions
from ..translation.adapter import Translator, check_told, said
from .files import KIND, LAYOUT, candidates, read
from .network import UNet, UNetConfig, unet_boundaries, unet_stages

FAMILY = "pix2pix"


class Pix2Pix(Translator):
    """A U-Net that can be entered and left at every layer.

    What came down is carried, and belongs to r: below a cut it is inverted along with x.
    """

    def __init__(
        self, network: UNet, options: Pix2PixOptions, native: dict[str, str], **about: Any
    ):
        config = network.config
        smallest = 2**config.depth
        super().__init__(
            FAMILY,
            network,
            config,
            options,
            unet_boundaries(config, options.resolution, native),
            unet_stages(network),
            colours=(config.colours_in, config.colours_out),
            multiple=smallest,
            least=smallest,
            assumed=said(options, tracked=config.tracked, drops=config.drops),
            **about,
        )
        self.inverted_with = tuple(f"skip{k}" for k in range(config.depth - 1))


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this is a pix2pix U-Net, else None. Looks at the keys only."""
    written_for = portable_family(checkpoint)
    if written_for is not None:
        return "seeingkit safetensors" if written_for == FAMILY else None
    return "U-Net of pytorch-CycleGAN-and-pix2pix" if candidates(checkpoint) else None


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, [LAYOUT])


def load(weights: Path | None, options: Pix2PixOptions) -> Pix2Pix:
    """Load a generator.

    Args:
        weights: ``latest_net_G.pth`` or another file of one such network, or of ours.
        options: see ``Pix2PixOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or holds another network (says why).
        UsageError: an option that does not fit the file.
        SourceError: no usable images at ``options.source``.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights_file(weights))
    stored = portable_config(checkpoint, FAMILY)
    layers: dict[int, str] = {}
    if stored is not None:
        config = UNetConfig.validated(checkpoint.path, stored)
        tensors = state_dict(checkpoint, checkpoint.content)
    else:
        found = candidates(checkpoint)
        if not found:
            raise StateMismatchError(f"{checkpoint.path}: not a {KIND}: its keys are others")
        network = choose_network(checkpoint.path, found, KIND, options.key)
        tree = state_dict(checkpoint, network.tree, network.where)
        config, tensors, layers = read(checkpoint.path, tree)
        options = options.model_copy(update={"key": network.where or None})
    check_told(checkpoint.path, options, tracked=config.tracked, drops=config.drops)
    least = options.resolution >> config.depth
    native = {f"r{least << k + 1}.dec": name for k, name in layers.items() if k < config.depth - 1}
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = UNet(config, options.statistics)
    fill(module, tensors, checkpoint.path)
    return Pix2Pix(
        module,
        options,
        native,
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )
