"""The config of a residual generator: all that rebuilds it besides its tensors, from any file.

Guarantees that a config that exists describes a network that can be built: widths follow each
other, z can be cut as asked, and sizes are possible.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..configs import Colours, NetworkConfig, Record

Size = Annotated[int, Field(ge=1, le=1 << 20)]
Activation = Literal["relu", "leaky", "elu", "gelu"]
Final = Literal["tanh", "sigmoid", "none"]
Upsampling = Literal["nearest", "bilinear"]

LARGEST = 4096
"""Pixels a side beyond which a file is taken to be damaged."""
_MOST_VALUES = 1 << 40
_LEAST_ATTENTION = 8


class Block(Record):
    """One block: two 3x3 convolutions with a shortcut, or self-attention.

    Attributes:
        channels_in, channels_out: of its maps; equal for attention.
        channels_inside: between the two convolutions.
        upsample: whether it doubles height and width, before the first convolution.
        shortcut: whether its input passes a 1x1 convolution before it is added.
        biased: whether the first convolution has a bias.
        native: dotted path of the module in the code that wrote the file.
    """

    kind: Literal["residual", "attention"] = "residual"
    channels_in: Size
    channels_inside: Size
    channels_out: Size
    upsample: bool = True
    shortcut: bool = True
    biased: bool = True
    native: str


class ResNetGANConfig(NetworkConfig):
    """All that is needed to rebuild a network besides its tensors.

    Attributes:
        layout: of the file it comes from.
        z_dim: length of z.
        classes: number of classes; 0: unconditional.
        embedding_dim: length of a class's shared embedding; 0 where there is none.
        condition: input of the blocks' norms: ``none``, each has its own scale and offset;
            ``class``, a row of the norm's own table; ``chunks``, z is cut into equal pieces, the
            first for the first layer, block i gets piece i, after the class's embedding if any.
        centre: 1 where the scale that a condition gives is added to 1, else 0.
        bottom: height and width of the first map.
        blocks: in the order of computation.
        colours: channels of the image.
        upsampling: how the blocks enlarge their maps.
        epsilon: of the batch norms.
        activation: between the layers; ``leaky`` with slope 0.1.
        final: after the last layer; ``sigmoid`` is rescaled to [-1, 1].
    """

    KIND: ClassVar[str] = "a residual generator that fits together"

    layout: Literal["mimicry", "StudioGAN", "WGAN-GP ResNet"]
    z_dim: Size
    classes: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    embedding_dim: Annotated[int, Field(ge=0, le=1 << 20)] = 0
    condition: Literal["none", "class", "chunks"] = "none"
    centre: Literal[0, 1] = 0
    bottom: Size
    blocks: Annotated[tuple[Block, ...], Field(min_length=1, max_length=256)]
    colours: Colours = 3
    upsampling: Upsampling = "nearest"
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5
    activation: Activation = "relu"
    final: Final = "tanh"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        channels, size = self.blocks[0].channels_in, self.bottom
        for block in self.blocks:
            name, before, after = block.native, block.channels_in, block.channels_out
            if before != channels:
                raise ValueError(f"{name} takes {before} channels, {channels} come from before it")
            if block.kind == "attention" and (
                before != after or before < _LEAST_ATTENTION or block.upsample or size < 2
            ):
                raise ValueError(f"{name}: attention needs 8 channels or more, and keeps them")
            if (
                block.kind == "residual"
                and not block.shortcut
                and (before != after or block.upsample)
            ):
                raise ValueError(f"{name} has no shortcut convolution and changes its map")
            channels, size = after, size << block.upsample
            if size > LARGEST:
                raise ValueError(f"images of {size} pixels and more")
        if not self.residual_blocks:
            raise ValueError("there is no residual block")
        if (self.condition == "none") == bool(self.classes or self.condition == "chunks"):
            raise ValueError(f"condition {self.condition!r} with {self.classes} classes")
        if bool(self.embedding_dim) != (self.condition == "chunks" and self.classes > 0):
            raise ValueError(f"condition {self.condition!r}, embedding {self.embedding_dim}")
        if self.condition == "chunks" and self.z_dim % (self.residual_blocks + 1):
            raise ValueError(f"z of {self.z_dim} cannot be cut for {self.residual_blocks} blocks")
        if self.first_dim * self.blocks[0].channels_in * self.bottom**2 > _MOST_VALUES:
            raise ValueError(f"a first map of {self.bottom} pixels is absurdly wide")
        return self

    @property
    def residual_blocks(self) -> int:
        """Number of blocks that are not attention."""
        return sum(block.kind == "residual" for block in self.blocks)

    @property
    def first_dim(self) -> int:
        """Length of the first layer's input."""
        if self.condition == "chunks":
            return self.z_dim // (self.residual_blocks + 1)
        return self.z_dim

    @property
    def condition_dim(self) -> int:
        """Length of the vector that the norms of a block take; 0 if that is a class, or nothing."""
        return self.embedding_dim + self.first_dim if self.condition == "chunks" else 0

    @property
    def resolution(self) -> int:
        """Height and width of the image."""
        return int(self.bottom << sum(block.upsample for block in self.blocks))
