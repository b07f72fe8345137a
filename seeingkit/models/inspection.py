"""Inspection of a weights file: container, family, layout and tensors, without running it.

Guarantees: the file goes through ``seeingkit.weights.read_checkpoint``, which builds data only; the
family is detected by the recognisers of all families; a file that no family can load is described
all the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from seeingkit.errors import SeeingkitError, StateMismatchError
from seeingkit.specs import GanSpec
from seeingkit.weights import Checkpoint, Opaque, read_checkpoint

from .recognition import claims_of, encoder_recognisers, recognisers, weights_file
from .registry import registry

_DEEPEST = 32  # levels of nesting followed; no real file has more than about ten
_MOST = 100_000  # tensors listed
_LONGEST = 500  # characters of a name


def inspect_file(path: str | Path) -> dict[str, Any]:
    """Everything that ``seeingkit weights inspect g.pth`` shows, JSON-able.

    Returns:
        file, bytes, sha256, container, metadata; families (family and layout of each that
        recognises it) and encoders (the same of encoders that come with a generator); loads ("yes",
        or the reason why not) and, where it loads, network (its place in the file, None if it is
        the whole), config, resolution, parameters and assumptions (what the file does not hold
        and the loader takes to be so); tensors (name, shape, dtype of each)
        and values, their total number.

    Raises:
        WeightsError: the file is missing, unsafe or damaged.
    """
    path = Path(path)
    file = weights_file(path)
    checkpoint = read_checkpoint(file)
    try:
        claims = claims_of(checkpoint, recognisers(registry()))
        encoders = claims_of(checkpoint, encoder_recognisers(registry()))
    except StateMismatchError:  # absurd, which is why it does not load
        claims, encoders = [], []
    tensors = list(itertools.islice(tensors_in(checkpoint.content), _MOST))
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "sha256": checkpoint.sha256,
        "container": checkpoint.container,
        "metadata": checkpoint.metadata,
        "families": [{"family": c.spec.name, "layout": c.layout} for c in claims],
        "encoders": [{"family": c.spec.name, "layout": c.layout} for c in encoders],
        **_as_loaded(path, [c.spec.name for c in claims]),
        "tensors": [
            {"name": name, "shape": list(tensor.shape), "dtype": _dtype(tensor)}
            for name, tensor in tensors
        ],
        "values": sum(math.prod(tensor.shape) for _, tensor in tensors),
    }


def _as_loaded(path: Path, families: list[str]) -> dict[str, Any]:
    """Whether and how the file loads with the family's defaults."""
    from .loading import load_generator

    keys = ("loads", "network", "config", "resolution", "parameters")
    found: dict[str, Any] = dict.fromkeys(keys) | {"assumptions": []}
    try:
        generator = load_generator(families[0] if len(families) == 1 else "auto", weights=path)
    except SeeingkitError as error:
        return found | {"loads": f"no: {error}"}
    config, info = getattr(generator, "config", None), generator.info
    found |= {"loads": "yes", "config": None if config is None else dict(config)}
    found |= {"network": info.options.get("key"), "resolution": info.resolution}
    return found | {"parameters": info.parameters, "assumptions": list(info.assumptions)}


def tensors_in(content: Any) -> Iterator[tuple[str, Tensor | np.ndarray[Any, Any]]]:
    """Every tensor and array of a checkpoint's tree with its path, in the order of the file.

    ``{"g_ema": {"conv.weight": t}}`` gives ``g_ema.conv.weight``; list items are numbered; a list
    of (name, array) pairs, as TensorFlow networks store their variables, gives those names; the
    data of an ``Opaque`` object stand under the object's own path, and a pickled module's tensors
    under the names that its ``state_dict`` would give. A value that is in the tree at several
    places is followed at the first.
    """
    pending: list[tuple[str, Any, int]] = [("", content, 0)]
    met: set[int] = set()
    while pending:
        where, node, depth = pending.pop()
        if isinstance(node, (Tensor, np.ndarray)):
            yield where or "(the file)", node
        elif depth < _DEEPEST and _first_time(node, met):
            children = [
                (_join(where, str(key)), child, depth + 1)
                for key, child in _children(node, met)
                if isinstance(child, _FOLLOWED)
            ]
            pending.extend(reversed(children))


_FOLLOWED = (dict, list, tuple, Opaque, Tensor, np.ndarray)
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")  # of a pickled ``torch.nn.Module``


def _first_time(node: Any, met: set[int]) -> bool:
    new = id(node) not in met
    met.add(id(node))
    return new


def _children(node: Any, met: set[int]) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, Opaque):
        state = node.state
        yield from enumerate(node.args)
        if not isinstance(state, (dict, list, tuple)):
            yield "", state
        elif not _first_time(state, met):
            return
        elif isinstance(state, dict) and _is_module(state):
            parts = [state[p] for p in _MODULE_PARTS if _first_time(state[p], met)]
            yield from (item for part in parts for item in part.items())
            yield from (item for item in state.items() if item[0] not in _MODULE_PARTS)
        else:
            yield from _children(state, met)
    elif isinstance(node, (list, tuple)):
        yield from ((item[0], item[1]) for item in node) if _is_named(node) else enumerate(node)


def _is_module(state: dict[Any, Any]) -> bool:
    """Whether the state of an object is the ``__dict__`` of a module."""
    return all(isinstance(state.get(part), dict) for part in _MODULE_PARTS)


def _is_named(node: Any) -> bool:
    """Whether a list holds (name, value) pairs, arrays among them."""
    pairs = all(
        isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str)
        for item in node
    )
    return pairs and any(isinstance(item[1], (Tensor, np.ndarray)) for item in node)


def _join(where: str, key: str) -> str:
    return (f"{where}.{key}" if where and key else where or key)[:_LONGEST]


def _dtype(tensor: Tensor | np.ndarray[Any, Any]) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def source_layout(path: Path, family: str) -> str:
    """The layout that a family recognises a file by, or ``unknown``."""
    checkpoint: Checkpoint = read_checkpoint(weights_file(path))
    spec = cast("GanSpec", registry().resolve("gan", family))
    claims = claims_of(checkpoint, [spec]) if spec.recognise else []
    return claims[0].layout if claims else "unknown"
