"""Photo, reconstruction and difference as one picture, and the tables of inverted photos."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seeingkit import Inversion
from seeingkit.analyses.inversion.album import show_records
from seeingkit.analyses.inversion.tables import LOSSES, VANISHING, loss_table, vanishing_table
from seeingkit.contracts import State
from seeingkit.contracts.pictures import GAP, LINE, absolute_difference
from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.images.preprocess import quantise
from seeingkit.results import (
    ClassVanishing,
    InversionRecord,
    InversionResults,
    InversionSettings,
    LostClass,
    ModelRecord,
    ReferenceRate,
    SourceRecord,
)
from seeingkit.runs.directory import RunDirectory
from seeingkit.runs.invert import InversionRun

SIZE, TILE = 8, 192


def inversion(rows: int = 2) -> Inversion:
    """Row 0: black, and white came out; row 1: grey as it was; all others grey."""
    images = torch.zeros(rows, 3, SIZE, SIZE)
    images[0] = -1
    made = torch.zeros(rows, 3, SIZE, SIZE)
    made[0] = 1.5  # not clamped
    numbers = torch.arange(rows, dtype=torch.float64)
    return Inversion(
        method="z",
        cut="r8",
        images=images,
        reconstruction=made,
        state=State("r8", images),
        z=None,
        initial=images,
        loss=numbers,
        psnr=numbers + 10,
        perceptual=None,
        steps=torch.full((rows,), 7),
        converged=torch.ones(rows, dtype=torch.bool),
    )


def tile(
    sheet: Image.Image, row: int, column: int, height: int = TILE, width: int = TILE
) -> set[int]:
    """The values of one tile."""
    left = GAP + column * (width + GAP)
    top = LINE + GAP + row * (height + LINE + GAP)
    return set(np.unique(np.asarray(sheet)[top : top + height, left : left + width]).tolist())


def test_rows_are_photo_reconstruction_and_difference() -> None:
    sheet = inversion().show()
    assert sheet.size == (3 * TILE + 4 * GAP, LINE + GAP + 2 * (TILE + LINE + GAP))
    assert [tile(sheet, 0, k) for k in range(3)] == [{0}, {255}, {255}]
    assert [tile(sheet, 1, k) for k in range(3)] == [{128}, {128}, {0}]
    assert tile(inversion().show([1]), 0, 0) == {128}
    assert inversion().show().tobytes() == sheet.tobytes()


def test_every_pixel_of_a_small_picture_is_there() -> None:
    found = inversion(1)
    torch.manual_seed(0)
    images = torch.rand(1, 3, SIZE, SIZE) * 2.4 - 1.2
    sheet = np.asarray(replace(found, images=images).show())
    times = TILE // SIZE
    top = LINE + GAP + times // 2
    shown = sheet[top : top + TILE : times, GAP + times // 2 : GAP + TILE : times]
    assert np.array_equal(shown, quantise(images)[0].numpy())


def test_the_gain_is_of_the_difference_alone() -> None:
    found = inversion(2)
    found = replace(found, reconstruction=found.images + 20 / 127.5)
    assert [tile(found.show(gain=gain), 1, 2) for gain in (1, 2, 0.5)] == [{20}, {40}, {10}]
    assert tile(found.show(gain=2), 1, 1) == {148}
    most = absolute_difference(np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 200, np.uint8), 2)
    assert most.tolist() == [[[255, 255, 255]]]


def test_a_row_that_failed_is_empty_and_says_why() -> None:
    found = replace(inversion(), failed={0: "NaN at step 3"})
    found.reconstruction[0] = float("nan")
    sheet = found.show()
    assert [tile(sheet, 0, k) for k in range(3)] == [{0}, {238}, {238}]
    assert tile(sheet, 1, 2) == {0}
    assert repr(found) == "Inversion(2 images by z at r8, PSNR 11.0 dB, 1 failed)"
    assert "NaN at step 3" in found._repr_html_()


def test_only_the_first_rows_are_shown_unasked_and_that_is_said() -> None:
    height = TILE + LINE + GAP
    assert inversion(9).show().size[1] == 2 * LINE + GAP + 8 * height
    assert inversion(8).show().size[1] == LINE + GAP + 8 * height
    assert inversion(9).show(range(9)).size[1] == LINE + GAP + 9 * height


@pytest.mark.parametrize(
    ("rows", "gain", "message"),
    [
        ([2], 1.0, "no image 2; the rows are 0 to 1"),
        ([-1], 1.0, "no image -1"),
        ([], 1.0, "there is no photo to show"),
        ([0], 0.0, "gain of differences is 0.0"),
        ([0], float("nan"), "gain of differences is nan"),
    ],
)
def test_what_cannot_be_shown_is_named(rows: list[int], gain: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        inversion().show(rows, gain=gain)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((64, 64), (192, 192)),
        ((256, 256), (256, 256)),
        ((1000, 500), (384, 192)),
        ((1, 1), (192, 192)),
    ],
)
def test_sizes(size: tuple[int, int], shown: tuple[int, int]) -> None:
    images = torch.zeros(1, 3, *size)
    found = replace(inversion(1), images=images, reconstruction=images)
    sheet = found.show()
    assert sheet.size == (3 * shown[1] + 4 * GAP, LINE + GAP + shown[0] + LINE + GAP)
    assert tile(sheet, 0, 0, *shown) == {128}


def test_a_notebook_shows_the_picture_and_the_table() -> None:
    html = inversion()._repr_html_()
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.tobytes() == inversion().show().tobytes()
    assert "z at r8" in html and "11.0 dB" in html
    assert repr(inversion(1)) == "Inversion(1 image by z at r8, PSNR 10.0 dB)"


# ------------------------------------------------------------------------------- a run's photos


def results() -> InversionResults:
    records = [
        InversionRecord(
            image=f"{k}.png",
            method="z",
            cut=cut,
            psnr=20.0 + k,
            lost={"person": 0.75},
            photo=f"inversions/{k}.png",
            reconstruction=f"inversions/{k}.{cut}.png",
            classes=[
                LostClass(label="sky", photo_area=40, reconstruction_area=50, lost=-0.25),
                LostClass(label="person", photo_area=8, reconstruction_area=2, lost=0.75),
            ],
        )
        for k in range(2)
        for cut in ("r4", "r8")
    ]
    rate = ReferenceRate(vanished=1, pairs=10, rate=0.1, p_value=0.01)
    one = ClassVanishing(
        method="z",
        cut="r4",
        label="person",
        photos=2,
        vanished=2,
        in_photos=rate,
        verdict="too few",
    )
    return InversionResults(
        generator=ModelRecord(name="g", family="g"),
        data=SourceRecord(name="photos", kind="photos", images=2, fingerprint=""),
        inversion=InversionSettings(preset="fast"),
        inversions=records,
        vanishing=[one],
    )


@pytest.fixture
def run(tmp_path: Path) -> InversionRun:
    (tmp_path / "inversions").mkdir()
    for k in range(2):
        for name, value in ((f"{k}", 10 * k), (f"{k}.r4", 100), (f"{k}.r8", 200)):
            pixels = np.full((SIZE, SIZE, 3), value, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "inversions" / f"{name}.png")
    return InversionRun(RunDirectory(tmp_path), results())


def test_the_losses_of_a_run(run: InversionRun) -> None:
    losses = run.losses
    assert list(losses.columns) == list(LOSSES)
    assert len(losses) == 8
    row = losses.to_dict("records")[-1]
    assert row == {
        "image": "1.png",
        "method": "z",
        "cut": "r8",
        "psnr": 21.0,
        "label": "person",
        "photo_area": 8.0,
        "reconstruction_area": 2.0,
        "lost": 0.75,
        "vanished": True,
    }
    assert losses.to_dict() == loss_table(run.results).to_dict()


def test_the_rates_of_a_run(run: InversionRun) -> None:
    (row,) = run.vanishing.to_dict("records")
    assert list(row) == list(VANISHING)
    assert (row["label"], row["photos"], row["vanished"], row["verdict"]) == (
        "person",
        2,
        2,
        "too few",
    )
    assert row["rate_in_photos"] == 0.1
    assert row["rate_in_samples"] != row["rate_in_samples"]  # not measured: NaN
    assert len(vanishing_table(run.results.model_copy(update={"vanishing": []}))) == 0


def test_a_run_shows_its_pictures(run: InversionRun) -> None:
    sheet = run.show()
    expected = [(0, 100, 100), (0, 200, 200), (10, 100, 90), (10, 200, 190)]
    for k, values in enumerate(expected):
        assert [tile(sheet, k, column) for column in range(3)] == [{value} for value in values]
    assert tile(run.show(["1.png"]), 0, 0) == {10}
    assert repr(run).startswith("InversionRun(2 photos, ")
    assert "person" in run._repr_html_()


def test_pictures_that_are_not_there_are_named(run: InversionRun) -> None:
    with pytest.raises(UnknownNameError, match=r"no photo named '2\.png'"):
        run.show(["2.png"])
    (run.run.path / "inversions" / "1.png").unlink()
    with pytest.raises(RunError, match=r"1\.png is missing"):
        run.show(["1.png"])
    with pytest.raises(UsageError, match="no photo to show"):
        show_records(run.run.path, [])
