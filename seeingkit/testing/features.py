"""Checks of perceptual features, as ``seeingkit.contracts`` promises them.

Guarantee: a mean difference of features that pass is a loss for each image by itself, and a finite
gradient of it leads to the images and to nothing else.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import Features

from .checks import (
    BATCH_TOLERANCE,
    Check,
    at,
    checks_in,
    noise_images,
    require,
    require_again,
    require_json,
    require_same,
)


def identity_is_json(features: Features, images: Tensor) -> None:
    """What the features depend on can be written down and compared."""
    require_json(features.info.identity(), "info.identity()")
    require(bool(features.name and features.info.layer), "the features or their layer have no name")


def features_format(features: Features, images: Tensor) -> None:
    """Features are a tuple of float tensors, batch-first, on the declared device."""
    found = features(images)
    kind = f"a {type(found).__name__} of {len(found)} tensors"
    fits = isinstance(found, tuple) and len(found) > 0
    require(fits, f"features are {kind}, expected a tuple of one or more")
    for k, x in enumerate(found):
        with at(f"tensor {k}"):
            n, fits = len(images), x.is_floating_point() and x.ndim >= 2 and x.numel() > 0
            given = f"{x.dtype} {tuple(x.shape)}"
            require(fits and len(x) == n, f"is {given}, expected floats (N = {n}, …)")
            require(x.device == images.device, f"is on {x.device}, declared {images.device}")


def features_finite(features: Features, images: Tensor) -> None:
    """No NaN and no infinity, for flat images either."""
    flat = torch.stack([torch.full_like(images[0], level) for level in (-1.0, 0.0, 1.0)])
    for what, given in (("noise", images), ("flat images", flat)):
        for k, x in enumerate(features(given)):
            require(bool(torch.isfinite(x).all()), f"tensor {k} of {what} is not finite")


def features_repeat(features: Features, images: Tensor) -> None:
    """The same images give the same features, whatever was seen in between."""
    first = [x.clone() for x in features(images)]
    features(images.flip(3))
    for k, x in enumerate(features(images)):
        require_again(x, first[k], f"tensor {k} again")


def batch_invariance(features: Features, images: Tensor) -> None:
    """An image alone and among others has the same features."""
    together = features(images)
    for i in range(len(images)):
        for k, x in enumerate(features(images[i : i + 1])):
            require_same(x[0], together[k][i], f"tensor {k} of image {i} alone", BATCH_TOLERANCE)


def features_tell_apart(features: Features, images: Tensor) -> None:
    """Different images have different features, in every tensor."""
    for k, x in enumerate(features(images)):
        require(not torch.equal(x[0], x[1]), f"tensor {k} is the same for different images")


def features_differentiable(features: Features, images: Tensor) -> None:
    """From every tensor a finite gradient, not zero, leads to the images."""
    with torch.enable_grad():
        x = images.clone().requires_grad_()
        found = features(x)
        for k, feature in enumerate(found):
            require(feature.requires_grad, f"tensor {k} has no gradient")
            (gradient,) = torch.autograd.grad(
                feature.square().sum(), x, allow_unused=True, retain_graph=True
            )
            require(gradient is not None, f"tensor {k} does not depend on the images")
            require(bool(torch.isfinite(gradient).all()), f"gradient of tensor {k} is not finite")
            require(bool(gradient.any()), f"gradient of tensor {k} is zero everywhere")


def gradient_by_row(features: Features, images: Tensor) -> None:
    """The gradient of one image's features does not touch another image."""
    with torch.enable_grad():
        x = images.clone().requires_grad_()
        total = torch.stack([feature[0].square().sum() for feature in features(x)]).sum()
        (gradient,) = torch.autograd.grad(total, x)
    require(not bool(gradient[1:].any()), "the features of image 0 pull at other images")


def network_is_constant(features: Features, images: Tensor) -> None:
    """Nothing but the images asks for a gradient, so that a loss cannot change the network."""
    with torch.enable_grad():
        for k, x in enumerate(features(images)):
            require(not x.requires_grad, f"tensor {k} asks for the gradient of the network")


def other_sizes(features: Features, images: Tensor) -> None:
    """Images need not be square, and larger images do not have fewer features."""
    height, width = images.shape[2:]
    wide = F.interpolate(images, size=(height, 2 * width), mode="bilinear", align_corners=False)
    small, large = features(images), features(wide)
    require(len(large) == len(small), f"{len(large)} tensors of wider images, not {len(small)}")
    for k, (few, many) in enumerate(zip(small, large, strict=True)):
        shapes = f"{tuple(many.shape)} of images twice as wide, {tuple(few.shape)} else"
        require(len(many) == len(few) and many.numel() >= few.numel(), f"tensor {k} is {shapes}")


def images_untouched(features: Features, images: Tensor) -> None:
    """Nothing changes the images it is given."""
    given = images.clone()
    features(given)
    require_same(given, images, "images after a call")


def moving_keeps_features(features: Features, images: Tensor) -> None:
    """``to`` returns the features themselves, unchanged where they already are."""
    before = [x.clone() for x in features(images)]
    require(features.to(features.device) is features, "to() returned something else")
    for k, x in enumerate(features(images)):
        require_again(x, before[k], f"tensor {k} after to()")


def features_checks(images: Tensor | None = None) -> list[tuple[str, Check[Features]]]:
    """Name and function of each check of features; a function raises AssertionError.

    Args:
        images: as of ``annotator_checks``, but the noise has 64 x 64 pixels.

    >>> [name for name, _ in features_checks()][:2]
    ['identity_is_json', 'features_format']
    """
    return checks_in(__name__, noise_images(size=64) if images is None else images)
