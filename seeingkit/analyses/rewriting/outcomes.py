"""What an edit of a weight did, in numbers of each image: at matching places, and elsewhere.

Guarantees: the same images without and with the edit, made once for all numbers, ``GROUP`` at a
time; rows of whole numbers, of which every printed number is a function; which places match is
decided on the images without the edit; counts are sealed files that are met again, so that a run
that was killed goes on. An edit that changes nothing has a change of exactly 0 in every number.

The null of ``Outcome.success`` is: *at matching places, wanted classes are as frequent with the
edit as without, on average over images*. An edit that only stirs images may bring wanted classes to
places that had none: compare with the gain of another edit (``contrast``) before saying that it is
this rule that did it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from seeingkit.contracts import RewritableGenerator, Segmenter, Site
from seeingkit.errors import UsageError
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit
from seeingkit.specs import PRESETS, Preset
from seeingkit.statistics.ratios import FEWEST, MISS, Ratio, flip_checked, ratio_of_sums
from seeingkit.system.addresses import Place

from ..interventions.effects import Floats, Measured
from ..interventions.subjects import Sample
from .bench import Bench
from .effects import WeightChange, WholeSubject, in_front
from .matching import Matcher
from .outcome_parts import Counting, OutcomeRows, Part, counted
from .regions import PhotoRegion, Region

TOUCHED = 0.05
"""An image is touched where more than this share of its labels change."""
LEAST_OF_COPY = 0.25
"""Share of the copied region from which on a class of it is wanted."""
LEVELS = 3 * 127.5
"""Sum of the three channels' 8-bit levels that is a change of 1 in images of range 2."""

Name = Literal["before", "after", "success", "converted", "outside", "labels_outside", "touched"]
"""Numbers of an outcome, see the properties of ``Outcome``."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Numbers of each image, without and with an edit.

    Attributes:
        rows: at matching places and elsewhere.
        measured: pixels of each class, as of one intervention.
        pixels: of a label map.
        picture_pixels: of an image.
        wanted: names of the wanted classes.
        sample: the images.
        matching: identity of the matcher.

    ``outcome(generator, [edit], matcher, segmenter, sample, wanted=["tree"]).success.value``
    """

    rows: OutcomeRows
    measured: Measured
    pixels: int
    picture_pixels: int
    wanted: tuple[str, ...]
    sample: Sample
    matching: tuple[str, ...]

    @property
    def before(self) -> Ratio:
        """Share of the matching pixels that show a wanted class without the edit."""
        return self.ratio("before")

    @property
    def after(self) -> Ratio:
        """The same with the edit."""
        return self.ratio("after")

    @property
    def success(self) -> Ratio:
        """``after`` − ``before``: the gain at matching places, in [-1, 1]."""
        return self.ratio("success")

    @property
    def converted(self) -> Ratio:
        """Of the matching pixels of no wanted class, the share that shows one with the edit."""
        return self.ratio("converted")

    @property
    def outside(self) -> Ratio:
        """Mean absolute change of pixels whose place does not match, of images of range 2."""
        return self.ratio("outside")

    @property
    def labels_outside(self) -> Ratio:
        """Share of the pixels whose place does not match and whose label changes."""
        return self.ratio("labels_outside")

    @property
    def touched(self) -> Ratio:
        """Share of the images in which more than ``TOUCHED`` of the labels change."""
        return self.ratio("touched")

    def parts(self, name: Name) -> tuple[Floats, Floats]:
        """What is summed above and below of a number, (n,) and (n,).

        Raises:
            UsageError: no number of that name.
        """
        rows = self.rows
        outside = self.pixels - rows.matched
        found = {
            "before": (rows.wanted_before, rows.matched),
            "after": (rows.wanted_after, rows.matched),
            "success": (rows.wanted_after - rows.wanted_before, rows.matched),
            "converted": (rows.gained, rows.matched - rows.wanted_before),
            "outside": (rows.change_outside / LEVELS, self.picture_pixels - rows.picture_matched),
            "labels_outside": (rows.relabelled_outside, outside),
            "touched": (rows.relabelled > TOUCHED * self.pixels, np.ones(len(rows.matched))),
        }
        if name not in found:
            raise UsageError(f"no number named {name!r} of an edit; there are: {', '.join(found)}")
        above, below = found[name]
        return np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)

    def ratio(self, name: Name) -> Ratio:
        """A number with its 95 % interval over images: of a ratio of sums (``statistics.ratios``),
        of ``touched`` that of Clopper and Pearson, without p. p of ``success`` is at least that of
        sign flips, which is exact where images with and without the edit can change places.
        """
        above, below = self.parts(name)
        if name != "touched":
            least, most = (
                (-1.0, 1.0) if name == "success" else (0.0, 2.0 if name == "outside" else 1.0)
            )
            found = ratio_of_sums(above, below)
            found = flip_checked(found, above) if name == "success" else found
            return _within(found, least, most)
        n, many = len(above), int(above.sum())
        if n < FEWEST:
            return Ratio(many / n, None, None, None, n)
        ends = stats.binomtest(many, n).proportion_ci(1 - MISS)
        return Ratio(many / n, float(ends.low), float(ends.high), None, n)


def contrast(first: Outcome, second: Outcome, name: Name) -> Ratio:
    """A number of the first outcome − that of the second, image by image, with its interval.

    Args:
        first, second: of the same images and the same matching places.
        name: of the number.

    Returns:
        the difference; p of "it is 0". For ``converted`` the wanted classes are to be the same.

    Raises:
        UsageError: other images, or other places.

    ``contrast(closed, published, "success").low``
    """
    own, other = first.parts(name), second.parts(name)
    same = first.matching == second.matching and first.sample == second.sample
    if not same or not np.array_equal(own[1], other[1]):
        raise UsageError(
            f"{name}: both outcomes have to be of the same images, the same matching places and "
            "the same wanted classes"
        )
    difference = own[0] - other[0]
    return flip_checked(ratio_of_sums(difference, own[1]), difference)


def outcome(
    generator: RewritableGenerator,
    edits: Sequence[WeightEdit],
    matcher: Matcher | None,
    segmenter: Segmenter,
    sample: Sample,
    *,
    wanted: Sequence[str],
    preset: Preset | None = None,
    store: Place | None = None,
) -> Outcome:
    """Count images without and with edits.

    Args:
        generator: without them; other edits that it has count as its own.
        edits: of it, together.
        matcher: of the generator, see ``matching``; its site may be another one than the edits'.
            None: nothing matches, all is outside.
        segmenter: names the classes.
        sample: images that neither edit nor matcher was made with.
        wanted: names of the classes that are to appear at matching places.
        preset: of pictures before they are segmented; default: ``native``.
        store: folder in which counts are kept and met again; None: nowhere.

    Raises:
        UsageError: no edit, no wanted class, rows of the same image, or edits of another generator.
        UnknownNameError: a wanted class that the segmenter lacks.
        ModelError: the generator or the segmenter gives what it must not.

    ``outcome(generator, [edit], matcher, segmenter, sample, wanted=["tree"]).outside``
    """
    given: dict[str, Any] = {"wanted": wanted, "preset": preset, "store": store}
    return outcomes(generator, [edits], matcher, segmenter, sample, **given)[0]


def outcomes(
    generator: RewritableGenerator,
    candidates: Sequence[Sequence[WeightEdit]],
    matcher: Matcher | None,
    segmenter: Segmenter,
    sample: Sample,
    *,
    wanted: Sequence[str],
    preset: Preset | None = None,
    store: Place | None = None,
    title: str = "images with the edit",
) -> list[Outcome]:
    """One outcome for each candidate, on the same images, which are made without edits once.

    Args:
        generator, matcher, segmenter, sample, wanted, preset, store: as of ``outcome``.
        candidates: edits, each taken by itself.
        title: of the progress.

    Raises:
        UsageError, UnknownNameError, ModelError: as of ``outcome``.

    ``outcomes(generator, [[closed], [published]], matcher, segmenter, sample, wanted=["tree"])``
    """
    count = _counting(generator, candidates, matcher, segmenter, sample, wanted, preset)
    parts: list[list[Part | None]] = [[None] * len(count.groups) for _ in candidates]
    for number, group, part in counted(count, title, store):
        parts[number][group] = part
    return [_joined(count, [p for p in own if p is not None]) for own in parts]


def copied_classes(
    bench: Bench,
    copy: Region,
    segmenter: Segmenter,
    *,
    preset: Preset | None = None,
    least: float = LEAST_OF_COPY,
) -> tuple[str, ...]:
    """The classes of a copied region: the largest, and all that fill a share of it.

    Args:
        bench: whose image it is of.
        copy: the region.
        segmenter: names the classes.
        preset: of the picture before it is segmented; default: ``native``.
        least: the share, in [0, 1].

    ``copied_classes(bench, request.copy, segmenter)``
    """
    subject = _subject(bench.generator, segmenter, bench.site.before, preset)
    image = copy.found.image if isinstance(copy, PhotoRegion) else bench.image(copy)
    maps = subject.label_maps(image.to(bench.weight.device), [copy.name])[0]
    weights = copy.area((int(maps.shape[-2]), int(maps.shape[-1]))).to(maps.device).double()
    vocabulary = segmenter.vocabulary
    named = range(1 if vocabulary.has_background else 0, len(vocabulary))
    shares = [float(weights[(maps == label).any(0)].sum() / weights.sum()) for label in named]
    order = sorted(range(len(shares)), key=lambda k: -shares[k])
    kept = [k for k in order if shares[k] >= least and shares[k] > 0] or order[:1]
    return tuple(vocabulary.names[named[k]] for k in kept)


def _subject(
    generator: RewritableGenerator, segmenter: Segmenter, layer: str, preset: Preset | None
) -> WholeSubject:
    return WholeSubject(generator, segmenter, layer, preset or PRESETS["native"])


def _counting(
    generator: RewritableGenerator,
    candidates: Sequence[Sequence[WeightEdit]],
    matcher: Matcher | None,
    segmenter: Segmenter,
    sample: Sample,
    wanted: Sequence[str],
    preset: Preset | None,
) -> Counting:
    if not candidates or not all(candidates):
        raise UsageError("no edit to measure")
    if not wanted and matcher is not None:
        raise UsageError("no wanted class: name the class that is to appear at matching places")
    if len(set(sample.indices)) < len(sample):
        raise UsageError("a sample has an image twice; each counts once")
    labels = tuple(segmenter.vocabulary.index(name) for name in dict.fromkeys(wanted))
    every = [RewrittenGenerator(generator, edits) for edits in candidates]
    sites: list[Site] = [] if matcher is None else [matcher.site]
    sites += [generator.site(edit.site) for edits in candidates for edit in edits]
    subject = _subject(generator, segmenter, in_front(generator, sites), preset)
    changes = [WeightChange(one.weights) for one in every]
    names = tuple(segmenter.vocabulary.names[label] for label in labels)
    return Counting(subject, sample, changes, matcher, labels, names)


def _joined(count: Counting, parts: Sequence[Part]) -> Outcome:
    """The outcome of a candidate from its parts, in the order of the images."""
    labels, rows = count.subject.labels, np.concatenate([part.rows for part in parts])
    pixels, table = parts[0].pixels, np.zeros((1, labels, labels), np.int64)
    for part in parts:
        first, second, many = part.pairs.T
        table[0, first, second] += many
    columns = OutcomeRows(*rows.T)
    measured = Measured(
        before=np.concatenate([part.before for part in parts]),
        after=np.concatenate([part.after for part in parts])[None],
        moved=columns.relabelled[None] / pixels,
        changes=table,
        pixels=pixels,
        images=np.asarray(count.sample.indices, dtype=np.int64),
    )
    known = [] if count.matcher is None else count.matcher.identity()
    matching = tuple(str(part) for part in known)
    return Outcome(
        columns, measured, pixels, parts[0].picture_pixels, count.wanted, count.sample, matching
    )


def _within(found: Ratio, least: float, most: float) -> Ratio:
    """The interval cut to where the number can lie."""
    low = None if found.low is None else max(least, found.low)
    high = None if found.high is None else min(most, found.high)
    return found._replace(low=low, high=high)
