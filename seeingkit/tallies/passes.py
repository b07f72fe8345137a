"""The passes of a tally: batches of a source are loaded, and the numbers of their images found.

Guarantees: passes come in order, and each image of a source is in one of them; a source is asked
for one batch after the other, but for a generator that says two at once may be made; how many
threads count an image does not depend on how many images there are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seeingkit import contracts
from seeingkit.contracts import Annotator, ImageSource, Skipped
from seeingkit.errors import SourceError
from seeingkit.images import SamplerSource
from seeingkit.models.wrapped import WrappedSegmenter
from seeingkit.system.lanes import LANES, in_lanes, lanes_here

from .readahead import one_ahead

_ROUNDING = 1e-4  # of floats, beyond the ends of a range


class Loaded(NamedTuple):
    """One batch of a source.

    Attributes:
        batch: numbers of its images.
        images: (good images, 3, H, W) in [-1, 1]; None where none is good.
        good: numbers of those that could be read.
        skipped: the others.
    """

    batch: list[int]
    images: Tensor | None
    good: list[int]
    skipped: list[Skipped]


class Pass(NamedTuple):
    """One batch that is done.

    Attributes:
        batch, good, skipped: as of ``Loaded``.
        numbers: (good images, planes x labels) on the CPU; None where none is good.
    """

    batch: list[int]
    good: list[int]
    skipped: list[Skipped]
    numbers: Tensor | None


def passes_of(
    source: ImageSource,
    indices: Sequence[int],
    size: int,
    load: Callable[[list[int]], Loaded],
    work: Callable[[Tensor], Tensor],
    annotator: Annotator,
) -> Generator[Pass, None, None]:
    """Load images in batches and find their numbers, in two lanes where that gains time.

    Args:
        source: of the images.
        indices: numbers of images of the source.
        size: images that are worked on at once, in both lanes together where there are two.
        load: the numbers of a batch to its images; two threads call it at once if the source is a
            generator that is thread-safe.
        work: images (N, 3, H, W) to numbers (N, planes x labels), by the annotator; two threads
            call it at once if that is thread-safe and on a CPU.
        annotator: whose device decides.

    ::

        for one in passes_of(source, range(100), 16, load, segmenter.statistics, segmenter):
            one.numbers
    """

    def count(loaded: Loaded) -> Pass:
        batch, images, good, skipped = loaded
        return Pass(batch, good, skipped, None if images is None else work(images))

    def split(loaded: Loaded) -> Pass:
        batch, images, good, skipped = loaded
        if images is None:
            return count(loaded)
        parts = images.split(-(-len(images) // LANES))
        return Pass(batch, good, skipped, torch.cat(list(in_lanes(parts, work))))

    def make(batch: list[int]) -> Pass:
        return count(load(batch))

    drawn = _drawn_here(source, annotator.device)
    lanes = size > 1 and lanes_here() > 1 and _for_two(annotator)
    apart = lanes and (drawn is None or _apart(drawn))
    size = min(size, len(indices))
    batches = _batches(indices, -(-size // LANES) if apart else size)
    if drawn is None:
        with one_ahead(load, batches) as loaded:
            yield from in_lanes(loaded, count) if apart else map(count, loaded)
    elif apart:
        while not drawn.range.known and (batch := next(batches, None)):
            yield from in_lanes([batch], make)  # in order, for its range is told by the first
        yield from in_lanes(batches, make)
    else:
        # A generator uses all threads by itself, so one after the other is faster (measured on two
        # cores: by an eighth) than both at once.
        for batch in batches:
            yield (split if lanes else count)(load(batch))


def _batches(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    return (list(indices[k : k + size]) for k in range(0, len(indices), max(1, size)))


def _for_two(annotator: Annotator) -> bool:
    """Whether two threads of a CPU may ask: an annotator, and all that it wraps."""
    inner = annotator
    while inner.thread_safe and isinstance(inner, WrappedSegmenter):
        inner = inner.segmenter
    return inner.thread_safe and annotator.device.type == "cpu"


def _drawn_here(source: ImageSource, device: torch.device) -> SamplerSource | None:
    """The source, if its images are computed by the cores that count them.

    Of a sampler that is neither entered nor thread-safe nothing is known: it may wait for others.
    """
    if not isinstance(source, SamplerSource):
        return None
    sampler = source.sampler
    known = sampler.thread_safe or isinstance(sampler, contracts.Generator)
    return source if known and sampler.device.type == device.type == "cpu" else None


def _apart(source: SamplerSource) -> bool:
    """Whether two batches may be made at once; images to translate are read one after the other."""
    return source.sampler.thread_safe and not source.sampler.translates


def check_pictures(images: object, rows: int, name: str) -> None:
    """Refuse pictures of a source that are not float32 RGB in [-1, 1].

    Args:
        images: of the source.
        rows: how many it said that it gives.
        name: of the source, for messages.

    Raises:
        SourceError: names the source and the fault.

    >>> check_pictures(torch.zeros(2, 3, 8, 8), 2, "photos")
    """
    if not isinstance(images, Tensor):
        raise SourceError(f"{name} gave a {type(images).__name__} instead of images")
    shape, promised = tuple(images.shape), f"({rows}, 3, H, W)"
    if images.ndim != 4 or shape[:2] != (rows, 3) or not images.numel():
        raise SourceError(f"{name} gave images of shape {shape}; expected {promised}")
    if images.dtype != torch.float32:
        raise SourceError(f"{name} gave images of {images.dtype}; expected torch.float32")
    low, high = (float(end) for end in torch.aminmax(images))
    if not (low >= -1 - _ROUNDING and high <= 1 + _ROUNDING):  # NaN is not
        what = "NaN" if low != low else f"values from {low:.3g} to {high:.3g}"
        raise SourceError(f"{name} gave images with {what}; pictures of a source are in [-1, 1]")
