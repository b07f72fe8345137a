"""The form common to all layouts of StyleGAN files: a config, tensors by our network's names.

Guarantees that a config's odd values are refused by name, whichever layout they come from.

Layouts: ``tensorflow``, ``rosinality``, and our own safetensors,
whose tensors are the network's already and whose metadata has the config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from .network import StyleGAN1Config


@dataclass(frozen=True)
class Contents:
    """The contents of a file: its network's config, and tensors under that network's names.

    Attributes:
        layout: name of the layout for people.
        config: of the network.
        tensors: by the network's names; made when asked for.
        mean: whether ``mean_style`` is the file's own and not still to be estimated.
        where: place of the network in a file of several.
    """

    layout: str
    config: StyleGAN1Config
    tensors: Mapping[str, Tensor]
    mean: bool = True
    where: str = ""
