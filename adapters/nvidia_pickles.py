"""The networks inside NVIDIA's PyTorch pickles (StyleGAN2-ADA and StyleGAN3 code bases), as data.

Guarantees that a tree of pickled modules becomes flat names and plain attributes without any code
of the file being run, that each module is met once (cycles, shared modules and absurd depth are
refused), and that no tensor is copied: those returned are the checkpoint's own views.

Such a file is a pickled dict ``G``, ``D``, ``G_ema``, …; each network is the record of a class
(``torch_utils.persistence``) whose state is the ``__dict__`` of a ``torch.nn.Module``. Images are
drawn with ``G_ema``, the running average of the trained weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from seeingkit.errors import CorruptFileError, StateMismatchError, UsageError
from seeingkit.weights import Checkpoint, Opaque, check_claims, shown

PERSISTENT = "persistent:"
_DEEPEST = 16  # levels of modules; the deepest generator of either code base has 5
_MOST_MODULES = 2000  # the largest has about 100
_MOST_TENSORS = 20_000


@dataclass(frozen=True)
class NvidiaModule:
    """One module of a pickled network: its class and its attributes besides tensors.

    Attributes:
        file: the file it comes from, for error messages.
        path: dotted path from the network's root, ``""`` for the root itself.
        kind: name of its class, such as ``SynthesisLayer``.
        attributes: its own attributes (without torch's, which start with an underscore).
        init_args: positional arguments it was made with.
        init_kwargs: keyword arguments it was made with.

    The typed readers raise ``StateMismatchError`` naming file, module and attribute when a value
    is missing or not of that type; numpy numbers, and tensors or arrays of one, count as numbers.
    """

    file: Path
    path: str
    kind: str
    attributes: Mapping[str, Any]
    init_args: tuple[Any, ...] = ()
    init_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.attributes

    def value(self, name: str) -> Any:
        """The attribute as the file holds it."""
        if name not in self.attributes:
            raise StateMismatchError(
                f"{self.file}: {self._called()} ({self.kind}) has no attribute {name!r}; the file "
                "was written by another version of the network"
            )
        return self.attributes[name]

    def integer(self, name: str, minimum: int | None = None) -> int:
        """An attribute that is a whole number, not below ``minimum``."""
        number = _number(self.value(name))
        if number is None or number != int(number):
            raise self._odd(name, "a whole number")
        if minimum is not None and number < minimum:
            raise self._odd(name, f"{minimum} or more")
        return int(number)

    def number(self, name: str) -> float:
        """An attribute that is a finite number."""
        number = _number(self.value(name))
        if number is None:
            raise self._odd(name, "a finite number")
        return number

    def number_or_none(self, name: str) -> float | None:
        """An attribute that is a finite number or None."""
        return None if self.value(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        """An attribute that is true or false."""
        value = self.value(name)
        if isinstance(value, np.ndarray | np.generic) and value.size == 1:
            value = value.item()
        if not isinstance(value, bool):
            raise self._odd(name, "true or false")
        return value

    def text(self, name: str) -> str:
        """An attribute that is a string."""
        value = self.value(name)
        if not isinstance(value, str):
            raise self._odd(name, "text")
        return value

    def integers(self, name: str, count: int) -> tuple[int, ...]:
        """An attribute that is a list, tuple or array of ``count`` whole numbers.

        One number alone stands for ``count`` equal ones, as in the code bases themselves.
        """
        value = self.value(name)
        alone = _number(value)
        if alone is not None:
            value = [value] * count
        if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == count:
            value = value.reshape(-1).tolist() if value.ndim == 1 else None
        numbers = []
        if isinstance(value, list | tuple) and len(value) == count:
            numbers = [_number(v) for v in value]
        whole = [int(v) for v in numbers if v is not None and v == int(v)]
        if len(whole) != count or len(numbers) != count:
            raise self._odd(name, f"{count} whole numbers")
        return tuple(whole)

    def texts(self, name: str) -> tuple[str, ...]:
        """An attribute that is a list or tuple of strings, each there once."""
        value = self.value(name)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise self._odd(name, "a list of names")
        if len(set(value)) != len(value):
            raise self._odd(name, "names that differ")
        return tuple(value)

    def refuse(self, name: str, expected: str) -> StateMismatchError:
        """The error for an attribute whose value this program cannot follow, to raise."""
        return self._odd(name, expected)

    def _called(self) -> str:
        return self.path or "the network"

    def _odd(self, name: str, expected: str) -> StateMismatchError:
        return StateMismatchError(
            f"{self.file}: {name} of {self._called()} ({self.kind}) is "
            f"{shown(self.attributes.get(name))}, expected {expected}"
        )


@dataclass(frozen=True)
class NvidiaNetwork:
    """One network of a pickle, flattened.

    Attributes:
        file: where it was read.
        entry: which network of the file: ``G_ema``, or ``G`` where the file has no average.
        reason: why it is not ``G_ema``, for people; empty if it is.
        modules: every module by dotted path, the root being ``""``, in the file's order.
        tensors: parameters and buffers by dotted path; views of the file.
        absent: dotted paths of the parameters and buffers that are None.
    """

    file: Path
    entry: str
    reason: str
    modules: Mapping[str, NvidiaModule]
    tensors: Mapping[str, Tensor]
    absent: frozenset[str]

    @property
    def root(self) -> NvidiaModule:
        """The generator itself."""
        return self.modules[""]

    def module(self, path: str, kind: str | None = None) -> NvidiaModule:
        """The module of that path, of class ``kind`` if given.

        Raises:
            StateMismatchError: there is none, or it is of another class.
        """
        if path not in self.modules:
            raise StateMismatchError(f"{self.file}: {self.entry} has no module {path}")
        found = self.modules[path]
        if kind is not None and found.kind != kind:
            raise StateMismatchError(
                f"{self.file}: {path} of {self.entry} is a {found.kind}, expected a {kind}"
            )
        return found

    def children(self, path: str) -> tuple[str, ...]:
        """Names of the modules directly below ``path``, in the file's order."""
        start = f"{path}." if path else ""
        below = (p[len(start) :] for p in self.modules if p.startswith(start) and p != path)
        return tuple(name for name in below if "." not in name)


def outline(checkpoint: Checkpoint) -> Mapping[str, str] | None:
    """Classes of the generator's modules down to the second level, by dotted path; cheap.

    The root is ``""``: ``{"": "Generator", "synthesis": "SynthesisNetwork", …}``. None if the file
    is not a pickle of NVIDIA's code bases. Never raises, whatever the file holds.
    """
    picked = _pick(checkpoint.content)
    if picked is None:
        return None
    root = picked[1]
    kinds = {"": _class_name(root)}
    for name, child in _mapping(root, "_modules").items():
        if not isinstance(name, str) or not _is_module(child):
            continue
        kinds[name] = _class_name(child)
        for below, grandchild in _mapping(child, "_modules").items():
            if isinstance(below, str) and _is_module(grandchild):
                kinds[f"{name}.{below}"] = _class_name(grandchild)
    return kinds


def network(checkpoint: Checkpoint, key: str | None = None) -> NvidiaNetwork:
    """The generator of a pickle: ``G_ema``, or ``G`` where there is none (see ``reason``).

    Args:
        checkpoint: the file.
        key: another entry of it, such as ``G``; None for the usual one.

    Raises:
        UsageError: ``key`` is no network of the file.
        StateMismatchError: the file holds no such network, or a module or tensor of it is not
            one that torch writes.
        CorruptFileError: modules contain themselves, are shared, or lie absurdly deep.
    """
    path = checkpoint.path
    picked = _pick(checkpoint.content)
    if picked is None:
        raise StateMismatchError(
            f"{path}: holds no generator of NVIDIA's PyTorch code (neither G_ema nor G)"
        )
    entry, root, reason = picked
    if key not in (None, entry):
        content = checkpoint.content if isinstance(checkpoint.content, dict) else {}
        if not _is_module(content.get(key)):
            there = ", ".join(str(name) for name in content if _is_module(content[name]))
            raise UsageError(f"{path}: key={key}: no such network; there are {there or entry}")
        entry, root, reason = str(key), content[key], ""
    modules: dict[str, NvidiaModule] = {}
    tensors: dict[str, Tensor] = {}
    absent: set[str] = set()
    met: set[int] = set()
    pending: list[tuple[str, Opaque, int]] = [("", root, 0)]
    while pending:
        name, module, depth = pending.pop()
        called = f"{entry}.{name}" if name else entry
        if not met.isdisjoint({id(module), id(module.state)}):
            raise CorruptFileError(f"{path}: module {called[:80]} contains itself or is shared")
        met |= {id(module), id(module.state)}
        if len(modules) >= _MOST_MODULES:
            raise CorruptFileError(f"{path}: {entry} has more than {_MOST_MODULES} modules")
        if depth > _DEEPEST:
            raise CorruptFileError(f"{path}: modules lie deeper than {_DEEPEST}: {called[:80]}")
        if not isinstance(module.state, dict):
            raise StateMismatchError(f"{path}: {called} has no state")
        state = module.state
        modules[name] = NvidiaModule(
            path,
            name,
            _class_name(module),
            {k: v for k, v in state.items() if isinstance(k, str) and not k.startswith("_")},
            _arguments(state.get("_init_args")),
            _mapping(module, "_init_kwargs"),
        )
        for part in ("_parameters", "_buffers"):
            if len(tensors) + len(absent) > _MOST_TENSORS:
                raise CorruptFileError(f"{path}: {entry} has more than {_MOST_TENSORS} tensors")
            for key, tensor in _entries(path, called, state, part):
                full = f"{name}.{key}" if name else key
                if tensor is None:
                    absent.add(full)
                else:
                    tensors[full] = _checked_tensor(path, f"{entry}.{full}", tensor)
        below: list[tuple[str, Opaque, int]] = []
        for key, child in _entries(path, called, state, "_modules"):
            if child is None:
                continue
            if not _is_module(child):
                raise StateMismatchError(f"{path}: {called}.{key} is not a pickled module")
            below.append((f"{name}.{key}" if name else key, child, depth + 1))
        pending += reversed(below)  # a stack: this keeps the file's order
    check_claims(path, tensors.values(), entry)
    return NvidiaNetwork(path, entry, reason, modules, tensors, frozenset(absent))


def _checked_tensor(path: Path, called: str, value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise StateMismatchError(
            f"{path}: {called} is of type {type(value).__name__}, expected a tensor"
        )
    return value


def _pick(content: Any) -> tuple[str, Opaque, str] | None:
    """(entry, network, reason) of the network that draws the images."""
    if isinstance(content, Opaque) and content.kind == f"{PERSISTENT}Generator":
        return "G", content, "is the pickle of one network, not of a training"
    if not isinstance(content, dict):
        return None
    if _is_module(content.get("G_ema")):
        return "G_ema", content["G_ema"], ""
    if content.get("G_ema") is None and _is_module(content.get("G")):
        why = "holds no G_ema (the average of the trained weights), so G is used"
        return "G", content["G"], why
    return None


def _is_module(value: Any) -> bool:
    return isinstance(value, Opaque) and str(value.kind).startswith(PERSISTENT)


def _class_name(module: Opaque) -> str:
    return str(module.kind).removeprefix(PERSISTENT)


def _mapping(module: Opaque, part: str) -> dict[Any, Any]:
    state = module.state
    found = state.get(part) if isinstance(state, dict) else None
    return found if isinstance(found, dict) else {}


def _arguments(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else ()


def _entries(path: Path, called: str, state: dict[Any, Any], part: str) -> list[tuple[str, Any]]:
    found = state.get(part, {})
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and key and "." not in key for key in found
    ):
        raise StateMismatchError(f"{path}: {part} of {called} is not a mapping of plain names")
    return list(found.items())


def _number(value: Any) -> float | None:
    """A finite number, also out of numpy or a tensor of one value, else None."""
    if isinstance(value, Tensor | np.ndarray | np.generic):
        if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) != 1:
            return None
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
