"""The unpickler builds the same plain data as Python's own, and nothing that is not data."""

from __future__ import annotations

import collections
import contextlib
import gc
import io
import pickle
import pickletools
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.errors import CorruptFileError, UnsafeFileError, WeightsError
from seeingkit.weights import Opaque, fill, read_checkpoint, state_dict
from seeingkit.weights.constructors import allowed_constructors
from seeingkit.weights.opcodes import OPERATIONS, unpickle
from seeingkit.weights.reader import MOST_OPERATIONS, Budget, Reader

KEYS = st.one_of(st.text(max_size=20), st.integers(-(2**60), 2**60), st.booleans(), st.none())
LEAVES = st.one_of(KEYS, st.integers(), st.floats(allow_nan=False), st.binary(max_size=40))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(KEYS, max_size=4),
    ),
    max_leaves=20,
)


def load(data: bytes, steps: int = MOST_OPERATIONS) -> Any:
    return unpickle(Reader(memoryview(bytearray(data))), allowed_constructors(), Budget(steps))


@settings(max_examples=300)
@given(TREES, st.integers(0, 5))
def test_plain_data_comes_back_as_it_was(tree: Any, protocol: int) -> None:
    assert load(pickle.dumps(tree, protocol)) == tree


@given(st.integers(0, 5))
def test_shared_values_stay_shared(protocol: int) -> None:
    inner: list[Any] = [1]
    found = load(pickle.dumps([inner, inner], protocol))
    assert found[0] is found[1]
    inner.append(inner)  # a cycle
    found = load(pickle.dumps(inner, protocol))
    assert found[1] is found


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1", "?", ">f4", "f2"])
def test_arrays(protocol: int, dtype: str) -> None:
    for array in (
        np.arange(6).reshape(2, 3).astype(dtype),
        np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype)),
        np.zeros((0, 3), dtype),
        np.arange(4096).astype(dtype),
    ):
        found = load(pickle.dumps({"a": array, "b": array[..., 0].sum()}, protocol))
        assert found["a"].dtype.isnative
        np.testing.assert_array_equal(found["a"], array)
        assert found["b"] == array[..., 0].sum()


def peak_of(data: bytes) -> tuple[Any, int]:
    """What a program builds, and the most memory beside the program meanwhile."""
    view = memoryview(bytearray(data))
    table = allowed_constructors()
    tracemalloc.start()
    try:
        found = unpickle(Reader(view), table, Budget())
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_arrays_of_protocol_2_are_in_memory_once() -> None:
    arrays = [np.random.default_rng(k).random(1 << 15) for k in range(16)]
    total = sum(array.nbytes for array in arrays)
    found, peak = peak_of(pickle.dumps(arrays, 2))
    for array, read in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(read, array)
        assert read.flags.writeable  # as torch wants it
    assert peak < 1.5 * total  # and not also as text, and as bytes


def test_long_strings_of_python_2_are_views() -> None:
    payload = np.random.default_rng(0).bytes(1 << 20)
    found, peak = peak_of(b"\x80\x02]T" + struct.pack("<i", len(payload)) + payload + b"q\x01a.")
    assert bytes(found[0]) == payload
    assert peak < len(payload) / 8


@pytest.mark.parametrize("protocol", range(1, 6))
def test_long_text_is_remembered(protocol: int) -> None:
    text = "ä€" * 5000
    found = load(pickle.dumps([text, text, {"a": text}, text], protocol))
    assert found == [text, text, {"a": text}, text]
    assert found[1] is found[2]["a"] is found[3]  # read again once, however often it is used
    pair = (text, 7)
    found = load(pickle.dumps([pair, pair, text, pair], protocol))
    assert found == [pair, pair, text, pair]
    assert found[1] is found[3]
    assert found[1][0] is found[2]


def test_containers_of_published_files() -> None:
    ordered = collections.OrderedDict([("a", 1), ("b", 2)])
    for protocol in range(6):
        assert load(pickle.dumps(ordered, protocol)) == {"a": 1, "b": 2}
        assert load(pickle.dumps(collections.Counter("aab"), protocol)) == {"a": 2, "b": 1}
        assert load(pickle.dumps(frozenset([1, 2]), protocol)) == {1, 2}
    found = load(
        b"\x80\x02cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrG"
        + struct.pack(">d", 0.5)
        + b"sb."
    )
    assert isinstance(found, Opaque)
    assert (found.kind, found.state) == ("argparse.Namespace", {"lr": 0.5})


def test_objects_of_the_oldest_protocols() -> None:
    start = b"ccopy_reg\n_reconstructor\n("
    program = start + b"ctfutil\nNetwork\nc__builtin__\nobject\nNtR(S'version'\nI2\ndb."
    found = load(program)
    assert (found.kind, found.state) == ("tfutil.Network", {"version": 2})
    program = start + b"cdnnlib\nEasyDict\nc__builtin__\ndict\n(S'a'\nI1\ndtR."
    assert load(program) == {"a": 1}
    with pytest.raises(UnsafeFileError, match="no known class"):
        load(start + b"]c__builtin__\nobject\nNtR.")


def test_classes_and_unfilled_objects_stay_mere_names() -> None:
    for program, kind in (
        (b"]ctorch\nFloatStorage\na.", "torch.FloatStorage"),
        (b"]cnumpy\ndtype\n(S'f4'\nI0\nI1\ntRa.", "numpy.dtype"),
        (b"]cnumpy.core.multiarray\n_reconstruct\n)Ra.", "numpy.ndarray"),
    ):
        (left,) = load(program)
        assert isinstance(left, Opaque)
        assert left.kind == kind


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"c__builtin__\neval\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
        b"cnumpy\nndarray.dump\n.",  # a dotted name walks attributes
        b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x82\x01.",  # EXT1
        b"\x97.",  # NEXT_BUFFER
        b"])R.",  # calls a list
        b"(lp0\n}b.",  # sets the state of a list
        b"\x80\x02X\x01\x00\x00\x00aQ.",  # a persistent id in a plain pickle
        b"}(]K\x01u.",  # a list as key
        b"\x80\x02}\x8a\x10" + b"\xff" * 15 + b"\x01K\x01s.",  # a huge integer as key
        b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.",  # an array of Python objects
    ],
)
def test_more_than_data_is_refused(program: bytes) -> None:
    with pytest.raises(UnsafeFileError, match="refused"):
        load(program)


@pytest.mark.parametrize("lines", [b"cbuiltins\nexec\n", b"c__main__\nX\n", b"ctorch\nload\n"])
def test_a_global_is_named_in_the_refusal(lines: bytes) -> None:
    name = lines[1:-1].replace(b"\n", b".").decode()
    with pytest.raises(UnsafeFileError, match=name):
        load(lines + b".")


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"\x80\x02",
        b".",
        b"h\x05.",  # never remembered
        b"t.",  # a group that was not opened
        b"K\x01K\x02a.",
        b"\x80\x02B\xff\xff\xff\xff.",  # four gigabytes that are not there
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x02X\x02\x00\x00\x00\xff\xff.",
        b"I12x\n.",
        b"S'abc\n.",
        b"}K\x01u.",
        b"}(K\x01u.",
        b"r\xff\xff\xff\x7f.",
    ],
)
def test_damage_is_an_error_of_ours(program: bytes) -> None:
    with pytest.raises(CorruptFileError):
        load(program)


def test_a_memo_index_costs_no_memory() -> None:
    assert load(b"K\x07r\xff\xff\xff\xff0j\xff\xff\xff\xff.") == 7


def test_a_long_program_ends() -> None:
    with pytest.raises(UnsafeFileError, match="operations"):
        load(b"(" + b"]" * 1000 + b"t.", steps=100)


def test_every_opcode_is_either_known_or_refused() -> None:
    refused = {"INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}
    for opcode in pickletools.opcodes:
        known = ord(opcode.code) in OPERATIONS or opcode.name == "STOP"
        assert known == (opcode.name not in refused), opcode.name


# ---------------------------------------------------------------------------------- torch's files


def tensors() -> dict[str, torch.Tensor]:
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "whole": base,
        "transposed": base.T,
        "strided": base[1:, ::2],
        "shared": base[2],
        "half": torch.randn(3, 2).half(),
        "bfloat": torch.randn(3).bfloat16(),
        "long": torch.arange(5),
        "flag": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
        "single": torch.tensor(3.5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_torch_files_give_torch_s_tensors(tmp_path: Path, zipped: bool, protocol: int) -> None:
    path = tmp_path / "t.pth"
    saved = tensors()
    torch.save(saved, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    assert checkpoint.container == ("torch zip" if zipped else "torch legacy")
    found = state_dict(checkpoint, checkpoint.content)
    assert found.keys() == saved.keys()
    for key, tensor in saved.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor.detach()), key


def test_a_flipped_byte_of_a_zip_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t.pth"
    torch.save({"w": torch.ones(1000)}, path)
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<f", 1.0) * 20)
    data[place + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="checksum"):
        read_checkpoint(path)


def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02}.")
        archive.writestr("m/code/__torch__.py", "")
    with pytest.raises(UnsafeFileError, match="TorchScript"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!doctype html><html>", "a web page"),
        (b"\x1f\x8b\x08\x00" + bytes(40), "gzip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a picture"),
        (b"hello, world", "not a weights file"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=words) as refused:
        read_checkpoint(path)
    assert str(path) in str(refused.value)


def test_a_storage_may_not_claim_more_than_it_has(tmp_path: Path) -> None:
    stored = io.BytesIO()
    torch.save({"w": torch.ones(4)}, stored)
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(tmp_path / "t.pth", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                assert data.count(b"K\x04") == 2  # the storage's count and the tensor's shape
                data = data.replace(b"K\x04", b"K\x7f")
            target.writestr(name, data)
    with pytest.raises(UnsafeFileError, match="claims 127 values"):
        read_checkpoint(tmp_path / "t.pth")


def own_memory() -> int:
    """Bytes of this process that are not pages of a file (Linux)."""
    rollup = Path("/proc/self/smaps_rollup")
    if not rollup.is_file():
        pytest.skip("the private memory of a process is read from /proc")
    lines = dict(line.split(":", 1) for line in rollup.read_text().splitlines()[1:])
    return int(lines["Anonymous"].split()[0]) * 1024


@pytest.mark.parametrize("zipped", [True, False])
def test_reading_copies_no_tensor(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "large.pth"
    size = 10_000_000
    torch.save(
        {"a": torch.zeros(size), "b": torch.zeros(size)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    gc.collect()
    before = own_memory()
    checkpoint = read_checkpoint(path)
    tensor = checkpoint.content["a"]
    assert float(tensor.sum()) == 0
    assert own_memory() - before < 10_000_000  # the file has 80 MB
    tensor[0] = 1.0  # copy on write: the file stays as it was
    assert read_checkpoint(path).content["a"][0] == 0


@pytest.mark.parametrize("zipped", [True, False])
def test_filling_a_network_keeps_one_copy(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "large.pth"
    layers = {f"{k}.weight": torch.ones(1000, 1000) for k in range(20)}  # 80 MB
    torch.save(layers, path, _use_new_zipfile_serialization=zipped)
    with torch.device("meta"):
        network = torch.nn.Sequential(*(torch.nn.Linear(1000, 1000, bias=False) for _ in layers))
    gc.collect()
    del layers
    before = own_memory()
    checkpoint = read_checkpoint(path)
    fill(network, state_dict(checkpoint, checkpoint.content), path)
    assert network(torch.ones(1, 1000)).shape == (1, 1000)
    assert own_memory() - before < 140_000_000  # two copies would be 160 MB


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_noise_is_refused_or_read(data: bytes) -> None:
    with contextlib.suppress(WeightsError):
        load(data)
