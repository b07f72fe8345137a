"""The modules of a state dict, each told by its tensors and not by its name.

Guarantees that every key belongs to a linear layer, a convolution, a batch norm, the slopes of a
PReLU or a table of classes, else the file is no plain stack, for a reason that names the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

_STATISTICS = {"running_mean", "running_var"}
_LEAVES = {"weight", "bias", "num_batches_tracked", *_STATISTICS}
_TABLE = re.compile(r"(?i)emb|label|(?<![a-z])(class|cond|lookup|token|vocab|attr|onehot)")
_SLOPES = re.compile(r"(?i)relu|act|nonlin|slope|(^|\.)\d+$")  # how a PReLU may be called
_SHORTCUT = re.compile(r"(?i)shortcut|(^|[._])c_sc($|\.)")
_TO_RGB = re.compile(r"(?i)(^|[._])to_?rgb")
_RGB_LAYERS = re.compile(r"(?i)(^|[._])to_?rgb_?layers\.")
_FOLDED = re.compile(r".*(\.weight_(orig|u|v|g|bar)|\.parametrizations\..*)")


class UnfitError(Exception):
    """Why tensors are no plain stack of layers; never leaves the adapters."""


@dataclass
class Module:
    """The tensors of one module of the file."""

    path: str
    tensors: dict[str, Tensor]
    kind: Literal["linear", "convolution", "norm", "slopes"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its weight; of its statistics where a norm has no weight."""
        return tuple(self.tensors.get("weight", self.tensors.get("running_mean")).shape)  # type: ignore[union-attr]

    @property
    def place(self) -> tuple[str, int] | None:
        """Its parent and its number there, if it is numbered."""
        parent, _, number = self.path.rpartition(".")
        return (parent, int(number)) if number.isdecimal() else None


def modules_of(tensors: Mapping[str, Tensor]) -> list[Module]:
    """The modules in the order of the file.

    Raises:
        UnfitError: a key that no such module has, or a module with other shapes.
    """
    grouped: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        path, _, leaf = key.rpartition(".")
        if _FOLDED.fullmatch(key):
            raise UnfitError(
                f"{key} is of a spectral or weight norm, which is not folded here; remove the norm "
                "with torch's own function and save again"
            )
        if leaf not in _LEAVES:
            raise UnfitError(f"{key} belongs to no linear layer, convolution or batch norm")
        grouped.setdefault(path, {})[leaf] = tensor
    return [Module(path, found, _kind(path, found)) for path, found in grouped.items()]


def _kind(
    path: str, found: dict[str, Tensor]
) -> Literal["linear", "convolution", "norm", "slopes"]:
    shapes = {leaf: tuple(tensor.shape) for leaf, tensor in found.items()}
    weight, bias = shapes.get("weight"), shapes.get("bias")
    if shapes.keys() & _STATISTICS:
        count = shapes.get("running_mean")
        fits = shapes.keys() >= _STATISTICS and count and len(count) == 1 and count[0]
        if not fits or any(
            shapes.get(k, count) != count for k in _LEAVES - {"num_batches_tracked"}
        ):
            raise UnfitError(f"{path} is no whole batch norm")
        if ("weight" in shapes) != ("bias" in shapes):
            raise UnfitError(f"{path} is a batch norm with one of weight and bias only")
        return "norm"
    if "num_batches_tracked" in shapes or weight is None or 0 in weight:
        raise UnfitError(f"{path} has no weight")
    if len(weight) == 2 and bias in (None, weight[:1]):
        return "linear"
    if len(weight) == 4 and weight[2] == weight[3] and bias in (None, weight[:1], weight[1:2]):
        return "convolution"
    if len(weight) == 1 and bias is None:
        if _SLOPES.search(path):
            return "slopes"
        raise UnfitError(
            f"{path}.weight of shape {weight} may be the slopes of a PReLU, the strength of added "
            "noise or another scale; its name does not tell"
        )
    if len(weight) == 1 and bias == weight:
        raise UnfitError(
            f"{path} is a norm without running statistics; it would mix the images of a batch, or "
            "is no batch norm"
        )
    raise UnfitError(f"{path}.weight has shape {weight}")


def is_table(module: Module, modules: Sequence[Module]) -> bool:
    """Whether a matrix is one of embeddings rather than of a linear layer.

    A name that speaks of classes says so, of an embedding and of a linear map of one-hot labels.
    Otherwise, an embedding has no bias, and no norm follows it; a linear layer without either is
    taken for one if it is square, or if other linear layers have a bias.
    """
    if module.kind == "linear" and _TABLE.search(module.path):
        return True
    if module.kind != "linear" or "bias" in module.tensors:
        return False
    rows, columns = module.shape
    others = [m for m in modules if m.kind == "linear" and m is not module]
    normed = any(m.kind == "norm" and m.shape[0] == rows for m in modules)
    return not normed and (rows == columns or any("bias" in m.tensors for m in others))


def check_names(modules: Sequence[Module]) -> None:
    """Refuse modules that by their names stand beside others and not between them.

    Raises:
        UnfitError: names one.
    """
    shortcut = next((m.path for m in modules if _SHORTCUT.search(m.path)), None)
    if shortcut is not None:
        raise UnfitError(f"{shortcut} is a shortcut by its name, so its output is added to another")
    images = [module.path for module in modules if _TO_RGB.search(module.path)]
    if len(images) > 1 or any(_RGB_LAYERS.search(path) for path in images):
        raise UnfitError(f"{images[0]} is one of several layers that give colours, by its name")
