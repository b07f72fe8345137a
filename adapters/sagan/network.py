"""The network of SAGAN as heykeetae's code has it, and its config.

Guarantees that a config that exists describes a network that can be built.

After Zhang et al., ICML 2019, with transposed convolutions in place of residual blocks.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..configs import Colours, NetworkConfig

LAYERS = 4
ATTENTIONS = {3: "attn1", 4: "attn2"}
"""After which layer each attention stands."""
Size = Annotated[int, Field(ge=1, le=1 << 20)]


class SAGANConfig(NetworkConfig):
    """All that is needed to rebuild a network besides its tensors.

    Attributes:
        widths: length of z, then channels after each layer, then colours.
        keys: channels of the queries and keys of each attention.
        epsilon: of the batch norms.
        final: after the last layer; ``sigmoid`` is rescaled to [-1, 1].
    """

    KIND: ClassVar[str] = "a SAGAN generator"

    widths: Annotated[tuple[Size, ...], Field(min_length=LAYERS + 1, max_length=LAYERS + 1)]
    keys: Annotated[tuple[Size, ...], Field(min_length=2, max_length=2)]
    colours: Colours = 3
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5
    final: Literal["tanh", "sigmoid", "none"] = "tanh"

    @property
    def resolution(self) -> int:
        """Height and width of the image."""
        return 4 << LAYERS


class FullAttention(nn.Module):
    """Self-attention of every place to every place, whose values keep their channels."""

    def __init__(self, channels: int, keys: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, keys, 1)
        self.key = nn.Conv2d(channels, keys, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        query, key, value = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        seen = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return torch.addcmul(x, self.gamma, seen)


class SAGANNetwork(nn.Module):
    """The whole generator: four transposed convolutions with norms, two attentions, a last one."""

    def __init__(self, config: SAGANConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(widths[k], widths[k + 1], 4, *((2, 1) if k else (1, 0)))
            for k in range(LAYERS)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width, eps=config.epsilon) for width in widths[1:]
        )
        self.attentions = nn.ModuleList(
            FullAttention(widths[k], keys) for k, keys in zip(ATTENTIONS, config.keys, strict=True)
        )
        self.last = nn.ConvTranspose2d(widths[-1], config.colours, 4, 2, 1)
