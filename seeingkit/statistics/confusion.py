"""Segmentation errors on labelled real images, and the differences that they can make.

Guarantees: a segmenter without errors explains nothing and corrects nothing; areas that the known
confusion made are given back exactly; every number is a function of the counts and the areas.

Let C[t, p] be the pixels of true label t that were called p, R[t, p] = C[t, p] / Σ_p C[t, p] the
rates, q a set's true mean areas and s its segmented ones. Where the segmenter errs at these rates,
s = Rᵀ q. For a label c, recall ρ = R[c, c]; invented area I = Σ_{t≠c} R[t, c] q_t; missed area
M = (1 - ρ) q_c.

**Correction.** q is the composition that makes the segmented areas most likely, max Σ_p s_p
log (Rᵀ q)_p over q ≥ 0, Σ q = Σ s, found by expectation maximisation (Saerens, Latinne and
Decaestecker 2002, Neural Computation 14, section 2; the iteration is Richardson's and Lucy's). It
starts from the true areas of the labelled images, for both sides: labels that the segmenter cannot
tell apart stay as in real images. A label that no labelled image shows is taken as always
recognised.

**Explained.** The part of a difference d = s_generated - s_real that errors could make, were c's
true area unchanged. Two things count. Other labels that are mistaken for c changed: I_generated -
I_real, at the known rates. And the rates differ on generated images: one kind of error, missing or
inventing, vanishes there or is twice as frequent. So

    excess (d > 0):  reach = I_generated - I_real + max(I_generated, M)
    loss   (d < 0):  reach = I_real - I_generated + max(I_generated, min(ρ, 1 - ρ) q_c)

and explained = reach / |d|, cut to [0, 1]. In the excess, inventing doubles or missing vanishes; in
the loss, missing doubles (recall is never below 0) or inventing vanishes; q_c is the real side's
corrected area. The factor two is a convention: it makes "explained" a yardstick in units of errors
that were measured, not a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seeingkit.errors import TallyError
from seeingkit.results import ClassResult, SegmenterClass, SegmenterShare

from .accuracy import intersection_over_union, pixel_accuracy
from .arrays import Booleans, Floats, defined

HALF = 0.5
"""Above this share explained, or below this precision or recall, a class is flagged."""
BLIND = 0.1
"""A class of lower recall cannot be corrected: nearly all of its segmented area is others'."""
FEW_IMAGES = 5
"""A class that fewer labelled images show is flagged, if there is a verdict on it."""
_ITERATIONS = 20_000
_SETTLED = 1e-12  # of the whole image, in one iteration


@dataclass(frozen=True)
class Confusion:
    """How a segmenter's labels agree with true ones on some real images.

    Attributes:
        counts: (L, L) int64 pixels, true label by row, predicted by column.
        known: (L,) bool, labels that the true labels have a name for.
        shown: (L,) int64, images whose true labels show the label.
        images: how many images were counted.
        against: in words: whose labels.
        unmatched: names of true labels that the segmenter lacks; their pixels are not counted.
    """

    counts: NDArray[np.int64]
    known: Booleans
    shown: NDArray[np.int64]
    images: int
    against: str
    unmatched: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.known)
        if self.counts.shape != (size, size) or self.shown.shape != (size,):
            raise TallyError(f"a confusion of {size} labels needs {size} x {size} counts")
        if not self.counts.sum():
            raise TallyError("the confusion counts no pixel")

    @property
    def precision(self) -> Floats:
        """(L,) share of the pixels called so that are; NaN where none is called so or known."""
        called = self.counts.sum(axis=0)
        return _divided(self.counts.diagonal(), np.where(self.known, called, 0))

    @property
    def recall(self) -> Floats:
        """(L,) share of the true pixels that are called so; NaN where there is none."""
        return _divided(self.counts.diagonal(), self.counts.sum(axis=1))

    @property
    def error_area(self) -> Floats:
        """(L,) percent of the labelled area that is missed or invented."""
        wrong = self.counts.sum(axis=0) + self.counts.sum(axis=1) - 2 * self.counts.diagonal()
        return np.asarray(100.0 * wrong / self.counts.sum())

    @property
    def rates(self) -> Floats:
        """(L, L) R[t, p]; a label that is never true is always recognised."""
        true = self.counts.sum(axis=1, keepdims=True)
        return np.where(true > 0, self.counts / np.maximum(true, 1), np.eye(len(true)))

    @property
    def pixel_accuracy(self) -> float:
        """Share of the counted pixels whose label is right."""
        return pixel_accuracy(torch.from_numpy(self.counts))

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the labels with a true name that are true or predicted somewhere."""
        each = intersection_over_union(torch.from_numpy(self.counts)).numpy()
        return float(np.nanmean(each[self.known]))


def undo_confusion(areas: Floats, confusion: Confusion) -> Floats:
    """The true areas that a segmenter with this confusion most likely saw.

    Args:
        areas: (L,) segmented mean areas, in any unit, not negative.

    Returns:
        (L,) of the same sum.

    Raises:
        TallyError: areas of other labels, negative or not finite.
    """
    areas = np.asarray(areas, dtype=np.float64)
    if areas.shape != confusion.known.shape:
        raise TallyError(f"{areas.shape} areas and a confusion of {len(confusion.known)} labels")
    if not np.isfinite(areas).all() or (areas < 0).any():
        raise TallyError("areas must be finite and not negative")
    total = float(areas.sum())
    if total == 0:
        return areas.copy()
    true = confusion.counts.sum(axis=1).astype(np.float64)
    active = np.flatnonzero((areas > 0) | (true > 0))
    rates = confusion.rates[np.ix_(active, active)]
    seen = areas[active] / total
    found = np.where(true[active] > 0, true[active] / true.sum(), seen)
    found /= found.sum()
    for _ in range(_ITERATIONS):
        expected = found @ rates
        ratio = _divided(seen, expected, otherwise=0.0)
        # An area called what no true label is ever called has no explanation; it is left out.
        update = found * (rates @ ratio)
        update /= update.sum()
        change = float(np.abs(update - found).max())
        found = update
        if change < _SETTLED:
            break
    corrected = np.zeros_like(areas)
    corrected[active] = found * total
    return corrected


@dataclass(frozen=True)
class Explanation:
    """The share of the difference between two sets that the confusion can make, label by label.

    Attributes:
        real, generated: (L,) corrected areas in the unit of the segmented ones.
        invented: (L,) change of the invented area, generated - real, at the known rates.
        reach: (L,) how much of the difference errors could make, in its direction; never below 0.
        explained: (L,) reach / |difference| in [0, 1]; NaN where there is no difference.
    """

    real: Floats
    generated: Floats
    invented: Floats
    reach: Floats
    explained: Floats


def explain(real: Floats, generated: Floats, confusion: Confusion) -> Explanation:
    """How much of each label's difference the segmenter's errors could make (see this module).

    Args:
        real, generated: (L,) segmented mean areas.

    Raises:
        TallyError: as ``undo_confusion``.
    """
    real, generated = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    true_real, true_generated = (undo_confusion(a, confusion) for a in (real, generated))
    rates = confusion.rates
    recall = rates.diagonal()
    invented_real, invented = (q @ rates - q * recall for q in (true_real, true_generated))
    invented_real, invented = np.maximum(invented_real, 0), np.maximum(invented, 0)
    difference = generated - real
    excess = difference > 0
    missed = np.where(excess, 1 - recall, np.minimum(recall, 1 - recall)) * true_real
    moved = invented - invented_real
    reach = np.maximum(np.where(excess, moved, -moved) + np.maximum(invented, missed), 0)
    blind = (confusion.recall < BLIND) & (difference != 0)
    reach = np.where(blind, np.maximum(reach, np.abs(difference)), reach)
    explained = _divided(reach, np.abs(difference))
    return Explanation(true_real, true_generated, moved, reach, np.minimum(explained, 1))


def segmenter_share_by_labels(
    confusion: Confusion, classes: Sequence[ClassResult], real: Floats, generated: Floats
) -> SegmenterShare:
    """The record of ``results.json``: the share of each class's difference that errors could make.

    Args:
        confusion: on labelled real images, of the labels that were compared.
        classes: of the comparison; ``index`` is the place in ``real`` and ``generated``.
        real, generated: (L,) mean areas in percent of the image.

    Raises:
        TallyError: areas of other labels.
    """
    found = explain(real, generated, confusion)
    against = confusion.against
    if confusion.unmatched:
        against += f"; the segmenter lacks {', '.join(confusion.unmatched)}"
    return SegmenterShare(
        kind="labels",
        against=against,
        images=confusion.images,
        pixel_accuracy=confusion.pixel_accuracy,
        mean_iou=confusion.mean_iou,
        classes=[_record(c, confusion, found) for c in classes],
    )


def _record(result: ClassResult, confusion: Confusion, found: Explanation) -> SegmenterClass:
    k = result.index
    if not confusion.known[k]:
        return SegmenterClass(label=result.label, why="It is not among the true labels.")
    if not (confusion.counts[:, k].any() or confusion.shown[k]):
        return SegmenterClass(label=result.label, error_area=0.0, why="No labelled image shows it.")
    precision, recall = defined(confusion.precision[k]), defined(confusion.recall[k])
    corrected = recall is None or recall >= BLIND
    real, generated = float(found.real[k]), float(found.generated[k])
    why = _reasons(result, confusion, found)
    return SegmenterClass(
        label=result.label,
        precision=precision,
        recall=recall,
        error_area=float(confusion.error_area[k]),
        real_corrected=real if corrected else None,
        generated_corrected=generated if corrected else None,
        relative_corrected=generated / real - 1 if corrected and real > 0 else None,
        explained=defined(found.explained[k]),
        flagged=bool(why),
        why=" ".join(why),
    )


def _reasons(result: ClassResult, confusion: Confusion, found: Explanation) -> list[str]:
    """Sentences; empty where nothing speaks against the verdict."""
    why, k = [], result.index
    precision, recall, explained = confusion.precision[k], confusion.recall[k], found.explained[k]
    if recall < HALF:  # never where it is NaN
        why.append(f"The segmenter finds only {_percent(recall)} of its pixels in real images.")
    if precision < HALF:
        why.append(f"Only {_percent(precision)} of the pixels called so in real images are.")
    if result.verdict == "no evidence":
        return why
    if explained > HALF:
        difference = result.generated_area - result.real_area
        sign, kind = (1, "excess") if difference > 0 else (-1, "loss")
        moved, difference = sign * found.invented[k], abs(difference)
        if moved > HALF * difference:
            why.append(
                f"Other classes are mistaken for it, and their change makes "
                f"{_percent(min(1.0, moved / difference))} of the {kind} at the known error rates."
            )
        else:
            why.append(
                f"Errors twice as frequent in generated as in real images, or absent there, would "
                f"make {_percent(explained)} of the {kind}."
            )
    if confusion.shown[k] < FEW_IMAGES:
        plural = "" if confusion.shown[k] == 1 else "s"
        why.append(f"Its error rates rest on {confusion.shown[k]} labelled image{plural}.")
    return why


def _divided(share: NDArray[Any], whole: NDArray[Any], otherwise: float = np.nan) -> Floats:
    """share / whole; ``otherwise`` where whole is 0."""
    found = np.divide(share, whole, out=np.full(len(whole), otherwise), where=whole > 0)
    return np.asarray(found)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
