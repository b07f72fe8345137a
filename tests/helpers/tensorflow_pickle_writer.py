"""Writes pickles of NVIDIA's TensorFlow networks without their code: same classes, names, state.

A stand-in class of the right module and name is importable only while a file is written, so what
lies in the file is what the original's own ``pickle.dump`` wrote.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


class Record:
    """One network to write: its state, and the networks inside it."""

    def __init__(self, state: Mapping[str, Any], components: Mapping[str, Record] | None = None):
        self.state = dict(state)
        self.components = components


def network(
    version: int,
    function: str,
    variables: Arrays,
    static_kwargs: Mapping[str, Any],
    components: Mapping[str, Record] | None = None,
) -> Record:
    """The state of ``tfutil.Network`` (2) or ``dnnlib.tflib.network.Network`` (3, 4)."""
    state = {
        "version": version,
        "name": "Gs",
        "static_kwargs": dict(static_kwargs),
        "build_module_src": "raise SystemExit('source text must never run')",
        "build_func_name": function,
        "variables": [(name, value) for name, value in variables.items()],
    }
    return Record(state, components if version > 2 else None)


def write(
    path: Path, module: str, record: Record, *, protocol: int = 4, shape: str = "tuple"
) -> Path:
    """Pickle (G, D, Gs) with ``record`` as Gs and a broken network in the other two places.

    Args:
        path: the file.
        module: where the class is from, such as ``tfutil``.
        record: what Gs holds.
        protocol: of the pickle.
        shape: ``tuple``, ``list``, ``mapping`` (Gs by name) or ``alone``.
    """
    made = type(
        "Network",
        (),
        {"__module__": module, "__getstate__": lambda self: self.state, "__slots__": ("state",)},
    )

    def build(source: Record) -> Any:
        instance: Any = made()
        instance.state = dict(source.state)
        if source.components is not None:
            parts = {name: build(part) for name, part in source.components.items()}
            instance.state["components"] = parts
        return instance

    other = build(Record({"version": 2, "variables": []}))
    gs = build(record)
    content: Any = {
        "tuple": (other, other, gs),
        "list": [other, other, gs],
        "mapping": {"G": other, "Gs": gs},
        "alone": gs,
    }[shape]
    names = [".".join(module.split(".")[: i + 1]) for i in range(module.count(".") + 1)]
    before = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        sys.modules[module].Network = made  # type: ignore[attr-defined]
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    finally:
        for name, previous in before.items():
            if previous is None:
                del sys.modules[name]
            else:
                sys.modules[name] = previous
    return path
