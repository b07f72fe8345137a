"""Groups of images within which maps meet the label maps of other images.

Guarantees: the images of a group are of one class of a conditional generator, so that the null
keeps the class; groups of a larger sample begin with the same whole groups; numbers of images, and
with them their latents and classes, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource

GROUP = 16
"""Images generated at once, and within which maps and label maps are exchanged for the null."""


def groups_of(n: int, classes: Sequence[int] = ()) -> list[list[int]]:
    """Numbers of the images of each group: ``GROUP`` of one class, or fewer at the end.

    Images are taken in spans in which each class of the list has ``GROUP`` of them.

    Args:
        n: images 0 to n - 1.
        classes: that are gone through again and again, image by image; empty: no classes.

    >>> groups_of(6, [7, 9])
    [[0, 2, 4], [1, 3, 5]]
    """
    given = list(classes) or [0]
    span, groups = GROUP * len(given), list[list[int]]()
    for start in range(0, n, span):
        by_class: dict[int, list[int]] = {}
        for k in range(start, min(start + span, n)):
            by_class.setdefault(given[k % len(given)], []).append(k)
        for numbers in by_class.values():
            groups += [numbers[i : i + GROUP] for i in range(0, len(numbers), GROUP)]
    return groups


def alone(groups: Sequence[Sequence[int]]) -> int:
    """Images that are the only one of their group, and have no other to be exchanged with.

    >>> alone(groups_of(17))
    1
    """
    return sum(len(group) == 1 for group in groups)


def check_groups(source: SamplerSource, level_images: int) -> None:
    """Refuse samples of a conditional generator in which classes have too few images.

    Args:
        source: the images that are evaluated.
        level_images: images from which levels come.

    Raises:
        UsageError: no class has two images, or a class has none in one of both samples.

    ::

        check_groups(source, 320)
    """
    n, drawn = len(source), source.labels
    covered, classes = len(set(drawn[:n])), len(set(drawn))
    if not classes:
        return
    of = f"{covered:,} classes" if covered == classes else f"{covered:,} of {classes:,} classes"
    fewer = "or fewer classes with --labels"
    if all(len(group) == 1 for group in groups_of(n, drawn)):
        raise UsageError(
            f"{n:,} images are one of each of {of}, and maps are compared with label maps of other "
            f"images of the same class: take {GROUP * len(drawn):,} images "
            f"({2 * len(drawn):,} at least), {fewer}"
        )
    if covered < classes:
        raise UsageError(f"{n:,} images have {of}: take {source.every_class:,} or more, {fewer}")
    if level_images < source.every_class:
        raise UsageError(
            f"{level_images:,} images for the levels have {len(set(drawn[:level_images])):,} of "
            f"{classes:,} classes: take {source.every_class:,} or more with --level-images, {fewer}"
        )
