"""Draws churches, detached towers and houses, each a coherent building of one material.

All shapes of a building carry its object label; windows, doors, roofs, spires, domes, clocks
and columns carry their part label as well.
"""

from __future__ import annotations

from typing import NamedTuple

from seeingkit_plugins.minichurches import palette as pal
from seeingkit_plugins.minichurches.paint import Canvas, Dice
from seeingkit_plugins.minichurches.palette import Colour, label, shade


class Style(NamedTuple):
    """Everything that the walls of one building share."""

    owner: str
    wall: Colour
    dark: Colour
    trim: Colour
    roof: Colour
    cap: Colour
    glass: Colour
    door: Colour
    pointed: bool
    sun: int  # -1: light from the left, +1: from the right
    cap_kind: str


_CAP_KINDS = ((0.5, "spire"), (0.16, "onion"), (0.14, "dome"), (0.1, "hip"), (0.1, "flat"))


def style(dice: Dice, owner: str, material: pal.Material, sun: int) -> Style:
    """Return a random style in the given material."""
    wall = dice.tint(material.wall, 16)
    return Style(  # in this order: each draws from the dice
        owner=owner,
        wall=wall,
        dark=shade(wall, dice.between(0.66, 0.8)),
        trim=dice.tint(material.trim, 10),
        roof=dice.tint(dice.pick(pal.ROOFS), 12),
        cap=dice.tint(dice.pick(pal.CAPS), 12),
        glass=dice.pick(pal.GLASS),
        door=dice.pick(pal.DOORS),
        pointed=dice.chance(0.5),
        sun=sun,
        cap_kind=dice.weigh(_CAP_KINDS),
    )


def arch(c: Canvas, st: Style, x: float, y: float, w: float, h: float, part: str) -> None:
    """Draw an arched opening centred on x with its sill at y."""
    code, fill = label(st.owner, part), st.glass if part == "window" else st.door
    r = w / 2
    if w > 0.06:
        q = r + 0.011
        rim = [(x - q, y), (x - q, y - h + r), (x, y - h - 0.014), (x + q, y - h + r), (x + q, y)]
        c.poly(rim, st.trim, label(st.owner))
    spring = y - h + r * (1.5 if st.pointed else 1.0)
    k, dip = (0.72 * r, 0.6 * r) if st.pointed else (0.7 * r, 0.3 * r)
    head = [(x - k, y - h + dip), (x, y - h), (x + k, y - h + dip)]
    c.poly([(x - r, y), (x - r, spring), *head, (x + r, spring), (x + r, y)], fill, code)
    if part == "window" and w > 0.045:
        c.rect(x - 0.005, y - h * 0.95, x + 0.005, y, shade(fill, 1.5), code)


def rose(c: Canvas, st: Style, x: float, y: float, r: float, part: str = "window") -> None:
    """Draw a rose window (or a clock face) of radius r."""
    code = label(st.owner, part)
    c.oval(x, y, r + 0.014, r + 0.014, st.trim, label(st.owner))
    if part == "clock":
        c.oval(x, y, r, r, (238, 234, 222), code)
        c.line([(x, y - r * 0.8), (x, y), (x + r * 0.6, y)], 0.008, (40, 36, 40), code)
        return
    c.oval(x, y, r, r, st.glass, code)
    if r > 0.05:
        for dx, dy in ((1.0, 0.0), (0.0, 1.0)):
            a, b = r * 0.9 * dx, r * 0.9 * dy
            c.line([(x - a, y - b), (x + a, y + b)], 0.008, shade(st.glass, 1.7), code)
        c.oval(x, y, r * 0.3, r * 0.3, shade(st.glass, 1.9), code)


def cross(c: Canvas, st: Style, x: float, y: float, h: float) -> None:
    """Draw a cross that stands on (x, y)."""
    code, ink = label(st.owner), shade(st.cap, 0.7)
    c.rect(x - 0.006, y - h, x + 0.006, y + 0.01, ink, code)
    c.rect(x - h * 0.32, y - h * 0.72, x + h * 0.32, y - h * 0.5, ink, code)


def cap(c: Canvas, st: Style, x: float, y: float, w: float, h: float, kind: str) -> None:
    """Draw the top of a tower or drum of width w that ends at height y."""
    r, lit, dim = w / 2, shade(st.cap, 1.12), shade(st.cap, 0.78)
    if kind in ("spire", "hip"):
        code = label(st.owner, "spire")
        top = y - h * (1.0 if kind == "spire" else 0.45)
        e = r + 0.012
        c.poly([(x - e, y), (x, top), (x + e, y)], lit, code)
        c.poly([(x + 0.15 * e * st.sun, y), (x, top), (x - e * st.sun, y)], dim, code)
        cross(c, st, x, top, 0.05)
    elif kind == "onion":
        code = label(st.owner, "dome")
        k, cy = r * 1.12, y - r * 0.85
        c.rect(x - r * 0.7, cy, x + r * 0.7, y, dim, code)
        c.oval(x, cy, k, k * 0.92, st.cap, code)
        tip = [(x - k * 0.75, cy - k * 0.5), (x, cy - k * 1.9), (x + k * 0.75, cy - k * 0.5)]
        c.poly(tip, st.cap, code)
        c.oval(x + k * 0.35 * st.sun, cy - k * 0.1, k * 0.38, k * 0.5, shade(st.cap, 1.25), code)
        c.oval(x - k * 0.72 * st.sun, cy + k * 0.1, k * 0.22, k * 0.5, dim, code)
        cross(c, st, x, cy - k * 1.85, 0.06)
    elif kind == "dome":
        code = label(st.owner, "dome")
        c.oval(x, y, r, r * 1.05, st.cap, code)
        c.oval(x + r * 0.3 * st.sun, y - r * 0.3, r * 0.5, r * 0.55, lit, code)
        c.oval(x - r * 0.72 * st.sun, y - r * 0.1, r * 0.22, r * 0.55, dim, code)
        c.rect(x - r * 0.16, y - r * 1.3, x + r * 0.16, y - r * 0.95, st.trim, label(st.owner))
        c.rect(x - r, y, x + r, y + r * 1.06, st.wall, label(st.owner))
        cross(c, st, x, y - r * 1.3, 0.05)
    else:
        code = label(st.owner)
        for i in range(4):
            a = x - r + i * w * 0.28
            c.rect(a, y - 0.03, a + w * 0.16, y + 0.01, st.trim, code)


def tower(
    c: Canvas, dice: Dice, st: Style, x: float, y: float, w: float, h: float, kind: str
) -> None:
    """Draw a square tower of width w and wall height h standing on y."""
    code, top, r = label(st.owner), y - h, w / 2
    c.rect(x - r, top, x + r, y, st.wall, code)
    left, right = (x - r, x - r * 0.3) if st.sun > 0 else (x + r * 0.3, x + r)
    c.rect(left, top, right, y, st.dark, code)
    cap(c, st, x, top, w, w * dice.between(1.3, 2.8), kind)
    c.rect(x - r - 0.008, top, x + r + 0.008, top + 0.018, st.trim, code)
    belfry = min(0.15, h * 0.25)
    if w > 0.14 and dice.chance(0.7):
        for d in (-0.22, 0.22):
            arch(c, st, x + d * w, top + 0.04 + belfry, w * 0.24, belfry, "window")
    else:
        arch(c, st, x, top + 0.04 + belfry, w * 0.42, belfry, "window")
    level = top + 0.07 + belfry
    if h > 0.35 and dice.chance(0.45):
        rose(c, st, x, level + w * 0.24, w * 0.22, "clock")
        level += w * 0.55
    if h > 0.3:
        c.rect(x - r, level, x + r, level + 0.012, st.trim, code)
        if y - level > 0.2:
            arch(c, st, x, level + 0.13, w * 0.26, 0.09, "window")


def windows(
    c: Canvas, st: Style, x0: float, x1: float, y: float, h: float, n: int, buttress: bool
) -> None:
    """Draw a row of n arched windows with their sills at y, with buttresses between them."""
    step = (x1 - x0) / n
    for i in range(n):
        arch(c, st, x0 + (i + 0.5) * step, y, min(step * 0.46, 0.085), h, "window")
        if buttress and i:
            a = x0 + i * step
            c.rect(a - 0.012, y - h * 1.1, a + 0.012, y + h * 0.45, st.trim, label(st.owner))


def front(c: Canvas, dice: Dice, st: Style, x: float, y: float, w: float, h: float) -> None:
    """Draw a gabled front with portal and rose; with aisles, one tower, two towers or none."""
    code, plan = label(st.owner), dice.weigh(((0.3, 2), (0.3, 1), (0.2, 0), (0.2, 3)))
    n = w * (0.56 if plan == 2 else dice.between(0.5, 0.66)) / 2
    wall, gable = h * dice.between(0.5, 0.62), h * dice.between(0.2, 0.34)
    if plan != 2:
        a, x0, x1 = y - wall * dice.between(0.62, 0.8), x - w / 2, x + w / 2
        aisles = [(x0, y), (x0, a), (x - n, a - 0.1), (x + n, a - 0.1), (x1, a), (x1, y)]
        c.poly(aisles, st.wall if plan else st.dark, code)
        low, high = a + 0.01, a - 0.12
        slope = [(x0 - 0.015, low), (x - n, high), (x + n, high), (x1 + 0.015, low)]
        c.poly(slope, st.roof, label(st.owner, "roof"))
        for side in (-1, 1):
            arch(c, st, x + side * (n + w / 2) / 2, y - wall * 0.16, 0.07, wall * 0.38, "window")
    if plan == 1:
        tower(c, dice, st, x, y - wall * 0.9, n * 1.1, h * 0.36, st.cap_kind)
    elif plan == 3:
        side = dice.pick((-1, 1))
        tower(c, dice, st, x + side * (n + w * 0.13), y, w * 0.24, h * 0.86, st.cap_kind)
    peak, roof = y - wall - gable, label(st.owner, "roof")
    nave = [(x - n, y), (x - n, y - wall), (x, peak), (x + n, y - wall), (x + n, y)]
    c.poly(nave, st.wall, code)
    for side in (-1, 1):
        e, eaves = x + side * (n + 0.02), y - wall
        tone = shade(st.roof, 1.1 if side == st.sun else 0.8)
        verge = [(x, peak - 0.03), (e, eaves + 0.012), (e, eaves + 0.045), (x, peak + 0.012)]
        c.poly(verge, tone, roof)
    if plan == 2:
        for side in (-1, 1):
            tower(c, dice, st, x + side * (n + w * 0.11), y, w * 0.23, h * 0.84, st.cap_kind)
    elif plan == 0:
        cross(c, st, x, peak - 0.02, 0.08)
    c.rect(x - n, y - wall * 0.62, x + n, y - wall * 0.62 + 0.014, st.trim, code)
    rose(c, st, x, y - wall * 0.92, min(n * 0.36, 0.11))
    if n > 0.14 and dice.chance(0.6):
        for side in (-1, 1):
            arch(c, st, x + side * n * 0.66, y - wall * 0.12, n * 0.26, wall * 0.42, "window")
    c.rect(x - w / 2, y - 0.018, x + w / 2, y, shade(st.dark, 0.85), code)
    arch(c, st, x, y, min(n * 0.5, 0.14), min(wall * 0.46, 0.23), "door")


def side(c: Canvas, dice: Dice, st: Style, x: float, y: float, w: float, h: float) -> None:
    """Draw a nave seen from the side, with a tower at one end and often an apse at the other."""
    code, tiles, end = label(st.owner), label(st.owner, "roof"), dice.pick((-1, 1))
    wall, roof = h * dice.between(0.36, 0.5), h * dice.between(0.16, 0.28)
    tw = w * dice.between(0.2, 0.28)
    x0, x1 = x - w / 2, x + w / 2
    if end < 0:
        x0 += tw * 0.8
    else:
        x1 -= tw * 0.8
    if dice.chance(0.55):
        a = x1 if end < 0 else x0
        c.rect(a - 0.09, y - wall * 0.75, a + 0.09, y, st.dark, code)
        c.oval(a, y - wall * 0.75, 0.095, 0.06, shade(st.roof, 0.85), tiles)
    c.rect(x0, y - wall, x1, y, st.wall, code)
    eaves, ridge = y - wall, y - wall - roof
    slope = [(x0 - 0.02, eaves), (x0 + 0.05, ridge), (x1 - 0.05, ridge), (x1 + 0.02, eaves)]
    c.poly(slope, st.roof, tiles)
    c.rect(x0 - 0.02, eaves - 0.014, x1 + 0.02, eaves + 0.012, shade(st.roof, 0.7), tiles)
    n = dice.whole(3, 6)
    windows(c, st, x0 + 0.02, x1 - 0.02, y - wall * 0.25, wall * 0.55, n, dice.chance(0.5))
    c.rect(x0, y - 0.03, x1, y, st.dark, code)
    if dice.chance(0.4):
        m = x0 + (x1 - x0) * dice.between(0.3, 0.7)
        k, peak = min(0.13, w * 0.16), y - wall - roof * 0.9
        transept = [(m - k, y), (m - k, eaves), (m, peak), (m + k, eaves), (m + k, y)]
        c.poly(transept, shade(st.wall, 1.06), code)
        arch(c, st, m, y - wall * 0.25, k * 0.7, wall * 0.6, "window")
    t = x0 - tw * 0.3 if end < 0 else x1 + tw * 0.3
    tower(c, dice, st, t, y, tw, h * dice.between(0.7, 0.85), st.cap_kind)
    arch(c, st, t, y, tw * 0.42, min(0.17, wall * 0.5), "door")


def oblique(c: Canvas, dice: Dice, st: Style, x: float, y: float, w: float, h: float) -> None:
    """Draw a church from the corner: a gabled front and a side wall that recedes."""
    code, roof, s = label(st.owner), label(st.owner, "roof"), dice.pick((-1, 1))
    f, wall, gable = w * dice.between(0.36, 0.46), h * dice.between(0.46, 0.56), h * 0.22
    e = x - s * w / 2  # outer edge of the front
    m, k = e + s * f / 2, e + s * f  # ridge foot and the near corner
    b, drop = e + s * w, h * 0.07
    front_tone, side_tone = (st.dark, st.wall) if s == st.sun else (st.wall, st.dark)
    far, peak = y - wall * 0.8 - drop * 0.2, (m, y - wall - gable)
    c.poly([(k, y), (k, y - wall), (b, far), (b, y - 0.01)], side_tone, code)
    near_eaves, far_eaves = (k + s * 0.02, y - wall + 0.02), (b + s * 0.015, far + 0.012)
    slope = [near_eaves, peak, (b - s * f * 0.45, far - gable * 0.78), far_eaves]
    c.poly(slope, shade(st.roof, 1.1 if s == st.sun else 0.8), roof)
    n = dice.whole(3, 4)
    for i in range(n):
        t = (i + 0.55) / n
        q = 1 - 0.22 * t
        a = k + s * (w - f) * t
        arch(c, st, a, y - wall * 0.24 * q - drop * 0.6 * t, 0.06 * q, wall * 0.5 * q, "window")
    if dice.chance(0.75):
        tower(c, dice, st, m, y - wall * 0.8, f * 0.66, h * 0.42, st.cap_kind)
    c.poly([(e, y), (e, y - wall), peak, (k, y - wall), (k, y)], front_tone, code)
    verge = [(e - s * 0.015, y - wall + 0.01), peak, (k, y - wall)]
    c.line(verge, 0.022, shade(st.roof, 0.7), roof)
    rose(c, st, m, y - wall * 0.92, min(0.08, f * 0.2))
    arch(c, st, m, y, min(0.13, f * 0.36), min(0.22, wall * 0.46), "door")


def domed(c: Canvas, dice: Dice, st: Style, x: float, y: float, w: float, h: float) -> None:
    """Draw a domed church: a great dome behind a portico, or a cube under several onions."""
    code, onions = label(st.owner), dice.chance(0.45)
    wall = h * dice.between(0.46, 0.56)
    kind = "onion" if onions else "dome"
    if onions:
        for d in (-0.34, 0.34):
            k = w * 0.15
            c.rect(x + d * w - k / 2, y - wall - 0.1, x + d * w + k / 2, y - wall, st.dark, code)
            cap(c, st, x + d * w, y - wall - 0.1, k, k, kind)
    k = w * (0.26 if onions else 0.46)
    drum = y - wall - (h * 0.18 if onions else h * 0.1)
    cap(c, st, x, drum, k, k, kind)
    c.rect(x - k / 2, drum, x + k / 2, y - wall, st.wall, code)
    left, right = (x - k / 2, x - k * 0.2) if st.sun > 0 else (x + k * 0.2, x + k / 2)
    c.rect(left, drum, right, y - wall, st.dark, code)
    windows(c, st, x - k / 2, x + k / 2, y - wall - 0.02, y - wall - drum - 0.035, 3, False)
    c.rect(x - w / 2, y - wall, x + w / 2, y, st.wall, code)
    c.rect(x - w / 2 - 0.015, y - wall - 0.012, x + w / 2 + 0.015, y - wall + 0.015, st.trim, code)
    windows(c, st, x - w / 2, x + w / 2, y - wall * 0.2, wall * 0.5, 5 if w > 0.6 else 3, False)
    p, up = w * 0.2, wall * 0.66
    c.rect(x - p, y - up, x + p, y, st.dark, code)
    pediment = [(x - p - 0.02, y - up), (x, y - up - wall * 0.24), (x + p + 0.02, y - up)]
    c.poly(pediment, st.trim, code)
    arch(c, st, x, y, p * 0.5, up * 0.72, "door")
    column = label(st.owner, "column")
    for i in range(4):
        a = x - p + p * 2 * (i + 0.12) / 3.24
        c.rect(a - 0.011, y - up + 0.01, a + 0.013, y, shade(st.trim, 1.1), column)


def house(c: Canvas, st: Style, x: float, y: float, w: float, h: float) -> None:
    """Draw a low house with its eaves to the street."""
    code, roof, pane = (label(st.owner, part) for part in ("-", "roof", "window"))
    r, eaves, ridge = w / 2, y - h, y - h * 1.6
    c.rect(x - r, eaves, x + r, y, st.wall, code)
    left, right = x - r - 0.015, x + r + 0.015
    slope = [(left, eaves), (x - r * 0.7, ridge), (x + r * 0.7, ridge), (right, eaves)]
    c.poly(slope, st.roof, roof)
    c.rect(x + r * 0.35, y - h * 1.75, x + r * 0.5, y - h * 1.4, st.dark, roof)
    for d in (-0.6, 0.55):
        a = x + d * r
        c.rect(a - 0.022, y - h * 0.75, a + 0.022, y - h * 0.35, st.glass, pane)
    c.rect(x - 0.025, y - h * 0.62, x + 0.02, y, st.door, label(st.owner, "door"))
