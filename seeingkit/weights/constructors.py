"""Allow-listed constructors: each replaces one global that a weights file may name.

Guarantees that the table is exact: a global is known by its whole name or not at all. Objects of
foreign classes become ``Opaque``, which keeps their data and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .arrays import NumberType, UnfilledArray, make_array, make_number
from .excerpts import shown
from .reader import LONG, Budget
from .records import Constructor, Opaque, scalar
from .tensors import (
    DTYPES,
    STORAGES,
    checked_sizes,
    make_parameter,
    make_tensor,
    make_tensor_of_type,
)

# --------------------------------------------------------------------------------- plain containers


def _mapping(budget: Budget, *args: Any) -> dict[Any, Any]:
    if not args:
        return {}
    (items,) = args
    if not isinstance(items, (dict, list, tuple)):
        raise CorruptFileError(f"damaged mapping: built from a {type(items).__name__}")
    budget.spend(len(items))
    pairs = items.items() if isinstance(items, dict) else items
    return {scalar(key): value for key, value in pairs}


def _set(budget: Budget, items: Any = ()) -> set[Any]:
    if not isinstance(items, (list, tuple, set)):
        raise CorruptFileError("damaged set")
    budget.spend(len(items))
    return {scalar(item) for item in items}


def _encode(budget: Budget, text: Any, codec: Any = "latin1", *_: Any) -> bytes | memoryview:
    """Bytes as protocol 2 writes them; long ones are writable, so that arrays need no copy."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise CorruptFileError("damaged bytes: not Latin-1 text")
    budget.copy(len(text))
    encoded = text.encode("latin-1")
    return memoryview(bytearray(encoded)) if len(encoded) >= LONG else encoded


def _empty_bytes(*args: Any) -> bytes:
    if args:
        raise CorruptFileError("damaged bytes: built from something")
    return b""


def _reconstructed(kind: Any, base: Any, state: Any) -> Any:
    """Objects of protocols 0 and 1: a class, its base (object or dict), and its items."""
    if not isinstance(kind, Constructor) or not isinstance(base, Constructor):
        raise UnsafeFileError("refused, an object of no known class")
    return kind.make(state) if base.kind == "dict" and state else kind.make()


def _opaque(kind: str) -> Constructor:
    return Constructor(kind, lambda *args: Opaque(kind, args))


# ---------------------------------------------------------------------------------- NVIDIA pickles

_PERSISTENT = """
    Generator MappingNetwork SynthesisNetwork SynthesisBlock SynthesisLayer SynthesisInput
    ToRGBLayer FullyConnectedLayer Conv2dLayer
    Discriminator DiscriminatorBlock DiscriminatorEpilogue MinibatchStdLayer AugmentPipe
"""
PERSISTENT = frozenset(_PERSISTENT.split())
"""Module classes in pickles of stylegan2-ada-pytorch and stylegan3 (``torch_utils.persistence``).
Their embedded source is text that nobody reads."""


def _persistent(meta: Any) -> Opaque:
    found = meta.get("type") if isinstance(meta, dict) else None
    if not isinstance(found, str) or found != "class":
        raise UnsafeFileError("refused, a persistent object that is not a class")
    name = meta.get("class_name")
    if not isinstance(name, str) or name not in PERSISTENT:
        raise UnsafeFileError(
            f"refused, unknown persistent class {shown(name)}; its code is not run"
        )
    return Opaque(f"persistent:{name}", (), meta.get("state"))


# --------------------------------------------------------------------------------------- the table

_ACTIVATIONS = ("ReLU", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU", "Tanh", "Sigmoid")
_FOREIGN = """
    argparse.Namespace dnnlib.tflib.network.Network network.Network tfutil.Network numpy.ndarray
    models.utils.config.BaseConfig
    pathlib.PosixPath pathlib.WindowsPath torch.device torch.serialization._get_layout
    types.SimpleNamespace
"""
_OPAQUE = (*_FOREIGN.split(), *(f"torch.nn.modules.activation.{name}" for name in _ACTIVATIONS))


def allowed_constructors(budget: Budget | None = None) -> dict[str, Constructor]:
    """A fresh table of every global that a file may name; values copied are taken off its budget.

    ``torch.storage._load_from_bytes`` is missing: the reader adds it, because the bytes are a whole
    file under the same rules.
    """
    budget = budget or Budget()
    mapping, as_set = partial(_mapping, budget), partial(_set, budget)
    table: dict[str, Callable[..., Any]] = {
        "collections.OrderedDict": mapping,
        "collections.Counter": mapping,
        "dnnlib.EasyDict": mapping,
        "dnnlib.util.EasyDict": mapping,
        "builtins.set": as_set,
        "builtins.frozenset": as_set,
        "__builtin__.set": as_set,
        "__builtin__.frozenset": as_set,
        "_codecs.encode": partial(_encode, budget),
        "copy_reg._reconstructor": _reconstructed,
        "copyreg._reconstructor": _reconstructed,
        "builtins.bytes": _empty_bytes,
        "__builtin__.bytes": _empty_bytes,
        "torch.Size": lambda sizes=(): checked_sizes("shape", sizes),
        "torch._utils._rebuild_tensor": partial(make_tensor, budget),
        "torch._utils._rebuild_tensor_v2": partial(make_tensor, budget),
        "torch._utils._rebuild_tensor_v3": partial(make_tensor_of_type, budget),
        "torch._utils._rebuild_parameter": make_parameter,
        "torch._utils._rebuild_parameter_with_state": make_parameter,
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
        "numpy.dtype": NumberType,
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = partial(UnfilledArray, budget)
        table[f"{core}.multiarray.scalar"] = partial(make_number, budget)
        table[f"{core}.numeric._frombuffer"] = partial(make_array, budget)
    found = {name: Constructor(name, make) for name, make in table.items()}
    found |= {name: _opaque(name) for name in (*_OPAQUE, *DTYPES)}
    for module in ("builtins", "__builtin__"):
        found[f"{module}.object"] = _opaque("object")
        found[f"{module}.dict"] = Constructor("dict", mapping)
    for module in ("torch", "torch.cuda"):
        found |= {f"{module}.{name}": _opaque(f"torch.{name}") for name in STORAGES}
    for module in ("torch", "torch.storage"):
        found[f"{module}.UntypedStorage"] = _opaque("torch.UntypedStorage")
    return found
