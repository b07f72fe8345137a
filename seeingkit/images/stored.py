"""Pictures that are kept somewhere: what a folder, a list, an archive and an lmdb have in common.

Guarantees: the result of ``load`` and ``read`` does not depend on the number of threads, nor on
which other pictures are asked for; all pictures of a source have one size (its first readable
picture's, when the preset keeps sizes); the fingerprint covers every id, every byte, the order,
the preset, the limits and the version of the decoder, and nothing else; once it is known, a picture
is made of the bytes that were hashed, or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import zipfile
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import ImageSource, Skipped
from seeingkit.errors import ImageError, SourceError
from seeingkit.specs import PRESETS, Preset
from seeingkit.system.digests import DigestStore, Stamp, file_stamp

from .classfiles import Classes
from .decode import DECODE, Limits, picture_size, quiet, upright
from .fingerprints import DigestedSource, Progress
from .memory import ROOM
from .preprocess import apply, to_tensor
from .upright import Upright

THREADS = min(4, os.cpu_count() or 1)
"""Threads that decode; Pillow lets go of the interpreter while it works."""

_BLOCK = 512  # items handed to the threads at a time, so that memory does not grow with the source

_UNREADABLE = "unreadable: "  # and the reason, in the place of a content's hash
_UNKNOWN, _NONE = 0, 1  # in the place of a short digest: not hashed yet, and unreadable

T = TypeVar("T")
R = TypeVar("R")
Loaded = tuple[Tensor | None, list[int], list[Skipped]]
"""What ``load`` returns: images or None, the indices they belong to, and the skipped rest."""


def in_threads(work: Callable[[T], R], items: Iterable[T], threads: int = THREADS) -> Iterator[R]:
    """``map`` over threads: results in the order of the items."""
    items = list(items)
    if threads <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        for start in range(0, len(items), _BLOCK):
            yield from pool.map(work, items[start : start + _BLOCK])


def _put_back(indices: Sequence[int], order: Sequence[int], results: Iterable[R]) -> Iterable[R]:
    """Results that come in the order of ``order``, in that of ``indices``."""
    if order is indices:
        return results
    found = dict(zip(order, results, strict=True))
    return (found[index] for index in indices)


def _short(content: str) -> int:
    if content.startswith(_UNREADABLE):
        return _NONE
    return 2 + int.from_bytes(hashlib.sha256(content.encode()).digest()[:7], "big")


def collected(indices: Sequence[int], results: Iterable[NDArray[np.uint8] | ImageError]) -> Loaded:
    """The result of ``load``, from a picture (H, W, 3) or the reason why not for each index."""
    arrays: dict[int, NDArray[np.uint8]] = {}
    skipped: list[Skipped] = []
    for place, result in enumerate(results):
        if isinstance(result, ImageError):
            skipped.append(Skipped.by(result))
        else:
            arrays[place] = result
    images = to_tensor(np.stack(list(arrays.values()))) if arrays else None
    return images, [indices[place] for place in arrays], skipped


class PreparedImages(ImageSource):
    """A source that prepares its pictures with a preset, and reads them by ``load``."""

    preset: Preset

    def read(self, indices: Sequence[int]) -> Tensor:
        """Pictures of these indices: (N, 3, H, W) float32 in [-1, 1].

        Raises:
            ImageError: naming the first that cannot be read.
        """
        images, _, skipped = self.load(indices)
        if skipped:
            raise ImageError(*skipped[0])
        return torch.empty(0, 3, 1, 1) if images is None else images

    def describe(self) -> dict[str, Any]:
        """See ``ImageSource.describe``; with the preset's name."""
        return {**super().describe(), "preset": self.preset.name}


class StoredImages(PreparedImages, DigestedSource):
    """Encoded pictures with stable ids.

    Args:
        name: for people.
        ids: one per picture, unique.
        preset: how a picture becomes an array; default ``paper``.
        limits: which pictures are refused; default ``Limits()``.
        place: path that the remembered hashes belong to, or None to remember none.

    Raises:
        SourceError: no pictures, or an id twice.
    """

    def __init__(
        self,
        name: str,
        ids: Sequence[str],
        *,
        preset: Preset | None = None,
        limits: Limits | None = None,
        place: str | os.PathLike[str] | None = None,
    ) -> None:
        if not ids:
            raise SourceError(f"{name}: no images in it")
        if len(set(ids)) != len(ids):
            twice = next(item for item, count in Counter(ids).items() if count > 1)
            raise SourceError(f"{name}: two images are both called {twice!r}; rename one")
        self.name, self.ids = name, tuple(ids)
        self.preset, self.limits = preset or PRESETS["paper"], limits or Limits()
        self.threads, self._place = THREADS, place
        # of each picture a short digest of its content: 8 bytes, so that a million cost nothing
        self._hashed = np.full(len(ids), _UNKNOWN, np.uint64)

    classes: Classes | None = None
    """The class of each picture, or None for it, where its data set lists classes."""

    def condition(self, index: int) -> int | None:
        """The class that the data set lists for a picture, or None."""
        return None if self.classes is None else self.classes[index]

    # ------------------------------------------------------------------------------- one picture

    @abstractmethod
    def fetch(self, index: int) -> bytes:
        """The stored bytes of one picture.

        Raises:
            ImageError: they cannot be had.
        """

    def stamp(self, index: int) -> Stamp | None:
        """What changes when the stored bytes change, or None when nothing cheap does."""
        return None

    def encoded_size(self, index: int) -> int:
        """Bytes that ``fetch`` will take, as far as it is known before; else 0."""
        return 0

    def reading_order(self, indices: Sequence[int]) -> Sequence[int]:
        """The same indices in the order in which they are read fastest; these if any order is."""
        return indices

    @contextmanager
    def upright(self, index: int) -> Iterator[Upright]:
        """One picture at its own size, decoded while inside.

        Raises:
            ImageError: it cannot be read.
            SourceError: it is another one than was hashed.
        """
        with ROOM.hold_encoded(self.encoded_size(index)):
            data = self.stored(index)
            with upright(data, self.ids[index], self.limits) as found:
                yield found

    def picture(self, index: int) -> Image.Image:
        """One picture as RGB, at its own size; errors as ``upright``."""
        with self.upright(index) as found:
            return found.whole()

    def size(self, index: int) -> tuple[int, int]:
        """(width, height) of one picture at its own size, by its header; errors as ``upright``."""
        with ROOM.hold_encoded(self.encoded_size(index)):
            return picture_size(self.stored(index), self.ids[index], self.limits)

    def is_hashed(self, index: int) -> bool:
        """Whether a digest of this picture's bytes is known, which they must have from then on."""
        return int(self._hashed[index]) != _UNKNOWN

    def stored(self, index: int) -> bytes:
        """The stored bytes of one picture, the same as when they were hashed."""
        hashed = int(self._hashed[index])
        try:
            data = self.fetch(index)
        except ImageError as error:
            if hashed in (_UNKNOWN, _NONE):  # it was unreadable then as now
                raise
            reason = f"{error.reason}; it is tried again on the next start"
            raise ImageError(error.item, reason, temporary=True) from error
        if hashed not in (_UNKNOWN, _short(self.content_of(index, data))):
            if self._place is not None:
                DigestStore(self._place).forget(self.ids[index])
            raise SourceError(
                f"{self.name}: image {self.ids[index]!r} is another one than when it was hashed at "
                "the start; run again when the images no longer change"
            )
        return data

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """One picture after the preset: (H, W, 3) uint8.

        Raises:
            ImageError: it cannot be read, or its size is not that of the others.
        """
        array = self._array(index)
        if self.preset.size is None or not self.preset.crop:
            size, first = self._extent
            if array.shape[:2] != size:
                raise ImageError(
                    self.ids[index],
                    f"{array.shape[1]}x{array.shape[0]} pixels, but {size[1]}x{size[0]} expected "
                    f"(the size of {first}); use a preset that resizes and crops",
                )
        return array

    def _array(self, index: int) -> NDArray[np.uint8]:
        with self.upright(index) as found:
            return apply(found, self.preset, self.ids[index], self.limits)

    @functools.cached_property
    def _extent(self) -> tuple[tuple[int, int], str]:
        """(H, W) of the first picture that can be read, and its id."""
        first: ImageError | None = None
        for index, item in enumerate(self.ids):
            try:
                height, width = self._array(index).shape[:2]
                return (height, width), item
            except ImageError as error:
                if error.temporary:  # another picture's size must not stand in for this one's
                    raise SourceError(f"{self.name}: {error}") from error
                first = first or error
        raise SourceError(f"{self.name}: none of {len(self)} images can be read (first: {first})")

    def stored_side(self, index: int) -> int | None:
        """Shorter side of one picture at its own size, or None where it cannot be read."""
        try:
            return min(self.size(index))
        except (ImageError, SourceError):
            return None

    # ----------------------------------------------------------------------------- many pictures

    def load(self, indices: Sequence[int]) -> Loaded:
        """Pictures of these indices; those that cannot be read are named instead.

        Returns:
            images (M, 3, H, W) float32 in [-1, 1] or None when M = 0, the indices they belong
            to, in the order asked for, and the rest.
        """

        def attempt(index: int) -> NDArray[np.uint8] | ImageError:
            try:
                return self.pixels(index)
            except ImageError as error:
                return error

        with quiet():
            if len(indices) and (self.preset.size is None or not self.preset.crop):
                with contextlib.suppress(SourceError):  # then each picture gives its own reason
                    _ = self._extent  # once, before the threads ask for it
            order = self.reading_order(indices)
            results = in_threads(attempt, order, self.threads)
            return collected(indices, _put_back(indices, order, results))

    # ------------------------------------------------------------------------------- fingerprint

    def identity(self) -> dict[str, Any]:
        """What changes the pixels besides the contents."""
        limits = self.limits.model_dump()
        known: dict[str, object] = {} if self.classes is None else {"classes": self.classes}
        if self.class_names:
            known["class_names"] = self.class_names
        return {"decode": DECODE, "preset": self.preset.identity(), "limits": limits, **known}

    def content(self, index: int) -> str:
        """``content_of`` the stored bytes; errors as ``fetch``."""
        with ROOM.hold_encoded(self.encoded_size(index)):
            return self.content_of(index, self.fetch(index))

    def content_of(self, index: int, data: bytes) -> str:
        """Length and SHA-256 of one picture's stored bytes."""
        return f"{len(data)}:{hashlib.sha256(data).hexdigest()}"

    def digest(self, indices: Sequence[int], progress: Progress | None = None) -> str:
        """Hash of everything that changes the pixels of these pictures, in this order.

        Hashes of files that have not changed are remembered in the cache folder.
        """
        store = DigestStore(self._place) if self._place is not None else None

        def one(index: int) -> str:
            stamp, content = partial(self.stamp, index), partial(self.content, index)
            try:
                return store.remembered(self.ids[index], stamp, content) if store else content()
            except ImageError as error:
                return f"{_UNREADABLE}{error.reason}"

        total = hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode())
        order = self.reading_order(indices)
        contents = _put_back(indices, order, in_threads(one, order, self.threads))
        for done, (index, content) in enumerate(zip(indices, contents, strict=True), start=1):
            total.update(json.dumps([self.ids[index], content]).encode())
            self._hashed[index] = _short(content)
            if progress and (done % _BLOCK == 0 or done == len(indices)):
                progress(done, len(indices))
        if store:
            store.save()
        return total.hexdigest()


class PackedImages(StoredImages):
    """Pictures that lie together in one file (or folder), which ``open`` opens and lists.

    Args:
        path: the file.
        preset: how a picture becomes an array; default ``paper``.
        limits: which pictures are refused; default ``Limits()``.

    Raises:
        SourceError: missing, damaged, or without pictures.
    """

    form: str
    """Its format, with an article, for messages."""

    _damage: tuple[type[Exception], ...] = (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        ValueError,
        OSError,
    )

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        preset: Preset | None = None,
        limits: Limits | None = None,
    ) -> None:
        where = os.fspath(path)
        self._stamp = file_stamp(where)
        try:
            ids = self.open(where)
        except FileNotFoundError:
            raise SourceError(f"no such file: {where}") from None
        except self._damage as error:
            raise SourceError(f"{where}: not {self.form} that can be read ({error})") from error
        super().__init__(where, ids, preset=preset, limits=limits, place=where)

    @abstractmethod
    def open(self, where: str) -> Sequence[str]:
        """Open the file; the ids of its pictures."""

    def stamp(self, index: int) -> Stamp | None:
        """Size, times and inode of the file."""
        return self._stamp
