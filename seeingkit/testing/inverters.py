"""Checks of inverters, as ``seeingkit.contracts`` promises them.

Guarantee: an inverter that passes gives each image the same result whatever stands beside it, and
names all that changes that result in ``Prepared.settings``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Inversion, Inverter, Prepared
from seeingkit.models.probe import labels_in_turn

from .checks import Check, checks_in, draw, require, require_same

ROWS = 2
TOLERANCE = 1e-3
"""Largest difference between an image alone and in a batch (kernels round by the batch size)."""


def target_is_known(inverter: Inverter, generator: Generator) -> None:
    """The inverter has a name, and optimises z, r or nothing."""
    require(bool(inverter.name), "the inverter has no name")
    targets = ("z", "r", "none")
    require(inverter.target in targets, f"target is {inverter.target!r}, not one of {targets}")


def prepared_names_the_settings(inverter: Inverter, generator: Generator) -> None:
    """``prepare`` gives a ``Prepared`` with JSON-able settings and a cut inside the generator."""
    prepared = inverter.prepare(generator)
    kind = type(prepared).__name__
    require(isinstance(prepared, Prepared), f"prepare() gave a {kind}, no Prepared")
    _require_writable(dict(prepared.settings), "settings")
    cut = generator.boundary(prepared.cut)
    require(cut.name == prepared.cut, f"the cut is the alias {prepared.cut!r} of {cut.name!r}")
    inside = 0 < cut.index < len(generator.boundaries) - 1
    require(inside, f"the cut {cut.name!r} leaves nothing to find")
    if prepared.encoder is not None:
        _require_writable(prepared.encoder.about(), "the record of the encoder")
        require(prepared.start == "encoder", f"it starts from {prepared.start!r}, with an encoder")


def prepared_is_of_its_generator(inverter: Inverter, generator: Generator) -> None:
    """Preparing again gives the same settings: nothing is kept of what came in between."""
    first = inverter.prepare(generator)
    _invert(inverter, generator, first)
    again = inverter.prepare(generator)
    require(dict(again.settings) == dict(first.settings), "settings change from call to call")


def results_have_their_form(inverter: Inverter, generator: Generator) -> None:
    """N rows of everything; finite pictures and losses; r at the cut; photos as they were given."""
    prepared = inverter.prepare(generator)
    images = _images(generator)
    found = _invert(inverter, generator, prepared)
    require(len(found) == ROWS, f"{len(found)} rows for {ROWS} images")
    require_same(found.images, images.cpu(), "the photos")
    for name, tensor in (("reconstruction", found.reconstruction), ("initial", found.initial)):
        shapes = f"{tuple(tensor.shape)}, not {tuple(images.shape)}"
        require(tensor.shape == images.shape, f"{name} is {shapes}")
        require(bool(torch.isfinite(tensor).all()), f"{name} holds NaN or Inf")
    require(bool(torch.isfinite(found.loss).all()), "a loss is NaN or Inf")
    require(found.state.at == prepared.cut, f"the state is at {found.state.at!r}, not the cut")
    shape, declared = tuple(found.state.x.shape), (ROWS, *generator.boundary(prepared.cut).shape)
    require(shape == declared, f"r is {shape}, declared {declared}")


def reconstruction_is_of_r(inverter: Inverter, generator: Generator) -> None:
    """The reconstruction is G_f(r): the image that the state leads to."""
    found = _invert(inverter, generator, inverter.prepare(generator))
    with torch.no_grad():
        for row in range(ROWS):
            state = found.state[row]
            again = generator.advance(state.with_x(state.x.to(generator.device))).x.cpu()
            require_same(found.reconstruction[row : row + 1], again, f"row {row}", TOLERANCE)


def rows_stand_alone(inverter: Inverter, generator: Generator) -> None:
    """An image alone and among others gets one reconstruction, within ``TOLERANCE``."""
    prepared = inverter.prepare(generator)
    together = _invert(inverter, generator, prepared)
    for row in range(ROWS):
        alone = _invert(inverter, generator, prepared, [row]).reconstruction
        among = together.reconstruction[row : row + 1]
        require_same(alone, among, f"image {row} alone", TOLERANCE)


def rows_are_told(inverter: Inverter, generator: Generator) -> None:
    """``done`` is called once for each row, with an inversion of one row."""
    told: list[tuple[int, int]] = []
    inverter.invert(
        generator,
        _images(generator),
        labels=labels_in_turn(generator, range(ROWS)),
        done=lambda row, inversion: told.append((row, len(inversion))),
    )
    fits = sorted(told) == [(row, 1) for row in range(ROWS)]
    require(fits, f"done was told of {told} (row, rows)")


def generator_untouched(inverter: Inverter, generator: Generator) -> None:
    """The generator draws the same images after an inversion."""
    latent = draw(generator, range(ROWS))
    before = generator(latent).clone()
    _invert(inverter, generator, inverter.prepare(generator))
    require_same(generator(latent), before, "images of the generator")


def _require_writable(value: object, what: str) -> None:
    """Fail unless a value can be written as JSON, where tuples are lists."""
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} cannot be written as JSON ({error})") from error


def _images(generator: Generator, rows: Sequence[int] = range(ROWS)) -> Tensor:
    """Some of ``ROWS`` samples, which are made together: a sample alone rounds otherwise."""
    return generator(draw(generator, range(ROWS))).clamp(-1, 1)[list(rows)]


def _invert(
    inverter: Inverter, generator: Generator, prepared: Prepared, rows: Sequence[int] = range(ROWS)
) -> Inversion:
    images, labels = _images(generator, rows), labels_in_turn(generator, rows)
    return inverter.invert(generator, images, prepared=prepared, labels=labels)


def inverter_checks(generator: Generator) -> list[tuple[str, Check[Inverter]]]:
    """Name and function of each check of an inverter on a generator; each may raise AssertionError.

    Give the inverter few steps: it is run about ten times on two images.

    >>> inverter_checks(seeingkit.load_generator("progan:minichurches"))[0][0]
    'target_is_known'
    """
    return checks_in(__name__, generator, grad=True)
