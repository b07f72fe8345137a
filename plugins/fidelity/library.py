"""Imports torch-fidelity without torchvision, and builds its networks from checked files.

Guarantees: torchvision is never imported here; the library never downloads and never unpickles a
file: weights are read by ``seeingkit.weights``, and the library's loader gets a file in memory
that was written from these tensors; the random state of torch is left as it was.

torch-fidelity 0.4 imports torchvision for its data sets, CLIP, DINOv2 and VGG-16. Nothing of that
is used here, and a torchvision that does not fit torch to the build cannot be imported at all. So,
unless torchvision was imported before, stub modules replace it while the library is imported.
Later, a stub forwards attribute access to the real torchvision.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from seeingkit.errors import MissingWeightsError, PluginError, StateMismatchError, UnknownNameError
from seeingkit.weights import read_state_dict

NAME = "torch_fidelity"
INCEPTION = "inception-v3-compat"
"""The library's name of TensorFlow's Inception of 2015-12-05."""

_LOCK = threading.Lock()
_PARTS = ("torchvision", "datasets", "transforms", "transforms.functional", "models")


class _StandIn(ModuleType):
    """A stub for a module of torchvision."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:  # while the library is being imported
            if self.__name__ == "torchvision.datasets":
                return type(name, (_NoDataSet,), {})
            raise ImportError(f"{self.__name__}.{name} is not available yet")
        return getattr(importlib.import_module(self.__name__), name)


class _NoDataSet:
    """The base class of the library's data sets where torchvision was not imported."""

    def __init__(self, *_: object, **__: object) -> None:
        raise ImportError("the data sets of torch-fidelity need torchvision: import it first")


@contextlib.contextmanager
def _without_torchvision() -> Iterator[None]:
    """Replace torchvision by stubs inside the block, unless it was imported before."""
    if "torchvision" in sys.modules:
        yield
        return
    first, *rest = _PARTS
    modules = {first: _StandIn(first)}
    for part in rest:
        name = f"{first}.{part}"
        parent, _, child = name.rpartition(".")
        modules[name] = _StandIn(name)
        setattr(modules[parent], child, modules[name])
    for module in modules.values():
        module.__path__ = []
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)


def library() -> ModuleType:
    """The module ``torch_fidelity``; it is imported at the first call.

    Raises:
        PluginError: it is not installed, or cannot be imported (with the reason).
    """
    with _LOCK, warnings.catch_warnings():  # the library changes the filters of the process
        warnings.simplefilter("ignore")
        try:
            if NAME in sys.modules:
                return importlib.import_module(NAME)
            with _without_torchvision():
                return importlib.import_module(NAME)
        except ModuleNotFoundError as error:
            if error.name == NAME:
                raise PluginError(
                    "fidelity needs the package torch_fidelity, which is not installed; "
                    "pip install 'seeingkit[fidelity]'"
                ) from error
            raise _unusable(error) from error
        except Exception as error:  # an import can raise anything
            raise _unusable(error) from error


def _unusable(error: Exception) -> PluginError:
    first = (str(error).splitlines() or [""])[0]
    return PluginError(
        f"torch-fidelity cannot be imported ({type(error).__name__}: {first}); "
        "pip install --upgrade 'seeingkit[fidelity]'"
    )


def extractor_class(name: str) -> Any:
    """A feature extractor of the library's registry.

    Raises:
        UnknownNameError: not registered there, or one of the library's own that would fetch its
            file by itself (all but Inception).
    """
    library()
    registered: Mapping[str, Any] = sys.modules[f"{NAME}.registry"].FEATURE_EXTRACTORS_REGISTRY
    usable = {
        known: kind
        for known, kind in registered.items()
        if known == INCEPTION or not kind.__module__.startswith(f"{NAME}.")
    }
    if name not in usable:
        raise UnknownNameError("feature extractor", name, usable)
    return usable[name]


def build_extractor(name: str, layers: Sequence[str], weights: Path | None) -> nn.Module:
    """A feature extractor of the library on the CPU, frozen, in evaluation mode.

    Args:
        name: as registered with the library.
        layers: the library's names of the features to compute, (N, D) float32 each.
        weights: a safetensors file, or a torch file, which is read as data only.

    Raises:
        UnknownNameError: as ``extractor_class``.
        MissingWeightsError, UnsafeFileError, CorruptFileError: as ``read_checkpoint``.
        StateMismatchError: a file of another network.
    """
    kind = extractor_class(name)
    if name == INCEPTION and weights is None:  # the library would fetch and unpickle its own
        raise MissingWeightsError(f"{name} needs the file of its weights")
    options: dict[str, Any] = {"verbose": False}
    if weights is not None:
        options["feature_extractor_weights_path"] = _own_bytes(read_state_dict(weights).tensors)
    with torch.random.fork_rng(devices=[]):  # layers are filled at random before they are loaded
        try:
            built: nn.Module = kind(name, list(layers), **options)
        except RuntimeError as error:
            if weights is None:
                raise
            found = " ".join(str(error).split())[:300]
            raise StateMismatchError(
                f"{weights}: these are not the weights of {name} ({found})"
            ) from error
    return built.requires_grad_(False).eval()


def _own_bytes(tensors: Mapping[str, Tensor]) -> io.BytesIO:
    """Tensors as a torch file in memory: the library's loader takes files only."""
    buffer = io.BytesIO()
    torch.save({key: tensor.detach().clone() for key, tensor in tensors.items()}, buffer)
    buffer.seek(0)
    return buffer
