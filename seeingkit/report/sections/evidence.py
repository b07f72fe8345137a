"""The sections that support the findings: distance, pairs, scenes, segmenter, other measures.

Each is a pure function of ``results.json`` (scenes: of the pictures of a gallery too), has its
answer in one sentence, and is left out where the run has nothing to say. Names of classes and
images are escaped by the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seeingkit.results import (
    ClassResult,
    FidelityResult,
    PairsResult,
    Results,
    ScenesResult,
    SegmenterClass,
    UncoveredImage,
)

from ..figures.contributions import contribution_sentence, contribution_svg, contributions
from ..figures.themes import themed_figures
from ..pictures.encoding import ScenePictures
from ..pictures.gallery import SCENES
from ..templates import Section, environment
from ..words.cautions import against, mismatch_words, segmenter_checks
from ..words.findings import judged
from ..words.numbers import area, at_least, between, count, level, listing, number, share

PAIRS_SHOWN = 30


def _section(
    id: str, title: str, link: str, answer: str, *, folded: bool, **values: Any
) -> Section:
    from markupsafe import Markup

    body = environment().get_template("evidence.html.j2").render(part=id, **values)
    return Section(id, title, Markup(body), link, answer, folded)


def evidence_sections(results: Results, scenes: Sequence[ScenePictures] = ()) -> list[Section]:
    """The sections that stand between the examples and the other sections, in their order."""
    made = [
        distance_section(results),
        power_section(results),
        pairs_section(results),
        scenes_section(results, scenes),
        segmenter_section(results),
    ]
    return [section for section in made if section is not None]


# -------------------------------------------------------------------------------------- distance


def distance_section(results: Results) -> Section | None:
    """What makes the distance: the figure of contributions and its table."""
    bars = contributions(results)
    if not bars:
        return None
    return _section(
        "distance", "What makes the distance", "Distance", contribution_sentence(results),
        folded=False,
        bars=bars,
        fsd=results.fsd,
        figures=themed_figures(lambda layout: contribution_svg(bars, layout=layout)),
    )  # fmt: skip


# ----------------------------------------------------------------------------------------- power


def power_section(results: Results) -> Section | None:
    """How many images it takes to see the loss of a class."""
    power = results.power
    if power is None:
        return None
    if power.all_removed is None:
        answer = "At these numbers of images, the loss of no class could be counted on to be found."
    else:
        answer = (
            f"The loss of a class is found with a power of {level(power.power)} if at least "
            f"{at_least(power.all_removed)} of the real images show it."
        )
    return _section(
        "power", "What could have been seen", "Power", answer, folded=True,
        power=power, n_real=results.n_real, n_generated=results.n_generated,
    )  # fmt: skip


# ----------------------------------------------------------------------------------------- pairs


def pairs_section(results: Results) -> Section | None:
    """Which pairs of classes are drawn together less, or more, than in the real images."""
    pairs = results.pairs
    if pairs is None:
        return None
    return _section(
        "together", "Together", "Together", _pairs_answer(pairs), folded=True,
        pairs=pairs, shown=pairs.pairs[:PAIRS_SHOWN],
        hidden=pairs.found - len(pairs.pairs[:PAIRS_SHOWN]),
    )  # fmt: skip


def _pairs_answer(pairs: PairsResult) -> str:
    if not pairs.tested:
        return "No pair of classes is in enough images to be tested."
    if not pairs.found:
        return (
            f"Of {count(pairs.tested, 'pair')} of classes tested, none is found to be drawn "
            "together less or more often than the presences of its classes explain."
        )
    apart = [f"{p.first} with {p.second}" for p in pairs.pairs if p.verdict == "apart"]
    together = [f"{p.first} with {p.second}" for p in pairs.pairs if p.verdict == "together"]
    texts = []
    if apart:
        texts.append(f"too seldom together: {listing(apart, limit=3)}")
    if together:
        texts.append(f"too often together: {listing(together, limit=3)}")
    return (
        f"{pairs.found:,} of {count(pairs.tested, 'pair')} of classes "
        f"{'is' if pairs.found == 1 else 'are'} drawn together otherwise than the presences of "
        f"their classes explain; {'; '.join(texts)}."
    )


# ---------------------------------------------------------------------------------------- scenes


@dataclass(frozen=True)
class UncoveredScene:
    """A real image that no generated one is near, with its picture if there is one."""

    record: UncoveredImage
    classes: str
    pictures: ScenePictures | None


def scenes_section(results: Results, pictures: Sequence[ScenePictures] = ()) -> Section | None:
    """Which whole scenes the generated images reach, and real images that they do not."""
    scenes = results.scenes
    if scenes is None:
        return None
    shown = {entry.real.id: entry for entry in pictures}
    uncovered = [
        UncoveredScene(record, _contents(record.classes), shown.get(record.image))
        for record in scenes.least_covered[:SCENES]
    ]
    return _section(
        "scenes", "Scenes", "Scenes", _scenes_answer(scenes), folded=True,
        scenes=scenes,
        pictured=[entry for entry in uncovered if entry.pictures is not None],
        listed=[entry for entry in uncovered if entry.pictures is None],
        hidden=round((1 - scenes.coverage) * scenes.images_real) - SCENES,
    )  # fmt: skip


def _scenes_answer(scenes: ScenesResult) -> str:
    ends = ""
    if scenes.coverage_ci is not None:
        ends = f" (95 % interval {between(scenes.coverage_ci, share)})"
    text = f"{share(scenes.coverage)} of the real scenes have a generated one near{ends}"
    if scenes.coverage_expected is not None:
        text += f"; a second sample of real images would reach {share(scenes.coverage_expected)}"
    return text + "."


def _contents(classes: dict[str, float]) -> str:
    return ", ".join(f"{name} {area(percent)}" for name, percent in classes.items())


# ------------------------------------------------------------------------------------- segmenter


def segmenter_section(results: Results) -> Section | None:
    """How far the segmenter, or a difference in resolution, could make the differences."""
    share_of, resolution = results.segmenter_share, results.resolution
    if share_of is None and resolution is None:
        return None
    records = {record.index: record for record in results.classes}
    rows = [(records[k], check) for k, check in segmenter_checks(results).items()]
    # Flagged first; among these, those on which the report claims something.
    claimed = [row for row in rows if row[1].flagged and row[0].verdict != "no evidence"]
    flagged = claimed + [row for row in rows if row[1].flagged and row not in claimed]
    return _section(
        "segmenter", "Could it be the segmenter?", "Segmenter",
        _segmenter_answer(results, [record for record, _ in claimed], rows),
        folded=not claimed and not (resolution is not None and resolution.mismatch),
        check=share_of,
        against=against(results),
        flagged=flagged,
        others=[row for row in rows if not row[1].flagged],
        columns=_segmenter_columns(share_of.kind) if share_of is not None else [],
        resolution=resolution,
        detail=mismatch_words(results),
    )  # fmt: skip


_REASONS = {
    "labels": "its errors are large enough to make the difference",
    "scale": "seen at another scale, the difference changes too much",
    "segmenter": "a second segmenter does not agree",
}


def _segmenter_answer(
    results: Results,
    claimed: Sequence[ClassResult],
    rows: Sequence[tuple[ClassResult, SegmenterClass]],
) -> str:
    texts = []
    if results.segmenter_share is None:
        texts.append("The segmenter's own errors were not measured in this run.")
    elif claimed:
        named = listing([record.label for record in claimed], limit=5)
        texts.append(f"Of {named} it could: {_REASONS[results.segmenter_share.kind]}.")
    else:
        findings = {r.index for r in judged(results) if r.verdict != "no evidence"}
        checked = sum(record.index in findings for record, _ in rows)
        if not findings:
            texts.append("No class has a verdict that it could explain.")
        elif not checked:
            texts.append("No class with a verdict could be checked.")
        else:
            of = count(checked, "class", "classes")
            texts.append(f"Nothing speaks for it, in {of} with a verdict that could be checked.")
    if results.resolution is not None and results.resolution.mismatch:
        texts.append("The two sides differ in resolution.")
    return " ".join(texts)


def _segmenter_columns(kind: str) -> list[tuple[str, str, str]]:
    """(heading, field of the record, filter) of the table of one kind of check."""
    if kind == "labels":
        return [
            ("precision", "precision", "share"),
            ("recall", "recall", "share"),
            ("area misjudged", "error_area", "area"),
            ("difference corrected", "relative_corrected", "change"),
            ("explained", "explained", "share"),
        ]
    return [
        ("real area, second", "other_real_area", "area"),
        ("generated area, second", "other_generated_area", "area"),
        ("difference, second", "other_relative", "change"),
        ("shift on real images", "shift", "change"),
        ("explained", "explained", "share"),
    ]


# ---------------------------------------------------------------------------------- other measures


def fidelity_section(results: Results) -> Section | None:
    """Distances by features of a classifier, computed by another library."""
    found = results.fidelity
    if found is None:
        return None
    values = [f"{name} {number(value)}" for name, value in found.values.items()]
    answer = f"{listing(values, limit=5)}, by {found.library}." if values else ""
    return _section(
        "fidelity", "Other measures", "Other measures", answer, folded=True,
        fidelity=found, measures=list(found.values.items()),
        settings=[
            (name, value)
            for name, value in found.options.items()
            if name != "notes" and not isinstance(value, (dict, list, tuple))
        ],
        notes=_notes(found),
    )  # fmt: skip


def _notes(found: FidelityResult) -> list[str]:
    """What the library's adapter says beside the numbers, each note as a sentence."""
    notes = found.options.get("notes") or []
    texts = [str(note) for note in (notes if isinstance(notes, (list, tuple)) else [notes])]
    return [text[:1].upper() + text[1:].rstrip(".") + "." for text in texts]
