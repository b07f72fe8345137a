"""Pictures side by side in one PNG, with boxes around places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from seeingkit.system.writing import atomic_write

SIDE = 192
"""Longest side in pixels of one picture."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in widths and heights of the image."""


def slug(text: str) -> str:
    """A name as a part of a file's name.

    >>> slug("Person, individual")
    'person--individual'
    """
    return "".join(c if c.isalnum() else "-" for c in text.lower())[:40]


def save_strip(
    path: Path, pictures: Tensor, boxes: Sequence[Box | None] = (), least: int = 0
) -> None:
    """Write pictures (N, H, W, 3) uint8 side by side as one PNG, whole or not at all.

    Args:
        path: of the file.
        pictures: small ones are enlarged, large ones reduced, to ``SIDE``.
        boxes: outlined in each of them; none: nowhere.
        least: pictures for which there is room, grey where there are fewer.
    """
    made = []
    for each, box in zip(pictures.cpu().numpy(), boxes or [None] * len(pictures), strict=True):
        picture = Image.fromarray(each)
        if max(picture.size) > SIDE:
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        if max(picture.size) < SIDE:
            scale = SIDE // max(picture.size)
            size = picture.width * scale, picture.height * scale
            picture = picture.resize(size, Image.Resampling.NEAREST)
        if box is not None:
            sides = (picture.width, picture.height) * 2
            corners = [int(np.clip(e * s, 0, s - 1)) for e, s in zip(box, sides, strict=True)]
            ImageDraw.Draw(picture).rectangle(corners, outline=(255, 255, 255), width=1)
        made.append(np.asarray(picture))
    made += [np.full_like(made[0], 128)] * (least - len(made))
    strip = np.concatenate(made, axis=1)
    with atomic_write(path) as stream:
        Image.fromarray(strip).save(stream, "PNG")
