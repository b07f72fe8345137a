"""Brushes: units by class, and the values that they draw with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import seeingkit
from seeingkit.analyses.interventions.candidates import present_cells
from seeingkit.analyses.interventions.subjects import Sample, Subject, search_seeds
from seeingkit.analyses.painting.brushes import brushes_of, class_means
from seeingkit.analyses.painting.photo import invert_for, photo_start
from seeingkit.contracts import Generator, RewritableGenerator
from seeingkit.errors import SeeingkitError, UsageError
from seeingkit.models.editfiles import edit_file, replay
from seeingkit.models.edits import UnitEdit, run
from seeingkit.models.weightedits import RewrittenGenerator, edit_of
from seeingkit.runs.painted_units import units_of_run
from tests.helpers.dissections import write_dissection


@pytest.fixture(scope="module")
def subject() -> Subject:
    generator = seeingkit.load_generator("progan:minichurches")
    assert isinstance(generator, Generator)
    return Subject(generator, seeingkit.load_segmenter("upernet:minichurches"), "r8.conv1")


def test_values_are_those_of_interventions_from_another_series(subject: Subject) -> None:
    sample = Sample(range(8), search_seeds(0)[0])
    tree, sky = subject.label("tree"), subject.label("sky")
    means, cells = class_means(subject, sample, [tree, sky])
    for mean, label in zip(means, (tree, sky), strict=True):
        assert torch.allclose(mean, present_cells(subject, sample, label, 4).mean, atol=1e-6)
    assert bool((cells > 0).all())
    brush = brushes_of(subject, {"tree": [13, 112]}, images=8)[0]
    assert brush.values == tuple(means[0, [13, 112]].tolist())


def test_a_class_that_no_image_shows_has_no_brush(subject: Subject) -> None:
    with pytest.raises(UsageError, match="none of 2 images shows 'boat'"):
        brushes_of(subject, {"boat": [1]}, images=2)


def test_an_inverted_photo_is_painted_and_replayed(subject: Subject) -> None:
    generator = subject.generator
    image = generator(generator.latents([3]))
    given: dict[str, Any] = {"perceptual": "none", "encoder": "none", "steps": 3}
    found, state = invert_for(generator, image, "r16", **given)
    assert (state.at, found.cut) == ("r16.conv1", "r16.conv1")
    edit = UnitEdit("r16.conv1", (3, 5))
    file = edit_file(generator, photo_start(found, state, 64 * "a"), [edit])
    assert torch.equal(replay(file, generator), run(generator, state, edits=[edit])[0].x)
    with pytest.raises(UsageError, match="behind the layer"):
        invert_for(generator, image, "r8.conv1", cut="r16")


def written(folder: Path, generator: Generator) -> Path:
    """A dissection of noise in the name of a generator, with its table of agreements."""
    results = write_dissection(folder, layers=2, units=6)
    own = {"family": generator.info.family, "weights_sha256": generator.info.weights_sha256}
    record = results.generator.model_copy(update=own)
    results = results.model_copy(update={"generator": record})
    (folder / "results.json").write_text(results.model_dump_json())
    rows = [
        {"layer": "r4.conv1", "unit": unit, "label": label, "iou": iou, "chance": 0.1}
        for label in ("tree", "sky", "window", "brick", "person")
        for unit, iou in ((0, 0.2), (7, 0.6), (9, 0.05), (4, 0.2))
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "agreements.parquet")
    return folder


def test_a_run_of_dissect_gives_units_by_iou_over_chance(subject: Subject, tmp_path: Path) -> None:
    run_folder = written(tmp_path / "run", subject.generator)
    found = units_of_run(run_folder, subject.generator, "r4.conv1")
    assert set(found) <= {"tree", "sky", "window", "brick"}  # classes of labelled units
    assert found["tree"] == [7, 0, 4]
    with pytest.raises(UsageError, match="'r8.conv1' was not dissected, only r4.conv0, r4.conv1"):
        units_of_run(run_folder, subject.generator, "r8.conv1")
    other = seeingkit.load_generator("stylegan2:minichurches")
    assert isinstance(other, Generator)
    with pytest.raises(UsageError, match="another generator"):
        units_of_run(run_folder, other, "r4.conv1")
    own = cast("RewritableGenerator", subject.generator)
    edit = edit_of(own, own.site("r16.conv1"), torch.ones(96, 9), torch.ones(1, 96))
    edited = RewrittenGenerator(own, [edit])
    assert units_of_run(run_folder, edited, "r4.conv1") == found
    content = json.loads((run_folder / "results.json").read_text())
    content["generator"]["options"] = dict(edited.info.options)
    (run_folder / "results.json").write_text(json.dumps(content))
    assert units_of_run(run_folder, edited, "r4.conv1") == found
    with pytest.raises(UsageError, match="with edits that this one lacks"):
        units_of_run(run_folder, subject.generator, "r4.conv1")
    (run_folder / "agreements.parquet").write_bytes(b"nothing")
    with pytest.raises(SeeingkitError, match=r"agreements.parquet: cannot be read"):
        units_of_run(run_folder, edited, "r4.conv1")
