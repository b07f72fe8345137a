"""StyleGAN3: recorded numbers of the original, a literal reference, files of other sizes."""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seeingkit.errors import MissingWeightsError, StateMismatchError, UsageError
from seeingkit.testing import check_generator
from seeingkit.testing.generators import IMPULSES, _begin, _window_fault, maps_lie_in_their_window
from seeingkit.weights import Opaque, read_checkpoint, write_portable
from seeingkit_adapters.catalog.stylegan3 import StyleGAN3Options
from seeingkit_adapters.stylegan3.config import StyleGAN3Config
from seeingkit_adapters.stylegan3.filters import (
    Padding,
    downsample,
    filtered_leaky_relu,
    filtered_size,
    upsample,
)
from seeingkit_adapters.stylegan3.generator import StyleGAN3Generator, load, recognise
from tests.helpers.goldens import agree, golden
from tests.helpers.nvidia_pickle_writer import Module, snapshot, write_pickle
from tests.helpers.stylegan3_designs import generator as design
from tests.helpers.stylegan3_designs import low_pass

CASES = ("t-r32", "r-cond-r32")

VARIANTS: dict[str, dict[str, Any]] = {
    "t": {},
    "t-deeper": {"num_layers": 7, "num_critical": 3, "img_resolution": 32, "num_mapping": 3},
    "t-grey-one-dense": {"img_channels": 1, "num_mapping": 1, "c_dim": 2},
    "t-tight": {"margin_size": 1, "first_stopband": 8.0, "last_stopband_rel": 1.1},
    "t-smooth": {"lrelu_upsampling": 4, "filter_size": 4, "output_scale": 2.5},
    "t-clamped": {"conv_clamp": 0.7, "conv_kernel": 5},
    "t-unclamped": {"conv_clamp": None, "channel_max": 3},
    "t-wide-range": {"img_resolution": 64, "num_layers": 3, "num_critical": 1, "channel_max": 4},
    "r": {"conv_kernel": 1, "use_radial_filters": True, "img_resolution": 32, "num_layers": 5},
    "r-classes": {"conv_kernel": 1, "use_radial_filters": True, "c_dim": 3, "z_dim": 5},
}


def saved(folder: Path, module: Module, protocol: int = 4, **others: Any) -> Path:
    return write_pickle(folder / "network.pkl", snapshot(module, **others), protocol)


def opened(path: Path, **options: Any) -> StyleGAN3Generator:
    return load(path, StyleGAN3Options(**options))


def latents(subject: StyleGAN3Generator, rows: int = 3) -> Mapping[str, Tensor]:
    classes = len(subject.info.class_names)
    labels = [k % classes for k in range(rows)] if classes else None
    return subject.latents(range(rows), labels=labels)


# ------------------------------------------------------------------------- numbers of the original


@pytest.mark.parametrize("name", CASES)
def test_original_images(shared: Path, name: str) -> None:
    case = golden(shared, "stylegan3_pkl", name)
    latent = {"z": case.arrays["in.z"], "c": case.arrays["in.c"]}
    subject = opened(case.file())
    agree(subject(latent), case.arrays["out.image_const"])
    agree(subject({"ws": case.arrays["in.ws_mixed"]}), case.arrays["out.image_from_ws"])
    if subject.info.class_names:
        by_label = {"z": case.arrays["in.z"][:2], "label": case.arrays["in.label"][:2]}
        agree(subject(by_label), case.arrays["out.image_const"][:2])
    truncation = case.case["truncation"]
    cut = opened(case.file(), truncation=truncation["psi"], cutoff=truncation["cutoff"])
    agree(cut(latent), case.arrays["out.image_trunc"])
    agree(cut.advance(cut.begin(latent), "w").x, case.arrays["out.ws_trunc"])
    agree(subject.module.get_buffer("mapping.w_avg"), case.arrays["out.w_avg"])


@pytest.mark.parametrize("name", CASES)
def test_original_activations(shared: Path, name: str) -> None:
    case = golden(shared, "stylegan3_pkl", name)
    subject = opened(case.file())
    state = subject.begin({"z": case.arrays["in.z"], "c": case.arrays["in.c"]})
    agree(subject.advance(state, "w").x, case.arrays["out.ws"])
    recorded = [key for key in case.arrays if key.startswith("act.")]
    assert len(recorded) == len(subject.boundaries) - 3  # all but input, w and image
    for key in recorded:
        agree(subject.advance(state[0], key.removeprefix("act.")).x, case.arrays[key])


@pytest.mark.parametrize("name", CASES)
def test_designs_are_those_of_the_files(shared: Path, name: str) -> None:
    """The networks of the other tests are what the original makes of the same arguments."""
    case = golden(shared, "stylegan3_pkl", name)
    given_arguments = {k: v for k, v in case.case["config"].items() if k not in _ELSEWHERE}
    arguments = {"num_layers": 14, **given_arguments}
    root = read_checkpoint(case.file()).content["G_ema"]
    synthesis = root.state["_modules"]["synthesis"].state
    made = design(**arguments)["synthesis"].state
    assert made["layer_names"] == synthesis["layer_names"]
    for name in synthesis["layer_names"]:
        theirs, ours = synthesis["_modules"][name].state, made["_modules"][name].state
        for attribute in ("in_channels", "out_channels", "up_factor", "down_factor", "is_torgb"):
            assert ours[attribute] == theirs[attribute], (name, attribute)
        assert ours["padding"] == theirs["padding"], name
        assert ours["out_size"].tolist() == theirs["out_size"].tolist(), name
        for key in ("up_filter", "down_filter"):
            expected = theirs["_buffers"][key]
            if expected is None:
                assert ours["_buffers"][key] is None
            else:
                torch.testing.assert_close(ours["_buffers"][key], expected, rtol=1e-5, atol=1e-8)


_ELSEWHERE = ("generator", "magnitude_ema_beta", "mapping_kwargs")


# ------------------------------------------------------------------------------ a literal reference


def literal_spread(x: Tensor, taps: Tensor | None, up: int, padding: Padding) -> Tensor:
    """Zeros, then padding, then cropping, then the whole two-dimensional filter; float64."""
    n, channels, height, width = x.shape
    wide = x.new_zeros(n, channels, height * up, width * up)
    wide[:, :, ::up, ::up] = x
    wide = F.pad(wide, [max(p, 0) for p in padding])
    left, right, top, bottom = (max(-p, 0) for p in padding)
    wide = wide[:, :, top : wide.shape[2] - bottom, left : wide.shape[3] - right]
    return literal_filter(wide, taps, 1) * up**2


def literal_filter(x: Tensor, taps: Tensor | None, down: int) -> Tensor:
    kernel = torch.ones(1, 1) if taps is None else taps
    kernel = (torch.outer(kernel, kernel) if kernel.ndim == 1 else kernel).double().numpy()
    maps = [
        [scipy.signal.convolve2d(map_.numpy(), kernel, mode="valid") for map_ in row] for row in x
    ]
    return torch.from_numpy(np.array(maps))[:, :, ::down, ::down]


def literal_image(root: Module, z: Tensor, c: Tensor | None) -> Tensor:
    """One image, in the order the paper states it, in float64: (1, 3, R, R)."""
    t = {key: value.double() for key, value in root.tensors().items()}

    def dense(path: str, x: Tensor) -> Tensor:
        state = root[path].state
        x = x @ t[f"{path}.weight"].T * float(state["weight_gain"])
        x = x + t[f"{path}.bias"] * float(state["bias_gain"])
        if state["activation"] == "linear":
            return x
        return torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)

    def normalised(x: Tensor) -> Tensor:
        return x / (x.square().mean() + 1e-8).sqrt()

    w = normalised(z.double())
    if c is not None:
        w = torch.cat([w, normalised(dense("mapping.embed", c.double()))], dim=1)
    for k in range(root["mapping"].state["num_layers"]):
        w = dense(f"mapping.fc{k}", w)

    state, path = root["synthesis.input"].state, "synthesis.input"
    cosine, sine, x, y = (dense(f"{path}.affine", w)[0] / 1.0).tolist()
    size = math.hypot(cosine, sine)
    cosine, sine, x, y = cosine / size, sine / size, x / size, y / size
    turn = torch.tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], dtype=torch.float64)
    shift = torch.tensor([[1, 0, -x], [0, 1, -y], [0, 0, 1]], dtype=torch.float64)
    matrix = turn @ shift @ t[f"{path}.transform"]
    width, height = state["size"].tolist()
    rate, bandwidth = float(state["sampling_rate"]), float(state["bandwidth"])
    maps = torch.zeros(state["channels"], height, width, dtype=torch.float64)
    for k, frequency in enumerate(t[f"{path}.freqs"]):
        a, b = (frequency @ matrix[:2, :2]).tolist()
        phase = float(t[f"{path}.phases"][k] + frequency @ matrix[:2, 2])
        fade = 1 - (math.hypot(a, b) - bandwidth) / (rate / 2 - bandwidth)
        xs = (torch.arange(width, dtype=torch.float64) + 0.5 - width / 2) / rate
        ys = (torch.arange(height, dtype=torch.float64) + 0.5 - height / 2) / rate
        turns = a * xs[None, :] + b * ys[:, None] + phase
        maps[k] = torch.sin(2 * math.pi * turns) * min(max(fade, 0.0), 1.0)
    features = torch.einsum("oi,ihw->ohw", t[f"{path}.weight"], maps) / math.sqrt(len(maps))
    return literal_layers(root, features[None], w, t) * root["synthesis"].state["output_scale"]


def literal_layers(root: Module, x: Tensor, w: Tensor, t: dict[str, Tensor]) -> Tensor:
    for name in root["synthesis"].state["layer_names"]:
        path, layer = f"synthesis.{name}", root[f"synthesis.{name}"].state
        affine = root[f"{path}.affine"].state
        styles = w[0] @ t[f"{path}.affine.weight"].T * float(affine["weight_gain"])
        styles = styles + t[f"{path}.affine.bias"] * float(affine["bias_gain"])
        weight, rgb = t[f"{path}.weight"], layer["is_torgb"]
        if rgb:
            styles = styles / math.sqrt(weight[0].numel())
        else:
            weight = weight / weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            styles = styles / styles.square().mean().sqrt()
        weight = weight * styles[None, :, None, None]
        if not rgb:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        weight = weight / t[f"{path}.magnitude_ema"].sqrt()
        x = F.conv2d(x, weight, padding=layer["conv_kernel"] - 1)
        x = x + t[f"{path}.bias"][:, None, None]
        x = literal_spread(
            x, t.get(f"{path}.up_filter"), layer["up_factor"], tuple(layer["padding"])
        )
        if not rgb:
            x = torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)
        if layer["conv_clamp"] is not None:
            x = x.clamp(-layer["conv_clamp"], layer["conv_clamp"])
        x = literal_filter(x, t.get(f"{path}.down_filter"), layer["down_factor"])
    return x


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_other_networks(tmp_path: Path, name: str) -> None:
    root = design(seed=len(name), **VARIANTS[name])
    subject = opened(saved(tmp_path, root, protocol=2 + len(name) % 3))
    latent = latents(subject, 2)
    images = subject(latent)
    for row in range(2):
        classes = root.state["c_dim"]
        c = F.one_hot(latent["label"][row], classes)[None] if classes else None
        expected = literal_image(root, latent["z"][row, None], c).float().expand(1, 3, -1, -1)
        agree(images[row, None], expected)
        assert float(expected.std()) > 0.01
        agree(subject({k: v[[row]] for k, v in latent.items()}), images[row, None])


def test_stored_transform_and_asymmetric_padding(tmp_path: Path) -> None:
    """What a file states is followed where the original's constructor would not put it."""
    root = design(margin_size=2)
    angle = 0.4
    cos, sin = math.cos(angle), math.sin(angle)
    transform = torch.tensor([[cos, -sin, 0.1], [sin, cos, -0.2], [0.0, 0.0, 1.0]])
    root["synthesis.input"].state["_buffers"]["transform"] = transform
    first, second = (root[f"synthesis.{n}"] for n in root["synthesis"].state["layer_names"][:2])
    for layer, change in ((first, 8), (second, -8)):
        left, right, top, bottom = layer.state["padding"]
        layer.state["padding"] = [left - change, right + 2 * change, top + 3 * change, bottom]
    grown = np.array([first.state["out_size"][0] + 4, first.state["out_size"][0] + 12])
    first.state["out_size"] = second.state["in_size"] = grown
    assert min(second.state["padding"]) < 0  # it crops what the first layer grew by
    subject = opened(saved(tmp_path, root))
    latent = latents(subject, 1)
    agree(subject(latent), literal_image(root, latent["z"], None).float())
    assert subject.boundaries[3].extent == (32, 24)


# ---------------------------------------------------------------------------------------- filters


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    up=st.integers(1, 4),
    down=st.integers(1, 3),
    up_taps=st.sampled_from([None, (1,), (4,), (5,), (3, 5)]),
    down_taps=st.sampled_from([None, (2,), (6,), (4, 2)]),
    padding=st.tuples(*[st.integers(-7, 12)] * 4),
    seed=st.integers(0, 99),
)
def test_filters_are_literal(
    size: tuple[int, int],
    up: int,
    down: int,
    up_taps: tuple[int, ...] | None,
    down_taps: tuple[int, ...] | None,
    padding: Padding,
    seed: int,
) -> None:
    draw = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    x = random(2, 2, *size)
    first = None if up_taps is None else random(*up_taps)
    second = None if down_taps is None else random(*down_taps)

    def taps(filter_: Tensor | None, axis: int) -> int:
        return 1 if filter_ is None else filter_.shape[axis if filter_.ndim == 2 else 0]

    sizes = [
        filtered_size(
            size[a], up, down, taps(first, a), taps(second, a), *padding[2 - 2 * a : 4 - 2 * a]
        )
        for a in (0, 1)
    ]
    inner = [
        filtered_size(size[a], up, 1, taps(first, a), 1, *padding[2 - 2 * a : 4 - 2 * a])
        for a in (0, 1)
    ]
    if (
        min(sizes) < 1
        or min(inner) < 1
        or any(
            n * up + p + min(q, 0) < 1
            for n, p, q in ((size[1], *padding[:2]), (size[0], *padding[2:]))
        )
    ):
        return
    bias = random(2)
    found = filtered_leaky_relu(
        x,
        bias,
        first,
        second,
        up=up,
        down=down,
        padding=padding,
        gain=1.5,
        slope=0.2,
        clamp=2.0,
    )
    expected = literal_spread(x + bias[:, None, None], first, up, padding)
    expected = (F.leaky_relu(expected, 0.2) * 1.5).clamp(-2.0, 2.0)
    torch.testing.assert_close(found, literal_filter(expected, second, down))
    assert list(found.shape[2:]) == sizes


def test_filters_by_hand() -> None:
    one = torch.tensor([[[[1.0, 2.0]]]])
    line = torch.tensor([1.0, 2.0, 3.0])
    # 1 0 2 0 with two zeros before it, convolved with twice the line, along each axis
    found = upsample(one, line, 2, (2, 0, 2, 0))
    assert found[0, 0].tolist() == [[4, 8, 20, 16], [8, 16, 40, 32]]
    assert upsample(one, None, 2, (0, 0, 0, 0))[0, 0].tolist() == [[4, 0, 8, 0], [0, 0, 0, 0]]
    assert upsample(one, None, 1, (-1, 3, 1, 0))[0, 0].tolist() == [[0, 0, 0, 0], [2, 0, 0, 0]]
    # beyond the map there are zeros, also where cropping goes past it
    assert not upsample(one, None, 1, (-5, 8, 0, 0)).any()
    square = torch.arange(9.0).reshape(1, 1, 3, 3)
    mirrored = torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # a convolution reads it from the far end
    assert downsample(square, mirrored, 1)[0, 0].tolist() == [[4, 5], [7, 8]]
    assert downsample(square, torch.tensor([1.0]), 2)[0, 0].tolist() == [[0, 2], [6, 8]]
    assert downsample(square, None, 2)[0, 0].tolist() == [[0, 2], [6, 8]]
    taps = low_pass(12, 2.0, 12.0, 32, radial=False)
    assert taps is not None
    flat = upsample(torch.ones(1, 1, 20, 20), taps, 2, (0, 0, 0, 0))  # a constant stays one
    torch.testing.assert_close(
        flat[:, :, 12:-12, 12:-12], torch.ones(1, 1, 5, 5), atol=2e-3, rtol=0
    )


# --------------------------------------------------------------------------- the contract, options


def test_contract(tmp_path: Path) -> None:
    small: dict[str, Any] = {"num_layers": 2, "num_critical": 1, "margin_size": 2}
    check_generator(opened(saved(tmp_path, design(**small, img_channels=1))))
    root = design(**small, c_dim=3, conv_kernel=1, use_radial_filters=True)
    check_generator(opened(saved(tmp_path, root), truncation=0.6, cutoff=3))


@pytest.mark.slow
def test_one_impulse_that_random_weights_smear_does_not_speak_against_the_window(
    shared: Path,
) -> None:
    subject = opened(golden(shared, "stylegan3_pkl", "t-r32").file())
    first = subject.boundary("r36.fourier")
    with torch.no_grad():
        state = subject.advance(_begin(subject), first.name)
        before = subject.advance(state).x
        one, many = (_window_fault(subject, first, state, before, k) for k in (1, IMPULSES))
        maps_lie_in_their_window(subject)
    assert "-1.06 cells further down" in one and not many


def test_boundaries(shared: Path) -> None:
    subject = opened(golden(shared, "stylegan3_pkl", "r-cond-r32").file())
    names = [b.name for b in subject.boundaries]
    assert names[:4] == ["input", "w", "r36.fourier", "r36.l0"]
    assert names[-3:] == ["r32.l7", "r32.rgb", "image"]
    assert subject.boundary("r36").name == "r36.l2"
    assert subject.boundary("r52").name == "r52.l6"
    assert subject.boundary("r32").name == "r32.l7"
    assert subject.boundary("synthesis.L3_52_14").name == "r52.l3"
    assert subject.default_cut == "r36.l2"
    assert subject.info.class_names == ("0", "1", "2", "3")
    assert subject.info.parameters == sum(p.numel() for p in subject.module.parameters())


def test_truncation(tmp_path: Path) -> None:
    root = design()
    path = saved(tmp_path, root)
    plain, average = opened(path), root.tensors()["mapping.w_avg"]
    latent = latents(plain)

    def ws(**options: Any) -> Tensor:
        subject = opened(path, **options)
        return subject.advance(subject.begin(latent), "w").x

    whole = ws()
    assert torch.equal(whole, whole[:, :1].expand_as(whole))
    torch.testing.assert_close(ws(truncation=0.0), average.expand_as(whole))
    half = ws(truncation=0.5, cutoff=2)
    torch.testing.assert_close(half[:, :2], (average + whole[:, :2]) / 2)
    assert torch.equal(half[:, 2:], whole[:, 2:])
    assert torch.equal(ws(truncation=0.5, cutoff=0), whole)
    assert torch.equal(ws(truncation=0.5, cutoff=99), ws(truncation=0.5))
    assert opened(path, truncation=0.5).info.identity() != plain.info.identity()


def test_rows_are_independent_of_extreme_neighbours(tmp_path: Path) -> None:
    """Styles are not normalised over the batch: a row of huge ws changes nothing of another."""
    subject = opened(saved(tmp_path, design()))
    ws = subject.advance(subject.begin(latents(subject, 2)), "w").x
    loud = torch.cat([ws, ws[1:] * 1e7])
    quiet = torch.cat([ws, ws[:1]])
    torch.testing.assert_close(
        subject({"ws": loud})[:2], subject({"ws": quiet})[:2], rtol=0, atol=1e-6
    )
    assert bool(subject({"ws": loud}).isfinite().all())


def test_latents_refused(tmp_path: Path) -> None:
    plain = opened(saved(tmp_path, design()))
    z = torch.zeros(2, 7)
    c0 = torch.zeros(2, 0)
    assert torch.equal(plain({"z": z, "c": c0}), plain({"z": z}))
    labelled = opened(saved(tmp_path, design(c_dim=3)))
    label = torch.tensor([0, 2])
    soft = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.equal(labelled({"z": z, "label": label}), labelled({"z": z, "c": soft}))
    wrong: list[tuple[StyleGAN3Generator, dict[str, Tensor], str]] = [
        (plain, {}, "'z' is missing"),
        (plain, {"z": torch.zeros(2, 8)}, "z.*7"),
        (plain, {"z": z, "label": label}, "unconditional"),
        (plain, {"z": z, "noise_r36.l0": z}, "noise_r36.l0"),
        (plain, {"ws": torch.zeros(2, 5, 6)}, r"expected float \(N, 6, 6\)"),
        (plain, {"z": z, "c": torch.zeros(2, 3)}, r"\(2, 0\)"),
        (labelled, {"z": z}, "conditional"),
        (labelled, {"z": z, "label": torch.tensor([0, 3])}, "0 to 2"),
        (labelled, {"z": z, "label": torch.tensor([-1, 0])}, "0 to 2"),
        (labelled, {"z": z, "label": torch.tensor([0])}, r"\(2,\)"),
        (labelled, {"z": z, "label": torch.tensor([0.0, 1.0])}, "whole numbers"),
        (labelled, {"z": z, "c": soft, "label": label}, "not both"),
        (labelled, {"z": z, "c": soft[:1]}, r"\(2, 3\)"),
    ]
    for subject, latent, message in wrong:
        with pytest.raises(UsageError, match=message):
            subject.begin(latent)


def test_class_names(tmp_path: Path) -> None:
    path = saved(tmp_path, design(c_dim=3))
    names = tmp_path / "names.txt"
    names.write_text("cat\n\n dog \nwild\n")
    assert opened(path, classes=str(names)).info.class_names == ("cat", "dog", "wild")
    names.write_text('{"0": ["n1", "cat"], "2": "wild", "1": "dog"}')
    assert opened(path, classes=str(names)).info.class_names == ("cat", "dog", "wild")
    for text, message in (
        ("a\nb", "2 class names"),
        ("a\nb\na", "two classes are named 'a'"),
        ('["a", "", "c"]', "class 1 is empty"),
        ('["a", 1, "c"]', "class 1 is not text"),
        ('["a"', "not JSON"),
        ('{"1": "a", "2": "b", "3": "c"}', "0 to 2"),
        (b"\xff\xfe\x00", "UTF-8"),
    ):
        names.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UsageError, match=message):
            opened(path, classes=str(names))
    with pytest.raises(UsageError, match=r"missing\.txt: class names cannot be read"):
        opened(path, classes=str(tmp_path / "missing.txt"))
    with pytest.raises(UsageError, match="unconditional"):
        opened(saved(tmp_path, design()), classes=str(names))


# ------------------------------------------------------------------------------------------- files


def test_which_network_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, other = design(seed=1), design(seed=2)
    other.state["_modules"]["mapping"].state["_buffers"]["w_avg"].fill_(math.nan)
    subject = opened(saved(tmp_path, good, G=other, D=None, training_set_kwargs=None))
    images = subject(latents(subject))
    with caplog.at_level(logging.WARNING):
        fallen = opened(write_pickle(tmp_path / "g.pkl", {"G": good, "D": None, "G_ema": None}))
    assert "holds no G_ema" in caplog.text
    assert torch.equal(fallen(latents(subject)), images)


def test_our_own_format(tmp_path: Path) -> None:
    for name in ("r-classes", "t-clamped", "t-grey-one-dense"):
        subject = opened(saved(tmp_path, design(**VARIANTS[name])))
        tensors, config = subject.export()
        path = write_portable(tmp_path / "ours.safetensors", tensors, "stylegan3", config)
        again = opened(path)
        assert recognise(read_checkpoint(path)) == "seeingkit safetensors"
        assert again.export()[1] == config == json.loads(json.dumps(config))
        assert torch.equal(again(latents(subject)), subject(latents(subject)))
        broken = {**config, "layers": config["layers"][:-1]}
        with pytest.raises(StateMismatchError, match=r"ours\.safetensors: not a StyleGAN3"):
            opened(write_portable(path, tensors, "stylegan3", broken))
        del tensors["mapping.w_avg"]
        with pytest.raises(StateMismatchError, match=r"missing keys mapping\.w_avg"):
            opened(write_portable(path, tensors, "stylegan3", config))


def test_half_precision_and_legacy_names(tmp_path: Path) -> None:
    """Half-precision tensors become float32; nothing is asked of unknown plain attributes."""
    root = design()
    for part in (root["synthesis.input"], root["mapping.fc0"]):
        parameters = part.state["_parameters"]
        for key, value in parameters.items():
            parameters[key] = torch.nn.Parameter(value.half(), requires_grad=False)
    root.state["something_new"] = [1, 2, 3]
    subject = opened(saved(tmp_path, root))
    assert all(t.dtype == torch.float32 for t in subject.module.state_dict().values())
    agree(subject(latents(subject, 1)), literal_image(root, latents(subject, 1)["z"], None).float())


def _set(path: str, **attributes: Any) -> Callable[[Module], None]:
    def change(root: Module) -> None:
        (root[path] if path else root).state.update(attributes)

    return change


def _tensor(path: str, part: str, name: str, value: Tensor | None) -> Callable[[Module], None]:
    def change(root: Module) -> None:
        root[path].state[part][name] = value

    return change


def _without(path: str, name: str) -> Callable[[Module], None]:
    def change(root: Module) -> None:
        del root[path].state[name]

    return change


L0, L1 = "synthesis.L0_36_8", "synthesis.L1_36_8"

DAMAGES: dict[str, tuple[Callable[[Module], None], str]] = {
    "geometry": (_set(L0, padding=[9, 8, 9, 10]), "L0_36_8 makes a height"),
    "padding": (_set(L0, padding=[9, 8]), "padding of synthesis.L0_36_8"),
    "padding-text": (_set(L0, padding="9898"), "padding of synthesis.L0_36_8"),
    "factor": (_set(L1, up_factor=0), "up_factor of synthesis.L1_36_8"),
    "fraction": (_set(L1, up_factor=1.5), "up_factor of synthesis.L1_36_8"),
    "kernel": (_set(L1, conv_kernel=None), "conv_kernel of synthesis.L1_36_8"),
    "flag": (_set(L1, is_torgb="no"), "is_torgb of synthesis.L1_36_8"),
    "clamp": (_set(L1, conv_clamp=math.nan), "conv_clamp of synthesis.L1_36_8"),
    "lost": (_without(L1, "conv_clamp"), "no attribute 'conv_clamp'"),
    "channels": (_set(L1, in_channels=5), "L1_36_8"),
    "next": (_set(L0, out_size=np.array([40, 40])), "L0_36_8 makes a width"),
    "huge": (_set(L0, in_size=np.array([10**9, 36])), "in_size"),
    "activation": (_set("mapping.fc0", activation="swish"), "activation of mapping.fc0"),
    "gain": (_set("mapping.fc0", weight_gain=math.inf), "weight_gain of mapping.fc0"),
    "depth": (_set("mapping", num_layers=3), "no module mapping.fc2"),
    "shallow": (_set("mapping", num_layers=1), r"unexpected keys mapping\.fc1"),
    "ws": (_set("", num_ws=9), "num_ws of the network"),
    "colours": (_set("", img_channels=4), "img_channels"),
    "image": (_set("", img_resolution=32), "the image"),
    "scale": (_set("synthesis", output_scale=None), "output_scale of synthesis"),
    "names": (_set("synthesis", layer_names=["L0_36_8"]), "to list L1_36_8"),
    "no-names": (_set("synthesis", layer_names=[1]), "layer_names"),
    "rate": (_set("synthesis.input", sampling_rate=0.0), "sampling_rate"),
    "points": (_set("synthesis.input", size=np.array([36, 35])), "size of the input"),
    "nan": (_tensor(L0, "_parameters", "bias", torch.full((8,), math.nan)), "bias holds NaN"),
    "shape": (_tensor(L0, "_parameters", "bias", torch.zeros(7)), r"bias has shape \(7,\)"),
    "magnitude": (_tensor(L1, "_buffers", "magnitude_ema", torch.tensor(0.0)), "above 0"),
    "filter": (_tensor(L1, "_buffers", "up_filter", torch.zeros(2, 2, 2)), "up_filter"),
    "no-filter": (_tensor(L1, "_buffers", "up_filter", None), "L1_36_8 makes"),
    "extra": (_tensor(L1, "_buffers", "noise", torch.zeros(1)), r"unexpected keys .*noise"),
    "gone": (_tensor("mapping", "_buffers", "w_avg", None), r"missing keys mapping\.w_avg"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_odd_files_are_named(tmp_path: Path, name: str) -> None:
    root = design()
    assert root["synthesis"].state["layer_names"][:2] == ["L0_36_8", "L1_36_8"]
    change, message = DAMAGES[name]
    change(root)
    path = saved(tmp_path, root)
    with pytest.raises(StateMismatchError, match=message) as caught:
        opened(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_recognised_by_content(shared: Path, tmp_path: Path) -> None:
    for name in CASES:
        found = recognise(read_checkpoint(golden(shared, "stylegan3_pkl", name).file()))
        assert found == "NVIDIA StyleGAN3 .pkl"
    others = [
        path
        for pattern in ("stylegan2_*/*/network.pkl", "stylegan_tf_pkl/*/network.pkl")
        for path in sorted((shared / "golden").glob(pattern))
    ]
    assert others
    for path in others:
        assert recognise(read_checkpoint(path)) is None
        with pytest.raises(StateMismatchError, match="not a StyleGAN3 generator"):
            opened(path)
    for content in ([], {"G_ema": 1}, {"G_ema": Opaque("persistent:Generator", (), None)}):
        checkpoint = read_checkpoint(write_pickle(tmp_path / "x.pkl", []))
        object.__setattr__(checkpoint, "content", content)
        assert recognise(checkpoint) is None
    with pytest.raises(MissingWeightsError):
        load(None, StyleGAN3Options())
    with pytest.raises(MissingWeightsError):
        opened(tmp_path / "nothing.pkl")


def test_config_refuses_sizes_that_do_not_fit(tmp_path: Path) -> None:
    config = opened(saved(tmp_path, design())).export()[1]
    assert StyleGAN3Config.model_validate(config).num_ws == 6
    changes: list[tuple[tuple[str | int, ...], Any, str]] = [
        (("layers", 1, "name"), "L0_36_8", "two layers have the same name"),
        (("layers", 1, "name"), "forward", "pattern"),
        (("layers", 1, "affine", "inputs"), 3, "w_dim"),
        (("layers", 1, "affine", "outputs"), 3, "styles"),
        (("layers", 0, "up"), 10**6, "less than or equal"),
        (("mapping", 0, "inputs"), 3, "outputs before it"),
        (("mapping", 1, "outputs"), 3, "w_dim"),
        (("fourier", "channels"), 3, "channels of the input"),
        (("fourier", "affine", "outputs"), 3, "needed"),
        (("c_dim",), 2, "embed"),
        (("unknown",), 2, "not permitted"),
    ]
    for where, value, message in changes:
        changed = json.loads(json.dumps(config))
        place = changed
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
        with pytest.raises(ValueError, match=message):
            StyleGAN3Config.model_validate(changed)
    assert all(
        a.out_size == b.in_size
        for a, b in itertools.pairwise(StyleGAN3Config.model_validate(config).layers)
    )
