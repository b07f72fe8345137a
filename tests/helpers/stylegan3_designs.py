"""StyleGAN3 networks of any size with random weights, as the modules that a file of them holds.

From Karras et al., NeurIPS 2021: layer frequencies (section 3.2 and appendix C), Kaiser and radial
filters (appendix C), paddings that keep maps centred. Not used outside the tests: files bring all
of this with them (a golden file's attributes are compared with this design).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal
import scipy.special
import torch
from torch import Tensor

from tests.helpers.nvidia_pickle_writer import Module


def low_pass(taps: int, cutoff: float, width: float, rate: float, radial: bool) -> Tensor | None:
    """A Kaiser low-pass filter of unit sum, along one axis or radially symmetric."""
    if taps == 1:
        return None
    if not radial:
        return torch.as_tensor(
            scipy.signal.firwin(taps, cutoff, width=width, fs=rate), dtype=torch.float32
        )
    at = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(at[:, None], at) * np.pi
    ideal = scipy.special.j1(2 * cutoff * radius) / radius
    beta = scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(taps, width / (rate / 2)))
    window = np.kaiser(taps, beta)
    found = ideal * np.outer(window, window)
    return torch.as_tensor(found / found.sum(), dtype=torch.float32)


def dense(draw: torch.Generator, inputs: int, outputs: int, rate: float, kind: str) -> Module:
    """A fully connected layer."""
    return Module(
        "FullyConnectedLayer",
        parameters={
            "weight": torch.randn(outputs, inputs, generator=draw) / rate,
            "bias": torch.randn(outputs, generator=draw) * 0.3 / rate + (rate == 1.0),
        },
        in_features=inputs,
        out_features=outputs,
        activation=kind,
        weight_gain=rate / np.sqrt(inputs),
        bias_gain=rate,
        init_args=(inputs, outputs),
    )


def mapping(
    draw: torch.Generator, z_dim: int, c_dim: int, w_dim: int, num_ws: int, num_layers: int
) -> Module:
    """The mapping network."""
    modules: dict[str, Module | None] = {}
    if c_dim:
        modules["embed"] = dense(draw, c_dim, w_dim, 1.0, "linear")
    inputs = z_dim + (w_dim if c_dim else 0)
    for k in range(num_layers):
        modules[f"fc{k}"] = dense(draw, inputs if k == 0 else w_dim, w_dim, 0.01, "lrelu")
    return Module(
        "MappingNetwork",
        buffers={"w_avg": torch.randn(w_dim, generator=draw) * 0.2},
        modules=modules,
        z_dim=z_dim,
        c_dim=c_dim,
        w_dim=w_dim,
        num_ws=num_ws,
        num_layers=num_layers,
        w_avg_beta=0.998,
    )


# Long by its settings, one a line.
def layer(
    draw: torch.Generator,
    *,
    w_dim: int,
    rgb: bool,
    critical: bool,
    channels: tuple[int, int],
    sizes: tuple[int, int],
    rates: tuple[float, float],
    cutoffs: tuple[float, float],
    half_widths: tuple[float, float],
    conv_kernel: int,
    radial: bool,
    filter_size: int,
    lrelu_upsampling: int,
    conv_clamp: float | None,
) -> Module:
    """A synthesis layer; pairs are (in, out)."""
    inner = max(rates) * (1 if rgb else lrelu_upsampling)
    up, down = (int(np.rint(inner / rate)) for rate in rates)
    up_taps, down_taps = (
        filter_size * factor if factor > 1 and not rgb else 1 for factor in (up, down)
    )
    pad = (sizes[1] - 1) * down + 1 - (sizes[0] + conv_kernel - 1) * up + up_taps + down_taps - 2
    before = (pad + up) // 2
    design = [
        low_pass(taps, cutoff, 2 * half, inner, shape)
        for taps, cutoff, half, shape in zip(
            (up_taps, down_taps),
            cutoffs,
            half_widths,
            (False, radial and not critical),
            strict=True,
        )
    ]
    return Module(
        "SynthesisLayer",
        parameters={
            "weight": torch.randn(
                channels[1], channels[0], conv_kernel, conv_kernel, generator=draw
            ),
            "bias": torch.randn(channels[1], generator=draw) * 0.2,
        },
        buffers={
            "magnitude_ema": torch.rand((), generator=draw) + 0.5,
            "up_filter": design[0],
            "down_filter": design[1],
        },
        modules={"affine": dense(draw, w_dim, channels[0], 1.0, "linear")},
        w_dim=w_dim,
        is_torgb=rgb,
        is_critically_sampled=critical,
        use_fp16=np.bool_(True),
        in_channels=channels[0],
        out_channels=channels[1],
        in_size=np.array([sizes[0]] * 2),
        out_size=np.array([sizes[1]] * 2),
        conv_kernel=conv_kernel,
        conv_clamp=conv_clamp,
        up_factor=up,
        up_taps=up_taps,
        down_factor=down,
        down_taps=down_taps,
        down_radial=radial and not critical,
        padding=[before, pad - before] * 2,
    )


# Long by the original's arguments and attributes, one a line.
def generator(
    seed: int = 0,
    *,
    z_dim: int = 7,
    c_dim: int = 0,
    w_dim: int = 6,
    img_resolution: int = 16,
    img_channels: int = 3,
    num_mapping: int = 2,
    channel_base: int = 96,
    channel_max: int = 8,
    num_layers: int = 4,
    num_critical: int = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin_size: int = 10,
    output_scale: float = 0.25,
    conv_kernel: int = 3,
    use_radial_filters: bool = False,
    filter_size: int = 6,
    lrelu_upsampling: int = 2,
    conv_clamp: float | None = 256,
) -> Module:
    """A generator with the original's arguments and random weights."""
    draw = torch.Generator().manual_seed(seed)
    last_cutoff = img_resolution / 2
    exponents = np.minimum(np.arange(num_layers + 1) / (num_layers - num_critical), 1)
    cutoffs = first_cutoff * (last_cutoff / first_cutoff) ** exponents
    last_stopband = last_cutoff * last_stopband_rel
    stopbands = first_stopband * (last_stopband / first_stopband) ** exponents
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, img_resolution))))
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + margin_size * 2
    sizes[-2:] = img_resolution
    channels = np.rint(np.minimum((channel_base / 2) / cutoffs, channel_max))
    channels[-1] = img_channels
    modules: dict[str, Module | None] = {
        "input": fourier(draw, w_dim, int(channels[0]), int(sizes[0]), rates[0], cutoffs[0])
    }
    names = []
    for k in range(num_layers + 1):
        before = max(k - 1, 0)
        names.append(f"L{k}_{int(sizes[k])}_{int(channels[k])}")
        modules[names[-1]] = layer(
            draw,
            w_dim=w_dim,
            rgb=k == num_layers,
            critical=k >= num_layers - num_critical,
            channels=(int(channels[before]), int(channels[k])),
            sizes=(int(sizes[before]), int(sizes[k])),
            rates=(rates[before], rates[k]),
            cutoffs=(cutoffs[before], cutoffs[k]),
            half_widths=(half_widths[before], half_widths[k]),
            conv_kernel=1 if k == num_layers else conv_kernel,
            radial=use_radial_filters,
            filter_size=filter_size,
            lrelu_upsampling=lrelu_upsampling,
            conv_clamp=conv_clamp,
        )
    common: dict[str, Any] = {
        "w_dim": w_dim,
        "num_ws": num_layers + 2,
        "img_resolution": img_resolution,
        "img_channels": img_channels,
    }
    synthesis = Module(
        "SynthesisNetwork",
        modules=modules,
        num_layers=num_layers,
        num_critical=num_critical,
        margin_size=margin_size,
        output_scale=output_scale,
        num_fp16_res=4,
        layer_names=names,
        **common,
    )
    return Module(
        "Generator",
        modules={
            "synthesis": synthesis,
            "mapping": mapping(draw, z_dim, c_dim, w_dim, num_layers + 2, num_mapping),
        },
        z_dim=z_dim,
        c_dim=c_dim,
        **common,
    )


def fourier(
    draw: torch.Generator, w_dim: int, channels: int, size: int, rate: float, bandwidth: float
) -> Module:
    """The input: frequencies drawn inside a disc of radius ``bandwidth``."""
    freqs = torch.randn(channels, 2, generator=draw)
    radii = freqs.square().sum(dim=1, keepdim=True).sqrt()
    affine = dense(draw, w_dim, 4, 1.0, "linear")
    return Module(
        "SynthesisInput",
        parameters={"weight": torch.randn(channels, channels, generator=draw)},
        buffers={
            "transform": torch.eye(3),
            "freqs": freqs / (radii * radii.square().exp().pow(0.25)) * bandwidth,
            "phases": torch.rand(channels, generator=draw) - 0.5,
        },
        modules={"affine": affine},
        w_dim=w_dim,
        channels=channels,
        size=np.array([size, size]),
        sampling_rate=np.float64(rate),
        bandwidth=np.float64(bandwidth),
    )
