"""Builds weights files as their hostile author would: opcode by opcode, header by header.

Nothing here can run anything; the files ask for too much, contradict themselves, or hold values
where no value of that kind belongs.
"""

from __future__ import annotations

import io
import json
import math
import struct
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
HUGE = 10**6000
"""A number whose digits Python refuses to write."""


class Code(bytes):
    """Opcodes that leave one value on the stack."""


def name(dotted: str) -> Code:
    """The global of that name."""
    module, _, attribute = dotted.rpartition(".")
    return Code(f"c{module}\n{attribute}\n".encode())


def encoded(value: Any) -> bytes:
    """Opcodes of a tree of plain values and ``Code``."""
    if isinstance(value, Code):
        return bytes(value)
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return b"\x8b" + struct.pack("<i", size) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(encoded, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(encoded, value)) + b"e"
    assert isinstance(value, dict)
    return b"}(" + b"".join(encoded(k) + encoded(v) for k, v in value.items()) + b"u"


def pickled(tree: Any) -> bytes:
    return b"\x80\x02" + encoded(tree) + b"."


def called(function: str, *args: Any) -> Code:
    return Code(name(function) + encoded(args) + b"R")


def filled(thing: Any, state: Any) -> Code:
    return Code(encoded(thing) + encoded(state) + b"b")


def kept(index: int, value: Any) -> Code:
    return Code(encoded(value) + b"r" + struct.pack("<I", index))


def again(index: int) -> Code:
    return Code(b"j" + struct.pack("<I", index))


def bomb(levels: int = 60) -> Code:
    """Pairs of one pair: a few hundred bytes, 2 ** levels leaves."""
    return Code(b"K\x01" + b"2\x86" * levels)


def calls_of(function: str, *args: Any, count: int) -> bytes:
    """A list of ``count`` results of the same call of remembered arguments."""
    head = name(function) + b"q\x000" + encoded(args) + b"q\x010"
    return b"\x80\x02(" + head + b"h\x00h\x01R" * count + b"l."


def storage(count: int = 1, kind: Any = "torch.FloatStorage", *, legacy: bool = False) -> Code:
    kind = kind if isinstance(kind, Code) else name(kind)
    return Code(encoded(("storage", kind, "0", "cpu", count, *([None] if legacy else []))) + b"Q")


def tensor(
    *shape: int,
    count: int | None = None,
    stride: tuple[int, ...] | None = None,
    of: Code | None = None,
) -> Code:
    """A tensor of a storage ``0`` that has ``count`` values."""
    steps = [math.prod(max(1, n) for n in shape[i + 1 :]) for i in range(len(shape))]
    made = of or storage(math.prod(shape) if count is None else count)
    rebuild = "torch._utils._rebuild_tensor_v2"
    return called(rebuild, made, 0, shape, stride or tuple(steps), False, None)


def torch_zip(tree: Any, values: int = 1, **members: bytes) -> bytes:
    """A torch file whose storage ``0`` has that many zeros."""
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("archive/data.pkl", pickled(tree))
        archive.writestr("archive/data/0", bytes(4 * values))
        for member, content in members.items():
            archive.writestr(f"archive/{member}", content)
    return made.getvalue()


def many_members(count: int) -> bytes:
    """A zip64 with that many entries for one empty member."""
    first = b"PK\3\4" + struct.pack("<5H3I2H", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = b"PK\1\2" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, *[0] * 6)
    listed = (entry + b"a") * count
    end = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(listed), len(first))
    place = struct.pack("<IQI", 0, len(first) + len(listed), 1)
    last = struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return first + listed + b"PK\6\6" + end + b"PK\6\7" + place + b"PK\5\6" + last


def array(*shape: int, code: str = "f4") -> Code:
    """A numpy array of zeros."""
    order = (3, "<", None, None, None, -1, -1, 0)
    dtype = filled(called("numpy.dtype", code, 0, 1), order)
    empty = called("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), (0,), b"b")
    data = bytes(math.prod(shape) * np.dtype(code).itemsize)
    return filled(empty, (1, shape, dtype, False, data))


def module(kind: Any, modules: Any = None, **attributes: Any) -> Code:
    """A module of an NVIDIA pickle."""
    parts = {"_parameters": {}, "_buffers": {}, "_modules": modules or {}}
    return persistent(kind, {**parts, "_init_args": (), "_init_kwargs": {}, **attributes})


def persistent(kind: Any, state: Any) -> Code:
    meta = {"type": "class", "module_src": "", "class_name": kind, "state": state}
    return called("torch_utils.persistence._reconstruct_persistent_obj", meta)


def network(function: str, settings: Any, variables: Any, parts: Any = None) -> Code:
    """A network of a TensorFlow pickle; ``G_paper`` is ProGAN's."""
    progan = function == "G_paper"
    kind = "tfutil.Network" if progan else "dnnlib.tflib.network.Network"
    state = {
        "version": {"G_paper": 2, "G_main": 4, "G_mapping": 4}.get(function, 3),
        "name": "Gs",
        "static_kwargs": settings,
        "build_func_name": function,
        "variables": variables,
        **({} if parts is None else {"components": parts}),
    }
    return filled(Code(name(kind) + b")\x81"), state)


def safetensors(
    entries: Mapping[str, Any], metadata: Mapping[str, str] | None = None, size: int = 4
) -> bytes:
    """A file of that many zero bytes."""
    tree = {**({} if metadata is None else {"__metadata__": metadata}), **entries}
    text = json.dumps(tree).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def entry(*shape: int, dtype: str = "F32", size: int = 4) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, math.prod(shape) * size]}


def ours(family: str, config: Any) -> bytes:
    """A file as our own converter writes them, but for its config: a tree, or text."""
    text = config if isinstance(config, str) else json.dumps(config)
    return safetensors({"x": entry(1)}, {"seeingkit.family": family, "seeingkit.config": text})
