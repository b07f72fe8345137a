"""The sections that support the findings: distance, pairs, scenes, segmenter, others.

Each section of evidence is a pure function of ``results.json`` (scenes: of the pictures of a
gallery too), has its answer in one sentence, and is None where the run has no such results. Names
of classes and images are escaped by the templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seeingkit.results import (
    ClassResult,
    CompositionTest,
    ConditionResult,
    FidelityResult,
    PairsResult,
    Results,
    ScenesResult,
    SegmenterClass,
    UncoveredImage,
)

from ..figures.charts import themed_figures
from ..figures.contributions import build_contribution_chart, contribution_sentence, contributions
from ..pictures.encoding import ScenePictures
from ..selection import SCENES, is_judged, judged
from ..templates import Section, render
from ..words.cautions import against, mismatch_words, segmenter_checks
from ..words.conditions import matching
from ..words.numbers import (
    area,
    at_least,
    between,
    count,
    level,
    listing,
    number,
    probability,
    share,
)
from .paired import paired_section

PAIRS_SHOWN = 30
CONDITIONS_SHOWN = 100


def evidence_sections(results: Results, scenes: Sequence[ScenePictures] = ()) -> list[Section]:
    """The sections that stand between the examples and the other sections, in their order."""
    made = [
        paired_section(results, scenes),
        distance_section(results),
        power_section(results),
        pairs_section(results),
        scenes_section(results, scenes),
        segmenter_section(results),
    ]
    return [section for section in made if section is not None]


def distance_section(results: Results) -> Section | None:
    """The contributions of classes to FSD, as a figure and a table."""
    bars = contributions(results)
    if not bars:
        return None
    figures = themed_figures(lambda layout: build_contribution_chart(bars, layout))
    body = render("distance.html.j2", bars=bars, fsd=results.fsd, figures=figures)
    answer = contribution_sentence(results)
    return Section("distance", "Contributions to FSD", body, "Distance", answer, folded=False)


def power_section(results: Results) -> Section | None:
    """The losses that these numbers of images detect, and the numbers that others would take."""
    power = results.power
    if power is None:
        return None
    answer = "At these numbers of images, the loss of no class would be detected reliably."
    if power.all_removed is not None:
        answer = (
            f"The loss of a class is found with a power of {level(power.power)} if at least "
            f"{at_least(power.all_removed)} of the real images show it."
        )
    numbers = {"n_real": results.n_real, "n_generated": results.n_generated}
    body = render("power.html.j2", power=power, **numbers)
    return Section("power", "Detectable losses", body, "Power", answer, folded=True)


def pairs_section(results: Results) -> Section | None:
    """The pairs of classes that are drawn together less, or more, than in the real images."""
    pairs = results.pairs
    if pairs is None:
        return None
    shown = pairs.pairs[:PAIRS_SHOWN]
    body = render("pairs.html.j2", pairs=pairs, shown=shown, hidden=pairs.found - len(shown))
    return Section("together", "Together", body, answer=_pairs_answer(pairs), folded=True)


def _pairs_answer(pairs: PairsResult) -> str:
    if not pairs.tested:
        return "No pair of classes is in enough images to be tested."
    tested = f"{count(pairs.tested, 'pair')} of classes"
    if not pairs.found:
        return (
            f"Of {tested} tested, none is found to be drawn "
            "together less or more often than the presences of its classes explain."
        )
    texts = []
    for verdict, words in (("apart", "too seldom together"), ("together", "too often together")):
        named = [f"{p.first} with {p.second}" for p in pairs.pairs if p.verdict == verdict]
        if named:
            texts.append(f"{words}: {listing(named, limit=3)}")
    return (
        f"{pairs.found:,} of {tested} {'is' if pairs.found == 1 else 'are'} drawn together "
        f"otherwise than the presences of their classes explain; {'; '.join(texts)}."
    )


@dataclass(frozen=True)
class UncoveredScene:
    """A real image that no generated one is near, with its picture if there is one."""

    record: UncoveredImage
    pictures: ScenePictures | None

    @property
    def classes(self) -> str:
        """Its largest classes with their areas."""
        return ", ".join(f"{name} {area(value)}" for name, value in self.record.classes.items())


def scenes_section(results: Results, pictures: Sequence[ScenePictures] = ()) -> Section | None:
    """The coverage of whole scenes by generated images, and real images far from all of them."""
    scenes = results.scenes
    if scenes is None:
        return None
    shown = {entry.real.id: entry for entry in pictures}
    listed = scenes.least_covered[:SCENES]
    uncovered = [UncoveredScene(record, shown.get(record.image)) for record in listed]
    body = render(
        "scenes.html.j2",
        scenes=scenes,
        least="≤ " if _least_possible(scenes.test) else "",
        strongest=_STRONGEST.get(scenes.test.strongest, "") if scenes.test else "",
        pictured=[entry for entry in uncovered if entry.pictures is not None],
        listed=[entry for entry in uncovered if entry.pictures is None],
        hidden=round((1 - scenes.coverage) * scenes.images_real) - SCENES,
    )
    return Section("scenes", "Scenes", body, answer=_scenes_answer(scenes), folded=True)


_STRONGEST = {
    "energy": "the distances between all images",
    "means": "the means of the classes",
    "neighbours 1 %": "the nearest neighbours of each image (1 % of all)",
    "neighbours 2 %": "the nearest neighbours of each image (2 % of all)",
}
"""Words for ``CompositionTest.strongest``."""


def _least_possible(test: CompositionTest | None) -> bool:
    """Whether its permutations can give no smaller p-value."""
    return test is not None and test.p_value <= 1.000001 / (test.permutations + 1)


def _scenes_answer(scenes: ScenesResult) -> str:
    ends = ""
    if scenes.coverage_ci is not None:
        ends = f" (95 % interval {between(scenes.coverage_ci, share)})"
    text = f"{share(scenes.coverage)} of the real scenes have a generated one near{ends}"
    if scenes.coverage_expected is not None:
        text += f"; a second sample of real images would reach {share(scenes.coverage_expected)}"
    if (test := scenes.test) is not None:
        sign = "≤" if _least_possible(test) else "="
        text += f". Test of whole compositions: p {sign} {probability(test.p_value)}"
    return text + "."


_LABEL_COLUMNS = (
    ("precision", "precision", "share"),
    ("recall", "recall", "share"),
    ("area misjudged", "error_area", "area"),
    ("difference corrected", "relative_corrected", "change"),
    ("explained", "explained", "share"),
)
_VIEW_COLUMNS = (
    ("real area, second", "other_real_area", "area"),
    ("generated area, second", "other_generated_area", "area"),
    ("difference, second", "other_relative", "change"),
    ("shift on real images", "shift", "change"),
    ("explained", "explained", "share"),
)
_COLUMNS = {"labels": _LABEL_COLUMNS, "scale": _VIEW_COLUMNS, "segmenter": _VIEW_COLUMNS}
"""Heading, field of the record, and filter of each column, by the kind of check."""


_REASONS = {
    "labels": "the segmenter's errors are large enough",
    "scale": "the difference changes too much at another scale",
    "segmenter": "a second segmenter does not agree",
}


def segmenter_section(results: Results) -> Section | None:
    """The differences that segmentation error, or a difference in resolution, could explain."""
    share_of, resolution = results.segmenter_share, results.resolution
    if share_of is None and resolution is None:
        return None
    records = {record.index: record for record in results.classes}
    rows = [(records[k], check) for k, check in segmenter_checks(results).items()]
    # Flagged first; among these, those on which the report claims something.
    claimed = [row for row in rows if row[1].flagged and row[0].verdict != "no evidence"]
    flagged = claimed + [row for row in rows if row[1].flagged and row not in claimed]
    body = render(
        "segmenter.html.j2",
        check=share_of,
        against=against(results),
        flagged=flagged,
        others=[row for row in rows if not row[1].flagged],
        columns=_COLUMNS[share_of.kind] if share_of is not None else (),
        resolution=resolution,
        detail=mismatch_words(results),
    )
    answer = _segmenter_answer(results, [record for record, _ in claimed], rows)
    folded = not claimed and not (resolution is not None and resolution.mismatch)
    return Section("segmenter", "Segmentation error", body, "Segmenter", answer, folded)


def _segmenter_answer(
    results: Results,
    claimed: Sequence[ClassResult],
    rows: Sequence[tuple[ClassResult, SegmenterClass]],
) -> str:
    findings = {r.index for r in judged(results) if r.verdict != "no evidence"}
    checked = sum(record.index in findings for record, _ in rows)
    check = results.segmenter_share
    if check is None:
        text = "The segmenter's errors were not measured in this run."
    elif claimed:
        named = listing([record.label for record in claimed], limit=5)
        text = f"It may explain the difference in {named}: {_REASONS[check.kind]}."
    elif not findings:
        text = "No class has a verdict that it could explain."
    elif not checked:
        text = "No class with a verdict could be checked."
    else:
        of = count(checked, "class", "classes")
        text = f"No sign of it, in {of} with a verdict that could be checked."
    if results.resolution is not None and results.resolution.mismatch:
        text += " The two sides differ in resolution."
    return text


def conditions_section(results: Results) -> Section | None:
    """The classes of a conditional generator, worst first, with their omissions; else None."""
    if not results.conditions:
        return None
    worst = sorted(results.conditions, key=lambda record: -record.fsd.value)
    body = render(
        "conditions.html.j2",
        rows=worst[:CONDITIONS_SHOWN],
        missing=missing,
        against=worst[0].against,
        matched=None if results.real_classes is None else matching(results.real_classes),
        hidden=max(0, len(worst) - CONDITIONS_SHOWN),
    )
    return Section("conditions", "Classes of the generator", body, appendix=False)


def missing(record: ConditionResult, verdict: str) -> list[str]:
    """Names of the labels with this verdict, by real area, largest first."""
    return [c.label for c in record.classes if c.verdict == verdict and is_judged(c)]


def fidelity_section(results: Results) -> Section | None:
    """Distances by features of a classifier, computed by another library."""
    found = results.fidelity
    if found is None:
        return None
    values = [f"{name} {number(value)}" for name, value in found.values.items()]
    answer = f"{listing(values, limit=5)}, by {found.library}." if values else ""
    settings = [
        (name, value)
        for name, value in found.options.items()
        if name != "notes" and not isinstance(value, (dict, list, tuple))
    ]
    measures = list(found.values.items())
    given = {"measures": measures, "settings": settings, "notes": _notes(found)}
    body = render("fidelity.html.j2", fidelity=found, **given)
    return Section("fidelity", "Other measures", body, answer=answer, folded=True)


def _notes(found: FidelityResult) -> Iterator[str]:
    """The notes of the library's adapter, each as a sentence."""
    notes = found.options.get("notes") or []
    for note in map(str, notes if isinstance(notes, (list, tuple)) else [notes]):
        yield note[:1].upper() + note[1:].rstrip(".") + "."
