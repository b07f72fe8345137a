"""Samples of a generator that inversion draws for itself: for training, statistics and starts.

Guarantee: a sample is a function of its seed alone. Training and statistics draw from a series
that starts at ``TRAIN_SEED``, from which no other part of the library draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from seeingkit.contracts import Generator, State

TRAIN_SEED = 2**31
"""First seed of training samples, far from the small seeds that people use."""


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
