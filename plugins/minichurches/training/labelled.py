"""Training data of the segmenter: labelled scenes, degradations, class weights, and its score."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seeingkit.contracts import Segmenter
from seeingkit_plugins.minichurches.scenes import OBJECT_PARTS, OBJECTS, PARTS, render

from . import HELDOUT_SEED, TRAIN_SEED

RESOLUTION = 64
# Large regions keep their label where something is smeared over them.
_BROAD = ("building", "sky", "tree", "grass", "road", "sidewalk", "earth", "mountain", "water")


def labels_text() -> str:
    """The ``labels.json`` of the church world."""
    parts = {
        owner: ["-", *OBJECT_PARTS[owner]] for owner in sorted(OBJECT_PARTS, key=OBJECTS.index)
    }
    file = {
        "object": list(OBJECTS),
        "scene": [],
        "material": [],
        "part": list(PARTS),
        "object_part": parts,
    }
    return json.dumps(file)


def scenes(seed: int, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, 3, 64, 64) float32 in [-1, 1], objects and parts (N, 64, 64) int64."""
    drawn = [render(seed, index, RESOLUTION) for index in indices]
    images = torch.from_numpy(np.stack([scene.image for scene in drawn]))
    objects = torch.from_numpy(np.stack([scene.objects for scene in drawn])).long()
    parts = torch.from_numpy(np.stack([scene.parts for scene in drawn])).long()
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1, objects, parts


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Degrade images as a generator might: light, tint, contrast, blur, lost detail, noise.

    Args:
        images: (N, 3, H, W) float32 in [-1, 1].
        generator: of all that is drawn.

    Returns:
        Images of the same shape and range.
    """
    n = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator) * (high - low) + low

    def chosen(share: float) -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=generator) < share

    x = images * uniform(0.75, 1.2, 1, 1, 1) + uniform(-0.15, 0.15, 1, 1, 1)
    x = x + uniform(-0.08, 0.08, 3, 1, 1)
    grey = x.mean(1, keepdim=True)
    x = torch.where(chosen(0.5), grey + (x - grey) * uniform(0.5, 1.3, 1, 1, 1), x)
    x = torch.where(chosen(0.35), blur(x, uniform(0.4, 1.2)), x)
    half = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear")
    x = torch.where(chosen(0.08), half, x)
    noise = torch.randn(x.shape, generator=generator)
    return (x + torch.where(chosen(0.5), noise * uniform(0.0, 0.1, 1, 1, 1), 0.0)).clamp(-1, 1)


def smear(
    images: Tensor, objects: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Smear the blurred, overturned neighbour in the batch over patches of some images.

    Generators fill places with shapeless texture; a segmenter that has only seen finished things
    calls it cars and persons. Labels stay as they are, so that the segmenter learns to ignore such
    texture; only small objects under the smear become 0 (unknown, left out of the loss).

    Args:
        images: (N, 3, H, W) in [-1, 1].
        objects: (N, H, W) int64.
        share: fraction of the images that are smeared, 0 to 1.
        generator: of all that is drawn.

    Returns:
        Images and objects of the same shapes.
    """
    n, _, height, width = images.shape
    texture = blur(images.roll(1, 0).flip(2), 0.9 + torch.rand(n, generator=generator))
    # Smooth noise above a level gives a few patches, more of them towards the ground.
    noise = torch.randn(n, 1, 14, 14, generator=generator)
    noise = F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)
    level = torch.linspace(1.3, 0.3, height).reshape(1, 1, height, 1)
    cover = torch.sigmoid((noise - level) * 4) * (torch.rand(n, 1, 1, 1, generator=generator))
    cover = cover * (torch.rand(n, 1, 1, 1, generator=generator) < share)
    small = ~torch.isin(objects, torch.tensor([OBJECTS.index(name) for name in _BROAD]))
    unknown = small & (cover[:, 0] > 0.25)
    return torch.lerp(images, texture, cover), objects.masked_fill(unknown, 0)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of (N, C, H, W) with its own ``sigma`` (N,), in pixels, for each image."""
    n, channels, height, width = images.shape
    at = torch.arange(-3, 4, dtype=images.dtype)
    kernel = torch.exp(-(at**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    x = F.pad(images.reshape(1, n * channels, height, width), (3, 3, 3, 3), mode="replicate")
    x = F.conv2d(x, kernel[:, None, None, :], groups=n * channels)
    return F.conv2d(x, kernel[:, None, :, None], groups=n * channels).reshape(images.shape)


@functools.cache
def class_weights(balance: float, count: int = 500) -> tuple[Tensor, Tensor]:
    """Loss weights of objects and parts, from the pixel shares in ``count`` training scenes.

    The mean weight of a pixel is 1. Classes that never occur weigh 0.
    """
    _, objects, parts = scenes(TRAIN_SEED, range(count))
    owned = torch.isin(objects, torch.tensor([OBJECTS.index(owner) for owner in OBJECT_PARTS]))
    weights = []
    for labels, size in ((objects, len(OBJECTS)), (parts[owned], len(PARTS))):
        share = torch.bincount(labels.flatten(), minlength=size) / labels.numel()
        weight = torch.where(share > 0, share.clamp(min=1e-4) ** -balance, 0.0)
        weights.append(weight / (weight * share).sum())
    return weights[0], weights[1]


def evaluate(segmenter: Segmenter, count: int, *, sigma: float = 0.0) -> dict[str, Any]:
    """Intersection over union of each label on held-out scenes.

    Args:
        segmenter: with the planes ``object`` and ``part``.
        count: scenes 0 ... count - 1 of ``HELDOUT_SEED``.
        sigma: if positive, blur the pictures by so many pixels first.

    Returns:
        ``object_iou`` and ``part_iou`` by name (labels that occur), their means, the share of
        pixels whose object is right, and the images segmented in a second.
    """
    names = {"object": OBJECTS, "part": PARTS}
    counts = {plane: np.zeros((len(known), len(known)), np.int64) for plane, known in names.items()}
    to_part = torch.zeros(len(segmenter.vocabulary), dtype=torch.int64)
    for number, label in enumerate(segmenter.vocabulary):
        if label.name in PARTS:
            to_part[number] = PARTS.index(label.name)
    seconds = 0.0
    for start in range(0, count, 16):
        images, objects, parts = scenes(HELDOUT_SEED, range(start, min(start + 16, count)))
        if sigma > 0:
            images = blur(images, torch.full((len(images),), sigma))
        began = time.perf_counter()
        maps = segmenter.segment(images)
        seconds += time.perf_counter() - began
        found = {"object": maps[:, 0], "part": to_part[maps[:, 1]]}
        for plane, truth in (("object", objects), ("part", parts)):
            size = len(names[plane])
            pairs = (truth * size + found[plane]).flatten().numpy()
            counts[plane] += np.bincount(pairs, minlength=size**2).reshape(size, size)
    result: dict[str, Any] = {"scenes": count, "sigma": sigma}
    for plane, table in counts.items():
        inside, truth = np.diag(table), table.sum(1)
        iou = inside / np.maximum(truth + table.sum(0) - inside, 1)
        by_name = {
            name: round(float(iou[i]), 4)
            for i, name in enumerate(names[plane])
            if i > 0 and truth[i] > 0
        }
        result[f"{plane}_iou"] = by_name
        result[f"mean_{plane}_iou"] = round(float(np.mean(list(by_name.values()))), 4)
    table = counts["object"]
    result["pixel_accuracy"] = round(float(np.diag(table).sum() / table.sum()), 4)
    result["images_per_second"] = round(count / seconds, 1)
    return result
