"""The encoder of a generator: from a file, shipped, from the cache, or trained now.

Guarantees: several processes train an encoder once; an encoder asked for anew is trained once in a
process, however many methods and cuts use it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from seeingkit.contracts import Generator
from seeingkit.errors import UsageError
from seeingkit.system.processes import rank, wait_for

from .files import Kind, TrainedEncoder, encoder_path, find_encoder, read_encoder
from .recipes import Recipe
from .training import train_encoder

log = logging.getLogger(__name__)
_TRAINED: set[Path] = set()  # encoders that this process trained anew


def given_encoder(path: Path, generator: Generator, kind: Kind, method: str) -> TrainedEncoder:
    """The encoder of a file, if it is of the kind that a method needs.

    Raises:
        UsageError: of another kind.
        WeightsError: see ``read_encoder``.
    """
    encoder = read_encoder(path, generator)
    if encoder.kind != kind:
        raise UsageError(f"{path}: a {encoder.kind} encoder, method {method} needs a {kind} one")
    return encoder.to(generator.device)


def stored_encoder(
    generator: Generator,
    kind: Kind,
    cut: str,
    recipe: Recipe,
    *,
    shipped: bool = True,
    anew: bool = False,
) -> TrainedEncoder | None:
    """An encoder that exists on this machine, or None.

    Args:
        cut: boundary that e_f reaches.
        recipe: of encoders in the cache.
        shipped: whether a shipped encoder, of any recipe, will do.
        anew: only one that this process trained with ``trained_encoder(…, anew=True)``.
    """
    if anew:
        kept = encoder_path(generator, kind, cut, recipe.key())
        path = kept if kept in _TRAINED else None
    else:
        path = find_encoder(generator, kind, cut, recipe.key(), shipped=shipped)
    return None if path is None else read_encoder(path, generator).to(generator.device)


def trained_encoder(
    generator: Generator, kind: Kind, cut: str, recipe: Recipe, *, anew: bool = False
) -> TrainedEncoder:
    """An encoder trained now and kept in the cache; ranks above 0 wait for that of rank 0."""
    kept = encoder_path(generator, kind, cut, recipe.key())
    if rank():
        wait_for([kept], "the encoder")
        return read_encoder(kept, generator).to(generator.device)
    log.warning(
        "training a %s encoder of %s at %s (%s recipe); it is kept for later runs",
        kind,
        generator.info.family,
        cut,
        recipe.name,
    )
    encoder = train_encoder(generator, kind, cut, recipe, path=kept, report=log.info)
    if anew:
        _TRAINED.add(kept)
    return encoder
