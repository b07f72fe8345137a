"""Draws the surroundings of a church: ground, plants, people, traffic and small structures."""

from __future__ import annotations

from math import cos, pi, sin

from seeingkit_plugins.minichurches import palette as pal
from seeingkit_plugins.minichurches.paint import Canvas, Dice, Point, faded
from seeingkit_plugins.minichurches.palette import Colour, Sky, label, shade


def mountains(c: Canvas, dice: Dice, sky: Sky, horizon: float) -> None:
    """Draw one or two hazy ranges above the horizon."""
    base = dice.pick(((72, 92, 112), (86, 104, 84), (110, 98, 96)))
    for layer in range(dice.whole(1, 2)):
        height, n = dice.between(0.28, 0.55) * (1 - 0.35 * layer), dice.whole(3, 6)
        points: list[Point] = [(-0.05, horizon)]
        for i in range(n + 1):
            up = height * (1.0 if i % 2 else dice.between(0.45, 0.8)) * dice.between(0.7, 1.1)
            points.append((-0.05 + 1.1 * i / n, horizon - up))
        points.append((1.05, horizon))
        c.poly(points, faded(base, sky, 0.5 - 0.22 * layer), label("mountain"))


def ground(c: Canvas, name: str, colour: Colour, top: float, bottom: float = 1.0) -> None:
    """Lay a strip of ground in three tones, darker towards the viewer."""
    code, step = label(name), (bottom - top) / 3
    for i, tone in enumerate((1.06, 1.0, 0.94)):
        c.rect(-0.01, top + i * step, 1.01, bottom, shade(colour, tone), code)


def street(c: Canvas, dice: Dice, top: float, bottom: float) -> None:
    """Lay a road across the picture with a kerb and a dashed centre line."""
    tone = dice.tint(pal.STREET, 14)
    ground(c, "road", tone, top, bottom)
    y, code = (top + bottom) / 2, label("road")
    c.rect(0, top, 1, top + 0.008, shade(tone, 1.4), code)
    start = dice.between(-0.2, 0.0)
    for i in range(6):
        a = start + i * 0.23
        c.rect(a, y - 0.007, a + 0.12, y + 0.007, (226, 222, 206), code)


def avenue(c: Canvas, dice: Dice, name: str, colour: Colour, top: float, x: float) -> None:
    """Lay a road or path that narrows from the lower edge to the point (x, top)."""
    foot = x + dice.between(-0.25, 0.25)
    far, near = (0.04, 0.2) if name == "path" else (0.06, 0.34)
    code = label(name)
    c.poly([(foot - near, 1.01), (x - far, top), (x + far, top), (foot + near, 1.01)], colour, code)
    if name == "road":
        for t in (0.15, 0.5, 0.85):
            a, b = x + (foot - x) * t, x + (foot - x) * (t + 0.14)
            u, v = top + (1 - top) * t, top + (1 - top) * (t + 0.14)
            c.line([(a, u), (b, v)], 0.012 + 0.01 * t, (226, 222, 206), code)


def tree(c: Canvas, dice: Dice, x: float, y: float, h: float, sun: int, leaf: Colour) -> None:
    """Draw a broadleaf tree of height h: trunk, and a crown with a light and a dark side."""
    code, w = label("tree"), h * dice.between(0.3, 0.42)
    c.rect(x - h * 0.035, y - h * 0.42, x + h * 0.035, y, pal.TRUNK, code)
    c.shadow_oval(x - sun * w * 0.5, y + 0.008, w * 1.1, 0.022)
    cy, ry = y - h * 0.64, h * 0.36
    dark, light = shade(leaf, 0.72), shade(leaf, 1.25)
    for dx, dy, r in ((-0.45, 0.25, 0.62), (0.45, 0.22, 0.62), (0.0, -0.12, 0.8)):
        j = dice.between(-0.1, 0.1)
        tone = dark if dx == -0.45 * sun else leaf
        c.oval(x + (dx + j) * w, cy + dy * ry, r * w, r * ry * 1.1, tone, code)
    c.oval(x - 0.4 * sun * w, cy + 0.35 * ry, w * 0.5, ry * 0.4, dark, code)
    c.oval(x + 0.32 * sun * w, cy - 0.28 * ry, w * 0.46, ry * 0.46, light, code)


def conifer(c: Canvas, x: float, y: float, h: float, sun: int, leaf: Colour) -> None:
    """Draw a conifer (or cypress) of height h in three tiers, one side dark."""
    code = label("tree")
    c.rect(x - h * 0.03, y - h * 0.15, x + h * 0.03, y, pal.TRUNK, code)
    c.shadow_oval(x - sun * h * 0.1, y + 0.006, h * 0.22, 0.018)
    for base, top, r in ((0.1, 0.6, 0.24), (0.32, 0.8, 0.19), (0.55, 1.0, 0.14)):
        c.poly([(x - r * h, y - base * h), (x, y - top * h), (x + r * h, y - base * h)], leaf, code)
        dark = [(x, y - base * h), (x, y - top * h), (x - sun * r * h, y - base * h)]
        c.poly(dark, shade(leaf, 0.72), code)


def bush(c: Canvas, dice: Dice, x: float, y: float, r: float, sun: int) -> None:
    """Draw a bush of radius r, sometimes in flower."""
    code, leaf = label("plant"), dice.tint((76, 132, 48), 14)
    c.oval(x - 0.5 * r, y - 0.4 * r, 0.8 * r, 0.6 * r, shade(leaf, 0.8), code)
    c.oval(x + 0.5 * r, y - 0.4 * r, 0.8 * r, 0.6 * r, leaf, code)
    c.oval(x, y - 0.62 * r, 0.8 * r, 0.62 * r, leaf, code)
    c.oval(x + 0.3 * sun * r, y - 0.75 * r, 0.4 * r, 0.32 * r, shade(leaf, 1.25), code)
    if dice.chance(0.5):
        bloom = dice.pick(((232, 90, 110), (244, 214, 90), (240, 236, 240), (196, 110, 200)))
        for _ in range(5):
            a, b = x + dice.between(-0.9, 0.9) * r, y - dice.between(0.2, 0.9) * r
            c.oval(a, b, 0.012, 0.012, bloom, code)


def palm(c: Canvas, dice: Dice, x: float, y: float, h: float, sun: int) -> None:
    """Draw a palm of height h: a bent trunk under drooping fronds."""
    code, lean = label("palm"), dice.between(-0.08, 0.08)
    c.line([(x, y), (x + lean * 0.4, y - h * 0.5), (x + lean, y - h)], 0.034, (140, 112, 80), code)
    c.shadow_oval(x, y + 0.005, 0.1, 0.015)
    a, b, leaf = x + lean, y - h, dice.tint((78, 134, 60), 10)
    for angle in (0.02, 0.2, 0.36, 0.64, 0.8, 0.98):
        t, r = angle * pi, h * 0.42
        dx, dy = cos(t), -sin(t)
        tone = shade(leaf, 1.2 if dx * sun > 0 else 0.8)
        knee = (a + dx * r * 0.6, b + dy * r * 0.6 - 0.03)
        tip = (a + dx * r, b + dy * r * 0.5 + 0.09)
        under = (a + dx * r * 0.5, b + dy * r * 0.4 + 0.035)
        c.poly([(a, b + 0.022), knee, tip, under], tone, code)
    c.oval(a, b + 0.012, 0.022, 0.022, (120, 84, 50), code)


def person(c: Canvas, dice: Dice, x: float, y: float, h: float, sun: int) -> None:
    """Draw a standing person of height h: legs or skirt, coat, arms, head with hair."""
    code, w = label("person"), h * 0.36
    top, low = dice.tint(dice.pick(pal.CLOTHES)), dice.pick(pal.TROUSERS)
    skin = dice.pick(pal.SKINS)
    c.shadow_oval(x - sun * h * 0.2, y, h * 0.3, 0.014)
    if dice.chance(0.3):
        waist, hem = y - h * 0.5, y - h * 0.14
        inner, outer = w * 0.22, w * 0.46
        skirt = [(x - inner, waist), (x + inner, waist), (x + outer, hem), (x - outer, hem)]
        c.poly(skirt, low, code)
        c.rect(x - w * 0.22, y - h * 0.15, x + w * 0.22, y, skin, code)
    else:
        c.rect(x - w * 0.34, y - h * 0.48, x - w * 0.02, y, low, code)
        c.rect(x + w * 0.02, y - h * 0.48, x + w * 0.34, y, shade(low, 0.8), code)
    c.rect(x - w * 0.5, y - h * 0.8, x + w * 0.5, y - h * 0.42, shade(top, 0.8), code)
    c.rect(x - w * 0.34, y - h * 0.82, x + w * 0.34, y - h * 0.42, top, code)
    r = h * 0.1
    c.oval(x, y - h + r, r * 1.05, r * 1.1, skin, code)
    c.rect(x - r, y - h - r * 0.1, x + r, y - h + r * 0.5, dice.pick(pal.TROUSERS), code)


def car(c: Canvas, dice: Dice, x: float, y: float, w: float) -> None:
    """Draw a car of length w from the side: body, cabin with windows, wheels, lamps."""
    code, body, s = label("car"), dice.tint(dice.pick(pal.CARS), 12), dice.pick((-1, 1))
    h = w * 0.4
    c.shadow_oval(x, y + 0.008, w * 0.55, 0.022)
    tall = 1.0 if dice.chance(0.7) else 1.2
    u, v = y - h * 0.56, y - h * tall

    def at(*points: Point) -> list[Point]:
        """Points whose x is given in lengths of the car, forwards from its middle."""
        return [(x + s * w * along, up) for along, up in points]

    c.poly(at((-0.42, u), (-0.3, v), (0.12, v), (0.3, u)), shade(body, 0.9), code)
    sill, glass = v + 0.015, (70, 86, 104)
    c.poly(at((-0.34, u), (-0.26, sill), (-0.09, sill), (-0.09, u)), glass, code)
    c.poly(at((-0.05, u), (-0.05, sill), (0.09, sill), (0.22, u)), glass, code)
    foot = y - h * 0.12
    c.poly(at((-0.5, u), (0.3, u), (0.5, u + h * 0.12), (0.5, foot), (-0.5, foot)), body, code)
    c.rect(x - w * 0.5, y - h * 0.24, x + w * 0.5, y - h * 0.12, shade(body, 0.68), code)
    c.oval(x + s * w * 0.46, u + h * 0.2, 0.014, 0.014, (250, 240, 190), code)
    for d in (-0.28, 0.3):
        c.oval(x + d * w, y - h * 0.14, h * 0.19, h * 0.19, (24, 24, 28), code)
        c.oval(x + d * w, y - h * 0.14, h * 0.08, h * 0.08, (150, 150, 156), code)


def fence(c: Canvas, dice: Dice, y: float, h: float) -> None:
    """Draw a picket fence along the base line; the background shows between the pickets."""
    code = label("fence")
    tone = dice.tint(dice.pick(((240, 238, 232), (120, 82, 54), (54, 56, 60), (120, 82, 54))), 8)
    x0, x1 = dice.weigh(((0.4, (0.0, 1.0)), (0.3, (0.0, 0.55)), (0.3, (0.45, 1.0))))
    step = dice.between(0.055, 0.072)
    for t in (0.28, 0.72):
        c.rect(x0, y - h * t - 0.009, x1, y - h * t + 0.009, shade(tone, 0.85), code)
    for i in range(int((x1 - x0) / step) + 1):
        a, b = x0 + i * step, x0 + i * step + 0.032
        c.poly([(a, y), (a, y - h), (a + 0.016, y - h - 0.02), (b, y - h), (b, y)], tone, code)


def wall(c: Canvas, dice: Dice, y: float, h: float) -> None:
    """Draw a churchyard wall with a coping, from one edge of the picture."""
    code, tone = label("wall"), dice.tint(dice.pick(pal.STONE), 16)
    x0, x1 = dice.weigh(((0.4, (0.0, 1.0)), (0.3, (0.0, 0.42)), (0.3, (0.58, 1.0))))
    c.rect(x0, y - h, x1, y, tone, code)
    c.rect(x0, y - h - 0.012, x1, y - h + 0.016, shade(tone, 1.25), code)
    c.rect(x0, y - 0.014, x1, y, shade(tone, 0.7), code)


def stairway(c: Canvas, dice: Dice, x: float, y: float, w: float, h: float) -> None:
    """Draw a flight of steps that widens from the portal at (x, y) downwards by h."""
    code, tone = label("stairway"), dice.tint((190, 184, 174), 12)
    n = 4
    for i in range(n):
        r, a = w * (0.36 + 0.05 * i), y + h * i / n
        c.rect(x - r, a, x + r, a + h / n, tone, code)
        c.rect(x - r, a + h / n * 0.5, x + r, a + h / n, shade(tone, 0.66), code)


def signboard(c: Canvas, dice: Dice, x: float, y: float) -> None:
    """Draw a board with a rim and lines of writing on one or two posts."""
    code, face = label("signboard"), dice.pick(pal.SIGNS)
    ink = (40, 44, 60) if face[0] > 220 else (244, 244, 240)
    w, h = dice.between(0.07, 0.11), dice.between(0.11, 0.16)
    for d in (-w * 0.6, w * 0.6) if dice.chance(0.5) else (0.0,):
        c.rect(x + d - 0.011, y - h, x + d + 0.011, y, (110, 100, 92), code)
    top = y - h - dice.between(0.06, 0.1)
    c.rect(x - w, top, x + w, y - h + 0.03, ink, code)
    c.rect(x - w + 0.012, top + 0.012, x + w - 0.012, y - h + 0.018, face, code)
    for t in (0.35, 0.62):
        a = top + (y - h + 0.03 - top) * t
        c.rect(x - w * 0.65, a, x + w * 0.6, a + 0.012, ink, code)


# Offsets from the foot in radii: to the right (to the sun, in the shade) and upwards.
_BOULDER = ((-1.0, 0.0), (-0.8, 0.7), (-0.1, 1.15), (0.7, 0.8), (1.0, 0.0))
_BOULDER_SHADE = ((-1.0, 0.0), (-0.75, 0.65), (0.0, 0.5), (0.2, 0.0))


def rocks(c: Canvas, dice: Dice, x: float, y: float, sun: int) -> None:
    """Draw one to three boulders with a lit and a shaded face."""
    code, tone = label("rock"), dice.tint((128, 122, 116), 18)
    for i in range(dice.whole(1, 3)):
        r, a = dice.between(0.05, 0.11), x + i * dice.between(0.07, 0.13)
        c.shadow_oval(a - sun * r * 0.4, y, r * 1.2, 0.02)
        c.poly([(a + dx * r, y - up * r) for dx, up in _BOULDER], tone, code)
        dark = [(a + dx * sun * r, y - up * r) for dx, up in _BOULDER_SHADE]
        c.poly(dark, shade(tone, 0.68), code)


def boat(c: Canvas, dice: Dice, x: float, y: float, w: float) -> None:
    """Draw a boat of length w on the water, with a sail or a cabin."""
    hull = dice.tint(dice.pick(((150, 50, 44), (240, 238, 234), (40, 70, 130))), 8)
    code = label("boat")
    r, h = w / 2, w * 0.24
    if dice.chance(0.55):
        c.rect(x - 0.008, y - w * 0.95, x + 0.008, y - h, (90, 70, 56), code)
        fore, aft, foot = x + 0.014, x - 0.014, y - h * 1.25
        sail, jib = (246, 242, 232), (222, 216, 206)
        c.poly([(fore, y - w * 0.9), (x + r * 0.8, foot), (fore, foot)], sail, code)
        c.poly([(aft, y - w * 0.75), (x - r * 0.6, foot), (aft, foot)], jib, code)
    else:
        c.rect(x - r * 0.5, y - h * 1.9, x + r * 0.3, y - h, (232, 228, 220), code)
        c.rect(x - r * 0.35, y - h * 1.65, x + r * 0.15, y - h * 1.2, (60, 76, 96), code)
    c.poly([(x - r, y - h), (x + r, y - h), (x + r * 0.72, y), (x - r * 0.72, y)], hull, code)
    c.rect(x - r, y - h - 0.008, x + r, y - h + 0.01, shade(hull, 1.4), code)
