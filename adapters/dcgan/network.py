"""The network of a plan: a stack of linear layers and (transposed) convolutions.

A layer is a linear map, a convolution or a transposed one, perhaps of an enlarged map; then, in
this order unless ``first`` reverses it, a batch norm with the stored statistics and an activation.
Layers are per sample: batch statistics, as training scripts sample with, are not offered, because
then an image would depend on the others in its batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..class_tables import look_up, untrained_embedding
from .plan import LayerPlan, Plan


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
    """The network of a plan; parameters are ``layers.K.{main,norm,act}.*`` and ``table.weight``."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        count = len(plan.layers)
        self.condition = plan.condition
        if self.condition is not None and self.condition.width:
            self.table = untrained_embedding(self.condition.classes, self.condition.width)
        self.layers = nn.ModuleList(
            Layer(layer, plan, k == count - 1) for k, layer in enumerate(plan.layers)
        )

    def joined(self, z: Tensor, c: Tensor | None) -> Tensor:
        """What enters the first layer.

        Args:
            z: (N, D).
            c: the class, (N,) int64, soft (N, classes), or joined attributes; None without classes.
        """
        if self.condition is None or c is None:
            return z
        if self.condition.kind == "attributes":
            return torch.cat((z, c), 1)
        row = look_up(self.table, c)
        return z * row if self.condition.kind == "product" else torch.cat((row, z), 1)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """(N, D) latents, and the class of conditional ones, to (N, 3, R, R) images."""
        x = self.joined(z, c)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            x = layer.finish(layer.linear(x))
        return x
