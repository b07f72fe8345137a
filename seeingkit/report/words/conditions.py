"""How real images were matched to the classes of a conditional generator, in a sentence."""

from __future__ import annotations

from seeingkit.results import RealClasses

from .numbers import count

SHOWN = 8
"""At most so many folders are named."""
_BY = {
    "dataset.json": "by dataset.json",
    "labels": "by the numbers in",
    "label names": "by the names in",
    "name": "by the names of their folders",
    "number": "by the numbers that their folders are called",
    "order": "by the order of their folders",
}


def matching(record: RealClasses) -> str:
    """The classes of the real images and their numbers; or why they have none, a full sentence.

    >>> matching(RealClasses(by="none", why="all lie in one folder"))
    'Each class of the generator is compared with all real images: all lie in one folder.'
    """
    if record.by == "none":
        return f"Each class of the generator is compared with all real images: {record.why}."
    parts = []
    for one in record.folders[:SHOWN]:
        label = str(one.label) if one.name == str(one.label) else f"{one.label} {one.name}"
        what = "" if record.by in ("dataset.json", "labels") else f"{one.folder} → "
        parts.append(f"{what}{label} ({count(one.images, 'image')})")
    more = len(record.folders) - len(parts)
    if more:
        parts.append(f"{more:,} more in results.json")
    by = " ".join([_BY[record.by], record.listed]).strip()
    text = f"Classes of the real images {by}: {', '.join(parts)}."
    if record.without:
        text += f" {count(record.without, 'image')} of no class."
    return text + (f" Mind: {record.why}." if record.why else "")
