"""The runs of a list that fit a choice, in an order; and what there is to choose from."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .records import Run

LONGEST = 200
"""Characters of a text that is searched for; more are cut off."""

_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def _when(run: Run) -> datetime.datetime:
    return run.started or _NEVER


def _last(value: float | None, sign: int) -> tuple[bool, float]:
    """A key that puts runs without a number, or without a finite one, behind all others."""
    known = value is not None and value == value
    return (not known, sign * value if known and value is not None else 0.0)


ORDERS: dict[str, tuple[str, Callable[[Run], Any], bool]] = {
    "newest": ("newest first", _when, True),
    "oldest": ("oldest first", _when, False),
    "name": ("name", lambda run: run.title.casefold(), False),
    "nearest": ("smallest FSD first", lambda run: _last(run.least_fsd, 1), False),
    "farthest": ("largest FSD first", lambda run: _last(run.least_fsd, -1), False),
    "omitted": ("most omitted classes first", lambda run: -len(run.omitted), False),
    "images": ("most images first", lambda run: -run.images, False),
}
"""Orders of the list by name: words, key, whether reversed."""


@dataclass(frozen=True)
class Choice:
    """What is asked of the list; "" asks for nothing.

    Attributes:
        text: words that all stand in what a run shows, in any case.
        generator, data, omitted: exact names.
        order: one of ``ORDERS``.
    """

    text: str = ""
    generator: str = ""
    data: str = ""
    omitted: str = ""
    order: str = "newest"

    @classmethod
    def of(cls, asked: Mapping[str, str], options: Mapping[str, Iterable[str]]) -> Choice:
        """The choice that a query asks for; names that no run has ask for nothing."""
        named = {
            name: asked[name]
            for name in ("generator", "data", "omitted")
            if asked.get(name) in set(options[name])
        }
        order = asked.get("order", "")
        text = asked.get("q", "")[:LONGEST]
        return cls(text=text, order=order if order in ORDERS else "newest", **named)

    def fits(self, run: Run) -> bool:
        """Whether a run is one of those asked for."""
        shown = " ".join(
            [
                run.title,
                run.named,
                run.kind,
                run.data,
                run.segmenter,
                run.state,
                *run.generators,
                *run.omitted,
            ]
        ).casefold()
        return (
            all(word in shown for word in self.text.casefold().split())
            and (not self.generator or self.generator in run.generators)
            and (not self.data or self.data == run.data)
            and (not self.omitted or self.omitted in run.omitted)
        )

    def chosen(self, runs: Sequence[Run]) -> list[Run]:
        """The runs that fit, in order; equal ones by title."""
        _, key, backwards = ORDERS[self.order]
        by_title = sorted(runs, key=lambda run: run.title)
        return sorted(filter(self.fits, by_title), key=key, reverse=backwards)


def options(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """What there is to choose from, each with the number of runs.

    Returns:
        ``generator``, ``data`` and ``omitted``: names in order.
    """
    counted = {
        "generator": Counter(name for run in runs for name in set(run.generators)),
        "data": Counter(run.data for run in runs if run.data),
        "omitted": Counter(label for run in runs for label in run.omitted),
    }
    return {name: dict(sorted(found.items())) for name, found in counted.items()}
