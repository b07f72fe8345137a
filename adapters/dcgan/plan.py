"""The plan of a stack of linear layers and (transposed) convolutions.

Guarantees that a plan is checked before anything is built from it: shapes follow from layer to
layer, every map is square and not empty, and the last one is an image of one or three channels. A
plan is all that a network is made of apart from its tensors, and goes through JSON unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

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


class Condition(Record):
    """How the class meets z before the first layer.

    Attributes:
        kind: ``product``: z times the class's row of a table; ``before``: the row stands before z;
            ``attributes``: one-hot vectors of the values of all attributes stand after z.
        sizes: numbers of values of the attributes; else one number, the classes.
        width: columns of the table; 0 without one.
        name: module path of the table in the file it came from.
        names: of the classes, where the file has them.
    """

    kind: Literal["product", "before", "attributes"]
    sizes: tuple[Annotated[int, Field(ge=1, le=_MOST_FEATURES)], ...] = Field(min_length=1)
    width: int = Field(0, ge=0, le=_MOST_FEATURES)
    name: str = ""
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes: all combinations of values."""
        return math.prod(self.sizes)

    @property
    def added(self) -> int:
        """How many of the numbers that enter the first layer are not of z."""
        return {"product": 0, "before": self.width, "attributes": sum(self.sizes)}[self.kind]


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
        notes: what else was taken to be so, in words.
        condition: how the class meets z; None: the network is unconditional.
    """

    layers: tuple[LayerPlan, ...] = Field(min_length=1, max_length=_MOST_LAYERS)
    activation: Literal["relu", "leaky"] = "relu"
    slope: float = Field(SLOPE, ge=0, lt=1)
    final: Final = "tanh"
    eps: float = Field(EPS, gt=0, allow_inf_nan=False)
    shape: tuple[Side, Side, Side] | None = None
    assumed: tuple[Assumed, ...] = ()
    layout: str | None = None
    notes: tuple[str, ...] = ()
    condition: Condition | None = None

    @model_validator(mode="after")
    def _fits(self) -> Plan:
        self._check_condition()
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

    def _check_condition(self) -> None:
        condition, inputs = self.condition, self.layers[0].inputs
        if condition is None:
            return
        if condition.added >= inputs or (condition.kind == "product" and condition.width != inputs):
            raise ValueError(
                f"{self.layers[0].name} takes {inputs} numbers, which z and classes "
                f"({condition.kind}, {condition.width or condition.added}) do not make"
            )
        if condition.names and len(condition.names) != condition.classes:
            raise ValueError(f"{len(condition.names)} names of {condition.classes} classes")

    @property
    def latent(self) -> int:
        """Numbers in z."""
        return self.layers[0].inputs - (self.condition.added if self.condition else 0)

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
        return (*found, *self.notes, "z is drawn from N(0, 1)")

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
