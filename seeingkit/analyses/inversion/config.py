"""``InversionConfig``: the validated settings of the inversion analysis. Never imports torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Pick = Literal["stratified", "random", "most", "list"]
"""How photos of a class are picked; see ``picking.pick_rows``."""


class InversionConfig(BaseModel):
    """How photos are inverted.

    Attributes:
        methods: names of registered inverters; empty: no inversion.
        cuts: boundaries of r, or ``default``: the generator's own; ``next``: the end of the
            resolution after it; ``all``: every feature map. Empty: the first two.
        per_class: photos for each omitted class (``analyze``).
        classes: photos of these are inverted too, omitted or not (``analyze``): the same photos
            whatever the generator, so that generators can be seen side by side.
        pick: which of the photos that contain it.
        ids: the photos themselves, by id (``pick="list"``).
        own: how many generator samples are inverted as they are.
        patched: how many are with a foreign patch, for the verdicts of classes; 0: no verdicts.
        label: class of the photos, for a conditional generator.
        options: of the inverters (preset, encoder, perceptual, steps, …).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    per_class: int = Field(default=8, ge=1)
    classes: tuple[str, ...] = ()
    pick: Pick = "stratified"
    ids: tuple[str, ...] = ()
    own: int = Field(default=20, ge=0)
    patched: int = Field(default=40, ge=0)
    label: int | None = Field(default=None, ge=0)
    options: dict[str, Any] = Field(default_factory=dict)
