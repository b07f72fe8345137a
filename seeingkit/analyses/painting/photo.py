"""The user's own photo as a start: inverted by a registered inverter, then taken to the layer."""

from __future__ import annotations

from typing import Any

import torch

from seeingkit.analyses.inversion import invert
from seeingkit.analyses.inversion.catalog import DEFAULT_METHOD
from seeingkit.contracts import Generator, Inversion, State
from seeingkit.errors import ModelError, UsageError
from seeingkit.models.editfiles import state_text
from seeingkit.results.edits import PhotoStart


def invert_for(
    generator: Generator,
    image: torch.Tensor,
    layer: str,
    *,
    method: str = DEFAULT_METHOD,
    label: int | None = None,
    **options: Any,
) -> tuple[Inversion, State]:
    """A photo inverted, and its state at the layer where it is painted.

    Args:
        generator: that is to draw it.
        image: (1, 3, R, R) in [-1, 1].
        layer: where units are changed; r is optimised there unless another ``cut`` is given.
        method: a registered inverter.
        label: class of a conditional generator.
        options: of the inverter; an encoder is taken where one is there and never trained.

    Raises:
        UsageError: a cut behind the layer.
        ModelError: the inversion failed.

    ::

        _, state = invert_for(generator, image, "r8.conv1")
        run(generator, state, edits=[UnitEdit("r8.conv1", units, mask=mask)])
    """
    given = {"cut": generator.boundary(layer).name, "encoder": "found", **options}
    if generator.boundary(given["cut"]).index > generator.boundary(layer).index:
        raise UsageError(
            f"cut {given['cut']!r} lies behind the layer {layer!r}: cut there or before"
        )
    labels = None if label is None else [label]
    found = invert(generator, image, method=method, labels=labels, **given)
    if found.failed:
        raise ModelError(f"the photo could not be inverted: {found.failed[0]}")
    with torch.no_grad():
        return found, generator.advance(found.state.detach(), layer).detach()


def photo_start(
    found: Inversion, state: State, photo_sha256: str, label: int | None = None
) -> PhotoStart:
    """The record of an inverted photo for files of edits::

    start = photo_start(*invert_for(generator, image, "r8.conv1"), sha256)
    """
    return PhotoStart(
        photo_sha256=photo_sha256,
        layer=state.at,
        method=found.method,
        cut=found.cut,
        psnr=float(found.psnr[0]),
        label=label,
        state=state_text(state),
    )
