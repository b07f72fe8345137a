"""Painted regions: units are ranked by them, and files that are no marks are refused."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seeingkit.analyses.interventions.artifacts.config import ArtifactsConfig
from seeingkit.analyses.interventions.artifacts.marks import by_marks, check_marks, mask_of
from seeingkit.analyses.interventions.artifacts.real import RealRows
from seeingkit.analyses.interventions.artifacts.spaces import AreaSpace
from seeingkit.analyses.interventions.artifacts.stage import find_artifacts
from seeingkit.analyses.interventions.subjects import Sample, Starts, Subject
from seeingkit.errors import UsageError
from seeingkit.models.editfiles import edited_generator
from seeingkit.results.marks import PREFIX, Mark, Marks, read_marks
from tests.helpers.artifact_toys import ARTIFACT, real_rows, subject

SEED = 30_000_000


def uri(mask: np.ndarray, mode: str = "L") -> str:
    stream = io.BytesIO()
    Image.fromarray(mask).convert(mode).save(stream, "PNG")
    return PREFIX + base64.b64encode(stream.getvalue()).decode()


def painted(n: int = 24) -> dict[str, Any]:
    """A person marks the bright patches, roughly, in a picture of 16 x 16 pixels."""
    chosen = subject(1.2)
    x = Starts(chosen, Sample(range(n), SEED))[range(n)].x[:, ARTIFACT].numpy() > 0
    masks = np.kron(x, np.ones((1, 2, 2)))
    masks = masks * (np.random.default_rng(0).random(masks.shape) < 0.9)
    images = [{"index": k, "mask": uri((255 * m).astype(np.uint8))} for k, m in enumerate(masks)]
    generator = edited_generator(chosen.generator, "speckled").model_dump(mode="json")
    return {"kind": "marks", "generator": generator, "seed": SEED, "images": images}


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Marks:
    path = tmp_path_factory.mktemp("marks") / "marks.json"
    path.write_text(json.dumps(painted()))
    return read_marks(path)


def test_the_unit_that_makes_the_painted_regions_is_first(marks: Marks) -> None:
    ranking = by_marks(subject(1.2), marks)
    assert ranking.order[0] == ARTIFACT
    assert ranking.scores[ARTIFACT] > 0.4 > 4 * max(np.delete(ranking.scores, ARTIFACT))


def test_its_ablation_is_tested_on_images_that_were_not_painted(marks: Marks) -> None:
    chosen, rows = subject(1.2), real_rows(250, 10**8)
    config = ArtifactsConfig(units=(1,), ranking="marks", marks="marks.json", random=3)
    real, space = RealRows(rows[:100], rows[100:]), AreaSpace(chosen.segmenter)
    made = find_artifacts(chosen, Sample(range(150), 7), space, real, config, marks=marks)
    assert made.tests[0].claim == "gain" and made.tests[0].units == [ARTIFACT]
    with pytest.raises(UsageError, match="were used to choose"):
        find_artifacts(chosen, Sample(range(150), SEED), space, real, config, marks=marks)


def test_marks_of_other_images_are_refused(marks: Marks) -> None:
    wrong = {"weights_sha256": "0" * 64, "identity": "0" * 64}
    other = marks.generator.model_copy(update=wrong)
    with pytest.raises(UsageError, match="marks of speckled, of family speckled, weights 000"):
        by_marks(subject(), marks.model_copy(update={"generator": other}))
    with pytest.raises(UsageError, match="two or more"):
        by_marks(subject(), marks.model_copy(update={"images": marks.images[:1]}))
    empty = Mark(index=0, mask=uri(np.zeros((8, 8), np.uint8)))
    blank = [empty.model_copy(update={"index": k}) for k in range(3)]
    with pytest.raises(UsageError, match="nothing is painted"):
        by_marks(subject(), marks.model_copy(update={"images": blank}))
    some = [empty, empty.model_copy(update={"index": 1, "label": 3})]
    with pytest.raises(UsageError, match="some do not"):
        by_marks(subject(), marks.model_copy(update={"images": some}))


def test_marks_on_images_of_other_options_are_refused(marks: Marks) -> None:
    """With another truncation, image 3 of a seed is another image."""
    other = subject(1.2)
    options = {"options": {"truncation": 0.5}}
    other.generator.info = other.generator.info.model_copy(update=options)
    with pytest.raises(UsageError, match="loaded with other options"):
        by_marks(other, marks)


def test_a_layer_without_a_map_has_no_place_to_agree_with(marks: Marks) -> None:
    chosen = subject(1.2)
    parts = chosen.generator.boundaries
    style = replace(parts[1], kind="style", shape=(12,), extent=None)
    chosen.generator.boundaries = (parts[0], style, parts[2])
    with pytest.raises(UsageError, match="'r8' has no map"):
        check_marks(chosen, Sample(range(60)), marks)


def test_marks_are_checked_without_any_image(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = subject(1.2)
    monkeypatch.delattr(Subject, "start")
    check_marks(chosen, Sample(range(60)), marks)
    with pytest.raises(UsageError, match="were used to choose"):
        check_marks(chosen, Sample(range(60), SEED), marks)
    cut = [marks.images[0], Mark(index=1, mask=CUT)]
    with pytest.raises(UsageError, match="image 1 cannot be read"):
        check_marks(chosen, Sample(range(60)), marks.model_copy(update={"images": cut}))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1"])
def test_white_is_marked_whatever_the_kind_of_png(mode: str) -> None:
    wanted = np.zeros((8, 8), np.uint8)
    wanted[2:5] = 255
    assert np.array_equal(mask_of(Mark(index=0, mask=uri(wanted, mode))), wanted > 0)
    large = np.kron(wanted, np.ones((32, 32), np.uint8))
    assert mask_of(Mark(index=0, mask=uri(large, mode))).shape == (64, 64)


def test_what_is_transparent_is_not_marked() -> None:
    clear = np.full((8, 8, 4), 255, np.uint8)
    clear[:4, :, 3] = 0
    stream = io.BytesIO()
    Image.fromarray(clear).save(stream, "PNG")
    mark = Mark(index=0, mask=PREFIX + base64.b64encode(stream.getvalue()).decode())
    assert np.array_equal(mask_of(mark), np.arange(8)[:, None] // 4 + np.zeros(8) > 0)


HUGE = (
    PREFIX
    + base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (10**6).to_bytes(4, "big") * 2).decode()
)
CUT = uri(np.zeros((8, 8), np.uint8))[:-40]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": []}, "at least 1"),
        ({"seed": -1}, "seed"),
        ({"generator": {"name": "speckled", "family": "speckled"}}, "generator.identity"),
        ({"more": 1}, "more"),
        ({"kind": "edits"}, "kind"),
        ({"images": [{"index": 0, "mask": "data:text/html,<b>"}]}, "a mask is a PNG"),
        ({"images": [{"index": 0, "mask": PREFIX + "€€€€"}]}, "no base64"),
        ({"images": [{"index": 0, "mask": PREFIX + "AAAA" * 20}]}, "no PNG"),
        ({"images": [{"index": 0, "mask": HUGE}]}, "1000000 × 1000000"),
        ({"images": [{"index": -1, "mask": CUT}]}, "index"),
        ({"images": [{"index": 0, "mask": CUT}] * 2}, "twice"),
        (
            {
                "images": [
                    {"index": 0, "mask": CUT},
                    {"index": 1, "mask": uri(np.zeros((4, 4), np.uint8))},
                ]
            },
            "several sizes",
        ),
    ],
)
def test_a_file_that_is_no_marks_is_refused_in_one_line(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "marks.json"
    path.write_text(json.dumps(painted(2) | change), encoding="utf-8")
    with pytest.raises(UsageError, match="marks.json") as fault:
        read_marks(path)
    assert said in str(fault.value) and "\n" not in str(fault.value)


def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_marks(tmp_path / "none.json")
    path = tmp_path / "marks.json"
    path.write_text("{")
    with pytest.raises(UsageError, match="no file of marks"):
        read_marks(path)
    monkeypatch.setattr("seeingkit.results.marks.MOST_BYTES", 0)
    with pytest.raises(UsageError, match="too many"):
        read_marks(path)


def test_a_png_that_is_cut_off_is_named() -> None:
    with pytest.raises(UsageError, match="the mask of image 3 cannot be read"):
        mask_of(Mark(index=3, mask=CUT))
