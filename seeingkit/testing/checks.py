"""What checks are made of: failures become an ``AssertionError`` of one line, with their place.

Guarantee: whatever a checked thing raises, the message says which check met it and where.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Check = Callable[[T], None]

BATCH_TOLERANCE = 1e-4
"""Largest difference between a row alone and in a batch, as a share of max(1, max |x|).

Float32 kernels sum in another order for another batch size; the golden fixtures allow as much.
"""


def require(holds: bool, message: str) -> None:
    """Fail with a message unless something holds."""
    if not holds:
        raise AssertionError(message)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put a place in front of the message of a failure inside."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"at {place!r}: {error}") from error
    except Exception as error:
        raise AssertionError(f"at {place!r}: raised {_line(error)}") from error


def named(function: Callable[..., None], *arguments: Any) -> tuple[str, Callable[[Any], None]]:
    """A check with its name: the function's, which also starts every message."""
    name = function.__name__

    @functools.wraps(function)
    def check(subject: Any) -> None:
        info = getattr(subject, "info", None)
        who = getattr(info, "family", None) or getattr(subject, "name", type(subject).__name__)
        try:
            function(subject, *arguments)
        except AssertionError as error:
            raise AssertionError(_one_line(f"{name}: {who}: {error}")) from error
        except Exception as error:
            raise AssertionError(_one_line(f"{name}: {who}: raised {_line(error)}")) from error

    return name, check


@contextmanager
def refused(error: type[Exception], what: str, mentions: tuple[str, ...] = ()) -> Iterator[None]:
    """Something inside must raise an error of this class, mentioning one of the words."""
    try:
        yield
    except error as caught:
        said = str(caught)
        require(
            not mentions or any(word in said for word in mentions),
            f"{what}: the message {said!r} lists none of {', '.join(mentions[:6])}",
        )
    except Exception as other:
        raise AssertionError(
            f"{what} must raise {error.__name__}, raised {_line(other)}"
        ) from other
    else:
        raise AssertionError(f"{what} must raise {error.__name__}, was accepted")


def require_same(got: Tensor, want: Tensor, what: str, tolerance: float = 0.0) -> None:
    """Fail unless two tensors are equal, up to ``tolerance`` · max(1, max |want|)."""
    require(
        got.shape == want.shape and got.dtype == want.dtype,
        f"{what}: {got.dtype} {tuple(got.shape)} instead of {want.dtype} {tuple(want.shape)}",
    )
    if torch.equal(got, want):
        return
    error = float((got.double() - want.double()).abs().max())
    allowed = tolerance * max(1.0, float(want.double().abs().max()))
    require(error <= allowed, f"{what}: differs by {error:.3g}, allowed {allowed:.3g}")


def repeat_tolerance(device: torch.device) -> float:
    """Zero on the CPU; elsewhere kernels need not repeat themselves to the last bit."""
    return 0.0 if device.type == "cpu" else BATCH_TOLERANCE


def require_json(value: object, what: str) -> None:
    """Fail unless a value can be written as JSON, and reads back as itself."""
    try:
        same = json.loads(json.dumps(value)) == value
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} cannot be written as JSON ({error})") from error
    require(same, f"{what} does not survive JSON: {value!r}")


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
