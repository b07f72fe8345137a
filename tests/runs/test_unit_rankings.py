"""Units ranked by IoU, from the files of a run of ``dissect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seeingkit.analyses.interventions.request import Request
from seeingkit.analyses.interventions.subjects import Subject
from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.results import DissectionResults
from seeingkit.runs.painted_units import units_of_run
from seeingkit.runs.unit_rankings import agreement_ranking
from seeingkit.tallies.record import model_record
from tests.helpers.dissections import write_dissection
from tests.helpers.interventions import asked
from tests.helpers.planted import levels, planted


def dissection(folder: Path, **changed: object) -> Path:
    """A run of ``dissect`` of layer r4 of the planted generator."""
    results = write_dissection(folder)
    (layer, *_) = results.layers
    told = {
        "generator": model_record(planted().info),
        "layers": [layer.model_copy(update={"name": "r4"})],
        **changed,
    }
    text = DissectionResults.model_validate(results.model_copy(update=told)).model_dump_json()
    (folder / "results.json").write_text(text)
    rows = [("r4", u, label, iou) for label, ious in IOUS.items() for u, iou in enumerate(ious)]
    rows += [("r8", u, "bright", 1.0) for u in range(9)]
    columns = zip(("layer", "unit", "label", "iou"), zip(*rows, strict=True), strict=True)
    pq.write_table(pa.table({name: list(values) for name, values in columns}), folder / TABLE)
    return folder


TABLE = "agreements.parquet"
IOUS = {"bright": [0.3, 0.1, 0.5, 0.3], "dark": [0.0, 0.9, 0.0, 0.0]}


def test_units_are_ranked_by_iou_ties_by_their_number(tmp_path: Path) -> None:
    found = agreement_ranking(dissection(tmp_path), planted(), "units", "bright")
    assert (found.ranking, found.ious) == ([2, 0, 3, 1], [0.5, 0.3, 0.3, 0.1])
    assert (found.seed, found.images, found.level_seed) == (0, 1000, 1_000_000)


@pytest.mark.slow
def test_runs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    run = dissection(tmp_path / "a")
    with pytest.raises(UnknownNameError, match="no dissected class named 'sky'"):
        agreement_ranking(run, planted(), "r4", "sky")
    with pytest.raises(RunError, match="no such folder"):
        agreement_ranking(tmp_path / "none", planted(), "r4", "bright")
    (run / TABLE).write_bytes(b"PAR1")
    with pytest.raises(RunError, match="agreements.parquet: cannot be read"):
        agreement_ranking(run, planted(), "r4", "bright")
    other = model_record(planted().info).model_copy(update={"family": "other", "name": "other"})
    run = dissection(tmp_path / "b", generator=other)
    with pytest.raises(RunError, match="a dissection of other, not of this planted"):
        agreement_ranking(run, planted(), "r4", "bright")
    layer = write_dissection(tmp_path / "c").layers[0]
    run = dissection(tmp_path / "c", layers=[layer])
    with pytest.raises(UnknownNameError, match="no dissected layer named 'r4'"):
        agreement_ranking(run, planted(), "r4", "bright")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "ious", "fault"),
    [
        ([0, None], [0.1, 0.2], "a row without unit"),
        (["0", "third"], [0.1, 0.2], "cannot be read"),
        ([0, 2**40], [0.1, 0.2], "a unit that r4 does not have; its units are 0 to 3"),
        ([0, -1], [0.1, 0.2], "a unit that r4 does not have"),
        ([0, 1], [0.1, float("nan")], "iou that is not between 0 and 1"),
        ([0, 1], ["much", "little"], "cannot be read"),
    ],
)
def test_tables_that_hold_no_units_or_no_numbers_are_refused(
    tmp_path: Path, units: list[Any], ious: list[Any], fault: str
) -> None:
    run = dissection(tmp_path)
    columns = {"layer": ["r4"] * 2, "unit": units, "label": ["bright"] * 2, "iou": ious}
    pq.write_table(pa.table({**columns, "chance": [0.0, 0.0]}), run / TABLE)
    with pytest.raises(RunError, match=fault):
        agreement_ranking(run, planted(), "r4", "bright")
    with pytest.raises(RunError, match=fault):
        units_of_run(run, planted(), "r4")


def test_images_that_units_were_ranked_on_are_refused() -> None:
    known = asked().agreement
    assert known is not None
    subject = Subject(planted(), levels(), "r4")
    near = known.model_copy(update={"seed": 4_000_010})
    with pytest.raises(UsageError, match="were used to choose the units"):
        Request(subject, asked().config, n=24, agreement=near)
    far = known.model_copy(update={"seed": 4_000_024})
    assert Request(subject, asked().config, n=24, agreement=far).pictures() > 24
