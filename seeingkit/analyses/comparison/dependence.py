"""Images that belong together: the groups that a user names, and signs that some were not named.

Guarantees: every image of a file is in exactly one group, or the rule is refused; images of a
generator are each their own group; near copies and series that no rule covers are said.

``--groups`` takes one of three rules: ``folder`` (images of one folder), ``FILE.csv:COLUMN`` (a
table with the columns ``image`` and COLUMN), or a regular expression on the name of an image, whose
first parenthesis, or else the whole match, names the group (``^(video\\d+)_``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seeingkit.errors import UsageError
from seeingkit.images.containers import without_container
from seeingkit.results import GroupsResult
from seeingkit.statistics.bursts import (
    NOTED,
    likeness_in_folders,
    likeness_in_order,
    near_copies,
    numbered,
)
from seeingkit.tallies import Tally

Rule = Callable[[str], str | None]
"""The group of an image by its id; None where the rule does not fit."""


def read_rule(text: str) -> Rule:
    """The rule that a text describes.

    Raises:
        UsageError: an expression that cannot be read, or a table without its file or column.

    >>> read_rule("folder")("holiday/0001.jpg"), read_rule(r"^(v\\d+)_")("v12_0004.png")
    ('holiday', 'v12')
    """
    if text == "folder":
        return _folder
    name, _, column = text.rpartition(":")
    if text.lower().endswith(".csv"):
        raise UsageError(f"--groups {text}: name the column of the groups, {text}:COLUMN")
    if name.lower().endswith(".csv"):
        table = _table(Path(name), column)
        return lambda item: table.get(item) or None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"--groups {text!r} is no regular expression: {error}") from error

    def matched(item: str) -> str | None:
        found = pattern.search(item)
        return None if found is None else found.group(1 if pattern.groups else 0) or None

    return matched


def _folder(item: str) -> str | None:
    folder, slash, _ = without_container(item.replace("\\", "/")).rpartition("/")
    return folder if slash else None


def _table(path: Path, column: str) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"--groups: {path} cannot be read ({reason})") from error
    names = rows[0].keys() if rows else ()
    for needed in ("image", column):
        if needed not in names:
            there = ", ".join(map(str, names)) or "nothing"
            raise UsageError(f"--groups: {path} has no column {needed!r}; it has {there}")
    found: dict[str, str] = {}
    for row in rows:
        if found.setdefault(row["image"], row[column]) != row[column]:
            raise UsageError(f"--groups: {path} puts {row['image']!r} into two groups")
    return found


def groups_of(
    real: Tally, generated: Tally, rule: str
) -> tuple[tuple[Sequence[str], Sequence[str]], GroupsResult]:
    """The group of each image of both sides, by one rule.

    Raises:
        UsageError: an image of a file that the rule does not fit, or fewer than two groups on a
            side; or the rule itself cannot be read.
    """
    find = read_rule(rule)
    sides = []
    for side, tally in (("real", real), ("generated", generated)):
        if tally.record.generator is not None:
            sides.append(list(tally.ids))
            continue
        found = [find(item) for item in tally.ids]
        if None in found:
            item = tally.ids[found.index(None)]
            raise UsageError(f"--groups {rule!r} gives no group to the {side} image {item!r}")
        sides.append([str(group) for group in found])
        if len(set(sides[-1])) < 2:
            raise UsageError(f"--groups {rule!r} puts all {side} images into one group")
    counts = [len(set(side)) for side in sides]
    record = GroupsResult(rule=rule, real=counts[0], generated=counts[1])
    return (sides[0], sides[1]), record


def dependence_warnings(side: str, tally: Tally, *, seed: int) -> list[str]:
    """Signs that images of one side are not independent, for a reader who named no groups."""
    rows, found = tally.sparse_percent(0), []
    advice = (
        "Tests and intervals take images as independent and are then too sure: say which belong "
        "together (--groups)."
    )
    copies = near_copies(rows, seed=seed)
    if copies is not None and copies.share >= NOTED:
        pairs = zip(copies.first, copies.second, strict=True)
        named = " and ".join(f"{tally.ids[a]} with {tally.ids[b]}" for a, b in list(pairs)[:2])
        found.append(
            f"{100 * copies.share:.0f} % of the {side} images have a near copy among the {side} "
            f"images, such as {named}; of independent images of many kinds of scene few have. "
            + advice
        )
    if tally.record.generator is None and not found:
        order = np.array(sorted(range(len(tally)), key=[*map(_natural, tally.ids)].__getitem__))
        folders = numbered([_folder(tally.ids[k]) for k in order.tolist()])
        alike = likeness_in_folders(rows, folders, order)
        if alike is not None:
            found.append(
                f"{side.capitalize()} images of one folder are alike (squared distance {alike:.2g} "
                "of the usual one): films or series, or kinds of scene. If they are series: "
                f"{advice[:1].lower()}{advice[1:]}"
            )
        ratio = None if found else likeness_in_order(rows, folders, order)
        if ratio is not None:
            found.append(
                f"{side.capitalize()} images that follow each other by name are alike (squared "
                f"distance {ratio:.2g} of the usual one): frames of a film, or images sorted by "
                f"kind. If they are frames: {advice[:1].lower()}{advice[1:]}"
            )
    return found


def _natural(item: str) -> str:
    """A key that sorts frame 2 before frame 10.

    Each number has its length before it, and each text an end that sorts before all characters.
    """
    key = []
    for place, part in enumerate(re.split(r"(\d+)", item)):
        if place % 2:
            digits = str(int(part))
            key.append(chr(len(digits)) + digits)
        else:
            key.append(part + "\0")
    return "".join(key)
