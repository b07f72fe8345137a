"""Files of tensors: safetensors, written whole or not at all, sealed where they are stored work.

Guarantees: equal tensors and metadata make equal files; a sealed file holds a digest of all its
bytes, which reading checks before anything is parsed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
from torch import Tensor

from . import seals
from .addresses import Place
from .writing import P, atomic_write

T = TypeVar("T")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> Path:
    """Write tensors and metadata as safetensors, whole or not at all; returns the path."""
    _write(path, safetensors.torch.save(_separate(tensors), {**about}))
    return path


def write_sealed_tensors(
    path: P, tensors: Mapping[str, Tensor], key: str, about: Mapping[str, Any]
) -> P:
    """As ``write_tensors``, with a seal.

    ``about`` becomes JSON under the only key of the metadata: the library writes several in an
    order of chance, and equal work is to be equal files.
    """
    metadata = {key: json.dumps({**about, "digest": seals.BLANK}, sort_keys=True)}
    data = safetensors.torch.save(_separate(tensors), metadata)
    _write(path, seals.seal(data))
    return path


def read_sealed_tensors(path: Place, key: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and metadata of a file of ``write_sealed_tensors``.

    Raises:
        OSError: it is missing.
        ValueError, LookupError, safetensors.SafetensorError: damaged, or of another kind.
        StorageError: the system does not let it be read.
    """
    data = seals.read_whole(path)
    return safetensors.torch.load(data), about_of(data, key)


def read_or_set_aside(
    path: Place, key: str, made_of: Callable[[dict[str, Tensor], dict[str, Any]], T]
) -> T | None:
    """What a stored file holds; None where it is missing, or damaged and now set aside.

    Args:
        path: named by everything that changes its content, which it holds as ``about["name"]``.
        key: of its metadata.
        made_of: makes it of the tensors and the metadata; raises ValueError or LookupError where
            they are not what the place promises.

    Raises:
        StorageError: the system does not let it be read.
    """
    if not path.exists():
        return None
    try:
        tensors, about = read_sealed_tensors(path, key)
        if about["name"] != path.stem:
            raise ValueError("it is of other work than its name says")
        return made_of(tensors, about)
    except FileNotFoundError:
        return None
    except (OSError, LookupError, ValueError, TypeError, safetensors.SafetensorError) as error:
        seals.set_aside(path, error)
        return None


def tensor_digest(tensor: Tensor | None) -> str:
    """SHA-256 of type, shape and values; empty for None.

    >>> len(tensor_digest(torch.zeros(2)))
    64
    """
    if tensor is None:
        return ""
    data = tensor.detach().cpu().contiguous()
    text = f"{data.dtype} {tuple(data.shape)}".encode()
    return hashlib.sha256(text + data.numpy().tobytes()).hexdigest()


def about_of(data: bytes, key: str) -> dict[str, Any]:
    """The metadata of a sealed file with these bytes, all of which are checked.

    Raises:
        ValueError, LookupError: damaged, or of another kind.
    """
    seals.check_seal(data)
    length = int.from_bytes(data[:8], "little")
    about: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][key])
    return about


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies, for the library takes no two tensors that share memory."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _write(path: Place, data: bytes) -> None:
    with atomic_write(path) as stream:
        stream.write(data)
