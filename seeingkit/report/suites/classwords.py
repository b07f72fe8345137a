"""What is known of one class as sentences: in how many generators it is missing, who has most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from ..words.nouns import is_substance, plural
from ..words.numbers import area, between, change, level, listing, share
from .standings import ClassKey, ClassValue, Quantity, Ranking
from .words import NAMED


def value_words(value: ClassValue, real_area: float, real_images: float) -> str:
    """One class of one generator in full: verdict, area and images with their intervals.

    ``omitted, −82 %: 0.17 % (0.10 to 0.24 %) of the area, real 0.97 %; in 2.1 % (…) of …``
    """
    made, seen = value.area, value.images
    head = value.verdict if value.change is None else f"{value.verdict}, {change(value.change)}"
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
    """Who draws surely less of a class than the generator that draws most, in one ranking."""
    rows = [row for row in ranking.compared if key in row.values]
    values = {row.name: row.values[key] for row in rows}
    found = [
        *_most("Most area", {name: value.area for name, value in values.items()}),
        *_most("In most images", {name: value.images for name, value in values.items()}),
    ]
    if not found and len(rows) > 1:
        found.append(
            "No generator surely draws less of it than another one "
            f"(false discovery rate {level(ranking.level)})."
        )
    return found


def _most(most: str, values: Mapping[str, Quantity]) -> Iterator[str]:
    """Who has most, who cannot be told from that one, and who has surely less."""
    groups = {name: set(one.letters.split()) for name, one in values.items() if one.letters}
    if all(a & b for a, b in combinations(groups.values(), 2)):
        return
    first = max(groups, key=lambda name: values[name].value)
    same = [name for name in groups if name != first and groups[name] & groups[first]]
    less = [name for name in groups if not groups[name] & groups[first]]
    text = f"{most}: {first}"
    if same:
        text += f", from which {listing(same, limit=NAMED)} cannot be told"
    if less:
        yield f"{text}; surely less: {listing(less, limit=NAMED)}."
    else:
        yield f"{text}; others differ surely, as their groups show."
