"""ALI's encoder: netE of 9310gaurav/ali-pytorch.

Guarantees the mean and standard deviation of the original's evaluation for images in [0, 1] of 32
pixels. An encoder without noise (``Encoder(latent_size)``) gives a value: its file says so only
together with the length of z, which is the generator's.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torch import device as torch_device

from seeingkit.contracts import EncoderInfo, LatentSpec, Posterior
from seeingkit.errors import MissingWeightsError, StateMismatchError
from seeingkit.weights import Checkpoint, fill, read_checkpoint, state_dict

from ..catalog.ali import ALIEncoderOptions
from ..configs import resolved_options
from ..encoders import NetworkEncoder, encoders_in, find_encoder
from .files import ENCODER, read_encoder
from .network import SIZE, ALIEncoderNetwork


class ALIEncoder(NetworkEncoder):
    """ALI's encoder."""

    network: ALIEncoderNetwork

    def posterior(self, inputs: Tensor) -> Posterior:
        """See ``ModelEncoder.posterior``: images in [0, 1]."""
        found: Posterior = self.network(inputs)
        return found


def recognise_encoder(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this holds an ALI encoder, else None. Looks at the keys only."""
    return ENCODER.name if encoders_in(checkpoint, ENCODER.marks) else None


def load_encoder(weights: Path | None, options: ALIEncoderOptions) -> ALIEncoder:
    """Load an encoder.

    Args:
        weights: a state dict of torch or safetensors, in whatever wrappers.
        options: see ``ALIEncoderOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
    """
    if weights is None:
        raise MissingWeightsError("the encoder ali needs weights: give --encoder FILE")
    checkpoint = read_checkpoint(weights)
    found = find_encoder(checkpoint, ENCODER.marks, ENCODER.name, options.key)
    if found is None:
        raise StateMismatchError(
            f"{checkpoint.path}: not an ALI encoder: it has no main1, main2, main3 and main4"
        )
    tensors = state_dict(checkpoint, found.tree, found.where)
    config, own = read_encoder(checkpoint, tensors, options)
    with torch_device("meta"):
        network = ALIEncoderNetwork(config)
    fill(network, own, checkpoint.path)
    options = options.model_copy(update={"key": found.where or None, "latent": config.latent})
    info = EncoderInfo(
        family="ali",
        generators=("ali",),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
        options=resolved_options(options, "draw", "seed"),
        parameters=sum(p.numel() for p in network.parameters()),
        assumptions=config.assumed,
        size=SIZE,
        channels=config.colours,
        value_range=(0.0, 1.0),
        latent=LatentSpec(name="z", shape=(config.latent,)),
        stochastic=config.stochastic,
        draw=options.draw,
        seed=options.seed,
    )
    return ALIEncoder(network, info)
