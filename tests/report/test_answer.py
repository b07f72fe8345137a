"""The first sentence of a page: each word in it follows from a claim."""

from __future__ import annotations

from typing import Any

import pytest

from seeingkit.report.words.answer import answer_of
from seeingkit.report.words.evidence import evidence
from seeingkit.report.words.names import file_name, short_id, titles
from seeingkit.report.words.nouns import capitalised, plural
from seeingkit.results import ClassResult, Results, SegmenterClass, SegmenterShare
from tests.helpers.church_report import church_results, class_result


def record(
    label: str, index: int, change: float, seen: tuple[float, float], **claims: Any
) -> ClassResult:
    """A class that has lost ``change`` of its area; ``seen``: shares of images that show it."""
    plain = class_result(label, index, 2.0, change)
    values = {
        "area_claim": "less area",
        "images_claim": "in fewer images",
        "q_area": 0.001,
        "q_images": 0.001,
        "real_seen": seen[0],
        "generated_seen": seen[1],
        "verdict": "omitted",
        "omitted": True,
    }
    return plain.model_copy(update={**values, **claims})


def results(*classes: ClassResult, **changes: Any) -> Results:
    return church_results(classes=[*classes, class_result("sky", 50, 30.0, 0.0)], **changes)


BOAT = record("boat", 1, -0.9, (0.10, 0.02))
PALM = record("palm", 2, -0.6, (0.10, 0.04))
PERSON = record("person", 3, -0.8, (0.26, 0.28), images_claim="no evidence", q_images=0.4)


def test_amounts_follow_the_claims() -> None:
    said = answer_of(results(PERSON, PALM, BOAT))
    assert said.text == (
        "The generator draws almost no boats, and few palms, "
        "and gives far too little room to persons."
    )
    assert [r.label for r in said.classes] == ["boat", "palm", "person"]
    assert [word.text for word in said.words if word.index == 3] == ["persons"]
    folders = answer_of(results(BOAT, generator=None))
    assert folders.text == "The generated images show almost no boats."


def test_few_speaks_of_images_that_were_lost() -> None:
    """Of 100 % of the images 95 % still show it, whatever area is gone."""
    curtain = record("curtain", 1, -0.8, (1.0, 0.95))
    assert answer_of(results(curtain)).text == (
        "The generator gives far too little room to curtains."
    )
    rare = record("curtain", 1, -0.2, (0.5, 0.01), area_claim="no evidence")
    assert answer_of(results(rare)).text == "The generator draws almost no curtains."


def test_of_substances_there_is_little() -> None:
    sand = record("sand", 4, -0.6, (0.2, 0.08))
    said = answer_of(results(sand, PALM)).text
    assert said == "The generator draws few palms, and little sand."


@pytest.mark.parametrize(
    ("flagged", "says"),
    [
        ((), "no sign was found that the segmenter's errors explain these."),
        (("boat",), "the segmenter's errors may explain boats."),
        (("boat", "palm"), "the segmenter's errors may explain boats and palms."),
    ],
)
def test_doubts_about_the_segmenter_stand_beside_the_answer(
    flagged: tuple[str, ...], says: str
) -> None:
    checks = [SegmenterClass(label=x, flagged=x in flagged) for x in ("boat", "palm")]
    share = SegmenterShare(kind="labels", against="true labels", images=9, classes=checks)
    assert answer_of(results(BOAT, PALM, segmenter_share=share)).sure.endswith(says)
    partly = share.model_copy(update={"classes": checks[:1]})  # one was not checked: no word
    assert "segmenter" not in answer_of(results(BOAT, PALM, segmenter_share=partly)).sure


def test_composition_is_said() -> None:
    less = record("sky", 1, -0.6, (1.0, 1.0), images_claim="no evidence", composition=True)
    said = answer_of(results(less)).text
    assert said == "The generator gives less room, maybe only because others grew, to sky."
    assert "no change shown in the rest" in evidence(less, 100, 100)[0]


def test_nothing_found_has_no_rate_of_false_claims() -> None:
    none = answer_of(results(n_real=13, n_generated=13))
    assert none.text.startswith("Nothing is found to be left out of the one class")
    assert "false" not in none.sure and "little could be found" in none.sure


def test_many_classes_are_counted() -> None:
    many = [record(f"thing {k}", k, -0.9, (0.1, 0.01)) for k in range(1, 10)]
    assert answer_of(results(*many)).text.endswith("; 1 more class is omitted.")


def test_evidence_has_the_counts_of_its_tests() -> None:
    area, images = evidence(BOAT, 200, 100)
    assert area.startswith(
        "It covers 2.00\u00a0% of the picture area in real images and 0.20\u00a0%"
    )
    assert area.endswith("less area, q = 0.001.")
    assert images.replace("\u00a0", " ") == (
        "20 of 200 real images (10 %) and 2 of 100 generated ones (2.0 %) show more than a speck "
        "of it: in fewer images, q = 0.001."
    )
    old = class_result("boat", 1, 1.0, 0.2).model_copy(
        update={"because": "presence", "verdict": "omitted", "real_seen": None}
    )
    area, images = evidence(old, 200, 100)
    assert "omitted" not in area and "omitted" in images


@pytest.mark.parametrize(
    ("label", "many"),
    [("people", "people"), ("men", "men"), ("tree-merged", "trees"), ("tv; set", "tvs"), ("", "")],
)
def test_plurals(label: str, many: str) -> None:
    assert plural(label) == many


def test_names() -> None:
    assert capitalised("TV, television") == "TV"
    assert titles(["/a/x/*.png", "/b/x/*.png"]) == ["a/x/*.png", "b/x/*.png"]
    assert titles([r"C:\photos\real", "stylegan2:church?psi=0.5"]) == [
        "real",
        "stylegan2:church?psi=0.5",
    ]
    assert file_name("a/b/c.png") == "c.png"
    assert short_id("12345678") == "12345678" and short_id("123456789") == "…3456789"
