"""The findings of a paired comparison: within pairs, and nothing between sides.

Guarantees: no test that takes the images of both sides as independent has a say in a paired run,
and none of its p-values or verdicts is printed. The records of classes keep the numbers that
describe each side (areas, presences, their intervals); their verdicts, p, q and the interval of the
relative difference are those within pairs. FSD keeps its value and terms; its p is that of swapping
pairs. Its floor, interval and reduced bias, pairs of classes, power, scenes and the classes of a
conditional generator belong to independent sides and are left out.

The verdict of a class sums up its two claims (``statistics.paired``) by the same rule as that of
independent sides (``statistics.classes.sum_up``).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from seeingkit.results import ClassResult, FSDResult, Verdict
from seeingkit.results.paired import PairedClass, PairedImages, PairedResult
from seeingkit.statistics import Pool, compare_classes, frechet
from seeingkit.statistics.claims import QUESTIONS
from seeingkit.statistics.classes import sum_up
from seeingkit.statistics.frechet import transport
from seeingkit.statistics.paired import compare_paired
from seeingkit.statistics.swaps import swap_test
from seeingkit.system.progress import progress_bar
from seeingkit.tallies import Tally

from .pairing import Pairing

SHOWN = 12
"""At most so many pairs of one class are named for people to look at."""

DESCRIBING = {
    "label",
    "category",
    "index",
    "real_area",
    "generated_area",
    "relative_difference",
    "real_presence",
    "generated_presence",
    "real_area_ci",
    "generated_area_ci",
    "real_presence_ci",
    "generated_presence_ci",
    "presence_change",
    "real_area_if_present",
    "generated_area_if_present",
    "given_change",
    "images_change",
    "speck_area",
    "real_seen",
    "generated_seen",
    "fsd_mean_term",
    "fsd_cov_term",
}
"""Fields of a class that hold for each side by itself, or compare no images."""


def within_pairs(
    pairing: Pairing, *, seed: int = 0, level: float = 0.05, permutations: int = 999
) -> dict[str, Any]:
    """``fsd``, ``classes`` and ``paired`` of the results.

    Args:
        pairing: at least two pairs.
        seed: of random flips and swaps.
        level: false discovery rate of the claims.
        permutations: random swaps of pairs behind the p-value of FSD; 0 leaves it out.
    """
    real, generated = pairing.real, pairing.generated
    rows = real.sparse_percent(0), generated.sparse_percent(0)
    pool = Pool(*rows)
    mask = pool.real_mask()
    moments = [sums.moments() for sums in pool.sums(np.column_stack([mask, 1 - mask]))]
    distance = frechet(*moments)
    with progress_bar("swap test", permutations, "swaps") as bar:
        swaps = swap_test(
            pool,
            distance,
            permutations=permutations,
            seed=seed,
            progress=lambda _: bar.advance(1),
        )
    labels = [(label.name, label.category) for label in real.vocabulary]
    found = compare_paired(*rows, labels, seed=seed, level=level)
    described = compare_classes(pool, labels, transport=transport(*moments), level=level)
    by_index = {record.index: record for record in found.classes}
    confidence = 1 - found.cut_area
    classes = [judged(record, by_index[record.index], confidence) for record in described]
    ordered = [by_index[record.index] for record in described]
    swapped = {} if swaps is None else {"p_value": swaps.p_value, "permutations": swaps.swaps}
    return {
        "fsd": FSDResult(**distance._asdict(), **swapped),
        "classes": classes,
        "paired": PairedResult(
            pairs=pool.n,
            matched=pairing.matched,
            words=pairing.words,
            left_out_real=pairing.left_out[0],
            left_out_generated=pairing.left_out[1],
            level=level,
            tested_area=found.tested_area,
            tested_images=found.tested_images,
            confidence_area=confidence,
            flips=found.flips,
            fsd_swapped=swaps.mean if swaps else None,
            p_fsd=swaps.p_value if swaps else None,
            swaps=swaps.swaps if swaps else 0,
            exact_fsd=bool(swaps and swaps.exact),
            classes=ordered,
            **_looked_at(real, generated, ordered),
        ),
    }


def judged(record: ClassResult, paired: PairedClass, confidence: float) -> ClassResult:
    """The record of a class with the claims, p, q and interval of the tests within pairs."""
    verdict, because = verdict_of(paired, record.real_seen or 0.0, record.generated_seen or 0.0)
    smaller = min(paired.p_area, paired.p_images)
    low, high = paired.relative_low, paired.relative_high
    return ClassResult(
        **record.model_dump(include=DESCRIBING),
        p_value=min(1.0, QUESTIONS * smaller),
        q_value=min(paired.q_area, paired.q_images),
        p_area=paired.p_area,
        p_seen=paired.p_images,
        area_claim=paired.area_claim,
        images_claim=paired.images_claim,
        q_area=paired.q_area,
        q_images=paired.q_images,
        ci_confidence=confidence,
        ci_low=low,
        ci_high=high,
        verdict=verdict,
        omitted=verdict == "omitted",
        because=because,
    )


def verdict_of(
    paired: PairedClass, real_seen: float, generated_seen: float
) -> tuple[Verdict, Literal["area", "presence"] | None]:
    """The two claims of a class in one word, and which of them it rests on (``sum_up``).

    Args:
        paired: the claims.
        real_seen, generated_seen: shares of images above the area threshold.
    """
    change = math.nan if paired.relative_difference is None else paired.relative_difference
    seen = generated_seen / real_seen - 1 if real_seen > 0 else math.nan
    return sum_up(paired.area_claim, paired.images_claim, change, seen)


def _looked_at(
    real: Tally, generated: Tally, classes: list[PairedClass]
) -> dict[str, str | list[PairedImages] | None]:
    """Pairs of the class that differs most surely, largest difference in its direction first.

    Losses come before gains: the question is of omissions.
    """
    nothing = 0 if real.vocabulary.has_background else None
    differing = [c for c in classes if c.differing and c.index != nothing]
    if not differing:
        return {"shown_class": None, "images": []}
    worst = min(differing, key=_surely)
    before, after = (
        t.sparse_percent(0)[:, [worst.index]].toarray().ravel() for t in (real, generated)
    )
    change = after - before if worst.mean_difference > 0 else before - after
    order = [k for k in np.argsort(-change, kind="stable").tolist() if change[k] > 0][:SHOWN]
    images = [
        PairedImages(
            real=real.ids[k],
            generated=generated.ids[k],
            real_area=float(before[k]),
            generated_area=float(after[k]),
        )
        for k in order
    ]
    return {"shown_class": worst.label, "images": images}


def _surely(record: PairedClass) -> tuple[bool, float, float]:
    """Sorts by loss before gain among claims, then by p, then by size."""
    claimed_loss = record.area_claim == "less area" or record.images_claim == "in fewer images"
    p = min(record.p_area, record.p_images)
    return not claimed_loss, p, -abs(record.mean_difference)
