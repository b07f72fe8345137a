"""``Boundary`` and ``State``: named cuts through a generator, and a batch standing at one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from seeingkit.errors import UsageError


@dataclass(frozen=True)
class Boundary:
    """A named cut through a generator.

    Attributes:
        name: canonical name by meaning (``input``, ``w``, ``r8.conv0``, ``image``).
        index: 0 = input, then in the order of computation; the last is ``image``.
        shape: shape of one row of x there, without the batch axis.
        kind: ``latent``, ``feature``, ``image``, or ``style``: channels (N, C) without a place,
            that scale or shift maps which are carried.
        extent: spatial size (H, W) of a feature map, or None.
        aliases: other names accepted, such as native module paths.
        window: where the outer edges of the map lie in the image: (top, left, bottom, right), in
            heights and widths of the image. Of a map with a margin that the image does not show,
            the edges lie outside of it.

    >>> Boundary("r8", 2, (512, 8, 8), "feature", extent=(8, 8)).window
    (0.0, 0.0, 1.0, 1.0)
    """

    name: str
    index: int
    shape: tuple[int, ...]
    kind: Literal["latent", "feature", "image", "style"]
    extent: tuple[int, int] | None = None
    aliases: tuple[str, ...] = ()
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        top, left, bottom, right = self.window
        if not (top < bottom and left < right):
            raise UsageError(f"boundary {self.name!r}: {self.window} is no window of an image")


@dataclass(frozen=True)
class State:
    """Where a batch stands inside a generator.

    Attributes:
        at: name of the boundary.
        x: (N, …) the one differentiable tensor there.
        carry: whatever later stages also need, each tensor batch-first.

    >>> state = State("r8", torch.zeros(4, 512, 8, 8))
    >>> len(state[:3])
    3
    """

    at: str
    x: Tensor
    carry: Mapping[str, Tensor] = field(default_factory=dict)

    def with_x(self, x: Tensor) -> State:
        """The same state with another x (of the same batch size)."""
        return replace(self, x=x)

    def with_carry(self, **tensors: Tensor) -> State:
        """The same state with some carried tensors replaced or added."""
        return replace(self, carry={**self.carry, **tensors})

    def detach(self) -> State:
        """The same values without their history."""
        return replace(
            self, x=self.x.detach(), carry={k: v.detach() for k, v in self.carry.items()}
        )

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Sequence[int] | Tensor | int) -> State:
        """Some rows of the batch (an int keeps the batch axis)."""
        if isinstance(rows, int):
            rows = [rows]
        picked: Any = rows if isinstance(rows, (slice, Tensor)) else list(rows)
        return replace(self, x=self.x[picked], carry={k: v[picked] for k, v in self.carry.items()})

    @staticmethod
    def cat(states: Sequence[State]) -> State:
        """One batch out of several at the same boundary."""
        if len({s.at for s in states}) != 1:
            raise UsageError(f"states at different boundaries: {sorted({s.at for s in states})}")
        return State(
            states[0].at,
            torch.cat([s.x for s in states]),
            {k: torch.cat([s.carry[k] for s in states]) for k in states[0].carry},
        )
