"""The config of a StyleGAN3 generator: all but its tensors (Karras et al., NeurIPS 2021).

Guarantees that the sizes of a network fit together before it is built: channels and map sizes pass
from layer to layer, every layer's paddings and filters make the size it states, and no size is
absurd. Values are JSON-able (``model_dump(mode="json")``), and checked again when read back.
"""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..configs import Colours, NetworkConfig, Record
from .filters import filtered_size

Extent = Annotated[int, Field(ge=1, le=8192)]
Count = Annotated[int, Field(ge=1, le=65536)]
Factor = Annotated[int, Field(ge=1, le=64)]
Pad = Annotated[int, Field(ge=-8192, le=8192)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Taps = Annotated[tuple[Extent, ...], Field(min_length=1, max_length=2)]


class DenseConfig(Record):
    """A dense layer: sizes, the constants of its equalised learning rate, its nonlinearity."""

    inputs: Count
    outputs: Count
    weight_gain: Finite
    bias_gain: Finite
    activation: Literal["linear", "lrelu"] = "linear"


class FourierConfig(Record):
    """The input: sinusoids sampled at ``size`` (width, height) points, and the map behind them."""

    channels: Count
    size: tuple[Extent, Extent]
    sampling_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    bandwidth: Finite
    affine: DenseConfig


class LayerConfig(Record):
    """A layer; sizes are (width, height), paddings (left, right, top, bottom).

    ``up_filter`` and ``down_filter`` are the filters' shapes, None for none; ``rgb`` marks a layer
    without demodulation and nonlinearity; ``clamp`` is None or the bound of the magnitude.
    """

    name: Annotated[str, Field(pattern=r"^L[0-9]+_[0-9]+_[0-9]+$", max_length=40)]
    in_channels: Count
    out_channels: Count
    kernel: Annotated[int, Field(ge=1, le=63)]
    in_size: tuple[Extent, Extent]
    out_size: tuple[Extent, Extent]
    up: Factor
    down: Factor
    up_filter: Taps | None
    down_filter: Taps | None
    padding: tuple[Pad, Pad, Pad, Pad]
    clamp: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    rgb: bool
    affine: DenseConfig

    @model_validator(mode="after")
    def _sizes_fit(self) -> LayerConfig:
        for axis, what in enumerate(("width", "height")):
            found = filtered_size(
                self.in_size[axis] + self.kernel - 1,
                self.up,
                self.down,
                _length(self.up_filter, axis),
                _length(self.down_filter, axis),
                *self.padding[2 * axis : 2 * axis + 2],
            )
            if found != self.out_size[axis]:
                raise ValueError(
                    f"layer {self.name} makes a {what} of {found} out of {self.in_size[axis]}, not "
                    f"the {self.out_size[axis]} it states"
                )
        if self.affine.outputs != self.in_channels:
            raise ValueError(
                f"layer {self.name} takes {self.in_channels} channels, its styles are "
                f"{self.affine.outputs}"
            )
        return self


class StyleGAN3Config(NetworkConfig):
    """A generator. ``c_dim`` is the number of classes, ``channels`` that of the image."""

    KIND: ClassVar[str] = "a StyleGAN3 generator"

    z_dim: Count
    c_dim: Annotated[int, Field(ge=0, le=65536)]
    w_dim: Count
    resolution: Extent
    channels: Colours
    output_scale: Finite
    embed: DenseConfig | None
    mapping: Annotated[tuple[DenseConfig, ...], Field(max_length=64)]
    fourier: FourierConfig
    layers: Annotated[tuple[LayerConfig, ...], Field(min_length=2, max_length=128)]

    @property
    def num_ws(self) -> int:
        """One w for the input and one for each layer."""
        return len(self.layers) + 1

    @model_validator(mode="after")
    def _sizes_fit(self) -> StyleGAN3Config:
        if (self.embed is None) != (self.c_dim == 0):
            raise ValueError(f"{self.c_dim} classes, embed is {self.embed}")
        first = self.z_dim
        if self.embed is not None:
            _equal("inputs of mapping.embed", self.embed.inputs, "classes", self.c_dim)
            first += self.embed.outputs
        outputs = [first, *(dense.outputs for dense in self.mapping)]
        for k, dense in enumerate(self.mapping):
            _equal(f"inputs of mapping.fc{k}", dense.inputs, "outputs before it", outputs[k])
        _equal("outputs of the mapping network", outputs[-1], "w_dim", self.w_dim)
        _equal("outputs of synthesis.input.affine", self.fourier.affine.outputs, "needed", 4)
        affines = {layer.name: layer.affine for layer in self.layers}
        if len(affines) != len(self.layers):
            raise ValueError("two layers have the same name")
        for name, affine in {"input": self.fourier.affine, **affines}.items():
            _equal(f"inputs of synthesis.{name}.affine", affine.inputs, "w_dim", self.w_dim)
        head = self.layers[0]
        _equal("channels of the input", self.fourier.channels, head.name, head.in_channels)
        _equal("size of the input", self.fourier.size, head.name, head.in_size)
        for a, b in itertools.pairwise(self.layers):
            _equal(f"channels after {a.name}", a.out_channels, b.name, b.in_channels)
            _equal(f"size after {a.name}", a.out_size, b.name, b.in_size)
        last = self.layers[-1]
        _equal(f"channels after {last.name}", last.out_channels, "the image", self.channels)
        _equal(f"size after {last.name}", last.out_size, "the image", (self.resolution,) * 2)
        return self


def _equal(what: str, found: object, other: str, expected: object) -> None:
    if found != expected:
        raise ValueError(f"{what}: {found}; {other}: {expected}")


def _length(taps: tuple[int, ...] | None, axis: int) -> int:
    """Taps along x (axis 0) or y (axis 1); a radial filter's shape is (y, x)."""
    return 1 if taps is None else taps[0] if len(taps) == 1 else taps[1 - axis]
