"""What checks are made of: failures become an ``AssertionError`` of one line, with their place.

Guarantee: whatever a checked thing raises, the message says which check met it and where.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import Latent, Sampler
from seeingkit.errors import one_line
from seeingkit.models.probe import trial_latents
from seeingkit.system.lanes import in_lanes

T = TypeVar("T")
Check = Callable[[T], None]

BATCH_TOLERANCE = 1e-4
"""Largest difference between a row alone and in a batch, as a share of max(1, max |x|).

Float32 kernels sum in another order for another batch size; the golden fixtures allow as much.
"""


AT_ONCE = 8
"""How often two threads ask a model at once."""

ROWS = 3
"""Rows of the latents that checks of samplers and generators draw."""


def draw(sampler: Sampler, indices: Sequence[int] = range(ROWS), seed: int = 0) -> Latent:
    """Latents of some indices, with labels where the model needs them.

    A model that translates images gets made pictures, where it was given no others.
    """
    return trial_latents(sampler, indices, seed)


def network(sampler: Sampler) -> nn.Module | None:
    """The network, if the sampler shows it as ``module``."""
    module = getattr(sampler, "module", None)
    return module if isinstance(module, nn.Module) else None


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


def checks_in(module: str, *more: Any, grad: bool = False) -> list[tuple[str, Check[Any]]]:
    """The checks of a module (its ``__name__``): its own public functions, in their order.

    Args:
        more, grad: as of ``named``.
    """
    return [
        named(function, *more, grad=grad)
        for name, function in vars(sys.modules[module]).items()
        if isinstance(function, FunctionType)
        and function.__module__ == module
        and not name.startswith("_")
        and not name.endswith("_checks")  # the list itself
    ]


def named(function: Callable[..., None], *more: Any, grad: bool = False) -> tuple[str, Check[Any]]:
    """A check with its name: the function's, which also starts every message.

    Args:
        more: what the function takes besides the subject; images go to the subject's device.
        grad: whether it runs with gradients where it does not ask for them.
    """
    name = function.__name__

    @functools.wraps(function)
    def check(subject: Any) -> None:
        info = getattr(subject, "info", None)
        who = getattr(info, "family", None) or getattr(subject, "name", type(subject).__name__)
        try:
            given = [x.to(subject.device) if isinstance(x, Tensor) else x for x in more]
            with torch.set_grad_enabled(grad):
                function(subject, *given)
        except AssertionError as error:
            raise AssertionError(one_line(f"{name}: {who}: {error}")) from error
        except Exception as error:
            raise AssertionError(one_line(f"{name}: {who}: raised {_line(error)}")) from error

    return name, check


def noise_images(n: int = 3, size: int = 128) -> Tensor:
    """Smooth coloured noise: (n, 3, size, size) float32 in [-1, 1], the same every time."""
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 3, 8, 8, generator=source) * 2 - 1
    return F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)


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
        return
    except Exception as other:
        message = f"{what} must raise {error.__name__}, raised {_line(other)}"
        raise AssertionError(message) from other
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


def require_again(got: Tensor, want: Tensor, what: str) -> None:
    """As ``require_same``; off the CPU kernels need not repeat themselves to the last bit."""
    require_same(got, want, what, 0.0 if want.device.type == "cpu" else BATCH_TOLERANCE)


def side_by_side(
    ask: Callable[[T], Tensor], first: T, second: T
) -> Iterator[tuple[Tensor, Tensor]]:
    """What a model gives when two threads ask it at once.

    Args:
        ask: of the model.
        first, second: two different questions.

    Returns:
        for each of many times: what it gives to a question alone, and what it gave meanwhile.

    >>> all(torch.equal(*both) for both in side_by_side(torch.tanh, torch.zeros(2), torch.ones(2)))
    True
    """
    # Alone, too, by as many threads as a lane has.
    alone = [next(in_lanes([question], ask)) for question in (first, second)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads meet in passes that are short, too
    try:
        found = list(in_lanes([first, second] * AT_ONCE, ask))
    finally:
        sys.setswitchinterval(usual)
    yield from zip(alone * AT_ONCE, found, strict=True)


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
