"""One forward pass of an ``nn.Module``, observed as a tree of module calls.

Guarantees: every ``forward`` that ``intercepted`` replaces is put back, whatever is raised; a call
is marked as carried only if its output was seen to follow the batch with its first axis at two
batch sizes, and a pass that changes from call to call is refused.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seeingkit.errors import ModelError

Handler = Callable[..., Any]
_CONSTANTS = (type(None), bool, int, float, str)


@dataclass(frozen=True)
class Leaf:
    """One value in the output of a call: a tensor's layout, or a constant."""

    where: str  # its place in the output, such as ``[0]['skip']``; empty when it is the output
    shape: tuple[int, ...] | None = None  # of a tensor, as is dtype
    dtype: torch.dtype | None = None
    digest: tuple[float, float] = (0.0, 0.0)  # sum and norm in float64, to notice changes
    constant: Any = None

    @staticmethod
    def of(where: str, value: object) -> Leaf:
        """Describe a value."""
        if not isinstance(value, Tensor):
            return Leaf(where, constant=value)
        real = (torch.view_as_real(value) if value.is_complex() else value).detach().double()
        digest = float(real.sum()), float(real.norm())
        return Leaf(where, tuple(value.shape), value.dtype, digest)

    def same_value(self, other: Leaf) -> bool:
        """Whether both stand for the same numbers, up to 64 roundings of their dtype."""
        if self.dtype is None or self.dtype != other.dtype or self.shape != other.shape:
            return self.dtype is None and other.dtype is None
        eps = torch.finfo(self.dtype).eps if self.dtype.is_floating_point else 1e-12
        slack = 64 * eps * abs(self.digest[1])
        return all(
            a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= slack
            for a, b in zip(self.digest, other.digest, strict=True)
        )

    def filled(self, rows: int, value: float, device: torch.device, dense: bool) -> Tensor:
        """A tensor of this layout for ``rows`` rows, with one value everywhere."""
        if self.shape is None or self.dtype is None:
            raise ValueError("not a tensor")
        if not (self.dtype.is_floating_point or self.dtype.is_complex):
            value = int(value != 0)
        shape = (rows, *self.shape[1:])
        made = torch.full(shape if dense else (), value, dtype=self.dtype, device=device)
        return made.expand(shape)


@dataclass(eq=False)
class Call:
    """One call of a module in the observed pass.

    It is ``carried`` if its output can be kept in a state: tensors whose first axis is the batch,
    and constants. ``classify`` finds that out.
    """

    path: str  # of the module, from the root of the network
    module: nn.Module | None  # None: the pass itself, whose children are the outermost calls
    children: list[Call] = field(default_factory=list)  # made while this one was open, in order
    end: int = -1  # place in the order in which calls ended
    ordinal: int = 0  # how many calls of the same module ended before
    mutates: bool = False  # whether it changed one of its arguments in place
    tree: Any = None  # how the output is nested
    leaves: tuple[Leaf, ...] = ()  # the values in the output
    carried: bool = False

    def key(self, leaf: Leaf) -> str:
        """Name of a value of the output in ``State.carry``; has a colon, unlike latents."""
        return f"{self.path}:{self.ordinal}{leaf.where}"

    def inside(self) -> Iterator[Call]:
        """All calls inside this one, in the order they began."""
        for child in self.children:
            yield child
            yield from child.inside()


@contextmanager
def intercepted(modules: Iterable[nn.Module], handler: Handler) -> Iterator[None]:
    """Route each module's forward through ``handler(module, forward, *args, **kwargs)``.

    The instance's ``forward`` is replaced, so direct calls of it are seen, and hooks of the user
    run around a skipped call as they run around a computed one.
    """
    saved: list[tuple[nn.Module, dict[str, Any]]] = []
    try:
        for module in modules:
            forward, own = module.forward, vars(module)
            saved.append((module, {"forward": own["forward"]} if "forward" in own else {}))
            own["forward"] = functools.partial(handler, module, forward)
        yield
    finally:
        for module, before in saved:
            vars(module).pop("forward", None)
            vars(module).update(before)


class _Tracer:
    def __init__(self, paths: Mapping[nn.Module, str]) -> None:
        self.paths, self.root = paths, Call("", None)
        self.open = [self.root]
        self.ended, self.counts = itertools.count(), Counter[str]()

    def __call__(
        self, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        call = Call(self.paths[module], module)
        self.open[-1].children.append(call)
        given = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        versions = [t._version for t in given]
        self.open.append(call)
        try:
            output = forward(*args, **kwargs)
        finally:
            self.open.pop()
        call.mutates = versions != [t._version for t in given]
        call.end, call.ordinal = next(self.ended), self.counts[call.path]
        self.counts[call.path] += 1
        keyed, call.tree = pytree.tree_flatten_with_path(output)
        call.leaves = tuple(Leaf.of(pytree.keystr(where), value) for where, value in keyed)
        return output


def trace(paths: Mapping[nn.Module, str], run: Callable[[], Tensor]) -> tuple[Call, Tensor]:
    """Run once and return the tree of calls with the result of ``run``."""
    tracer = _Tracer(paths)
    with intercepted(paths, tracer):
        result = run()
    tracer.root.end = next(tracer.ended)
    tracer.root.leaves = (Leaf.of("", result),)
    return tracer.root, result


def paired(first: Call, second: Call) -> list[tuple[Call, Call]]:
    """The same calls of two passes, in the order they ended.

    Raises:
        ModelError: the passes do not make the same calls.
    """
    pairs = list(zip(first.inside(), second.inside(), strict=False))
    for a, b in pairs:
        if a.module is not b.module or len(a.children) != len(b.children):
            raise ModelError(
                f"two passes call different modules ({a.path!r}, then {b.path!r}): a network "
                "whose calls depend on its input or on chance cannot be staged by recording"
            )
    if len(first.children) != len(second.children):
        raise ModelError("two passes make a different number of calls; it cannot be staged")
    return sorted(pairs, key=lambda pair: pair[0].end)


def classify(pairs: Iterable[tuple[Call, Call]], rows: int, more: int) -> None:
    """Set ``carried`` on the first call of each pair, given passes with two batch sizes."""
    for call, other in pairs:
        call.carried = call.tree == other.tree and all(
            _carried(a, b, rows, more) for a, b in zip(call.leaves, other.leaves, strict=True)
        )


def _carried(leaf: Leaf, other: Leaf, rows: int, more: int) -> bool:
    if leaf.shape is None or other.shape is None:
        plain = isinstance(leaf.constant, _CONSTANTS) and isinstance(other.constant, _CONSTANTS)
        return leaf.shape is other.shape and plain and leaf.constant == other.constant
    return leaf.shape == (rows, *leaf.shape[1:]) and other.shape == (more, *leaf.shape[1:])


def check_repeats(family: str, pairs: Iterable[tuple[Call, Call]]) -> None:
    """Refuse a network whose outputs differ between two passes with one input.

    Raises:
        ModelError: naming the first module whose output changed.
    """
    for call, other in pairs:
        if not all(a.same_value(b) for a, b in zip(call.leaves, other.leaves, strict=True)):
            raise ModelError(
                f"{family}: the output of {call.path or 'the network'!r} changes from call to "
                "call; make its noise constant, or pass it in through call="
            )
