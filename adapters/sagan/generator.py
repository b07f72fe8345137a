"""SAGAN generators of heykeetae/Self-Attention-GAN (``*_G.pth``), and our own safetensors.

Guarantees that every key and shape of a file was accounted for before its first image, whatever
their order, and that spectral norm is folded into the weights once: an image is the one of the
original's first call after loading, where a later call would draw slightly another one, because the
original goes on iterating and keeps what it found.

Keys: ``lK.0.module.{weight_bar,weight_u,weight_v,bias}`` (transposed 4x4), ``lK.1`` batch norm,
K = 1 … 4; ``attn1`` after l3 and ``attn2`` after l4 (``query_conv``, ``key_conv``, ``value_conv``,
``gamma``; nothing is pooled); ``last.0``, without a spectral norm. The file lists l4 first.

Boundaries: ``input``, ``r4.conv0`` and ``r4.act0`` (norm and ReLU), …, ``r16.attention``,
``r32.conv0``, ``r32.act0``, ``r32.attention``, ``r64.conv0``, ``image``; ``rN`` is the last one
at N pixels before the image, and the file's own paths (``l3``, ``attn1``) are aliases.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec
from seeingkit.errors import MissingWeightsError, StateMismatchError
from seeingkit.models.staged import Carry, StagedAdapter, StageFunction
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Near,
    check_finite,
    check_state,
    fill,
    find_network,
    nearest,
    networks_with,
    outline,
    portable_config,
    portable_family,
    read_checkpoint,
    state_dict,
)

from ..catalog.sagan import SAGANOptions
from ..configs import resolved_options
from ..shapes import shape_of
from ..spectral import divide, unfolded
from .network import ATTENTIONS, LAYERS, SAGANConfig, SAGANNetwork

FAMILY = "sagan"
LAYOUT = Layout(
    "heykeetae SAGAN",
    (
        "l1.0.module.weight_bar",
        "l1.1.running_mean",
        "l3.0.module.weight_bar",
        "attn1.query_conv.weight",
        "last.0.weight",
    ),
    r"(l\d+\.(0\.module|1)|attn\d\.(query|key|value)_conv|last\.0)\.\w+|attn\d\.gamma",
)
_BATCHES = "num_batches_tracked"


class SAGAN(StagedAdapter):
    """A SAGAN generator that can be entered and left at every layer.

    Args:
        network: filled.
        options: as given; ``info.options`` holds them as resolved.
        weights_sha256: hash of the file.
        licence: of the weights.
    """

    def __init__(
        self,
        network: SAGANNetwork,
        options: SAGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        config = network.config
        settled = {"final": config.final, "eps": config.epsilon}
        info = GeneratorInfo(
            family=FAMILY,
            resolution=config.resolution,
            channels=config.colours,
            latent=(LatentSpec(name="z", shape=(config.widths[0],)),),
            weights_sha256=weights_sha256,
            licence=licence,
            options=resolved_options(options.model_copy(update=settled)),
            parameters=sum(p.numel() for p in network.parameters()),
            assumptions=config.assumed,
        )
        super().__init__(network, info, *_way(network))
        self.config = config.model_dump(mode="json")


def _linear(layer: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer(x[:, :, None, None] if x.ndim == 2 else x), carry


def _finished(norm: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return F.relu(norm(x)), carry


def _attended(attention: nn.Module, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return attention(x), carry


def _image(final: str, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    if final == "tanh":
        x = x.tanh()
    elif final == "sigmoid":
        x = 2 * torch.sigmoid(x) - 1
    return (x.expand(-1, 3, -1, -1).contiguous() if x.shape[1] == 1 else x), carry


def _way(network: SAGANNetwork) -> tuple[list[Boundary], list[StageFunction]]:
    """All boundaries, and the stages between them."""
    config = network.config
    found: list[tuple[str, int, int, tuple[str, ...]]] = []
    stages: list[StageFunction] = []
    attentions = dict(zip(ATTENTIONS, network.attentions, strict=True))
    for k in range(1, LAYERS + 1):
        size, width, attends = 2 << k, config.widths[k], k in attentions
        stages += [partial(_linear, network.layers[k - 1])]
        stages += [partial(_finished, network.norms[k - 1])]
        found.append((f"r{size}.conv0", width, size, (f"l{k}.0",)))
        last = () if attends else (f"r{size}",)
        found.append((f"r{size}.act0", width, size, (f"l{k}", *last)))
        if attends:
            stages.append(partial(_attended, attentions[k]))
            found.append((f"r{size}.attention", width, size, (ATTENTIONS[k], f"r{size}")))
    stages += [partial(_linear, network.last), partial(_image, config.final)]
    size = config.resolution
    found.append((f"r{size}.conv0", config.colours, size, ("last.0", f"r{size}")))
    cuts = [Boundary("input", 0, (config.widths[0],), "latent", aliases=("z",))]
    for index, (name, width, side, aliases) in enumerate(found, start=1):
        cuts.append(Boundary(name, index, (width, side, side), "feature", (side, side), aliases))
    cuts.append(Boundary("image", len(cuts), (3, size, size), "image", (size, size)))
    return cuts, stages


# ----------------------------------------------------------------------------------------- loading


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout if this is such a generator, else None. Looks at the keys only."""
    written_for = portable_family(checkpoint)
    if written_for is not None:
        return "seeingkit safetensors" if written_for == FAMILY else None
    return LAYOUT.name if networks_with(checkpoint, LAYOUT.marks) else None


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, (LAYOUT,))


def load(weights: Path | None, options: SAGANOptions) -> SAGAN:
    """Load a generator.

    Args:
        weights: a file of the layout above, or of ours.
        options: ``final``, ``eps``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or does not fit (names the key).
        UsageError: ``key`` chooses no network, or the file holds several.
    """
    if weights is None:
        raise MissingWeightsError(f"{FAMILY} needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights)
    path, divisors, where = checkpoint.path, dict[str, Tensor](), ""
    values = portable_config(checkpoint, FAMILY)
    if values is not None:
        config, tensors = (
            SAGANConfig.validated(path, values),
            state_dict(checkpoint, checkpoint.content),
        )
    else:
        config, tensors, divisors, where = _read(checkpoint, options.key)
    settled = {"final": options.final, "epsilon": options.eps}
    told = {name: value for name, value in settled.items() if value is not None}
    assumed = config.unless_told(final=options.final, eps=options.eps)
    config = config.model_copy(update={**told, "assumed": assumed})
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        network = SAGANNetwork(config)
    fill(network, tensors, path)
    divide(network, divisors, path)
    return SAGAN(
        network,
        options.model_copy(update={"key": where or None}),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )


_ASSUMED = (
    "final=tanh after the last layer",
    "eps=1e-05 in the batch norms",
    "spectral norms are those of the original's first call after loading (each call changes them)",
    "z is drawn from N(0, 1)",
)


def _read(
    checkpoint: Checkpoint, key: str | None
) -> tuple[SAGANConfig, dict[str, Tensor], dict[str, Tensor], str]:
    """Config, tensors and divisors by the network's names, and the place of the network."""
    path = checkpoint.path
    network = find_network(checkpoint, LAYOUT.marks, "SAGAN generator", key)
    if network is None:
        raise StateMismatchError(
            f"{path}: not a SAGAN generator: {LAYOUT.marks[0]} and others are not among its "
            f"{outline(checkpoint.content)}"
        )
    given = state_dict(checkpoint, network.tree, network.where)
    for name, tensor in given.items():
        check_finite(path, name, tensor)
    found = unfolded(path, given)
    first = shape_of(path, found.tensors, "l1.0.module.weight", 4)[0]
    layers = [
        shape_of(path, found.tensors, f"l{k}.0.module.weight", 4)[1] for k in range(1, LAYERS + 1)
    ]
    keys = [
        shape_of(path, found.tensors, f"{a}.query_conv.weight", 4)[0] for a in ATTENTIONS.values()
    ]
    colours = shape_of(path, found.tensors, "last.0.weight", 4)[1]
    values = {"widths": [first, *layers], "keys": keys, "colours": colours, "assumed": _ASSUMED}
    config = SAGANConfig.validated(path, values)
    with torch.device("meta"):
        state = SAGANNetwork(config).state_dict()
    tensors = {
        name: tensor.reshape(()) if name.endswith(".gamma") and tensor.numel() == 1 else tensor
        for name, tensor in found.tensors.items()
    }
    names = {own: _file_name(own) for own in state}
    for own, name in names.items():
        if own.endswith(_BATCHES):  # not in files of before 2018; nothing reads it
            tensors.setdefault(name, torch.zeros((), dtype=torch.int64))
    check_state(path, tensors, {names[own]: value for own, value in state.items()})
    divisors = {own: found.divisors[n] for own, n in names.items() if n in found.divisors}
    return config, {own: tensors[name] for own, name in names.items()}, divisors, network.where


def _file_name(key: str) -> str:
    """The file's name of one of our tensors."""
    head, *rest = key.split(".")
    if head == "last":
        return f"last.0.{rest[0]}"
    number = int(rest[0])
    if head == "attentions":
        name = tuple(ATTENTIONS.values())[number]
        return f"{name}.{rest[1]}_conv.{rest[2]}" if len(rest) > 2 else f"{name}.gamma"
    part = "0.module" if head == "layers" else "1"
    return f"l{number + 1}.{part}.{rest[1]}"
