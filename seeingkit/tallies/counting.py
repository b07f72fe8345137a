"""The loop that turns an image source into a tally.

Guarantees: finished chunks are never done again; killing the process loses at most the chunk in
work; any number of processes share the chunks without talking to each other (``system.sharing``:
first ``rank::world``, then whatever nobody living counts), and the merge reads files; an image that
cannot be read is named and left out, never counted. A chunk that is damaged, or of which an image
could not be read for a moment, is counted again on the next start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from seeingkit.contracts import Annotator, ImageSource, Sampler, Vocabulary
from seeingkit.errors import ImageError, ModelError, TallyError, UsageError
from seeingkit.images import SamplerSource, select
from seeingkit.images.opening import with_preset
from seeingkit.models.code import identity_of
from seeingkit.models.computing import tuned
from seeingkit.results import LabelAgreement
from seeingkit.system.addresses import Place
from seeingkit.system.cache import cache_folder
from seeingkit.system.devices import fetched, in_batches, sent
from seeingkit.system.progress import Bar, progress_bar
from seeingkit.system.seals import set_aside
from seeingkit.system.sharing import Piece, own_part, shared

from .chunks import CHUNK, Chunk, ChunkRows, ChunkStore, write_chunk
from .counted import CountedSource
from .identity import TallyIdentity
from .passes import Loaded, check_pictures, passes_of
from .reading import StoredRows, joined, read_chunk
from .record import TallyRecord
from .table import Tally

LESS = "use a smaller preset or --device cpu"
"""The way out when memory ends with one image."""

_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def tally(
    source: ImageSource | Sampler,
    annotator: Annotator,
    *,
    n: int | None = None,
    seed: int = 0,
    store: ChunkStore | str | Place | None = None,
    batch_size: int = 16,
    on_bad: Literal["skip", "fail"] = "skip",
    title: str | None = None,
) -> Tally:
    """Count the labels of every image of a source.

    Args:
        source: the images, or a generator, whose images then go through preset ``paper``.
        annotator: a segmenter, whose pixels are counted, or another annotator, whose numbers are
            taken as they are (``Vocabulary.unit``).
        n: take only this many: the first ones of a generator or of an endless source, else a
            choice drawn with ``seed`` (as the paper's code draws it). None: all there are.
        seed: of that choice, or of a generator's latents.
        store: where chunks go; default: the cache folder (``SEEINGKIT_CACHE``).
        batch_size: images segmented at once; halved when memory runs out. The tally does not depend
            on it, but for pixels whose two best scores lie within float rounding.
        on_bad: whether an unreadable image is left out and listed, or ends the run.
        title: of the progress bar.

    Raises:
        ImageError: an unreadable image with ``on_bad="fail"``.
        SourceError: an image was replaced after it was hashed.
        TallyError: the source is empty, or no image could be read.
        ModelError: the annotator's numbers do not fit its vocabulary, or memory ran out at batch 1.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> len(tally(seeingkit.open_images("minichurches", n=4), segmenter))
    4
    """
    source = narrowed(source, n, seed)
    if len(source) == 0:
        raise TallyError(f"{source.name}: there are no images to tally")
    if isinstance(source, CountedSource):
        record = TallyRecord.of(source, annotator).model_copy(update={"counted": True})
        return replace(source.stored_tally(annotator.vocabulary), record=record)
    if on_bad == "fail" and source.left_out:
        raise ImageError(*source.left_out[0])
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1, not {batch_size}")
    store = (
        store if isinstance(store, ChunkStore) else ChunkStore(store or cache_folder() / "tallies")
    )
    identity = TallyIdentity(
        source=_fingerprint(source),
        segmenter=identity_of(annotator),
        preset={} if source.preset is None else source.preset.identity(),
    )
    record = TallyRecord.of(source, annotator)
    chunks = [
        Chunk(identity, start, stop, store.path(identity, start, stop))
        for start in range(0, len(source), CHUNK)
        for stop in (min(start + CHUNK, len(source)),)
    ]
    work = _Work(record, _Counter(source, annotator, batch_size, on_bad), chunks)
    with progress_bar(title or f"tally {source.name}", len(source), "images") as bar:
        work.share(store, bar)
    if isinstance(source, SamplerSource):
        source.range.say()
    found = Tally(**joined(work.rows(chunk) for chunk in chunks))
    if on_bad == "fail" and found.skipped:
        raise ImageError(*found.skipped[0])
    if not len(found):
        first = f"the first: {found.skipped[0].item}: {found.skipped[0].reason}"
        raise TallyError(f"{source.name}: none of {len(source)} images can be used; {first}")
    # A chunk may have been written under another run's description of the same images.
    record = record.model_copy(update={"agreement": found.record.agreement})
    return replace(found, identity=identity, record=record)


def count_rows(source: ImageSource, annotator: Annotator, *, batch_size: int = 16) -> ChunkRows:
    """The rows of all images of a source, as a tally would have them, and stored nowhere.

    Args:
        source: images that are at hand, such as one batch of a training.
        annotator: a segmenter or another annotator.
        batch_size: images segmented at once; halved when memory runs out.

    Raises:
        SourceError: no pictures in [-1, 1].
        ModelError: the annotator's numbers do not fit its vocabulary.

    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> len(count_rows(seeingkit.open_images("minichurches", n=2), segmenter).rows)
    2
    """
    rows = ChunkRows()
    for _ in _Counter(source, annotator, batch_size, "skip").rows(range(len(source)), rows):
        pass
    return rows


def narrowed(source: ImageSource | Sampler, n: int | None, seed: int) -> ImageSource:
    """The first n images of an endless source, n drawn ones of a finite one, or all.

    Raises:
        UsageError: a generator without n, or more images than there are.
    """
    if isinstance(source, Sampler):
        if n is None:
            raise UsageError(f"{source.info.family}: say how many images to generate (n)")
        return SamplerSource(source, n, seed)
    if n is None or n == len(source):
        return source
    endless = source.first(n)  # more images keep the first ones
    if endless is None:
        return select(source, n, seed)
    object.__setattr__(endless, "code", source.code)
    return endless if source.preset is None else with_preset(endless, source.preset)


def _fingerprint(source: ImageSource) -> str:
    """The source's fingerprint; hashing many files takes a while, so it shows a bar."""
    done = 0
    with progress_bar(f"hash {source.name}", len(source), "files") as bar:

        def step(now: int, total: int) -> None:
            nonlocal done
            bar.advance(now - done)
            done = now

        found = source.compute_fingerprint(step)
    if not source.code:
        return found
    return hashlib.sha256(f"{found} {source.code}".encode()).hexdigest()


@dataclass
class _Work:
    """Chunks and their files: which are done, and counting those that are not.

    Attributes:
        counted: files that this process wrote.
    """

    record: TallyRecord
    counter: _Counter
    chunks: Sequence[Chunk]
    counted: set[Place] = field(default_factory=set)

    def share(self, store: ChunkStore, bar: Bar) -> None:
        """Count what is not there and what no other process counts, until all is there."""
        name, own = self.counter.source.name, own_part(self.chunks)
        pieces = [
            Piece(c.path.stem, f"counting images {c.start + 1:,} to {c.stop:,} of {name}")
            for c in self.chunks
        ]
        undone = {k for k in own if not self.is_done(self.chunks[k])}
        rest = sum(self.chunks[k].stop - self.chunks[k].start for k in undone)
        bar.advance(len(self.counter.source) - rest, resumed=True)

        def is_done(k: int) -> bool:
            chunk = self.chunks[k]
            if k not in own:  # it is read, and mended, when all are joined
                return chunk.path.exists()
            if k in undone and self.is_done(chunk):  # by another process meanwhile
                undone.remove(k)
                bar.advance(chunk.stop - chunk.start, resumed=True)
            return k not in undone

        for (number,) in shared(pieces, store.claims, is_done):
            for done in self.count(self.chunks[number]):
                bar.advance(done if number in own else 0)

    def is_done(self, chunk: Chunk) -> bool:
        """Whether the file is there, is right, and has all images that can be read."""
        found = self._read(chunk)
        return found is not None and not _unread(found)

    def count(self, chunk: Chunk) -> Iterator[int]:
        """Count a chunk and write its file; yields how many images were done at each step."""
        rows = ChunkRows()
        first = chunk.start == 0  # of the first chunk, so that those who find it are told, too
        yield from self.counter.rows(range(chunk.start, chunk.stop), rows, measured=first)
        update = {"agreement": self.counter.agreement if first else None}
        record = self.record.model_copy(update=update)
        write_chunk(chunk, rows, self.counter.annotator.vocabulary, record)
        self.counted.add(chunk.path)

    def rows(self, chunk: Chunk) -> StoredRows:
        """The rows of a chunk, counted again where its file turns out not to be done.

        Raises:
            TallyError: what was written cannot be read back.
        """
        found = self._read(chunk)
        if found is None or (_unread(found) and chunk.path not in self.counted):
            for _ in self.count(chunk):
                pass
            found = read_chunk(chunk)
        return found

    def _read(self, chunk: Chunk) -> StoredRows | None:
        if not chunk.path.exists():
            return None
        try:
            return read_chunk(chunk)
        except TallyError as error:
            reason = error.__cause__ or str(error).removeprefix(f"{chunk.path}: ")
            set_aside(chunk.path, reason)
            return None


def _unread(rows: StoredRows) -> bool:
    return rows.span is not None and bool(rows.span.unread)


@dataclass
class _Counter:
    """The rows of images, from the passes that count them.

    Attributes:
        agreement: of the first batch of the source, if the segmenter computes in another precision.
    """

    source: ImageSource
    annotator: Annotator
    batch_size: int
    on_bad: Literal["skip", "fail"]
    agreement: LabelAgreement | None = None

    def rows(
        self, indices: Sequence[int], rows: ChunkRows, *, measured: bool = False
    ) -> Iterator[int]:
        """Fill ``rows`` with the images of one chunk; yields how many were done at each step.

        ``measured``: whether the first batch also shows how far labels agree with float32.
        """
        other = tuned(self.annotator)
        # Around reading, too: TF32 is a switch of the process, and images must not depend on when
        # it is thrown.
        switched = nullcontext() if other is None else other.computing.switched()
        work = partial(self._numbers, measured=measured)
        passes = passes_of(self.source, indices, self.batch_size, self._load, work, self.annotator)
        with switched, closing(passes) as done:
            for one in done:
                good = set(one.good)
                bad = [k for k in one.batch if k not in good]
                for index, item in zip(bad, one.skipped, strict=True):
                    rows.skip(index, item)
                if one.numbers is not None:
                    self._add(one.numbers, one.good, rows)
                yield len(one.batch)

    def _load(self, batch: list[int]) -> Loaded:
        """The images of a batch, checked before anything is counted."""
        images, good, skipped = self.source.load(batch)
        bad = len(set(batch) - set(good))
        if bad != len(skipped):
            raise TallyError(
                f"{self.source.name}: {bad} images are missing but {len(skipped)} are named"
            )
        if skipped and self.on_bad == "fail":
            raise ImageError(*skipped[0])
        if images is not None:
            check_pictures(images, len(good), self.source.name)
        return Loaded(batch, images, good, skipped)

    def _agreement(self, images: Tensor) -> LabelAgreement | None:
        """How many pixels have the label of float32; None of a segmenter that is as usual."""
        other = tuned(self.annotator)
        if other is None or not other.computing.differs:
            return None
        found, _ = in_batches(
            lambda part: other.equal_pixels(sent(part, other.device)), images, self.batch_size, LESS
        )
        equal, pixels = (sum(one) for one in zip(*found, strict=True))
        words, share = other.computing.words, equal / pixels
        return LabelAgreement(computing=words, images=len(images), share=share)

    def _numbers(self, images: Tensor, *, measured: bool) -> Tensor:
        """Of images of one batch: (N, planes x labels) on the CPU.

        In the precision that the annotator's identity says, whatever surrounds a training.
        """
        kind = self.annotator.device.type
        plain = torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else None
        with plain or nullcontext():
            if measured and self.agreement is None:
                self.agreement = self._agreement(images)
            parts, self.batch_size = in_batches(self._statistics, images, self.batch_size, LESS)
        return torch.cat(parts)

    def _add(self, found: Tensor, good: list[int], rows: ChunkRows) -> None:
        numbers, vocabulary = found.numpy(), self.annotator.vocabulary
        if vocabulary.unit == "pixels":
            pixels = numbers.sum(axis=1) // len(vocabulary.planes)
        else:
            pixels = np.ones(len(numbers), np.int64)
        for k, index in enumerate(good):
            item, condition = str(self.source.ids[index]), self.source.condition(index)
            rows.add(index, item, int(pixels[k]), numbers[k], condition)

    def _statistics(self, images: Tensor) -> Tensor:
        """(N, planes x labels) on the CPU: int64 for pixels, else float64."""
        found = self.annotator.statistics(sent(images, self.annotator.device))
        name, vocabulary = self.annotator.info.family, self.annotator.vocabulary
        unit, expected = vocabulary.unit, (len(images), len(vocabulary) * len(vocabulary.planes))
        if not isinstance(found, Tensor):
            raise ModelError(f"{name}: statistics are a {type(found).__name__}, not a tensor")
        if found.shape != expected:
            shape = tuple(found.shape)
            raise ModelError(f"{name}: statistics have shape {shape}, expected {expected}")
        found = fetched(found)
        if unit == "pixels":
            return _checked_pixels(found, vocabulary, name)
        if unit == "class" and not _one_class(found):
            raise ModelError(
                f"{name}: each image has one class, 1 for it and 0 for the others; it gave "
                f"{found[0].tolist()[:4]} … (other numbers: Vocabulary.unit)"
            )
        found = found.to(torch.float64)
        most = 1.0 if unit == "probability" else torch.inf
        # ~(in range) also catches NaN
        wrong = ~((found >= 0) & (found <= most) & found.isfinite())
        if bool(wrong.any()):
            raise ModelError(
                f"{name}: gave {float(found[wrong][0]):g} as a {unit}, which must be finite and "
                f"not negative{' and at most 1' if unit == 'probability' else ''}"
            )
        return found


def _one_class(found: Tensor) -> bool:
    """Whether each row is 1 at one place and 0 elsewhere."""
    return bool(((found == 0) | (found == 1)).all()) and bool((found.sum(1) == 1).all())


def _checked_pixels(found: Tensor, vocabulary: Vocabulary, name: str) -> Tensor:
    """Pixels (N, planes x labels), if each plane of each image has as many of them."""
    if found.dtype not in _WHOLE or bool((found < 0).any()) or not bool(found.any(1).all()):
        raise ModelError(
            f"{name}: pixels are whole numbers, not negative, and some in each image; it "
            f"gave {found.dtype} {found[0].tolist()[:4]} … (other numbers: Vocabulary.unit)"
        )
    sums = found.reshape(-1, len(vocabulary)).sum(1)
    if bool((sums != sums[0]).any()):
        other = int(sums[sums != sums[0]][0])
        raise ModelError(
            f"{name}: images of one size have {int(sums[0])} and {other} pixels in a plane; each "
            "pixel has one label in every plane (0 where nothing is)"
        )
    return found
