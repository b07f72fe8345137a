"""Renders labelled pictures of churches, each a pure function of its seed and index.

The same ``(seed, index)`` gives the same composition at every resolution and, for one version
of ``RENDERER_VERSION``, the same picture in every process. Every pixel carries the label of
the object that covers most of it, since shapes and labels are painted in one stroke.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seeingkit.errors import UsageError
from seeingkit_plugins.minichurches import churches
from seeingkit_plugins.minichurches import palette as pal
from seeingkit_plugins.minichurches import surroundings as around
from seeingkit_plugins.minichurches.paint import Canvas, Dice, Finish, backdrop, develop, faded
from seeingkit_plugins.minichurches.palette import OBJECT_PARTS, OBJECTS, PARTS, Colour, label

__all__ = ["OBJECTS", "OBJECT_PARTS", "PARTS", "RENDERER_VERSION", "Scene", "render"]

RENDERER_VERSION: int = 1
_FOREGROUNDS = (
    (0.26, "lawn"),
    (0.33, "street"),
    (0.14, "avenue"),
    (0.06, "square"),
    (0.11, "earth"),
    (0.10, "water"),
)
_PLANS = (
    (0.36, churches.front),
    (0.28, churches.side),
    (0.2, churches.oblique),
    (0.16, churches.domed),
)


class Scene(NamedTuple):
    """A picture with its label planes.

    ``image`` is uint8 (H, W, 3) RGB; ``objects`` and ``parts`` are uint8 (H, W) indices into
    ``OBJECTS`` and ``PARTS``, 0 where there is no part.
    """

    image: NDArray[np.uint8]
    objects: NDArray[np.uint8]
    parts: NDArray[np.uint8]


class _Stage(NamedTuple):
    """The shared state of the drawing steps of one scene."""

    canvas: Canvas
    dice: Dice
    sky: pal.Sky
    sun: int
    base: float  # y of the foot of the church
    leaf: Colour
    kind: str  # of the foreground, a name of _FOREGROUNDS


def render(seed: int, index: int, resolution: int = 64) -> Scene:
    """Render scene ``index`` (>= 0) of the series ``seed`` (>= 0) at ``resolution`` pixels.

    ``resolution`` is a multiple of 32 from 32 to 256. Raises ``UsageError`` otherwise::

        >>> render(seed=2, index=0).image.shape
        (64, 64, 3)
    """
    for name, value in (("seed", seed), ("index", index), ("resolution", resolution)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
            raise UsageError(f"scene {name} is {value!r}; give a whole number from 0 up")
    if resolution % 32 or not 32 <= resolution <= 256:
        raise UsageError(f"scene resolution is {resolution}; give a multiple of 32 from 32 to 256")
    resolution = int(resolution)
    dice = Dice(int(seed), int(index))
    sky, base = dice.weigh(pal.SKIES), dice.between(0.81, 0.93)
    at = (dice.unit(), dice.unit())
    overcast = sky.shadow < 0.2
    cover = dice.between(-1.2, 0.6) if overcast else dice.between(0.0, 2.2)
    soft = dice.between(1.2, 2.0) if overcast else dice.between(0.9, 1.8)
    canvas = Canvas(resolution, backdrop(resolution, sky, base, cover, soft, at))
    kind = dice.weigh(_FOREGROUNDS)
    stage = _Stage(
        canvas, dice, sky, dice.pick((-1, 1)), base, dice.tint(dice.pick(pal.LEAVES), 10), kind
    )
    x = dice.between(0.36, 0.64)
    _background(stage, x)
    waterline = _foreground(stage, x)
    _church(stage, x)
    _boundary(stage)
    _greenery(stage)
    _incidents(stage, x, waterline)
    finish = Finish(  # in this order: each draws from the dice
        sky=sky,
        exposure=dice.between(0.86, 1.12),
        contrast=dice.between(0.92, 1.1),
        haze=sky.haze * dice.between(0.3, 1.3),
        masonry=dice.between(0.7, 1.2) * 0.075,
        grain=dice.between(1.0, 3.0),
        waterline=waterline,
        offsets=tuple(dice.unit() for _ in range(8)),
    )
    return Scene(*develop(canvas, finish))


def _background(stage: _Stage, x: float) -> None:
    """Draw mountains, far trees, houses and a detached tower behind the church."""
    c, dice, base = stage.canvas, stage.dice, stage.base
    if dice.chance(0.2):
        around.mountains(c, dice, stage.sky, base)
    if dice.chance(0.3):
        leaf, n = faded(stage.leaf, stage.sky, 0.3), dice.whole(5, 8)
        for i in range(n + 1):
            r, tone = dice.between(0.04, 0.1), pal.shade(leaf, 0.85 + 0.05 * (i % 3))
            c.oval(i / n, base - r * 0.5, 0.12, r * 1.2, tone, label("tree"))
    if dice.chance(0.17):
        side = -1 if x > 0.5 else 1
        for i in range(dice.whole(1, 2)):
            st = churches.style(dice, "house", dice.weigh(pal.MATERIALS), stage.sun)
            at = 0.5 + side * (0.42 - 0.3 * i) + dice.between(-0.04, 0.04)
            churches.house(c, st, at, base, dice.between(0.3, 0.42), dice.between(0.16, 0.23))


def _foreground(stage: _Stage, x: float) -> float:
    """Lay the ground; return the y of the shore (1.0 where there is no water)."""
    c, dice, base, kind = stage.canvas, stage.dice, stage.base, stage.kind
    top = base - 0.012
    grass = dice.tint(dice.pick(pal.GRASSES), 12)
    paving, earth = dice.tint(dice.pick(pal.PAVING), 10), dice.tint(dice.pick(pal.EARTH), 12)
    if kind == "street":
        kerb = base + dice.between(0.035, 0.06)
        verge = dice.chance(0.4)
        around.ground(c, "grass" if verge else "sidewalk", grass if verge else paving, top, kerb)
        around.street(c, dice, kerb, 1.0)
    elif kind == "water":
        shore = min(0.93, base + dice.between(0.015, 0.05))
        around.ground(c, "grass", grass, top, shore)
        around.ground(c, "water", dice.tint((74, 108, 132), 14), shore)
        return shore
    elif kind == "square":
        around.ground(c, "sidewalk", paving, top)
    elif kind == "earth":
        around.ground(c, "earth", earth, top)
    else:
        around.ground(c, "grass", grass, top)
        if kind == "avenue":
            around.avenue(c, dice, "road", dice.tint(pal.STREET, 14), top, x)
        elif dice.chance(0.5):
            around.avenue(c, dice, "path", dice.tint((206, 190, 160), 12), top, x)
    return 1.0


def _church(stage: _Stage, x: float) -> None:
    """Draw the church, near or far, its cast shadow, and sometimes a detached tower."""
    c, dice, base, sun = stage.canvas, stage.dice, stage.base, stage.sun
    st = churches.style(dice, "building", dice.weigh(pal.MATERIALS), sun)
    near = dice.weigh(((0.22, 1.5), (0.66, 1.06), (0.12, 0.68)))
    w, h = dice.between(0.68, 0.92) * near, dice.between(0.7, 0.86) * near
    if near > 1:
        h = min(h, 1.12)
    left, right, lean = x - w / 2, x + w / 2, sun * w * 0.22
    near_y, far_y = base - 0.02, base + 0.07
    c.shadow([(left, near_y), (right, near_y), (right - lean, far_y), (left - lean, far_y)])
    if dice.chance(0.13):
        bell = churches.style(dice, "tower", dice.weigh(pal.MATERIALS), sun)
        bell = bell._replace(wall=st.wall, dark=st.dark, trim=st.trim)
        side = -1 if x > 0.5 else 1
        at = min(0.93, max(0.07, x + side * (w / 2 + 0.02)))
        width, height = dice.between(0.14, 0.19), dice.between(0.48, 0.66)
        churches.tower(c, dice, bell, at, base, width, height, bell.cap_kind)
    plan = dice.weigh(_PLANS)
    plan(c, dice, st, x, base, w, h)


def _boundary(stage: _Stage) -> None:
    """Draw a churchyard wall or a fence before the church."""
    c, dice, base = stage.canvas, stage.dice, stage.base
    if dice.chance(0.11):
        around.wall(c, dice, base + 0.02, dice.between(0.08, 0.15))
    elif dice.chance(0.105):
        around.fence(c, dice, base + 0.03, dice.between(0.075, 0.11))


def _greenery(stage: _Stage) -> None:
    """Draw the trees, palms and bushes near the church, mostly at the sides."""
    c, dice, base, sun = stage.canvas, stage.dice, stage.base, stage.sun
    if dice.chance(0.5):
        fir = dice.chance(0.28)
        for _ in range(dice.whole(1, 3)):
            edge = dice.between(-0.02, 0.24)
            x = edge if dice.chance(0.5) else 1 - edge
            y, h = base + dice.between(0.0, 0.05), dice.between(0.3, 0.72)
            leaf = dice.tint(dice.pick(pal.LEAVES[:5]) if fir else stage.leaf, 10)
            if fir:
                around.conifer(c, x, y, h, sun, leaf)
            else:
                around.tree(c, dice, x, y, h, sun, leaf)
    if dice.chance(0.05):
        for _ in range(dice.whole(1, 2)):
            edge = dice.between(0.1, 0.24)
            x = edge if dice.chance(0.5) else 1 - edge
            around.palm(c, dice, x, base + 0.02, dice.between(0.42, 0.62), sun)
    if dice.chance(0.4):
        for _ in range(dice.whole(1, 4)):
            x = dice.between(0.0, 1.0)
            around.bush(c, dice, x, base + dice.between(0.005, 0.035), dice.between(0.05, 0.1), sun)


def _incidents(stage: _Stage, x: float, waterline: float) -> None:
    """Draw the rare things: stairway, rocks, sign, car, people; or boats on water."""
    c, dice, base, sun = stage.canvas, stage.dice, stage.base, stage.sun
    if waterline < 1:
        if dice.chance(0.42):
            y = waterline + dice.between(0.4, 0.8) * (1 - waterline)
            around.boat(c, dice, dice.between(0.16, 0.84), y, dice.between(0.22, 0.34))
        if dice.chance(0.2):
            around.rocks(c, dice, dice.between(0.0, 0.9), waterline + 0.02, sun)
        return
    if dice.chance(0.075) and stage.kind != "street":
        w, h = dice.between(0.36, 0.52), dice.between(0.06, 0.09)
        around.stairway(c, dice, x, base - 0.015, w, h)
    if dice.chance(0.04):
        around.rocks(c, dice, dice.between(0.05, 0.85), base + dice.between(0.03, 0.08), sun)
    if dice.chance(0.085):
        at = dice.between(0.1, 0.3)
        at = at if dice.chance(0.5) else 1 - at
        around.signboard(c, dice, at, base + dice.between(0.01, 0.05))
    if stage.kind in ("street", "avenue") and dice.chance(0.22):
        y = dice.between(0.93, 0.97) if stage.kind == "street" else 0.97
        at = dice.between(0.15, 0.85) if stage.kind == "street" else dice.between(0.42, 0.58)
        around.car(c, dice, at, max(y, base + 0.06), dice.between(0.24, 0.38))
    if dice.chance(0.27):
        start, h = dice.between(0.08, 0.8), dice.between(0.16, 0.29)
        y = base + dice.between(0.015, 0.05) + (h - 0.16) * 0.3
        for i in range(dice.whole(1, 4)):
            at, foot = start + i * h * dice.between(0.42, 0.6), y + dice.between(-0.01, 0.01)
            around.person(c, dice, at, foot, h * dice.between(0.88, 1.08), sun)
