"""DCGAN generators and their relatives: stacks of transposed convolutions under any names.

Guarantees that every tensor of a file has its place in the network before the first image, and
that settings no file holds (strides, paddings, activations) follow from a stated rule, which is
among the generator's ``assumptions``, or from an option, never from a silent guess: see
``geometry``. Where the keys leave room for parts without tensors the file is refused: ``hidden``.

Layouts read (torch zip, legacy torch, plain pickle or safetensors), bare or inside a training file:

* ``main.{0,3,6,9,12}`` and ``main.{1,4,7,10}`` of pytorch/examples, with or without ``module.``;
* csinva's MNIST and CIFAR networks, which end in a 1x1 kernel;
* ``main.pyramid.512-256.convt`` and its kind with extra 3x3 layers (WassersteinGAN);
* the convolutional generators of PyTorch-GAN, which enlarge by upsampling, its ACGAN with a table
  of classes, and torch.hub's DCGAN of pytorch_GAN_zoo with its config: see ``layouts``;
* any other naming of linear layers, then convolutions, with batch norms, PReLUs and biases.

A network pickled whole (``torch.save(netG)``) is code, and refused. Training scripts show samples
made with batch statistics; here a network runs with its stored statistics, because otherwise an
image would depend on the others in its batch. There is no option for that.

Boundaries: ``input``; for each layer its linear part (``r8.conv0``, alias its module path in the
file) and what follows it (``r8.act0``, alias ``r8``: the last at 8x8); ``image``. Linear layers are
``fc0`` and ``fc0.act``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.weights import (
    Checkpoint,
    Near,
    fill,
    networks,
    portable_config,
    portable_family,
    read_checkpoint,
)

from ..catalog.dcgan import DCGANOptions, MLPGANOptions
from .chain import FoundLayer
from .files import candidates, choose, likeliest, renamed, whole_plan
from .geometry import read_stack
from .hidden import keeping_blocks
from .modules import UnfitError
from .network import Stack
from .plan import Plan
from .stages import StackGenerator, resolved

# ------------------------------------------------------------------------------- recognise and load


def fits(layers: list[FoundLayer]) -> None:
    """Whether a stack turns a vector into an image by two convolutions or more.

    Raises:
        UnfitError: says why not.
    """
    maps = [layer for layer in layers if layer.kind != "linear"]
    if len(maps) < 2:
        raise UnfitError("it has fewer than two convolutions")
    _check_input(layers)
    if maps[-1].channels not in (1, 3):
        raise UnfitError(f"{maps[-1].main.path} gives {maps[-1].channels} channels, not 1 or 3")
    widths = [layer.channels for layer in maps[:3]]
    grows = len(maps) == len(layers) and widths == sorted(set(widths)) and len(widths) == 3
    if grows and any(keeping_blocks(layers)):
        raise UnfitError(
            f"its channels grow at first ({', '.join(map(str, widths))}) and blocks follow that "
            "keep them, as in a network from image to image"
        )


_IMAGE_KERNEL = 5
"""Least kernel of a first convolution of an image that is looked for (usual: 7x7, 9x9)."""


def _check_input(layers: list[FoundLayer]) -> None:
    """Refuse a stack whose first convolution may be one of an image.

    Transposed or not has one shape where a layer gives as many channels as it takes, and networks
    from image to image begin and end with an ordinary convolution of the same large odd kernel.
    """
    first, last = layers[0], layers[-1]
    if first.kind == "linear" or last.kind == "up":
        return
    kernel, channels = first.main.shape[2], first.main.shape[:2]
    odd = kernel % 2 and kernel >= _IMAGE_KERNEL and kernel == last.main.shape[2]
    if odd and channels[0] == channels[1]:
        raise UnfitError(
            f"{first.main.path} may be a convolution of an image of {channels[1]} channels, as in "
            "networks from image to image, which are not of this family"
        )


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout for people, or None for files of other families."""
    what = "layers with transposed convolutions"
    return recognise_stack(checkpoint, "dcgan", fits, what)


def load(weights: Path | None, options: DCGANOptions) -> StackGenerator:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above, or of ours.
        options: settings that no file holds, see ``catalog.dcgan.DCGANOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or is no such stack (says why).
        UsageError: the file leaves open a setting that an option must give (names it), or an option
            does not fit it.
    """
    return load_stack(weights, "dcgan", options, fits=fits, what="stack of transposed convolutions")


# ------------------------------------------------------------------------------ for every family


def recognise_stack(
    checkpoint: Checkpoint,
    family: Literal["dcgan", "mlp-gan"],
    fits: Callable[[list[FoundLayer]], None],
    what: str,
) -> str | None:
    """Name of a file's layout for people, or None if it holds no stack of the family.

    Args:
        checkpoint: the file.
        family: registered name.
        fits: raises ``UnfitError`` for stacks that are not of the family.
        what: what a stack is made of, in words.
    """
    written_for = portable_family(checkpoint)
    if written_for is not None:
        return "seeingkit safetensors" if written_for == family else None
    found, _ = candidates(checkpoint, fits)
    if not found:
        return None
    where = f" ({', '.join(c.where for c in found)})" if found[0].where else ""
    return f"stack of {len(found[0].layers)} {what}{where}"


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return explain_stack(checkpoint, fits, "stack of transposed convolutions", axes=4)


def explain_stack(
    checkpoint: Checkpoint, fits: Callable[[list[FoundLayer]], None], what: str, *, axes: int
) -> Near | None:
    """``explain`` of either family: why the likeliest network of a file is no such stack.

    Args:
        checkpoint: the file.
        fits: raises ``UnfitError`` for stacks that are not of the family.
        what: the family in words.
        axes: most axes of the weights of such stacks, which a file near to them has as well.
    """
    found, reasons = candidates(checkpoint, fits)
    tensors = [tensor for network in networks(checkpoint) for tensor in network.tree.values()]
    if found or not reasons or max((tensor.ndim for tensor in tensors), default=0) != axes:
        return None
    where, why = likeliest(reasons)
    place = f" at {where}" if where else ""
    share = 0.5  # whatever their names: any network is made of weights and biases
    return Near(share, f"no {what}{place}: {why}")


def load_stack(
    weights: Path | None,
    family: Literal["dcgan", "mlp-gan"],
    options: DCGANOptions | MLPGANOptions,
    *,
    fits: Callable[[list[FoundLayer]], None],
    what: str,
    shape: Callable[[list[FoundLayer]], tuple[int, int, int] | None] = lambda _: None,
) -> StackGenerator:
    """Load a stack of either family.

    Args:
        weights: a file of others, or of ours.
        family: registered name.
        options: settings that no file holds.
        fits: raises ``UnfitError`` for stacks that are not of the family.
        what: the family in words, for messages.
        shape: of the images of a stack that ends in a linear layer.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or is no such stack (says why).
        UsageError: an option is missing or does not fit the file.
    """
    if weights is None:
        raise MissingWeightsError(f"{family} needs weights: give --weights FILE")
    checkpoint = read_checkpoint(weights)
    stored = portable_config(checkpoint, family)
    if stored is None:
        chosen = choose(checkpoint, fits, what, options.key)
        stored = read_stack(weights, chosen.layers, options, chosen.network)
        stored |= {"shape": shape(chosen.layers)}
        tensors, key = renamed(chosen.layers, stored.get("condition")), chosen.where or None
    else:
        tensors, key = checkpoint.content, None
        _check_condition(weights, stored, options)
    whole = whole_plan(weights, stored, options)
    if isinstance(options, DCGANOptions):
        _agree(weights, whole, options)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file was checked
        module = Stack(whole)
    fill(module, tensors, checkpoint.path)
    return StackGenerator(
        family,
        module,
        whole,
        options.model_copy(update={"key": key}),
        weights_sha256=checkpoint.sha256,
        licence=checkpoint.metadata.get("licence", "unknown"),
    )


def _check_condition(
    path: Path, stored: Mapping[str, Any], options: DCGANOptions | MLPGANOptions
) -> None:
    """Refuse a condition that differs from that of a file of ours."""
    found = stored.get("condition") or {}
    kind = found.get("kind", "none") if isinstance(found, Mapping) else "none"
    if options.condition not in (None, kind):
        raise UsageError(f"{path}: condition={options.condition}, but the file says {kind}")


def _agree(path: Path, plan: Plan, options: DCGANOptions) -> None:
    """Refuse geometry that differs from that of a file of ours."""
    said = resolved(plan, options)
    for name in ("strides", "paddings", "output_paddings", "kinds", "upsample"):
        given = getattr(options, name)
        if given is not None and list(given) != said[name]:
            raise UsageError(f"{path}: {name}={list(given)}, but the file says {said[name]}")
