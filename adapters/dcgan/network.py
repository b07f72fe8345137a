"""Stacks of linear layers and (transposed) convolutions: their plan, and the network of a plan.

Guarantees that a plan is checked before anything is built from it: shapes follow from layer to
layer, every map is square and not empty, and the last one is an image of one or three channels. A
plan is all that a network is made of apart from its tensors, and goes through JSON unchanged.

A layer is a linear map, a convolution or a transposed one, perhaps of an enlarged map; then, in
this order unless ``first`` reverses it, a batch norm with the stored statistics and an activation.
Layers are per sample: batch statistics, as training scripts sample with, are not offered, because
then an image would depend on the others in its batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..configs import Record

Kind = Literal["linear", "up", "conv"]
Final = Literal["tanh", "sigmoid", "none"]
Assumed = Literal["activation", "final", "eps", "geometry", "between", "reshape"]

SLOPE = 0.2  # of leaky ReLU, as in Radford et al. 2016, section 4
EPS = 1e-5  # of batch norms, torch's default
_MOST_FEATURES = 1 << 26  # 4096x4096 pixels of three colours
_MOST_LAYERS = 400
_LARGEST = 4096  # pixels: of maps, kernels, strides and paddings
Side = Annotated[int, Field(ge=1, le=_LARGEST)]


class LayerPlan(Record):
    """One layer.

    Attributes:
        name: its module path in the file it came from, for people and as a boundary's alias.
        kind: ``linear``, ``up`` (transposed convolution) or ``conv``.
        inputs, outputs: features or channels.
        kernel, stride, padding, output_padding: of a convolution, the same along both axes.
        bias: whether it adds one.
        norm: channels of its batch norm, 0 without.
        affine: whether the batch norm scales and shifts.
        active: whether an activation follows.
        slopes: numbers of a PReLU (1 or one a channel); 0 for the plan's own activation.
        first: whether norm or activation comes first.
        native: module path of the activation in the file, where the numbering shows it.
        side: height and width that the output of a linear layer is reshaped to; 0: not at all.
        upsample: factor by which its input is enlarged first, by repeating the nearest pixel.
        eps: of its own norm, where that differs from the plan's.
    """

    name: str
    kind: Kind
    inputs: int = Field(ge=1, le=_MOST_FEATURES)
    outputs: int = Field(ge=1, le=_MOST_FEATURES)
    kernel: int = Field(1, ge=1, le=_LARGEST)
    stride: int = Field(1, ge=1, le=_LARGEST)
    padding: int = Field(0, ge=0, le=_LARGEST)
    output_padding: int = Field(0, ge=0, le=_LARGEST)
    bias: bool = False
    norm: int = Field(0, ge=0, le=_MOST_FEATURES)
    affine: bool = True
    active: bool = True
    slopes: int = Field(0, ge=0, le=_MOST_FEATURES)
    first: Literal["norm", "activation"] = "norm"
    native: str | None = None
    side: int = Field(0, ge=0, le=_LARGEST)
    upsample: int = Field(1, ge=1, le=_LARGEST)
    eps: float | None = Field(None, gt=0, allow_inf_nan=False)

    @property
    def channels(self) -> int:
        """Channels of its output after reshaping."""
        return self.outputs // self.side**2 if self.side else self.outputs

    def size(self, before: int) -> int:
        """Height and width of its output, given those of its input (0: a vector)."""
        if self.kind == "linear":
            return self.side
        before = (before or 1) * self.upsample
        if self.kind == "up":
            grown = (before - 1) * self.stride + self.kernel + self.output_padding
            return grown - 2 * self.padding
        return (before + 2 * self.padding - self.kernel) // self.stride + 1


class Plan(Record):
    """A whole network.

    Attributes:
        layers: first to last.
        activation: between layers; ``leaky`` with ``slope`` below zero.
        final: after the last; ``sigmoid`` is rescaled to [-1, 1].
        eps: of the batch norms.
        shape: of the image (C, H, W) or (H, W, C) where the last layer is linear.
        assumed: the settings that no file and nobody gave (``assumptions``).
        layout: the published network whose settings were taken, in words.
    """

    layers: tuple[LayerPlan, ...] = Field(min_length=1, max_length=_MOST_LAYERS)
    activation: Literal["relu", "leaky"] = "relu"
    slope: float = Field(SLOPE, ge=0, lt=1)
    final: Final = "tanh"
    eps: float = Field(EPS, gt=0, allow_inf_nan=False)
    shape: tuple[Side, Side, Side] | None = None
    assumed: tuple[Assumed, ...] = ()
    layout: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Plan:
        size = 0
        before: LayerPlan | None = None
        for layer in self.layers:
            if before and layer.inputs != before.channels:
                raise ValueError(
                    f"{layer.name} takes {layer.inputs} channels, {before.name} gives "
                    f"{before.channels}"
                )
            if layer.kind == "linear" and size:
                raise ValueError(f"{layer.name} is linear, but {before and before.name} is not")
            if layer.kind != "linear" and before and not size:
                raise ValueError(f"{layer.name} needs a map, {before.name} gives a vector")
            if layer.side and layer.outputs % layer.side**2:
                raise ValueError(f"{layer.name}: {layer.outputs} is no number of square maps")
            if layer.kind == "up" and layer.output_padding >= layer.stride:
                raise ValueError(
                    f"{layer.name}: output padding {layer.output_padding} must be less than its "
                    f"stride {layer.stride}"
                )
            if layer.norm not in (0, layer.outputs, layer.channels):
                raise ValueError(f"{layer.name}: its norm has {layer.norm} channels")
            if layer.slopes not in (0, 1, layer.channels):
                raise ValueError(f"{layer.name}: its PReLU has {layer.slopes} slopes")
            size, before = layer.size(size), layer
            if layer.kind != "linear" and not 1 <= size <= _LARGEST:
                raise ValueError(f"{layer.name}: its output would be {size} pixels wide")
        assert before is not None
        if self.shape is not None:
            c, h, w = self.image_shape
            if before.kind != "linear" or c not in (1, 3) or h != w or c * h * w != before.outputs:
                raise ValueError(
                    f"{before.outputs} numbers make no square image of shape {self.shape} with "
                    "1 or 3 colours"
                )
        elif before.kind == "linear":
            raise ValueError("the last layer is linear and no image shape is given")
        elif before.channels not in (1, 3):
            raise ValueError(f"images of {before.channels} channels, expected 1 or 3")
        return self

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image before one channel is made three."""
        if self.shape is None:
            return self.layers[-1].channels, self.sizes[-1], self.sizes[-1]
        return self.shape if self.shape[0] in (1, 3) else (self.shape[2], *self.shape[:2])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Height and width after each layer; 0 for vectors."""
        found, size = [], 0
        for layer in self.layers:
            size = layer.size(size)
            found.append(size)
        return tuple(found)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was assumed, one phrase each, with the option that says otherwise."""
        maps = [layer for layer in self.layers if layer.kind != "linear"]
        slope = f" {self.slope:g}" if self.activation == "leaky" else ""
        phrases: dict[Assumed, str] = {
            "activation": f"activation={self.activation}{slope} between the layers",
            "final": f"final={self.final} and nothing else after the last",
            "eps": f"eps={self.eps:g} in the batch norms",
            "geometry": f"strides={_listed(x.stride for x in maps)} and "
            f"paddings={_listed(x.padding for x in maps)} of zeros: {self._growth}",
            "between": f"nothing {self._else}without tensors stands between the layers but one "
            "activation each",
            "reshape": "features become maps channels first",
        }
        found = [phrases[what] for what in self.assumed]
        if self.layout:
            found.append(f"by its keys and sizes it is {self.layout}: {self._said}")
        return (*found, "z is drawn from N(0, 1)")

    @property
    def _else(self) -> str:
        return "else " if any(layer.upsample > 1 for layer in self.layers) else ""

    @property
    def _growth(self) -> str:
        if self._else:
            return "an enlarged map repeats its nearest pixels, and a convolution keeps it"
        return "a transposed 4x4 or 2x2 kernel doubles the map"

    @property
    def _said(self) -> str:
        slope = f" {self.slope:g}" if self.activation == "leaky" else ""
        return f"activation={self.activation}{slope}, eps={self.eps:g}, final={self.final}"


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


class Normalisation(nn.Module):
    """Batch norm with stored statistics, for vectors and maps."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, affine: bool, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class Layer(nn.Module):
    """One layer of a plan, in two steps: the linear one, then norm and activation."""

    def __init__(self, plan: LayerPlan, whole: Plan, last: bool) -> None:
        super().__init__()
        self.plan, self.whole, self.last = plan, whole, last
        sizes = (plan.inputs, plan.outputs)
        if plan.kind == "linear":
            self.main: nn.Module = nn.Linear(*sizes, bias=plan.bias)
        elif plan.kind == "up":
            self.main = nn.ConvTranspose2d(
                *sizes, plan.kernel, plan.stride, plan.padding, plan.output_padding, bias=plan.bias
            )
        else:
            self.main = nn.Conv2d(*sizes, plan.kernel, plan.stride, plan.padding, bias=plan.bias)
        eps = plan.eps or whole.eps
        self.norm = Normalisation(plan.norm, plan.affine, eps) if plan.norm else None
        self.act = nn.PReLU(plan.slopes) if plan.slopes else None

    def linear(self, x: Tensor) -> Tensor:
        """(N, C) or (N, C, H, W) to the same after the linear map or convolution alone."""
        if self.plan.kind != "linear" and x.ndim == 2:
            x = x[:, :, None, None]
        if self.plan.upsample > 1:
            x = F.interpolate(x, scale_factor=self.plan.upsample, mode="nearest")
        given: Tensor = self.main(x)
        return given

    def finish(self, x: Tensor) -> Tensor:
        """Norm, activation and reshaping; for the last layer, the RGB image."""
        channel_norm = self.plan.side and self.plan.norm not in (0, self.plan.outputs)
        if channel_norm or (self.plan.side and self.plan.slopes > 1):
            x = self._reshaped(x)
        if self.plan.first == "activation":
            x = self._normed(self._activated(x))
        else:
            x = self._activated(self._normed(x))
        x = self._reshaped(x)
        return self._image(x) if self.last else x

    def _reshaped(self, x: Tensor) -> Tensor:
        side = self.plan.side
        return x.reshape(len(x), -1, side, side) if side and x.ndim == 2 else x

    def _normed(self, x: Tensor) -> Tensor:
        if self.norm is None:
            return x
        if self.plan.norm == self.plan.outputs and x.ndim == 4 and self.plan.side:
            flat: Tensor = self.norm(x.flatten(1))
            return flat.reshape(x.shape)
        normed: Tensor = self.norm(x)
        return normed

    def _activated(self, x: Tensor) -> Tensor:
        if self.act is not None:
            activated: Tensor = self.act(x)
            return activated
        if self.last or not self.plan.active:
            return x
        if self.whole.activation == "leaky":
            return F.leaky_relu(x, self.whole.slope)
        return F.relu(x)

    def _image(self, x: Tensor) -> Tensor:
        if self.whole.final == "tanh":
            x = torch.tanh(x)
        elif self.whole.final == "sigmoid":
            x = 2 * torch.sigmoid(x) - 1
        if self.whole.shape is not None:
            x = x.reshape(len(x), *self.whole.shape)
            if self.whole.shape[0] not in (1, 3):  # colours last
                x = x.permute(0, 3, 1, 2).contiguous()
        return x.expand(-1, 3, -1, -1).contiguous() if x.shape[1] == 1 else x


class Stack(nn.Module):
    """The network of a plan; parameters are ``layers.K.{main,norm,act}.*``."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        count = len(plan.layers)
        self.layers = nn.ModuleList(
            Layer(layer, plan, k == count - 1) for k, layer in enumerate(plan.layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) latents to (N, 3, R, R) images."""
        x = z
        for layer in self.layers:
            assert isinstance(layer, Layer)
            x = layer.finish(layer.linear(x))
        return x
