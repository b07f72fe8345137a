"""What an edit of a weight did, as sentences."""

from __future__ import annotations

from seeingkit.results.effects import ClassEffect, Effect

from .artifacts import claims_of_effect
from .numbers import area, listing, share

CLASSES = 6
"""Classes that a sentence names."""


def edit_sentence(found: Effect) -> str:
    """The effect of an edit in one or two sentences: the classes that surely change first.

    ``edit_sentence(edit_effect(generator, [edit], segmenter))``
    """
    moved = f"the class of {share(found.moved)} of the pixels changes"
    sure = [one for one in found.classes if claims_of_effect(one)]
    where = f"In {found.n:,} images that it was not planned with, {moved}"
    if not sure:
        return f"{where}, and no class surely gains or loses."
    return (
        f"{where}. Classes that surely change: {listing([_changed(one) for one in sure], CLASSES)}."
    )


def _changed(one: ClassEffect) -> str:
    return f"{one.label} from {area(one.before)} to {area(one.after)}"
