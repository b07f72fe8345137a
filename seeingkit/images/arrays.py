"""Pictures in one numpy file: ``.npy``, or the ``.npz`` that samplers commonly write.

Guarantees: only uint8 arrays of shape (N, H, W, 3) are taken, never a pickle; a ``.npy`` is
mapped, not loaded. Ids are the row numbers with six digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import SourceError

from .decode import check_size
from .memory import ROOM
from .stored import PackedImages
from .upright import Upright


class ArrayImages(PackedImages):
    """The rows of an array of pictures.

    Args:
        path: a ``.npy`` file, or a ``.npz`` file with one array, or one called ``images`` or
            ``arr_0`` (what ``numpy.savez`` calls the first).

    Raises:
        SourceError: missing, damaged, asks for a pickle, or not (N, H, W, 3) uint8.

    >>> ArrayImages("photos.npy").read([0, 1]).shape
    torch.Size([2, 3, 256, 256])
    """

    kind = "array"
    form = "a numpy file"

    def open(self, where: str) -> Sequence[str]:
        """Map the file; the numbers of its rows."""
        self._rows = _rows(where)
        shape, kind = self._rows.shape, self._rows.dtype
        if kind != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise SourceError(
                f"{where}: pictures are uint8 of shape (N, H, W, 3), not {kind} of shape {shape}"
            )
        return [f"{row:06d}" for row in range(shape[0])]

    def fetch(self, index: int) -> bytes:
        """The raw samples of one row, row by row, RGB."""
        return bytes(self._rows[index].tobytes())

    def encoded_size(self, index: int) -> int:
        """See ``StoredImages.encoded_size``."""
        return int(self._rows[index].nbytes)

    @contextmanager
    def upright(self, index: int) -> Iterator[Upright]:
        """One row as a picture."""
        height, width = self._rows.shape[1:3]
        check_size((width, height), self.ids[index], self.limits)
        with ROOM.take(4 * width * height):
            row = np.frombuffer(self.stored(index), np.uint8).reshape(self._rows.shape[1:])
            yield Upright(Image.fromarray(row))

    def size(self, index: int) -> tuple[int, int]:
        """(width, height) of one row."""
        return self._rows.shape[2], self._rows.shape[1]

    def content_of(self, index: int, data: bytes) -> str:
        """As for files, with the shape, which raw samples do not tell."""
        return f"{'x'.join(map(str, self._rows.shape[1:]))}:{super().content_of(index, data)}"


def _rows(path: str) -> NDArray[np.uint8]:
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        names = loaded.files
        for name in ("images", "arr_0", *(names if len(names) == 1 else ())):
            if name in names:
                found: NDArray[np.uint8] = loaded[name]
                return found
    raise ValueError(f"arrays {names}, none called 'images' or 'arr_0'")
