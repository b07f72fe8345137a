"""The two containers of ``torch.save``: the zip of version 1.6 and later, and the old one.

Guarantees: tensors are views of the mapped file; every length is checked against the file before it
is used; members of a zip must be stored as they are (torch never compresses), within the file, and
match their checksums.

Formats: ``torch/serialization.py`` (the old container is four pickles and raw storages).
"""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seeingkit.errors import CorruptFileError, UnsafeFileError

from .constructors import allowed_constructors
from .excerpts import shown
from .opcodes import unpickle
from .reader import Budget, Reader
from .records import UNFIT, Constructor
from .tensors import Storage, storage_type

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_HEAD = re.compile(
    rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL
)
_LEGACY_VERSION = 1001
_DEEPEST = 3
_LONGEST_READ = 8 << 20  # bytes of a zip's list of members: room for 80,000 tensors
_DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, struct.error, *UNFIT)


def is_legacy(head: bytes) -> bool:
    """Whether a file begins as an old torch file: a pickle of its magic number."""
    return _LEGACY_HEAD.match(head) is not None


def constructors_for(budget: Budget, depth: int = 0) -> dict[str, Constructor]:
    """The globals a file may name, including the tensor files nested in its bytes."""

    def nested(data: Any) -> Any:
        if not isinstance(data, (bytes, memoryview)):
            raise CorruptFileError("damaged pickle: a nested tensor file is not bytes")
        if depth >= _DEEPEST:
            raise UnsafeFileError("refused, tensor files nested too deeply")
        if isinstance(data, bytes):
            budget.copy(len(data))
        view = memoryview(bytearray(data)) if isinstance(data, bytes) else data
        if not is_legacy(bytes(view[:64])):
            raise UnsafeFileError("refused, nested bytes that are not an old torch file")
        return read_legacy(view, budget, depth + 1)

    found = allowed_constructors(budget)
    name = "torch.storage._load_from_bytes"
    found[name] = Constructor(name, nested)
    return found


def read_legacy(data: memoryview, budget: Budget, depth: int = 0) -> Any:
    """The tree in an old torch file.

    The storages lie behind the pickle that uses them, so it is run twice: once to learn which there
    are, once more when their bytes are known.
    """
    known = constructors_for(budget, depth)
    reader = Reader(data)
    if unpickle(reader, {}, budget) != LEGACY_MAGIC:
        raise CorruptFileError("not an old torch file: its first number is wrong")
    version = unpickle(reader, {}, budget)
    if version != _LEGACY_VERSION:
        raise CorruptFileError(f"an old torch file of version {shown(version)}, not 1001")
    system = unpickle(reader, {}, budget)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise CorruptFileError("its numbers are big-endian; save it again on a usual machine")
    start = reader.position
    wanted: dict[str, Storage] = {}
    counts: dict[str, int] = {}
    unpickle(reader, known, budget, _finder(wanted, counts))
    order = unpickle(reader, {}, budget)
    if not isinstance(order, list) or not all(isinstance(key, str) for key in order):
        raise CorruptFileError("damaged torch file: the list of storages is not a list")
    for key in order:
        if key not in wanted:
            raise CorruptFileError(f"damaged torch file: storage {key!r:.40} belongs to nothing")
        storage = wanted[key]
        count = reader.number("<q")
        if count != counts[key]:
            held = f"{count} values, not {counts[key]}"
            raise CorruptFileError(f"damaged torch file: storage {key!r:.40} has {held}")
        storage.data = reader.take(count * storage.dtype.itemsize)
    for key, storage in wanted.items():
        if storage.data is None:
            raise CorruptFileError(f"truncated torch file: storage {key!r:.40} is not in it")
    return unpickle(Reader(data, start), known, budget, _finder(wanted, counts))


def _finder(wanted: dict[str, Storage], counts: dict[str, int]) -> Callable[[Any], Any]:
    def persistent(identity: Any) -> Any:
        if isinstance(identity, tuple) and len(identity) == 4 and _is_text(identity[0], "module"):
            return identity[1]  # ("module", class, file, source): the source stays unread
        dtype, key, count = _storage_id(identity, 6)
        if identity[5] is not None:
            raise CorruptFileError("an old torch file with views of storages; save it again")
        counts.setdefault(key, count)
        storage = wanted.setdefault(key, Storage(dtype, None))
        if storage.dtype != dtype or counts[key] != count:
            raise CorruptFileError(f"damaged torch file: two descriptions of storage {key!r:.40}")
        return storage

    return persistent


def _is_text(value: Any, word: str) -> bool:
    return isinstance(value, str) and value == word


def _storage_id(identity: Any, parts: int) -> tuple[torch.dtype, str, int]:
    named = isinstance(identity, tuple) and len(identity) >= parts
    if not named or not _is_text(identity[0], "storage"):
        raise UnsafeFileError("refused, a persistent id that is no storage")
    _, kind, key, _, count = identity[:5]
    if not isinstance(key, str) or type(count) is not int or count < 0:
        raise CorruptFileError("damaged torch file: a storage without name or length")
    return storage_type(kind), key, count


# ----------------------------------------------------------------------------------------- the zip


class _Directory(io.FileIO):
    """The file as zipfile reads it: its list of members, which may not be absurdly long."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        size = left if size is None or size < 0 else min(size, left)
        if size > _LONGEST_READ:
            raise UnsafeFileError("refused, the zip's list of members is absurdly long")
        return super().read(max(size, 0))


def read_zip(path: Path, data: memoryview) -> Any:
    """The tree in a torch zip.

    Raises:
        UnsafeFileError: compressed members, a program instead of tensors, forbidden globals.
        CorruptFileError: truncated or damaged.
    """
    files = _stored_members(path, len(data))
    pickles = [name for name in files if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CorruptFileError("a zip without the data.pkl of a torch file")
    folder = pickles[0].removesuffix("data.pkl")
    if any(name.startswith((f"{folder}code/", f"{folder}constants.pkl")) for name in files):
        raise UnsafeFileError("refused, a TorchScript program, which only --gan module runs")
    order = files.get(f"{folder}byteorder")
    if order is not None and bytes(_member(data, order)).strip() not in (b"little", b""):
        raise CorruptFileError("its numbers are big-endian; save it again on a usual machine")
    budget = Budget(size=len(data))
    stored: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        dtype, key, count = _storage_id(identity, 5)
        if key not in stored:
            name = f"{folder}data/{key}"
            if name not in files:
                raise CorruptFileError(f"damaged torch zip: {name!r:.60} is not in it")
            stored[key] = Storage(dtype, _member(data, files[name]))
        storage = stored[key]
        if storage.dtype != dtype or storage.count < count:
            claim = f"{count} values, it has {storage.count}"
            raise UnsafeFileError(f"refused, storage {key!r:.40} claims {claim}")
        return storage

    reader = Reader(_member(data, files[pickles[0]]))
    return unpickle(reader, constructors_for(budget), budget, persistent)


def _stored_members(path: Path, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members of a zip by name: stored as they are, each once, within ``size`` bytes."""
    try:
        with _Directory(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except _DAMAGED as error:
        raise CorruptFileError(f"truncated or damaged torch zip ({error})") from error
    for member in members:
        name = f"{member.filename!r:.60}"
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise UnsafeFileError(f"refused, {name} is compressed or encrypted; torch does neither")
    if sum(m.file_size for m in members) > size:
        raise UnsafeFileError("refused, members claim more bytes than the file has")
    files: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        if files.setdefault(member.filename, member) is not member:
            raise CorruptFileError(f"damaged torch zip: {member.filename!r:.60} is in it twice")
    return files


def _member(data: memoryview, member: zipfile.ZipInfo) -> memoryview:
    """The bytes of a stored member, by its local header (APPNOTE.TXT 4.3.7)."""
    start, called = member.header_offset, f"{member.filename!r:.60}"
    head = data[start : start + 30] if start >= 0 else data[:0]
    if len(head) < 30 or bytes(head[:4]) != b"PK\x03\x04":
        raise CorruptFileError(f"damaged torch zip: no header for {called}")
    name, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    begin = start + 30 + name + extra
    end = begin + member.file_size
    local = bytes(data[start + 30 : start + 30 + name])
    encoding = "utf-8" if member.flag_bits & 0x800 else "cp437"
    if local != member.orig_filename.encode(encoding, "replace"):
        raise CorruptFileError(f"damaged torch zip: {called} has another name inside")
    if end > len(data) or member.compress_size != member.file_size:
        raise CorruptFileError(f"truncated torch zip: {called} reaches past its end")
    view = data[begin:end]
    if zlib.crc32(view) != member.CRC:
        raise CorruptFileError(f"damaged torch zip: the checksum of {called} is wrong")
    return view
