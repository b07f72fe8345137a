"""Perceptual features: activations of a fixed network that compare images as people do."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from seeingkit.errors import ModelError

from .base import ModelInfo, OnDevice


class FeaturesInfo(ModelInfo):
    """Description of loaded perceptual features; their identity is part of every inversion.

    Attributes:
        layer: the layer that is read out, by the network's own name (``relu4_2``).

    >>> FeaturesInfo(family="myfeatures", layer="relu4_2").layer
    'relu4_2'
    """

    layer: str


class Features(OnDevice, ABC):
    """Activations of a fixed network, in which two images look alike when they do to people.

    Attributes:
        name: for people: the family and its layer.
    """

    name: str
    info: FeaturesInfo

    @abstractmethod
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images; differentiable, the network itself being constant.

        Args:
            images: (N, 3, H, W) float32, nominal [-1, 1], of any H and W the network can take.

        Returns:
            one or more tensors (N, …); row k depends on row k of the images only.

        Raises:
            UsageError: images of another shape, or too small for the network.
        """


def check_features(found: object, rows: int, name: str) -> tuple[Tensor, ...]:
    """The features, if they are finite numbers, as many rows in each tensor as there are images.

    Args:
        found: by features of that ``name``.
        rows: images they are of.

    Raises:
        ModelError: names the features and the fault.

    >>> len(check_features((torch.zeros(2, 8),), 2, "relu1_1"))
    1
    """
    if not isinstance(found, tuple) or not found or not all(isinstance(x, Tensor) for x in found):
        raise ModelError(f"{name}: features are a {type(found).__name__}, not a tuple of tensors")
    for k, x in enumerate(found):
        if x.ndim < 2 or len(x) != rows or not x.is_floating_point():
            given = f"{x.dtype} of shape {tuple(x.shape)}"
            raise ModelError(f"{name}: tensor {k} is {given}, expected floats ({rows}, …)")
        if not bool(torch.isfinite(x).all()):
            raise ModelError(f"{name}: tensor {k} holds NaN or Inf for finite images")
    return found
