"""The config of a BigGAN: all that rebuilds it besides its tensors, from any file.

Guarantees that a config that exists describes a network that can be built: widths follow each
other, z can be cut as asked, and sizes are possible.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..configs import NetworkConfig, Record

Size = Annotated[int, Field(ge=1, le=1 << 20)]
Epsilon = Annotated[float, Field(gt=0, allow_inf_nan=False)]

MOST_WEIGHTS = 1 << 40
LARGEST = 4096
"""Pixels a side beyond which a file is taken to be damaged (published: 512 at most)."""

BOTTLENECK = 4
"""Channels of a BigGAN-deep block are divided by this inside it (Brock et al. 2019, figure 16)."""


class Block(Record):
    """One block: a residual one of either architecture, or self-attention.

    Attributes:
        channels_in, channels_out: of its maps; equal for attention.
        upsample: whether it doubles height and width.
        native: dotted path of the module in the code that wrote the file.
    """

    kind: Literal["residual", "bottleneck", "attention"]
    channels_in: Size
    channels_out: Size
    upsample: bool
    native: str


class BigGANConfig(NetworkConfig):
    """All that is needed to rebuild a network besides its tensors.

    Attributes:
        layout: of the file it comes from; decides the meaning of truncation.
        z_dim: length of z.
        classes: number of classes.
        embedding_dim: length of a class's shared embedding; 0 where each norm has its own.
        condition: input of the first layer and the blocks, with e the embedding:
            ``class``: z, and the class itself; ``embedding``: z, and e; ``chunks``: z is cut into
            equal pieces, the first for the first layer, block i gets (e, piece i); ``embedding+z``
            and ``z+embedding``: all get both, in that order.
        bottom: height and width of the first map.
        blocks: in the order of computation.
        rows: of batch statistics in each norm, for truncations 0 … 1; 1: no choice.
        epsilon, output_epsilon: of the blocks' norms, and of the last one.
        spectral_epsilon: that spectral norm was folded with, where there was a choice.
        gain: ``added`` to the normalised map by the evaluation of ajbrock's --cross_replica.
    """

    KIND: ClassVar[str] = "a BigGAN that fits together"

    layout: Literal["ajbrock", "huggingface"]
    z_dim: Size
    classes: Size
    embedding_dim: Annotated[int, Field(ge=0, le=1 << 20)]
    condition: Literal["class", "embedding", "chunks", "embedding+z", "z+embedding"]
    bottom: Size = 4
    blocks: Annotated[tuple[Block, ...], Field(min_length=1, max_length=256)]
    rows: Size = 1
    epsilon: Epsilon = 1e-5
    output_epsilon: Epsilon = 1e-5
    spectral_epsilon: Epsilon | None = None
    gain: Literal["multiplied", "added"] = "multiplied"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        channels = self.blocks[0].channels_in
        for block in self.blocks:
            name, before, after = block.native, block.channels_in, block.channels_out
            if before != channels:
                raise ValueError(f"{name} takes {before} channels, {channels} come from before it")
            if block.kind == "attention" and (before != after or before < 8 or block.upsample):
                raise ValueError(f"{name}: attention needs 8 channels or more, and keeps them")
            if block.kind == "bottleneck" and (before < BOTTLENECK or after > before):
                raise ValueError(f"{name} cannot lead from {before} to {after} channels")
            channels = after
        if not self.residual_blocks:
            raise ValueError("there is no residual block")
        if (self.condition == "class") != (self.embedding_dim == 0):
            raise ValueError(f"condition {self.condition!r}, embedding {self.embedding_dim}")
        if self.condition == "chunks" and self.z_dim % (self.residual_blocks + 1):
            raise ValueError(f"z of {self.z_dim} cannot be cut for {self.residual_blocks} blocks")
        if self.first_dim * self.blocks[0].channels_in * self.bottom**2 > MOST_WEIGHTS:
            raise ValueError(f"a first map of {self.bottom} pixels is absurdly wide")
        if self.resolution > LARGEST:
            raise ValueError(f"images of {self.resolution} pixels")
        return self

    @property
    def residual_blocks(self) -> int:
        """Number of blocks that are not attention."""
        return sum(block.kind != "attention" for block in self.blocks)

    @property
    def first_dim(self) -> int:
        """Length of the first layer's input."""
        if self.condition == "chunks":
            return self.z_dim // (self.residual_blocks + 1)
        joint = self.condition in ("embedding+z", "z+embedding")
        return self.z_dim + self.embedding_dim if joint else self.z_dim

    @property
    def condition_dim(self) -> int:
        """Length of the condition of a block; 0 if that is the class itself."""
        if self.condition == "class":
            return 0
        of_z = {"embedding": 0, "chunks": self.first_dim}.get(self.condition, self.z_dim)
        return self.embedding_dim + of_z

    @property
    def resolution(self) -> int:
        """Height and width of the image."""
        return int(self.bottom << sum(block.upsample for block in self.blocks))
