"""Images with units of a layer changed, beside the edits of the weights.

Guarantees: the change is a ``seeingkit.UnitEdit``, and its saved file (``results.edits``) is drawn
again by ``seeingkit paint --edits``, to the same pixels.
"""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import Tensor

from seeingkit.analyses.rewriting.bench import latent_of
from seeingkit.errors import UsageError
from seeingkit.models.editfiles import edit_file
from seeingkit.models.edits import UnitEdit
from seeingkit.results.edits import PNG_URI, LatentStart, edits_json

from .desk import Desk
from .requests import Change, parsed_change, region_of


def changed_pictures(desk: Desk, body: bytes) -> dict[str, Any]:
    """Images with the units of a request (``requests.Change``) changed, as PNG in data URIs.

    Args:
        desk: with the session.
        body: of the request.

    Raises:
        SeeingkitError: units or a layer that are not there, or nothing copied to take values from.

    ``changed_pictures(desk, b'{"layer": "r8.conv1", "units": [13], "indices": [0]}')["images"]``
    """
    asked = parsed_change(body)

    def work() -> dict[str, Any]:
        change = unit_edit(desk, asked)
        found = []
        for index in asked.indices:
            png = desk.png(desk.session.image(index, change=change))
            found.append({"index": index, "picture": PNG_URI + base64.b64encode(png).decode()})
        value = change.value
        shown = value.tolist() if isinstance(value, Tensor) else [float(value)]
        return {"images": found, "values": shown}

    answer: dict[str, Any] = desk.alone(work, f"drawing with units of {asked.layer} changed")
    return answer


def unit_file(desk: Desk, body: bytes) -> str:
    """The change of a request as a file of edits of its first image, for ``seeingkit paint``.

    Raises:
        SeeingkitError: as ``changed_pictures``.

    ``unit_file(desk, b'{"layer": "r8.conv1", "units": [13], "indices": [0]}')``
    """
    asked, one = parsed_change(body), desk.session
    index = asked.indices[0]

    def work() -> str:
        label = latent_of(one.base, index, one.seed, one.labels).get("label")
        start = LatentStart(
            seed=one.seed, index=index, label=None if label is None else int(label[0])
        )
        return edits_json(edit_file(one.generator, start, [unit_edit(desk, asked)], desk.name))

    text: str = desk.alone(work, "saving the change of units")
    return text


def unit_edit(desk: Desk, asked: Change) -> UnitEdit:
    """The change that a request asks for.

    Raises:
        UsageError: units that the layer lacks or that are named twice, a layer without a map, or
            nothing copied to take values from.

    ``unit_edit(desk, parsed_change(body)).units``
    """
    one = desk.session
    layer = one.base.boundary(asked.layer)
    if layer.kind != "feature" or layer.extent is None:
        raise UsageError(f"{layer.name!r} has no map of units: take the layer of another site")
    units = tuple(asked.units)
    if max(units) >= layer.shape[0]:
        raise UsageError(f"units of {layer.name!r} are 0 to {layer.shape[0] - 1}")
    if len(set(units)) != len(units):
        raise UsageError("a unit is named twice")
    value: float | Tensor
    if asked.value is not None:
        value = asked.value
    elif one.copied is None:
        raise UsageError("nothing is copied yet: paint a region whose values are to be inserted")
    else:
        value = torch.tensor(one.unit_means(layer.name, units, one.copied))
    mask = None
    if asked.mask is not None:
        mask = region_of(asked.indices[0], asked.mask, desk.size).area(layer.extent)
    return UnitEdit(layer.name, units, asked.strength, value, mask)
