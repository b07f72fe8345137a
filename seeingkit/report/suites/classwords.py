"""What is known of one class as sentences: in how many generators it is missing, who has most."""

from __future__ import annotations

from collections.abc import Sequence

from ..words.nouns import is_substance, plural
from ..words.numbers import area, between, change, level, listing, share
from .standings import ClassKey, ClassValue, Quantity, Ranking, Standing
from .words import NAMED


def value_words(value: ClassValue, real_area: float, real_images: float) -> str:
    """One class of one generator in full: verdict, area and images with their intervals.

    ``omitted, −82 %: 0.17 % (0.10 to 0.24 %) of the area, real 0.97 %; in 2.1 % (…) of …``
    """
    made, seen = value.area, value.images
    head = value.verdict if value.relative is None else f"{value.verdict}, {change(value.relative)}"
    groups = ""
    if made.letters or seen.letters:
        groups = f"; groups {made.letters or '–'} (area), {seen.letters or '–'} (images)"
    return (
        f"{head}: {area(made.value)} of the area ({between((made.low, made.high), area)}), real "
        f"{area(real_area)}; in {share(seen.value)} of the images "
        f"({between((seen.low, seen.high), share)}), real {share(real_images)}{groups}"
    )


def class_headline(key: ClassKey, rankings: Sequence[Ranking]) -> str:
    """In how many generators a class is missing."""
    shown = [(ranking, ranking.compared) for ranking in rankings]
    cells = sum(len(rows) for _, rows in shown)
    missing = sum(len(ranking.omitted_by(key)) for ranking, _ in shown)
    name = plural(key.label)
    name = name[:1].upper() + name[1:]
    verb = "is" if is_substance(key.label) else "are"
    where = "generators" if len(rankings) == 1 else "comparisons"
    if not cells:
        return f"{name}: nothing has been compared yet."
    if not missing:
        return f"No generator is found to omit {plural(key.label)}."
    if cells == 1:
        return f"{name} {verb} omitted by the one generator."
    told = f"all {cells:,}" if missing == cells else f"{missing:,} of {cells:,}"
    return f"{name} {verb} omitted by {told} {where}."


def class_details(key: ClassKey, ranking: Ranking) -> list[str]:
    """Who draws surely less of a class than another generator, in one ranking."""
    found = []
    for which, most in (("area", "Most area"), ("images", "In most images")):
        best = _letters_first(
            [(r.name, getattr(r.values[key], which)) for r in _with(ranking, key)]
        )
        if best is not None:
            top, rest = (listing(names, limit=NAMED) for names in best)
            found.append(f"{most}: {top}; surely less: {rest}.")
    if not found and len(ranking.compared) > 1:
        found.append(
            "No generator surely draws less of it than another one "
            f"(false discovery rate {level(ranking.level)})."
        )
    return found


def _with(ranking: Ranking, key: ClassKey) -> list[Standing]:
    return [row for row in ranking.compared if key in row.values]


def _letters_first(values: Sequence[tuple[str, object]]) -> tuple[list[str], list[str]] | None:
    """The generators with the most, and those that surely have less than each of these."""
    shown = [(name, q) for name, q in values if isinstance(q, Quantity) and q.letters]
    if not shown:
        return None
    sets = {name: set(q.letters.split()) for name, q in shown}
    first = max(shown, key=lambda pair: pair[1].value)[0]
    letter = min(sets[first])
    top = [name for name, _ in shown if letter in sets[name]]
    rest = [name for name, _ in shown if not any(sets[name] & sets[other] for other in top)]
    return (top, rest) if rest else None
