"""The original code's numbers, replayed: tolerances are those of the README beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seeingkit.analyses.interventions.candidates import (
    CODE,
    Cells,
    candidate_cells,
    present_cells,
    unit_quantiles,
)
from seeingkit.analyses.interventions.causal import causal_effect
from seeingkit.analyses.interventions.curves import curve
from seeingkit.analyses.interventions.effects import Intervention, measure
from seeingkit.analyses.interventions.objective import ALPHA_PRESETS, Pairs, Places
from seeingkit.analyses.interventions.optimise import optimise
from seeingkit.analyses.interventions.places import context_map, insert_at_cells
from tests.helpers.intervention_goldens import CASES, Case, case

PIXELS = 3
ALPHA, LOSS = 5e-3, 1e-4
COLOURS = [name for name in CASES if "colours" in name]


def some_slow(names: Sequence[str]) -> list[Any]:
    """The cases, those of the larger network as slow ones."""
    return [pytest.param(n, marks=() if "plain" in n else pytest.mark.slow) for n in names]


SETS = ("none", "top1", "top5", "top10", "top20", "random20")


@pytest.fixture(scope="module")
def open_case(shared: Path) -> Callable[[str], Case]:
    return cache(lambda name: case(shared, name))


def far(found: NDArray[Any], expected: NDArray[Any]) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(float) - expected.astype(float)).max())


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *((name, 300 if "plain" in name else 20) for name in CASES),
        *(pytest.param(name, 300, marks=pytest.mark.slow) for name in CASES if "64" in name),
    ],
)
def test_areas_after_ablations(open_case: Callable[[str], Case], name: str, most: int) -> None:
    golden = open_case(name)
    stored = golden.arrays("ablation")
    n = min(most, len(stored["areas_none"]))
    edits = [Intervention.ablation(stored[f"set_{which}"]) for which in SETS]
    half = Intervention.ablation(stored["set_top10"], alpha=0.5)
    subject = golden.subject(str(stored["layer"]))
    found = measure(subject, golden.sample("intervention", n), [*edits, half])
    assert np.array_equal(found.before, found.after[0])  # an edit of no units
    for k, which in enumerate((*SETS, "half_top10")):
        assert far(found.after[k], stored[f"areas_{which}"][:n]) <= PIXELS


@pytest.mark.slow
@pytest.mark.parametrize("name", some_slow(CASES))
def test_pixels_left_by_number_of_units(open_case: Callable[[str], Case], name: str) -> None:
    golden = open_case(name)
    stored = golden.arrays("ablation")
    n, most = len(stored["areas_none"]), len(stored["pixels"]) - 1
    found = curve(
        golden.subject(str(stored["layer"])),
        golden.sample("intervention", n),
        {"IoU": stored["order"].tolist()},
        golden.label(stored["label"]),
        numbers=range(1, most + 1),
        random=0,
    )
    size = golden.generator.info.resolution**2 / 100
    left = [found.before, *(point.area for point in found.lines[0].points)]
    assert far(np.array(left) * n * size, stored["pixels"]) <= max(
        PIXELS, 1e-4 * float(stored["pixels"].max())
    )


@pytest.mark.parametrize("name", CASES)
def test_insertion_everywhere_and_ace(open_case: Callable[[str], Case], name: str) -> None:
    golden = open_case(name)
    stored = golden.arrays("insertion")
    units, k = stored["units"].tolist(), torch.from_numpy(stored["k"])
    edits = [Intervention.insertion(units, k), Intervention.ablation(units)]
    sample = golden.sample("intervention", len(stored["areas_before"]))
    found = measure(golden.subject(str(stored["layer"])), sample, edits)
    assert far(found.before, stored["areas_before"]) <= PIXELS
    assert far(found.after[0], stored["areas_on_everywhere"]) <= PIXELS
    assert far(found.after[1], stored["areas_off_everywhere"]) <= PIXELS
    label = golden.label(stored["label"])
    ace = causal_effect(found, golden.segmenter.vocabulary, label, 0, 1)
    assert ace.pixels == pytest.approx(float(stored["ace_everywhere"]), abs=PIXELS)


@pytest.mark.parametrize("name", CASES)
def test_insertion_at_some_cells(open_case: Callable[[str], Case], name: str) -> None:
    golden = open_case(name)
    stored = golden.arrays("insertion")
    cells = [2, 21, 35, 44, 63]
    rows = slice(None, 16)
    found = insert_at_cells(
        golden.subject(str(stored["layer"])),
        golden.sample("intervention", len(stored["areas_before"][rows])),
        stored["units"].tolist(),
        torch.from_numpy(stored["k"]),
        golden.label(stored["label"]),
        cells,
    )
    delta = stored["delta"][cells, rows, golden.label(stored["label"])]
    assert far(found.gained, delta) <= PIXELS
    assert np.array_equal(found.context, stored["context"][cells, rows])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_table_of_contexts(open_case: Callable[[str], Case], name: str) -> None:
    golden = open_case(name)
    stored = golden.arrays("insertion")
    subject, label = golden.subject(str(stored["layer"])), golden.label(stored["label"])
    sample = golden.sample("intervention", len(stored["areas_before"]))
    units, k = stored["units"].tolist(), torch.from_numpy(stored["k"])
    found = insert_at_cells(subject, sample, units, k, label)
    assert far(found.gained, stored["delta"][:, :, label]) <= PIXELS
    assert np.array_equal(found.context, stored["context"])
    for row in context_map(found, subject, units, label).contexts:
        mean, many = stored["context_table"][golden.label(row.label)]
        assert row.places == many
        assert row.effect * found.pixels / 100 == pytest.approx(mean, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_cells_where_the_class_is(open_case: Callable[[str], Case], name: str) -> None:
    golden = open_case(name)
    stored, about = golden.arrays("corpus"), golden.about["ace"]
    layer = str(golden.arrays("ablation")["layer"])
    found = present_cells(
        golden.subject(layer),
        golden.sample("search_present", about["search"]),
        golden.label(about["label"]),
        about["train"],
        about["eval"],
        CODE,
    )
    assert np.array_equal(found.train.rows, stored["present_indices"])
    assert np.array_equal(found.train.cells, stored["object_present_location"])
    assert np.array_equal(found.popularity, stored["object_location_popularity"])
    assert np.array_equal(found.held_out.rows, stored["eval_present_indices"])
    assert np.array_equal(found.held_out.cells, stored["eval_present_location"])
    assert far(found.mean.numpy(), stored["weighted_mean_present_feature"]) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", some_slow(COLOURS))
def test_cells_where_the_class_could_grow(open_case: Callable[[str], Case], name: str) -> None:
    golden = open_case(name)
    stored, about = golden.arrays("corpus"), golden.about["ace"]
    subject, label = golden.subject(golden.about["layers"]["layer3"]), golden.label(about["label"])
    searched = golden.sample("search_present", about["search"])
    present = present_cells(subject, searched, label, about["train"], about["eval"], CODE)
    sample = golden.sample("search_candidate", about["search"])
    found, held = candidate_cells(
        subject, sample, label, present, about["train"], about["eval"], CODE
    )
    assert np.array_equal(found.rows, stored["candidate_indices"])
    assert np.array_equal(found.cells, stored["candidate_location"])
    assert far(found.scores, stored["candidate_score"]) <= PIXELS
    assert np.array_equal(held.rows, stored["eval_candidate_indices"])
    assert np.array_equal(held.cells, stored["eval_candidate_location"])


def test_quantiles_of_units(open_case: Callable[[str], Case]) -> None:
    """The original's are of a sketch of 10,000 values a unit, from 25,600."""
    golden = open_case("progan-plain-r32_colours")
    stored = golden.arrays("corpus")
    sample = golden.sample("search_present", golden.about["ace"]["search"])
    found = unit_quantiles(golden.subject("layer3"), sample, (0.1, 0.5, 0.99))
    for row, name in zip(found, ("10", "50", "99"), strict=True):
        assert far(row.numpy(), stored[f"feature_{name}"]) <= 0.02


def recorded(golden: Case, run: str, updates: int) -> tuple[Places, list[Pairs]]:
    """The cells of the recorded batches of a run, each once, and the pairs of each update."""
    stored = golden.arrays(run)
    found, pairs = [], []
    for kind in ("present", "candidate"):
        batches = stored[f"batch_{kind}"], stored[f"batch_{kind}_cell"]
        both = np.stack([each.ravel() for each in batches], 1)
        unique, place = np.unique(both, axis=0, return_inverse=True)
        found.append(Cells(unique[:, 0], unique[:, 1], np.zeros(len(unique))))
        pairs.append(place.reshape(len(stored["step_loss"]), -1))
    many = golden.about["ace"]["search"]
    places = Places(
        golden.sample("search_present", many),
        found[0],
        golden.sample("search_candidate", many),
        found[1],
        torch.from_numpy(golden.arrays("corpus")["weighted_mean_present_feature"]),
    )
    return places, [Pairs(pairs[0][u], pairs[1][u]) for u in range(updates)]


@pytest.mark.parametrize(
    ("run", "preset"),
    [
        ("ace_corrected", "paper"),
        ("ace_as_published", "published"),
    ],
)
@pytest.mark.parametrize(
    ("name", "updates"),
    [
        ("progan-plain-r32_colours", 25),
        ("progan-minichurches-64_colours", 4),
        pytest.param("progan-minichurches-64_colours", 25, marks=pytest.mark.slow),
    ],
)
def test_the_optimisation_of_strengths(
    open_case: Callable[[str], Case], name: str, updates: int, run: str, preset: str
) -> None:
    golden = open_case(name)
    stored = golden.arrays(run)
    places, pairs = recorded(golden, run, updates)
    subject = golden.subject(golden.about["layers"]["layer3"], batch=10)
    settings, label = ALPHA_PRESETS[preset], golden.label(golden.about["ace"]["label"])
    assert (settings.penalty, settings.rate) == (stored["lam"], stored["lr"])
    found = optimise(subject, label, places, settings, start=stored["alpha0"], pairs=pairs)
    assert far(found.alpha.numpy(), stored["alpha"][: updates + 1]) <= ALPHA
    assert far(found.losses.numpy(), stored["step_loss"][:updates]) <= LOSS
    assert far(found.penalties.numpy(), stored["regulariser"][:updates]) <= LOSS
    if updates == len(stored["step_loss"]):
        # Equal strengths, such as several 1, may stand in another order.
        last = found.alpha[-1].numpy()
        assert far(last[list(found.ranking)], last[stored["ranking"]]) <= ALPHA
