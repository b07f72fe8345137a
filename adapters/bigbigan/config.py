"""The configs of a small BigBiGAN: all that rebuilds its networks besides their tensors.

Guarantees that a config that exists describes a network that can be built: widths follow each
other, z can be cut into equal pieces, and sizes are possible.
"""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ..configs import Colours, NetworkConfig

Width = Annotated[int, Field(ge=1, le=1 << 20)]
BOTTOM = 4
"""Pixels a side of the first map."""
LARGEST = 4096
"""Pixels a side beyond which a file is taken to be damaged."""


class BigBiGANConfig(NetworkConfig):
    """All that is needed to rebuild a generator besides its tensors.

    Attributes:
        z_dim: length of z, which is cut into equal pieces: one for the first layer, and one for
            each block.
        classes: number of classes; 0 without.
        embedding_dim: length of a class's embedding; 0 without classes.
        widths: channels of the first map and after each block; every block doubles the map.
        attention: after how many blocks attention follows.
        colours: channels of the images.
    """

    KIND: ClassVar[str] = "a small BigBiGAN's generator"

    z_dim: Width
    classes: Annotated[int, Field(ge=0, le=1 << 20)]
    embedding_dim: Annotated[int, Field(ge=0, le=1 << 20)]
    widths: Annotated[tuple[Width, ...], Field(min_length=3, max_length=16)]
    attention: Annotated[int, Field(ge=1, le=15)]
    colours: Colours

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.z_dim % (self.blocks + 1):
            raise ValueError(f"z of {self.z_dim} cannot be cut for {self.blocks} blocks")
        if (self.classes == 0) != (self.embedding_dim == 0):
            raise ValueError(f"{self.classes} classes, embedding of {self.embedding_dim}")
        if self.attention >= self.blocks or self.widths[self.attention] < 8:
            raise ValueError(
                f"attention after block {self.attention} of {self.blocks}, at "
                f"{self.widths[self.attention]} channels"
            )
        if self.resolution > LARGEST:
            raise ValueError(f"images of {self.resolution} pixels")
        return self

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self.widths) - 1

    @property
    def piece(self) -> int:
        """Length of a piece of z."""
        return self.z_dim // (self.blocks + 1)

    @property
    def condition_dim(self) -> int:
        """Length of the condition of a block: a piece of z, then the class's embedding."""
        return self.piece + self.embedding_dim

    @property
    def resolution(self) -> int:
        """Height and width of the image."""
        return BOTTOM << self.blocks


class BigBiGANEncoderConfig(NetworkConfig):
    """All that is needed to rebuild an encoder besides its tensors.

    Attributes:
        z_dim: length of z.
        colours: channels of the images.
        width: channels of the first map.
        blocks: in their order: true, a reversible block; false, a halving of the map that doubles
            the channels.
        hidden: length of the features before the last layer.
    """

    KIND: ClassVar[str] = "a small BigBiGAN's encoder"

    z_dim: Width
    colours: Colours
    width: Annotated[int, Field(ge=2, le=1 << 16)]
    blocks: Annotated[tuple[bool, ...], Field(min_length=1, max_length=128)]
    hidden: Width

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.width % 2:
            raise ValueError(
                f"its blocks work on halves of the channels, and there are {self.width}"
            )
        for k, pair in enumerate(itertools.pairwise(self.blocks)):
            if pair == (False, False):
                raise ValueError(f"neither rev_blocks.{k} nor rev_blocks.{k + 1} has tensors")
        if self.features > 1 << 20:
            raise ValueError(f"{self.features} features")
        return self

    @property
    def features(self) -> int:
        """Channels of the last map."""
        return int(self.width << self.blocks.count(False))
