"""Several generators against the same real images, from the results of one or more runs.

Runs whose real images, segmenter or labels differ are refused with the difference: beside each
other their numbers would say nothing about the generators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from seeingkit.errors import RunError, UsageError
from seeingkit.results import (
    AnyResults,
    ArtifactResults,
    AssessmentResults,
    ClassResult,
    DissectionResults,
    FSDResult,
    GeneratorsResults,
    InterventionResults,
    InversionResults,
    ModelRecord,
    Results,
    UnitContrastsResults,
)

from ..words.numbers import area, count, level, plain_text


@dataclass(frozen=True)
class Compared:
    """One generator, or set of generated images, against real ones.

    Attributes:
        name: of the generator, unique in a figure.
        n: generated images; n_real, real: the real ones, how many and which.
        paired: the verdicts are those of tests within pairs.
    """

    name: str
    n: int
    fsd: FSDResult
    classes: tuple[ClassResult, ...]
    n_real: int
    real: str
    paired: bool


_WITHOUT_AREAS: dict[type[AnyResults], str] = {
    DissectionResults: "dissect compares no areas; its figure is figures/units.svg",
    UnitContrastsResults: "compare-units compares no areas; its figure is figures/unit-counts.svg",
    InterventionResults: "intervene compares no areas; it has figures in its folder",
    ArtifactResults: "artifacts compares no areas with real ones; it has no figure",
    AssessmentResults: "assess compares no areas with real ones; it has figures in its folder",
    InversionResults: "invert compares no areas; it has figures of --kind pair and depth",
}
"""Kinds of results without areas, and what their runs have."""


def compared(
    runs: Mapping[Path, AnyResults], names: Sequence[str] = (), *, most: int
) -> tuple[Compared, ...]:
    """The generators of the runs, in their order.

    Args:
        runs: results by the folder of the run.
        names: of the generators, in place of their own.
        most: how many a figure can show.

    Raises:
        RunError: a run compares no areas, or two have other real images, segmenters or labels.
        UsageError: too many generators, or not as many names.
    """
    for run, results in runs.items():
        if (why := _WITHOUT_AREAS.get(type(results))) is not None:
            raise RunError(f"{run}: a run of {why}")
    for first, second in pairwise(runs):
        _check_same(first, runs[first], second, runs[second])
    found = [(run, one) for run, results in runs.items() for one in _of(results)]
    if len(found) > most:
        raise UsageError(f"{len(found)} generators in one figure: give at most {most}")
    own = _unique(found)
    if names and len(names) != len(own):
        raise UsageError(f"{count(len(names), 'name')} for {len(own)}: {', '.join(own)}")
    if len(set(names)) < len(names):
        raise UsageError("two generators of the figure have the same name")
    shown = names or own
    return tuple(
        Compared(name, one.n, one.fsd, one.classes, one.n_real, one.real, one.paired)
        for name, (_, one) in zip(shown, found, strict=True)
    )


def _of(results: AnyResults) -> Iterator[Compared]:
    if isinstance(results, GeneratorsResults):
        for one in results.generators:
            real = results.n_real, results.data.name
            yield Compared(one.name, one.n, one.fsd, tuple(one.classes), *real, paired=False)
    elif isinstance(results, Results):
        made = results.generator
        yield Compared(
            name=results.generated.name if made is None else made.name,
            n=results.n_generated,
            fsd=results.fsd,
            classes=tuple(results.classes),
            n_real=results.n_real,
            real=results.data.name,
            paired=results.paired is not None,
        )


def _unique(found: Sequence[tuple[Path, Compared]]) -> list[str]:
    """The generators' names; with the run, and a number, where two have the same."""
    names = [one.name for _, one in found]
    names = [
        f"{name} ({run.resolve().name})" if names.count(name) > 1 else name
        for name, (run, _) in zip(names, found, strict=True)
    ]
    return [f"{x}, {k + 1}" if names.count(x) > 1 else x for k, x in enumerate(names)]


def _check_same(first: Path, one: AnyResults, second: Path, other: AnyResults) -> None:
    assert isinstance(one, Results | GeneratorsResults)  # of others ``compared`` tells
    assert isinstance(other, Results | GeneratorsResults)
    sides = {
        "real images": (_source(one), _source(other)),
        "numbers of real images": (f"{one.n_real:,}", f"{other.n_real:,}"),
        "preprocessing": (plain_text(one.preset), plain_text(other.preset)),
        "segmenters": (_model(one.segmenter), _model(other.segmenter)),
        "levels": (level(one.level), level(other.level)),
        "tests": (_tests(one), _tests(other)),
    }
    for what, (here, there) in sides.items():
        if here != there:
            raise RunError(
                f"{first} and {second} have other {what}, so they are not shown in one figure: "
                f"{here}; {there}"
            )
    known, others = ({c.index: c for c in next(_of(side)).classes} for side in (one, other))
    for index in sorted(known.keys() | others.keys()):
        a, b = known.get(index), others.get(index)
        if a is None or b is None or a.label != b.label:
            labels = " and ".join(repr(x.label) if x else "none" for x in (a, b))
            raise RunError(f"{first} and {second} have other classes: {index} is {labels}")
        if abs(a.real_area - b.real_area) > 1e-6 * max(a.real_area, b.real_area):
            raise RunError(
                f"{first} and {second} have other real images of the same data: "
                f"{a.label} has {area(a.real_area)} and {area(b.real_area)}"
            )


def _tests(results: Results | GeneratorsResults) -> str:
    """What verdicts rest on."""
    if isinstance(results, GeneratorsResults):
        return "between sides"
    groups = "" if results.groups is None else f", groups by {results.groups.rule}"
    return ("within pairs" if results.paired is not None else "between sides") + groups


def _source(results: Results | GeneratorsResults) -> str:
    return f"{results.data.name} ({results.data.fingerprint[:12]})"


def _model(model: ModelRecord) -> str:
    options: dict[str, Any] = dict(sorted(model.options.items()))
    weights = "" if model.weights_sha256 is None else f" ({model.weights_sha256[:12]})"
    return f"{model.name}{weights} {plain_text(options)}"
