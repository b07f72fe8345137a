"""Edits of x at a boundary, as pure functions, and the one loop that applies them.

Guarantee: an edited run equals stopping at the boundary, changing x by hand and going on. Adapters
know nothing of edits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from seeingkit.contracts import Generator, State
from seeingkit.errors import UsageError


class Edit(Protocol):
    """A change of x at one boundary."""

    @property
    def at(self) -> str:
        """Name or alias of the boundary."""

    def __call__(self, x: Tensor) -> Tensor:
        """x (N, …) to x' of the same shape."""


@dataclass(frozen=True)
class UnitEdit:
    """Blend some units (channels) towards a value: x[u] ← (1 − α·mask)·x[u] + α·mask·value.

    With ``value=0, alpha=1`` this is the ablation of GAN Dissection (Bau et al., ICLR 2019, §3.2).

    Attributes:
        at: the boundary.
        units: channel numbers (axis 1).
        alpha: strength in [0, 1]: a number, one per unit, as (units,), or one per image and unit,
            as (N, units).
        value: the same; per image it copies activations of other images, such as of photos.
        mask: (H, W) or (N, 1, H, W) in [0, 1], with the map's own H and W, or None for everywhere;
            None for an x without height and width.

    >>> UnitEdit("r4", units=(1,))(torch.ones(1, 3)).tolist()
    [[1.0, 0.0, 1.0]]
    """

    at: str
    units: tuple[int, ...]
    alpha: float | Tensor = 1.0
    value: float | Tensor = 0.0
    mask: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """See the class.

        Raises:
            UsageError: a unit that x lacks, or alpha, value or mask of another shape.
        """
        index = torch.as_tensor(self.units, dtype=torch.int64, device=x.device)
        if len(self.units) and not (min(self.units) >= 0 and max(self.units) < x.shape[1]):
            raise UsageError(f"unit numbers at {self.at!r} go from 0 to {x.shape[1] - 1}")
        picked = x.index_select(1, index)
        value = self._per_unit("value", self.value, x)
        weight = self._per_unit("alpha", self.alpha, x)
        if self.mask is not None:
            weight = weight * self._checked_mask(self.mask, x)
        edited = x.clone()  # keeps the memory format, so that later stages compute the same
        edited[:, index] = torch.lerp(picked, value.expand_as(picked), weight)
        return edited

    def _per_unit(self, name: str, given: float | Tensor, x: Tensor) -> Tensor:
        """A number, or one per unit along axis 1; torch alone would lay a row of them along x."""
        values = torch.as_tensor(given, dtype=x.dtype, device=x.device)
        units, shape = len(self.units), tuple(values.shape)
        if shape not in ((), (units,), (len(x), units)):
            raise UsageError(
                f"{name} at {self.at!r} has shape {shape}; give a number, one for each unit: "
                f"({units},), or one for each image and unit: {(len(x), units)}"
            )
        return values.reshape(*shape, *([1] * (x.ndim - 2))) if values.ndim else values

    def _checked_mask(self, mask: Tensor, x: Tensor) -> Tensor:
        size = tuple(x.shape[2:])
        if len(size) != 2 or tuple(mask.shape) not in (size, (len(x), 1, *size)):
            allowed = f"{size} or {(len(x), 1, *size)}" if len(size) == 2 else "none, for a vector"
            raise UsageError(
                f"mask at {self.at!r} has shape {tuple(mask.shape)}; allowed: {allowed}"
            )
        return mask.to(x)


@dataclass(frozen=True)
class AddEdit:
    """Add a residual: x ← x + δ (Bau et al. 2019, section 3.2: r = δ + g(…)).

    Attributes:
        at: the boundary.
        delta: a number, or the axes of one sample or of x, each as long as there or 1: (C, 1, 1),
            (C, H, W), (N, C, H, W), …

    >>> AddEdit("r4", torch.tensor([0.0, 0.5]))(torch.ones(1, 2)).tolist()
    [[1.0, 1.5]]
    """

    at: str
    delta: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """See the class.

        Raises:
            UsageError: a delta of other axes.
        """
        shape, own = tuple(self.delta.shape), tuple(x.shape)
        ends = own[len(own) - len(shape) :]
        whole = len(shape) in (0, len(own) - 1, len(own))  # fewer would be laid along the last axes
        if not whole or any(a not in (1, b) for a, b in zip(shape, ends, strict=False)):
            raise UsageError(
                f"delta at {self.at!r} has shape {shape}; give a number, or all axes of a sample "
                f"{own[1:]} or of x {own}, each as long as there or 1"
            )
        return x + self.delta.to(x)


def run(
    generator: Generator,
    state: State,
    to: str = "image",
    *,
    edits: Sequence[Edit] = (),
    keep: Sequence[str] = (),
    params: Mapping[str, Tensor] | None = None,
) -> tuple[State, dict[str, Tensor]]:
    """Advance a state, applying edits on the way and keeping x at named boundaries.

    Edits at the starting boundary apply too; several at one boundary apply in the order given.
    What ``keep`` gives is x *after* all edits at that boundary, the x that the next stage takes;
    the code of GAN Dissection retains x before them. For that, keep in a run without edits.

    Returns:
        the state at ``to``, and x at each boundary named in ``keep`` (under the name given), after
        the edits there.

    Raises:
        UnknownNameError: no such boundary.
        UsageError: an edit or a kept boundary lies outside the way from start to end.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> start = generator.begin(generator.latents([0]))
    >>> run(generator, start, edits=[UnitEdit("r8.conv0", units=(3, 5))])[0].x.shape
    torch.Size([1, 3, 64, 64])
    """
    start, stop = generator.boundary(state.at), generator.boundary(to)
    changes = [(generator.boundary(edit.at).index, edit) for edit in edits]
    wanted = [(generator.boundary(name).index, name) for name in keep]
    stops = sorted({index for index, _ in (*changes, *wanted)} | {stop.index})
    if stops[0] < start.index or stops[-1] > stop.index:
        way = f"{start.name!r} and {stop.name!r}"
        raise UsageError(f"edits and kept boundaries must lie between {way}")
    kept: dict[str, Tensor] = {}
    for index in stops:
        if index > start.index or generator.boundary(state.at).index != index:
            state = generator.advance(state, generator.boundaries[index].name, params=params)
        for edit in (edit for at, edit in changes if at == index):
            state = state.with_x(edit(state.x))
        kept |= {name: state.x for at, name in wanted if at == index}
    return state, kept
