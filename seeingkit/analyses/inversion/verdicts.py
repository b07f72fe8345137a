"""Which classes vanish from photos more often than classes that the generator draws?

Null, for each class: it vanishes from photos as often as one of two references that the generator
draws. Both must be exceeded, so p is the larger of the two (Berger 1982), each one-sided and exact
(``statistics.rates``):

- in the same photos, other drawn classes of like area: they share the photos' difficulty;
- in generator samples with a foreign patch: the same class where the generator draws it and enough
  of them show it (some classes are harder than others of their size), else drawn classes of like
  area.

False discoveries over the classes of a method and cut are controlled at ``LEVEL`` (Benjamini and
Hochberg 1995), among those whose numbers allow a discovery at all (Tarone 1990).
docs/inversion.md has the rates of false claims where the truth is known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy import stats

from seeingkit.results import ClassVanishing, InversionRecord, ReferenceRate
from seeingkit.statistics.rates import RateComparison, compare_rates

from .vanishing import Losses

LEVEL = 0.05
"""False discovery rate of the verdicts."""
ENOUGH = 5
"""Patched samples that must show a class for it to be compared with itself."""
SEEN = 0.05
"""Share of patched samples that show a class at least, where the generator counts as drawing it
and no comparison says so."""


def losses_of(records: Sequence[InversionRecord], names: Sequence[str]) -> Losses:
    """Losses of all classes of some photos, from their records."""
    number = {name: k for k, name in enumerate(names)}
    classes = [entry for record in records for entry in record.classes]
    return Losses(
        tuple(names),
        np.array([number[entry.label] for entry in classes], dtype=np.int64),
        np.array([entry.photo_area for entry in classes], dtype=np.float64),
        np.array([entry.lost for entry in classes], dtype=np.float64),
    )


def classes_seen(patched: Losses | None, samples: int) -> frozenset[int]:
    """The classes that at least ``SEEN`` of the samples show, and at least two of them."""
    if patched is None:
        return frozenset()
    counts = np.bincount(patched.label, minlength=len(patched.names))
    return frozenset(np.nonzero(counts >= max(2, SEEN * samples))[0].tolist())


def judge_classes(
    photos: Losses,
    patched: Losses | None,
    drawn: Collection[int],
    *,
    method: str = "",
    cut: str = "",
    level: float = LEVEL,
) -> list[ClassVanishing]:
    """One verdict for each class that the photos show.

    ``judge_classes(losses_of(records, names), patched, classes_seen(patched, 40))``.

    Args:
        photos: losses in photos inverted by one method at one cut, one pair a photo and class.
        patched: losses in generator samples with a foreign patch; None: rates, but no verdict.
        drawn: numbers of the classes that the generator draws.
        method, cut: for the records.
        level: false discovery rate, in (0, 1).

    Returns:
        records, surest first.
    """
    found: list[ClassVanishing] = []
    least: list[float] = []
    for label in np.unique(photos.label).tolist():
        own = photos.of([label])
        others = [other for other in drawn if other != label]
        hits, trials = own.counts()
        near = compare_rates(hits, trials, *photos.of(others).counts())
        in_samples, p_value, possible = None, None, 1.0
        if patched is not None:
            itself = patched.of([label])
            if label in drawn and len(itself.label) >= ENOUGH:
                same = [int(itself.vanished.sum())], [len(itself.label)]
                hard = compare_rates([int(hits.sum())], [int(trials.sum())], *same)
                in_samples = _reference(hard, same_class=True)
            else:
                hard = compare_rates(hits, trials, *patched.of(others).counts())
                in_samples = _reference(hard)
            p_value = max(near.p_value, hard.p_value)
            possible = max(near.least_p, hard.least_p)
        found.append(
            ClassVanishing(
                method=method,
                cut=cut,
                label=photos.names[label],
                photos=len(own.label),
                vanished=int(own.vanished.sum()),
                in_photos=_reference(near),
                in_samples=in_samples,
                p_value=p_value,
            )
        )
        least.append(possible)
    return sorted(_decided(found, least, level), key=_surest)


def with_usual(
    records: Sequence[InversionRecord], photos: Losses, drawn: Collection[int]
) -> list[InversionRecord]:
    """The records with, for each loss, how often other drawn classes of like area vanish."""
    number = {name: k for k, name in enumerate(photos.names)}
    counts = {
        label: photos.of([other for other in drawn if other != label]).counts()
        for label in np.unique(photos.label).tolist()
    }
    bands = iter(photos.band.tolist())
    done = []
    for record in records:
        classes = []
        for entry in record.classes:
            band, (vanished, pairs) = next(bands), counts[number[entry.label]]
            usual = float(vanished[band] / pairs[band]) if pairs[band] else None
            update = {"usual": usual, "usual_pairs": int(pairs[band])}
            classes.append(entry.model_copy(update=update))
        done.append(record.model_copy(update={"classes": classes}))
    return done


def _reference(found: RateComparison, *, same_class: bool = False) -> ReferenceRate:
    return ReferenceRate(
        same_class=same_class,
        vanished=found.reference_hits,
        pairs=found.reference_trials,
        rate=found.reference_rate,
        p_value=found.p_value,
    )


def _decided(
    found: Sequence[ClassVanishing], least: Sequence[float], level: float
) -> list[ClassVanishing]:
    """The records with q-values and verdicts."""
    tested = [k for k, p in enumerate(least) if p <= level]
    p_values = [found[k].p_value or 0.0 for k in tested]
    adjusted = stats.false_discovery_control(p_values).tolist() if tested else []
    q_values = dict(zip(tested, adjusted, strict=True))
    done = []
    for k, record in enumerate(found):
        if record.p_value is None:
            done.append(record)
        elif k not in q_values:
            done.append(record.model_copy(update={"verdict": "too few"}))
        else:
            verdict = "more often" if q_values[k] <= level else "no evidence"
            done.append(record.model_copy(update={"q_value": q_values[k], "verdict": verdict}))
    return done


def _surest(record: ClassVanishing) -> tuple[bool, float, float, str]:
    p_value = 1.0 if record.p_value is None else record.p_value
    return record.verdict != "more often", p_value, -record.vanished / record.photos, record.label
