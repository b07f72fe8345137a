"""Compares the tally of real images with the tally of generated ones.

Guarantees: only tallies of the same segmenter, vocabulary and preset are compared (unless forced);
the result says how far sampling alone explains the distance; every number is a function of the two
tallies and the seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seeingkit.contracts import Vocabulary
from seeingkit.errors import TallyError, UsageError, printable
from seeingkit.results import (
    ClassResult,
    Frame,
    FSDResult,
    ModelRecord,
    Results,
    SkippedItem,
    SourceRecord,
)
from seeingkit.statistics import FSD, Pool, compare_classes, fsd_of_rows, measure_distance
from seeingkit.statistics.claims import questions
from seeingkit.statistics.distance import Distance
from seeingkit.statistics.neighbourhoods import Neighbourhoods, neighbourhoods
from seeingkit.statistics.pairs import compare_pairs
from seeingkit.statistics.power import power
from seeingkit.statistics.scenes import scenes
from seeingkit.system.progress import progress_bar
from seeingkit.tallies import Tally
from seeingkit.tallies.vocabularies import ClassMap, read_classes
from seeingkit.tallies.vocabularies.merging import apply_classes, shared_classes

from .conditions import compare_conditions
from .defaults import PERMUTATIONS
from .dependence import groups_of
from .modes import compare_modes
from .notes import comparison_warnings, named_sides
from .pairing import pair_up
from .tables import class_table, pair_table
from .within import within_pairs

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True)
class Comparison:
    """Two tallies and what was found between them; a notebook shows it in words and a table.

    >>> real = Tally.from_fractions([[0.7, 0.3], [0.6, 0.4]] * 20, ["sky", "tree"])
    >>> generated = Tally.from_fractions([[1.0, 0.0]] * 40, ["sky", "tree"])
    >>> comparison = compare(real, generated, permutations=0)
    >>> comparison
    Comparison(40 real and 40 generated images, FSD 2,501, omitted: tree)
    >>> float(comparison.fsd), comparison.omitted
    (2501.28..., ['tree'])

    ``print`` of it gives all findings in sentences.

    Attributes:
        around: which generated images lie near each real one, if scenes were looked at.
    """

    real: Tally
    generated: Tally
    results: Results
    around: Neighbourhoods | None = None

    @property
    def fsd(self) -> FSDResult:
        """The distance with its floor, interval and p-value; ``float`` of it is its value.

        Percent²: see ``FSDResult``.
        """
        return self.results.fsd

    @property
    def omitted(self) -> list[str]:
        """Names of the classes that are missing, by real area, largest first."""
        nothing = 0 if self.real.vocabulary.has_background else None
        return [c.label for c in self.results.classes if c.omitted and c.index != nothing]

    @property
    def classes(self) -> Frame:
        """A table of the classes, largest real area first; "no object" is none.

        A ``pandas.DataFrame`` where pandas is installed, else a ``Table`` of the same columns;
        ``classes.attrs`` explains each, with units, and so does ``docs/python.md``. Everything
        that is known of a class is in ``results.classes``.

        >>> real = Tally.from_fractions([[0.7, 0.3], [0.6, 0.4]] * 20, ["sky", "tree"])
        >>> generated = Tally.from_fractions([[1.0, 0.0]] * 40, ["sky", "tree"])
        >>> classes = compare(real, generated, permutations=0).classes
        >>> [(row.label, round(row.real_area), row.verdict) for row in classes.itertuples()]
        [('sky', 65, 'excess'), ('tree', 35, 'omitted')]
        >>> classes.attrs["real_area"]
        'mean area in the real images, percent of the image'
        """
        return class_table(self.results, has_background=self.real.vocabulary.has_background)

    @property
    def pairs(self) -> Frame:
        """A table of the pairs of classes that go together differently, largest loss first.

        Without rows where there are none, or where they were not looked at (``paired``,
        ``groups``, ``evidence=False``).
        """
        return pair_table(self.results)

    def plot(self, layout: Literal["wide", "narrow"] = "wide") -> alt.TopLevelMixin:
        """The figure of class areas as an Altair chart with its data in it.

        It shows in a notebook, and ``.save`` writes HTML, SVG, PNG or JSON. Altair's usual view
        loads scripts from the web; ``altair.renderers.enable("svg")`` does without.

        Args:
            layout: ``wide``: classes along x; ``narrow``: classes along y.

        >>> real = Tally.from_fractions([[0.7, 0.3], [0.6, 0.4]] * 20, ["sky", "tree"])
        >>> chart = compare(real, real, permutations=0).plot()
        >>> [row["label"] for row in chart.datasets["classes"]]
        ['sky', 'tree']
        """
        from seeingkit.report import comparison_chart

        return comparison_chart(self.results, layout)

    def to_dict(self) -> dict[str, Any]:
        """The keys of ``results.json``."""
        return self.results.model_dump(mode="json")

    def __repr__(self) -> str:
        sizes = f"{self.results.n_real:,} real and {self.results.n_generated:,} generated images"
        omitted = ", ".join(map(printable, self.omitted)) or "none"
        return f"Comparison({sizes}, FSD {float(self.fsd):,.4g}, omitted: {omitted})"

    def __str__(self) -> str:
        from seeingkit.report import summarise

        return "\n".join(map(printable, summarise(self.results).text.split("\n")))

    def _repr_html_(self) -> str:
        from seeingkit.report import summary_html

        return summary_html(self.results)


def fsd(a: Tally | np.ndarray, b: Tally | np.ndarray) -> FSD:
    """Fréchet Segmentation Distance of two tallies, or of (N, L) area fractions, in percent².

    Raises:
        TallyError: different vocabularies, or fewer than two images on a side.

    >>> float(fsd(np.array([[0.0], [0.2]]), np.array([[0.3], [0.5]])).value)
    900.0
    """
    a, b = (x if isinstance(x, Tally) else Tally.from_fractions(x) for x in (a, b))
    _check_vocabularies(a.vocabulary, b.vocabulary)
    return fsd_of_rows(a.sparse_percent(0), b.sparse_percent(0))


def compare(
    real: Tally,
    generated: Tally,
    *,
    paired: bool = False,
    seed: int = 0,
    level: float = 0.05,
    permutations: int = PERMUTATIONS,
    classes: ClassMap | str | Path | None = None,
    force: bool = False,
    evidence: bool = True,
    groups: str | None = None,
) -> Comparison:
    """Class by class and as one distance: what do the generated images lack?

    Args:
        real, generated: tallies of at least two images each.
        paired: image k of one side belongs to an image of the other (``pairing.pair_up``): tests
            within pairs take the place of all tests between sides (``within``), and there is no
            other evidence.
        seed: of the floor's splits and the permutations.
        level: false discovery rate of the verdicts.
        permutations: 0 leaves p-value and interval of the distance out.
        classes: a class list (``read_classes``) that the labels of both are merged into first; so
            tallies of two segmenters compare, over the classes that both know.
        force: compare although numbers of images, segmenter or preset differ.
        evidence: also pairs of classes, power, and scenes; they change no verdict.
        groups: which images belong together, as the frames of one film do (``dependence``); pairs,
            power and scenes, which are of independent images, are then left out.

    Raises:
        TallyError: the tallies do not fit each other.
        UsageError: a class list that does not fit a vocabulary, or a setting out of range.

    >>> real = Tally.from_fractions([[0.7, 0.3], [0.6, 0.4]] * 20, ["sky", "tree"])
    >>> generated = Tally.from_fractions([[1.0, 0.0]] * 40, ["sky", "tree"])
    >>> compare(real, generated, permutations=0).omitted
    ['tree']
    """
    check_settings(seed, permutations, level)
    notes: list[str] = []
    one_segmenter = classes is None or real.vocabulary == generated.vocabulary
    if classes is not None:
        real, generated, notes = merged(real, generated, classes)
    if paired:
        if groups:
            raise UsageError("groups cannot be compared within pairs; leave one of the two")
        checks = {"one_segmenter": one_segmenter, "force": force}
        return _within(real, generated, notes, checks, seed, level, permutations)
    check_comparable(real, generated, one_segmenter=one_segmenter, force=force)
    members, grouped = groups_of(real, generated, groups) if groups else (None, None)
    one_class = real.vocabulary.unit == "class"
    fsd, classes_found = _between(
        real, generated, members, seed=seed, level=level, permutations=permutations
    )
    sizes, tested = (len(real), len(generated)), len(classes_found)
    together = evidence and not grouped and not one_class  # several classes in one image
    around = neighbourhoods(real, generated, seed=seed) if together else None
    conditions, matched, few = (
        ([], None, []) if grouped else compare_conditions(real, generated, seed=seed, level=level)
    )
    results = _results(
        real,
        generated,
        level,
        [*notes, *comparison_warnings(real, generated, grouped is not None, seed), *few],
        fsd=fsd,
        groups=grouped,
        classes=classes_found,
        pairs=compare_pairs(real, generated, level=level) if together else None,
        power=power(*sizes, classes_tested=tested, level=level, tests=questions(one_class))
        if evidence and tested and not grouped
        else None,
        scenes=scenes(real, generated, seed=seed, around=around) if around else None,
        conditions=conditions,
        real_classes=matched,
        modes=compare_modes(real, generated, seed=seed, level=level),
    )
    return Comparison(real, generated, results, around)


def _between(
    real: Tally,
    generated: Tally,
    members: tuple[Sequence[str], Sequence[str]] | None,
    *,
    seed: int,
    level: float,
    permutations: int,
) -> tuple[FSDResult, list[ClassResult]]:
    """The distance, and each class; the rows of both sides together are held in here alone."""
    pool = Pool(real.sparse_percent(0), generated.sparse_percent(0), members)
    distance = _distance(pool, permutations, seed)
    classes = compare_classes(
        pool,
        [(label.name, label.category) for label in real.vocabulary],
        permuted=distance.permuted,
        transport=distance.transport,
        level=level,
        one_class=real.vocabulary.unit == "class",
    )
    return distance.result, classes


def _distance(pool: Pool, permutations: int, seed: int) -> Distance:
    with progress_bar("permutation test", permutations, "permutations") as bar:
        return measure_distance(
            pool, permutations=permutations, seed=seed, progress=lambda _: bar.advance(1)
        )


def check_settings(seed: int, permutations: int, level: float) -> None:
    """Settings of a comparison lie in their ranges: ``check_settings(0, 999, 0.05)``.

    Raises:
        UsageError: one does not.
    """
    if seed < 0 or permutations < 0:
        raise UsageError(f"seed {seed} and {permutations} permutations: neither can be negative")
    if not 0 < level < 1:
        raise UsageError(f"a level lies between 0 and 1, not at {level}")


def _within(
    real: Tally,
    generated: Tally,
    notes: list[str],
    checks: dict[str, bool],
    seed: int,
    level: float,
    permutations: int,
) -> Comparison:
    """The comparison within pairs; ``checks``: the options of ``check_comparable``."""
    _check_vocabularies(real.vocabulary, generated.vocabulary)
    pairing = pair_up(real, generated, force=checks["force"])
    real, generated = pairing.real, pairing.generated
    check_comparable(real, generated, **checks)
    found = within_pairs(pairing, seed=seed, level=level, permutations=permutations)
    notes = [*notes, *pairing.notes, *comparison_warnings(real, generated, False, seed)]
    return Comparison(real, generated, _results(real, generated, level, notes, **found))


def _results(
    real: Tally, generated: Tally, level: float, warnings: list[str], **found: Any
) -> Results:
    """The results with the description of both sides."""
    return Results(
        n_real=len(real),
        n_generated=len(generated),
        segmenter=real.record.segmenter or ModelRecord(name="unknown", family="unknown"),
        generator=generated.record.generator,
        data=_data(real, "real images"),
        generated=_data(generated, "generated images"),
        preset=real.identity.preset if real.identity else {},
        level=level,
        skipped=[
            SkippedItem(source=side, item=item, reason=reason)
            for side, tally in named_sides(real, generated)
            for item, reason in (*tally.skipped, *tally.left_out)
        ],
        warnings=warnings,
        **found,
    )


def merged(
    real: Tally, generated: Tally, classes: ClassMap | str | Path
) -> tuple[Tally, Tally, list[str]]:
    """Both tallies over the classes of one list, and what a reader must know of it.

    Raises:
        UsageError, TallyError: the list does not fit a vocabulary, or they have nothing in common.
    """
    chosen = classes if isinstance(classes, ClassMap) else read_classes(classes)
    notes = []
    if real.vocabulary != generated.vocabulary:
        chosen, taken = shared_classes(chosen, real.vocabulary, generated.vocabulary)
        notes.append("The sides were segmented with different vocabularies, merged into one.")
        if taken:
            notes.append(f"Classes that only one side knows were left out: {', '.join(taken)}.")
    return apply_classes(real, chosen), apply_classes(generated, chosen), notes


def check_comparable(
    real: Tally, generated: Tally, *, one_segmenter: bool = True, force: bool = False
) -> None:
    """Refuse tallies whose numbers do not mean the same.

    Args:
        one_segmenter: both are of one segmenter; not so where vocabularies were merged.
        force: the vocabularies must agree, and nothing else.

    Raises:
        TallyError: says what differs and how to mend it.
    """
    _check_vocabularies(real.vocabulary, generated.vocabulary)
    for side, tally in named_sides(real, generated):
        if (usable := len(tally)) < 2:
            raise TallyError(f"the {side} side has {usable} usable images; at least 2 are needed")
    if force:
        return
    if len(real) != len(generated):
        left_out = sum(len(tally.skipped) for tally in (real, generated))
        because = f" ({left_out} could not be used)" if left_out else ""
        raise TallyError(
            f"the tallies are of {len(real)} and {len(generated)} images{because}, and FSD depends "
            "on the number; take equally many of each side, or force the comparison"
        )
    if real.identity is None or generated.identity is None:
        return
    ours, theirs = real.identity, generated.identity
    identities = {"segmenter": (ours.segmenter, theirs.segmenter)} if one_segmenter else {}
    if ours.preset and theirs.preset:  # else unknown on a side; ``_warnings`` says so
        identities = {"preset": (ours.preset, theirs.preset), **identities}
    for what, (a, b) in identities.items():
        if json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
            keys = sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))
            raise TallyError(
                f"the tallies differ in {what} ({', '.join(keys)}); tally both sides alike"
            )


def _check_vocabularies(a: Vocabulary, b: Vocabulary) -> None:
    if a.unit != b.unit:
        raise TallyError(f"one tally holds {a.unit}, the other {b.unit}; annotate both alike")
    if len(a) != len(b):
        raise TallyError(f"the tallies have {len(a)} and {len(b)} labels; use one segmenter")
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        if x.name != y.name:
            raise TallyError(f"label {k} is {x.name!r} on one side and {y.name!r} on the other")


def _data(tally: Tally, name: str) -> SourceRecord:
    """The source of one side; rows from elsewhere have only a number."""
    rows = SourceRecord(name=name, kind="rows", images=len(tally), fingerprint="")
    return tally.record.source or rows
