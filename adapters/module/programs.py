"""Programs that make images: a Python callable, a TorchScript file, a torch.export file.

Guarantees that a program runs only when it was asked for by name: nothing here is reached from
``--gan auto`` or from any reader of weights. Whatever it raises becomes one line with the place.
The hash of a program covers its text and its tensors, so that a changed program is another model.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seeingkit.errors import (
    CorruptFileError,
    ModelError,
    PluginError,
    StateMismatchError,
    UnknownNameError,
    UsageError,
)
from seeingkit.weights import (
    check_finite,
    check_state,
    choose_network,
    networks,
    networks_with,
    read_checkpoint,
    state_dict,
)

# ------------------------------------------------------------------------------- Python callables


def call_reference(reference: str, arguments: Mapping[str, Any]) -> tuple[object, list[Path]]:
    """The result of a callable, and its source file.

    Args:
        reference: ``package.file:callable`` (the working folder counts, as for ``python -m``) or
            ``path/to/file.py:callable`` (its own folder counts, as for ``python file.py``). An
            object that is a network or a sampler already is taken as it is.
        arguments: keyword arguments.

    Raises:
        UsageError: not of that form, or no such file.
        PluginError: the code cannot be imported, or has no such callable.
        ModelError: the callable raised something.
    """
    from seeingkit.contracts import Sampler

    where, _, attribute = reference.rpartition(":")
    if not where or not attribute:
        raise UsageError(
            f"module:{reference}: name the code as module:package.file:callable or "
            "module:path/to/file.py:callable"
        )
    path = Path(where)
    is_file = path.suffix == ".py"
    with _importable(path.resolve().parent if is_file else Path.cwd()):
        found: Any = _import_file(path) if is_file else _import_module(where)
        for part in attribute.split("."):
            if not hasattr(found, part):
                known = [name for name in vars(found) if not name.startswith("_")]
                raise UnknownNameError(f"callable in {where}", part, known)
            found = getattr(found, part)
        sources = [Path(file) for file in [_source(found)] if file]
        if is_file:
            sources.append(path)
        if isinstance(found, (nn.Module, Sampler)):
            return found, sources
        if not callable(found):
            raise PluginError(f"module:{reference}: {attribute} is a {type(found).__name__}")
        try:
            return found(**arguments), sources
        except Exception as error:
            raise ModelError(f"module:{reference}: {attribute}() raised {_line(error)}") from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Imports look into a folder first."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _import_module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise PluginError(f"module:{name} cannot be imported: {_line(error)}") from error


def _import_file(path: Path) -> object:
    if not path.is_file():
        raise UsageError(f"{path}: no such Python file")
    name = f"seeingkit_program_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a .py file has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise PluginError(f"{path} cannot be run: {_line(error)}") from error
    return module


def _source(thing: object) -> str | None:
    try:
        return inspect.getsourcefile(thing)  # type: ignore[arg-type]
    except TypeError:
        return None


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"


def load_state(network: nn.Module, path: Path, key: str | None) -> None:
    """Read the network's tensors from a weights file (read as data, like any other).

    Args:
        network: its keys and shapes are those expected.
        path: a state dict, or a training file with one that has the network's keys.
        key: place of the state dict in the file, or its last part; None: the one whose keys fit.

    Raises:
        WeightsError: the file is missing, unsafe or damaged, or no state dict fits (says which
            keys do not).
    """
    checkpoint = read_checkpoint(path)
    expected = network.state_dict()
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    required = sorted(expected.keys() - optional)
    fitting = networks_with(checkpoint, required) if required else []
    fitting = [found for found in fitting if found.tree.keys() <= expected.keys()]
    if any(key is None or f".{found.where}".endswith(f".{key}") for found in fitting):
        chosen = choose_network(path, fitting, "state dict of this network", key)
    else:
        there = [n for n in networks(checkpoint) if key in (None, n.where, n.where.split(".")[-1])]
        if not there:
            what = "no state dict" if key is None else f"no state dict named {key!r}"
            raise StateMismatchError(f"{path}: holds {what}")
        chosen = max(there, key=lambda network: len(network.tree.keys() & expected.keys()))
    tensors = state_dict(checkpoint, chosen.tree, chosen.where)
    check_state(
        path, tensors, {k: v for k, v in expected.items() if k in tensors or k not in optional}
    )
    for name, tensor in tensors.items():
        check_finite(path, name, tensor)
        expected[name].copy_(tensor)


# ------------------------------------------------------------------------------------ program files


class Program(nn.Module):
    """A network out of a program file, as ``network``, so that its own class does not matter."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        return self.network(*inputs)


def program_kind(path: Path) -> Literal["torchscript", "export"] | None:
    """The kind of a program file by the members of its zip; None if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {name.partition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return None
    if "archive_format" in inside or "serialized_exported_program.json" in archive.namelist():
        return "export"
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return "torchscript"
    return None


def load_program(path: Path) -> tuple[Program, tuple[int, ...] | None]:
    """Load a TorchScript or torch.export file on the CPU. This trusts it as code.

    Returns:
        the network, and the shape of its first example input, batch axis included, if it has one.

    Raises:
        UsageError: the file is no program.
        CorruptFileError: torch cannot load it (says why).
    """
    kind = program_kind(path)
    if kind is None:
        raise UsageError(
            f"{path}: no TorchScript or torch.export program; for tensors, name the code that "
            "makes the network: --gan module:FILE.py:FUNCTION --weights FILE"
        )
    with warnings.catch_warnings():
        # torch 2.13 announces the end of TorchScript; people's files are still there.
        warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", DeprecationWarning)
        # torch's own pytree, while it rebuilds an exported program.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        try:
            if kind == "torchscript":
                script: nn.Module = torch.jit.load(str(path), map_location="cpu")
                return Program(_unrolled(script.eval())), None
            exported = torch.export.load(str(path))
            unflattened = torch.export.unflatten(exported)
        except Exception as error:
            raise CorruptFileError(
                f"{path}: torch cannot load this {kind}: {_line(error)}"
            ) from error
    examples = exported.example_inputs
    first = examples[0][0] if examples and examples[0] else None
    return Program(unflattened), tuple(first.shape) if isinstance(first, Tensor) else None


def _unrolled(script: nn.Module) -> nn.Module:
    """A scripted ``nn.Sequential`` as one whose parts are called from Python, and so are seen."""
    if getattr(script, "original_name", "") == "Sequential":
        return nn.Sequential(*(_unrolled(child) for child in script.children()))
    return script


# ----------------------------------------------------------------------------------------- identity


def program_sha256(network: nn.Module, sources: Iterable[Path]) -> str:
    """Hash of the source files of a program and of its network's classes, and of all tensors."""
    files = {path.resolve() for path in sources}
    for module in network.modules():
        cls = type(module)
        if cls.__module__.partition(".")[0] != "torch" and (file := _source(cls)):
            files.add(Path(file).resolve())
    digest = hashlib.sha256()
    for content in sorted(hashlib.sha256(path.read_bytes()).digest() for path in files):
        digest.update(content)
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
