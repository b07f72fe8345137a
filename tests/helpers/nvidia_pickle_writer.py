"""Writes pickles as NVIDIA's PyTorch code bases do, without any of their code.

Every global is spelt as in the published files: ``torch_utils.persistence`` and ``dnnlib.util`` are
stand-ins that exist while a file is written, numpy's module is ``numpy.core``, as in numpy 1, and a
tensor's storage is a whole torch file of the old kind inside the pickle.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SOURCE = "raise RuntimeError('module_src of a checkpoint was executed')\n"


def _reconstruct_persistent_obj(meta: Any) -> Any:
    raise RuntimeError("written, never called")


class EasyDict(dict[str, Any]):
    """A dict under the name that the code bases give theirs."""


class Module:
    """A module to be pickled: its class and its ``__dict__``.

    Args:
        kind: name of the class.
        parameters, buffers: tensors by name, or None.
        modules: what lies below.
        init_args, init_kwargs: what the original was made with.
        attributes: plain attributes.
    """

    def __init__(
        self,
        kind: str,
        *,
        parameters: Mapping[str, Tensor | None] = {},
        buffers: Mapping[str, Tensor | None] = {},
        modules: Mapping[str, Module | None] = {},
        init_args: tuple[Any, ...] = (),
        init_kwargs: Mapping[str, Any] = {},
        **attributes: Any,
    ) -> None:
        self.kind = kind
        self.state: dict[str, Any] = dict(nn.Module().eval().__dict__)
        self.state["_parameters"] = {
            name: None if value is None else nn.Parameter(value, requires_grad=False)
            for name, value in parameters.items()
        }
        self.state["_buffers"] = dict(buffers)
        self.state["_modules"] = dict(modules)
        self.state.update(attributes)
        self.state["_init_args"] = init_args
        self.state["_init_kwargs"] = EasyDict(init_kwargs)

    def __getitem__(self, path: str) -> Module:
        """A module below, by dotted path."""
        found = self
        for name in path.split("."):
            found = found.state["_modules"][name]
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by dotted path."""
        own = {**self.state["_parameters"], **self.state["_buffers"]}
        found = {name: value for name, value in own.items() if value is not None}
        for name, child in self.state["_modules"].items():
            if child is not None:
                found |= {f"{name}.{key}": value for key, value in child.tensors().items()}
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": self.kind,
            "state": self.state,
        }
        return _reconstruct_persistent_obj, (meta,)


class _Pickler(pickle._Pickler):  # the one in Python: it can be told a module's name
    def save_global(self, obj: Any, name: str | None = None) -> None:
        name = name or obj.__qualname__
        module = pickle.whichmodule(obj, name)
        if not module.startswith("numpy._core"):
            super().save_global(obj, name)
            return
        module = module.replace("numpy._core", "numpy.core")
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode("ascii"))
        self.memoize(obj)


@contextlib.contextmanager
def _names() -> Iterator[None]:
    """The two modules that the files name, while a file is written."""
    stand_ins = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": EasyDict},
    }
    things = {"torch_utils.persistence": _reconstruct_persistent_obj, "dnnlib.util": EasyDict}
    homes = {thing: thing.__module__ for thing in things.values()}
    assert not stand_ins.keys() & sys.modules.keys()
    try:
        for name, members in stand_ins.items():
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(members)
        for name, thing in things.items():
            thing.__module__ = name
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
        for thing, home in homes.items():
            thing.__module__ = home


def write_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    """Write a file.

    Args:
        path: where to.
        content: usually what ``snapshot`` gives.
        protocol: 2, 3 or 4.
    """
    with _names(), path.open("wb") as stream:
        _Pickler(stream, protocol=protocol).dump(content)
    return path


def snapshot(average: Module, **others: Any) -> dict[str, Any]:
    """What a training run saves: ``G``, ``D``, ``G_ema`` and the rest, other values as given."""
    critic = Module("Discriminator", parameters={"weight": torch.zeros(2, 2)}, c_dim=0)
    return {
        "G": average,
        "D": critic,
        "G_ema": average,
        "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset"),
        "augment_pipe": None,
        **others,
    }
