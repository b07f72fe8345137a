"""Runs beside each other: settings, distances, and the classes × runs matrix of differences.

Guarantees: numbers are those of the results, rounded as reports round them; where real images,
segmenter, preset or number of images differ, it says what cannot be compared, and why.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from seeingkit.report.selection import is_judged
from seeingkit.report.words.numbers import (
    area,
    between,
    change,
    interval,
    listing,
    number,
    probability,
)
from seeingkit.report.words.numbers import level as percent
from seeingkit.report.words.paired import relative_ends
from seeingkit.results import (
    AnyResults,
    ClassResult,
    FSDResult,
    GeneratorsResults,
    ModelRecord,
    PairedResult,
    Results,
    SourceRecord,
)

from .records import generated_name, omitted

Choice = Literal["claimed", "differ", "all"]
"""Classes with a claim in some run; those whose verdicts differ; all."""


@dataclass(frozen=True)
class Column:
    """One set of generated images against real ones, as it stands in the comparison.

    Attributes:
        run: title of the run; key: its own, for links.
    """

    run: str
    key: str
    name: str
    data: SourceRecord
    segmenter: ModelRecord
    preset: dict[str, Any]
    n_real: int
    n_generated: int
    level: float
    fsd: FSDResult
    classes: tuple[ClassResult, ...]
    paired: PairedResult | None = None
    groups: str = ""

    def found(self) -> dict[tuple[str, str, int], ClassResult]:
        """The classes by label, category, and a number that tells those of one name apart."""
        times = Counter[tuple[str, str]]()
        found = {}
        for record in self.classes:
            name = record.label, record.category
            found[*name, times[name]] = record
            times[name] += 1
        return found


def columns(findings: AnyResults, run: str, key: str) -> list[Column]:
    """The columns of a run: one a generator; none of an inversion."""
    if isinstance(findings, Results):
        return [
            Column(
                run=run,
                key=key,
                name=generated_name(findings.generator, findings.generated.name),
                n_generated=findings.n_generated,
                fsd=findings.fsd,
                classes=tuple(findings.classes),
                paired=findings.paired,
                groups=findings.groups.rule if findings.groups else "",
                **_shared(findings),
            )
        ]
    if isinstance(findings, GeneratorsResults):
        return [
            Column(
                run=run,
                key=key,
                name=one.name,
                n_generated=one.n,
                fsd=one.fsd,
                classes=tuple(one.classes),
                **_shared(findings),
            )
            for one in findings.generators
        ]
    return []


def _shared(findings: Results | GeneratorsResults) -> dict[str, Any]:
    names = ("data", "segmenter", "preset", "n_real", "level")
    return {name: getattr(findings, name) for name in names}


# ----------------------------------------------------------------------------------- settings


@dataclass(frozen=True)
class Row:
    """One row of settings or numbers: a text for each column.

    Attributes:
        values: exact, as text for programs; "" where there is none.
        differs: of a setting: not the same in all columns.
    """

    name: str
    texts: tuple[str, ...]
    values: tuple[str, ...] = ()
    differs: bool = False


@dataclass(frozen=True)
class Caution:
    """A difference of settings: what it keeps from being compared.

    Attributes:
        total: nothing can be compared; else some of it can.
    """

    words: str
    total: bool


_Setting = tuple[str, Callable[[Column], object], Callable[[Column], str], str, bool]

_WHY_DATA = (
    "The real images differ ({}): each run measures the distance to other images, so neither FSD "
    "nor differences of classes say which generator is nearer."
)
_UNKNOWN_DATA = (
    "Nothing tells whether the real images are the same ({}): results of rows alone do not name "
    "them, so take neither FSD nor differences of classes as comparable."
)
_WHY_SEGMENTER = (
    "The segmenters differ ({}): what one calls a class another does not, and FSD depends on it."
)
_WHY_PRESET = (
    "The preparation of the images differs ({}): size and crop change areas, and so all numbers."
)
_WHY_N = (
    "The numbers of images differ ({}): FSD falls as n grows, so its values cannot be compared; "
    "the bias-reduced values and the intervals estimate the same quantity, and with more images "
    "smaller differences get a verdict."
)
_WHY_LEVEL = "The levels of the verdicts differ ({}): a verdict of one is not one of the other."
_WHY_TESTS = "The tests differ ({}): the verdicts do not answer the same question."


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "unknown"


def _network(column: Column) -> str:
    own = column.segmenter
    parts = [own.name, own.weights_sha256, own.options]
    return json.dumps(parts, sort_keys=True, default=str)


def _segmenter_words(column: Column) -> str:
    return f"{column.segmenter.name} (weights {_short(column.segmenter.weights_sha256)})"


def _preset_words(column: Column) -> str:
    unsaid = ("name", "version")
    given = {k: v for k, v in column.preset.items() if k not in unsaid and v is not None}
    said = ", ".join(f"{k} {_plain(v)}" for k, v in given.items())
    name = _plain(column.preset.get("name", "unnamed"))
    return f"{name} ({said})" if said else name


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _images_words(column: Column) -> str:
    if column.n_real == column.n_generated:
        return f"{column.n_real:,} a side"
    return f"{column.n_real:,} real, {column.n_generated:,} generated"


def _tests(column: Column) -> str:
    if column.paired is not None:
        return "within pairs"
    return f"groups stay together ({column.groups})" if column.groups else "between sides"


_SETTINGS: tuple[_Setting, ...] = (
    (
        "real images",
        lambda c: c.data.fingerprint or f"of {c.run}",
        lambda c: f"{c.data.name} ({_short(c.data.fingerprint)})",
        _WHY_DATA,
        True,
    ),
    ("segmenter", _network, _segmenter_words, _WHY_SEGMENTER, True),
    (
        "preset",
        lambda c: json.dumps(c.preset, sort_keys=True, default=str),
        _preset_words,
        _WHY_PRESET,
        True,
    ),
    (
        "images",
        lambda c: (c.n_real, c.n_generated),
        _images_words,
        _WHY_N,
        False,
    ),
    ("level of the verdicts", lambda c: c.level, lambda c: percent(c.level), _WHY_LEVEL, False),
    ("tests", _tests, _tests, _WHY_TESTS, False),
)
"""Name, identity, words, why a difference matters, whether it then rules out any comparison."""


def settings(found: Sequence[Column]) -> tuple[list[Row], list[Caution]]:
    """The rows of settings, and what their differences keep from being compared."""
    rows, cautions = [], []
    for name, identity, words, why, total in _SETTINGS:
        texts = tuple(words(column) for column in found)
        differs = len({identity(column) for column in found}) > 1
        rows.append(Row(name, texts, differs=differs))
        if differs:
            said = "; ".join(dict.fromkeys(texts))
            if name == "real images" and not all(column.data.fingerprint for column in found):
                why = _UNKNOWN_DATA
            cautions.append(Caution(why.format(said), total))
    return rows, cautions


def verdict_of(cautions: Sequence[Caution]) -> str:
    """Whether the runs can be compared, in two or three words."""
    if any(caution.total for caution in cautions):
        return "Not comparable"
    return "Comparable in part" if cautions else "Comparable"


# ---------------------------------------------------------------------------------- distances


def distances(found: Sequence[Column]) -> list[Row]:
    """The rows of the distance: FSD, floor, bias-reduced value, interval, p, omitted classes."""

    def row(name: str, value: Callable[[FSDResult], float | None], text: Callable[..., str]) -> Row:
        values = [value(column.fsd) for column in found]
        texts = tuple("–" if x is None else text(x) for x in values)
        return Row(name, texts, tuple("" if x is None else repr(x) for x in values))

    confidence = {column.fsd.confidence for column in found}
    one = f"{percent(confidence.pop())} interval" if len(confidence) == 1 else "interval"
    ends = [(column.fsd.ci_low, column.fsd.ci_high) for column in found]
    lost = [omitted(list(column.classes)) for column in found]
    return [
        row("FSD, percent²", lambda fsd: fsd.value, number),
        row("floor, two real samples", lambda fsd: fsd.floor, number),
        row("bias-reduced", lambda fsd: fsd.bias_reduced, number),
        Row(
            f"{one} of the bias-reduced",
            tuple("–" if end == (None, None) else between(end) for end in ends),
            tuple("" if None in end else f"{end[0]!r} {end[1]!r}" for end in ends),
        ),
        row("permutation p", lambda fsd: fsd.p_value, probability),
        Row(
            "omitted classes",
            tuple(f"{len(labels)}: {listing(labels)}" if labels else "none" for labels in lost),
            tuple(str(len(labels)) for labels in lost),
        ),
    ]


@dataclass(frozen=True)
class Bar:
    """The distance of one column as a picture; all in percent of the width, None where unknown."""

    value: float
    floor: float | None
    reduced: float | None
    low: float | None
    high: float | None


def bars(found: Sequence[Column]) -> tuple[list[Bar], float]:
    """Each column's distance on one scale from 0, and the end of the scale in percent²."""
    numbers = [
        x
        for column in found
        for x in (column.fsd.value, column.fsd.floor, column.fsd.ci_high)
        if x is not None and x < float("inf")
    ]
    end = 1.04 * max([x for x in numbers if x > 0], default=1.0)

    def place(x: float | None) -> float | None:
        return None if x is None or x != x else round(100 * min(max(x / end, 0.0), 1.0), 2)

    made = [
        Bar(
            place(c.fsd.value) or 0.0,
            place(c.fsd.floor),
            place(c.fsd.bias_reduced),
            place(c.fsd.ci_low),
            place(c.fsd.ci_high),
        )
        for c in found
    ]
    return made, end


# ------------------------------------------------------------------------------------ classes


@dataclass(frozen=True)
class Cell:
    """One class in one column: the relative difference, its interval, the areas, the verdict."""

    change: str
    ends: str
    areas: str
    verdict: str
    value: str


@dataclass(frozen=True)
class ClassRow:
    """One class over all columns; a column whose segmenter does not know it has None."""

    label: str
    category: str
    cells: tuple[Cell | None, ...]


def class_rows(
    found: Sequence[Column], choice: Choice = "claimed", text: str = ""
) -> tuple[list[ClassRow], int]:
    """The classes chosen, by real area, and how many there are in all.

    Classes that no image shows are not counted, and neither is "no object".

    Args:
        text: part of a label, in any case; "" for all.
    """
    by_class = [column.found() for column in found]
    ends = [_paired_ends(column) for column in found]
    names = dict.fromkeys(name for classes in by_class for name in classes)

    def records(name: tuple[str, str, int]) -> list[ClassResult | None]:
        return [classes.get(name) for classes in by_class]

    seen = [name for name in names if any(map(_is_seen, records(name)))]
    seen.sort(key=lambda name: -max(r.real_area for r in records(name) if r is not None))
    chosen = [
        ClassRow(
            *name[:2],
            cells=tuple(
                None if record is None else _cell(record, own)
                for record, own in zip(records(name), ends, strict=True)
            ),
        )
        for name in seen
        if text.lower() in name[0].lower() and _is_chosen(records(name), choice)
    ]
    return chosen, len(seen)


def _is_seen(record: ClassResult | None) -> bool:
    shown = record is not None and (record.real_area > 0 or record.generated_area > 0)
    return shown and record is not None and (is_judged(record) or record.category == "material")


def _is_chosen(records: Iterable[ClassResult | None], choice: Choice) -> bool:
    verdicts = {None if record is None else record.verdict for record in records}
    if choice == "claimed":
        return bool(verdicts - {None, "no evidence"})
    return choice == "all" or len(verdicts) > 1


def _paired_ends(column: Column) -> dict[int, str] | None:
    """The intervals of a paired comparison, which take the place of those between sides."""
    if column.paired is None:
        return None
    return {record.index: relative_ends(record) for record in column.paired.classes}


def _cell(record: ClassResult, paired: dict[int, str] | None) -> Cell:
    relative = record.relative_difference
    ends = ""
    if relative is not None:
        own = None if paired is None else paired.get(record.index, "–")
        ends = interval(record.ci_low, record.ci_high) if own is None else own
    return Cell(
        change="new" if relative is None and record.generated_area > 0 else change(relative),
        ends=ends,
        areas=f"{area(record.real_area)} → {area(record.generated_area)}",
        verdict=record.verdict,
        value="" if relative is None else repr(relative),
    )
