"""Reads weights files without letting them do anything but be tensors.

Torch files go through ``torch.load(weights_only=True)`` after their container was checked
(truncation, compressed or over-large members); safetensors files through the safetensors library.
No option turns this off.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from .caching import file_sha256
from .errors import (
    CorruptFileError,
    MissingWeightsError,
    StateMismatchError,
    UnsafeFileError,
    WeightsError,
)

_STORED_SLACK = 1 << 20  # a zip whose members claim this much more than the file holds is a bomb


@dataclass(frozen=True)
class WeightsFile:
    """Tensors of one file, by name, with the file's own string metadata and its hash."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    sha256: str = ""


def read_state_dict(path: str | Path) -> WeightsFile:
    """Read the tensors of a safetensors or torch file (zip or legacy).

    A ``state_dict`` wrapper is opened. Values that are not tensors are an error.

    Raises:
        MissingWeightsError: no such file.
        UnsafeFileError: the file asks for more than tensors.
        CorruptFileError: truncated, damaged, or compressed members.
        StateMismatchError: a tensor holds NaN or Inf (the key is named).
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeightsError(f"{path}: no such weights file; check --weights")
    with path.open("rb") as stream:
        head = stream.read(16)
    metadata: dict[str, str] = {}
    if not head:
        raise CorruptFileError(f"{path}: the file is empty")
    if _looks_like_safetensors(head, path.stat().st_size):
        try:
            with safetensors.safe_open(str(path), framework="pt") as opened:
                metadata = dict(opened.metadata() or {})
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise CorruptFileError(f"{path}: damaged safetensors file ({error})") from error
    else:
        tensors = _unwrap(path, _torch_load(path, head))
    for key, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UnsafeFileError(f"{path}: refused, {key} claims more values than the file stores")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise StateMismatchError(f"{path}: {key} holds NaN or Inf; the file is damaged")
    return WeightsFile(path, tensors, metadata, file_sha256(path))


def _looks_like_safetensors(head: bytes, size: int) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size


def _torch_load(path: Path, head: bytes) -> object:
    if head[:2] == b"PK":
        _check_zip(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        text = str(error)
        if "Unsupported global" in text or "GLOBAL" in text or "Unsupported class" in text:
            name = text.split("GLOBAL ", 1)[-1].split()[0] if "GLOBAL " in text else "a program"
            raise UnsafeFileError(
                f"{path}: refused, the file asks to run {name}; only tensors are read"
            ) from error
        first = text.splitlines()[0] if text else "unreadable"
        raise UnsafeFileError(f"{path}: refused by the tensor-only reader ({first})") from error
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptFileError(f"{path}: truncated or not a torch file ({reason})") from error


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise CorruptFileError(f"{path}: truncated or damaged torch zip ({error})") from error
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise UnsafeFileError(
                f"{path}: refused, {member.filename} is compressed; torch never compresses tensors"
            )
    if sum(m.file_size for m in members) > path.stat().st_size + _STORED_SLACK:
        raise UnsafeFileError(f"{path}: refused, members claim more bytes than the file has")


def _unwrap(path: Path, loaded: object) -> dict[str, Tensor]:
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping):
        raise StateMismatchError(f"{path}: holds a {type(loaded).__name__}, not a state dict")
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise StateMismatchError(f"{path}: {key!r} is a {type(value).__name__}, not a tensor")
    return dict(loaded)


def check_state(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Any]) -> None:
    """Refuse tensors that do not fit a network, naming the first few keys.

    Args:
        path: the file, for the message.
        found: tensors by name.
        expected: tensors, or shapes, by name.

    Raises:
        StateMismatchError: a key is missing, unexpected, or of another shape.
    """
    shapes = {k: tuple(getattr(v, "shape", v)) for k, v in expected.items()}
    for key, shape in shapes.items():
        if key in found and tuple(found[key].shape) != shape:
            raise StateMismatchError(
                f"{path}: {key} has shape {tuple(found[key].shape)}, expected {shape}"
            )
    missing = sorted(shapes.keys() - found.keys())
    unexpected = sorted(found.keys() - shapes.keys())
    for what, keys in (("missing", missing), ("unexpected", unexpected)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise StateMismatchError(f"{path}: {what} keys {', '.join(keys[:3])}{more}")


def load_into(module: torch.nn.Module, weights: WeightsFile, **renamed: Tensor) -> None:
    """Copy checked tensors into a module built for them, one key at a time (no second copy)."""
    tensors = {**weights.tensors, **renamed}
    check_state(weights.path, tensors, module.state_dict())
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:  # dtype surprises; shapes were checked above
        raise WeightsError(f"{weights.path}: {str(error).splitlines()[0]}") from error
