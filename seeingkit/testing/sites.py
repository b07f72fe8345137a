"""Checks of sites (tier 3), as ``seeingkit.contracts.sites`` promises them.

Guarantee: in a generator that passes, an edit of a weight does to the image what its plan says, and
nothing else of the generator changes. Of many sites, ``MOST`` are checked, from first to last.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seeingkit.contracts import RewritableGenerator, Site, State
from seeingkit.errors import UnknownNameError, UsageError

from .checks import Check, at, checks_in, draw, network, refused, require, require_same

MOST = 6
TOLERANCE = 1e-4
"""Of max(1, largest number): the steps of a site add in another order than the whole pass."""


def site_order(generator: RewritableGenerator) -> None:
    """Names are unique, and a site lies between two neighbouring boundaries that there are."""
    sites = generator.sites()
    names = [site.name for site in sites]
    double = sorted({name for name in names if names.count(name) > 1})
    require(not double, f"two sites are named {', '.join(double)}")
    for site in sites:
        with at(site.name):
            before, after = generator.boundary(site.before), generator.boundary(site.after)
            neighbours = f"{site.before!r} and {site.after!r} are no neighbours"
            require(after.index == before.index + 1, neighbours)
            weight = generator.weight(site)
            shape = tuple(weight.shape)
            require(shape == site.stored_shape, f"its weight is {shape}, not {site.stored_shape}")
            require(not weight.requires_grad, "its weight has a history")
            require(site.unit > 0, f"its unit is {site.unit}")
            require(generator.site(site.name) == site, "site() gives another one")
    with refused(UnknownNameError, "site('no/such site')", mentions=tuple(names)):
        generator.site("no/such site")


def finished_equals_advance(generator: RewritableGenerator) -> None:
    """``finish`` of the linear values of the keys is where ``advance`` arrives."""
    for site, state in _sites(generator):
        with at(site.name):
            keys = generator.keys(state, site)
            extent = tuple(keys.shape[2:])
            require(extent == site.keys, f"keys are {extent}, declared {site.keys}")
            linear = generator.linear(keys, site, generator.weight(site))
            extent = tuple(linear.shape[2:])
            require(extent == site.values, f"linear values are {extent}, declared {site.values}")
            found = generator.finish(state, site, linear)
            wanted = generator.advance(state, site.after)
            require(found.at == wanted.at, f"finish() arrives at {found.at!r}")
            require_same(found.x, wanted.x, "x after finish()", TOLERANCE)
            require(found.carry.keys() == wanted.carry.keys(), "finish() carries other tensors")
            for name, value in wanted.carry.items():
                require_same(found.carry[name], value, f"carried {name!r}", TOLERANCE)


def linear_in_both(generator: RewritableGenerator) -> None:
    """``linear`` is additive and homogeneous in the keys and in the weight."""
    for site, state in _sites(generator):
        with at(site.name):
            keys, weight = generator.keys(state, site), generator.weight(site)
            other = keys.flip(0)
            another = torch.roll(weight, 1, 0) * 0.5
            plain = generator.linear(keys, site, weight)
            mixed = generator.linear(2 * keys + other, site, weight)
            expected = 2 * plain + generator.linear(other, site, weight)
            require_same(mixed, expected, "of a sum of keys", TOLERANCE)
            mixed = generator.linear(keys, site, 2 * weight + another)
            expected = 2 * plain + generator.linear(keys, site, another)
            require_same(mixed, expected, "of a sum of weights", TOLERANCE)


def params_are_the_weight(generator: RewritableGenerator) -> None:
    """``advance`` with another weight in ``params`` is ``finish`` of its linear values."""
    module = network(generator)
    before = {k: v.clone() for k, v in module.state_dict().items()} if module is not None else {}
    for site, state in _sites(generator):
        with at(site.name):
            weight = generator.weight(site) * 1.25
            whole = generator.advance(state, site.after, params={site.weight: weight}).x
            plain = generator.advance(state, site.after).x
            require(not torch.equal(whole, plain), "another weight changes nothing")
            linear = generator.linear(generator.keys(state, site), site, weight)
            found = generator.finish(state, site, linear, weight).x
            require_same(found, whole, "x with another weight", TOLERANCE)
            wrong = torch.zeros(1, *weight.shape)
            with refused(UsageError, "a weight of another shape in params"):
                generator.advance(state, site.after, params={site.weight: wrong})
    after = module.state_dict() if module is not None else {}
    for name, value in before.items():
        if isinstance(value, Tensor):
            require_same(after[name], value, f"tensor {name!r} of the network")


def unfinish_inverts(generator: RewritableGenerator) -> None:
    """``unfinish`` gives linear values that ``finish`` to the same x; others are refused."""
    for site, state in _sites(generator):
        with at(site.name):
            value = generator.advance(state, site.after).x
            if not site.elementwise:
                with refused(UsageError, "unfinish() of a site that is not elementwise"):
                    generator.unfinish(state, site, value)
                continue
            wanted = torch.lerp(value, value.flip(0), 0.5)
            linear, slope = generator.unfinish(state, site, wanted)
            require(slope.shape == linear.shape, f"the slope is {tuple(slope.shape)}")
            found = generator.finish(state, site, linear).x
            require_same(found, wanted, "x after unfinish() and finish()", TOLERANCE)


def _sites(generator: RewritableGenerator) -> Iterator[tuple[Site, State]]:
    """Some sites, and the state before each."""
    sites = generator.sites()
    step = max(1, (len(sites) - 1) // (MOST - 1))
    chosen = [*sites[:-1:step][: MOST - 1], *sites[-1:]]
    state = generator.begin(draw(generator))
    for site in chosen:
        with at(site.name):
            state = generator.advance(state, site.before)
        yield site, state


def site_checks() -> list[tuple[str, Check[RewritableGenerator]]]:
    """Name and function of each check of sites; a function raises AssertionError.

    >>> [name for name, _ in site_checks()][:2]
    ['site_order', 'finished_equals_advance']
    """
    return checks_in(__name__)
