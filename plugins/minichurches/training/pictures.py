"""Training pictures: scenes rendered once into one memory-mapped array, and sheets of samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from seeingkit.system.writing import atomic_write

Render = Callable[[int, int, int], np.ndarray]
"""(seed, index, size) to one picture, (size, size, 3) uint8 RGB."""

_CHUNK = 256


def scene_picture(seed: int, index: int, size: int) -> np.ndarray:
    """The picture of one scene, (size, size, 3) uint8 RGB."""
    from seeingkit_plugins.minichurches.scenes import render

    picture: np.ndarray = np.asarray(render(seed, index, size)[0])
    return picture


def _fill(path: Path, render: Render, seed: int, size: int, start: int) -> int:
    array = np.load(path, mmap_mode="r+")
    stop = min(start + _CHUNK, len(array))
    for i in range(start, stop):
        array[i] = render(seed, i, size)
    array.flush()
    return stop - start


def picture_cache(
    path: Path, count: int, *, seed: int, size: int, render: Render = scene_picture
) -> np.ndarray:
    """Pictures 0 … count - 1 of a seed, (count, size, size, 3) uint8, rendered once.

    An array of that shape that is already at ``path`` is used as it is; delete the file after a
    change of the renderer.
    """
    if path.exists():
        found: np.ndarray = np.load(path, mmap_mode="r")
        if found.shape == (count, size, size, 3):
            return found
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".partial.npy")
    np.lib.format.open_memmap(
        partial_path, mode="w+", dtype=np.uint8, shape=(count, size, size, 3)
    ).flush()
    fill = partial(_fill, partial_path, render, seed, size)
    starts = range(0, count, _CHUNK)
    if len(starts) == 1:
        fill(0)
    else:
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            for _ in pool.map(fill, starts):
                pass
    partial_path.replace(path)
    done: np.ndarray = np.load(path, mmap_mode="r")
    return done


def batches(pictures: np.ndarray, batch: int, generator: np.random.Generator) -> Iterator[Tensor]:
    """Endless uint8 batches (N, H, W, 3), each picture once per epoch, in random order."""
    while True:
        order = generator.permutation(len(pictures))
        for start in range(0, len(order) - batch + 1, batch):
            yield torch.from_numpy(pictures[np.sort(order[start : start + batch])])


def at_resolution(pictures: Tensor, resolution: int, alpha: float = 1.0) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, R, R) in [-1, 1], channels-last, box-filtered.

    While a resolution fades in, its detail does too, as in the generator's output.
    """
    x = pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    if x.shape[-1] != resolution:
        x = F.avg_pool2d(x, x.shape[-1] // resolution)
    if alpha < 1.0:
        x = torch.lerp(F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0), x, alpha)
    return x.contiguous(memory_format=torch.channels_last)


def save_sheet(images: Tensor, path: Path, *, columns: int = 8, enlarge: int = 3) -> None:
    """Write images (N, 3, H, W) in [-1, 1] as one PNG, ``columns`` to a row.

    Args:
        images: on any device.
        path: of the PNG, which is written whole or not at all.
        columns: images in a row.
        enlarge: pixels of the sheet per pixel of an image, along each side.
    """
    n, _, height, width = images.shape
    rows = -(-n // columns)
    pixels = images.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pixels):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = picture
    picture = Image.fromarray(sheet)
    picture = picture.resize(
        (picture.width * enlarge, picture.height * enlarge), Image.Resampling.NEAREST
    )
    with atomic_write(path) as stream:
        picture.save(stream, "PNG")
