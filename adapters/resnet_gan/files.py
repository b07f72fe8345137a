"""Residual generators in weights files: the choice of the layout, and config and tensors of a file.

Guarantees that settings no file holds come from the options, else from the layout's own code, and
are then among the config's ``assumed``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.weights import (
    Checkpoint,
    Layout,
    Network,
    check_finite,
    find_network,
    outline,
    portable_config,
    state_dict,
)

from ..catalog.resnet_gan import ResNetGANOptions
from ..spectral import unfolded
from . import mimicry, studiogan, wgan_gp
from .config import ResNetGANConfig
from .parsing import Naming, ParsedFile, parsed

FAMILY = "resnet-gan"
LAYOUTS: tuple[Layout, ...] = (mimicry.LAYOUT, studiogan.LAYOUT, wgan_gp.LAYOUT)
SETTINGS = ("activation", "final", "eps", "upsampling")
"""Options that stand for a field of the config; ``eps`` for ``epsilon``."""

Structure = Callable[[Path, Mapping[str, Tensor], ResNetGANOptions], dict[str, Any]]


class _Reader(NamedTuple):
    """How one layout is read."""

    layout: Layout
    structure: Structure
    naming: Callable[[Mapping[str, Tensor]], Naming]


_READERS = (
    _Reader(mimicry.LAYOUT, mimicry.structure, mimicry.naming),
    _Reader(studiogan.LAYOUT, studiogan.structure, lambda _: studiogan.NAMING),
    _Reader(
        wgan_gp.LAYOUT,
        lambda path, found, _: wgan_gp.structure(path, found),
        lambda _: wgan_gp.NAMING,
    ),
)


def read(checkpoint: Checkpoint, options: ResNetGANOptions) -> tuple[ParsedFile, str]:
    """The contents of a file, and the place of the network in it.

    Raises:
        StateMismatchError: a key is missing, unexpected, mis-shaped, not finite, or contradicts
            another one (names it).
        UsageError: an option that does not fit this file, or one that it needs.
    """
    values = portable_config(checkpoint, FAMILY)
    if values is not None:
        _check_settled(checkpoint.path, options)
        config = with_options(ResNetGANConfig.validated(checkpoint.path, values), options)
        return ParsedFile(config, state_dict(checkpoint, checkpoint.content), {}), ""
    for reader in _READERS:
        found = find_network(checkpoint, reader.layout.marks, "residual generator", options.key)
        if found is not None:
            return _parsed(checkpoint, found, reader, options), found.where
    raise StateMismatchError(
        f"{checkpoint.path}: not a residual generator: its keys are neither those of mimicry, "
        f"StudioGAN nor WGAN-GP's ResNet; it holds {outline(checkpoint.content)}"
    )


def _parsed(
    checkpoint: Checkpoint, network: Network, reader: _Reader, options: ResNetGANOptions
) -> ParsedFile:
    path = checkpoint.path
    tensors = state_dict(checkpoint, network.tree, network.where)
    for key, tensor in tensors.items():
        check_finite(path, key, tensor)
    found = unfolded(path, tensors)
    own = reader.structure(path, found.tensors, options)
    _check_options(path, reader.layout.name, options)
    values = {"layout": reader.layout.name, **own}
    values["assumed"] = [*_unsaid(values), *own.get("assumed", ())]
    config = with_options(ResNetGANConfig.validated(path, values), options)
    return parsed(path, config, found, reader.naming(found.tensors))


def _check_options(path: Path, layout: str, options: ResNetGANOptions) -> None:
    for name, of in (("attention", mimicry.LAYOUT), ("condition", studiogan.LAYOUT)):
        if getattr(options, name) is not None and layout != of.name:
            raise UsageError(f"{path}: option {name} is for {of.name} files, this is {layout}")


def _check_settled(path: Path, options: ResNetGANOptions) -> None:
    for name in ("attention", "condition"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"{path}: option {name} was settled when the file was converted; convert the "
                "original again with it"
            )


_SIGMOID = " (mimicry's DCGAN for CIFAR has sigmoid, and the same keys)"


def _unsaid(values: Mapping[str, Any]) -> list[str]:
    """What no file says, in words that begin with the option that can."""
    whose = values["layout"]
    said = [
        "activation=relu between the layers",
        f"final=tanh after the last layer{_SIGMOID if whose == mimicry.LAYOUT.name else ''}",
        f"eps={values.get('epsilon', 1e-5):g} in the batch norms, {whose}'s",
        f"upsampling={values.get('upsampling', 'nearest')} in the blocks, {whose}'s",
    ]
    return [*said, "z is drawn from N(0, 1)"]


def with_options(config: ResNetGANConfig, options: ResNetGANOptions) -> ResNetGANConfig:
    """A config with the settings that options give in place of its own, no longer assumed."""
    given = {name: getattr(options, name) for name in SETTINGS}
    assumed = config.unless_told(**given)
    changed = {
        "epsilon" if name == "eps" else name: value
        for name, value in given.items()
        if value is not None
    }
    return config.model_copy(update={**changed, "assumed": assumed})
