"""Our own weights format: safetensors with all that is needed to rebuild the model.

Guarantees that a file written here loads into an equal model: the metadata carries the family and
its config (``seeingkit.family``, ``seeingkit.config`` as JSON), and the file appears by rename,
whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from seeingkit.errors import StateMismatchError, WeightsError

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
    """Write a model.

    Args:
        path: where to; an existing file is replaced.
        tensors: by the names of the family's own network.
        family: as registered.
        config: JSON-able; what is not a tensor and not a user's option.
        extra: more text for the metadata, such as ``licence`` (kept as given) or, under
            ``seeingkit.`` names, ``source_sha256`` and ``source_layout``.

    Raises:
        WeightsError: the file cannot be written.

    >>> write_portable("g.safetensors", {"w": torch.ones(2)}, "mygan", {"size": 8}).name
    'g.safetensors'
    """
    path = Path(path)
    metadata = {FAMILY: family, CONFIG: json.dumps(dict(config), sort_keys=True), **extra}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    separate = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
    try:
        safetensors.torch.save_file(separate, part, metadata=metadata)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise WeightsError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def portable_family(checkpoint: Checkpoint) -> str | None:
    """The family a file of ours was written for, or None.

    >>> path = write_portable("g.safetensors", {"w": torch.ones(2)}, "mygan", {"size": 8})
    >>> portable_family(read_checkpoint(path))
    'mygan'
    """
    return checkpoint.metadata.get(FAMILY) if checkpoint.container == "safetensors" else None


def portable_config(checkpoint: Checkpoint, family: str) -> dict[str, Any] | None:
    """The config in a file of ours, or None for any other file.

    Raises:
        StateMismatchError: a file of another family, or a config that is not JSON.

    >>> path = write_portable("g.safetensors", {"w": torch.ones(2)}, "mygan", {"size": 8})
    >>> portable_config(read_checkpoint(path), "mygan")
    {'size': 8}
    """
    found = portable_family(checkpoint)
    if found is None:
        return None
    if found != family:
        raise StateMismatchError(
            f"{checkpoint.path}: written for {found}, not {family}; load it as {found}"
        )
    text = checkpoint.metadata.get(CONFIG, "")
    if len(text) > _LONGEST_CONFIG:
        raise StateMismatchError(f"{checkpoint.path}: its config of {len(text)} characters is none")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateMismatchError(f"{checkpoint.path}: its config is not JSON") from error
    if not isinstance(config, dict):
        raise StateMismatchError(f"{checkpoint.path}: its config is not a JSON object")
    return config
