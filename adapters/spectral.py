"""Spectral norm in weights files: the divisor of each weight, as the original's evaluation has it.

Guarantees one reader for the three kinds that files hold, each a number by which the weight is
divided once, when the file is read. Of a weight W, flattened to (first axis, all others):

* ``stored``: u'Wv of the stored u and v, without an iteration (``torch.nn.utils.spectral_norm``:
  ``weight_orig``, ``weight_u``, ``weight_v``);
* ``iterated``: one power iteration from the stored u (ajbrock's ``u0``, mimicry's ``sn_u``);
* ``bar``: the same from ``weight_bar`` and ``weight_u`` (heykeetae's and others' ``SpectralNorm``
  class). That class also stores what it found, so that a second call there draws slightly another
  picture; here every call is the first one after loading.

Whatever the kind, the first axis counts: that of a transposed convolution is its inputs.

Source: Miyato et al., ICLR 2018, section 2.1 and appendix A.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.errors import StateMismatchError
from seeingkit.weights import check_finite

Kind = Literal["stored", "iterated", "bar"]
EPSILON = 1e-12
"""Of torch's, mimicry's and heykeetae's normalisation of u and v."""


@dataclass(frozen=True)
class Unfolded:
    """The tensors of a file without those of spectral norms.

    Attributes:
        tensors: by the names that they have without a norm (``conv.weight``); not divided yet.
        divisors: scalars, by the name of the weight that each divides.
        kinds: of the norms that the file has.
    """

    tensors: dict[str, Tensor]
    divisors: dict[str, Tensor]
    kinds: frozenset[Kind]


_MARKS: dict[str, Kind] = {".weight_orig": "stored", ".sn_u": "iterated", ".weight_bar": "bar"}
_VECTORS: dict[Kind, tuple[str, ...]] = {
    "stored": (".weight_u", ".weight_v"),
    "iterated": (".sn_u", ".sn_sigma"),
    "bar": (".weight_u", ".weight_v"),
}


def unfolded(path: Path, tensors: Mapping[str, Tensor]) -> Unfolded:
    """Take the spectral norms out of a state dict.

    Args:
        path: the file, for messages.
        tensors: its state dict by the file's names.

    Raises:
        StateMismatchError: a vector is missing or does not fit its weight, is not finite, or a
            norm is 0 (names the key).
    """
    kept, divisors, kinds = dict(tensors), dict[str, Tensor](), set[Kind]()
    for key in tensors:
        found = next(((end, kind) for end, kind in _MARKS.items() if key.endswith(end)), None)
        if found is None:
            continue
        ending, kind = found
        stem = key.removesuffix(ending)
        name = f"{stem}.weight"
        weight = kept.get(name) if kind == "iterated" else kept.pop(key)
        if weight is None or (kind != "iterated" and name in kept):
            fault = "missing" if weight is None else "there twice, with a spectral norm and without"
            raise StateMismatchError(f"{path}: {name} is {fault}")
        vectors = [_vector(path, kept, f"{stem}{end}") for end in _VECTORS[kind]]
        kept[name] = weight
        kinds.add(kind)
        divisors[name] = _norm(path, name, kind, weight, vectors)
    return Unfolded(kept, divisors, frozenset(kinds))


def _vector(path: Path, kept: dict[str, Tensor], key: str) -> Tensor:
    if key not in kept:
        raise StateMismatchError(f"{path}: missing key {key}")
    check_finite(path, key, kept[key])
    return kept.pop(key)


def _norm(path: Path, name: str, kind: Kind, weight: Tensor, vectors: list[Tensor]) -> Tensor:
    sizes = (weight.shape[0], math.prod(weight.shape[1:])) if weight.ndim > 1 else (0, 0)
    expected = (sizes[0], 1) if kind == "iterated" else sizes
    found = tuple(vector.numel() for vector in vectors)
    if not all(sizes) or found != expected:
        raise StateMismatchError(
            f"{path}: {name} has shape {tuple(weight.shape)}, the vectors of its spectral norm "
            f"{found}, expected {expected}"
        )
    if kind == "stored":
        return stored_norm(path, name, weight, *vectors)
    return iterated_norm(path, name, weight, vectors[0], EPSILON)


def stored_norm(path: Path, name: str, weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """u'Wv of stored vectors, a scalar.

    Args:
        path: the file, for the message.
        name: of the weight, for the message.
        weight: (C, …) of C times D values.
        left: u, of C values.
        right: v, of D values.

    Raises:
        StateMismatchError: it is 0 or not finite.
    """
    # copies: sums over mapped memory round by where in the file the tensor lies
    matrix = weight.to(torch.float32, copy=True).flatten(1)
    u = left.to(torch.float32, copy=True).flatten()
    v = right.to(torch.float32, copy=True).flatten()
    return _divisor(path, name, torch.dot(u, matrix @ v))


def iterated_norm(path: Path, name: str, weight: Tensor, left: Tensor, epsilon: float) -> Tensor:
    """The largest singular value as estimated by one power iteration from u, a scalar.

    Args:
        path: the file, for the message.
        name: of the weight, for the message.
        weight: (C, …).
        left: u, of C values.
        epsilon: least norm that a vector is divided by.

    Raises:
        StateMismatchError: it is 0 or not finite.
    """
    matrix = weight.to(torch.float32, copy=True).flatten(1)
    start = left.to(torch.float32, copy=True).reshape(1, -1)
    right = F.normalize(start @ matrix, eps=epsilon)
    turned = F.normalize(right @ matrix.T, eps=epsilon)
    return _divisor(path, name, (right @ matrix.T @ turned.T).squeeze())


def _divisor(path: Path, name: str, norm: Tensor) -> Tensor:
    if not math.isfinite(float(norm)) or float(norm) == 0.0:
        raise StateMismatchError(f"{path}: {name} has spectral norm {float(norm):g}")
    return norm


def divide(network: nn.Module, divisors: Mapping[str, Tensor], path: Path) -> None:
    """Divide weights of a filled network by their norms, in place.

    Raises:
        StateMismatchError: a weight is no longer finite.
    """
    with torch.no_grad():
        for key, norm in divisors.items():
            check_finite(path, key, network.get_parameter(key).div_(norm))
