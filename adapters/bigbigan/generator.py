"""The generator of a small BigBiGAN or BigGAN: BigBiGAN-PyTorch's files, and our own safetensors.

Guarantees that every key of the generator was accounted for before the first image, and that
spectral norm is folded into the weights once. z is drawn from the normal cut off at 1, as in its
training (option ``truncation``). A model without classes takes z alone.

Boundaries: ``input``, ``r4.linear``, then each block as ``r8.b0``, ``r16.b0``, … by the size of its
output, ``rN.attention``, ``output.norm``, ``image``. ``rN`` is the last at N pixels; the file's own
module paths (``pre_up_blocks.0``) are aliases. Carried: the conditions ``y0``, ``y1``, … of the
blocks to come.

The encoder in the same file comes with it (``encoder``). A generator that was written by
``seeingkit weights convert`` has none: it stays in the original file.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import Tensor
from torch import device as torch_device

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, OwnEncoder, State
from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.models.staged import Carry, StageFunction
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

from ..catalog.bigbigan import BigBiGANOptions
from ..class_names import class_names
from ..configs import resolved_options
from ..encoders import beside, encoders_in
from ..labels import checked_labels
from ..residual_blocks import Map, alone, map_boundaries, residual
from ..truncation import CutOffAdapter
from .config import BOTTOM, BigBiGANConfig
from .files import ENCODER, GENERATOR, read_generator
from .network import BigBiGANNetwork


class BigBiGAN(CutOffAdapter):
    """A small BigBiGAN's generator.

    Args:
        network: filled.
        options: resolved.
        weights_sha256: hash of the file.
        licence: of the weights.
    """

    module: BigBiGANNetwork

    def __init__(
        self,
        network: BigBiGANNetwork,
        options: BigBiGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        config = network.config
        drawn = f"z is drawn from N(0, 1) cut off at {options.truncation:g}"
        if options.truncation == 1:
            drawn += ", as the published code trains it"
        info = GeneratorInfo(
            family="bigbigan",
            resolution=config.resolution,
            latent=(LatentSpec(name="z", shape=(config.z_dim,)),),
            class_names=class_names(config.classes, options.classes),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved_options(options, "classes"),
            parameters=sum(p.numel() for p in network.parameters()),
            assumptions=(*config.assumed, drawn),
        )
        self.z_bound = options.truncation
        super().__init__(network, info, *_way(network))
        self.config = config.model_dump(mode="json")

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z (N, D), and the class, if there are any, is carried.

        Raises:
            UsageError: z or the class is missing, of another shape or type, or out of range.
        """
        state = super().begin({"z": latent["z"]} if "z" in latent else {})
        classes = self.module.config.classes
        if not classes:
            return state
        if "label" not in latent:
            raise UsageError(f"bigbigan: give a label from 0 to {classes - 1} beside z")
        label = checked_labels("bigbigan", latent["label"], classes, len(state.x))
        return state.with_carry(label=label.to(state.x.device))


def _first(network: BigBiGANNetwork, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    x, conditions = network.conditions(z, carry.get("label"))
    return network.first_map(x), conditions


def _image(network: BigBiGANNetwork, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return network.image(x), carry


def _way(network: BigBiGANNetwork) -> tuple[list[Boundary], list[StageFunction]]:
    """Boundaries, and the stages between them."""
    config, size = network.config, BOTTOM
    maps = [Map(f"r{size}.linear", config.widths[0], size, "linear")]
    stages: list[StageFunction] = [partial(_first, network)]
    for k, block in enumerate(network.blocks):
        size *= 2
        group, number = ("pre", k) if k < config.attention else ("post", k - config.attention)
        native = f"{group}_up_blocks.{number}"
        maps.append(Map(f"r{size}.b0", config.widths[k + 1], size, native))
        stages.append(partial(residual, block, f"y{k}"))
        if k + 1 == config.attention:
            maps.append(Map(f"r{size}.attention", config.widths[k + 1], size, "non_loc"))
            stages.append(partial(alone, network.attention))
    stages += [partial(alone, network.output_norm), partial(_image, network)]
    return map_boundaries(config.z_dim, maps, "bn"), stages


# ----------------------------------------------------------------------------------------- loading


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this holds such a generator, else None. Looks at the keys only."""
    return GENERATOR.name if networks_with(checkpoint, GENERATOR.marks) else None


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, (GENERATOR,))


def load(weights: Path | None, options: BigBiGANOptions) -> BigBiGAN:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above.
        options: see ``BigBiGANOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
    """
    if weights is None:
        raise MissingWeightsError("bigbigan needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights)
    stored = portable_config(checkpoint, "bigbigan")
    found: Network | None = None
    if stored is not None:
        config = BigBiGANConfig.validated(checkpoint.path, stored)
        tensors = state_dict(checkpoint, checkpoint.content)
    else:
        found = find_network(checkpoint, GENERATOR.marks, GENERATOR.name, options.key)
        if found is None:
            raise StateMismatchError(
                f"{checkpoint.path}: not a generator of BigBiGAN-PyTorch: it has no pre_up_blocks, "
                "non_loc and post_up_blocks"
            )
        options = options.model_copy(update={"key": found.where or None})
        config, tensors = read_generator(
            checkpoint, state_dict(checkpoint, found.tree, found.where)
        )
    with torch_device("meta"):  # shapes only: nothing is allocated before the file was checked
        network = BigBiGANNetwork(config)
    fill(network, tensors, checkpoint.path)
    generator = BigBiGAN(
        network,
        options,
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )
    inside = found and beside(found, encoders_in(checkpoint, ENCODER.marks))
    if inside:
        generator.own_encoder = OwnEncoder("bigbigan", checkpoint.path, {"key": inside.where})
    return generator
