"""Label numbers of a segmenter's outputs, with those that mean "no object" at number 0.

Guarantees what the engine goes by: an output for no object is label 0 and no class, wherever the
network has it; the other outputs follow in their own order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seeingkit.contracts import Label, Vocabulary
from seeingkit.results import BACKGROUND_NAMES

_UNCLEAR = frozenset({"other", "others", "misc", "miscellaneous", "unknown", "rest", "n/a", "null"})


@dataclass(frozen=True)
class Numbering:
    """Labels of a network.

    Attributes:
        names: by label number.
        numbers: label number of each output.
        has_background: label 0 is no object.
        assumptions: readings of names, in words.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    has_background: bool
    assumptions: tuple[str, ...]

    @property
    def vocabulary(self) -> Vocabulary:
        """The labels of one plane of objects."""
        return Vocabulary(tuple(map(Label, self.names)), has_background=self.has_background)


def number_outputs(names: Sequence[str]) -> Numbering:
    """Labels of outputs with these names, no two of them equal.

    >>> number_outputs(["wall", "background", "tree"]).numbers
    (1, 0, 2)
    """
    nothing = [k for k, name in enumerate(names) if name.strip().lower() in BACKGROUND_NAMES]
    objects = [k for k in range(len(names)) if k not in nothing]
    order = [*nothing[:1], *objects]
    numbers = [0] * len(names)
    for number, output in enumerate(order):
        numbers[output] = number
    said = []
    if nothing:
        listed = " and ".join(f"output {k} ({names[k]!r})" for k in nothing)
        said.append(f"by name, {listed} means no object: label 0, counted as no class")
    said += [
        f"output {k} ({names[k]!r}) is counted as a class"
        for k in objects
        if names[k].strip().lower() in _UNCLEAR
    ]
    labels = tuple(names[k] for k in order)
    return Numbering(labels, tuple(numbers), bool(nothing), tuple(said))
