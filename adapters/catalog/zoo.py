"""Registers every published network that ``zoo.toml`` lists, for the families registered beside it.

Light: importing this never imports torch.
"""

from __future__ import annotations

from importlib.resources import files

from seeingkit.models.hub.manifests import Manifest, overlaid, read_manifest
from seeingkit.specs import Register


def shipped() -> Manifest:
    """The list as it ships, without the user's own."""
    return read_manifest(files(__package__).joinpath("zoo.toml"))


def register(register: Register) -> None:
    """Register the weights, those of ``SEEINGKIT_ZOO`` over ours."""
    for spec in overlaid(shipped()).weights.values():
        register(spec)
