"""The rates of claims of ``benchmarks.inversion_claims``, in cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.inversion_claims.claims import CALIBRATING, class_claims, photo_claims
from benchmarks.inversion_claims.measured import Measured
from benchmarks.inversion_claims.sets import Truth

NAMES = ("-", "person", "tree", "car")


def images(n: int, person: float | None, tree: float, car: float = 4.0) -> Measured:
    """n images with 4 % of each class, of which these areas are left; None: no person at all."""
    before = np.tile([88.0, 0.0 if person is None else 4.0, 4.0, 4.0], (n, 1))
    after = np.tile([88.0, person or 0.0, tree, car], (n, 1))
    return Measured(NAMES, before, after, np.zeros_like(before), np.full(n, 20.0), ("",) * n)


def test_claims_of_the_earlier_rule() -> None:
    own = images(20, None, 3.9)
    calm = photo_claims(images(6, None, 3.9), own, {1})
    assert (calm.pairs, calm.images, calm.vanish, calm.found) == (0, 0, 0, None)
    hard = photo_claims(images(6, 0.0, 1.0), own, {1})  # trees lose three quarters, cars nothing
    assert (hard.pairs, hard.images, hard.vanish, hard.found) == (0.5, 1, 0.5, 1)
    assert photo_claims(images(6, 0.0, 2.5), own, {1}).images == 0  # less than half is lost
    known = photo_claims(images(6, 0.0, 1.0), images(20, None, 0.9), {1})
    assert known.images == 0  # samples lose as much


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_verdicts_over_runs(known: bool) -> None:
    patched = images(CALIBRATING, None, 4.0)
    gone = class_claims(images(30, 0.0, 4.0), patched, {1}, 8, known=known, pool=range(30))
    assert (gone.photos, gone.false_runs, gone.false_classes, gone.found) == (8, 0, 0, 1)
    # Trees vanish too, though they are drawn: a false claim in every run, one of two claims.
    wrong = class_claims(images(30, 0.0, 0.0), patched, {1}, 8, known=known, pool=range(30))
    assert (wrong.false_runs, wrong.false_classes, wrong.runs) == (1, 0.5, wrong.runs)
    assert wrong.false_rate == pytest.approx(0.5) and wrong.runs > 1
    alone = class_claims(images(8, None, 4.0), patched, {1}, 8, known=known, pool=range(8))
    assert (alone.runs, alone.false_runs, alone.found) == (1, 0, None)


def test_omitted_classes_have_at_most_half_of_the_area() -> None:
    real = {"person": 1.0, "tree": 4.0, "car": 0.01}
    assert Truth(real, {"person": 0.5, "tree": 2.1, "car": 0.0}).omitted == ("person",)
