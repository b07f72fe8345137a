"""The generator inside NVIDIA's TensorFlow pickles (ProGAN, StyleGAN, StyleGAN2), as data.

Guarantees that a pickled ``Network`` becomes named arrays and plain settings without any of the
source text in the file being looked at, that every name is met once, and that arrays are converted
one at a time, when asked for, so that loading never holds a second copy of a model.

Such a file is a pickled (G, D, Gs); images are drawn with Gs, the running average of G's weights.
A network's record holds ``version`` (2: ProGAN, 3: StyleGAN, 4: StyleGAN2, 5: StyleGAN2-ADA),
``name``, ``static_kwargs`` (the settings it was built with; absent ones have the default of
the function that built it), ``build_func_name``, ``variables`` (a list of (name, array)) and, from
version 3 on, ``components``: networks inside it, by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, Opaque, check_claims, shown

PROGAN = "tfutil.Network"
STYLEGAN = "dnnlib.tflib.network.Network"
THEANO = "network.Network"
KINDS = (PROGAN, STYLEGAN, THEANO)

Recipes = dict[str, Callable[[], Tensor]]
Value = TypeVar("Value")

_LARGEST = 1e30  # of any setting; far within what a float holds
_MOST_COMPONENTS = 16  # the published ones have two
_LONGEST_NAME = 1000


@dataclass(frozen=True)
class Outline:
    """The marks that distinguish the families' files.

    Attributes:
        kind: class of the record, one of ``KINDS``.
        version: of the record's layout, or None (Theano).
        build_func_name: function that built the network (``G_paper``, ``G_style``, ``G_main``).
        variables: names of its own variables.
        components: for each component, its ``build_func_name``.
    """

    kind: str
    version: int | None
    build_func_name: str
    variables: frozenset[str]
    components: Mapping[str, str]


def record(checkpoint: Checkpoint) -> Opaque | None:
    """The record of the generator to draw with, or None if the file holds no such network.

    That is Gs of a tuple or list (G, D, Gs), ``Gs`` of a mapping, or a network on its own.
    """
    content = checkpoint.content
    if isinstance(content, (tuple, list)) and len(content) == 3:
        content = content[2]
    elif isinstance(content, Mapping):
        content = content.get("Gs")
    if isinstance(content, Opaque) and content.kind in KINDS and isinstance(content.state, Mapping):
        return content
    return None


def outline(checkpoint: Checkpoint) -> Outline | None:
    """The kind of network in a file, or None if none of these; cheap, never raises."""
    found = record(checkpoint)
    if found is None:
        return None
    state, version = found.state, found.state.get("version")
    components = state.get("components")
    return Outline(
        kind=found.kind,
        version=version if isinstance(version, int) else None,
        build_func_name=_function(state),
        variables=_names(state),
        components={
            str(name): _function(part.state)
            for name, part in (components.items() if isinstance(components, Mapping) else ())
            if isinstance(part, Opaque) and isinstance(part.state, Mapping)
        },
    )


def _function(state: Mapping[str, Any]) -> str:
    name = state.get("build_func_name")
    if name is None and isinstance(state.get("build_func_spec"), Mapping):
        name = state["build_func_spec"].get("func")
    return name if isinstance(name, str) else ""


def _names(state: Mapping[str, Any]) -> frozenset[str]:
    variables = state.get("variables")
    return frozenset(
        pair[0]
        for pair in (variables if isinstance(variables, (list, tuple)) else ())
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str)
    )


@dataclass(frozen=True)
class TensorFlowNetwork:
    """One network of a file.

    Attributes:
        file: the file, for error messages.
        path: ``"Gs"``, or ``"Gs.synthesis"`` for a component.
        version: of the record's layout.
        build_func_name: function that built it.
        static_kwargs: the settings it was built with; use the typed readers.
        variables: its own variables, without those of its components.
        components: networks inside it.

    The typed readers return ``default`` where the setting is absent, and raise
    ``StateMismatchError`` naming file, network and setting where its value is of another type.
    """

    file: Path
    path: str
    version: int
    build_func_name: str
    static_kwargs: Mapping[str, Any]
    variables: Mapping[str, np.ndarray]
    components: Mapping[str, TensorFlowNetwork] = field(default_factory=dict)

    def component(self, name: str) -> TensorFlowNetwork:
        """A component by name.

        Raises:
            StateMismatchError: there is none of that name.
        """
        if name not in self.components:
            found = ", ".join(sorted(self.components)) or "none"
            raise StateMismatchError(
                f"{self.file}: {self.path} has no component {name!r} (there are: {found})"
            )
        return self.components[name]

    def tensor(self, name: str) -> Tensor:
        """A variable as a tensor, which shares memory with the file's array where it can.

        Raises:
            StateMismatchError: there is no such variable.
        """
        if name not in self.variables:
            raise StateMismatchError(f"{self.file}: {self.path} has no variable {name!r}")
        return as_tensor(self.variables[name])

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Shape of a variable of so many axes, none of them empty.

        Raises:
            StateMismatchError: there is no such variable, or it has another number of axes.
        """
        shape = tuple(self.tensor(name).shape)
        if len(shape) != axes or 0 in shape:
            raise StateMismatchError(
                f"{self.file}: {self.path} {name} has shape {shape}, expected {axes} axes, none of "
                "them empty"
            )
        return shape

    def sides(self, pattern: re.Pattern[str], most: int, title: str) -> list[int]:
        """Sides of the maps of a growing network: 4, 8, 16, …

        Args:
            pattern: names of one variable at each side from 8 on; its first group is the side.
            most: sides from 8 on that a network may have.
            title: the network with its article, for messages.

        Raises:
            StateMismatchError: there is a gap, or there are more.
        """
        found = sorted({int(m[1]) for name in self.variables if (m := pattern.fullmatch(name))})
        if len(found) > most or found != [8 << i for i in range(len(found))]:
            raise StateMismatchError(
                f"{self.file}: {self.path} has layers at {found[:12]} pixels; {title} has them at "
                "8, 16, … without a gap"
            )
        return [4, *found]

    def scalar(self, name: str, default: float) -> float:
        """A variable of one finite number, such as ``lod``."""
        value = self.variables.get(name)
        if value is None:
            return default
        if value.size != 1 or not math.isfinite(float(value.reshape(()))):
            raise StateMismatchError(
                f"{self.file}: variable {name!r} of {self.path} is not one finite number"
            )
        return float(value.reshape(()))

    def number(self, name: str, default: float) -> float:
        """A setting that is a finite number."""
        value = self.static_kwargs.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(name, "a number")
        if not abs(value) <= _LARGEST:
            raise self.refuse(name, "finite")
        return float(value)

    def integer(self, name: str, default: int) -> int:
        """A setting that is a whole number."""
        value = self.number(name, default)
        if value != int(value):
            raise self.refuse(name, "a whole number")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        """A setting that is true or false (or 1 or 0)."""
        value = self.static_kwargs.get(name, default)
        if not isinstance(value, (int, float)) or value not in (True, False):
            raise self.refuse(name, "True or False")
        return bool(value)

    def text(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """A setting that is one of some words."""
        value = self.static_kwargs.get(name, default)
        if not isinstance(value, str) or value not in choices:
            raise self.refuse(name, " or ".join(repr(choice) for choice in choices))
        return str(value)

    def refuse(self, name: str, expected: str) -> StateMismatchError:
        """The error for a setting that cannot be used, to raise."""
        return StateMismatchError(
            f"{self.file}: {self.path} was built with {name}="
            f"{shown(self.static_kwargs.get(name))}, expected {expected}"
        )


def network(checkpoint: Checkpoint) -> TensorFlowNetwork:
    """Read the generator of a file.

    Raises:
        StateMismatchError: there is none, or its record is not as described above.
    """
    found = record(checkpoint)
    if found is None:
        raise StateMismatchError(
            f"{checkpoint.path}: holds no (G, D, Gs) of TensorFlow networks to take Gs from"
        )
    return _network(checkpoint.path, "Gs", found.state, depth=0)


def _network(file: Path, path: str, state: Mapping[str, Any], depth: int) -> TensorFlowNetwork:
    version, components = state.get("version"), state.get("components") or {}
    static_kwargs = state.get("static_kwargs")
    if isinstance(version, bool) or not isinstance(version, int):
        raise StateMismatchError(f"{file}: {path} has no version number")
    if not isinstance(static_kwargs, Mapping) or not _function(state):
        raise StateMismatchError(f"{file}: {path} lacks static_kwargs or build_func_name")
    if not isinstance(components, Mapping) or len(components) > (0 if depth else _MOST_COMPONENTS):
        raise StateMismatchError(f"{file}: components of {path} are not a mapping of networks")
    parts: dict[str, TensorFlowNetwork] = {}
    for name, part in components.items():
        if not isinstance(part, Opaque) or not isinstance(part.state, Mapping):
            raise StateMismatchError(f"{file}: component {name!r} of {path} is not a network")
        parts[str(name)] = _network(file, f"{path}.{name}", part.state, depth + 1)
    return TensorFlowNetwork(
        file=file,
        path=path,
        version=version,
        build_func_name=_function(state),
        static_kwargs=static_kwargs,
        variables=named_arrays(file, path, state.get("variables")),
        components=parts,
    )


def named_arrays(file: Path, path: str, pairs: object) -> dict[str, np.ndarray]:
    """The list of (name, array) of a record as a dict of numeric arrays.

    Raises:
        StateMismatchError: not such a list, a name twice, or values that are not numbers.
    """
    if not isinstance(pairs, (list, tuple)):
        raise StateMismatchError(f"{file}: {path} has no list of variables")
    arrays: dict[str, np.ndarray] = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise StateMismatchError(f"{file}: a variable of {path} is not a (name, array) pair")
        if pair[0] in arrays:
            raise StateMismatchError(f"{file}: {path} has variable {pair[0]!r} twice")
        if len(pair[0]) > _LONGEST_NAME:
            raise StateMismatchError(f"{file}: a variable of {path} has an absurdly long name")
        arrays[pair[0]] = as_array(file, f"variable {pair[0]!r} of {path}", pair[1])
    check_claims(file, arrays.values(), path)
    return arrays


def as_array(file: Path, what: str, value: object) -> np.ndarray:
    """A number or numeric array of a file as a numpy array, not copied.

    Raises:
        StateMismatchError: the value is neither, or is complex.
    """
    if isinstance(value, Tensor) and value.dtype != torch.bfloat16:  # which numpy has not
        value = value.numpy()
    if not isinstance(value, np.ndarray) and not isinstance(value, (int, float)):
        raise StateMismatchError(f"{file}: {what} is a {type(value).__name__}, not an array")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise StateMismatchError(f"{file}: {what} holds {array.dtype}, not numbers")
    return array


def as_tensor(array: np.ndarray) -> Tensor:
    """An array as a tensor: shared where byte order, strides and rights allow, else copied."""
    native = array.dtype.newbyteorder("=")
    if array.dtype != native or not array.flags.writeable or any(s < 0 for s in array.strides):
        array = array.astype(native, copy=True)
    return torch.from_numpy(array)


class Converted(Mapping[str, Value]):
    """Tensors or arrays by name, each made from the file's own when asked for, and not kept."""

    def __init__(self, recipes: Mapping[str, Callable[[], Value]]) -> None:
        self._recipes = recipes

    def __getitem__(self, key: str) -> Value:
        return self._recipes[key]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._recipes)

    def __len__(self) -> int:
        return len(self._recipes)


def scaled(
    part: TensorFlowNetwork,
    name: str,
    scale: float,
    change: Callable[[Tensor], Tensor] | None = None,
) -> Callable[[], Tensor]:
    """A recipe: a variable, rearranged, times a constant, in float32."""

    def recipe() -> Tensor:
        tensor = part.tensor(name)
        if not tensor.is_floating_point():
            raise StateMismatchError(
                f"{part.file}: variable {name!r} of {part.path} is {tensor.dtype}, not floating "
                "point"
            )
        tensor = change(tensor) if change else tensor
        tensor = tensor.to(torch.float32)
        return tensor * scale if scale != 1.0 else tensor

    return recipe
