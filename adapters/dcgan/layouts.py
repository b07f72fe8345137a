"""Networks whose code is published and whose keys are their own, so that nothing need be asked.

Guarantees that a network is taken for one of these only if every layer has the place and every
width that the code fixes.

Source: eriklindernoren/PyTorch-GAN. ``gan``, ``wgan``, ``wgan_gp``, ``wgan_div``, ``bgan`` and
``softmax_gan`` share one stack of linear layers; ``dcgan``, ``dragan``, ``began``,
``relativistic_gan`` and older ``lsgan`` one of convolutions, ``ebgan`` and newer ``lsgan`` the same
without its first norm. All norms but that first one have epsilon 0.8, which the code passes in
place of a momentum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .chain import FoundLayer

_WIDTHS = (128, 256, 512, 1024)
_FIRST = 128  # channels of the first map of the convolutions, and of the next
_NUMBERS = ((2, 6, 9), (1, 5, 8))  # of the convolutions: with and without the first norm


@dataclass(frozen=True)
class Layout:
    """What the code of a known network says that its file does not.

    Attributes:
        name: in words.
        settings: of the whole plan.
        layers: for each layer the values of its plan that differ from the usual.
    """

    name: str
    settings: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]] = field(default=())


_SETTINGS = {"activation": "leaky", "slope": 0.2, "final": "tanh", "eps": 0.8}


def known_layout(layers: Sequence[FoundLayer]) -> Layout | None:
    """The published network that a stack is, or None."""
    places = [layer.main.place for layer in layers]
    if None in places or layers[0].tables:
        return None
    numbers = tuple(place[1] for place in places if place)
    norms = [[m.place[1] if m.place else -1 for m in layer.others] for layer in layers]
    outputs = tuple(layer.outputs for layer in layers)
    if {layer.kind for layer in layers} == {"linear"}:
        fits = numbers == (0, 2, 5, 8, 11) and norms == [[], [3], [6], [9], []]
        if fits and outputs[:-1] == _WIDTHS:
            return Layout("the linear generator of PyTorch-GAN (gan, wgan, …)", _SETTINGS)
        return None
    convolutions = numbers[1:]
    if numbers[0] or convolutions not in _NUMBERS or layers[0].channels != _FIRST:
        return None
    normed = convolutions == _NUMBERS[0]
    expected = [[0] if normed else [], [convolutions[0] + 1], [convolutions[1] + 1], []]
    kernels = {layer.main.shape[2:] for layer in layers[1:]}
    if norms != expected or outputs[1:3] != (_FIRST, _FIRST // 2) or kernels != {(3, 3)}:
        return None
    doubled = {"kind": "conv", "stride": 1, "padding": 1, "upsample": 2, "active": True}
    first = {"active": False, "first": "norm", "native": None, "eps": 1e-5 if normed else None}
    return Layout(
        "the convolutional generator of PyTorch-GAN (dcgan, lsgan, …)",
        _SETTINGS,
        (first, doubled, doubled, {**doubled, "upsample": 1}),
    )
