"""Samples of a generator that inversion draws for itself, and their scales and averages.

Guarantee: a sample is a function of its seed alone, and a statistic of generator and cut; samples
with NaN or Inf are left out of statistics. Training and statistics draw from a series that starts
at ``TRAIN_SEED``, from which no other part of the library draws.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from seeingkit.contracts import Generator, State
from seeingkit.contracts.generators import check_images
from seeingkit.contracts.ranges import ENOUGH, ValueRange
from seeingkit.errors import ModelError, UsageError

TRAIN_SEED = 2**31
"""First seed of training samples, far from the small seeds that people use."""
_PROBES = 64
_TOGETHER = 4


def draw(generator: Generator, n: int, seed: int) -> dict[str, Tensor]:
    """n latents from one seed, on the generator's device; labels are drawn evenly."""
    classes = len(generator.info.class_names)
    labels = None
    if classes:
        labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
    latent = generator.latents(range(n), seed=seed % 2**32, labels=labels)
    return {name: value.to(generator.device) for name, value in latent.items()}


def states_at(
    generator: Generator, latent: Mapping[str, Tensor], stops: Iterable[str]
) -> list[State]:
    """The states of latents at several boundaries, in their order, without history."""
    found = []
    with torch.no_grad(), torch.autocast(generator.device.type, enabled=False):
        state = generator.begin(latent)
        for stop in stops:
            if generator.boundary(state.at).name != generator.boundary(stop).name:
                state = generator.advance(state, stop)
            found.append(state)
    return found


def latent_state(generator: Generator, z: Tensor, labels: Tensor | None = None) -> State:
    """The state at ``input`` for latents z (N, …), and labels (N,) of a conditional generator."""
    latent = {generator.info.latent[0].name: z}
    if labels is not None:
        latent["label"] = labels.to(z.device)
    return generator.begin(latent)


def probe_states(generator: Generator, cut: str, label: int | None = None) -> State:
    """Samples at the input, of one class if it is given, without those that give NaN or Inf.

    Raises:
        ModelError: fewer than two samples are left.
    """
    latent = draw(generator, _PROBES, TRAIN_SEED - 3 * _PROBES)
    if label is not None:
        latent["label"] = torch.full_like(latent["label"], label)
    state = generator.begin(latent)
    usable = torch.isfinite(generator.advance(state, cut).x.flatten(1)).all(1)
    if int(usable.sum()) < 2:
        raise ModelError(
            f"{generator.info.family}: {_PROBES - int(usable.sum())} of {_PROBES} samples "
            "are NaN or Inf; the weights may be damaged"
        )
    return state[usable]


def check_samples(generator: Generator) -> None:
    """Draw a few images and refuse a generator whose images break its contract.

    A range that may be wrong is logged.

    Raises:
        ModelError: names the fault: size, kind of number, or a range of values.
        UsageError: the generator has styles among its boundaries, which are no maps to invert.
    """
    if any(boundary.kind == "style" for boundary in generator.boundaries):
        raise UsageError(
            f"{generator.info.family} was loaded with styles as boundaries, through which nothing "
            "is inverted; load it without them"
        )
    seen = ValueRange(generator.info.family)
    latent = draw(generator, ENOUGH, TRAIN_SEED - 4 * _PROBES)
    with torch.no_grad():
        for start in range(0, ENOUGH, _TOGETHER):
            part = {name: value[start : start + _TOGETHER] for name, value in latent.items()}
            images = generator(part)
            check_images(images, generator.info, _TOGETHER)
            seen.add(images)
    seen.say()


def measured_scales(generator: Generator, cut: str) -> dict[str, float]:
    """Standard deviation of x over all samples and coordinates, at every boundary up to the cut."""
    scales = {}
    with torch.no_grad():
        state = probe_states(generator, cut)
        for boundary in generator.boundaries[: generator.boundary(cut).index + 1]:
            if boundary.index:
                state = generator.advance(state, boundary.name)
            scales[boundary.name] = max(float(state.x.std()), 1e-8)
    return scales


def average_states(generator: Generator, cut: str) -> Callable[..., State]:
    """A function from a class (None: all) to its mean state (1, …) at the cut, computed once."""

    @functools.cache
    def average(label: int | None = None) -> State:
        with torch.no_grad():
            state = generator.advance(probe_states(generator, cut, label), cut)
        carry = {
            k: v.mean(0, keepdim=True) if v.is_floating_point() else v[:1]
            for k, v in state.carry.items()
        }
        return State(cut, state.x.mean(0, keepdim=True), carry)

    return average
