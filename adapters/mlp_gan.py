"""Generators that are a stack of linear layers, as people write Goodfellow et al. 2014 for MNIST.

Guarantees that every tensor of a file has its place in the stack, and that the last layer's outputs
are a square image of one or three colours, else the file is refused with its number of outputs.

Layouts read: ``0.weight, 0.bias, 2.weight, …`` (csinva's mnist_gan_mlp, 64-256-256-784), under any
prefix or other names, with batch norms and PReLUs, of any depth and width, bare or inside a
training file; that of PyTorch-GAN (100-128-256-512-1024-784) with its own activation and epsilon.
Discriminators (one output) and encoders (fewer outputs than inputs) are not claimed.

Boundaries: ``input``; ``fc0`` (a linear layer, alias its module path in the file), ``fc0.act``
(what follows it), ``fc1``, …, ``image``.
"""

from __future__ import annotations

import math
from pathlib import Path

from seeingkit.errors import UsageError
from seeingkit.weights import Checkpoint, Near

from .catalog.dcgan import MLPGANOptions
from .dcgan.chain import FoundLayer
from .dcgan.generator import explain_stack, load_stack, recognise_stack
from .dcgan.modules import UnfitError
from .dcgan.stages import StackGenerator

_SMALLEST = 8  # pixels a side; fewer outputs are features, not pictures


def fits(layers: list[FoundLayer]) -> None:
    """Whether a stack makes square images of linear layers only, and more numbers than it takes.

    Raises:
        UnfitError: says why not.
    """
    if any(layer.kind != "linear" for layer in layers):
        raise UnfitError("it has convolutions")
    outputs = layers[-1].outputs
    if len(layers) < 2 or outputs <= layers[0].inputs:
        raise UnfitError(f"its {outputs} outputs are not more than it takes")
    if image_shape(outputs) is None:
        raise UnfitError(f"its {outputs} outputs are no square image of 1 or 3 colours")


def image_shape(outputs: int) -> tuple[int, int, int] | None:
    """(C, R, R) of so many numbers with C of 1 or 3; at most one fits, since 3 is no square."""
    for colours in (1, 3):
        side = math.isqrt(outputs // colours)
        if side >= _SMALLEST and colours * side * side == outputs:
            return colours, side, side
    return None


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the layout for people, or None for files of other families."""
    return recognise_stack(checkpoint, "mlp-gan", fits, "linear layers")


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return explain_stack(checkpoint, fits, "stack of linear layers", axes=2)


def load(weights: Path | None, options: MLPGANOptions) -> StackGenerator:
    """Load a generator.

    Args:
        weights: a file in one of the layouts above, or of ours.
        options: settings that no file holds, see ``catalog.dcgan.MLPGANOptions``.

    Raises:
        WeightsError: the file is missing, unsafe, damaged, or is no such stack (says why).
        UsageError: an option does not fit the file.
    """
    if options.shape is not None and len(options.shape) != 3:
        raise UsageError(f"shape={list(options.shape)}: give C,H,W or H,W,C")
    return load_stack(
        weights,
        "mlp-gan",
        options,
        fits=fits,
        what="stack of linear layers",
        shape=lambda layers: image_shape(layers[-1].outputs),
    )
