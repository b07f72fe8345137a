"""Detects the layout of a StyleGAN2 file, and reads any of them to (config, tensors).

Guarantees that the layout is decided on content, and that our own safetensors come back as the very
config they were written with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from seeingkit.errors import StateMismatchError
from seeingkit.weights import Checkpoint, portable_config, portable_family, state_dict

from . import pickles, rosinality, tensorflow
from .config import StyleGAN2Config

FAMILY = "stylegan2"

_Read = Callable[[Checkpoint], tuple[StyleGAN2Config, Mapping[str, Tensor]]]
_RECOGNISERS: tuple[Callable[[Checkpoint], str | None], ...] = (
    pickles.recognise,
    tensorflow.recognise,
    rosinality.recognise,
)
_READERS: tuple[tuple[Callable[[Checkpoint], bool], _Read], ...] = (
    (pickles.holds, pickles.read),
    (tensorflow.holds, tensorflow.read),
    (rosinality.holds, rosinality.read),
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


def read(checkpoint: Checkpoint) -> tuple[StyleGAN2Config, Mapping[str, Tensor]]:
    """The config and the tensors by our names; tensors may be views of the file.

    Raises:
        WeightsError: not a StyleGAN2, or one with something that this code does not compute.
    """
    ours = portable_config(checkpoint, FAMILY)
    if ours is not None:
        config = StyleGAN2Config.validated(checkpoint.path, ours)
        return config, state_dict(checkpoint, checkpoint.content)
    for holds, read_layout in _READERS:
        if holds(checkpoint):  # a network of another family is named by what is wrong
            return read_layout(checkpoint)
    raise StateMismatchError(
        f"{checkpoint.path}: not a StyleGAN2 generator of NVIDIA (.pkl), rosinality or rewriting "
        "(.pt), or of seeingkit; try --gan auto"
    )
