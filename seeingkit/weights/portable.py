"""Portable weights files: safetensors with family and config, all that rebuilds the model.

Guarantees that a file written here loads into an equal model: the metadata carries the family and
its config (``seeingkit.family``, ``seeingkit.config`` as JSON), and the file appears whole or not
at all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.system.writing import atomic_write

from .checkpoints import Checkpoint

FAMILY = "seeingkit.family"
CONFIG = "seeingkit.config"
_LONGEST_CONFIG = 1 << 20  # characters; that of a segmenter with thousands of labels has 200,000


def write_portable(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    family: str,
    config: Mapping[str, Any],
    **extra: str,
) -> Path:
    """Write a model: ``write_portable("g.safetensors", tensors, "progan", config)``.

    Args:
        path: the file; one that exists is replaced.
        tensors: by the names of the family's own network.
        family: as registered.
        config: JSON-able; all that rebuilds the model besides tensors and the user's options.
        extra: more text for the metadata, such as ``licence`` (kept as given) or, under
            ``seeingkit.`` names, ``source_sha256`` and ``source_layout``.

    Returns:
        the path.

    Raises:
        StorageError: the file cannot be written.

    >>> write_portable("g.safetensors", {"w": torch.ones(2)}, "mygan", {"size": 8}).name
    'g.safetensors'
    """
    path = Path(path)
    metadata = {FAMILY: family, CONFIG: json.dumps(dict(config), sort_keys=True), **extra}
    separate = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    with atomic_write(path) as stream:  # by name: as bytes, the model would be in memory twice
        try:
            safetensors.torch.save_file(separate, stream.name, metadata=metadata)
        except safetensors.SafetensorError as error:
            raise _fault(error) from error
    return path


def _fault(error: safetensors.SafetensorError) -> OSError:
    """The fault of the operating system that the library tells of in words alone."""
    number = re.search(r"os error (\d+)", str(error))
    if number is None:
        return OSError(str(error))
    return OSError(int(number[1]), os.strerror(int(number[1])))


def portable_family(checkpoint: Checkpoint) -> str | None:
    """The family that a portable file was written for; None for any other file.

    >>> path = write_portable("g.safetensors", {"w": torch.ones(2)}, "mygan", {"size": 8})
    >>> portable_family(read_checkpoint(path))
    'mygan'
    """
    return checkpoint.metadata.get(FAMILY) if checkpoint.container == "safetensors" else None


def portable_config(checkpoint: Checkpoint, family: str) -> dict[str, Any] | None:
    """The config in a portable file, or None for any other file.

    Raises:
        StateMismatchError: a file of another family, or a config that is not JSON.

    >>> path = write_portable("g.safetensors", {"w": torch.ones(2)}, "mygan", {"size": 8})
    >>> portable_config(read_checkpoint(path), "mygan")
    {'size': 8}
    """
    found = portable_family(checkpoint)
    if found is None:
        return None
    path = checkpoint.path
    if found != family:
        raise StateMismatchError(f"{path}: written for {found}, not {family}; load it as {found}")
    text = checkpoint.metadata.get(CONFIG, "")
    if len(text) > _LONGEST_CONFIG:
        raise StateMismatchError(f"{path}: its config of {len(text)} characters is none")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateMismatchError(f"{path}: its config is not JSON") from error
    if not isinstance(config, dict):
        raise StateMismatchError(f"{path}: its config is not a JSON object")
    return config
