"""Detects the layers of a state dict that is a plain stack and nothing else.

Guarantees that every key is accounted for: each module (``modules``) must fit its place in one
chain of channels; a file with one tensor more is not claimed. So any prefix and any naming will do:
``main.0``, ``net.3.1``, ``tconv1`` and ``bn1``, ``main.pyramid.512-256.convt``. Where modules are
numbered in one ``nn.Sequential``, the numbers that are skipped are modules without tensors, and
tell whether there is an activation.

Sources: pytorch/examples dcgan; martinarjovsky/WassersteinGAN models/dcgan.py and mlp.py;
csinva/gan-vae-pretrained-pytorch; the layouts are described in the format notes, section 7.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from .modules import Module, UnfitError, check_names, is_table, modules_of
from .plan import LayerPlan

Found = Literal["linear", "up", "conv", "open"]
_MOST_LAYERS = 100
_FIRST = re.compile(r"(?i)format|first|initial")  # how an unnumbered first layer may be called


@dataclass
class FoundLayer:
    """A layer as far as the file shows it.

    Attributes:
        main: its linear map or convolution.
        kind: ``open`` where the shape fits a convolution and a transposed one.
        inputs, outputs: features or channels.
        side: height and width of the map a linear layer is reshaped to, or 0.
        others: its norm and PReLU, in the order of the file.
        active: whether an activation follows.
        first: whether norm or activation comes first.
        native: path of the activation, where the numbering shows it.
        gap: numbered modules without tensors before the next layer; None if not numbered.
        shown: the numbering shows that nothing but an activation stands before it.
        room: of the keys for one module before it that is no activation (``hidden``), in words.
        doubts: what else the keys leave open about it.
        tables: of the first layer, the class tables beside the stack.
    """

    main: Module
    kind: Found
    inputs: int
    outputs: int
    side: int = 0
    others: list[Module] = field(default_factory=list)
    active: bool = True
    first: Literal["norm", "activation"] = "norm"
    native: str | None = None
    gap: int | None = None
    shown: bool = False
    room: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    tables: list[Module] = field(default_factory=list)

    @property
    def channels(self) -> int:
        """Channels of its output after reshaping."""
        return self.outputs // self.side**2 if self.side else self.outputs

    @property
    def norm(self) -> Module | None:
        """Its batch norm."""
        return next((m for m in self.others if m.kind == "norm"), None)

    @property
    def slopes(self) -> Module | None:
        """Its PReLU."""
        return next((m for m in self.others if m.kind == "slopes"), None)

    def plan(self, **geometry: Any) -> LayerPlan:
        """The layer's plan, given the settings that no file holds."""
        norm, slopes = self.norm, self.slopes
        return LayerPlan(
            **{
                "name": self.main.path or "weight",
                "kind": self.kind,
                "inputs": self.inputs,
                "outputs": self.outputs,
                "kernel": self.main.shape[2] if len(self.main.shape) == 4 else 1,
                "bias": "bias" in self.main.tensors,
                "norm": norm.shape[0] if norm else 0,
                "affine": norm is None or "weight" in norm.tensors,
                "active": self.active,
                "slopes": slopes.shape[0] if slopes else 0,
                "first": self.first,
                "native": self.native,
                "side": self.side,
                **geometry,
            }
        )

    def tensors(self, number: int) -> Iterator[tuple[str, Tensor]]:
        """Its tensors under the names of ``network.Stack``."""
        for name, module in (("main", self.main), ("norm", self.norm), ("act", self.slopes)):
            for leaf, tensor in (module.tensors if module else {}).items():
                if leaf != "num_batches_tracked":
                    yield f"layers.{number}.{name}.{leaf}", tensor


def stack(tensors: Mapping[str, Tensor]) -> list[FoundLayer]:
    """The layers of a state dict, first to last.

    Raises:
        UnfitError: it is no plain stack; names the tensor that does not fit.
    """
    modules = modules_of(tensors)
    if len(modules) > 3 * _MOST_LAYERS:
        raise UnfitError(f"it has {len(modules)} modules")
    check_names(modules)
    tables = [module for module in modules if is_table(module, modules)]
    modules = [module for module in modules if module not in tables]
    if not modules:
        raise UnfitError("it has no layers")
    reasons: list[UnfitError] = []
    for order in _orders(modules):
        try:
            found = _chain(order, 0, None)
        except UnfitError as reason:
            reasons.append(reason)
            continue
        found[0].tables = tables
        _read_numbers(found)
        return found
    raise reasons[0]


# ----------------------------------------------------------------------------------- their order


def _orders(modules: list[Module]) -> Iterator[list[Module]]:
    """The file's order; numbers in names counted; convolution 1, norm 1, convolution 2, …."""
    rank = {"linear": 0, "convolution": 1, "norm": 2, "slopes": 3}

    def natural(module: Module) -> tuple[tuple[int, int, str], ...]:
        parts = re.findall(r"\d+|\D+", module.path)
        return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)

    def number(module: Module) -> tuple[bool, int, int]:
        numbers = re.findall(r"\d+", module.path)
        linear = module.kind == "linear"
        unnumbered = -1 if _FIRST.search(module.path) else 10**6
        return not linear, int(numbers[-1]) if numbers else unnumbered, rank[module.kind]

    seen: list[list[str]] = []
    for order in (modules, sorted(modules, key=natural), sorted(modules, key=number)):
        paths = [m.path for m in order]
        if paths not in seen:
            seen.append(paths)
            yield order


# ------------------------------------------------------------------------------------- the chain


def _chain(modules: Sequence[Module], at: int, before: FoundLayer | None) -> list[FoundLayer]:
    """The layers from module ``at`` on, which must all be used."""
    reason: UnfitError | None = None
    for layer in _readings(modules[at], before):
        end = at + 1
        try:
            while end < len(modules) and modules[end].kind in ("norm", "slopes"):
                _attach(layer, modules[end])
                end += 1
            if end < len(modules):
                return [layer, *_chain(modules, end, layer)]
            _check_norms(layer)
            return [layer]
        except UnfitError as error:
            reason = reason or error
    raise reason or UnfitError(f"{modules[at].path} does not start a layer")


def _readings(module: Module, before: FoundLayer | None) -> Iterator[FoundLayer]:
    """The possible kinds of a module after the layer before it, likeliest first."""
    shape, bias = module.shape, module.tensors.get("bias")
    if module.kind == "linear":
        if before is not None and before.kind != "linear":
            raise UnfitError(f"{module.path} is linear, {before.main.path} before it is not")
        if before is not None and before.outputs != shape[1]:
            raise UnfitError(
                f"{module.path} takes {shape[1]} features, {before.main.path} gives "
                f"{before.outputs}"
            )
        if before is not None:
            _check_norms(before)
        yield FoundLayer(module, "linear", shape[1], shape[0])
        return
    if module.kind != "convolution":
        raise UnfitError(f"{module.path} stands before any layer")
    up = bias is None or len(bias) == shape[1]
    conv = bias is None or len(bias) == shape[0]
    if before is None:
        if up:
            yield FoundLayer(module, "up", shape[0], shape[1])
        return
    given: set[int] = {before.channels}
    if before.kind == "linear":
        given = {c for c in shape[:2] if _fits_map(before, c)}
    both = shape[0] == shape[1] and up and conv
    any_fits = False
    for channels in sorted(given, key=lambda c: c != shape[0]):
        kinds: list[tuple[Found, int, int]] = []
        if shape[0] == channels and up:
            kinds.append(("open" if both else "up", shape[0], shape[1]))
        if shape[1] == channels and conv and not both:
            kinds.append(("conv", shape[1], shape[0]))
        for kind, inputs, outputs in kinds:
            if before.kind == "linear":
                before.side = math.isqrt(before.outputs // channels)
            any_fits = True
            yield FoundLayer(module, kind, inputs, outputs)
    if not any_fits:
        raise UnfitError(
            f"{module.path}.weight of shape {shape} does not continue the {before.channels} "
            f"channels of {before.main.path}"
        )


def _fits_map(layer: FoundLayer, channels: int) -> bool:
    """Whether the features of a linear layer are square maps of so many channels."""
    count, rest = divmod(layer.outputs, channels)
    norm, slopes = layer.norm, layer.slopes
    sizes = (layer.outputs, channels)
    return (
        not rest
        and math.isqrt(count) ** 2 == count
        and (norm is None or norm.shape[0] in sizes)
        and (slopes is None or slopes.shape[0] in (1, *sizes))
    )


def _check_norms(layer: FoundLayer) -> None:
    """Of a layer that is not reshaped, norm and PReLU must have its own channels."""
    for module in layer.others:
        if module.shape[0] not in (layer.outputs, 1 if module.kind == "slopes" else layer.outputs):
            raise UnfitError(
                f"{module.path} has {module.shape[0]} channels, {layer.main.path} {layer.outputs}"
            )


def _attach(layer: FoundLayer, module: Module) -> None:
    size = module.shape[0]
    taken = layer.norm if module.kind == "norm" else layer.slopes
    if taken is not None:
        raise UnfitError(f"{module.path} and {taken.path} both follow {layer.main.path}")
    fits = size == layer.outputs or (module.kind == "slopes" and size == 1)
    if layer.kind == "linear" and not layer.outputs % size:
        fits = True  # per channel after reshaping; checked when the next layer is read
    if not fits:
        raise UnfitError(f"{module.path} has {size} channels, {layer.main.path} {layer.outputs}")
    layer.others.append(module)


# -------------------------------------------------------------------------- gaps in the numbering


def _read_numbers(layers: list[FoundLayer]) -> None:
    """Activations and their places, from the numbers of modules without tensors.

    A parent whose numbers have no gap at all is a list, whose activations are in the code.
    """
    modules = [m for layer in layers for m in (layer.main, *layer.others)]
    gapped = {
        a.place[0] for a, b in itertools.pairwise(modules) if a.place and (_between(a, b) or 0) > 0
    }
    for layer, following in itertools.zip_longest(layers, layers[1:]):
        last = layer.others[-1] if layer.others else layer.main
        inside = after = None
        if layer.main.place and layer.main.place[0] in gapped:
            inside = _between(layer.main, layer.others[0]) if layer.others else 0
            after = _between(last, following.main) if following else None
        _read_gaps(layer, last, inside or 0, after)


def _read_gaps(layer: FoundLayer, last: Module, inside: int, after: int | None) -> None:
    """The meaning of so many modules without tensors inside a layer and after it."""
    norm = layer.norm
    if layer.side and _between(layer.main, last) is not None:  # reshaping is a module there too
        if norm is not None and norm.shape[0] != layer.outputs and inside:
            inside -= 1
        elif after is not None:
            after -= 1
    layer.gap = after
    if after is not None and after < 0:
        layer.doubts.append(f"nothing reshapes the features of {layer.main.path} to a map")
    elif layer.slopes is not None:
        layer.gap = None if after is None else after + 1  # the PReLU is the activation
        layer.first = "norm" if last.kind == "slopes" else "activation"
        if inside:
            layer.doubts.append(f"{inside} modules without tensors follow {layer.main.path}")
    elif norm is not None and inside:
        layer.first = "activation"
        layer.native = _numbered(layer.main, 1)
        if inside > 1 or after != 0:
            layer.doubts.append(
                f"a module without tensors between {layer.main.path} and {norm.path} may or may "
                "not be an activation"
            )
    elif after == 0:
        layer.active = False
    elif after is not None:
        layer.native = _numbered(last, 1)


def _between(first: Module, second: Module) -> int | None:
    """How many modules without tensors stand between two of one Sequential."""
    a, b = first.place, second.place
    if a is None or b is None or a[0] != b[0]:
        return None
    return b[1] - a[1] - 1


def _numbered(module: Module, more: int) -> str | None:
    place = module.place
    if place is None:
        return None
    parent, number = place
    return f"{parent}.{number + more}" if parent else str(number + more)
