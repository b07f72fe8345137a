"""Encoders that come with a generator: their networks in files, and whose they are.

Guarantees that an encoder is found in whatever people wrap networks in, also as the part
``encoder.`` of a whole model, and that generators are told apart by their tensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from seeingkit.contracts import EncoderInfo, ModelEncoder
from seeingkit.weights import Checkpoint, Network, choose_network, networks_with

from .networks import NetworkModel

_NAMED_ENCODER = re.compile(r"(?:.*_)?(?:net_?e|e|enc|encoder)(?:_.*)?|.*encoder", re.IGNORECASE)


class NetworkEncoder(NetworkModel, ModelEncoder):
    """An encoder that is one network, put in eval mode and frozen.

    Args:
        network: with at least one parameter.
        info: its description.
    """

    def __init__(self, network: nn.Module, info: EncoderInfo) -> None:
        self.network = network.eval().requires_grad_(False)
        self.info = info


def encoders_in(checkpoint: Checkpoint, marks: Sequence[str]) -> list[Network]:
    """The networks of a checkpoint with tensors of these names; a place such as ``encoder`` or
    ``netE`` is as usual for them as ``generator`` is for generators."""
    return [
        replace(network, named=network.named or bool(_NAMED_ENCODER.fullmatch(_last(network))))
        for network in networks_with(checkpoint, marks)
    ]


def find_encoder(
    checkpoint: Checkpoint, marks: Sequence[str], what: str, key: str | None = None
) -> Network | None:
    """The one of ``encoders_in`` that is read, chosen as ``seeingkit.weights.choose_network`` does.

    Raises:
        UsageError: ``key`` names none, or several fit and none or several are averages.
    """
    found = encoders_in(checkpoint, marks)
    return choose_network(checkpoint.path, found, what, key) if found else None


def beside(network: Network, others: Sequence[Network]) -> Network | None:
    """Of other networks of the same file the one that lies beside a network: ``ema.encoder``
    beside ``ema.generator``; None if there is none, or several."""
    parent = network.where.rpartition(".")[0]
    found = [one for one in others if one.where.rpartition(".")[0] == parent]
    return found[0] if len(found) == 1 else None


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash of names, shapes and values of the tensors of a network, as float32."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().float().contiguous()
        found.update(f"{name} {tuple(values.shape)}\0".encode())
        found.update(values.numpy().tobytes())
    return found.hexdigest()


def _last(network: Network) -> str:
    return network.where.rpartition(".")[2]
