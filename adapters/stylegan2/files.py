"""Detects the layout of a StyleGAN2 file, and reads any of them to (config, tensors).

Guarantees that the layout is decided on content, and that our own safetensors come back as the very
config they were written with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Near,
    Network,
    find_network,
    nearest,
    portable_config,
    portable_family,
    state_dict,
)

from . import pickles, rosinality, state_dicts, tensorflow
from .config import StyleGAN2Config

FAMILY = "stylegan2"

_Contents = tuple[StyleGAN2Config, Mapping[str, Tensor]]
_RECOGNISERS: tuple[Callable[[Checkpoint], str | None], ...] = (
    pickles.recognise,
    tensorflow.recognise,
    rosinality.recognise,
    state_dicts.recognise,
)
_STATE_DICTS: tuple[tuple[Layout, Callable[[Checkpoint, Network], _Contents]], ...] = (
    (rosinality.NATIVE, rosinality.read),
    (rosinality.LAYOUT, rosinality.read),
    (state_dicts.LAYOUT, state_dicts.read),
)


def recognise(checkpoint: Checkpoint) -> str | None:
    """Name of the file's layout for people, or None if it is no StyleGAN2."""
    family = portable_family(checkpoint)
    if family is not None:
        return "seeingkit safetensors" if family == FAMILY else None
    for recognises in _RECOGNISERS:
        name = recognises(checkpoint)
        if name is not None:
            return name
    return None


def explain(checkpoint: Checkpoint) -> Near | None:
    """How near a file of another kind comes to this family, and why it is not of it."""
    return nearest(checkpoint, [layout for layout, _ in _STATE_DICTS])


def read(
    checkpoint: Checkpoint, key: str | None = None
) -> tuple[StyleGAN2Config, Mapping[str, Tensor], str]:
    """The config, the tensors by our names, which may be views of the file, and their place.

    Args:
        checkpoint: the file.
        key: place of the network in a file of several.

    Raises:
        WeightsError: not a StyleGAN2, or one with something that this code does not compute.
        UsageError: ``key`` does not choose one network.
    """
    ours = portable_config(checkpoint, FAMILY)
    if ours is not None:
        config = StyleGAN2Config.validated(checkpoint.path, ours)
        return config, state_dict(checkpoint, checkpoint.content), ""
    if pickles.holds(checkpoint):  # a network of another family is named by what is wrong
        return pickles.read(checkpoint, key)
    if tensorflow.holds(checkpoint):
        return *tensorflow.read(checkpoint), ""
    for layout, read_layout in _STATE_DICTS:
        network = find_network(checkpoint, layout.marks, "StyleGAN2 generator", key)
        if network is None and layout is not state_dicts.LAYOUT:  # less will do to name the fault
            network = find_network(checkpoint, layout.marks[:1], "StyleGAN2 generator", key)
        if network is not None:
            return *read_layout(checkpoint, network), network.where
    raise StateMismatchError(
        f"{checkpoint.path}: not a StyleGAN2 generator of NVIDIA (.pkl, or a state dict), of "
        "rosinality or rewriting (.pt), or of seeingkit; try --gan auto"
    )
