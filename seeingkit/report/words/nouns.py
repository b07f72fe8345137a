"""Names of classes inside sentences: without synonyms, and in the plural where they have one.

The plural is made by rule: names of classes come from any segmenter. A name that is taken for a
thing and is a substance only reads oddly; nothing depends on it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SUBSTANCES = frozenset(_DATA["substances"].split())
"""Names that keep their singular: ``almost no grass``."""
_IRREGULAR: dict[str, str] = _DATA["irregular"]


def short_name(label: str) -> str:
    """The first of the synonyms in a name.

    >>> short_name("person, individual; someone"), short_name("traffic light")
    ('person', 'traffic light')
    """
    first = re.split(r"[,;]", label, maxsplit=1)[0]
    return re.sub(r"(-(other|merged))+$", "", first).strip()


def capitalised(label: str) -> str:
    """The short name with its first letter raised, and no other changed: ``TV``."""
    name = short_name(label)
    return name[:1].upper() + name[1:]


def is_substance(label: str) -> bool:
    """Whether there is little of it rather than few.

    >>> is_substance("dry grass"), is_substance("stairs")
    (True, False)
    """
    return short_name(label).rpartition(" ")[2].lower() in SUBSTANCES


def plural(label: str) -> str:
    """The plural of a name, or the name itself where it is a substance or a plural.

    >>> [plural(name) for name in ("boat", "church", "sky", "person, someone", "chest of drawers")]
    ['boats', 'churches', 'sky', 'persons', 'chests of drawers']
    >>> [plural(name) for name in ("stairs", "bus", "city", "toy", "dry grass", "glass", "man")]
    ['stairs', 'buses', 'cities', 'toys', 'dry grass', 'glass', 'men']
    """
    name = short_name(label)
    if not name:
        return label
    head, of, rest = name.partition(" of ")
    before, _, word = head.rpartition(" ")
    return f"{before} {_plural_word(word)}".strip() + of + rest


def _plural_word(word: str) -> str:
    lower = word.lower()
    if lower in SUBSTANCES or not re.search(r"[a-z]$", lower):
        return word
    if lower in _IRREGULAR.values():
        return word
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if re.search(r"[^su]s$", lower):  # stairs; but bus and glass
        return word
    if re.search(r"(s|x|z|ch|sh)$", lower):
        return word + "es"
    if re.search(r"[^aeiou]y$", lower):
        return word[:-1] + "ies"
    return word + "s"
