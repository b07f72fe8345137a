"""Words and figure of layers that are compared by their units."""

from __future__ import annotations

import numpy as np
import pytest

from seeingkit.analyses.dissection.contrasts import contrasts
from seeingkit.analyses.dissection.panels import panel_of
from seeingkit.report.figures.charts import chart_svg
from seeingkit.report.figures.unit_counts import PANELS, build_unit_counts_chart, count_rows
from seeingkit.report.words.unit_contrasts import (
    claim_words,
    difference_words,
    panel_sentences,
)
from seeingkit.results import (
    ComparedLayer,
    CountKind,
    UnitDifference,
    UnitNumber,
    UnitPanel,
    UnitQuantity,
)
from tests.helpers.unit_series import layer_of


def difference(
    kind: CountKind, value: float, low: float | None, high: float | None, *, claimed: bool = True
) -> UnitDifference:
    return UnitDifference(
        first="a",
        second="b",
        kind=kind,
        label="sky" if kind == "class" else "",
        category="part" if kind == "category" else "",
        difference=value,
        low=low,
        high=high,
        p=0.001,
        adjusted=0.01,
        claimed=claimed,
    )


def panel(*differences: UnitDifference, units: tuple[int, int] = (100, 100)) -> UnitPanel:
    names = ("a", "b")
    layers = [
        ComparedLayer(name=name, generator=f"toy:{name}", layer="r8", units=size)
        for name, size in zip(names, units, strict=True)
    ]
    quantities = [
        UnitQuantity(
            kind="class",
            label=f"</text>{k}\x1b",
            plane="object",
            category="object",
            numbers=[UnitNumber(count=k, low=0.0, high=2.0 * k + 1, letters="a")] * 2,
        )
        for k in range(20)
    ]
    return UnitPanel(
        title="r8",
        groups=30,
        images=480,
        tests=14,
        layers=layers,
        quantities=quantities,
        differences=list(differences),
    )


@pytest.mark.parametrize(
    ("one", "units", "words"),
    [
        (difference("class", 0.09, 0.023, 0.157), (100, 100), ("+9", "+2.3 to +15.7")),
        (difference("class", -0.04, -0.08, -1e-9), (100, 100), ("−4", "−8 to below 0")),
        (difference("class", 0.04, 1e-9, None), (100, 100), ("+4", "above 0 to unbounded")),
        (difference("class", 0.04, 0.01, 0.07), (100, 50), ("+4\u00a0%", "+1 to +7\u00a0%")),
        (difference("distinct", -2.0, -3.99, -0.01), (100, 50), ("−2", "−4 to −0.01")),
        (difference("class", 0.0, None, None, claimed=False), (9, 9), ("0", "unbounded")),
    ],
)
def test_differences_are_units_or_shares_and_never_rounded_to_zero(
    one: UnitDifference, units: tuple[int, int], words: tuple[str, str]
) -> None:
    assert difference_words(one, panel(one, units=units)) == words


def test_only_claims_are_said() -> None:
    found = [
        difference("class", 0.09, 0.02, 0.16),
        difference("category", -0.09, -0.16, -0.02),
        difference("distinct", -2.0, -3.0, -1.0),
        difference("labelled", 0.09, -0.02, 0.16, claimed=False),
    ]
    assert panel_sentences(panel(*found)) == [
        "a has surely more units of sky, and fewer units of category part, and fewer classes with "
        "a unit, than b."
    ]
    shares = panel_sentences(panel(*found[:2], units=(100, 50)))
    assert shares == [
        "a has surely a greater share of units of sky, and a smaller share of units of category "
        "part, than b."
    ]
    assert panel_sentences(panel(found[3])) == []
    assert "Among all 14 differences" in claim_words([panel(*found)], 0.05)
    assert "the same share" in claim_words([panel(units=(9, 8))] * 2, 0.05)


def test_the_figure_has_a_panel_a_class_and_a_row_a_layer() -> None:
    rows = count_rows(panel())
    assert len(rows) == 2 * PANELS
    assert rows[2] == {
        "what": "1", "layer": "a", "share": 1.0, "low": 0.0, "high": 3.0, "text": "1 a"
    }  # fmt: skip
    chart = build_unit_counts_chart(panel()).to_dict()
    assert len(chart["concat"]) == PANELS and chart["columns"] == 4


def test_layers_without_any_label_have_a_figure_of_zeros() -> None:
    rng = np.random.default_rng(0)
    idle = [layer_of(np.zeros((12, 3)), rng, name=name, noise=0.0) for name in ("a", "b")]
    layers = [ComparedLayer(name=n, generator="toy", layer="r8", units=12) for n in ("a", "b")]
    made = panel_of(contrasts(idle), layers, "r8", 480)
    assert [(one.kind, [n.count for n in one.numbers]) for one in made.quantities] == [
        ("labelled", [0, 0])
    ]
    assert chart_svg(build_unit_counts_chart(made)).startswith("<svg")
    assert not panel_sentences(made)
