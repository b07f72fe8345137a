"""ALI's generator: netG of 9310gaurav/ali-pytorch, and our own safetensors.

Guarantees that every key of a file has its place before the first image. The learned bias of the
image (``output_bias``, one number for each pixel and colour) is added before the sigmoid, so the
network is no plain stack. z is drawn from N(0, 1), as in its training.

Boundaries: ``input``; for each layer its transposed convolution (``r4.conv0``, alias ``main.0``)
and what follows it (``r4.act0``, aliases ``main.2`` and ``r4``: the last at 4x4); ``image``. The
maps are 4, 10, 13, 28, 32, 32 and 32 pixels wide.

The encoder that was trained with it is another file. Under the very name that the training gives
it (``netE_epoch_90.pth`` beside ``netG_epoch_90.pth``), or as another network of the same file, it
is found without being named.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path

from torch import Tensor
from torch import device as torch_device

from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec, OwnEncoder
from seeingkit.errors import MissingWeightsError, StateMismatchError
from seeingkit.models.staged import Carry, StagedAdapter, StageFunction
from seeingkit.weights import (
    Checkpoint,
    Near,
    Network,
    fill,
    find_network,
    nearest,
    networks_with,
    portable_config,
    read_checkpoint,
    state_dict,
)

from ..catalog.ali import ALIOptions
from ..configs import resolved_options
from ..encoders import beside, encoders_in
from .files import ENCODER, GENERATOR, read_generator
from .network import SIZE, ALIConfig, ALILayer, ALINetwork, sizes


class ALI(StagedAdapter):
    """ALI's generator.

    Args:
        network: filled.
        options: resolved.
        weights_sha256: hash of the file.
        licence: of the weights.
    """

    def __init__(
        self,
        network: ALINetwork,
        options: ALIOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        config = network.config
        info = GeneratorInfo(
            family="ali",
            resolution=SIZE,
            latent=(LatentSpec(name="z", shape=(config.latent,)),),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved_options(options),
            parameters=sum(p.numel() for p in network.parameters()),
            assumptions=(*config.assumed, "z is drawn from N(0, 1)"),
        )
        stages: list[StageFunction] = []
        for layer in network.layers:
            assert isinstance(layer, ALILayer)
            stages.append(partial(_linear, layer))
            if layer.norm is not None:
                stages.append(partial(_finish, layer))
        super().__init__(network, info, _boundaries(config), [*stages, partial(_image, network)])
        self.config = config.model_dump(mode="json")


def _linear(layer: ALILayer, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer.main(x[:, :, None, None] if x.ndim == 2 else x), carry


def _finish(layer: ALILayer, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer.finish(x), carry


def _image(network: ALINetwork, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return network.image(x), carry


def _boundaries(config: ALIConfig) -> list[Boundary]:
    cuts = [Boundary("input", 0, (config.latent,), "latent", aliases=("z",))]
    numbers: Counter[int] = Counter()
    last = {size: k for k, size in enumerate(sizes())}
    for k, (width, size) in enumerate(zip(config.widths, sizes(), strict=True)):
        number, shape = numbers[size], (width, size, size)
        numbers[size] += 1
        final = k == len(config.widths) - 1
        here = (f"r{size}",) if last[size] == k else ()
        aliases = (f"main.{3 * k}", *(here if final else ()))
        name = f"r{size}.conv{number}"
        cuts.append(Boundary(name, len(cuts), shape, "feature", (size, size), aliases))
        if not final:
            name, aliases = f"r{size}.act{number}", (f"main.{3 * k + 2}", *here)
            cuts.append(Boundary(name, len(cuts), shape, "feature", (size, size), aliases))
    cuts.append(Boundary("image", len(cuts), (3, SIZE, SIZE), "image", (SIZE, SIZE)))
    return cuts


# ----------------------------------------------------------------------------------------- loading


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this holds an ALI generator, else None. Looks at the keys only."""
    return GENERATOR.name if networks_with(checkpoint, GENERATOR.marks) else None


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it.

    Any plain stack has its layers in ``main``; only the learned bias of the image is ALI's own.
    """
    if not networks_with(checkpoint, ("output_bias",)):
        return None
    return nearest(checkpoint, (GENERATOR,))


def load(weights: Path | None, options: ALIOptions) -> ALI:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above.
        options: see ``ALIOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
    """
    if weights is None:
        raise MissingWeightsError("ali needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights)
    stored = portable_config(checkpoint, "ali")
    found: Network | None = None
    if stored is not None:
        config = ALIConfig.validated(checkpoint.path, stored)
        tensors = state_dict(checkpoint, checkpoint.content)
    else:
        found = find_network(checkpoint, GENERATOR.marks, GENERATOR.name, options.key)
        if found is None:
            raise StateMismatchError(
                f"{checkpoint.path}: not an ALI generator: it has no output_bias beside main.0 to "
                "main.18"
            )
        options = options.model_copy(update={"key": found.where or None})
        named = state_dict(checkpoint, found.tree, found.where)
        config, tensors = read_generator(checkpoint, named)
    with torch_device("meta"):  # shapes only: nothing is allocated before the file was checked
        network = ALINetwork(config)
    fill(network, tensors, checkpoint.path)
    generator = ALI(
        network,
        options,
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )
    generator.own_encoder = _own_encoder(checkpoint, found)
    return generator


def _own_encoder(checkpoint: Checkpoint, generator: Network | None) -> OwnEncoder | None:
    """The encoder in the same file, or beside it under the name that the training gives it."""
    if generator is None:  # a file of ours
        return None
    inside = beside(generator, encoders_in(checkpoint, ENCODER.marks))
    if inside is not None:
        return OwnEncoder("ali", checkpoint.path, {"key": inside.where})
    match = re.fullmatch(r"netG(?P<epoch>_epoch_\d+\.pth)", checkpoint.path.name)
    other = checkpoint.path.with_name(f"netE{match['epoch']}") if match else None
    return OwnEncoder("ali", other) if other is not None and other.is_file() else None
