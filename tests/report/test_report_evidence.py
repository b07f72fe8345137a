"""The evidence in a report: distance, power, pairs, scenes, the segmenter's share, other measures.

The rich results are made by hand, with every record filled and hostile names in every place.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vl_convert

from seeingkit.errors import RunError, UsageError
from seeingkit.report import Gallery, Section, choose_scenes, summarise, summary_html
from seeingkit.report.figures.charts import DARK_COLOURS, chart_svg, darkened, write_figure
from seeingkit.report.figures.contributions import (
    LARGEST,
    build_contribution_chart,
    contribution_sentence,
    contributions,
)
from seeingkit.report.page import render_page
from seeingkit.report.pictures.gallery import GalleryImage, GalleryScene
from seeingkit.report.sections.classes import class_rows
from seeingkit.report.sections.evidence import (
    evidence_sections,
    fidelity_section,
    pairs_section,
    scenes_section,
    segmenter_section,
)
from seeingkit.report.sections.method import method_card
from seeingkit.report.words import numbers as words
from seeingkit.report.words.cautions import power_sentence, segmenter_checks
from seeingkit.report.words.definitions import definitions
from seeingkit.report.words.findings import verdict_words
from seeingkit.results import (
    ClassResult,
    CompositionTest,
    FidelityResult,
    FSDResult,
    PairResult,
    PairsResult,
    PowerResult,
    ResolutionResult,
    Results,
    ScenesResult,
    SegmenterClass,
    SegmenterShare,
    SideResolution,
    UncoveredImage,
)
from tests.helpers.chromium import Chromium
from tests.helpers.church_report import (
    HOSTILE,
    PageReader,
    check_self_contained,
    church_classes,
    church_gallery,
    church_manifest,
    church_results,
    read_page,
    scene,
    write_run,
)

BY_PRESENCE = "boat"


def rich_class(record: ClassResult, whole_mean: float, whole_cov: float) -> ClassResult:
    """A class with every field filled; ``boat`` is omitted by its presence."""
    real, drawn = record.real_presence, record.generated_presence
    if record.label == BY_PRESENCE:
        real, drawn = 0.027, 0.009
    moved = (drawn - real) / real if real else None
    relative = record.relative_difference
    low, high = (relative or 0) - 0.1, (relative or 0) + 0.1
    return record.model_copy(
        update={
            "because": None
            if record.verdict == "no evidence"
            else "presence"
            if record.label == BY_PRESENCE
            else "area",
            "real_presence": real,
            "generated_presence": drawn,
            "real_area_ci": (0.95 * record.real_area, 1.05 * record.real_area),
            "generated_area_ci": (0.9 * record.generated_area, 1.1 * record.generated_area),
            "real_presence_ci": (0.96 * real, min(1.0, 1.04 * real)),
            "generated_presence_ci": (0.96 * drawn, min(1.0, 1.04 * drawn)),
            "presence_change": moved,
            "presence_ci": None if moved is None else (max(-1.0, moved - 0.05), moved + 0.05),
            "real_area_if_present": record.real_area / real if real else None,
            "generated_area_if_present": record.generated_area / drawn if drawn else None,
            "given_change": relative,
            "given_ci": None if relative is None else (low, high),
            "p_presence": record.p_value,
            "p_given": 0.2,
            "p_area": record.p_value,
            "fsd_mean_term": whole_mean,
            "fsd_cov_term": whole_cov,
        }
    )


def rich_classes(mean: float = 12.1, cov: float = 19.1) -> list[ClassResult]:
    """All classes of the church figure; their contributions add up to the two terms."""
    plain = church_classes()
    weights = np.array([abs(r.generated_area - r.real_area) + 0.01 for r in plain])
    weights /= weights.sum()
    return [
        rich_class(r, mean * float(w), cov * float(w)) for r, w in zip(plain, weights, strict=True)
    ]


def pair(first: str, second: str, verdict: Any) -> PairResult:
    return PairResult(
        first=first,
        second=second,
        real_together=0.021,
        generated_together=0.004,
        expected_together=0.018,
        odds_ratio_real=3.2,
        odds_ratio_generated=0.61,
        p_value=1e-7,
        q_value=3e-5,
        verdict=verdict,
    )


def rich_scenes(uncovered: int = 6) -> ScenesResult:
    return ScenesResult(
        test=CompositionTest(
            p_value=0.002,
            permutations=499,
            images_real=2000,
            images_generated=2000,
            strongest="neighbours 1 %",
        ),
        k=5,
        images_real=10_000,
        images_generated=10_000,
        coverage=0.83,
        coverage_ci=(0.81, 0.85),
        coverage_expected=0.96,
        density=0.91,
        density_expected=1.0,
        least_covered=[
            UncoveredImage(
                image=f"{HOSTILE}/{k}.png",
                nearest=f"{HOSTILE}/{50 + k}.png",
                ratio=4.0 - 0.3 * k,
                classes={HOSTILE: 40.0, "sky": 31.0, "boat": 4.2},
            )
            for k in range(uncovered)
        ],
    )


def rich_share(kind: Any = "labels") -> SegmenterShare:
    def check(label: str, **values: Any) -> SegmenterClass:
        if kind == "labels":
            known = {
                "precision": 0.71,
                "recall": 0.64,
                "error_area": 0.4,
                "real_corrected": 1.1,
                "generated_corrected": 0.9,
                "relative_corrected": -0.2,
            }
        else:
            known = {
                "other_real_area": 1.1,
                "other_generated_area": 0.9,
                "other_relative": -0.2,
                "shift": 0.31,
            }
        return SegmenterClass(label=label, **{"explained": 0.8, **known, **values})

    why = "missed and invented pixels are as large as the difference"
    flagged = ("person", HOSTILE, "signboard")
    labels = [r.label for r in church_classes() if r.label != "-"]
    return SegmenterShare(
        kind=kind,
        against=f"CamVid {HOSTILE}",
        images=500,
        pixel_accuracy=0.83,
        mean_iou=0.61,
        classes=[
            check(label, flagged=True, why=why) if label in flagged else check(label, explained=0.1)
            for label in labels
        ],
    )


def rich_results(**changes: Any) -> Results:
    values: dict[str, Any] = {
        "fsd": FSDResult(
            value=31.2,
            mean_term=12.1,
            cov_term=19.1,
            floor=4.3,
            bias_reduced=26.9,
            p_value=0.001,
            permutations=999,
            floor_halves=5000,
            ci_low=22.4,
            ci_high=31.5,
            standard_error=2.3,
        ),
        "classes": rich_classes(),
        "pairs": PairsResult(
            tested=120,
            too_rare=41,
            level=0.05,
            found=3,
            pairs=[
                pair("person", "road", "apart"),
                pair("boat", HOSTILE, "apart"),
                pair("tree", "sky", "together"),
            ],
        ),
        "power": PowerResult(
            power=0.95,
            level=0.05,
            classes_tested=36,
            threshold=0.05 / 36,
            all_removed=0.0018,
            half_removed=0.0072,
            images_needed={"1 %": 1800, "0.1 %": 18_200},
        ),
        "scenes": rich_scenes(),
        "segmenter_share": rich_share(),
        "resolution": ResolutionResult(
            real=SideResolution(stored=256, detail=240, images=200),
            generated=SideResolution(stored=128, detail=64, images=200),
            mismatch=True,
            reason="real images have the detail of 240 pixels, generated ones of 64",
        ),
        "fidelity": FidelityResult(
            library="torch-fidelity 0.4.0",
            features=f"inception {HOSTILE}",
            n_real=10_000,
            n_generated=10_000,
            values={"FID": 11.3, "KID": 0.0042, "recall": 0.55},
            options={"kid_subset_size": 1000},
        ),
    }
    return church_results(**{**values, **changes})


def rich_gallery(results: Results) -> Gallery:
    """The gallery of classes, and pictures of four of the uncovered scenes, one without twin."""
    plain = church_gallery(results, images=2)
    scenes = tuple(
        GalleryScene(scene(7, k), None if k == 3 else scene(7, 50 + k)) for k in range(4)
    )
    return Gallery(plain.names, plain.classes, scenes=scenes)


def plain(text: str) -> str:
    return text.replace(words.NBSP, " ")


def made(section: Section | None) -> tuple[Section, str]:
    """A section that must be there, and its text without tags."""
    assert section is not None
    return section, plain(" ".join(re.sub(r"<[^>]*>", " ", section.body).split()))


# ----------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.between((22.4, 31.52)), "22.4 to 31.5"),
        (words.between(None), "–"),
        (words.between((0.0, 0.31), words.area), "0 to 0.31 %"),
        (words.between((0.81, 0.852), words.share), "81 to 85 %"),
        (words.between((None, 3.0)), "up to 3.0"),
        (words.between((3.0, float("inf"))), "from 3.0"),
        (words.between((None, None)), "unbounded"),
        (words.interval(-0.2, float("inf")), "from −20 %"),
        (words.at_least(0.0018), "0.18 %"),
        (words.at_least(0.00181), "0.19 %"),
        (words.at_least(0.0181), "1.9 %"),
        (words.at_least(0.7201), "73 %"),
        (words.at_least(1.0), "100 %"),
        (words.at_least(0.0), "0 %"),
        (words.at_least(0.07), "7.0 %"),
        (words.level(0.05), "5 %"),
        (words.level(0.005), "0.5 %"),
        (words.ordinal(1), "1st"),
        (words.ordinal(5), "5th"),
        (words.ordinal(12), "12th"),
        (words.ordinal(23), "23rd"),
    ],
)
def test_quantities(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_findings_say_how_sure() -> None:
    text = plain(summarise(rich_results()).text)
    assert "person (−63 %, −72 to −54 %)" in text
    kept = [
        c.model_copy(update={"relative_difference": -0.4}) if c.label == BY_PRESENCE else c
        for c in rich_classes()
    ]
    by_presence = plain(summarise(rich_results(classes=kept)).text)
    few = "boat (in 0.9 % instead of 2.7 % of the images; area −40 %, −100 to −20 %)"
    assert few in by_presence
    # A verdict counts images above the area threshold; any pixel can go the other way.
    seen = {"generated_presence": 0.05, "real_seen": 0.02, "generated_seen": 0.006}
    kept = [c.model_copy(update=seen) if c.label == BY_PRESENCE else c for c in kept]
    text = plain(summarise(rich_results(classes=kept)).text)
    assert (
        "boat (above the area threshold in 0.6 % instead of 2.0 % of the images; area −40 %, "
        in text
    )
    (boat,) = (r for r in class_rows(rich_results(classes=kept)) if r.record.label == BY_PRESENCE)
    details = {name: plain(value) for name, value in boat.details}
    assert details["images above the area threshold"] == "2.0 % → 0.6 %"
    text = plain(summarise(rich_results()).text)
    assert "with the sampling bias reduced, 26.9 (95 % interval 22.4 to 31.5)." in text
    assert (
        "At 10,000 images a side, the loss of a class would be detected (power 95 %) if at least "
        "0.18 % of the real images show it above the area threshold; the loss of half of its "
        "images, if at least 0.72 % do." in text
    )
    bare = FSDResult(
        value=31.2, mean_term=12.1, cov_term=19.1, ci_low=22.4, ci_high=31.5, confidence=0.9
    )
    text = plain(summarise(rich_results(fsd=bare)).text)
    assert "without its sampling bias the distance has the 90 % interval 22.4 to 31.5." in text


def test_verdicts_on_the_amount_name_the_area() -> None:
    record = next(r for r in rich_classes() if r.label == BY_PRESENCE)
    change = {"omitted": False, "presence_change": -0.3, "relative_difference": -0.2}
    less = record.model_copy(update={"verdict": "reduced", **change})
    more = record.model_copy(update={"verdict": "excess", **change, "relative_difference": 0.4})
    text = plain(summarise(rich_results(classes=[less])).text)
    assert "One class has less area, by less than half: boat (−20 %)." in text
    assert "has not lost half of its area or of its images at a false" in text
    text = plain(summarise(rich_results(classes=[more])).text)
    assert "One class takes more room than in the real images: boat (+40 %)." in text


def cautions_of(**changes: Any) -> str:
    quiet: dict[str, Any] = {"warnings": [], "skipped": []}
    return plain("\n".join(summarise(rich_results(**{**quiet, **changes})).cautions))


def tiny(all_removed: float | None, half_removed: float | None = None) -> PowerResult:
    return PowerResult(
        power=0.95,
        level=0.05,
        classes_tested=20,
        threshold=0.0025,
        all_removed=all_removed,
        half_removed=half_removed,
        images_needed={"1 %": 1800},
    )


def test_thirteen_images_say_what_can_be_concluded() -> None:
    few = {"n_real": 13, "n_generated": 13}
    text = cautions_of(**few, power=tiny(0.723))
    assert (
        "With 13 images per side only large losses can be seen: a class can be called missing only "
        "if at least 73 % of the real images show it and it is gone altogether (power 95 %); the "
        "loss of half of its images cannot be seen of any class. Nothing can be concluded about "
        "rarer classes: they may be missing undetected." in text
    )
    assert "To see the loss of a class in 1 % of the real images takes about 1,800 images" in text
    assert "it is seen only if at least" not in text
    assert "is seen only if at least 91 % show it" in cautions_of(**few, power=tiny(0.5, 0.91))
    calm = [
        r.model_copy(update={"verdict": "no evidence", "omitted": False}) for r in rich_classes()
    ]
    text = plain(summarise(rich_results(**few, power=tiny(0.723), classes=calm)).headline)
    assert text.startswith("Nothing is found to be left out, and with 13 images per side little")
    none = cautions_of(n_real=3, n_generated=3, power=tiny(None))
    assert "With 3 images per side no class can be expected to be called missing" in none
    assert "about rarer classes" not in none
    assert "would be detected" not in plain(summarise(rich_results(**few, power=tiny(0.723))).text)


def test_cautions_name_what_could_mislead() -> None:
    text = cautions_of()
    assert text.startswith(
        "The sides differ in resolution: real images have the detail of 240 pixels, generated "
        "ones of 64. A segmenter reads texture by its scale"
    )
    assert "The difference in person, <script>" in text
    assert "signboard may be segmentation error (check against true labels: CamVid" in text
    assert "With" not in text  # ten thousand images are enough
    assert "With 2,000 images per side the FSD is biased upwards" in cautions_of(
        n_real=2000, n_generated=2000
    )
    same = SideResolution(stored=256, detail=None, images=9)
    alike = ResolutionResult(real=same, generated=same, mismatch=False)
    assert cautions_of(resolution=alike, segmenter_share=None) == ""
    odd = ResolutionResult(
        real=same, generated=SideResolution(stored=64, detail=60, images=9), mismatch=True
    )
    assert (
        "real images have 256 pixels, generated images have the detail of 60 pixels. A"
        in cautions_of(resolution=odd)
    )


def test_only_claims_are_warned_of_and_few_are_named() -> None:
    calm = [SegmenterClass(label="sky", flagged=True, why="x")]
    share = rich_share().model_copy(update={"classes": calm})
    assert "may be segmentation error" not in cautions_of(segmenter_share=share)
    losers = [r.label for r in rich_classes() if r.verdict != "no evidence"]
    many = [SegmenterClass(label=label, flagged=True, why="x") for label in losers]
    text = cautions_of(segmenter_share=rich_share().model_copy(update={"classes": many}))
    line = next(line for line in text.splitlines() if "may be segmentation error" in line)
    assert re.search(r"and \d+ more may be segmentation error", line) and "stairway" not in line


def test_a_class_is_not_warned_of_for_another_of_its_name() -> None:
    """Two labels are called "wall": the check of one says nothing of the other."""
    verdicts = {"verdict": "reduced", "because": "area"}
    walls = [r for r in rich_classes() if r.label == "wall"]
    for claimed in range(2):
        classes = [
            r.model_copy(update=verdicts if k == claimed else {"verdict": "no evidence"})
            for k, r in enumerate(walls)
        ]
        for flagged in range(2):
            checks = [SegmenterClass(label="wall", flagged=k == flagged) for k in range(2)]
            share = rich_share().model_copy(update={"classes": checks})
            text = cautions_of(classes=classes, segmenter_share=share)
            assert ("difference in wall" in text) == (claimed == flagged)


def test_notebook_summary_shows_presence() -> None:
    text = plain(summary_html(rich_results(), rows=40))
    assert "<th>images, real → generated</th>" in text
    assert "<td>2.7 % → 0.9 %</td>" in text and "<td>omitted, by presence</td>" in text
    assert "<script" not in text


# ---------------------------------------------------------------------------------- contributions


def test_contributions_add_up_to_the_distance() -> None:
    results = rich_results()
    bars = contributions(results)
    assert len(bars) == LARGEST + 1
    assert bars[-1].label == f"all others ({len(results.classes) - LARGEST})"
    assert sum(bar.mean for bar in bars) == pytest.approx(results.fsd.mean_term)
    assert sum(bar.cov for bar in bars) == pytest.approx(results.fsd.cov_term)
    assert sum(bar.part or 0 for bar in bars) == pytest.approx(1)
    totals = [bar.total for bar in bars[:-1]]
    assert totals == sorted(totals, reverse=True)
    everything = contributions(results, largest=99)
    assert len(everything) == len(results.classes)
    assert len({bar.key for bar in everything}) == len(everything)  # two labels are called "wall"
    assert "no object" in [bar.label for bar in everything]


def test_contributions_of_old_runs_and_of_no_distance() -> None:
    old = church_results()
    assert contributions(old) == [] and contribution_sentence(old) == ""
    zero = rich_results(
        fsd=FSDResult(value=0.0, mean_term=0.0, cov_term=0.0), classes=rich_classes(0.0, 0.0)
    )
    assert contributions(zero)[0].part is None and contribution_sentence(zero) == ""


def test_sentence_on_the_distance() -> None:
    few = [rich_class(r, 1.0, 1.0) for r in church_classes()[:2]]
    large = few[0].model_copy(update={"fsd_mean_term": 6.0, "fsd_cov_term": 2.0})
    results = rich_results(
        classes=[large, few[1]], fsd=FSDResult(value=10.0, mean_term=7.0, cov_term=3.0)
    )
    assert plain(contribution_sentence(results)) == "building alone makes 80 % of the FSD of 10.0."


@pytest.mark.parametrize("layout", ["wide", "narrow"])
def test_contribution_spec(layout: Any) -> None:
    bars = contributions(rich_results())
    spec = build_contribution_chart(bars, layout=layout).to_dict()  # validated by Altair
    terms = spec["datasets"]["terms"]
    assert len(terms) == 2 * len(bars)
    assert sum(row["value"] for row in terms) == pytest.approx(31.2)


def test_contribution_figure_is_written(tmp_path: Path) -> None:
    chart = build_contribution_chart(contributions(rich_results()))
    paths = write_figure(chart, tmp_path / "figures", "fsd-contributions")
    svg = paths[0].read_text(encoding="utf-8")
    assert "<script" not in svg and "&lt;script" in svg and "all others" in svg
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    write_run(tmp_path / "old", church_results(), church_gallery(church_results()))
    assert not list(tmp_path.glob("old/figures/fsd*"))


def test_a_figure_of_files_and_page_is_converted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs: list[Any] = []

    def convert(spec: Any, **options: Any) -> str:
        specs.append(spec)
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="{len(specs)}" height="9"/>'

    monkeypatch.setattr(vl_convert, "vegalite_to_svg", convert)
    new = [r.model_copy(update={"label": f"{r.label} of no other run"}) for r in rich_classes()]
    results = rich_results(classes=new)
    write_run(tmp_path, results, rich_gallery(results))
    assert [sorted(spec["datasets"]) for spec in specs] == [
        ["classes"],
        ["terms", "totals"],
        ["terms", "totals"],
    ]
    assert specs[1] != specs[2]  # wide and narrow


def test_dark_figure_differs_in_colours_only() -> None:
    svg = chart_svg(build_contribution_chart(contributions(rich_results())))
    dark = darkened(svg)
    assert re.sub("#[0-9a-f]{6}", "", svg) == re.sub("#[0-9a-f]{6}", "", dark)
    painted = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', dark))
    assert painted <= set(DARK_COLOURS.values())
    assert {DARK_COLOURS[name] for name in ("paper", "ink", "real", "generated")} <= painted


# --------------------------------------------------------------------------------------- sections


def test_sections_answer_in_one_sentence() -> None:
    results = rich_results()
    sections = {section.id: section for section in evidence_sections(results)}
    assert list(sections) == ["distance", "power", "together", "scenes", "segmenter"]
    answers = {key: plain(section.answer) for key, section in sections.items()}
    assert answers["distance"] == "brick and no object make 58 % of the FSD of 31.2."
    assert answers["power"] == (
        "The loss of a class is found with a power of 95 % if at least 0.18 % of the real images "
        "show it."
    )
    assert answers["together"].startswith(
        "3 of 120 pairs of classes are drawn together otherwise than the presences of their "
        "classes explain; too seldom together: person with road and boat with <script>"
    )
    assert answers["together"].endswith("too often together: tree with sky.")
    assert answers["scenes"] == (
        "83 % of the real scenes have a generated one near (95 % interval 81 to 85 %); a second "
        "sample of real images would reach 96 %. Test of whole compositions: p ≤ 0.002."
    )
    assert "and signboard: the segmenter's errors are large enough" in answers["segmenter"]
    assert "differ in resolution" in answers["segmenter"]
    folded = [key for key, section in sections.items() if section.folded]
    assert folded == ["power", "together", "scenes"]


def test_old_runs_have_no_such_sections() -> None:
    assert evidence_sections(church_results()) == []
    assert fidelity_section(church_results()) is None
    text = render_page(church_results(), church_manifest(), None, svg="<svg/>")
    assert 'class="fold"' not in text and "Fieller" in text and "Janssen" not in text


def test_page_defines_the_new_tests(run_dir: Path) -> None:
    text = (run_dir / "report.html").read_text(encoding="utf-8")
    assert "Fieller" not in text and "Janssen 1997" in text


def test_pairs() -> None:
    _, text = made(pairs_section(rich_results()))
    assert "person with road ◁ ▷ apart 2.1 % 0.4 % 1.8 % 3.2 → 0.61 3.0e−5" in text
    assert "120 pairs tested at a false discovery rate of 5 %; 41 further pairs" in text
    assert "further pairs with a verdict" not in text
    many = PairsResult(
        tested=500, too_rare=1, level=0.05, found=45, pairs=[pair("a", "b", "apart")] * 40
    )
    _, text = made(pairs_section(rich_results(pairs=many)))
    assert (
        text.count("a with b") == 30
        and "15 further pairs with a verdict" in text
        and "1 further pair of" in text
    )
    calm = PairsResult(tested=12, too_rare=0, level=0.05, found=0)
    section, _ = made(pairs_section(rich_results(pairs=calm)))
    assert "Of 12 pairs of classes tested, none" in section.answer and "<table" not in section.body
    nothing = PairsResult(tested=0, too_rare=4, level=0.05, found=0)
    section, _ = made(pairs_section(rich_results(pairs=nothing)))
    assert section.answer == "No pair of classes is in enough images to be tested."


def test_scenes_without_pictures_are_words() -> None:
    _, text = made(scenes_section(rich_results()))
    assert "Real scenes that no generated image is near" in text
    assert "2.5 ×" in text and "sky 31.0 %, boat 4.20 %" in text and "Left:" not in text
    assert "Test of whole compositions" in text
    small = rich_scenes(0).model_copy(
        update={
            "test": None,
            "coverage_ci": None,
            "coverage_expected": None,
            "density_expected": None,
        }
    )
    section, text = made(scenes_section(rich_results(scenes=small)))
    assert plain(section.answer) == "83 % of the real scenes have a generated one near."
    assert "whole compositions" not in text and "no generated image is near" not in text


@pytest.mark.parametrize("kind", ["labels", "scale", "segmenter"])
def test_segmenter_by_kind(kind: str) -> None:
    _, text = made(segmenter_section(rich_results(segmenter_share=rich_share(kind))))
    heading = "difference corrected" if kind == "labels" else "shift on real images"
    assert heading in text and "on 500 real images; 83 % of their pixels" in text
    assert text.index("person missed and invented pixels") < text.index("34 classes not flagged")
    assert text.index("34 classes not flagged") < text.index("building")
    assert "The sides differ : real images have the detail of 240 pixels" in text


def test_segmenter_unchecked_or_clear() -> None:
    section, _ = made(segmenter_section(rich_results(segmenter_share=None)))
    assert section.answer.startswith("The segmenter's errors were not measured in this run.")
    clear = rich_share().model_copy(
        update={"classes": [SegmenterClass(label="person", explained=0.0)]}
    )
    section, text = made(segmenter_section(rich_results(segmenter_share=clear, resolution=None)))
    assert section.folded and "in 1 class with a verdict" in section.answer
    assert "No class is flagged." in text


def test_checks_are_matched_in_turn() -> None:
    """Two labels are called "wall": the first check is of the first of them."""
    share = rich_share().model_copy(
        update={
            "classes": [
                SegmenterClass(label="wall", explained=0.1),
                SegmenterClass(label="wall", explained=0.9, flagged=True),
                SegmenterClass(label="not a class"),
            ]
        }
    )
    results = rich_results(segmenter_share=share)
    first, second = [r.index for r in results.classes if r.label == "wall"]
    checks = segmenter_checks(results)
    assert {k: c.explained for k, c in checks.items()} == {first: 0.1, second: 0.9}
    flags = {row.record.index: bool(row.flag) for row in class_rows(results)}
    assert flags[second] and not flags[first]


def test_other_measures_name_library_features_and_n() -> None:
    section, text = made(fidelity_section(rich_results()))
    assert section.answer == "FID 11.3, KID 0.0042 and recall 0.55, by torch-fidelity 0.4.0."
    assert "on 10,000 real images and 10,000 generated images; kid_subset_size = 1000." in text
    assert "inception &lt;script&gt;" in text


def test_notes_on_other_measures_are_sentences() -> None:
    notes = ["no KID: it needs 2 images a side", f"Set nothing beside {HOSTILE}."]
    options = {"seed": 1, "layers": {"fid": "2048"}, "images": "8 bits", "notes": notes}
    found = FidelityResult(
        library="lib 1", features="f", n_real=9, n_generated=9, values={"FID": 1.0}, options=options
    )
    section, text = made(fidelity_section(rich_results(fidelity=found)))
    assert "and 9 generated images; seed = 1, images = 8 bits. Such values" in text
    captions = re.findall(r'<p class="caption">(.*?)</p>', section.body, re.DOTALL)
    assert captions[1] == "No KID: it needs 2 images a side."
    assert captions[2].startswith("Set nothing beside &lt;script&gt;")
    assert captions[2].endswith(".") and not captions[2].endswith("..") and len(captions) == 3
    alone = found.model_copy(update={"options": {"notes": "one of a kind"}})
    section, text = made(fidelity_section(rich_results(fidelity=alone)))
    assert text.endswith("One of a kind.") and "notes" not in text


def test_claims_are_said_in_their_own_words() -> None:
    record = next(r for r in rich_classes() if r.label == "person")
    claims = {"area_claim": "less area", "images_claim": "in fewer images"}
    lost = record.model_copy(update=claims)
    assert verdict_words(lost) == "omitted: less area, in fewer images"
    seen = {"real_seen": 0.4, "generated_seen": 0.1, "images_ci": (-0.8, -0.7)}
    none = {"area_claim": "no evidence", "because": "presence"}
    alone = lost.model_copy(update={**none, **seen})
    text = plain(summarise(rich_results(classes=[alone])).text)
    where = "above the area threshold in 10 % instead of 40 % of the images, −80 to −70 %"
    assert f"person ({where})" in text
    fewer = alone.model_copy(update={"verdict": "in fewer images", "omitted": False})
    assert verdict_words(fewer) == "in fewer images"
    text = plain(summarise(rich_results(classes=[fewer])).text)
    assert "One class is drawn in fewer images, with no evidence of more or less area" in text
    assert "person (10 % instead of 40 %)" in text


def test_a_difference_of_composition_is_said_to_be_one() -> None:
    record = next(r for r in rich_classes() if r.label == "person")
    grown = record.model_copy(
        update={
            "verdict": "excess",
            "omitted": False,
            "area_claim": "more area",
            "images_claim": "no evidence",
            "composition": True,
            "relative_difference": 0.12,
        }
    )
    assert verdict_words(grown) == "excess: more area, but no change shown in the rest"
    text = plain(summarise(rich_results(classes=[grown])).text)
    assert "person (+12 %) takes more room, but of the image without the classes that lost" in text
    assert "is shown that the share" not in text
    settled = grown.model_copy(update={"rest_ci": (-0.02, 0.03)})
    text = plain(summarise(rich_results(classes=[settled])).text)
    assert "Of person it is shown that the share of that rest changed by half as much" in text
    assert "takes more room than in the real images" not in text


def test_class_rows_keep_details() -> None:
    rows = {row.record.label: row for row in class_rows(rich_results())}
    boat = rows[BY_PRESENCE]
    assert verdict_words(boat.record) == "omitted, by presence" and boat.flag == ""
    details = {name: plain(value) for name, value in boat.details}
    assert details["change of presence"] == "−67 % (−72 to −62 %)"
    assert details["presence, 95 % intervals"] == "2.6 to 2.8 % → 0.9 to 0.9 %"
    assert details["p"].endswith("(mean area < 1e−6, any pixel < 1e−6, area if present 0.20)")
    assert "percent²" in details["adds to FSD"]
    assert "as large as the difference" in rows["person"].flag
    old = {row.record.label: dict(row.details) for row in class_rows(church_results())}
    assert set(old["person"]) == {"p"}


def test_power_sentence_of_unequal_sides() -> None:
    text = power_sentence(rich_results(n_generated=5000))
    assert text.startswith("At 10,000 real and 5,000 generated images, the loss of a class would")
    assert power_sentence(rich_results(power=tiny(None))) == ""
    assert "half" not in power_sentence(rich_results(power=tiny(0.01)))


def test_definitions_follow_what_is_shown() -> None:
    terms = [term for term, _, _ in definitions(rich_results())]
    assert {"power", "coverage", "contribution of a class", "explained"} <= set(terms)
    assert len(terms) == len(set(terms)) and "shift" not in terms
    scale = definitions(rich_results(segmenter_share=rich_share("scale")))
    assert "shift" in [term for term, _, _ in scale]
    before = [term for term, _, _ in definitions(church_results())]
    assert set(before) < set(terms) and "coverage" not in before


def test_blocks_that_change_sides_are_named_where_there_are_any() -> None:
    single = rich_results()
    blocked = rich_results(fsd=single.fsd.model_copy(update={"block": 250}))
    assert "random blocks" not in plain(summarise(single).text)
    assert "random blocks of 250 images change sides" in plain(summarise(blocked).text)
    assert "random blocks" in [term for term, _, _ in definitions(blocked)]
    entries = dict(dict(method_card(blocked, church_manifest()))["Statistics"])
    assert entries["random blocks that change sides"] == "of 250 images"


def test_method_card() -> None:
    card = dict(method_card(rich_results(), church_manifest()))
    entries = dict(card["Statistics"])
    assert entries["pairs tested"] == "120" and entries["classes tested"] == "36"
    assert entries["interval of the FSD"] == "0.95"
    assert entries["segmenter checked"].endswith(", 500 images")
    plain = dict(method_card(church_results(), church_manifest()))
    assert "pairs tested" not in dict(plain["Statistics"])


# ------------------------------------------------------------------------------------------- page


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rich")
    results = rich_results()
    write_run(folder, results, rich_gallery(results))
    return folder


@pytest.fixture(scope="module")
def page(run_dir: Path) -> PageReader:
    return read_page(run_dir)


def test_results_come_back(run_dir: Path) -> None:
    text = (run_dir / "results.json").read_text(encoding="utf-8")
    assert Results.model_validate_json(text) == rich_results()


def test_page_holds_all_sections_and_only_its_own_scripts(page: PageReader) -> None:
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    order = [
        "figure",
        "missing",
        "classes",
        "appendix",
        "words",
        "distance",
        "power",
        "together",
        "scenes",
        "segmenter",
        "fidelity",
        "method",
    ]
    places = [ids.index(name) for name in order]
    assert places == sorted(places)
    check_self_contained(page)
    assert "b" not in [tag for tag, _ in page.elements]
    assert {a["href"][1:] for tag, a in page.elements if tag == "a"} <= set(ids)
    assert {a["aria-controls"] for _, a in page.elements if "aria-controls" in a} <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert HOSTILE in [a.get("title") for _, a in page.elements] or any(
        a.get("title", "").startswith(HOSTILE) for _, a in page.elements
    )


def test_scenes_with_pictures(page: PageReader) -> None:
    shown = [a["data-key"] for _, a in page.elements if a.get("data-class") == "scene"]
    assert shown == [
        f"scene.{k}.{side}"
        for k in range(4)
        for side in ("real", "generated")
        if (k, side) != (3, "generated")
    ]
    assert '"scene.0.real":[[' in page.scripts[0]


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_unfolded_page_fits_the_window(browser: Chromium, run_dir: Path, width: int) -> None:
    browser.open(run_dir / "report.html", "?unfold=all", width=width)
    state = browser.evaluate("({...document.documentElement.dataset})")
    assert int(state["scrollWidth"]) <= int(state["innerWidth"]) == width
    open_now = "document.querySelectorAll('details.fold:not([open])').length"
    assert browser.evaluate(open_now) == 0
    assert browser.evaluate("document.querySelectorAll('#table tr.more[hidden]').length") == 0
    loaded = "[...document.querySelectorAll('.themed img')].every(i => i.complete)"
    browser.wait(loaded)
    assert browser.problems == [] and state["errors"] == "0"
    assert "stolen" not in browser.evaluate("document.title")


@pytest.mark.browser
def test_links_open_folded_sections(browser: Chromium, run_dir: Path) -> None:
    browser.open(run_dir / "report.html", width=1280)
    fold = "document.querySelector('#scenes > details').open"
    assert browser.evaluate(fold) is False
    browser.evaluate("document.querySelector('nav a[href=\"#scenes\"]').click()")
    browser.wait(fold)
    browser.evaluate("document.querySelector('#scenes .picture').click()")
    title = browser.evaluate("document.getElementById('viewer-title').textContent")
    assert title.startswith("scene, real: <script>")
    assert browser.evaluate("document.querySelectorAll('#viewer .labels li').length") == 2
    assert browser.problems == []


# ---------------------------------------------------------------------------------------- gallery


def test_scenes_of_a_gallery_come_back_equal(tmp_path: Path) -> None:
    gallery = rich_gallery(rich_results())
    gallery.save(tmp_path)
    back = Gallery.load(tmp_path)
    assert len(back.scenes) == 4 and back.scenes[3].nearest is None
    for one, two in zip(gallery.scenes, back.scenes, strict=True):
        for (side, a), (other, b) in zip(one.images, two.images, strict=True):
            assert (side, a.id) == (other, b.id)
            np.testing.assert_array_equal(a.image, b.image)
            np.testing.assert_array_equal(a.labels, b.labels)


def test_choice_of_scenes() -> None:
    results = rich_results(scenes=rich_scenes(20))
    chosen = choose_scenes(results)
    assert len(chosen) == 12 and chosen[0].ratio == max(u.ratio for u in chosen)
    assert choose_scenes(church_results()) == []


def test_old_galleries_have_no_scenes(tmp_path: Path) -> None:
    folder = church_gallery(church_results(), images=1).save(tmp_path)
    text = (folder / "gallery.json").read_text(encoding="utf-8")
    assert '"scenes": []' in text
    (folder / "gallery.json").write_text(re.sub(r',\s*"scenes": \[\]', "", text), encoding="utf-8")
    assert Gallery.load(tmp_path).scenes == ()


def test_damaged_scenes_are_named(tmp_path: Path) -> None:
    folder = rich_gallery(rich_results()).save(tmp_path)
    text = (folder / "gallery.json").read_text(encoding="utf-8")
    (folder / "gallery.json").write_text(
        text.replace('"scenes": [', '"scenes": [{"generated": {"id": "x"}},', 1), encoding="utf-8"
    )
    with pytest.raises(RunError, match="damaged"):
        Gallery.load(tmp_path)
    wrong = GalleryImage("a", scene(1, 0).image, np.full((4, 4), 9, np.uint8))
    with pytest.raises(UsageError, match="gallery of scene 'a' uses label number 9"):
        Gallery(("-", "b"), scenes=(GalleryScene(wrong),))


def test_of_many_class_names_a_few_are_shown() -> None:
    from seeingkit.report.sections.method import NAMES, _source
    from seeingkit.results import SourceRecord

    details = {"class_names": [f"class {k}" for k in range(1000)]}
    record = SourceRecord(name="a", kind="k", images=3, fingerprint="f", details=details)
    shown = dict(_source(record, 3))["class_names"]
    assert f'"class {NAMES - 1}", "and {1000 - NAMES} more"' in shown
    assert len(record.details["class_names"]) == 1000
