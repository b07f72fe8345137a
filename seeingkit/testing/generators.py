"""Checks of generators (tier 2), as ``seeingkit.contracts`` promises them.

Guarantee: a generator that passes can be stopped, edited and taken up again at each of its
boundaries without a change of a single bit (on the CPU; elsewhere within ``BATCH_TOLERANCE``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, Generator, State
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.models.edits import AddEdit, Edit, UnitEdit, run
from seeingkit.models.geometry import cell_size, cell_under

from .checks import (
    BATCH_TOLERANCE,
    ROWS,
    Check,
    at,
    checks_in,
    draw,
    network,
    refused,
    require,
    require_again,
    require_same,
)
from .samplers import sampler_checks

LEAST_CELLS = 4
"""Smaller maps say nothing of places: what a cell changes is cut off by the edges."""
CORNERS = ((0.3, 0.3), (0.3, 0.7), (0.7, 0.3), (0.7, 0.7))
OFF_CELLS, OFF_IMAGE = 0.75, 1 / 16
"""By how many cells, or by what share of the image, if that is more, the middle of a change may
stand beside its place: kernels are not symmetric, and a shift adds up over many layers (trained
networks: 0.4 cells; random weights: 0.5 cells, and over 14 layers 0.05 of the image)."""
IMPULSES = 8
"""Changes of a cell that decide where one alone speaks against the window (StyleGAN3 with random
weights, its first map: 1.06 cells by one, 0.48 by four, 0.44 by 64)."""
SCALE = (0.1, 1.6)
"""How far apart two cells may stand, as a share of what the window says. What a cell of a small map
changes is cut off by the edges, so that it seems nearer to the middle (random weights, 4 cells:
0.2); a window without the margin that the map has makes it more than 1.6. Neighbours may be off by
``OFF_CELLS`` all the same, as their middles may (random weights, 4 cells: 0.45 to 1.73)."""


def _begin(generator: Generator) -> State:
    return generator.begin(draw(generator))


def boundary_order(generator: Generator) -> None:
    """Indices count 0, 1, 2, …, ``input`` is first, ``image`` is last, and names are unique."""
    cuts = generator.boundaries
    indices = [b.index for b in cuts]
    require(indices == list(range(len(cuts))), f"indices are {indices}, not 0, 1, 2, …")
    require(cuts[0].name == "input", f"the first boundary is {cuts[0].name!r}, not 'input'")
    last = cuts[-1].name, cuts[-1].kind
    message = f"the last boundary is {last[0]!r} of kind {last[1]!r}, not 'image'"
    require(last == ("image", "image"), message)
    names = [name for b in cuts for name in (b.name, *b.aliases)]
    double = sorted({name for name in names if names.count(name) > 1})
    require(not double, f"two boundaries answer to {', '.join(double)}")
    require(_begin(generator).at == "input", f"begin() stands at {_begin(generator).at!r}")


def boundary_shapes(generator: Generator) -> None:
    """x has the declared shape and extent at each boundary, and all that is carried has N rows."""
    for boundary, state in _states(generator):
        with at(boundary.name):
            require(state.at == boundary.name, f"the state says it is at {state.at!r}")
            shape, extent = tuple(state.x.shape), boundary.extent
            declared = ", ".join(map(str, boundary.shape))
            require(shape == (ROWS, *boundary.shape), f"x is {shape}, declared (N, {declared})")
            if boundary.kind == "style":
                require(len(shape) == 2 and extent is None, f"a style is {shape}, not (N, C)")
            elif boundary.kind != "latent" or extent is not None:
                require(extent == shape[2:], f"extent is {extent}, x is {shape}")
            for name, value in state.carry.items():
                shape = tuple(value.shape)
                require(shape[:1] == (ROWS,), f"carried {name!r} is {shape}, not batch-first")


def aliases_resolve(generator: Generator) -> None:
    """Each alias leads to its boundary, in ``boundary`` and in ``advance``."""
    for boundary, state in _states(generator):
        for alias in (boundary.name, *boundary.aliases):
            with at(alias):
                require(generator.boundary(alias) == boundary, "leads to another boundary")
                reached = generator.advance(_begin(generator), alias)
                require(reached.at == boundary.name, f"the state says it is at {reached.at!r}")
                require_again(reached.x, state.x, "x")


def resume_exact(generator: Generator) -> None:
    """Stopping at a boundary, or at every one, changes nothing of the image."""
    whole = generator(draw(generator))
    walked = _begin(generator)
    for boundary, state in _states(generator):
        with at(boundary.name):
            image = generator.advance(state, "image").x
            require_again(image, whole, "image after a stop")
            walked = generator.advance(walked, boundary.name)
            require_again(walked.x, state.x, "x after a stop at each boundary")


def gradients(generator: Generator) -> None:
    """A gradient, finite and not all zero, leads from the image to x everywhere and to the latent.

    The latent may be reached through x or through what is carried (after a learnt constant).
    """
    name = generator.info.latent[0].name
    for boundary in generator.boundaries:
        with at(boundary.name), torch.enable_grad():
            latent = dict(draw(generator))
            latent[name] = latent[name].clone().requires_grad_()
            state = generator.advance(generator.begin(latent), boundary.name)
            x = state.x if state.x.requires_grad else state.x.detach().requires_grad_()
            image = generator.advance(state.with_x(x), "image").x
            require(image.requires_grad, "no gradient leads from the image back to x")
            # squares, because a sum is all that some normalisations keep
            found: tuple[Tensor | None, ...] = torch.autograd.grad(
                image.square().sum(), [x, latent[name]], allow_unused=True
            )
            for what, gradient in zip(("x", "the latent"), found, strict=True):
                require(gradient is not None, f"no gradient reaches {what}")
                assert gradient is not None
                require(bool(torch.isfinite(gradient).all()), f"gradient of {what} is not finite")
                require(bool(gradient.any()), f"gradient of {what} is zero everywhere")


def advance_pure(generator: Generator) -> None:
    """``advance`` changes neither the state it is given nor the network, and repeats itself."""
    module = network(generator)
    before = {k: v.clone() for k, v in module.state_dict().items()} if module is not None else {}
    for boundary, state in _states(generator):
        with at(boundary.name):
            x, carry = state.x.clone(), {k: v.clone() for k, v in state.carry.items()}
            first = generator.advance(state, "image").x.clone()
            require_same(state.x, x, "x of the state given")
            require(state.carry.keys() == carry.keys(), "carry of the state given: other names")
            for name, value in carry.items():
                require_same(state.carry[name], value, f"carried {name!r} of the state given")
            second = generator.advance(state, "image").x
            require_again(second, first, "the second time")
    after = module.state_dict() if module is not None else {}
    for name, value in before.items():
        if isinstance(value, Tensor):
            require_same(after[name], value, f"tensor {name!r} of the network")


def backwards_refused(generator: Generator) -> None:
    """Going back to an earlier boundary is a ``UsageError``."""
    for boundary, state in _states(generator):
        for earlier in generator.boundaries[: boundary.index]:
            with at(boundary.name), refused(UsageError, f"going back to {earlier.name!r}"):
                generator.advance(state, earlier.name)


def unknown_boundary(generator: Generator) -> None:
    """An unknown boundary is an ``UnknownNameError`` that lists some that exist."""
    names = tuple(b.name for b in generator.boundaries)
    with refused(UnknownNameError, "boundary('no/such cut')", mentions=names):
        generator.boundary("no/such cut")
    with refused(UnknownNameError, "advance('no/such cut')", mentions=names):
        generator.advance(_begin(generator), "no/such cut")


def state_rows(generator: Generator) -> None:
    """Rows of a state, and several states joined, give the images of those rows."""
    for boundary, state in _states(generator):
        with at(boundary.name):
            image = generator.advance(state, "image").x
            joined = State.cat([state[2:], state[[0]], state[1]])
            order = torch.tensor([2, 0, 1], device=image.device)
            for name, value in {**state.carry, "x": state.x}.items():
                taken = joined.x if name == "x" else joined.carry[name]
                require_same(taken, value[order], f"{name!r} taken apart and joined")
            again = generator.advance(joined, "image").x
            require_same(again, image[order], "images of rows joined", BATCH_TOLERANCE)
            alone = generator.advance(state[1], "image").x
            require_same(alone, image[1:2], "image of row 1 alone", BATCH_TOLERANCE)


def edits_by_hand(generator: Generator) -> None:
    """An edit applied by ``seeingkit.models.edits.run`` equals stopping and changing x by hand."""
    whole = generator(draw(generator))
    for boundary, state in _states(generator):
        with at(boundary.name):
            delta = torch.linspace(-0.5, 1.0, state.x[0].numel()).reshape(boundary.shape)
            last = state.x.shape[1] - 1
            unit = state.x.clone()
            unit[:, [0, last]] = 0.75
            edited: list[tuple[str, Edit, Tensor]] = [
                ("UnitEdit", UnitEdit(boundary.name, tuple({0, last}), value=0.75), unit),
                ("AddEdit", AddEdit(boundary.name, delta), state.x + delta.to(state.x)),
            ]
            for what, edit, x in edited:
                by_hand = generator.advance(state.with_x(x), "image").x
                end, kept = run(generator, _begin(generator), edits=[edit], keep=[boundary.name])
                require_again(kept[boundary.name], x, f"x kept after {what}")
                require_again(end.x, by_hand, f"image after {what}")
                require(not torch.equal(end.x, whole), f"{what} leaves the image as it was")


def maps_lie_in_their_window(generator: Generator) -> None:
    """What changes in the image when a cell is changed has its middle where ``window`` says.

    Four cells are changed, at either side of the middle, so that what the edges cut off cancels
    out: the mean of the middles must be right, and their distance. Random weights smear one impulse
    to any side; where a cell seems to stand elsewhere, ``IMPULSES`` of random signs decide.
    """
    for boundary, state in _states(generator):
        if boundary.kind != "feature" or min(boundary.extent or (0,)) < LEAST_CELLS:
            continue
        with at(boundary.name):
            before = generator.advance(state).x
            fault = _window_fault(generator, boundary, state, before, 1)
            if fault:
                fault = _window_fault(generator, boundary, state, before, IMPULSES)
            require(not fault, fault)


def _window_fault(
    generator: Generator, boundary: Boundary, state: State, before: Tensor, impulses: int
) -> str:
    """What speaks against the window of a boundary; empty: nothing."""
    cells = [cell_under(boundary, *place) for place in CORNERS]
    found = [_middle_of_change(generator, state, cell, before, impulses) for cell in cells]
    middles = torch.stack(found).reshape(2, 2, 2)
    for axis, direction in enumerate(("down", "right")):
        size, start = cell_size(boundary)[axis], boundary.window[axis]
        ends = [start + (cell[axis] + 0.5) * size for cell in (cells[0], cells[-1])]
        near, far = middles[..., axis].mean(1 - axis).tolist()
        off = (near + far - sum(ends)) / 2
        if abs(off) > max(OFF_CELLS * size, OFF_IMAGE):
            return (
                f"a change stands {off / size:+.2f} cells further {direction} than its window says"
            )
        apart = ends[1] - ends[0]
        scale = (far - near) / apart
        if abs(far - near - apart) > OFF_CELLS * size and not SCALE[0] <= scale <= SCALE[1]:
            return f"cells lie {scale:.2f} times as far apart {direction} as its window says"
    return ""


def _middle_of_change(
    generator: Generator, state: State, cell: tuple[int, int], before: Tensor, impulses: int
) -> Tensor:
    """(y, x) in heights and widths of the image, weighted by the square of the change.

    The first impulse lifts all units, the others lift or lower each at random.
    """
    rng = torch.Generator().manual_seed(0)
    change = torch.zeros(before.shape[-2:], dtype=torch.float64, device=before.device)
    for number in range(impulses):
        signs = torch.ones(state.x.shape[1])
        if number:
            signs = torch.randint(0, 2, signs.shape, generator=rng) * 2.0 - 1
        x = state.x.clone()
        x[:, :, cell[0], cell[1]] += (x.std() + 1e-3) * signs.to(x)
        image = generator.advance(state.with_x(x)).x
        change += (image - before).double().square().sum((0, 1))
    require(bool(change.any()), f"cell {cell} changes nothing in the image")
    share = (change / change.sum()).cpu()
    height, width = share.shape
    y = (share.sum(1) * (torch.arange(height) + 0.5)).sum() / height
    return torch.stack([y, (share.sum(0) * (torch.arange(width) + 0.5)).sum() / width])


def params_override(generator: Generator) -> None:
    """``params`` replaces the network's tensors for one call, differentiably."""
    module = network(generator)
    own = dict(module.named_parameters()) if module is not None else {}
    if not own:
        return
    state = _begin(generator)
    plain = generator.advance(state, "image").x.clone()
    with torch.enable_grad():
        params = {name: value.detach().clone().requires_grad_() for name, value in own.items()}
        image = generator.advance(state, "image", params=params).x
        # not exactly: torch has other kernels for some layers when gradients are wanted
        require_same(image.detach(), plain, "image with equal params", BATCH_TOLERANCE)
        require(image.requires_grad, "no gradient leads from the image to params")
        found: tuple[Tensor | None, ...] = torch.autograd.grad(
            image.square().sum(), list(params.values()), allow_unused=True
        )
    gradients = zip(params, found, strict=True)
    sizes = {name: float(g.abs().max()) for name, g in gradients if g is not None}
    steepest = max(sizes, key=sizes.__getitem__, default="")
    require(bool(steepest) and sizes[steepest] > 0, "the gradient of all params is zero")
    change = {steepest: params[steepest].detach() + 0.5}
    changed = generator.advance(state, "image", params=change).x
    require(not torch.equal(changed, plain), f"params {steepest!r} has no effect")
    after = generator.advance(state, "image").x
    require_again(after, plain, "image after params were replaced once")
    with refused(UsageError, "an unknown name in params"):
        generator.advance(state, "image", params={"no.such.tensor": torch.zeros(1)})


def _states(generator: Generator) -> list[tuple[Boundary, State]]:
    """The state at each boundary, each from the beginning."""
    states = []
    for boundary in generator.boundaries:
        with at(boundary.name):
            states.append((boundary, generator.advance(_begin(generator), boundary.name)))
    return states


def generator_checks() -> list[tuple[str, Check[Generator]]]:
    """Name and function of each check of tiers 1 and 2; a function raises AssertionError.

    >>> [name for name, _ in generator_checks()][:2]
    ['identity_is_json', 'latents_by_index']
    """
    return [*sampler_checks(), *checks_in(__name__)]
