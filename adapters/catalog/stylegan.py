"""The name ``stylegan``: the newest generation that has weights for the data, or reads the file."""

from __future__ import annotations

from seeingkit.specs import GanGroupSpec, Register


def register(register: Register) -> None:
    """Register the group."""
    register(
        GanGroupSpec(
            name="stylegan",
            summary="StyleGAN of any generation: the newest that has weights for the data",
            families=("stylegan3", "stylegan2", "stylegan1"),
        )
    )
