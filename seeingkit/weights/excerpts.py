"""Excerpts of values in a file, for error messages.

Guarantees a short line in a short time, whatever the value is: ``repr`` of a few kilobytes of
pickle can be longer than any memory (tuples that share their parts), or raise (numbers of thousands
of digits).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from .records import Opaque

_MOST_PARTS = 8
_MOST_BITS = 256


def shown(value: Any, most: int = 60) -> str:
    """A value in at most ``most`` characters, or a few more that name its type.

    >>> shown([1, torch.ones(2, 3)])
    '[1, Tensor of shape (2, 3)]'
    """
    if isinstance(value, (list, tuple)) and len(value) <= _MOST_PARTS:
        parts = ", ".join(_single(part, most) for part in value)
        text = f"[{parts}]" if isinstance(value, list) else f"({parts})"
    else:
        text = _single(value, most)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _single(value: Any, most: int) -> str:
    if isinstance(value, (str, bytes)):
        return repr(value[:most])
    if isinstance(value, (bool, float)) or value is None:
        return repr(value)
    if isinstance(value, int):
        bits = value.bit_length()
        return repr(value) if bits <= _MOST_BITS else f"a whole number of {bits} bits"
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    if isinstance(value, Opaque):
        return f"a {value.kind[:most]}"
    count = f" of {len(value)}" if isinstance(value, (list, tuple, dict, set)) else ""
    return f"a {type(value).__name__}{count}"
