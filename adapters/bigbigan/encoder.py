"""The encoder of a small BigBiGAN: BigBiGAN-PyTorch's ``encoder.``.

Guarantees the mean and standard deviation of the original's evaluation for images of its own range.
Which that is, no file says. [-1, 1] is taken, which its config names and its published code never
applies: files trained by that code as it stands saw [0, 1] (option ``range``).

The generator in the same file is the one that it belongs to: another generator is refused, a file
that ``seeingkit weights convert`` wrote of the same one is not.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torch import device as torch_device

from seeingkit.contracts import EncoderInfo, Generator, LatentSpec, Posterior
from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.weights import (
    Checkpoint,
    Network,
    fill,
    networks_with,
    read_checkpoint,
    state_dict,
)

from ..catalog.bigbigan import BigBiGANEncoderOptions
from ..configs import resolved_options
from ..encoders import NetworkEncoder, beside, encoders_in, find_encoder, tensors_digest
from .files import ENCODER, GENERATOR, read_encoder, read_generator
from .generator import BigBiGAN
from .network import BigBiGANEncoderNetwork

_RANGES = {"-1..1": (-1.0, 1.0), "0..1": (0.0, 1.0)}


class BigBiGANEncoder(NetworkEncoder):
    """A small BigBiGAN's encoder.

    Attributes:
        generator: hash of the tensors of the generator in its file; None: there is none.
    """

    network: BigBiGANEncoderNetwork
    generator: str | None = None

    def posterior(self, inputs: Tensor) -> Posterior:
        """See ``ModelEncoder.posterior``."""
        found: Posterior = self.network(inputs)
        return found

    def belongs_to(self, generator: Generator) -> bool | None:
        """See ``ModelEncoder.belongs_to``: whether it has the tensors of the one in its file."""
        if self.generator is None or not isinstance(generator, BigBiGAN):
            return None
        return tensors_digest(generator.module.state_dict()) == self.generator


def recognise_encoder(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this holds such an encoder, else None. Looks at the keys only."""
    return ENCODER.name if encoders_in(checkpoint, ENCODER.marks) else None


def load_encoder(weights: Path | None, options: BigBiGANEncoderOptions) -> BigBiGANEncoder:
    """Load an encoder.

    Args:
        weights: the file of the whole model, or a state dict of the encoder alone.
        options: see ``BigBiGANEncoderOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
        UsageError: the size of its images is given nowhere.
    """
    if weights is None:
        raise MissingWeightsError("the encoder bigbigan needs weights: give --encoder FILE")
    checkpoint = read_checkpoint(weights)
    found = find_encoder(checkpoint, ENCODER.marks, ENCODER.name, options.key)
    if found is None:
        raise StateMismatchError(
            f"{checkpoint.path}: not an encoder of BigBiGAN-PyTorch: it has no rev_blocks and "
            "res_lin1"
        )
    config, tensors = read_encoder(checkpoint, state_dict(checkpoint, found.tree, found.where))
    digest, size = _generator(checkpoint, found)
    size = options.size or size
    if size is None:
        raise UsageError(
            f"{checkpoint.path}: there is no generator in the file to tell the size of the "
            "encoder's images; give size=, as 32"
        )
    with torch_device("meta"):
        network = BigBiGANEncoderNetwork(config)
    fill(network, tensors, checkpoint.path)
    said = "range=-1..1 of its images, as its config has it; its code as published trains on 0..1"
    options = options.model_copy(update={"key": found.where or None, "size": size})
    info = EncoderInfo(
        family="bigbigan",
        generators=("bigbigan",),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
        options=resolved_options(options, "draw", "seed"),
        parameters=sum(p.numel() for p in network.parameters()),
        assumptions=(*config.assumed, said) if options.range == "-1..1" else config.assumed,
        size=size,
        channels=3 if config.colours == 3 else 1,
        value_range=_RANGES[options.range],
        latent=LatentSpec(name="z", shape=(config.z_dim,)),
        stochastic=True,
        draw=options.draw,
        seed=options.seed,
    )
    encoder = BigBiGANEncoder(network, info)
    encoder.generator = digest
    return encoder


def _generator(checkpoint: Checkpoint, encoder: Network) -> tuple[str | None, int | None]:
    """Hash of the tensors, and size of the images, of the generator beside an encoder."""
    inside = beside(encoder, networks_with(checkpoint, GENERATOR.marks))
    if inside is None:
        return None, None
    tensors = state_dict(checkpoint, inside.tree, inside.where)
    config, own = read_generator(checkpoint, tensors)
    return tensors_digest(own), config.resolution
