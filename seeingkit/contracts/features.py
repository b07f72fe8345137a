"""Perceptual features: activations of a fixed network that compare images as people do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

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
