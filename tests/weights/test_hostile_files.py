"""Weights files of a hostile author: refused in one line that names the file, quickly and cheaply.

Each case once hung, took gigabytes, ended in another library's traceback, or passed a wrong number
on. A child process loads them all; a case that takes more than its time ends the child.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import hostile_files as h

SECONDS = 5  # of processor time a case; all that is asked for is ten
MEBIBYTES = 512  # a case, above the start; all that is asked for is 1024

Content = bytes | dict[str, bytes]
CASES: dict[str, tuple[str, str, Callable[[], Content]]] = {}
"""By name: how it is loaded, a part of the message, and the file (or the files of a folder)."""

T = h.tensor
META = "torch_utils.persistence._reconstruct_persistent_obj"


def case(how: str, says: str, **made: Callable[[], Content]) -> None:
    for name, make in made.items():
        assert name not in CASES
        CASES[name] = (how, says, make)


def one(key: str, value: Any = None, **others: Any) -> bytes:
    """A torch zip of a state dict."""
    return h.torch_zip({key: T(1) if value is None else value, **others})


# --------------------------------------------------------- values that must not be written out

case(
    "auto",
    "refused, a storage of type",
    storage_bomb=lambda: one("a", T(1, of=h.storage(1, h.bomb()))),
    storage_object=lambda: one(
        "a", T(1, of=h.storage(1, h.filled(h.called("types.SimpleNamespace"), {"a": h.bomb()})))
    ),
)
case(
    "auto",
    "refused, an array of type",
    type_bomb=lambda: h.pickled(h.called("numpy.dtype", h.bomb())),
)
case(
    "auto",
    "byte order",
    order_bomb=lambda: h.pickled(h.filled(h.called("numpy.dtype", "f4"), (3, h.bomb()))),
    order_tensor=lambda: h.torch_zip({"a": h.filled(h.called("numpy.dtype", "f4"), (3, T(2)))}, 2),
)
case(
    "auto",
    "persistent",
    class_bomb=lambda: h.pickled({"G_ema": h.persistent(h.bomb(), {})}),
    class_tensor=lambda: h.torch_zip({"a": h.persistent(T(2), {})}, 2),
    meta_tensor=lambda: h.torch_zip({"a": h.called(META, {"type": T(2)})}, 2),
)
case(
    "auto",
    "its stride",
    stride_bomb=lambda: one("a", T(1, of=h.storage(), stride=(h.bomb(),))),  # type: ignore[arg-type]
)
case(
    "auto",
    "an old torch file of version",
    version_bomb=lambda: h.LEGACY + h.pickled(h.bomb()),
    version_digits=lambda: h.LEGACY + h.pickled(h.HUGE),
)

# --------------------------------------------------------------------- more than there is to read


def _same_key_hashes(count: int) -> bytes:
    """Keys (a, b) whose hashes are equal: Python mixes numbers into a tuple's hash reversibly."""
    most, half = 1 << 64, 2870177450012600261
    one, two = 11400714785074694791, 14029467366897019727

    def mixed(a: int) -> int:
        summed = (half + a * two) % most
        return ((summed << 31 | summed >> 33) % most) * one % most

    wanted, found, a = mixed(1), [], 0
    while len(found) < count:
        a += 1
        b = (wanted - mixed(a)) * pow(two, -1, most) % most
        if b < 1 << 61:
            found.append((a, b))
    assert len({hash(pair) for pair in found}) == 1
    pairs = (h.encoded(a) + h.encoded(b) + b"\x86N" for a, b in found)
    return b"\x80\x02}(" + b"".join(pairs) + b"u."


def _arrays(count: int, data: Any, size: int, order: str = "<") -> bytes:
    dtype = h.filled(h.called("numpy.dtype", "f4"), (3, order, None, None, None, -1, -1, 0))
    buffer = "numpy.core.numeric._frombuffer"
    return h.calls_of(buffer, data, dtype, (size // 4,), "C", count=count)


case(
    "auto",
    "far more values of its bytes than it stores",
    copies_of_text=lambda: _arrays(20_000, "\0" * 200_000, 200_000),
    copies_of_short_bytes=lambda: _arrays(80_000, bytes(4092), 4092),
    copies_reordered=lambda: _arrays(20_000, bytes(200_000), 200_000, ">"),
    copies_encoded=lambda: h.calls_of("_codecs.encode", "a" * 200_000, "latin1", count=20_000),
)
case(
    "auto",
    "pickle operations",
    copies_of_dicts=lambda: h.calls_of(
        "collections.OrderedDict", {str(k): None for k in range(3000)}, count=100_000
    ),
    copies_of_sets=lambda: h.calls_of("builtins.set", list(range(3000)), count=100_000),
    many_tensors=lambda: h.torch_zip(
        h.Code(
            h.kept(0, h.name("torch._utils._rebuild_tensor_v2"))
            + b"0"
            + h.encoded((h.storage(), 0, (1,), (1,), False, None))
            + b"q\x010("
            + b"h\x00h\x01R" * 200_000
            + b"l"
        )
    ),
)
case(
    "auto",
    "as dictionary key",
    key_hashes=lambda: _same_key_hashes(10_000),
)
case(
    "auto",
    "characters",
    key_of_megabytes=lambda: one("\x1b[2J\n" + "a b " * 1_000_000),
    key_of_digits=lambda: one(f"blocks.{'9' * 5000}.0.conv1.weight"),
)
case(
    "auto",
    "no encoded array",
    wide_text=lambda: h.pickled(["\U0001f600" + "a" * 5_000_000]),
)
case(
    "auto",
    "damaged",
    empty_overflow=lambda: one("a", T(0, 2**61, 2**61, count=1, stride=(1, 1, 1))),
)
case(
    "auto",
    "no storage",
    storage_id_array=lambda: one("a", h.Code(h.encoded((h.array(3), 1, 2, 3)) + b"Q")),
    legacy_id_array=lambda: (
        h.LEGACY
        + h.pickled(1001)
        + h.pickled({})
        + h.pickled(h.Code(h.encoded((h.array(3), 1, 2, 3)) + b"Q"))
    ),
)
case("auto", "no family", unknown_escape=lambda: b"\x80\x02}(S'\\d\\777'\nNu.")

# -------------------------------------------------------------------------------------- containers

case("auto", "absurdly long", zip_members=lambda: h.many_members(300_000))
case(
    "auto", "is in it twice", zip_twice=lambda: h.torch_zip({"a": T(1)}, 1, **{"data/0": b"\1" * 4})
)
case(
    "auto",
    "another name inside",
    zip_other_name=lambda: one("a").replace(b"archive/data/0", b"archive/data/1", 1),
)
case(
    "auto",
    "safetensors header",
    header=lambda: h.safetensors(
        {f"{k}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for k in range(200_000)}
    ),
)
AXES = {"w": h.entry(*[1] * 100_000)}
for family in ("auto", "progan", "dcgan", "upernet", "espnet", "espnetv2", "semseg", "vgg16"):
    case(family, "'w' has 100000 axes", **{f"axes_{family}": lambda: h.safetensors(AXES)})
case(
    "transformers",
    "'w' has 100000 axes",
    axes_of_a_folder=lambda: {
        "config.json": b"{}",
        "model.safetensors": h.safetensors(AXES),
    },
)
for family in ("progan", "stylegan1", "stylegan2", "stylegan3", "biggan", "dcgan", "mlp-gan"):
    case(family, "not JSON", **{f"deep_{family}": lambda f=family: h.ours(f, "[" * 100_000)})  # type: ignore[misc]
    case(
        family,
        "characters is none",
        **{f"long_{family}": lambda f=family: h.ours(f, {"a": [[]] * 1_000_000})},  # type: ignore[misc]
    )
    case(
        family,
        f"{family}",
        **{f"many_{family}": lambda f=family: h.ours(f, {f"{k}": 1 for k in range(80_000)})},  # type: ignore[misc]
    )

# ------------------------------------------------------------------------------------ state dicts


def _shared(count: int, key: Callable[[int], str], values: int) -> bytes:
    """A state dict all of whose tensors are the same one."""
    head = b"}(" + h.encoded(key(0)) + T(values) + b"q\x05"
    rest = (h.encoded(key(k)) + b"h\x05" for k in range(1, count))
    return h.torch_zip(h.Code(head + b"".join(rest) + b"u"), values)


def _progan(width: int, sizes: int) -> bytes:
    """Layers of one storage, each as large as that."""
    values = width * width * 16
    tensors = {}
    for k in range(1, 2 * sizes - 1):
        kernel = 4 if k == 1 else 3
        tensors[f"layer{k}.conv.weight"] = T(width, width, kernel, kernel, count=values)
        tensors[f"layer{k}.wscale.b"] = T(width, count=values)
    last = f"output_{2**sizes}x{2**sizes}"
    tensors[f"{last}.conv.weight"] = T(3, width, 1, 1, count=values)
    tensors[f"{last}.wscale.b"] = T(3, count=values)
    return h.torch_zip(tensors, values)


case(
    "semseg",
    "are stored",
    same_bytes=lambda: {
        "encoder_epoch_1.pth": _shared(10_000, lambda k: f"k{k}.weight", 2_500_000),
        "decoder_epoch_1.pth": one("cbr.0.weight"),
    },
)
case("progan", "are stored", layers_of_the_same_bytes=lambda: _progan(300, 12))
case("espnet", "tensors in one network", many_keys=lambda: _shared(30_000, lambda k: f"{k}", 1))
case(
    "auto",
    "holds more than 500 networks",
    many_networks=lambda: h.torch_zip(
        h.Code(
            h.encoded(T(1, 1, 1, 1))
            + b"q\x050"
            + h.encoded("weight")
            + b"q\x060}("
            + b"".join(h.encoded(f"{k}") + b"}h\x06h\x05s" for k in range(100_000))
            + b"u"
        )
    ),
)
case(
    "dcgan",
    "not a stack",
    number_that_is_none=lambda: one("main.\u00b2.weight", T(1, 1, 1, 1)),
    norm_of_nothing=lambda: h.torch_zip(
        {
            "0.weight": T(64, 4),
            "1.running_mean": T(0, count=256),
            "1.running_var": T(0, count=256),
        },
        256,
    ),
)
case(
    "progan",
    "features.0.conv.weight",
    no_inputs=lambda: h.torch_zip(
        {
            "features.0.conv.weight": T(4, 0, 4, 4, count=1, stride=(1, 1, 1, 1)),
            "features.0.wscale.scale": T(1),
            "features.1.conv.weight": T(1),
            "output.conv.weight": T(1),
        }
    ),
)
case(
    "stylegan1",
    "missing keys",
    half_parallel=lambda: one("module.generator.progression.0.conv1.input", x=T(1)),
)
case(
    "progan",
    "no type that weights have",
    float8=lambda: h.safetensors(
        {"layer1.conv.weight": h.entry(4, dtype="F8_E4M3", size=1)}, None, 4
    ),
    complex_numbers=lambda: h.safetensors(
        {"layer1.conv.weight": h.entry(1, dtype="C64", size=8)}, None, 8
    ),
)


def _hrnet(modules: int, blocks: int) -> dict[str, Any]:
    keys = ["conv1", "conv2", "layer1.0.conv1", "layer1.0.conv3"]
    keys += [f"stage{s}.0.branches.{b}.0.conv1" for s in (2, 3, 4) for b in range(s)]
    keys += [f"stage4.{k}.branches.0.0.conv1" for k in range(1, modules)]
    keys += [f"stage4.0.branches.0.{k}.conv1" for k in range(1, blocks)]
    return {f"{key}.weight": T(1, 1, 1, 1) for key in keys}


def _encoder(tensors: dict[str, Any], **others: bytes) -> dict[str, bytes]:
    decoder = {"cbr.0.weight": T(1, 1, 1, 1), "conv_last.weight": T(1, 1, 1, 1)}
    return {
        "encoder_epoch_1.pth": h.torch_zip(tensors),
        "decoder_epoch_1.pth": h.torch_zip(decoder),
        **others,
    }


case(
    "semseg",
    "blocks",
    hrnet=lambda: _encoder(_hrnet(1000, 1000)),
    resnet=lambda: _encoder(
        {
            **{f"conv{k}.weight": T(1, 1, 1, 1) for k in (1, 2, 3)},
            **{f"layer{k}.0.conv1.weight": T(1, 1, 1, 1) for k in (1, 2, 3, 4)},
            **{f"layer4.{k}.conv1.weight": T(1, 1, 1, 1) for k in range(1, 5000)},
        }
    ),
)
wide = T(2**40, 0, 3, 3, count=1, stride=(1, 1, 1, 1))
case(
    "upernet",
    "no deep-stem encoder",
    nothing_wide=lambda: _encoder(
        {
            **{f"conv{k}.weight": wide for k in (1, 2, 3)},
            **{f"layer{k}.0.conv1.weight": wide for k in (1, 2, 3, 4)},
        },
        **{"labels.json": b"{}"},
    ),
)

# ---------------------------------------------------------------------------- TensorFlow pickles


def _stylegan1(mapping: Any = None, synthesis: Any = None, **more: Any) -> bytes:
    parts = {
        "mapping": h.network(
            "G_mapping",
            mapping or {},
            more.get("dense") or [("Dense0/weight", h.array(4, 4)), ("Dense0/bias", h.array(4))],
        ),
        "synthesis": h.network(
            "G_synthesis",
            synthesis or {},
            more.get("layers") or [("4x4/Conv/bias", h.array(4)), ("ToRGB_lod0/bias", h.array(3))],
        ),
        **more.get("parts", {}),
    }
    whole = h.network("G_style", {}, [("dlatent_avg", h.array(4))], parts)
    return h.pickled((None, None, whole))


def _stylegan2(mapping: Any = None, layers: Any = None, dense: Any = None) -> bytes:
    layers = layers or [("4x4/Conv/mod_weight", h.array(4, 4))]
    parts = {
        "mapping": h.network("G_mapping", mapping or {}, dense or []),
        "synthesis": h.network("G_synthesis_stylegan2", {}, layers),
    }
    return h.pickled((None, None, h.network("G_main", {}, [], parts)))


def _progan_pickle(*names: str) -> bytes:
    return h.pickled((None, None, h.network("G_paper", {}, [(name, 1.0) for name in names])))


def _theano(**spec: Any) -> bytes:
    state = {"build_func_spec": {"func": "G_paper", **spec}, "param_values": []}
    return h.pickled((None, None, h.filled(h.Code(h.name("network.Network") + b")\x81"), state)))


case(
    "stylegan1",
    "normalize_latents=",
    flag_array=lambda: _stylegan1({"normalize_latents": h.array(3)}),
    flag_bomb=lambda: _stylegan1({"normalize_latents": h.bomb()}),
)
case(
    "stylegan1",
    "mapping_nonlinearity=",
    text_array=lambda: _stylegan1({"mapping_nonlinearity": h.array(3)}),
)
case("stylegan2", "latent_size=", number_digits=lambda: _stylegan2({"latent_size": 10**400}))
case("stylegan1", "blur_filter=", blur_digits=lambda: _stylegan1(None, {"blur_filter": [10**400]}))
case(
    "stylegan1",
    "not an array",
    bfloat16=lambda: _stylegan1(dense=[("Dense0/weight", _legacy_tensor("BFloat16Storage", 4))]),
)
case(
    "stylegan1",
    "components",
    many_components=lambda: _stylegan1(
        parts={
            "c": h.kept(9, h.network("G_mapping", {}, [(f"v{k}", 1.0) for k in range(5000)])),
            **{f"c{k}": h.again(9) for k in range(20_000)},
        }
    ),
)
case(
    "stylegan1",
    "tensors in one network",
    sides_1=lambda: _stylegan1(layers=[(f"{r}x{r}/Conv1/bias", 1.0) for r in range(8, 60_000)]),
)
case(
    "progan",
    "tensors in one network",
    sides=lambda: _progan_pickle(*(f"{r}x{r}/Conv1/weight" for r in range(8, 60_000))),
)
case(
    "progan", "long name", digits=lambda: _progan_pickle(f"{'9' * 5000}x{'9' * 5000}/Conv1/weight")
)
case("progan", "label_size=", theano_array=lambda: _theano(label_size=h.array(3)))
case("progan", "resolution=", theano_bomb=lambda: _theano(resolution=h.bomb()))
case("stylegan2", "odd=", setting_bomb=lambda: _stylegan2({"odd": h.bomb()}))
case("stylegan2", "dtype=", setting_array=lambda: _stylegan2({"dtype": h.array(3)}))
case(
    "stylegan2",
    "expected 4 axes",
    flat_kernel=lambda: _stylegan2(
        layers=[("4x4/Conv/mod_weight", h.array(4, 4)), ("8x8/Conv0_up/weight", 1.0)]
    ),
)


def _legacy_tensor(kind: str, count: int) -> h.Code:
    """A tensor as NVIDIA's pickles hold one: an old torch file inside."""
    of = h.storage(count, h.name(f"torch.{kind}"), legacy=True)
    parts = [1001, {"little_endian": True}, T(count, of=of), ["0"]]
    content = h.LEGACY + b"".join(map(h.pickled, parts)) + count.to_bytes(8, "little")
    return h.called("torch.storage._load_from_bytes", content + bytes(8 * count))


# -------------------------------------------------------------------------------- NVIDIA pickles


def _nvidia(synthesis: Any, layers: Any = 2, **attributes: Any) -> bytes:
    root = {"z_dim": 4, "c_dim": 0, "w_dim": 4, "img_resolution": 8, "img_channels": 3}
    parts = {"mapping": h.module("MappingNetwork", num_layers=layers), "synthesis": synthesis}
    return h.pickled({"G_ema": h.module("Generator", parts, **root, **attributes)})


def _blocks(more: Any = None) -> h.Code:
    first = h.module("SynthesisBlock", {"conv1": h.module("SynthesisLayer")})
    return h.module("SynthesisNetwork", {"b4": first, **(more or {})})


def _layers(*names: str) -> h.Code:
    parts = {"input": h.module("SynthesisInput"), "L0_36_4": h.module("SynthesisLayer")}
    return h.module("SynthesisNetwork", parts, layer_names=list(names), output_scale=1.0)


def _repeated(state: Any, repeat: Callable[[int], Any], count: int) -> h.Code:
    """Modules that refer to one dict of thousands of entries."""
    first = h.persistent("SynthesisLayer", state)
    return _blocks({"m": first, **{f"m{k}": repeat(k) for k in range(count)}})


_ENTRIES: dict[str, Any] = {f"p{k}": None for k in range(5000)}
case(
    "stylegan2",
    "num_layers",
    depth=lambda: _nvidia(_blocks(), 10**9),
    depth_bomb=lambda: _nvidia(_blocks(), h.bomb()),
    depth_digits=lambda: _nvidia(_blocks(), h.HUGE),
)
case("stylegan3", "layer_names", layers=lambda: _nvidia(_layers(*["L0_36_4"] * 100_000)))
case(
    "stylegan2",
    "more than",
    shared_parameters=lambda: _nvidia(
        _repeated(
            {"_parameters": h.kept(5, _ENTRIES)},
            lambda _: h.persistent("SynthesisLayer", {"_parameters": h.again(5)}),
            10_000,
        )
    ),
)
case(
    "stylegan2",
    "shared",
    shared_state=lambda: _nvidia(
        _repeated(h.kept(5, _ENTRIES), lambda _: h.persistent("SynthesisLayer", h.again(5)), 10_000)
    ),
)

# ----------------------------------------------------------------------- configs of our own format

_STYLEGAN2 = '{"channels": {"4": 4, "8": 4}, "resolution": 8, '
_STYLEGAN1 = '{"latent": 4, "mapping": [4], "channels": [4], '
_BIGGAN = {
    "layout": "ajbrock",
    "z_dim": 1 << 20,
    "classes": 1 << 20,
    "embedding_dim": 1 << 20,
    "condition": "z+embedding",
    "bottom": 2048,
    "blocks": [
        {
            "kind": "residual",
            "channels_in": 1 << 20,
            "channels_out": 1 << 20,
            "upsample": True,
            "native": "a",
        }
    ],
}


def _dcgan(count: int = 1, /, **values: Any) -> dict[str, Any]:
    layer = {"name": "a", "kind": "up", "inputs": 4, "outputs": 3, "kernel": 4, **values}
    return {"layers": [layer] * count}


def _mlp(*shape: int) -> dict[str, Any]:
    layer = {"name": "a", "kind": "linear", "inputs": 1, "outputs": 784}
    return {"layers": [layer], "shape": shape}


case(
    "stylegan2",
    "mapping_widths",
    widths=lambda: h.ours("stylegan2", f'{_STYLEGAN2}"mapping_widths": {[1] * 20_000}}}'),
)
case(
    "stylegan2",
    "resample_filter",
    taps_nan=lambda: h.ours("stylegan2", _STYLEGAN2 + '"resample_filter": [NaN, 1]}'),
)
case("stylegan1", "blur", blur_nan=lambda: h.ours("stylegan1", _STYLEGAN1 + '"blur": [NaN, 1]}'))
case("stylegan1", "blur", blur_none=lambda: h.ours("stylegan1", _STYLEGAN1 + '"blur": [-1, 1]}'))
case("biggan", "absurdly wide", bottom=lambda: h.ours("biggan", _BIGGAN))
case(
    "dcgan",
    "less than or equal",
    inputs=lambda: h.ours("dcgan", _dcgan(inputs=10**30)),
    kernel=lambda: h.ours("dcgan", _dcgan(kernel=10**9, inputs=1 << 20)),
)
case("dcgan", "at most", stack_height=lambda: h.ours("dcgan", _dcgan(5000)))
case("mlp-gan", "shape", negative_sides=lambda: h.ours("mlp-gan", _mlp(1, -28, -28)))

# ---------------------------------------------------------------------------- numbers out of range


def _double(value: float) -> bytes:
    """An MLP GAN of float64 with one weight that float32 has not."""
    values = np.zeros(64 * 2, np.float64)
    values[3] = value
    first = T(64, 2, of=h.storage(128, h.name("torch.DoubleStorage")))
    tensors = {"0.weight": first}
    tensors["2.weight"] = T(784, 64, count=784 * 64, of=_second())
    made = h.torch_zip(tensors, 256, **{"data/1": bytes(8 * 784 * 64)})
    return _with_first(made, values.tobytes())


def _second() -> h.Code:
    kind = h.name("torch.DoubleStorage")
    return h.Code(h.encoded(("storage", kind, "1", "cpu", 784 * 64)) + b"Q")


def _with_first(content: bytes, data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name == "archive/data/0" else old.read(name))
    return made.getvalue()


case("mlp-gan", "0.main.weight holds NaN or Inf", beyond_float32=lambda: _double(1e300))

# -------------------------------------------------------------------------------------- the child


def attempt(how: str, path: Path) -> None:
    from seeingkit import load_generator
    from seeingkit.models.loading import load_features, load_segmenter

    if how in ("upernet", "semseg", "espnet", "espnetv2", "transformers"):
        load_segmenter(how, weights=path)
    elif how == "vgg16":
        load_features(how, weights=path)
    else:
        load_generator(how, weights=path)


def child() -> Iterator[dict[str, Any]]:
    """Load the cases of stdin and tell what came of each."""
    import torch

    from seeingkit.errors import SeeingkitError

    torch.set_num_threads(1)
    for how in ("auto", "upernet", "semseg", "espnet"):  # what is imported is not the file's
        with contextlib.suppress(SeeingkitError):
            attempt(how, Path(__file__))
    for name, how, path in map(json.loads, sys.stdin):
        print(name, file=sys.stderr, flush=True)
        peak, start = _reset_peak(), time.process_time()
        try:
            attempt(how, Path(path))
            kind, said = "", "loaded"
        except SeeingkitError as error:
            kind, said = type(error).__name__, str(error)
        seconds = time.process_time() - start
        yield {
            "name": name,
            "kind": kind,
            "said": said,
            "seconds": seconds,
            "mebibytes": _peak() - peak,
        }


def _reset_peak() -> float:
    """Set the peak of memory to what is in use, where the system can; gives it in MiB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _limits() -> None:
    """A bomb ends the child, not the machine: 4 GiB, two minutes of processor time."""
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each case, by name."""
    folder = tmp_path_factory.mktemp("hostile")
    asked = []
    for name, (how, _, make) in CASES.items():
        content = make()
        path = folder / name
        if isinstance(content, dict):
            path.mkdir()
            for file, inside in content.items():
                (path / file).write_bytes(inside)
        else:
            path.write_bytes(content)
        asked.append((name, how, str(path)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.weights.test_hostile_files"],
        input="".join(json.dumps(case) + "\n" for case in asked),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=_limits,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


def fault(name: str, found: dict[str, Any]) -> str | None:
    """What is wrong with the answer to a hostile file; None where it was refused in one line."""
    said = found["said"]
    if not found["kind"]:
        return f"{name}: it was loaded"
    if name not in said or CASES[name][1] not in said:
        return f"{name}: {said}"
    if not said.isprintable() or len(said) >= 4500:
        return f"{name}: not one short line: {said!r}"
    if found["seconds"] >= SECONDS or found["mebibytes"] >= MEBIBYTES:
        return f"{name}: {found['seconds']} s, {found['mebibytes']} MiB"
    return None


def test_hostile_files_are_refused_in_a_line(outcomes: dict[str, dict[str, Any]]) -> None:
    assert outcomes.keys() == CASES.keys()
    faults = [fault(name, outcomes[name]) for name in CASES]
    assert not [one for one in faults if one], "\n".join(filter(None, faults))


def test_labels_of_a_hostile_author(tmp_path: Path) -> None:
    from seeingkit.errors import CorruptFileError
    from seeingkit_adapters.upernet.labels import read_hierarchy

    parts = {f"{k}": ["-", *(f"{k} {i}" for i in range(100))] for k in range(300)}
    many = json.dumps({"object": ["-", *parts], "object_part": parts})
    start = time.process_time()
    assert len(read_hierarchy(many, tmp_path).labels) == 301 + 30_000
    assert time.process_time() - start < 1
    wrong = {"object": [1] * 200_000}
    for text in ("[" + "1" * 5000 + "]", "[" * 100_000, json.dumps(wrong), " " * (1 << 21)):
        with pytest.raises(CorruptFileError, match="label"):
            read_hierarchy(text, tmp_path)


def test_inspection_names_each_tensor_once(tmp_path: Path) -> None:
    """However often a tree refers to its parts."""
    from seeingkit.models.inspection import inspect_file

    nested = b"".join(b"q\x000}X\1\0\0\0ah\x00sX\1\0\0\0bh\x00s" for _ in range(30))
    state = h.kept(5, {f"p{k}": T(1) for k in range(2000)})
    path = tmp_path / "states"
    path.write_bytes(
        h.torch_zip([h.persistent("AugmentPipe", h.again(5) if k else state) for k in range(5000)])
    )
    assert len(inspect_file(path)["tensors"]) == 2000
    found = {}
    for name, leaf in (("dag", T(1)), ("list", h.Code(b"(" + b"\x8f" * 200_000 + b"l"))):
        path = tmp_path / name
        path.write_bytes(h.torch_zip(h.Code(leaf + nested)))
        found[name] = inspect_file(path)["tensors"]
    assert [len(tensors) for tensors in found.values()] == [2, 0]
    assert found["dag"][0]["name"] == ".".join("a" * 30)


def test_training_state_of_a_hostile_author(tmp_path: Path) -> None:
    from seeingkit.errors import StateMismatchError
    from seeingkit_adapters.biggan.training_state import epsilons
    from seeingkit_adapters.catalog.biggan import BigGANOptions

    state = tmp_path / "state_dict.pth"
    for config in ({"BN_eps": h.bomb()}, {"BN_eps": 1e-5, "G_nl": h.array(3)}):
        state.write_bytes(h.torch_zip({"config": config}))
        with pytest.raises(StateMismatchError, match=r"state_dict\.pth"):
            epsilons(tmp_path / "G_ema.pth", BigGANOptions(), spectral=True, one_class=False)


def test_config_of_a_hugging_face_biggan(tmp_path: Path) -> None:
    from seeingkit.errors import WeightsError
    from seeingkit_adapters.biggan.huggingface import _config, _read_config

    path = tmp_path / "config.json"
    layers = [[False, 16, 16]] * 100_000
    texts = [
        json.dumps({"layers": layers}),
        json.dumps({"layers": [[True, 16, 16]] * 200 + [[True, 16, 1]]}),
        json.dumps({"channel_width": 1 << 20, "z_dim": 1 << 20}),
        '{"eps": 1' + "0" * 400 + "}",
        '{"z_dim": 1' + "0" * 5000 + "}",
        '{"eps": NaN}',
        "[" * 100_000,
        " " * (1 << 21),
    ]
    for text in texts:
        path.write_text(text)
        start = time.process_time()
        with pytest.raises(WeightsError, match=r"config\.json"):
            _config(path, _read_config(path)[1], None)
        assert time.process_time() - start < SECONDS


if __name__ == "__main__":
    for line in child():
        print(json.dumps(line), flush=True)
