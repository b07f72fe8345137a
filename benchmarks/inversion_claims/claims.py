"""Rates of claims on the sets: by the bound of earlier versions, and by the verdicts of now.

The earlier rule, for one photo: a class is omitted where at least half of it is lost, and more than
19 of 20 generator samples lose of it (of classes of half to twice its area, where fewer than 19
samples show it). The rule of now is ``judge_classes``: about a class, over all photos of a run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seeingkit.analyses.inversion.calibration import ENOUGH, conformal_bound
from seeingkit.analyses.inversion.vanishing import MIN_AREA, Losses
from seeingkit.analyses.inversion.verdicts import classes_seen, judge_classes

from .measured import Measured

CALIBRATING = 40
"""Patched samples that calibrate, as in a run; the others are a set of photos with known truth."""
RUNS = 200
"""Random subsets of a set, each judged as the photos of one run."""


def losses(found: Measured, rows: NDArray[np.int64] | range) -> Losses:
    """Losses of some images of a set."""
    chosen = list(rows)
    return Losses.measure(found.before[chosen], found.after[chosen], found.names, True)


@dataclass(frozen=True)
class PhotoClaims:
    """Claims of the earlier rule on single photos.

    Attributes:
        pairs, images: shares of pairs with a drawn class that are called omitted, and of images
            with such a pair: all of these claims are false.
        vanish: share of pairs with a drawn class that lose at least half.
        found: share of pairs with an omitted class that are called omitted; None without any.
    """

    pairs: float
    images: float
    vanish: float
    found: float | None


def photo_claims(found: Measured, own: Measured, omitted: Collection[int]) -> PhotoClaims:
    """The earlier rule on each image of a set, calibrated by samples as they are."""
    known = losses(own, range(len(own.psnr)))
    false, wrong_images, vanish, right = [], [], [], []
    for row in range(len(found.psnr)):
        one = losses(found, range(row, row + 1))
        called = np.array(
            [
                gone and lost > _bound(known, label, area)
                for label, area, lost, gone in zip(
                    one.label, one.area, one.lost, one.vanished, strict=True
                )
            ],
            dtype=bool,
        )
        left_out = np.isin(one.label, list(omitted))
        false += called[~left_out].tolist()
        vanish += one.vanished[~left_out].tolist()
        right += called[left_out & (one.area >= MIN_AREA)].tolist()
        wrong_images.append(bool(called[~left_out].any()))
    mean = [float(np.mean(values)) for values in (false, wrong_images, vanish)]
    return PhotoClaims(*mean, float(np.mean(right)) if right else None)


def _bound(known: Losses, label: int, area: float) -> float:
    own = known.label == label
    near = (known.area >= area / 2) & (known.area <= area * 2)
    for chosen in (own, near, np.ones_like(own)):
        if int(chosen.sum()) >= ENOUGH:
            return max(0.0, conformal_bound(known.lost[chosen]))
    return np.inf


@dataclass(frozen=True)
class ClassClaims:
    """Verdicts on classes, over runs with random photos of a set.

    Attributes:
        photos: of a run; runs: how many.
        false_runs: share of runs that call a drawn class "more often".
        false_rate: mean share of false claims among the claims of a run (0 without claims).
        false_classes: share of the drawn classes that photos show which are called so.
        found: the same share of the omitted classes; None where there are none.
    """

    photos: int
    runs: int
    false_runs: float
    false_rate: float
    false_classes: float
    found: float | None


def class_claims(
    found: Measured,
    patched: Measured,
    omitted: Collection[int],
    photos: int,
    *,
    known: bool,
    pool: range,
) -> ClassClaims:
    """Judge random subsets of a set.

    Args:
        omitted: numbers of the classes that the generator does not draw.
        known: a comparison has told which classes are drawn; else those that samples show.
        pool: the images of the set that may be photos.
    """
    random = np.random.default_rng(0)
    hard = losses(patched, range(CALIBRATING))
    drawn = classes_seen(hard, CALIBRATING)
    if known:
        drawn = frozenset(range(1, len(found.names))) - frozenset(omitted)
    left_out = {found.names[k] for k in omitted}
    runs = RUNS if photos < len(pool) else 1
    wrong, right, drawn_shown, omitted_shown, rates = [], [], 0, 0, []
    for _ in range(runs):
        rows = random.choice(np.array(pool), min(photos, len(pool)), replace=False)
        records = judge_classes(losses(found, rows), hard, drawn)
        claims = [record.label for record in records if record.verdict == "more often"]
        wrong.append(sum(label not in left_out for label in claims))
        right.append(len(claims) - wrong[-1])
        rates.append(wrong[-1] / max(1, len(claims)))
        shown = sum(record.label in left_out for record in records)
        omitted_shown += shown
        drawn_shown += len(records) - shown
    return ClassClaims(
        min(photos, len(pool)),
        runs,
        float(np.mean([count > 0 for count in wrong])),
        float(np.mean(rates)),
        sum(wrong) / max(1, drawn_shown),
        sum(right) / omitted_shown if omitted_shown else None,
    )
