"""Numbers and lists as English text: one way to round and to count, for page, figure and notebook.

Minus is U+2212, and a no-break space stands before each unit, so that no line breaks inside a
quantity. Nothing is rounded to a bound that it has not reached: a loss of 99.7 % never reads as
100 %, and an area above zero never reads as zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

NBSP = "\u00a0"
MINUS = "\u2212"


def number(value: float) -> str:
    """A quantity to about three significant digits: ``1,234``, ``31.2``, ``4.3``, ``0.012``."""
    size = abs(value)
    if not math.isfinite(value):
        return "not finite"
    if size >= 100:
        text = f"{size:,.0f}"
    elif size >= 1:
        text = f"{size:.1f}"
    elif size == 0:
        return "0"
    elif size >= 0.001:
        text = f"{size:.{1 - math.floor(math.log10(size))}f}"
    else:
        text = _scientific(size)
    return (MINUS if value < 0 else "") + text


def _scientific(value: float) -> str:
    return f"{value:.1e}".replace("e-0", "e-").replace("e-", f"e{MINUS}")


def area(percent: float) -> str:
    """An area in percent of the image: ``45.2 %``, ``0.97 %``, ``0.012 %``, ``4.2e−5 %``."""
    if percent == 0:
        return f"0{NBSP}%"
    if percent >= 10:
        return f"{percent:.1f}{NBSP}%"
    if percent >= 0.001:
        digits = max(2, 1 - math.floor(math.log10(percent)))
        return f"{percent:.{digits}f}{NBSP}%"
    return f"{_scientific(percent)}{NBSP}%"


def share(value: float) -> str:
    """A share in [0, 1] as percent: ``37 %``, ``0.4 %``."""
    percent = 100 * value
    if percent in (0, 100) or 10 <= percent < 99:
        return f"{percent:.0f}{NBSP}%"
    if 99 <= percent < 100:
        return f"{min(percent, 99.9):.1f}{NBSP}%"
    return f"{percent:.1f}{NBSP}%" if percent >= 0.1 else f"{percent:.2g}{NBSP}%"


def level(value: float) -> str:
    """A chosen share, as it was chosen: ``5 %``, ``95 %``, ``0.5 %``."""
    return f"{100 * value:g}{NBSP}%"


def ordinal(n: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``5th``, ``11th``."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def at_least(value: float) -> str:
    """A share in [0, 1] from which on something holds: two digits, never rounded down.

    ``0.18 %``, ``2.7 %``, ``73 %``, ``100 %``.
    """
    percent = 100 * value
    if percent <= 0:
        return f"0{NBSP}%"
    digits = max(0, 1 - math.floor(math.log10(percent)))
    # A whole number of units stays where it is, in spite of rounding errors.
    up = math.ceil(percent * 10**digits - 1e-6) / 10**digits
    return f"{up:.{digits}f}{NBSP}%"


def change(relative: float | None, *, unit: bool = True) -> str:
    """A relative difference with its sign: ``−63 %``, ``+4.2 %``, ``−99.7 %``, ``+1,230 %``.

    None (nothing real to compare with) gives a dash.
    """
    if relative is None:
        return "–"
    percent = 100 * relative
    size = abs(percent)
    if 99 <= size < 100:
        text = f"{min(size, 99.9):.1f}"
    elif size >= 9.95:
        text = f"{size:,.0f}"
    elif size >= 0.05:
        text = f"{size:.1f}".removesuffix(".0")
    else:
        text = "0"
    sign = "" if text == "0" else MINUS if percent < 0 else "+"
    return f"{sign}{text}" + (f"{NBSP}%" if unit else "")


ABSURD = 10.0
"""Relative difference above which its size says nothing any more."""


def interval(low: float | None, high: float | None) -> str:
    """An interval of a relative difference: ``−70 to −55 %``; an open end is said in words."""
    if low is None or high is None or math.isinf(low) or math.isinf(high):
        return between((low, high), change)
    # An end beside 0 is on the side of the claim, and is never rounded to 0.
    zero = change(0.0)
    first = "above 0" if low > 0 and change(low) == zero else change(low, unit=False)
    if high < 0 and change(high) == zero:
        return f"{change(low)} to below 0"
    return f"{first} to " + (f"above {change(ABSURD)}" if high > ABSURD else change(high))


def between(
    ends: tuple[float | None, float | None] | None, text: Callable[[float], str] = number
) -> str:
    """An interval of a quantity: ``22.4 to 31.5``, ``0.31 to 0.42 %``; a dash without one.

    Args:
        ends: lower and upper end; None or infinite where there is none.
        text: how one end is written; a unit that both have is said once.
    """
    if ends is None:
        return "–"
    low, high = (None if x is None or math.isinf(x) else text(x) for x in ends)
    if low is None and high is None:
        return "unbounded"
    if low is None:
        return f"up to {high}"
    if high is None:
        return f"from {low}"
    unit = f"{NBSP}%"
    return f"{low.removesuffix(unit) if high.endswith(unit) else low} to {high}"


def probability(value: float) -> str:
    """A p- or q-value: ``0.001``, ``0.042``, ``0.31``, ``1.2e−5``, ``< 1e−6``.

    No model of the images is so good that smaller ones could be told apart.
    """
    if value < 1e-6:
        return f"< 1e{MINUS}6"
    if value < 0.00095:
        return _scientific(value)
    if value < 0.1:
        return f"{value:.3f}"
    return f"{value:.2f}"


def chance(symbol: str, value: float) -> str:
    """A p- or q-value with its symbol: ``q = 0.042``, ``q < 1e−6``."""
    text = probability(value)
    return f"{symbol} {text}" if text.startswith("<") else f"{symbol} = {text}"


def count(n: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``13 images``, ``no images``."""
    word = one if n == 1 else many or one + "s"
    return f"{f'{n:,}' if n else 'no'} {word}"


def some_of(k: int, n: int) -> str:
    """``all 13``, ``5 of 13``."""
    return f"all {n:,}" if k == n else f"{k:,} of {n:,}"


def listing(items: Sequence[str], limit: int = 8) -> str:
    """``a``, ``a and b``, ``a, b and c``, ``a, b and 3 more``."""
    shown = list(items)
    if len(shown) > limit:
        shown = [*shown[: limit - 1], f"{len(shown) - limit + 1} more"]
    if len(shown) < 2:
        return "".join(shown)
    return ", ".join(shown[:-1]) + " and " + shown[-1]


def duration(seconds: float) -> str:
    """``0.3 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60}{NBSP}s"
    return f"{whole // 3600}{NBSP}h {whole % 3600 // 60}{NBSP}min"


def plain_text(value: Any) -> str:
    """An option or setting as text: strings as they are, None as ``none``, the rest as JSON."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
