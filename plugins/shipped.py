"""Weights that ship inside a plugin: ``weights/shipped.json`` lists them. Never imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from seeingkit.specs import WeightFile, WeightsSpec


def halved(state: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors as they ship: matrices and kernels as float16, vectors as float32, no counters.

    Args:
        state: a ``state_dict``.

    >>> halved({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})["weight"].dtype
    torch.float16
    """
    return {
        name: (value.half() if value.ndim >= 2 else value.float()).contiguous()
        for name, value in state.items()
        if value.is_floating_point()
    }


def shipped_weights(package: str, **usual: Any) -> Iterator[WeightsSpec]:
    """The specs of all networks that a plugin ships.

    Args:
        package: import name of the plugin, with the folder ``weights``.
        usual: fields of ``WeightsSpec`` that entries of the list do not have.

    >>> sorted(spec.full_name for spec in shipped_weights("seeingkit_plugins.digits"))[0]
    'dcgan:digits'
    """
    text = files(package).joinpath("weights/shipped.json").read_text("utf-8")
    for entry in json.loads(text):
        file, sha256, size = (entry.pop(key) for key in ("file", "sha256", "size"))
        resource = f"{package}:weights/{file}"
        weights = WeightFile(name=file, resource=resource, sha256=sha256, size=size)
        yield WeightsSpec(**{"licence": "MIT", **usual, **entry}, files=(weights,))
