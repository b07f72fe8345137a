"""Which image belongs to which: two tallies in the same order, pair by pair.

Guarantees: an image is never paired by guess without a word. Names are tried first, as they are and
then without a word that all names of a side have (``church_27_target``, ``church_27_reconst``);
where no name of one side is one of the other's, and there are equally many, the order is taken, and
the notes say so. An image without a partner is an error that names it, unless its partner was
skipped or the comparison is forced; then the notes count what is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from seeingkit.errors import TallyError
from seeingkit.images import SUFFIXES
from seeingkit.images.containers import without_container
from seeingkit.results.paired import Matched
from seeingkit.tallies import Tally

NAMED = 3
"""At most so many images without a partner are named in an error."""

_Ends = tuple[str, str]
"""The word before and the word behind that all names of a side have, with what joins them."""

_AS_THEY_ARE: _Ends = ("", "")
_ENDS = re.compile(r"^(?P<first>[^\W\d_]+[ _.\-]+)?(?P<core>.*?)(?P<last>[ _.\-]+[^\W\d_]+)?$")


@dataclass(frozen=True)
class Pairing:
    """Two tallies of which row k belongs to row k.

    Attributes:
        real, generated: the images that have a partner, in the order of the real ones.
        matched: how partners were found; words: of each side that were left out of the names.
        left_out: images of each side without a usable partner.
        notes: for the readers of the results.
    """

    real: Tally
    generated: Tally
    matched: Matched
    words: tuple[str, str] = ("", "")
    left_out: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()


def pair_up(real: Tally, generated: Tally, *, force: bool = False) -> Pairing:
    """Find the partner of each image.

    Args:
        real, generated: tallies of the same vocabulary.
        force: leave out images without a partner instead of raising.

    Raises:
        TallyError: two images of a side have one name, images have no partner, or neither names
            nor order can say what belongs together.

    >>> rows = [[0.7, 0.3], [0.5, 0.5]]
    >>> real = Tally.from_fractions(rows, ids=["2_photo.png", "1_photo.png"])
    >>> drawn = Tally.from_fractions(rows, ids=["1_rec.png", "2_rec.png"])
    >>> pair_up(real, drawn).generated.ids
    ('2_rec.png', '1_rec.png')
    """
    sides = real, generated
    stems = [[*map(_naming(side), _all_ids(side))] for side in sides]
    if set(stems[0]) & set(stems[1]):
        return _by_name(sides, (_AS_THEY_ARE, _AS_THEY_ARE), force)
    words = _differing(_common_ends(stems[0]), _common_ends(stems[1]))
    cores = [
        {_without(name, ends) for name in names} for names, ends in zip(stems, words, strict=True)
    ]
    if cores[0] & cores[1]:
        return _by_name(sides, words, force)
    return _by_order(real, generated)


def stem(item: str) -> str:
    """An image's id without the ending of a picture file.

    >>> stem("towers/27.PNG"), stem("seed 1.5")
    ('towers/27', 'seed 1.5')
    """
    base, dot, ending = item.rpartition(".")
    return base if dot and f".{ending.lower()}" in SUFFIXES else item


def _naming(tally: Tally) -> Callable[[str], str]:
    """The name of an image by its id: without the archive that holds it, if names then differ."""
    ids = _all_ids(tally)
    bare = [without_container(item) for item in ids]
    if bare == ids or not all(bare) or len(set(bare)) < len(bare):
        return stem
    return lambda item: stem(without_container(item))


def _all_ids(tally: Tally) -> list[str]:
    """Of all images that were asked for, the skipped ones last."""
    return [*tally.ids, *(skipped.item for skipped in tally.skipped)]


def _common_ends(stems: Sequence[str]) -> _Ends:
    """Of the names of a side; a word has no digits, so that numbers are never lost."""
    found = [_ENDS.fullmatch(name.rpartition("/")[2]) for name in stems]
    if len(stems) < 2:  # of a single name any word would do
        return "", ""

    def shared(part: Literal["first", "last"]) -> str:
        words = {match[part] or "" for match in found if match is not None}
        return words.pop() if len(words) == 1 else ""

    return shared("first"), shared("last")


def _differing(first: _Ends, second: _Ends) -> tuple[_Ends, _Ends]:
    """Without the words that both sides have in the same place: these tell nothing apart."""
    kept = [(a, b) if a != b else ("", "") for a, b in zip(first, second, strict=True)]
    return (kept[0][0], kept[1][0]), (kept[0][1], kept[1][1])


def _without(name: str, ends: _Ends) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.removeprefix(ends[0]).removesuffix(ends[1])


def _by_name(sides: tuple[Tally, Tally], words: tuple[_Ends, _Ends], force: bool) -> Pairing:
    """Pairs of the same name, in the order of the real images."""
    real, generated = (
        _places(side, ends, name)
        for side, ends, name in zip(sides, words, ("real", "generated"), strict=True)
    )
    common = [key for key in real if key in generated]
    alone = (
        [key for key in real if key not in generated],
        [key for key in generated if key not in real],
    )
    skipped = [
        {_without(_naming(side)(image.item), ends) for image in side.skipped}
        for side, ends in zip(sides, words, strict=True)
    ]
    unmatched = (
        [sides[0].ids[real[key]] for key in alone[0] if key not in skipped[1]],
        [sides[1].ids[generated[key]] for key in alone[1] if key not in skipped[0]],
    )
    if any(unmatched) and not force:
        raise TallyError(_missing(unmatched))
    if not common:
        raise TallyError("no image has a usable partner; compare without --paired")
    left_out = len(alone[0]), len(alone[1])
    said = _said(words[0]), _said(words[1])
    notes = _left_out_notes(left_out, sum(map(len, unmatched)))
    if any(said):
        quoted = " and ".join(f"“{word}”" for word in dict.fromkeys(said) if word)
        notes.append(f"Images were paired by their names without {quoted}.")
    return Pairing(
        sides[0].take([real[key] for key in common]),
        sides[1].take([generated[key] for key in common]),
        "words" if any(said) else "names",
        said,
        left_out,
        tuple(notes),
    )


def _said(ends: _Ends) -> str:
    """The words of a side for people: ``target``."""
    return " ".join(word.strip(" _.-") for word in ends if word)


def _places(tally: Tally, ends: _Ends, side: str) -> dict[str, int]:
    """Row by name.

    Raises:
        TallyError: two images have one name.
    """
    found: dict[str, int] = {}
    name_of = _naming(tally)
    for k, item in enumerate(tally.ids):
        key = _without(name_of(item), ends)
        if key in found:
            raise TallyError(
                f"the {side} images {tally.ids[found[key]]} and {item} have the same name {key!r}: "
                "pairs need one image of a name on each side"
            )
        found[key] = k
    return found


def _missing(unmatched: Sequence[Sequence[str]]) -> str:
    parts = []
    for side, items in zip(("real", "generated"), unmatched, strict=True):
        if items:
            named = ", ".join(items[:NAMED]) + (" …" if len(items) > NAMED else "")
            parts.append(f"{len(items):,} {side} ({named})")
    return (
        f"images without a partner of the same name: {' and '.join(parts)}; give both sides the "
        "same names, or leave these out with --force"
    )


def _left_out_notes(left_out: tuple[int, int], unmatched: int) -> list[str]:
    dropped = sum(left_out) - unmatched
    notes = []
    if dropped:
        were = "image was" if dropped == 1 else "images were"
        notes.append(f"{dropped:,} {were} left out because the partner was skipped.")
    if unmatched:
        have = "image has" if unmatched == 1 else "images have"
        notes.append(f"{unmatched:,} {have} no partner of the same name and took no part.")
    return notes


def _by_order(real: Tally, generated: Tally) -> Pairing:
    """Image k with image k; only where nothing hints that they are strangers."""
    hint = "give the images of a pair the same name, or compare without --paired"
    examples = f"(the first are {real.ids[0]} and {generated.ids[0]})" if len(real) else ""
    if (real.record.generator is None) != (generated.record.generator is None):
        raise TallyError(
            "only one side comes from a generator and no names agree, so no image belongs to "
            f"another; {hint}"
        )
    if real.skipped or generated.skipped:
        raise TallyError(
            f"names do not agree {examples} and images were skipped, so that the order does not "
            f"say which belong together; {hint}"
        )
    if len(real) != len(generated):
        raise TallyError(
            f"names do not agree {examples} and there are {len(real):,} and {len(generated):,} "
            f"images, so it is not known which belong together; {hint}"
        )
    last = f", the last {real.ids[-1]} with {generated.ids[-1]}" if len(real) > 1 else ""
    note = (
        "No names agree, so the images were paired by their order: the first pair is "
        f"{real.ids[0]} with {generated.ids[0]}{last}. Check that they belong together."
    )
    return Pairing(real, generated, "order", notes=(note,))
