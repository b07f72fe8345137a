"""The config of a StyleGAN2 generator: all that rebuilds it besides its tensors.

Guarantees that a config that exists can be built: sizes fit each other, names are known.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..configs import Colours, NetworkConfig

Activation = Literal[
    "linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"
]


Tap = Annotated[float, Field(ge=-1e6, le=1e6)]


ORDER = ("conv0", "conv1", "torgb")
"""Layers of a resolution that a style steers, in order; at 4x4 without the first."""


class StyleGAN2Config(NetworkConfig):
    """All that is needed to rebuild a network besides its tensors.

    Attributes:
        z_dim: length of the latent z.
        w_dim: length of the intermediate latent w.
        c_dim: number of classes; 0 = unconditional.
        label_style: ``embed`` (ADA): a dense layer, normalised by itself, then joined to z;
            ``concat`` (StyleGAN2 in TensorFlow): a linear map, joined to z, normalised together.
        embed_features: length of an embedded label; None = ``w_dim`` (``z_dim`` if ``concat``).
        mapping_widths: outputs of the mapping network's layers; the last equals ``w_dim``.
        lr_multiplier: factor on weights and biases of the mapping network.
        mapping_activation: of the mapping network.
        normalise_latents: whether z (and the label) is divided by its root mean square.
        resolution: side of the image, a power of two from 4.
        img_channels: 3 (RGB) or 1 (grey).
        channels: width of the layers at each resolution 4, 8, …, ``resolution``.
        constant_channels: width of the learned constant; None = that of the layer after it.
        architecture: ``skip`` (RGB of every resolution is summed), ``resnet``, or ``orig``.
        activation: of the synthesis network.
        conv_clamp: outputs of convolutions are clamped to ± this (times the residual gain).
        use_noise: whether layers add noise at all.
        stored_noise: whether the file holds fixed noise maps.
        stored_average: whether the file holds the average w.
        scale_weights: whether kernels are scaled by 1/sqrt(fan-in) before demodulation (TensorFlow,
            rosinality) or not (NVIDIA's PyTorch); they differ by the place of epsilon only.
        resample_filter: taps of the up-sampling filter, normalised when used.
        implied_noise: the noise of the code that the layout belongs to.
    """

    KIND: ClassVar[str] = "a StyleGAN2 generator"

    z_dim: int = Field(512, ge=1, le=65536)
    w_dim: int = Field(512, ge=1, le=65536)
    c_dim: int = Field(0, ge=0, le=1_000_000)
    label_style: Literal["embed", "concat"] = "embed"
    embed_features: int | None = Field(None, ge=1, le=65536)
    mapping_widths: Annotated[tuple[int, ...], Field(max_length=64)] = (512,) * 8
    lr_multiplier: float = Field(0.01, gt=0, allow_inf_nan=False)
    mapping_activation: Activation = "lrelu"
    normalise_latents: bool = True
    resolution: int = Field(256, ge=4, le=8192)
    img_channels: Colours = 3
    channels: Annotated[dict[int, int], Field(max_length=16)]
    constant_channels: int | None = Field(None, ge=1, le=65536)
    architecture: Literal["skip", "resnet", "orig"] = "skip"
    activation: Activation = "lrelu"
    conv_clamp: float | None = Field(None, gt=0, allow_inf_nan=False)
    use_noise: bool = True
    stored_noise: bool = True
    stored_average: bool = True
    scale_weights: bool = False
    resample_filter: Annotated[tuple[Tap, ...], Field(max_length=64)] = (1.0, 3.0, 3.0, 1.0)
    implied_noise: Literal["const", "none", "rewriting"] | None = None

    @model_validator(mode="after")
    def _sizes_fit(self) -> StyleGAN2Config:
        if self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution is {self.resolution}, not a power of two")
        if sorted(self.channels) != list(self.resolutions):
            raise ValueError(
                f"channels are given at {sorted(self.channels)}, expected {list(self.resolutions)}"
            )
        widths = (*self.mapping_widths, *self.channels.values())
        if not self.mapping_widths or not all(1 <= width <= 65536 for width in widths):
            raise ValueError("every layer needs a width from 1 to 65536")
        if self.mapping_widths[-1] != self.w_dim:
            raise ValueError(f"the last mapping layer gives {self.mapping_widths[-1]}, not w_dim")
        if not 1 <= len(self.resample_filter) <= 64 or abs(sum(self.resample_filter)) < 1e-12:
            raise ValueError(f"not a resampling filter: {list(self.resample_filter)}")
        return self

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, …, ``resolution``."""
        return tuple(4 << i for i in range(self.resolution.bit_length() - 2))

    @property
    def num_ws(self) -> int:
        """Vectors w that the layers take: one a convolution, and one for the last ToRGB."""
        return 2 * len(self.resolutions)

    @property
    def layers(self) -> tuple[str, ...]:
        """Convolutions that take noise, in order: ``r4.conv1``, ``r8.conv0``, ``r8.conv1``, …"""
        names = [f"r{r}.conv{i}" for r in self.resolutions for i in (0, 1)]
        return tuple(names[1:])

    @property
    def styles(self) -> dict[str, int]:
        """Channels of the style of each layer that has one, in order: ``r4.conv1``, ``r4.torgb``,
        ``r8.conv0``, …; only the architecture ``skip`` has a ToRGB at each resolution."""
        found, before = {}, self.constant_channels or self.channels[4]
        for r in self.resolutions:
            draws = self.architecture == "skip" or r == self.resolution
            for layer in ORDER[int(r == 4) : 3 if draws else 2]:
                found[f"r{r}.{layer}"] = before
                before = self.channels[r]
        return found

    def side(self, layer: str) -> int:
        """Side of a layer's output: 8 for ``r8.conv0``."""
        return int(layer.partition(".")[0].removeprefix("r"))
