"""The other generator of a CycleGAN as the encoder of one: G_B takes images of G_A back.

Guarantees the pictures of that generator, by the same reader and options; a generator is refused as
its own encoder, for both files look alike. No file says which two were trained together.

Source: Zhu et al. 2017, section 3: F(G(x)) ≈ x, the cycle that both are trained to close.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from seeingkit.contracts import (
    EncoderInfo,
    Generator,
    LatentSpec,
    ModelEncoder,
    OwnEncoder,
    Posterior,
)
from seeingkit.errors import StateMismatchError
from seeingkit.weights import Network

from ..configs import resolved_options
from .adapter import Translator

_SIDES = {"A": "B", "B": "A"}
_FILE = re.compile(r"(?P<epoch>.*_net_G_)(?P<side>[AB])(?P<suffix>\.\w+)")
_PLACE = re.compile(r"(?P<stem>.*[^a-zA-Z]|)(?P<name>(?:net_?)?G)_?(?P<side>[AB])")


class TranslationEncoder(ModelEncoder):
    """A translator of the other direction: the image that was translated, estimated.

    Args:
        translator: of the other direction.
        options: of the encoder, for its description.
    """

    def __init__(self, translator: Translator, options: Any) -> None:
        self.translator = translator
        config, theirs = translator.config or {}, translator.info
        channels, size = config["colours_out"], theirs.resolution
        self.info = EncoderInfo(
            family=theirs.family,
            generators=(theirs.family,),
            weights_sha256=theirs.weights_sha256,
            licence=theirs.licence,
            options=resolved_options(options, "draw", "seed", "size"),
            parameters=theirs.parameters,
            assumptions=theirs.assumptions,
            size=size,
            channels=config["colours_in"],
            latent=LatentSpec(name="image", shape=(channels, size, size), distribution="image"),
            draw=options.draw,
            seed=options.seed,
        )

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.translator.device

    def to(self, device: str | torch.device) -> Self:
        """Move the network; returns itself."""
        self.translator.to(device)
        return self

    def posterior(self, inputs: Tensor) -> Posterior:
        """See ``ModelEncoder.posterior``: values, of as many channels as the latent has."""
        found = self.translator({"image": inputs})
        return Posterior(found[:, : self.info.latent.shape[0]])

    def belongs_to(self, generator: Generator) -> bool | None:
        """False for other colours; None otherwise, for no file says it.

        Raises:
            StateMismatchError: it is the generator itself.
        """
        module = getattr(generator, "module", None)
        if isinstance(module, nn.Module) and _equal(module, self.translator.module):
            family = generator.info.family
            raise StateMismatchError(
                f"the encoder is the {family} generator itself; give the other one, which takes "
                "its images back (net_G_B for net_G_A)"
            )
        return None if generator.info.channels == self.info.channels else False


def other_generator(
    path: Path, where: str, networks: Sequence[Network], family: str
) -> OwnEncoder | None:
    """The other generator in the same file, or beside it under the name that the training gives it.

    Args:
        path: of the file.
        where: place of the generator in it; empty if it is the whole.
        networks: all of the family in the file.
        family: registered name of the encoder.

    Returns:
        None if there is none whose name says so.
    """
    inside = _PLACE.fullmatch(where)
    if inside is not None:
        wanted = where[: inside.start("side")] + _SIDES[inside["side"]]
        if any(network.where == wanted for network in networks):
            return OwnEncoder(family, path, {"key": wanted})
    match = None if where else _FILE.fullmatch(path.name)
    if match is None:
        return None
    other = path.with_name(match["epoch"] + _SIDES[match["side"]] + match["suffix"])
    return OwnEncoder(family, other) if other.is_file() else None


def _equal(first: nn.Module, second: nn.Module) -> bool:
    """Whether two networks have the same tensors."""
    ours, theirs = (cast("dict[str, Tensor]", m.state_dict()) for m in (first, second))
    return ours.keys() == theirs.keys() and all(
        tensor.shape == theirs[name].shape and torch.equal(tensor.cpu(), theirs[name].cpu())
        for name, tensor in ours.items()
    )
