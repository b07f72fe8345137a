"""DCGAN generators and their relatives: stacks of transposed convolutions under any names.

Guarantees that every tensor of a file has its place in the network before the first image, and
that settings no file holds (strides, paddings, activations) follow from a stated rule, which is
among the generator's ``assumptions``, or from an option, never from a silent guess: see
``geometry``. Where the keys leave room for parts without tensors the file is refused: ``hidden``.

Layouts read (torch zip, legacy torch, plain pickle or safetensors), bare or inside a training file:

* ``main.{0,3,6,9,12}`` and ``main.{1,4,7,10}`` of pytorch/examples, with or without ``module.``;
* csinva's MNIST and CIFAR networks, which end in a 1x1 kernel;
* ``main.pyramid.512-256.convt`` and its kind with extra 3x3 layers (WassersteinGAN);
* the convolutional generators of PyTorch-GAN, which enlarge by upsampling: see ``layouts``;
* any other naming of linear layers, then convolutions, with batch norms, PReLUs and biases.

A network pickled whole (``torch.save(netG)``) is code, and refused. Training scripts show samples
made with batch statistics; here a network runs with its stored statistics, because otherwise an
image would depend on the others in its batch. There is no option for that.

Boundaries: ``input``; for each layer its linear part (``r8.conv0``, alias its module path in the
file) and what follows it (``r8.act0``, alias ``r8``: the last at 8x8); ``image``. Linear layers are
``fc0`` and ``fc0.act``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, GeneratorInfo, LatentSpec
from seeingkit.errors import MissingWeightsError, UsageError
from seeingkit.models.staged import Carry, StagedAdapter, StageFunction
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
from .network import Layer, Plan, Stack


class StackGenerator(StagedAdapter):
    """A generator that is a plain stack of layers.

    Args:
        family: ``dcgan`` or ``mlp-gan``.
        module: the network.
        plan: of the network; becomes ``config``.
        options: as given; ``info.options`` holds them as resolved, with ``strides`` and so on.
        weights_sha256: hash of the file.
        licence: licence of the weights.
    """

    def __init__(
        self,
        family: Literal["dcgan", "mlp-gan"],
        module: Stack,
        plan: Plan,
        options: DCGANOptions | MLPGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        channels, resolution, _ = plan.image_shape
        info = GeneratorInfo(
            family=family,
            resolution=resolution,
            channels=channels,
            latent=(LatentSpec(name="z", shape=(plan.layers[0].inputs,)),),
            weights_sha256=weights_sha256,
            licence=licence,
            options={
                **options.model_dump(mode="json", exclude={"plain"}),
                **_resolved(plan, options),
            },
            parameters=sum(p.numel() for p in module.parameters()),
            assumptions=plan.assumptions,
        )
        stages: list[StageFunction] = []
        for layer in module.layers:
            assert isinstance(layer, Layer)
            stages += [partial(_linear, layer), partial(_finish, layer)]
        super().__init__(module, info, _boundaries(plan), stages)
        self.config = plan.model_dump(mode="json")


def _linear(layer: Layer, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer.linear(x), carry


def _finish(layer: Layer, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer.finish(x), carry


def _resolved(plan: Plan, options: DCGANOptions | MLPGANOptions) -> dict[str, Any]:
    """The options as resolved."""
    found: dict[str, Any] = {
        "activation": plan.activation,
        "slope": plan.slope if plan.activation == "leaky" else None,
        "final": plan.final,
        "eps": plan.eps,
    }
    maps = [layer for layer in plan.layers if layer.kind != "linear"]
    if isinstance(options, MLPGANOptions):
        found["shape"] = list(plan.shape or ())
    else:
        found["strides"] = [layer.stride for layer in maps]
        found["paddings"] = [layer.padding for layer in maps]
        found["output_paddings"] = [layer.output_padding for layer in maps]
        found["kinds"] = [layer.kind for layer in maps]
        found["upsample"] = [layer.upsample for layer in maps]
    return found


def _boundaries(plan: Plan) -> list[Boundary]:
    """Two cuts a layer; the second of the last layer is the image."""
    cuts = [Boundary("input", 0, (plan.layers[0].inputs,), "latent", aliases=("z",))]
    taken: Counter[str] = Counter()
    last_at: dict[int, int] = {}
    for k, (layer, size) in enumerate(zip(plan.layers, plan.sizes, strict=True)):
        linear = layer.kind == "linear"
        stem = "fc" if linear else f"r{size}.conv"
        name = f"{stem}{taken[stem]}"
        taken[stem] += 1
        shape = (layer.outputs,) if linear else (layer.outputs, size, size)
        cuts.append(_cut(len(cuts), name, shape, layer.name))
        if k == len(plan.layers) - 1:
            break
        after = f"{name}.act" if linear else name.replace("conv", "act")
        last_at[size] = len(cuts)
        shape = (layer.channels, size, size) if size else (layer.outputs,)
        cuts.append(_cut(len(cuts), after, shape, layer.native))
    for size in plan.sizes:
        if size and size not in last_at:
            last_at[size] = len(cuts) - 1  # only the last layer's convolution has this size
    own = {cut.name for cut in cuts} | {"image", "z"}
    named: list[Boundary] = []
    for cut in cuts:
        aliases = [*cut.aliases, *(f"r{s}" for s, at in last_at.items() if s and at == cut.index)]
        fresh = tuple(dict.fromkeys(a for a in aliases if a not in own))
        own.update(fresh)
        named.append(cut if not cut.index else _with_aliases(cut, fresh))
    _, r, _ = plan.image_shape
    named.append(Boundary("image", len(named), (3, r, r), "image", (r, r)))
    return named


def _cut(index: int, name: str, shape: tuple[int, ...], alias: str | None) -> Boundary:
    kind: Literal["feature", "latent"] = "feature" if len(shape) == 3 else "latent"
    extent = (shape[1], shape[2]) if len(shape) == 3 else None
    return Boundary(name, index, shape, kind, extent, (alias,) if alias else ())


def _with_aliases(cut: Boundary, aliases: tuple[str, ...]) -> Boundary:
    return Boundary(cut.name, cut.index, cut.shape, cut.kind, cut.extent, aliases)


# ------------------------------------------------------------------------------- recognise and load


def fits(layers: list[FoundLayer]) -> None:
    """Whether a stack turns a vector into an image by two convolutions or more.

    Raises:
        UnfitError: says why not.
    """
    maps = [layer for layer in layers if layer.kind != "linear"]
    if len(maps) < 2:
        raise UnfitError("it has fewer than two convolutions")
    if maps[-1].channels not in (1, 3):
        raise UnfitError(f"{maps[-1].main.path} gives {maps[-1].channels} channels, not 1 or 3")
    widths = [layer.channels for layer in maps[:3]]
    grows = len(maps) == len(layers) and widths == sorted(set(widths)) and len(widths) == 3
    if grows and any(keeping_blocks(layers)):
        raise UnfitError(
            f"its channels grow at first ({', '.join(map(str, widths))}) and blocks follow that "
            "keep them, as in a network from image to image"
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
        stored = read_stack(weights, chosen.layers, options) | {"shape": shape(chosen.layers)}
        tensors, key = renamed(chosen.layers), chosen.where or None
    else:
        tensors, key = checkpoint.content, None
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


def _agree(path: Path, plan: Plan, options: DCGANOptions) -> None:
    """Refuse geometry that differs from that of a file of ours."""
    said = _resolved(plan, options)
    for name in ("strides", "paddings", "output_paddings", "kinds", "upsample"):
        given = getattr(options, name)
        if given is not None and list(given) != said[name]:
            raise UsageError(f"{path}: {name}={list(given)}, but the file says {said[name]}")
