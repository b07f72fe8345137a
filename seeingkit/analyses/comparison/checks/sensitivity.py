"""Whether a verdict depends on the segmenter or on the scale at which it looks.

Guarantees: both views are of the same images; a class of a comparison at equal resolution is
flagged only by differences beyond noise, and the change of a class between two views is measured on
pairs (one image, seen twice), so that sampling does not flag it.

A class is flagged in one of these cases; α = ``CHANCE`` everywhere.

* *Reversed*: on the same images the first view shows less of the class in the generated images and
  the second more, or the other way round, both at p ≤ α.
* *Soft images alone* (scale): a difference is claimed, and softening the real images changes the
  class in its direction, by at least half of it (at p ≤ α, paired t-test). A generator whose
  images are merely soft would show this without drawing more or less of the class.
* *Gone*: a difference is claimed, the second view shows none at the comparison's level, and this is
  no lack of power: its relative difference is at most half of the first's on the same images, and
  unlike it at p ≤ α (delta method on pairs; ``statistics.twoviews``).

Where the two sides are known to differ in resolution (``resolution``), the scale is the one that
brings the sharper side to the other's detail, "soft images alone" is about the sharper side, and a
class needs no claim, since resolution may hide a difference as well as make one. It is then also
flagged if that side's mean changes by a tenth of the class and by half of the difference (p ≤ α),
or as *unstable*: each image changes by half of the class's area on average, up in some and down in
others, so that the mean rests on what the segmenter happens to do.

What is compared is what the verdict rests on: mean area, or the images that show the class above
its area threshold where these decided.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from seeingkit.contracts import ImageSource, Segmenter
from seeingkit.errors import SourceError, TallyError
from seeingkit.results import ClassResult, ResolutionResult, SegmenterClass, SegmenterShare
from seeingkit.statistics.twoviews import TwoViews, relative
from seeingkit.system.addresses import Place
from seeingkit.tallies import ChunkStore, Tally, tally
from seeingkit.tallies.counted import CountedSource
from seeingkit.tallies.counting import narrowed
from seeingkit.tallies.vocabularies import ClassMap, read_classes
from seeingkit.tallies.vocabularies.merging import apply_classes

from ..compare import Comparison
from .views import View, held_pixels, matched, same_images, second_view

IMAGES = 500
"""Images of each side that are looked at a second time."""

CHANCE = 0.01
"""p-value at which a difference is beyond noise."""

EXPLAINS = 0.5
"""Share of a difference that softening must make by itself, or that the second view must not see,
for the class to be flagged."""

MATERIAL = 0.1
"""Share of a class by which its mean must change, to be flagged without a claim."""

UNSTABLE = 0.5
"""Mean absolute change per image, as a share of the class, that makes a class unstable."""

SEVERAL = 5
"""Images that must change for that, so that one odd image makes no class unstable."""


def check_sensitivity(
    real: ImageSource,
    generated: ImageSource,
    comparison: Comparison,
    segmenter: Segmenter,
    *,
    mode: str = "scale",
    second: Segmenter | None = None,
    classes: ClassMap | str | Path | None = None,
    resolution: ResolutionResult | None = None,
    batch_size: int = 16,
    on_bad: Literal["skip", "fail"] = "skip",
    store: ChunkStore | str | Place | None = None,
    seed: int = 0,
    images: int = IMAGES,
) -> SegmenterShare:
    """Look a second time, at another scale or with another segmenter: which verdicts stay?

    Args:
        real, generated: the sources of the comparison.
        comparison, segmenter, classes: the first view, and its class list, if any.
        resolution: of the two sides, if known: a mismatch changes scale and flags (see above).
        mode, second: as ``second_view``.
        batch_size, on_bad, store: as ``tally``.
        images: at most so many of each side, drawn with ``seed``.

    Returns:
        One record for each class that occurs in either view, in the order of the comparison;
        classes that a second segmenter does not know are there with ``why`` alone.

    Raises:
        SourceError: a side has no pictures (``counted``); no check is possible, which is no error
            of the comparison.
        TallyError: fewer than two images that both views hold, or no class that both know.
        UsageError: as ``second_view``.
    """
    view = second_view(mode, segmenter, second, resolution)
    pairs = []
    for source, first in ((real, comparison.real), (generated, comparison.generated)):
        if isinstance(source, CountedSource):
            raise SourceError(
                f"{source.name}: its areas were counted elsewhere, without pictures; the "
                "segmenter's share cannot be checked on it"
            )
        again = tally(
            narrowed(source, min(images, len(source)), seed),
            view.segmenter,
            store=store,
            batch_size=batch_size,
            on_bad=on_bad,
            title=f"{source.name} {view.words}",
        )
        if classes is not None:
            chosen = classes if isinstance(classes, ClassMap) else read_classes(classes)
            again = apply_classes(again, chosen.model_copy(update={"missing": "allow"}))
        pairs.append(same_images(first, again, source.name))
    return judge(comparison, pairs[0], pairs[1], view, resolution)


def judge(
    comparison: Comparison,
    real: tuple[Tally, Tally],
    generated: tuple[Tally, Tally],
    view: View,
    resolution: ResolutionResult | None = None,
) -> SegmenterShare:
    """The records of (first, second) views, row for row of the same images (see the module).

    Raises:
        TallyError: no class that both views know.
    """
    columns = matched(real[0].vocabulary, real[1].vocabulary)
    if not columns:
        raise TallyError("the two segmenters have no class of the same name; give a class list")
    r1, r2, g1, g2 = (t.percent(0) for t in (*real, *generated))
    nothing = real[0].vocabulary.has_background
    held = held_pixels(resolution)
    sharper: Literal["real", "generated"] | None = None
    if held is not None:
        sharper = "real" if held[0] >= held[1] else "generated"
    level = comparison.results.level
    found: list[SegmenterClass] = []
    for result in comparison.results.classes:
        k = result.index
        if nothing and k == 0:
            continue
        if k not in columns:
            why = f"not comparable: no class of this name {view.words}"
            found.append(SegmenterClass(label=result.label, why=why))
            continue
        again = columns[k]
        seen = TwoViews(r1[:, k], r2[:, again], g1[:, k], g2[:, again], level, sharper)
        found.append(_record(result, seen, view))
    return SegmenterShare(kind=view.kind, against=view.words, images=len(real[0]), classes=found)


def _record(result: ClassResult, seen: TwoViews, view: View) -> SegmenterClass:
    basis = seen.above(result.speck_area or 0.0) if _by_presence(result) else seen
    soft = _softness(result, basis) if view.kind == "scale" else ""
    why = _reversed(basis, view) or soft or _gone(result, basis, view)
    return SegmenterClass(
        label=result.label,
        other_real_area=float(seen.real_again.mean()),
        other_generated_area=float(seen.generated_again.mean()),
        other_relative=relative(seen.real_again, seen.generated_again),
        shift=relative(seen.real, seen.real_again),
        explained=_explained(result, basis, view),
        flagged=bool(why),
        why=why,
    )


def _reversed(seen: TwoViews, view: View) -> str:
    (first, p_first), (again, p_again) = seen.first, seen.again
    if first * again >= 0 or max(p_first, p_again) > CHANCE:
        return ""
    return (
        f"reversed: the generated images show {_words(first)} than the real ones, but "
        f"{_words(again)} {view.words}"
    )


def _softness(result: ClassResult, seen: TwoViews) -> str:
    change, p_value = seen.softening
    claimed = _claim(result)
    large = p_value <= CHANCE and abs(change) >= EXPLAINS * abs(claimed)
    alone = f"softening the {seen.side} images alone makes them show {_words(change)}"
    if result.verdict != "no evidence" and large and seen.made * claimed > 0:
        return f"{alone}; the generated images differ by {_words(claimed)}"
    if seen.sharper is None:
        return ""
    area = float((seen.real if seen.side == "real" else seen.generated).mean())
    if result.verdict == "no evidence" and large and abs(change) >= MATERIAL * area:
        return f"{alone}, and the two sides differ in resolution"
    swing = float(np.abs(seen.moved).mean())
    if area > 0 and swing >= UNSTABLE * area and np.count_nonzero(seen.moved) >= SEVERAL:
        return (
            f"unstable: at the resolution of the other side each of the {seen.side} images "
            f"changes by {swing:.2g} percentage points on average, where their mean is {area:.2g} %"
        )
    return ""


def _gone(result: ClassResult, seen: TwoViews, view: View) -> str:
    claimed = _claim(result)
    first, (again, p_again) = seen.first[0], seen.again
    if result.verdict == "no evidence" or first * claimed <= 0 or p_again <= seen.level:
        return ""
    if seen.gap > CHANCE or seen.seen_again > EXPLAINS:
        return ""
    return (
        f"gone: the generated images show {_words(first)} than the real ones, but {view.words} no "
        f"difference beyond noise ({again:+.2g})"
    )


def _by_presence(result: ClassResult) -> bool:
    """Whether the verdict rests on the images that show more than a speck of the class."""
    return result.because == "presence" and result.real_seen is not None


def _claim(result: ClassResult) -> float:
    """The comparison's own difference in percent points: of all images, so with least noise."""
    if _by_presence(result):
        return 100 * ((result.generated_seen or 0.0) - (result.real_seen or 0.0))
    return result.generated_area - result.real_area


def _explained(result: ClassResult, seen: TwoViews, view: View) -> float | None:
    """Share of the difference that softening makes, or that the second segmenter does not see."""
    if view.kind == "scale":
        claimed = _claim(result)
        share = seen.made / claimed if claimed else None
    else:
        share = 1 - seen.seen_again if seen.first[0] else None
    return None if share is None else min(1.0, max(0.0, share))


def _words(difference: float) -> str:
    return f"{abs(difference):.2g} percentage points {'more' if difference > 0 else 'less'}"
