"""Encoders that came with a generator, as the start of inversions: found, and tested.

Guarantees: nothing is trained; an encoder of another generator is refused, as far as files say so;
and where they do not, the generator's own samples are asked: an encoder whose estimates have
nothing to do with the latents of the images is named in a caution.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seeingkit.contracts import Generator, ModelEncoder
from seeingkit.errors import MissingWeightsError
from seeingkit.models.encoders import load_encoder, reads_encoder

from ..samples import TRAIN_SEED, draw

SAMPLES = 64
PERMUTATIONS = 999
LEVEL = 0.01
"""An encoder that has nothing to do with the generator goes without its caution this often."""
_FIRST = TRAIN_SEED - 6 * SAMPLES
_TOGETHER = 4


def encoder_in(
    wanted: str, generator: Generator, options: Mapping[str, Any]
) -> ModelEncoder | None:
    """The encoder in a file, or the one that came with the generator; None if that is none.

    Args:
        wanted: a file, or ``found`` for the generator's own.
        options: of the encoder.

    Raises:
        MissingWeightsError: there is no such file.
        StateMismatchError: it belongs to another generator.
        UsageError: an option that the encoder does not have.
    """
    own = generator.own_encoder
    if wanted == "found":
        return None if own is None else load_encoder(generator=generator, **options)
    path = Path(wanted)
    if not path.is_file():
        raise MissingWeightsError(f"{path}: no such encoder file; check --encoder")
    if own is not None and own.weights.exists() and path.samefile(own.weights):
        return load_encoder(generator=generator, **options)
    if not reads_encoder(path):
        return None
    return load_encoder(weights=path, generator=generator, **options)


def cautions_of(encoder: ModelEncoder, generator: Generator) -> tuple[str, ...]:
    """Sentences for people: what was assumed, and that it seems to be another's encoder."""
    info, said = encoder.info, []
    how = "a draw from its distribution" if info.draw == "sample" else "its mean"
    start = f"Inversion starts from the encoder that came with {generator.info.family}"
    start += f" ({how if info.stochastic else 'its value'})"
    if info.assumptions:
        start += f"; its file does not say, and it is assumed: {'; '.join(info.assumptions)}"
    said.append(f"{start}.")
    z, estimates = round_trip(encoder, generator)
    p = relation(z, estimates)
    if p > LEVEL:
        said.append(
            f"On {len(z)} samples of {generator.info.family} the encoder's estimates cannot be "
            f"told from those of another generator's encoder (permutation test, p = {p:.2g}): it "
            "may be another's, or have learnt from images of another range."
        )
    return tuple(said)


def round_trip(
    encoder: ModelEncoder, generator: Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latents of samples and their estimates from the images, (N, D) each; finite rows alone."""
    latent, found = draw(generator, SAMPLES, _FIRST), []
    with torch.no_grad():
        for start in range(0, SAMPLES, _TOGETHER):
            part = {name: value[start : start + _TOGETHER] for name, value in latent.items()}
            found.append(encoder.encode(generator(part).to(encoder.device)).mean.flatten(1).cpu())
    z = latent[generator.info.latent[0].name].flatten(1).cpu().double().numpy()
    estimates = torch.cat(found).double().numpy()
    usable = np.isfinite(estimates).all(1)
    return z[usable], estimates[usable]


def relation(z: NDArray[np.float64], estimates: NDArray[np.float64]) -> float:
    """P-value of no relation between latents and their estimates, (N, D) each: a permutation test.

    Null: estimates are exchangeable against latents, as those of an encoder of another generator.
    Statistic: sum over samples and numbers of z · estimate, each number of the estimates centred
    and divided by its standard deviation; one-sided, for an encoder estimates z and not its
    negative. ``PERMUTATIONS`` permutations from a fixed seed; 1 for fewer than two samples.

    >>> z = np.random.RandomState(0).randn(64, 4)
    >>> relation(z, z + 1), relation(z, np.random.RandomState(1).randn(64, 4)) > 0.01
    (0.001, True)
    """
    if len(z) < 2:
        return 1.0
    spread = estimates.std(0)
    scaled = (estimates - estimates.mean(0)) / np.where(spread > 0, spread, 1.0)
    products = (z - z.mean(0)) @ scaled.T
    orders = np.random.RandomState(0).rand(PERMUTATIONS, len(z)).argsort(1)
    others = products[np.arange(len(z)), orders].sum(1)
    return float((1 + np.sum(others >= np.trace(products))) / (1 + PERMUTATIONS))
