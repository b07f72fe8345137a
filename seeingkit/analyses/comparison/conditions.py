"""Class-conditional generators: which classes are drawn, and what each of them leaves out.

Guarantees: the label of generated image k depends on k and the policy only; images are matched to
the generator's classes by name, or refused; a class with fewer than two images on a side gets no
number, and is named instead.

Policies (``--labels``): ``uniform`` draws all classes in turn; ``data`` gives image k the class of
the k-th real image, whose classes are their folders; a list (``3,7`` or class names) is gone
through again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seeingkit.contracts import ImageSource, Sampler
from seeingkit.errors import UnknownNameError, UsageError
from seeingkit.results import ConditionResult
from seeingkit.statistics import Pool, compare_classes, measure_distance
from seeingkit.statistics.claims import Tests, adjust, class_tests
from seeingkit.statistics.distance import Distance

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
        found = None if real is None else image_classes(real.ids)
        if found is None:
            raise UsageError(
                "--labels data needs real images in one folder for each class; give --labels "
                "uniform or a list"
            )
        places = match_classes(found, names)
        return [places[item] for item in found]
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


def photo_classes(sampler: Sampler, ids: Sequence[str]) -> dict[str, int] | None:
    """The generator's class of each real image, by id, where their folders say it."""
    names = sampler.info.class_names
    labels = _matched_images(ids, names) if names else None
    return None if labels is None else dict(zip(ids, labels, strict=True))


def _matched_images(ids: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """The generator's class of each real image, or None where their folders do not say it."""
    found = image_classes(ids)
    try:
        places = match_classes(found or (), names)
    except UsageError:
        return None
    return None if found is None else [places[folder] for folder in found]


class _Compared(NamedTuple):
    """One class of the generator, compared but not yet judged."""

    label: int
    name: str
    pool: Pool
    distance: Distance
    tests: Tests


def compare_conditions(
    real: Tally, generated: Tally, *, seed: int, level: float
) -> tuple[list[ConditionResult], list[str]]:
    """Each class of a conditional generator against the real images of that class.

    Real images in folders named as the generator's classes are compared class by class; otherwise
    each class is compared with all of them, which the records say (``against``). The claims of all
    of them together have the level: labels are corrected over all classes at once.

    Returns:
        the records in the order of the labels (empty for unconditional generators), and warnings.
    """
    drawn = generated.conditions
    if drawn is None:
        return [], []
    names = generated.record.class_names
    known = _matched_images(real.ids, names)
    real_labels = None if known is None else np.asarray(known)
    x, y = real.sparse_percent(0), generated.sparse_percent(0)
    vocabulary = [(label.name, label.category) for label in real.vocabulary]
    few, compared = [], []
    for label in np.unique(drawn).tolist():
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
    return records, [f"Too few images for a comparison of their own: {shown}."] if few else []


def image_classes(ids: Sequence[str]) -> list[str] | None:
    """The first folder in each id (``n01440764/0001.jpg``); None unless all have one of several."""
    parts = [item.replace("\\", "/").lstrip("./").partition("/") for item in ids]
    found = [folder for folder, _, _ in parts]
    return found if all(slash for _, slash, _ in parts) and len(set(found)) > 1 else None


def match_classes(found: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Which class of a generator each folder stands for.

    Folders match by name (case ignored) or by number; if none does and there are as many folders as
    classes, by alphabetical order, the usual convention of class folders.

    Raises:
        UsageError: some folders match and some do not, or none does (names the first).
    """
    folders = sorted(set(found))
    lower = {name.lower(): k for k, name in enumerate(names)}
    places: dict[str, int] = {}
    for folder in folders:
        if folder.lower() in lower:
            places[folder] = lower[folder.lower()]
        elif folder.isdigit() and int(folder) < len(names):
            places[folder] = int(folder)
    if len(places) == len(folders):
        return places
    if not places and len(folders) == len(names):
        return {folder: k for k, folder in enumerate(folders)}
    stray = next(folder for folder in folders if folder not in places)
    raise UsageError(
        f"folder {stray!r} of the real images is none of the generator's {len(names)} classes; "
        "name folders by class name or number, or give --labels uniform"
    )
