"""Class-conditional generators: which classes are drawn, and what each of them leaves out.

Guarantees: the label of generated image k depends on k and the policy only; images are matched to
the generator's classes by ``realclasses``, which says how; a class with fewer than two images on a
side gets no number, and is named instead.

Policies (``--labels``): ``uniform`` draws all classes in turn; ``data`` gives image k the class of
the k-th real image that has one, by its data set's list or its folder; a list (``3,7`` or class
names) is gone through again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seeingkit.contracts import ImageSource, Sampler
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.images.classfiles import CLASS_FILE
from seeingkit.results import ConditionResult, RealClasses
from seeingkit.statistics import Pool, compare_classes, measure_distance
from seeingkit.statistics.claims import Tests, adjust, class_tests
from seeingkit.statistics.distance import Distance

from .realclasses import FoundClasses, real_classes

if TYPE_CHECKING:
    from seeingkit.tallies import Tally

FEWEST = 2


def labels_for(
    policy: str | None, sampler: Sampler, real: ImageSource | None = None
) -> list[int] | None:
    """The labels that a generator's images take in turn, or None for an unconditional one.

    Args:
        policy: see the module; None is ``uniform``.
        real: the real images, for ``data``.

    Raises:
        UsageError: a policy for an unconditional generator, a class that does not exist, or real
            images that are not in one folder for each class.
    """
    names = sampler.info.class_names
    if not names:
        if policy is not None:
            raise UsageError(
                f"{sampler.info.family} is not conditional: leave --label and --labels out"
            )
        return None
    if policy in (None, "uniform"):
        return list(range(len(names)))
    if policy == "data":
        if real is None:
            raise UsageError("--labels data needs real images; give --labels uniform or a list")
        found = source_classes(real, names)
        if found.labels is None:
            raise UsageError(
                f"--labels data: {found.record.why}; or give --labels uniform, or a list"
            )
        return [label for label in found.labels if label is not None]
    return [_label(part, names) for part in str(policy).split(",")]


def _label(text: str, names: Sequence[str]) -> int:
    text = text.strip()
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    if text.isdigit():
        raise UsageError(f"no class {text}; the classes are 0 to {len(names) - 1}")
    raise UnknownNameError("class", text, names)


def source_classes(real: ImageSource, names: Sequence[str]) -> FoundClasses:
    """Which of a generator's classes each image of a source is of."""
    if real.generator is not None:  # whose classes are its own
        return real_classes(real.ids, names)
    listed = [real.condition(k) for k in range(len(real))]
    by = real.classes_by or CLASS_FILE
    return real_classes(real.ids, names, listed, by=by, called=real.class_names)


def tally_classes(real: Tally, names: Sequence[str]) -> FoundClasses:
    """Which of a generator's classes each image of a tally is of."""
    if real.conditions is None or real.record.generator is not None:
        return real_classes(real.ids, names)
    listed = [None if label < 0 else label for label in real.conditions.tolist()]
    by, called = _listing(real)
    return real_classes(real.ids, names, listed, by=by, called=called)


def class_names_of(generated: Tally, real: Tally | None = None) -> tuple[str, ...]:
    """Names of the classes of generated images: of their generator, else of their data set.

    Classes that only have numbers are called by them, as many as either side has.
    """
    if generated.record.generator is not None or generated.conditions is None:
        return generated.record.class_names
    if called := _listing(generated)[1]:
        return tuple(called)
    known = [t.conditions for t in (generated, real) if t is not None and t.conditions is not None]
    return tuple(str(k) for k in range(1 + max(int(labels.max()) for labels in known)))


def _listing(tally: Tally) -> tuple[str, list[str]]:
    """What gives the images of a data set their classes, and the names of these."""
    details = {} if tally.record.source is None else tally.record.source.details
    by = str(details.get("classes_by") or CLASS_FILE)
    return by, [str(name) for name in details.get("class_names") or ()]


def photo_classes(sampler: Sampler, real: Tally) -> dict[str, int] | None:
    """The generator's class of each real image, by id, where all have one."""
    names = sampler.info.class_names
    labels = tally_classes(real, names).labels if names else None
    if labels is None:
        return None
    found = {item: k for item, k in zip(real.ids, labels, strict=True) if k is not None}
    return found if len(found) == len(labels) else None


class _Compared(NamedTuple):
    """One class of the generator, compared but not yet judged."""

    label: int
    name: str
    pool: Pool
    distance: Distance
    tests: Tests


def compare_conditions(
    real: Tally, generated: Tally, *, seed: int, level: float
) -> tuple[list[ConditionResult], RealClasses | None, list[str]]:
    """Each class of a conditional generator against the real images of that class.

    Real images that have classes are compared class by class; otherwise each class is compared with
    all of them, which the records say (``against``). The claims of all
    of them together have the level: labels are corrected over all classes at once.

    Returns:
        the records in the order of the labels (empty for unconditional generators), how the real
        images were matched to them, and warnings.
    """
    drawn = generated.conditions
    if drawn is None:
        return [], None, []
    names = class_names_of(generated, real)
    found = tally_classes(real, names)
    real_labels = None
    if found.labels is not None:
        real_labels = np.array([-1 if label is None else label for label in found.labels])
    x, y = real.sparse_percent(0), generated.sparse_percent(0)
    vocabulary = [(label.name, label.category) for label in real.vocabulary]
    few, compared = [], []
    for label in np.unique(drawn[drawn >= 0]).tolist():  # -1: an image of no class
        rows = np.flatnonzero(drawn == label)
        kept = np.arange(len(real)) if real_labels is None else np.flatnonzero(real_labels == label)
        name = names[label] if label < len(names) else str(label)
        if len(rows) < FEWEST or len(kept) < FEWEST:
            few.append(name)
            continue
        pool = Pool(x[kept], y[rows])
        distance = measure_distance(pool, permutations=0, seed=seed)
        mask = pool.real_mask()
        tests = class_tests(pool.side(mask), pool.side(1 - mask), distance.permuted)
        compared.append(_Compared(label, name, pool, distance, tests))
    corrected = adjust([each.tests for each in compared], level) if compared else []
    records = []
    for each, adjusted in zip(compared, corrected, strict=True):
        classes = compare_classes(
            each.pool,
            vocabulary,
            transport=each.distance.transport,
            level=level,
            tests=each.tests,
            adjusted=adjusted,
        )
        records.append(
            ConditionResult(
                label=each.label,
                name=each.name,
                n_real=each.pool.n,
                n_generated=each.pool.m,
                against="all" if real_labels is None else "class",
                fsd=each.distance.result,
                classes=[c for c in classes if c.verdict != "no evidence"],
            )
        )
    shown = ", ".join(few[:8]) + (" …" if len(few) > 8 else "")
    warnings = [f"Too few images for a comparison of their own: {shown}."] if few else []
    return records, found.record, warnings
