"""``read_checkpoint``: the only reader of weights files.

Guarantees: the kind of a file is detected from its content, never its name; it becomes a tree of
plain data, tensors, arrays and ``Opaque`` records, or is refused with one line that names the file;
nothing in it ever runs, and no option turns that off. The file is mapped, so tensors cost memory
only when they are read.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch

from seeingkit.errors import CorruptFileError, MissingWeightsError, UnsafeFileError, WeightsError
from seeingkit.system.cache import file_sha256

from .excerpts import shown
from .opcodes import unpickle
from .reader import Budget, Reader
from .records import UNFIT, scalar
from .tensors import MOST_AXES
from .torchfiles import constructors_for, is_legacy, read_legacy, read_zip

Container = Literal["safetensors", "torch zip", "torch legacy", "pickle"]

_LONGEST_HEADER = 8 << 20  # bytes of a safetensors header: room for 80,000 tensors

_DAMAGED = (safetensors.SafetensorError, OSError, AttributeError, *UNFIT)

_FOREIGN = (
    (b"<", "a web page or XML, not weights; was the download complete?"),
    (b"\x1f\x8b", "a gzip archive; unpack it and give the file inside"),
    (b"BZh", "a bzip2 archive; unpack it and give the file inside"),
    (b"\xfd7zXZ", "an xz archive; unpack it and give the file inside"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the file inside"),
    (b"Rar!", "a RAR archive; unpack it and give the file inside"),
    (b"\x89HDF", "an HDF5 file, which no registered family uses"),
    (b"\x93NUMPY", "a NumPy array, not weights"),
    (b"\x89PNG", "a picture, not weights"),
    (b"\xff\xd8\xff", "a picture, not weights"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with git lfs pull"),
)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a weights file.

    Attributes:
        path: the file.
        container: the format it is written in.
        content: plain dicts, lists, tuples, sets, text, bytes, numbers; ``Tensor`` (CPU, views of
            the mapped file: copy what you keep); ``numpy.ndarray``; ``Opaque``.
        metadata: text that a safetensors file carries.
    """

    path: Path
    container: Container
    content: Any = field(repr=False)
    metadata: dict[str, str] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Hash of the file."""
        return file_sha256(self.path)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a weights file: ``read_checkpoint("g.pth").content``.

    Raises:
        MissingWeightsError: no such file.
        UnsafeFileError: the file asks for more than data (the message names it).
        CorruptFileError: truncated, damaged, or of another kind (the message names it).

    >>> torch.save({"step": 9, "g_ema": {"w": torch.ones(2)}}, "g.pth")
    >>> read_checkpoint("g.pth").content["g_ema"]["w"]
    tensor([1., 1.])
    """
    path = Path(path)
    if not path.is_file():
        raise MissingWeightsError(f"{path}: no such weights file; check --weights")
    try:
        return _read(path)
    except WeightsError as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise CorruptFileError(f"{path}: cannot be read ({error.strerror})") from error
    except (RecursionError, MemoryError) as error:
        raise UnsafeFileError(f"{path}: refused, it asks for too much memory") from error


def _read(path: Path) -> Checkpoint:
    size = path.stat().st_size
    if not size:
        raise CorruptFileError("the file is empty")
    with path.open("rb") as stream:
        head = stream.read(512)
        if is_safetensors(head, size):
            return _read_safetensors(path)
        # Copy on write: torch wants writable memory, the file must never change.
        mapped = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
    if head[:4] == b"PK\x03\x04":
        return Checkpoint(path, "torch zip", read_zip(path, mapped))
    budget = Budget(size=size)
    if is_legacy(head):
        return Checkpoint(path, "torch legacy", read_legacy(mapped, budget))
    for start, meaning in _FOREIGN:
        if head.lstrip().startswith(start):
            raise CorruptFileError(f"this is {meaning}")
    if head[257:262] == b"ustar":
        raise CorruptFileError("a tar archive (or a torch file of before 2018); unpack it first")
    if not _starts_pickle(head):
        raise CorruptFileError("not a weights file: no safetensors, torch file or pickle")
    reader = Reader(mapped)
    return Checkpoint(path, "pickle", unpickle(reader, constructors_for(budget), budget))


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins as safetensors: the header's length, then JSON."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size


def _starts_pickle(head: bytes) -> bool:
    """Protocol 2 and later begin with PROTO; older ones with a container, a global or a mark."""
    return head[:1] in (b"\x80", b"(", b"c", b"}", b"]", b")", b"d", b"l")


def _read_safetensors(path: Path) -> Checkpoint:
    _check_header(path)
    try:
        with safetensors.safe_open(str(path), framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except _DAMAGED as error:
        raise CorruptFileError(f"damaged safetensors file ({str(error)[:300]})") from error
    return Checkpoint(path, "safetensors", tensors, metadata)


def check_safetensors(path: Path) -> None:
    """Refuse a safetensors file whose header is absurd, before another library reads the file.

    Raises:
        UnsafeFileError: a header, a name or a shape of absurd length.
        CorruptFileError: truncated or damaged.

    >>> safetensors.torch.save_file({"w": torch.ones([1] * 17)}, "deep.safetensors")
    >>> check_safetensors(Path("deep.safetensors"))
    Traceback (most recent call last):
    seeingkit.errors.UnsafeFileError: deep.safetensors: refused, 'w' has 17 axes; ...
    """
    try:
        _check_header(path)
    except WeightsError as error:
        raise type(error)(f"{path}: {error}") from error


def _check_header(path: Path) -> None:
    """Names and shapes as short as those of a pickle, before a tensor is made of any."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    if length > _LONGEST_HEADER:
        raise UnsafeFileError(f"refused, a safetensors header of {length} bytes")
    try:
        with safetensors.safe_open(str(path), framework="pt") as opened:
            axes = {key: len(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
    except _DAMAGED as error:
        raise CorruptFileError(f"damaged safetensors file ({str(error)[:300]})") from error
    for key, count in axes.items():
        scalar(key)
        if count > MOST_AXES:
            raise UnsafeFileError(
                f"refused, {shown(key)} has {count} axes; no network has more than {MOST_AXES}"
            )
