"""The config record of pytorch_GAN_zoo's files (torch.hub ``PGAN``, ``DCGAN``), which is read.

Guarantees that what the tensors leave open (the last activation, blending, classes) is taken from
the record beside the network, checked, and never guessed without one.

A file is ``{config, netG, netD, avgG}``; ``config`` is a ``models.utils.config.BaseConfig`` object
whose attributes are plain values, or a dict of them where someone saved it again. The last
activation belongs to the loss that trained the network: tanh for ``DCGAN`` and ``MSE``, none for
``WGANGP`` and ``Logistic``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Network, Opaque, shown

RECORD = "models.utils.config.BaseConfig"
FINALS: Mapping[str, Literal["tanh", "none"]] = {
    "DCGAN": "tanh",
    "MSE": "tanh",
    "WGANGP": "none",
    "Logistic": "none",
}
"""The last activation that each loss goes with."""
_MOST_CLASSES = 10_000


class Attributes(NamedTuple):
    """What a network was conditioned on: one value of each attribute, as joined one-hot vectors.

    Attributes:
        sizes: numbers of values, in the order of the vectors.
        names: of all classes, which are the combinations of values, the last attribute fastest.
    """

    sizes: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


def record_of(network: Network) -> Mapping[str, Any] | None:
    """The values of the record beside a network, or None if there is none."""
    found = network.beside.get("config")
    if isinstance(found, Opaque) and found.kind == RECORD:
        found = found.state
    return found if isinstance(found, Mapping) and "lossCriterion" in found else None


def final_of(path: Path, record: Mapping[str, Any]) -> Literal["tanh", "none"]:
    """The last activation of a network with this record.

    Raises:
        StateMismatchError: a loss that pytorch_GAN_zoo does not have.
    """
    loss = record["lossCriterion"]
    if not isinstance(loss, str) or loss not in FINALS:
        raise StateMismatchError(
            f"{path}: config: lossCriterion is {shown(loss)}, not one of {', '.join(FINALS)}; the "
            "last activation depends on it"
        )
    return FINALS[loss]


def check_record(path: Path, record: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse a record whose sizes are not those of the tensors.

    Raises:
        StateMismatchError: names the first that differs; one that the record lacks does not.
    """
    for name, size in found.items():
        if (value := record.get(name, size)) != size:
            raise StateMismatchError(
                f"{path}: config: {name} is {shown(value)}, but the tensors have {size}"
            )


def number(path: Path, record: Mapping[str, Any], name: str, least: float, most: float) -> float:
    """A number of the record between two others.

    Raises:
        StateMismatchError: it is missing, no number, or beyond them.
    """
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise StateMismatchError(f"{path}: config: {name} is {shown(value)}, not a number")
    if not (math.isfinite(value) and least <= value <= most):
        raise StateMismatchError(f"{path}: config: {name} is {value}, not {least:g} to {most:g}")
    return float(value)


def attributes_of(path: Path, record: Mapping[str, Any], inputs: int) -> Attributes:
    """The attributes of a network that takes so many numbers, z among them.

    Raises:
        StateMismatchError: the record contradicts itself or the network, or there are more
            combinations of values than can be classes.
    """
    order = record.get("attribKeysOrder")
    found = _attributes(path, order) if order else Attributes()
    width = record.get("categoryVectorDim", 0)
    noise = record.get("noiseVectorDim", inputs - sum(found.sizes))
    if (noise, width) != (inputs - sum(found.sizes), sum(found.sizes)):
        raise StateMismatchError(
            f"{path}: config: noiseVectorDim is {shown(noise)} and categoryVectorDim "
            f"{shown(width)}; the network takes {inputs} numbers, and attribKeysOrder has "
            f"{sum(found.sizes)} values"
        )
    return found


def _attributes(path: Path, order: Any) -> Attributes:
    fault = StateMismatchError(
        f"{path}: config: attribKeysOrder is no dict of attributes, each with its order and "
        "different values"
    )
    if not isinstance(order, Mapping):
        raise fault
    by_place: dict[int, list[str]] = {}
    for attribute in order.values():
        if not isinstance(attribute, Mapping):
            raise fault
        place, values = attribute.get("order"), attribute.get("values")
        if type(place) is not int or not isinstance(values, (list, tuple)) or not values:
            raise fault
        by_place[place] = [v if isinstance(v, str) else shown(v) for v in values]
        if len(set(by_place[place])) < len(values):
            raise fault
    if sorted(by_place) != list(range(len(order))):
        raise fault
    values = [by_place[place] for place in range(len(order))]
    sizes = tuple(map(len, values))
    if math.prod(sizes) > _MOST_CLASSES:
        raise StateMismatchError(
            f"{path}: its attributes have {math.prod(sizes):,} combinations of values, more than "
            f"{_MOST_CLASSES:,} classes are not supported"
        )
    return Attributes(sizes, tuple(" ".join(parts) for parts in itertools.product(*values)))
