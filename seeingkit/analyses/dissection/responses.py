"""Responses: where in the image a channel acts that has no map of its own.

A style (``Boundary.kind``) scales or shifts whole maps, so it has no place. Its response has: how
much the image changes where the channel alone is moved by one standard deviation σ_k,

    c_k = |image(s + σ_k e_k) − image(s)|, the mean over colours,

in multiples of what moving any channels changes there: c_k / (c + c̄ / 10), where c is the mean
change by ``DIRECTIONS`` random sums of all channels, Σ_j ± σ_j e_j / √C, and c̄ its mean over the
image. Of c_k alone nearly every channel agrees with the class that has most edges, for there any
change is large. A response goes through levels, IoU, null and labels as the map of a unit does. A
finite difference, not a gradient (Wu et al., CVPR 2021, section 4): it takes one forward from the
layer on, and σ_k is a change that occurs, so a channel that hardly varies is faint.

Guarantees: an image is drawn with one channel moved and all else equal (the same noise); rows are
those of a group of images, so that no value depends on which process made it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from seeingkit.contracts import Boundary, Generator, State
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.system.progress import duration

from .grouping import GROUP

RESPONSES = 1
"""Version of how responses are made; part of the identity of stored sums."""
SIDE = 32
"""Cells of a response a side, at most."""
MEASURED = 256
"""Images from which the standard deviation of each channel comes, at most."""
TINY = 1e-12
"""Least divisor: where no direction changes an image, no channel does."""
TOGETHER = 16
"""Images of which channels are measured at once."""
MOST = 1_000_000
"""Images that may be drawn for responses, of ``check_responses``."""
DIRECTIONS, FLOOR = 8, 0.1
"""Random sums of all channels that say what is usual; share of their mean added to it."""
KEPT = 1 << 26
"""Values of responses that are kept where the same images are looked at twice (256 MiB)."""

Key = tuple[int, tuple[int, ...]]
"""Seed and numbers of a batch of images."""


@dataclass(frozen=True, eq=False)
class Response:
    """Channels of a style, and by how much each is moved.

    Attributes:
        style: the boundary at which they are.
        units: their numbers, K of them.
        spread: (C,) float32, the standard deviation of each channel of the style.
        kept: responses by seed and images; None: none are kept.

    >>> style = Boundary("r8.style", 2, (512,), "style")
    >>> Response(style, (3, 5), torch.ones(512)).grid(256).shape
    (2, 32, 32)
    """

    style: Boundary
    units: tuple[int, ...]
    spread: Tensor
    kept: dict[Key, Tensor] | None = field(default=None, repr=False)

    def grid(self, resolution: int) -> Boundary:
        """Where responses lie in images of that many pixels a side, as a boundary with a map."""
        side = min(SIDE, resolution)
        shape = (len(self.units), side, side)
        return replace(self.style, shape=shape, kind="feature", extent=(side, side))

    def remembering(self) -> Response:
        """The same, for a sample that is looked at twice: what was drawn is kept in memory."""
        return replace(self, kept={})

    def maps(self, generator: Generator, state: State, images: Tensor, key: Key) -> Tensor:
        """The responses of a batch of images.

        Args:
            generator: that drew them.
            state: the batch at a boundary not behind the style.
            images: (N, 3, R, R), the same batch without a change.
            key: seed and numbers of the images.

        Returns:
            (N, K, side, side) float32, multiples of the usual change, from 0.
        """
        if self.kept is not None and key in self.kept:
            return self.kept[key]
        with torch.no_grad():
            at = generator.advance(state, self.style.name)
            usual = self.usual(generator, at, images)
            found = torch.zeros(len(images), len(self.units), *usual.shape[2:])
            found = found.to(usual)
            for first in range(0, len(self.units), self._together(at.x)):
                some = self.units[first : first + self._together(at.x)]
                moves = torch.zeros(len(some), len(self.spread))
                moves[range(len(some)), some] = self.spread[list(some)]
                changes = self._changes(generator, at, images, moves)
                found[:, first : first + len(some)] = changes / usual.clamp(min=TINY)
        if self.kept is not None:
            values = sum(map(Tensor.numel, self.kept.values())) + found.numel()
            self.kept.update({key: found} if values <= KEPT else {})
        return found

    def usual(self, generator: Generator, at: State, images: Tensor) -> Tensor:
        """(N, 1, side, side): what a move of any channels changes, and a tenth of its mean."""
        change = self._changes(generator, at, images, self.directions).mean(1, keepdim=True)
        return change + FLOOR * change.mean((2, 3), keepdim=True)

    @property
    def directions(self) -> Tensor:
        """(``DIRECTIONS``, C): random sums of all channels, as long as one is on average."""
        draw = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (DIRECTIONS, len(self.spread)), generator=draw) * 2.0 - 1
        return signs * self.spread / math.sqrt(len(self.spread))

    def _together(self, x: Tensor) -> int:
        """Moves that are drawn at once: on a CPU one, for more are no faster there."""
        return 1 if x.device.type == "cpu" else 16

    def _changes(self, generator: Generator, at: State, images: Tensor, moves: Tensor) -> Tensor:
        """(N, moves, side, side): the change of the images by each of the moves (M, C)."""
        before, found = images.clamp(-1, 1), []
        for some in moves.to(at.x).split(self._together(at.x)):
            moved = State.cat([at.with_x(at.x + move) for move in some])
            after = generator.advance(moved).x.clamp(-1, 1).unflatten(0, (len(some), -1))
            change = (after - before).abs().mean(2).transpose(0, 1)
            found.append(adaptive_avg_pool2d(change, min(SIDE, change.shape[-1])))
        return torch.cat(found, 1)


def response_of(source: SamplerSource, style: Boundary, units: Sequence[int] = ()) -> Response:
    """The response of channels, with standard deviations over the first images of a source.

    Args:
        source: images that nothing is reported on.
        style: of its generator.
        units: channels; empty: all.

    >>> generator = seeingkit.load_generator("stylegan2:minichurches", styles=True)
    >>> source, style = SamplerSource(generator, 4), generator.boundary("r8.conv1.style")
    >>> response_of(source, style, [3, 5]).spread.shape
    torch.Size([128])
    """
    generator = source.sampler
    assert isinstance(generator, Generator)
    chosen = tuple(units) or tuple(range(style.shape[0]))
    values = []
    with torch.no_grad():
        for first in range(0, min(MEASURED, len(source)), TOGETHER):
            latent = source.latent(range(first, min(first + TOGETHER, len(source))))
            x = generator.advance(generator.begin(latent), style.name).x
            values.append(x.double().cpu())
    return Response(style, chosen, torch.cat(values).std(0, correction=0).float())


def check_responses(
    boundaries: Sequence[Boundary],
    units: Sequence[int],
    images: int,
    level_images: int,
    resolution: int,
    basis: str = "units",
) -> int:
    """How many images responses will take, and whether that can be done.

    Args:
        boundaries: that are to be dissected, styles among them.
        units: channels of each style; empty: all.
        images: that are evaluated.
        level_images: that levels come from, which are drawn again where ``KEPT`` is too small.
        resolution: pixels of an image a side.
        basis: of the dissection.

    Returns:
        0 without a style among the boundaries.

    Raises:
        UsageError: channels that a style does not have, or without any style; another basis; more
            than ``MOST`` images.

    >>> check_responses([Boundary("r8.style", 2, (512,), "style")], (3, 5), 1000, 320, 64)
    13200
    """
    styles = [boundary for boundary in boundaries if boundary.kind == "style"]
    if not styles:
        if len(units):
            raise UsageError("--units are channels of styles; no style is among the layers")
        return 0
    if basis != "units":
        raise UsageError(f"--basis {basis} is for maps; {styles[0].name} is a style")
    for style in styles:
        wrong = next((unit for unit in units if not 0 <= unit < style.shape[0]), None)
        if wrong is not None:
            last = style.shape[0] - 1
            raise UsageError(f"no channel {wrong} at {style.name}; there are 0 to {last}")
    if len(set(units)) < len(units):
        raise UsageError("a channel is given twice")
    drawn = 0
    for style in styles:
        channels = len(units) or style.shape[0]
        again = _drawn_again(level_images, channels * min(SIDE, resolution) ** 2)
        drawn += (images + level_images + again) * (channels + DIRECTIONS)
    if drawn > MOST:
        raise UsageError(
            f"responses would take {drawn:,} images (of each image one a channel, and {DIRECTIONS} "
            f"more), above {MOST:,}: name fewer channels with --units, take fewer "
            "images, or several runs"
        )
    return drawn


def _drawn_again(images: int, values: int) -> int:
    """Of some images of so many values each, those that do not fit ``KEPT``, a batch at a time."""
    batches = [min(GROUP, images - start) for start in range(0, images, GROUP)]
    room, again = KEPT, 0
    for count in batches:
        if count * values <= room:
            room -= count * values
        else:
            again += count
    return again


def responses_told(source: SamplerSource, boundaries: Sequence[Boundary], drawn: int) -> str:
    """How long responses will take, in words, by one pass from the first style on.

    Args:
        source: of the images.
        boundaries: styles among them, of its generator.
        drawn: images, of ``check_responses``.

    ::

        responses_told(source, boundaries, 53_248)
    """
    generator = source.sampler
    assert isinstance(generator, Generator)
    style = next(boundary for boundary in boundaries if boundary.kind == "style")
    with torch.no_grad():
        start = generator.begin(source.latent(range(min(TOGETHER, len(source)))))
        at = generator.advance(start, style.name)
        times = []
        for _ in range(2):
            began = time.monotonic()
            generator.advance(at).x.cpu()
            times.append(time.monotonic() - began)
    took = duration(min(times) / len(at) * drawn)
    return f"responses of styles draw {drawn:,} more images, about {took} here"
