"""Numbers of records by their paths: the same names and values as gates have, with units."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

import seeingkit.results
from seeingkit.results import (
    CalibrationRecord,
    ClassVanishing,
    Interval,
    PairResult,
    PairsResult,
    Record,
    ReferenceRate,
    Results,
)
from seeingkit.results.gates import NumberGate, parse_gate
from seeingkit.results.paths import numbers_of, path_text, value_at
from seeingkit.results.steps import Step, step_of
from seeingkit.results.units import UNITS, unit_of
from tests.helpers.church_report import church_classes, church_results, class_result


def whole() -> Results:
    """A result with lists of every kind."""
    rate = ReferenceRate(vanished=1, pairs=4, rate=0.25, p_value=0.5)
    vanishing = {"method": "layered+r", "photos": 3, "vanished": 2, "in_photos": rate}
    pair = {"first": "door", "second": "wall", "real_together": 0.5, "generated_together": 0.1}
    shares = {"expected_together": 0.4, "odds_ratio_real": 2.0, "odds_ratio_generated": 1.0}
    tests = {"p_value": 0.1, "q_value": 0.2, "verdict": "apart"}
    return church_results(
        classes=[*church_classes(), class_result("a.b [c]", 44, 1.0, 0.5, rest_ci=(0.25, 0.75))],
        calibrations=[
            CalibrationRecord(
                method="layered+r", cut="r8", n=3, psnr=20.5, psnr_low=19.0, pixel_correlation=0.5
            )
        ],
        vanishing=[
            ClassVanishing.model_validate({**vanishing, "label": "person", "cut": cut})
            for cut in ("r8", "")
        ],
        pairs=PairsResult(
            tested=1,
            too_rare=0,
            level=0.05,
            found=1,
            pairs=[PairResult.model_validate(pair | shares | tests)],
        ),
    )


def test_names_are_those_of_gates_and_give_the_same_numbers() -> None:
    results = whole()
    checked = 0
    for path, value in numbers_of(results).items():
        if " #2]" in path or path.startswith("pairs.pairs["):
            continue
        gate = parse_gate(f"{path} > 0")
        assert isinstance(gate, NumberGate)
        found, why = value_at(results, results, gate.path)
        assert found == value if value is not None else (found is None and why), path
        checked += 1
    assert checked > 1500


def test_each_kind_of_number() -> None:
    numbers = numbers_of(whole())
    assert numbers["classes"] == len(whole().classes)
    assert numbers["classes[a.b [c]].rest_ci[1]"] == 0.75
    assert numbers["classes.person.omitted"] is True
    assert numbers["classes.sofa.relative_difference"] is None
    assert numbers["vanishing[layered+r, r8, person].in_photos.rate"] == 0.25
    assert numbers["vanishing[layered+r, person].vanished"] == 2
    assert numbers["calibrations[layered+r, r8].psnr"] == 20.5
    assert numbers["pairs.pairs[door, wall].q_value"] == 0.2
    assert "paired" not in numbers and not any(path.startswith("preset") for path in numbers)


def test_classes_of_one_name_are_told_apart() -> None:
    numbers = numbers_of(whole())
    areas = [record.real_area for record in whole().classes if record.label == "wall"]
    assert [numbers["classes.wall.real_area"], numbers["classes[wall #2].real_area"]] == areas


class Part(Record):
    NAMED_BY = ("name",)

    name: str
    size: float | None = None
    bounds: Interval | None = None


class Tree(Record):
    """A record of no kind that there is."""

    title: str
    parts: list[Part]
    best: Part | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    loose: list[str] = Field(default_factory=list)


def test_any_tree_of_records_is_flat() -> None:
    tree = Tree(
        title="x",
        parts=[Part(name="a b", size=math.inf), Part(name="c", bounds=(1.0, 2.0))],
        counts={"1 %": 7},
        loose=["x", "y"],
    )
    assert numbers_of(tree) == {
        "parts": 2,
        "parts[a b].size": math.inf,
        "parts[a b].bounds[0]": None,
        "parts[a b].bounds[1]": None,
        "parts.c.size": None,
        "parts.c.bounds[0]": 1.0,
        "parts.c.bounds[1]": 2.0,
        "counts[1 %]": 7,
        "loose": 2,
    }


@given(st.lists(st.sampled_from(["a", "a #2", "b"]), max_size=6))
def test_no_two_records_share_a_path(names: list[str]) -> None:
    numbers = numbers_of(Tree(title="", parts=[Part(name=name) for name in names]))
    assert sum(path.endswith(".size") for path in numbers) == len(names)


def test_path_texts() -> None:
    assert path_text(["fsd", "value"]) == "fsd.value"
    assert path_text(["classes", "é-1", "real_area"]) == "classes.é-1.real_area"


def fields(kind: type[Record]) -> Iterator[str]:
    for one in kind.__subclasses__():
        yield from one.model_fields
        yield from fields(one)


def test_units_are_of_fields_that_there_are() -> None:
    assert seeingkit.results and set(UNITS) <= set(fields(Record))


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("conditions.dog.fsd.floor", "percent^2"),
        ("control.fsd.standard_error", "percent^2"),
        ("differences[a, b].ci_low", "percent^2"),
        ("fsd.p_value", ""),
        ("fsd.confidence", ""),
        ("classes.car.ci_low", ""),
        ("classes.car.real_area_ci[1]", "percent"),
        ("classes[fsd].fsd_mean_term", "percent^2"),
        ("calibrations[z].seconds", "s"),
        ("inversions[a, z].psnr", "dB"),
    ],
)
def test_units_by_path(path: str, unit: str) -> None:
    assert unit_of(path) == unit


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("network-snapshot-001000.pkl", Step(1000, "kimg")),
        ("network-snapshot-25000000.pkl", Step(25_000_000, "kimg")),
        ("G-kimg005000.pt", Step(5000, "kimg")),
        ("ema_10000_kimg.pt", Step(10_000, "kimg")),
        ("G_iter_20000.pth", Step(20_000, "steps")),
        ("epoch=3-step=1200.ckpt", Step(1200, "steps")),
        ("epoch_12.pt", Step(12, "epochs")),
        ("stylegan2-ffhq-config-f.pkl", None),
        ("depoch12.pt", None),
        ("network-snapshot-" + "9" * 5000 + ".pkl", None),
    ],
)
def test_steps_by_name(name: str, step: Step | None) -> None:
    assert step_of(name) == step
