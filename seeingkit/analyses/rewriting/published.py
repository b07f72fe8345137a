"""The published solver: Adam on the weight of a site, projected on the context's directions.

Guarantees: repeats the code of Bau et al. (ECCV 2020) where a linear value or a value after the
activation is what its subclass for the network optimises; recorded runs agree to their tolerance.

Known faults of that code are kept here, for they change its numbers: the keys of the box are
convolved with zeros around them, although the goal was computed with their neighbours, so that the
loss is not 0 where nothing is to be changed. ``closed`` has none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seeingkit.contracts import State
from seeingkit.errors import UsageError

from .bench import Bench
from .regions import Box, Region, bounding_box, put_at


@dataclass(frozen=True)
class PublishedSettings:
    """Settings of the published code, with its defaults.

    Attributes:
        steps: of Adam.
        rate: of Adam, in canonical numbers (``Site.unit``).
        every: after so many steps, from the first on, and after the last, the change is projected.
        project: whether it is; else the whole kernel is free.
        project_gradient: whether each gradient is projected too.
        factors: optimise Λ of W0 + Λ Dᵀ instead of the weight.
        tight: loss over the box of what was pasted, else over the whole map.
        alpha: the edge of what is pasted is blended.

    >>> PublishedSettings(steps=21).rate
    0.05
    """

    steps: int = 2001
    rate: float = 0.05
    every: int = 10
    project: bool = True
    project_gradient: bool = False
    factors: bool = False
    tight: bool = True
    alpha: bool = True


class Goal(NamedTuple):
    """Values that keys are to have.

    Attributes:
        state: of the image at ``site.before``.
        keys: (1, C_in, h, w), of a box or of all places.
        values: (1, C_out, H, W) that they are to have: linear where the site is not ``nonlinear``,
            else those at ``site.after``.
    """

    state: State
    keys: Tensor
    values: Tensor


class Solved(NamedTuple):
    """A solution.

    Attributes:
        kernel: (C_out, C_in, kh, kw) in canonical numbers.
        losses: before each step.
    """

    kernel: Tensor
    losses: list[float]


def projected(kernel: Tensor, directions: Tensor) -> Tensor:
    """The part of a kernel (C_out, C_in, kh, kw) along orthonormal directions (r, C_in).

    >>> projected(torch.ones(1, 2, 1, 1), torch.tensor([[1.0, 0.0]])).flatten().tolist()
    [1.0, 0.0]
    """
    along = torch.einsum("oiyx,di->odyx", kernel, directions)
    return torch.einsum("odyx,di->oiyx", along, directions)


def computed(bench: Bench, state: State, keys: Tensor, kernel: Tensor | None = None) -> Tensor:
    """The values that goals are of, for a kernel in canonical numbers; differentiable."""
    linear = bench.linear(keys, kernel)
    if not bench.site.nonlinear:
        return linear
    weight = None if kernel is None else bench.stored(kernel)
    return bench.generator.finish(state, bench.site, linear, weight).x


@torch.no_grad()
def paste_goal(
    bench: Bench, copy: Region, paste: Region, *, tight: bool = True, alpha: bool = True
) -> Goal:
    """What was copied, put at the middle of where it is to be pasted.

    Args:
        bench: the generator at the site.
        copy: of one image.
        paste: of another.
        tight: cut keys and values to the box of what was pasted, grown to whole keys.
        alpha: blend by the share of each cell that the copied region covers.
    """
    source_state, state = bench.state(copy), bench.state(paste)
    source = computed(bench, source_state, bench.keys(copy))
    keys = bench.keys(paste)
    values = computed(bench, state, keys).clone()
    size = (values.shape[2], values.shape[3])
    area = copy.area(size).to(values.device)
    top, left, bottom, right = bounding_box(area)
    clip, share = source[:, :, top:bottom, left:right], area[top:bottom, left:right]
    box = put_at(size, share.shape, paste.area(size))
    share = share if alpha else torch.ones_like(share)
    top, left, bottom, right = box
    there = values[:, :, top:bottom, left:right]
    values[:, :, top:bottom, left:right] = (1 - share) * there + share * clip
    if not tight:
        return Goal(state, keys, values)
    inner, outer = whole_keys(box, (keys.shape[2], keys.shape[3]), size)
    return Goal(state, _cut(keys, inner), _cut(values, outer))


@torch.no_grad()
def erase_goal(bench: Bench, paste: Region, units: Sequence[int], *, tight: bool = True) -> Goal:
    """The same image with some units of its keys at 0.

    Raises:
        UsageError: the box of the region has other sizes on both maps, as it may where the layer
            enlarges; the original stops there too.
    """
    state, keys = bench.state(paste), bench.keys(paste)
    without = keys.clone()
    without[:, list(units)] = 0
    values = computed(bench, state, without)
    if not tight:
        return Goal(state, keys, values)
    inner, outer = (
        bounding_box(paste.area((each.shape[2], each.shape[3]))) for each in (keys, values)
    )
    found = bench.linear(_cut(keys, inner)).shape[2:]
    wanted = _cut(values, outer).shape[2:]
    if found != wanted:
        raise UsageError(
            f"the region has {tuple(found)} cells before site {bench.site.name!r} and "
            f"{tuple(wanted)} behind it: take tight=False, or a layer that does not enlarge"
        )
    return Goal(state, _cut(keys, inner), _cut(values, outer))


def solve(
    bench: Bench, goal: Goal, directions: Tensor, settings: PublishedSettings | None = None
) -> Solved:
    """Optimise the kernel for a goal: L1, Adam.

    Args:
        bench: the generator at the site.
        goal: of ``paste_goal`` or ``erase_goal``.
        directions: (r, C_in), orthonormal.
        settings: of the published code.

    Raises:
        UsageError: noise of the layer that does not fit the box (``noise`` other than ``none`` or
            that of the published code).
    """
    chosen = settings or PublishedSettings()
    start = bench.kernel
    along = directions.to(start)
    fixed = start - projected(start, along)
    variable = start.clone()
    if chosen.factors:
        outputs, _, height, width = start.shape
        variable = start.new_zeros(outputs, len(along), height, width)
    variable.requires_grad_()

    def kernel() -> Tensor:
        if not chosen.factors:
            return variable
        return start + torch.einsum("odyx,di->oiyx", variable, along)

    adam = torch.optim.Adam([variable], lr=chosen.rate)
    losses = []
    with torch.enable_grad():
        for step in range(chosen.steps):
            loss = (_fitting(bench, goal, kernel()) - goal.values).abs().mean()
            adam.zero_grad()
            loss.backward()
            if chosen.project_gradient:
                assert variable.grad is not None
                variable.grad.copy_(projected(variable.grad, along))
            adam.step()
            losses.append(float(loss.detach()))
            last = step == chosen.steps - 1
            if chosen.project and not chosen.factors and (step % chosen.every == 0 or last):
                with torch.no_grad():
                    variable.copy_(fixed + projected(variable, along))
    return Solved(kernel().detach(), losses)


def zeroed(bench: Bench, directions: Tensor) -> Tensor:
    """The kernel without its part along the directions."""
    return bench.kernel - projected(bench.kernel, directions.to(bench.kernel))


def whole_keys(box: Box, keys: Sequence[int], values: Sequence[int]) -> tuple[Box, Box]:
    """A box of values grown to whole keys: as a box of keys, and of values.

    >>> whole_keys((0, 5, 8, 11), (8, 8), (16, 16))
    ((0, 2, 4, 6), (0, 4, 8, 12))
    """
    down, across = (b // a for a, b in zip(keys, values, strict=True))
    top, left, bottom, right = box
    inner = (top // down, left // across, -(-bottom // down), -(-right // across))
    return inner, (inner[0] * down, inner[1] * across, inner[2] * down, inner[3] * across)


def _cut(x: Tensor, box: Box) -> Tensor:
    top, left, bottom, right = box
    return x[:, :, top:bottom, left:right]


def _fitting(bench: Bench, goal: Goal, kernel: Tensor) -> Tensor:
    try:
        return computed(bench, goal.state, goal.keys, kernel)
    except RuntimeError as error:
        if goal.keys.shape[2:] == bench.site.keys:
            raise
        raise UsageError(
            f"site {bench.site.name!r}: a map that the layer adds does not fit the box of what was "
            "pasted; load the generator with noise=none or noise=rewriting, or take tight=False"
        ) from error
