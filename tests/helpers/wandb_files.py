"""The records of an offline run of Weights & Biases, by the library's own messages.

The file is a log of LevelDB's format: after seven bytes of the library's own come blocks of 32 KiB
of fragments, each with a CRC, a length and a type (log_format.md of github.com/google/leveldb).
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER, OWN = 32 * 1024, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def _contents(data: bytes) -> Iterator[bytes]:
    at, whole = OWN, b""
    assert data[:4] in (b":W&B", b"")
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEADER])
        assert kind in (FULL, FIRST, MIDDLE, LAST)
        at += HEADER
        if at + length > len(data):  # is being written
            return
        whole += data[at : at + length]
        at += length
        if kind in (FULL, LAST):
            yield whole
            whole = b""


def records(folder: Path, seconds: float = 60.0) -> list[Any]:
    """All records of the one run in a folder ``offline-run-…``.

    The library's own process writes the last ones a little after the run is finished in ours, so
    this waits for the record of the end.
    """
    (path,) = folder.glob("run-*.wandb")
    until = time.monotonic() + seconds
    while True:
        found = _read(path.read_bytes())
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        assert time.monotonic() < until, f"{path} has no end: {len(found)} records"
        time.sleep(0.05)


def _read(data: bytes) -> list[Any]:
    from wandb.proto import wandb_internal_pb2

    return [wandb_internal_pb2.Record.FromString(content) for content in _contents(data)]


def history(folder: Path) -> list[dict[str, Any]]:
    """What was logged, a dictionary a call."""
    return [
        {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for item in one.history.item
        }
        for one in records(folder)
        if one.WhichOneof("record_type") == "history"
    ]
