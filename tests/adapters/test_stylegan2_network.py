"""The arithmetic of ``stylegan2``: resampling and layers against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from seeingkit.errors import UsageError
from seeingkit_adapters.resampling import (
    convolve_down,
    convolve_up,
    downsample,
    fir,
    normalised,
    upsample,
)
from seeingkit_adapters.stylegan2.network import (
    StyleGAN2Config,
    SynthesisLayer,
    activate,
    network,
)
from tests.helpers.stylegan2_layouts import config, random_network

TAPS = [(1.0,), (1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 2.0, 5.0), (1.0, 3.0, 3.0, 1.0), (1, 2, 3, 4, 5)]


def definition(x: Tensor, taps: Any, up: int, down: int, pads: tuple[int, int]) -> Tensor:
    """Zeros between samples, zeros around, true convolution, every so many samples."""
    kernel = np.outer(taps, taps) / np.sum(taps) ** 2 * up**2
    rows = []
    for plane in x.flatten(0, 1).numpy():
        wide = np.zeros((plane.shape[0] * up, plane.shape[1] * up))
        wide[::up, ::up] = plane
        room = np.pad(wide, ((max(pads[0], 0), max(pads[1], 0)),) * 2)
        down_to, right_to = (side - max(-pads[1], 0) for side in room.shape)
        start = max(-pads[0], 0)
        found = scipy.signal.convolve2d(room[start:down_to, start:right_to], kernel, mode="valid")
        rows.append(found[::down, ::down])
    return torch.from_numpy(np.stack(rows)).unflatten(0, x.shape[:2])


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(
    taps=st.lists(st.integers(1, 9), min_size=1, max_size=7).map(tuple),
    height=st.integers(3, 6),
    width=st.integers(3, 6),
)
def test_resampling_is_its_definition(taps: tuple[int, ...], height: int, width: int) -> None:
    x, size = maps(2, 3, 2 * height, 2 * width), len(taps)
    wide = definition(x, taps, 2, 1, ((size + 1) // 2, (size - 2) // 2))
    torch.testing.assert_close(upsample(x, taps), wide)
    assert wide.shape == (2, 3, 4 * height, 4 * width)
    narrow = definition(x, taps, 1, 2, ((size - 1) // 2, (size - 2) // 2))
    torch.testing.assert_close(downsample(x, taps), narrow)
    assert narrow.shape == (2, 3, height, width)


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("side", [1, 3])
def test_upsampling_convolution_is_its_definition(taps: tuple[float, ...], side: int) -> None:
    """Zeros between samples, the mirrored kernel, the filter: in one go as scipy does each."""
    x, weight = maps(2, 3, 5, 6), maps(4, 3, side, side, seed=1)
    filtered = upsample_then_correlate(x, weight, taps)
    torch.testing.assert_close(convolve_up(x, weight, taps), filtered)


def upsample_then_correlate(x: Tensor, weight: Tensor, taps: tuple[float, ...]) -> Tensor:
    size, half = len(taps), weight.shape[-1] // 2
    # room for the kernel first: it meets zero-padded, up-sampled and filtered maps
    pads = (half + (size + 1) // 2, half + (size - 2) // 2)
    wide = definition(x, taps, 2, 1, pads)
    return F.conv2d(wide, weight.flip(2, 3))


@pytest.mark.parametrize("taps", TAPS)
def test_downsampling_convolution_is_its_definition(taps: tuple[float, ...]) -> None:
    x, weight, size = maps(2, 3, 8, 6), maps(4, 3, 3, 3, seed=1), len(taps)
    blurred = definition(x, taps, 1, 1, (1 + (size - 1) // 2, 1 + (size - 2) // 2))
    torch.testing.assert_close(convolve_down(x, weight, taps), F.conv2d(blurred, weight, stride=2))


def test_a_constant_stays_away_from_the_border() -> None:
    ones = torch.ones(1, 2, 8, 8)
    taps = (1.0, 3.0, 3.0, 1.0)
    torch.testing.assert_close(upsample(ones, taps)[..., 2:-2, 2:-2], torch.ones(1, 2, 12, 12))
    torch.testing.assert_close(downsample(ones, taps)[..., 1:-1, 1:-1], torch.ones(1, 2, 2, 2))
    torch.testing.assert_close(
        fir(ones, taps, (1, 2), gain=3.0)[..., 2:-3, 2:-3].amax(), torch.tensor(3.0)
    )
    assert normalised((1, 3, 3, 1)) == (0.125, 0.375, 0.375, 0.125)


@pytest.mark.parametrize("taps", [(), (1.0, -1.0), (math.nan,), (math.inf, 1.0)])
def test_no_filter(taps: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="not a resampling filter"):
        normalised(taps)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_layer_is_one_kernel_per_sample(up: bool, scaled: bool) -> None:
    """CVPR 2020, equations 1 and 3: modulated and demodulated kernels, sample by sample."""
    shape = config(channels={4: 3, 8: 4, 16: 4}, scale_weights=scaled, conv_clamp=1.5)
    torch.manual_seed(0)
    layer = SynthesisLayer(shape, 3, 4, 8, up=up).double().requires_grad_(False)
    layer.bias.normal_()
    layer.noise_strength.fill_(0.7)
    x, w, noise = maps(3, 3, 4 if up else 8, 4 if up else 8), maps(3, 5, seed=1), maps(3, 1, 8, 8)
    rows = []
    for k in range(3):
        style = w[k] @ layer.affine.weight.T / math.sqrt(5) + layer.affine.bias
        kernel = layer.weight * style[None, :, None, None] / (math.sqrt(27) if scaled else 1.0)
        kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            y = upsample_then_correlate(x[k : k + 1], kernel, (1, 3, 3, 1))
        else:
            y = F.conv2d(x[k : k + 1], kernel, padding=1)
        y = y + 0.7 * noise[k] + layer.bias[:, None, None]
        y = torch.where(y > 0, y, 0.2 * y) * math.sqrt(2) * math.sqrt(0.5)
        rows.append(y.clamp(-1.5 * math.sqrt(0.5), 1.5 * math.sqrt(0.5)))
    expected = torch.cat(rows)
    assert bool((expected.abs() == 1.5 * math.sqrt(0.5)).any())  # the clamp bites
    torch.testing.assert_close(layer(x, w, noise, gain=math.sqrt(0.5)), expected)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("linear", lambda x: x),
        ("relu", lambda x: max(x, 0.0) * math.sqrt(2)),
        ("lrelu", lambda x: (x if x > 0 else 0.2 * x) * math.sqrt(2)),
        ("tanh", math.tanh),
        ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
        ("elu", lambda x: x if x > 0 else math.expm1(x)),
        ("softplus", lambda x: math.log1p(math.exp(x))),
        ("swish", lambda x: x / (1 + math.exp(-x)) * math.sqrt(2)),
        (
            "selu",
            lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
        ),
    ],
)
def test_activations(name: str, function: Any) -> None:
    points = [-3.0, -0.5, 0.0, 0.25, 2.0]
    x = torch.tensor(points, dtype=torch.float64)
    expected = torch.tensor([function(p) for p in points], dtype=torch.float64)
    torch.testing.assert_close(activate(x, name), expected)
    torch.testing.assert_close(activate(x, name, 0.5, 1.0), (expected * 0.5).clamp(-0.5, 0.5))


def test_fresh_parameters() -> None:
    torch.manual_seed(0)
    made = network(config(c_dim=4))
    for name, tensor in made.state_dict().items():
        if name.endswith("affine.bias"):
            assert torch.equal(tensor, torch.ones_like(tensor)), name
        elif name.endswith(("bias", "noise_strength", "w_avg")):
            assert torch.equal(tensor, torch.zeros_like(tensor)), name
        elif name.startswith("mapping.fc"):
            assert 80 < float(tensor.std()) < 120, name  # 1 / the multiplier of 0.01
        elif tensor.numel() >= 30:
            assert 0.7 < float(tensor.std()) < 1.3, name
    # a fresh network keeps the variance, whatever its widths (what the gains are for)
    wide = network(config(channels={4: 64, 8: 64, 16: 64}, mapping_widths=(64, 5)))
    image = wide(torch.randn(64, 6))
    assert 0.3 < float(image.detach().std()) < 4


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_every_parameter_learns(architecture: str) -> None:
    torch.manual_seed(0)
    made = network(config(architecture=architecture, c_dim=3))
    c = F.one_hot(torch.tensor([0, 1, 2]), 3).float()
    made(torch.randn(3, 6), c).square().mean().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name


def test_random_noise_is_drawn_anew() -> None:
    made = random_network(config())
    z = torch.randn(2, 6)
    assert not torch.equal(made(z), made(z))
    assert torch.equal(made(z, noise="const"), made(z, noise="const"))
    assert torch.equal(made(z, noise="none"), made(z, noise={}))


def test_running_average() -> None:
    made = network(config())
    w = torch.randn(4, 5)
    made.mapping.track(w, beta=0.75)
    torch.testing.assert_close(made.mapping.w_avg, 0.25 * w.mean(dim=0))


def test_labels_are_joined_as_each_code_joins_them() -> None:
    z, c = maps(2, 6), F.one_hot(torch.tensor([2, 0]), 3).double()
    for style in ("embed", "concat"):
        mapping = random_network(
            config(c_dim=3, label_style=style, embed_features=4)
        ).mapping.double()
        assert mapping.embed is not None
        weight = mapping.embed.weight
        if style == "embed":
            y = c @ weight.T / math.sqrt(3) + mapping.embed.bias
            x = torch.cat([unit(z), unit(y)], dim=1)
        else:
            x = unit(torch.cat([z, c @ weight.T], dim=1))
        for i in (0, 1):
            dense = mapping.get_submodule(f"fc{i}")
            x = F.linear(x, dense.weight * 0.01 / math.sqrt(x.shape[1]), dense.bias * 0.01)
            x = F.leaky_relu(x, 0.2) * math.sqrt(2)
        torch.testing.assert_close(mapping(z, c), x)
        with pytest.raises(ValueError, match="class vectors"):
            mapping(z)


def unit(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def test_config_travels_as_json() -> None:
    shape = config(c_dim=3, conv_clamp=256.0, resample_filter=(1, 2, 1), implied_noise="rewriting")
    assert StyleGAN2Config.model_validate_json(shape.model_dump_json()) == shape
    assert StyleGAN2Config(**shape.model_dump(mode="json")) == shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 12}, "power of two"),
        ({"resolution": 2, "channels": {}}, "greater than or equal to 4"),
        ({"resolution": 1 << 20}, "less than or equal to 8192"),
        ({"channels": {4: 6, 8: 5}}, "channels are given at"),
        ({"channels": {4: 6, 8: 5, 16: 0}}, "width from 1"),
        ({"mapping_widths": ()}, "width from 1"),
        ({"mapping_widths": (7,)}, "not w_dim"),
        ({"img_channels": 4}, "img_channels"),
        ({"architecture": "unet"}, "architecture"),
        ({"activation": "gelu"}, "activation"),
        ({"conv_clamp": 0.0}, "conv_clamp"),
        ({"resample_filter": (1.0, -1.0)}, "resampling filter"),
        ({"z_dim": 0}, "z_dim"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_impossible_configs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)
