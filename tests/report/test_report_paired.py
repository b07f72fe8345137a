"""The words and the section of a paired comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seeingkit import Tally, compare
from seeingkit.cli.findings import print_summary
from seeingkit.report import summarise, write_report
from seeingkit.report.pictures.gallery import Gallery, GalleryImage, GalleryScene
from seeingkit.report.sections.paired import paired_section
from seeingkit.report.selection import choose_beside
from seeingkit.report.words.definitions import definitions
from seeingkit.report.words.paired import (
    claims,
    difference_ends,
    interval_name,
    relative_ends,
    vanishing,
)
from seeingkit.results import PairedClass, Results
from tests.helpers.church_report import HOSTILE, check_self_contained, church_manifest, read_page
from tests.helpers.church_report import church_results as unpaired_results

NAMES = ["sky", "tree", HOSTILE, "car", "lamp"]


def results(lost: int = 12, n: int = 12, permutations: int = 19) -> Results:
    """Cars are gone from the first so many images; lamps come into three."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([8, 4, 2], n) * 0.8
    car, lamp = rng.uniform(0.05, 0.1, (n, 1)), np.zeros((n, 1))
    first = np.c_[rows, car, lamp]
    car, lamp = car.copy(), lamp.copy()
    car[:lost], lamp[:3] = 0, 0.02
    second = np.c_[rows + rng.normal(0, 0.004, rows.shape), car, lamp]
    ids = [f"{k}{HOSTILE}" for k in range(n)]
    sides = (Tally.from_fractions(np.clip(side, 0, 1), NAMES, ids=ids) for side in (first, second))
    return compare(*sides, paired=True, permutations=permutations).results


def record(**changes: Any) -> PairedClass:
    found = results().paired
    assert found is not None
    return next(c for c in found.classes if c.label == "car").model_copy(update=changes)


def test_the_headline_names_the_loss_and_its_counts() -> None:
    summary = summarise(results())
    assert summary.headline.startswith("Within 12 pairs, 1 of 4 classes of the real images is left")
    assert (
        "car (vanishes from 12 of 12 images that show more than a speck, p = 4.9e"
        in summary.headline
    )
    assert summary.headline.endswith("; at a false discovery rate of 5\u00a0%.")
    assert "not interchangeable in this class" in summary.text
    assert "area −100\u00a0%, interval −100 to" in summary.headline
    assert "all 2,047 swaps" not in summary.text and "19 random swaps" in summary.text
    for word in ("floor", "permutation", "is reduced"):
        assert word not in summary.text


def test_without_a_loss_it_says_so() -> None:
    summary = summarise(results(lost=2))
    assert summary.headline.startswith("Within 12 pairs nothing is found to be left out: of the 4")
    assert "false discovery rate of 5\u00a0%" in summary.headline
    assert "3 for one about the images" not in summary.text  # three pairs are no test
    assert "interchangeable" not in summary.text
    section = paired_section(results(lost=2))
    assert section is not None and section.answer.startswith("No class differs within the 12 pairs")


def test_all_swaps_and_none() -> None:
    few = results(n=6, lost=6, permutations=99)
    assert "all 31 swaps" in summarise(few).text
    assert "the smallest that they can give" in summarise(results()).text
    assert "without swaps of pairs it has no p-value" in summarise(results(permutations=0)).text


def test_fewer_images_without_less_area_are_said_in_their_words() -> None:
    base = results()
    assert base.paired is not None
    changed = [
        c.model_copy(update={"images_claim": "in more images", "only_generated": 9, "only_real": 1})
        if c.label == "lamp"
        else c
        for c in base.paired.classes
    ]
    paired = base.paired.model_copy(update={"classes": changed})
    text = summarise(base.model_copy(update={"paired": paired})).text
    assert "lamp (gone from 1 image, come into 9 images)" in text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-1.0, -0.68, "−100 to −68 %"),
        (-0.9, -0.0001, "−90 % to below 0"),
        (0.0001, 0.5, "above 0 to +50 %"),
        (-1.0, None, "unbounded"),
        (None, None, "unbounded"),
        (0.2, None, "from +20 %"),
        (-0.2, 660.0, "−20 to above +1,000 %"),
        (-0.5, 0.0, "−50 to 0 %"),
    ],
)
def test_ends_never_contradict_a_claim(low: float | None, high: float | None, text: str) -> None:
    written = relative_ends(record(relative_low=low, relative_high=high))
    assert written.replace("\u00a0", " ") == text
    points = difference_ends(record(difference_low=-2.9, difference_high=None))
    assert points == "from −2.9"


def test_words_of_a_class() -> None:
    assert claims(record()) == "less area, in fewer images"
    assert claims(record(area_claim="no evidence")) == "in fewer images"
    assert claims(record(area_claim="no evidence", images_claim="no evidence")) == "no evidence"
    assert vanishing(record(vanished=9, shown=9, p_vanished=0.0039)) == (
        "vanishes from 9 of 9 images that show more than a speck, p = 0.004"
    )
    assert vanishing(record(vanished=99, shown=99, p_vanished=1e-20)).endswith("speck, p < 1e−6")
    paired = results().paired
    assert paired is not None
    for confidence, words in ((0.975, "97.5"), (0.99545, "99.5"), (0.99986, "99.986")):
        changed = paired.model_copy(update={"confidence_area": confidence})
        assert interval_name(changed) == f"{words}\u00a0% interval"


def test_definitions_are_those_of_the_tests_that_were_made() -> None:
    paired = {found.term for found in definitions(results())}
    plain = {found.term for found in definitions(unpaired_results())}
    assert {"swap p", "vanishes"} <= paired and not {"swap p", "vanishes"} & plain
    assert {"floor", "permutation p"} <= plain and not {"floor", "permutation p"} & paired


def gallery(found: Results) -> Gallery:
    def image(item: str) -> GalleryImage:
        return GalleryImage(item, np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint8))

    pairs = [GalleryScene(image(a), image(b)) for a, b in choose_beside(found)[:5]]
    return Gallery(tuple(NAMES), scenes=tuple(pairs), has_background=False)


def test_the_page_shows_pairs_side_by_side(tmp_path: Path) -> None:
    found = results()
    write_report(tmp_path, found, church_manifest(), gallery(found))
    page = read_page(tmp_path)
    check_self_contained(page)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count('data-side="generated" aria-label="Enlarge generated image') == 5
    assert "<h3>car: the pairs that differ most</h3>" in text
    assert "12 of 12" in text and "swap p" in text
    assert "<figcaption>One of the pairs: car " in text  # on the first screen
    assert "bias-reduced</dt>" not in text and "95&nbsp;% interval" not in text
    assert HOSTILE not in text
    # Pairs without pictures are listed.
    assert text.count("<td>11&lt;script") + text.count(">11&lt;script") >= 1


def test_an_unpaired_page_has_no_such_section() -> None:
    assert paired_section(unpaired_results()) is None
    assert choose_beside(unpaired_results()) == []


def test_the_summary_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(results(), Path("report.html"))
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("car"))
    assert row.split()[-8:] == ["12", "of", "12", "less", "area,", "in", "fewer", "images"]
    assert "12/0" in row and "-100 %" in row
    assert "verdict" not in out
