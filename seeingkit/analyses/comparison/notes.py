"""What a reader of a comparison must know beside its numbers: copies, series, unknown origins."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Literal

from seeingkit.results import LabelAgreement
from seeingkit.statistics.bursts import SEVERAL
from seeingkit.tallies import Tally

from .dependence import dependence_warnings

COPIES = 0.01
"""Share of images that may have the areas of another one before it is said."""

_ROWS = 1 << 16


def named_sides(real: Tally, generated: Tally) -> list[tuple[Literal["real", "generated"], Tally]]:
    """Both tallies with the names of their sides."""
    return [("real", real), ("generated", generated)]


def comparison_warnings(real: Tally, generated: Tally, grouped: bool, seed: int) -> list[str]:
    """The warnings of a comparison, one sentence or two each.

    Args:
        grouped: groups of images were named, so signs of others are not looked for.
        seed: of the images that are looked at for near copies.
    """
    found = []
    if grouped:
        found.append(
            "Images of a group stay together in tests and intervals of areas and of FSD. Pairs of "
            "classes, power, scenes and the single classes of a conditional generator, which take "
            "images as independent, are left out."
        )
    for side, tally in named_sides(real, generated):
        copies = _copies(tally)
        if not grouped:
            found += dependence_warnings(side, tally, seed=seed)
        if copies > COPIES * len(tally):
            found.append(
                f"{copies:,} of the {len(tally):,} {side} images have exactly the areas of another "
                "one. Tests and intervals take images as independent; copies make them too sure."
            )
        if tally.record.agreement is not None:
            found.append(agreement_words(side, tally.record.agreement))
        if tally.record.counted:
            found.append(
                f"The {side} areas were counted elsewhere: that this segmenter counted them is "
                "known from the names of its labels alone."
            )
    known = real.identity is not None and generated.identity is not None
    if known:
        unknown = [
            s for s, t in named_sides(real, generated) if t.identity and not t.identity.preset
        ]
        if len(unknown) == 1:
            found.append(
                f"The preprocessing of the {unknown[0]} images is unknown: that both sides were "
                "prepared alike could not be checked."
            )
    if real.vocabulary.unit != "pixels":
        what = {
            "probability": "mean probabilities in percent",
            "count": "mean counts for each image",
            "class": "shares of the images that are read as a class, in percent",
        }[real.vocabulary.unit]
        found.append(f"Where areas are named, the numbers are {what}, not areas of pixels.")
    if known and real.identity == generated.identity:
        found.append("Both sides are the same images, so nothing can differ.")
    if len(real) != len(generated):
        found.append(
            f"The sides differ in size ({len(real)} real, {len(generated)} generated); "
            "FSD depends on both."
        )
    return found


def agreement_words(side: str, found: LabelAgreement) -> str:
    """How far the labels of another precision are those of float32.

    >>> agreement_words("real", LabelAgreement(computing="bf16", images=16, share=0.99812))
    'The segmenter computes in bf16: ... 99.81 % have the label that they have in float32.'
    """
    return (
        f"The segmenter computes in {found.computing}: of the pixels of the first "
        f"{found.images} {side} images, {100 * found.share:.2f} % have the label that they have in "
        "float32."
    )


def _copies(tally: Tally) -> int:
    """Images of several labels whose areas another image of the side has to the pixel."""
    several, seen = 0, set()
    for start in range(0, len(tally), _ROWS):
        rows = tally.sparse_percent(0, slice(start, start + _ROWS))
        for first, stop in pairwise(rows.indptr.tolist()):
            if stop - first >= SEVERAL:
                several += 1
                areas = rows.indices[first:stop].tobytes() + rows.data[first:stop].tobytes()
                seen.add(hashlib.blake2b(areas, digest_size=16).digest())
    return several - len(seen)
