"""Modes of two tallies: which table counts, and classes that were asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seeingkit.analyses.comparison.compare import compare
from seeingkit.analyses.comparison.modes import compare_modes
from seeingkit.contracts import Label, Vocabulary
from seeingkit.report import summarise
from seeingkit.results import ConfusionTable, ModesResult
from seeingkit.runs.analyze import analyze
from seeingkit.runs.config import InversionConfig
from seeingkit.tallies import Tally

LABELS = ("zero", "one", "two")
GOOD = ConfusionTable(counts=((500, 0, 0), (0, 500, 0), (0, 0, 500)))


def read_as(
    labels: list[int],
    *,
    names: tuple[str, ...] = LABELS,
    asked: list[int] | None = None,
    classes: tuple[str, ...] = (),
    confusion: ConfusionTable | None = GOOD,
) -> Tally:
    """A tally of images that are read as these labels."""
    vocabulary = Vocabulary(tuple(map(Label, names)), has_background=False, unit="class")
    found = Tally.from_fractions(np.eye(len(names))[labels], vocabulary)
    record = found.record.model_copy(update={"confusion": confusion, "class_names": classes})
    conditions = None if asked is None else np.array(asked)
    return replace(found, record=record, conditions=conditions)


def modes(real: Tally, generated: Tally) -> ModesResult:
    found = compare_modes(real, generated, seed=0, level=0.05)
    assert found is not None
    return found


REAL = read_as([0, 1, 2] * 20)


def test_modes_are_of_classifiers_alone() -> None:
    pixels = Tally.from_fractions([[0.5, 0.5]] * 4, ["sky", "tree"])
    assert compare_modes(pixels, pixels, seed=0, level=0.05) is None


@pytest.mark.parametrize(
    "confusion", [None, ConfusionTable(counts=((9, 1), (1, 9)))], ids=["none", "of other labels"]
)
def test_nothing_is_called_drawn_without_the_readers_own_table(
    confusion: ConfusionTable | None,
) -> None:
    real = read_as([0, 1, 2] * 20, confusion=confusion)
    found = modes(real, read_as([0] * 60, confusion=confusion))
    assert (found.drawn, found.mistaken_seen, found.confusion) == (None, None, None)
    assert all(mode.drawn is None for mode in found.modes)
    assert modes(REAL, read_as([0] * 60, confusion=confusion)).drawn is None  # tables differ


def test_classes_are_matched_by_name_whatever_their_order() -> None:
    generated = read_as([2, 2, 1, 0], asked=[0, 0, 1, 1], classes=("two", "one"))
    found = modes(REAL, generated)
    assert found.asked_by == "name"
    first, second = found.asked
    assert (first.name, first.read_as, first.right, first.images) == ("two", "two", 2, 2)
    assert (second.right, second.images, second.other, second.other_images) == (1, 2, "zero", 1)
    assert second.modes == 2
    low, high = second.right_ci
    assert 0 < low < 0.5 < high < 1


def test_classes_without_names_are_matched_by_number_and_it_is_said() -> None:
    generated = read_as([0, 1, 1, 2] * 5, asked=[0, 1, 2, 2] * 5)
    found = compare(REAL, generated, permutations=0, force=True).results
    assert found.modes is not None and found.modes.asked_by == "number"
    said = summarise(found).text
    assert "Of 20 images 15 are read as the class that was asked for, classes matched by" in said


@pytest.mark.parametrize(
    "classes",
    [("one", "two", "cat"), ("cat", "dog")],
    ids=["some names fit and one does not", "other names, another number"],
)
def test_classes_that_do_not_fit_are_not_guessed(classes: tuple[str, ...]) -> None:
    asked = list(range(len(classes))) * 4
    found = modes(REAL, read_as([0] * len(asked), asked=asked, classes=classes))
    assert (found.asked, found.asked_by) == ([], "")


@pytest.mark.slow
def test_the_command_ends_in_a_page_of_missing_digits(tmp_path: Path) -> None:
    """Few images, no inversion: sheets as they come, the missing digits, and what is claimed."""
    run = analyze(
        "dcgan:digits-collapsed",
        "digits",
        n=150,
        permutations=50,
        out=tmp_path / "run",
        store=tmp_path / "store",
        inversion=InversionConfig(methods=()),
    )
    found = run.results.modes
    assert found is not None and found.drawn is not None
    assert 1 <= found.drawn <= 4 and found.generated_seen <= 6
    assert {record.label for record in run.results.classes if record.omitted} >= {"0", "1", "6"}
    page = run.report.read_text(encoding="utf-8")
    for said in ("Which classes are drawn at all", "images, as they come", "98.8\u00a0%", "nats"):
        assert said in page
    for side in ("real", "generated"):
        assert (tmp_path / "run" / "samples" / f"{side}.png").is_file()
    assert "It covers" not in page  # no areas where an image has one class
