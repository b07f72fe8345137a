"""What a segmenter's confusion says of differences: closed forms and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seeingkit.errors import TallyError
from seeingkit.results import ClassResult, SegmenterClass, Verdict
from seeingkit.statistics.confusion import (
    Confusion,
    explain,
    segmenter_share_by_labels,
    undo_confusion,
)

Areas = NDArray[np.float64]


def confusion(counts: object, *, known: object = None, shown: object = None) -> Confusion:
    matrix = np.array(counts, dtype=np.int64)
    size = len(matrix)
    return Confusion(
        matrix,
        np.ones(size, bool) if known is None else np.array(known, bool),
        np.full(size, 50) if shown is None else np.array(shown, np.int64),
        images=50,
        against="labels by hand",
    )


def result(index: int, real: float, generated: float, verdict: Verdict) -> ClassResult:
    return ClassResult(
        label=f"class {index}",
        category="object",
        index=index,
        real_area=real,
        generated_area=generated,
        relative_difference=generated / real - 1 if real else None,
        ci_low=None,
        ci_high=None,
        real_presence=1,
        generated_presence=1,
        p_value=0,
        q_value=0,
        omitted=verdict == "omitted",
        verdict=verdict,
    )


def record(
    found: Confusion, real: Areas, generated: Areas, k: int, verdict: Verdict
) -> SegmenterClass:
    share = segmenter_share_by_labels(
        found, [result(k, float(real[k]), float(generated[k]), verdict)], real, generated
    )
    (row,) = share.classes
    return row


# ---------------------------------------------------------------------------------- closed forms


def test_precision_recall_and_error_area_by_hand() -> None:
    found = confusion([[80, 20, 0], [10, 40, 0], [0, 0, 50]])
    assert found.precision.tolist() == pytest.approx([80 / 90, 40 / 60, 1])
    assert found.recall.tolist() == pytest.approx([0.8, 0.8, 1])
    assert found.error_area.tolist() == pytest.approx([15, 15, 0])  # (20 + 10) of 200 pixels
    assert found.pixel_accuracy == pytest.approx(170 / 200)
    assert found.mean_iou == pytest.approx((80 / 110 + 40 / 70 + 1) / 3)


def test_labels_without_a_true_name_count_in_no_iou_and_have_no_precision() -> None:
    found = confusion([[50, 0, 50], [0, 100, 0], [0, 0, 0]], known=[True, True, False])
    assert found.mean_iou == pytest.approx((0.5 + 1) / 2)
    assert math.isnan(found.precision[2]) and math.isnan(found.recall[2])


def test_a_known_confusion_of_two_classes_is_undone() -> None:
    found = confusion([[90, 10], [20, 80]])
    true = np.array([30.0, 70.0])
    seen = true @ found.rates
    assert seen.tolist() == pytest.approx([41, 59])
    assert undo_confusion(seen, found) == pytest.approx(true, abs=1e-6)


def test_a_segmenter_without_errors_corrects_and_explains_nothing() -> None:
    found = confusion(np.diag([50, 30, 20]))
    real, generated = np.array([50.0, 30.0, 20.0]), np.array([70.0, 30.0, 0.0])
    told = explain(real, generated, found)
    assert told.real == pytest.approx(real) and told.generated == pytest.approx(generated)
    assert told.explained[[0, 2]].tolist() == [0, 0]
    assert math.isnan(told.explained[1])  # no difference


def test_an_excess_made_by_other_classes_is_explained() -> None:
    # A tenth of all water is called boat; twice the water makes an excess of boat from none.
    found = confusion([[1000, 0, 0], [0, 90, 10], [0, 0, 100]])
    true_real, true_generated = np.array([78.0, 20.0, 2.0]), np.array([58.0, 40.0, 2.0])
    real, generated = true_real @ found.rates, true_generated @ found.rates
    told = explain(real, generated, found)
    assert told.real == pytest.approx(true_real, abs=1e-6)
    assert told.generated == pytest.approx(true_generated, abs=1e-6)
    assert told.invented[2] == pytest.approx(2, abs=1e-6)
    assert told.explained[2] == 1
    row = record(found, real, generated, 2, "excess")
    assert row.flagged and row.relative_corrected == pytest.approx(0, abs=1e-6)
    assert row.why == (
        "Other classes are mistaken for it, and their change makes 100 % of the excess at "
        "the known error rates."
    )
    assert told.explained[1] < 0.25  # water really doubled: only its missing tenth counts


@pytest.mark.parametrize(
    ("recall", "expected"),
    [(0.9, 0.1 / 0.9), (0.7, 0.3 / 0.7), (0.4, 1.0)],
)
def test_a_whole_loss_is_explained_as_far_as_missing_can_double(
    recall: float, expected: float
) -> None:
    # Nothing is invented; the class (10 % of the image) is gone from the generated images.
    found = confusion(
        [[900, 0, 0], [round(100 * (1 - recall)), round(100 * recall), 0], [0, 0, 100]]
    )
    real = np.array([80.0, 10.0, 10.0]) @ found.rates
    generated = np.array([90.0, 0.0, 10.0])
    assert explain(real, generated, found).explained[1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1], ids=["excess", "loss"])
def test_invented_pixels_may_double_or_vanish(sign: int) -> None:
    # 5 % of sky is called bird, no bird is missed; half of what is called bird is sky.
    found = confusion([[950, 50], [0, 50]])
    sky = 100 / 1.05
    real = np.array([0.95 * sky, 100 - 0.95 * sky])
    difference = 0.04 * sky
    generated = real + sign * np.array([-difference, difference])
    sky_there = generated[0] / 0.95
    told = explain(real, generated, found)
    assert told.generated[0] == pytest.approx(sky_there, abs=1e-5)
    reach = sign * 0.05 * (sky_there - sky) + 0.05 * sky_there
    assert told.reach[1] == pytest.approx(reach, abs=1e-5)
    assert told.explained[1] == pytest.approx(min(1, reach / difference), abs=1e-5)


# --------------------------------------------------------------------------------------- records


def test_a_class_that_the_segmenter_hardly_sees_is_flagged_whatever_the_verdict() -> None:
    found = confusion([[990, 0, 10], [75, 25, 0], [0, 0, 100]])
    real = np.array([80.0, 5.0, 15.0])
    row = record(found, real, real, 1, "no evidence")
    assert row.flagged and row.recall == 0.25 and row.explained is None
    assert row.why == "The segmenter finds only 25 % of its pixels in real images."
    assert not record(found, real, np.array([79.0, 5.0, 16.0]), 2, "no evidence").flagged


def test_a_blind_class_is_not_corrected_and_wholly_explained() -> None:
    found = confusion([[900, 0, 0], [99, 1, 0], [0, 0, 100]])
    row = record(found, np.array([90.0, 0.1, 9.9]), np.array([80.0, 1.0, 19.0]), 1, "excess")
    assert (row.real_corrected, row.generated_corrected, row.relative_corrected) == (None,) * 3
    assert row.explained == 1 and row.flagged


def test_low_precision_and_few_images_are_said() -> None:
    found = confusion([[900, 100], [0, 50]], shown=[50, 1])
    row = record(found, np.array([86.0, 14.0]), np.array([20.0, 80.0]), 1, "excess")
    assert row.precision == pytest.approx(1 / 3)
    assert "Only 33 % of the pixels called so in real images are." in row.why
    assert "Its error rates rest on 1 labelled image." in row.why


def test_classes_outside_the_true_labels_are_not_judged() -> None:
    counts = [[100, 0, 0, 0], [0, 50, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    found = confusion(counts, known=[1, 1, 1, 0], shown=[9, 9, 0, 0])
    areas = np.array([60.0, 30.0, 6.0, 4.0])
    unshown = record(found, areas, areas[::-1].copy(), 2, "excess")
    assert unshown.why == "No labelled image shows it." and unshown.recall is None
    unknown = record(found, areas, areas[::-1].copy(), 3, "excess")
    assert unknown == SegmenterClass(label="class 3", why="It is not among the true labels.")


def test_the_share_says_what_it_rests_on() -> None:
    base = confusion(np.diag([50, 50]))
    found = Confusion(base.counts, base.known, base.shown, 7, "the labels of x", ("bollard",))
    share = segmenter_share_by_labels(found, [], np.array([50.0, 50]), np.array([50.0, 50]))
    assert share.kind == "labels" and share.images == 7
    assert (share.pixel_accuracy, share.mean_iou) == (1, 1)
    assert share.against == "the labels of x; the segmenter lacks bollard"


@pytest.mark.parametrize(
    "areas", [np.array([50.0]), np.array([-1.0, 101.0]), np.array([np.nan, 1.0])]
)
def test_areas_that_do_not_fit_are_refused(areas: Areas) -> None:
    with pytest.raises(TallyError, match="areas"):
        undo_confusion(areas, confusion(np.diag([50, 50])))


def test_a_confusion_without_pixels_or_of_another_size_is_refused() -> None:
    with pytest.raises(TallyError, match="no pixel"):
        confusion(np.zeros((2, 2)))
    with pytest.raises(TallyError, match="2 x 2"):
        confusion(np.ones((3, 3)), known=[1, 1])


# ------------------------------------------------------------------------------------ properties


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Confusion, Areas, Areas]:
    """A segmenter with recalls above a half, and the true areas of two sets."""
    size = draw(st.integers(2, 6))
    numbers = st.integers(0, 1000)
    counts = np.array(draw(st.lists(numbers, min_size=size**2, max_size=size**2)))
    counts = counts.reshape(size, size)
    counts[np.diag_indices(size)] = counts.sum(axis=1) * 2 + 100
    sides = []
    for _ in range(2):
        raw = np.array(draw(st.lists(numbers, min_size=size, max_size=size)), float) + 1
        sides.append(100 * raw / raw.sum())
    return confusion(counts), sides[0], sides[1]


@settings(max_examples=30)
@given(worlds())
def test_what_the_confusion_made_is_given_back(world: tuple[Confusion, Areas, Areas]) -> None:
    found, true, _ = world
    corrected = undo_confusion(true @ found.rates, found)
    assert corrected == pytest.approx(true, abs=1e-5)


@settings(max_examples=30)
@given(worlds())
def test_explained_is_a_share_and_the_order_of_labels_does_not_matter(
    world: tuple[Confusion, Areas, Areas],
) -> None:
    found, real, generated = world
    told = explain(real, generated, found)
    differs = real != generated
    assert ((told.explained[differs] >= 0) & (told.explained[differs] <= 1)).all()
    assert np.isnan(told.explained[~differs]).all()
    assert told.real.sum() == pytest.approx(100) and told.generated.sum() == pytest.approx(100)
    back = slice(None, None, -1)
    turned = Confusion(
        found.counts[back, back], found.known[back], found.shown[back], 50, "labels by hand"
    )
    other = explain(real[back], generated[back], turned)
    assert other.explained[back] == pytest.approx(told.explained, abs=1e-6, nan_ok=True)


@settings(max_examples=30)
@given(worlds(), st.floats(0.1, 10))
def test_the_correction_scales_with_the_unit(
    world: tuple[Confusion, Areas, Areas], unit: float
) -> None:
    found, real, _ = world
    assert undo_confusion(unit * real, found) == pytest.approx(
        unit * undo_confusion(real, found), rel=1e-9, abs=1e-9
    )
