"""Maps of where classes are: pooled, stored, coloured, and put into words."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seeingkit.errors import RunError, UsageError
from seeingkit.report import Gallery
from seeingkit.report.pictures import fit_pictures, weight
from seeingkit.report.pictures.places import (
    CELL_PIXELS,
    LEAST,
    PlaceMap,
    coloured,
    encode_places,
    grid_of,
    place_words,
    pooled,
)
from seeingkit.report.sections.classes import example_rows
from seeingkit.report.selection import Side, pick_mapped
from tests.helpers.church_report import HOSTILE, church_gallery, church_results


def shares(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def mapped_gallery() -> Gallery:
    """The gallery of the churches with maps of both sides; the last class is never generated."""
    gallery = church_gallery(church_results(), images=2)
    corner = np.zeros((16, 16), np.float32)
    corner[:4, :4] = 0.3
    both: dict[Side, PlaceMap] = {
        "real": PlaceMap(40, 400, corner),
        "generated": PlaceMap(7, 7, corner[::-1] / 2),
    }
    none: dict[Side, PlaceMap] = {**both, "generated": PlaceMap(0, 0)}
    *classes, last = gallery.classes
    mapped = [replace(shown, places=both) for shown in classes]
    return replace(gallery, classes=(*mapped, replace(last, places=none)))


def picture_of(uri: str) -> np.ndarray:
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


# ---------------------------------------------------------------------------------------- pooling


@pytest.mark.parametrize(
    ("sides", "grid"),
    [
        ((256, 256), (16, 16)),
        ((6, 5), (18, 15)),
        ((100, 400), (8, 32)),
        ((1, 10_000), (1, 64)),
        ((10_000, 1), (64, 1)),
    ],
)
def test_cells_are_about_square(sides: tuple[int, int], grid: tuple[int, int]) -> None:
    assert grid_of(*sides) == grid


@settings(deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 7), st.integers(1, 7), st.integers(0, 9)
)
def test_pooling_is_by_area(h: int, w: int, rows: int, columns: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((h, w)) < 0.4
    found = pooled(mask, (rows, columns))
    assert found.mean() == pytest.approx(mask.mean())  # cells are equal, so no area is lost
    finer = mask.repeat(3, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(pooled(finer, (rows, columns)), found, atol=1e-12)
    np.testing.assert_allclose(pooled(mask, (h, w)), mask, atol=1e-12)


# --------------------------------------------------------------------------------- images of a map


def test_a_class_has_the_first_images_of_one_order() -> None:
    n, dice = 500, np.random.default_rng(0)
    showing = [np.flatnonzero(dice.random(n) < share) for share in (0.9, 0.5, 0.1, 0.01, 0.0)]
    found = pick_mapped(showing, n, 1, each=40, in_all=10_000)
    assert [len(rows) for rows in found] == [min(40, len(rows)) for rows in showing]
    for rows, all_of_them in zip(found, showing, strict=True):
        assert np.isin(rows, all_of_them).all() and (np.diff(rows) > 0).all()
    place = np.random.default_rng(1).permutation(n)
    for rows, all_of_them in zip(found, showing, strict=True):
        rest = np.setdiff1d(all_of_them, rows)
        assert not rest.size or not rows.size or place[rows].max() < place[rest].min()


def test_few_images_serve_all_classes() -> None:
    every = np.arange(300)
    assert len(set().union(*(r.tolist() for r in pick_mapped([every] * 8, 300)))) == 64
    apart = [np.arange(k, 300, 5) for k in range(5)]
    found = pick_mapped(apart, 300, in_all=52)
    assert [len(rows) for rows in found] == [10] * 5
    assert pick_mapped([], 0) == []


def test_each_image_is_as_likely_as_any_other() -> None:
    showing, times = [np.arange(0, 20, 2), np.arange(20)], 2000
    counts = np.zeros(20)
    for seed in range(times):
        counts[pick_mapped(showing, 20, seed, each=4)[0]] += 1
    expected = times * 4 / 10
    assert (abs(counts[::2] - expected) < 5 * np.sqrt(expected * 0.6)).all()
    assert not counts[1::2].any()


# ----------------------------------------------------------------------------------------- pictures


def lightness(colours: np.ndarray) -> np.ndarray:
    """L* of CIELAB of (N, 3) sRGB in 0..255."""
    c = colours / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


def test_equal_steps_look_equal_also_in_grey() -> None:
    steps = np.diff(lightness(coloured(np.linspace(0, 1, 19)[None])[0]))
    assert (abs(steps - steps.mean()) < 0.4 * steps.mean()).all()
    assert steps.sum() > 70


def test_both_sides_have_one_scale() -> None:
    real = shares([0.33, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.11])
    generated = shares([0.1, 0.0, 0.0])
    found = encode_places(
        "dog", {"real": PlaceMap(9, 30, real), "generated": PlaceMap(8, 8, generated)}
    )
    assert found is not None and (found.scale, found.end) == (0.4, "40\u00a0%")
    assert found.real is not None and found.generated is not None
    for side, values in ((found.real, real), (found.generated, generated)):
        pixels = picture_of(side.uri)
        assert (
            (side.height, side.width)
            == pixels.shape[:2]
            == tuple(CELL_PIXELS * n for n in values.shape)
        )
        np.testing.assert_array_equal(pixels[::CELL_PIXELS, ::CELL_PIXELS], coloured(values / 0.4))
    bar = picture_of(found.bar)
    assert bar[0, 0].tolist() == [68, 1, 84] and bar[-1, -1].tolist() == [253, 231, 37]
    assert found.real.alt == (
        "where dog is in 9 of the 30 real images that show it: mostly in the top third "
        "(75\u00a0% of its area) and in the left third (75\u00a0%)"
    )


@pytest.mark.parametrize(("largest", "end"), [(1.0, 1.0), (0.97, 1.0), (0.81, 1.0), (0.8, 0.8)])
def test_the_scale_ends_at_a_round_share(largest: float, end: float) -> None:
    for unit in (1.0, 0.1, 0.001):
        found = encode_places("a", {"real": PlaceMap(9, 9, shares([largest * unit]))})
        assert found is not None and found.scale == pytest.approx(end * unit)


def test_few_images_make_no_map() -> None:
    few = PlaceMap(LEAST - 1, LEAST - 1, shares([1.0]))
    found = encode_places("a", {"real": few, "generated": PlaceMap(0, 0)})
    assert found is not None and found.real is not None and found.generated is not None
    assert (found.real.uri, found.generated.uri, found.least) == ("", "", 5)
    assert found.real.words == "no map: 4 real images show it, and a map needs 5"
    assert found.generated.words == "no map: no generated image shows it"
    one = encode_places("a", {"real": PlaceMap(LEAST, 9, shares([0.0]))})
    assert one is not None and one.real is not None and one.real.uri and one.generated is None
    assert one.real.words == "nowhere in these images"
    assert encode_places("a", {}) is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.ones((16, 16)), "not mostly in one third of the image"),
        (np.eye(16), "not mostly in one third of the image"),
        (
            np.eye(16, 1) * np.eye(1, 16),
            "mostly in the top third (100\u00a0% of its area) and in the left third",
        ),
        (np.ones((3, 3)) * [[1], [4], [1]], "mostly in the middle third of the height (67"),
        (np.ones((3, 3)) * [1, 9, 1], "mostly in the middle third of the width (82"),
        (np.ones((3, 3)) * [1, 1, 9], "mostly in the right third (82"),
    ],
)
def test_words_say_only_what_is_clear(rows: np.ndarray, words: str) -> None:
    assert place_words(rows.astype(np.float32)).startswith(words)


# ------------------------------------------------------------------------------------------ gallery


def test_maps_come_back_equal(tmp_path: Path) -> None:
    gallery = mapped_gallery()
    gallery.save(tmp_path)
    back = Gallery.load(tmp_path)
    for one, two in zip(gallery.classes, back.classes, strict=True):
        assert list(two.places) == list(one.places) == ["real", "generated"]
        for side, found in one.places.items():
            again = two.places[side]
            assert (again.images, again.showing) == (found.images, found.showing)
            assert (again.shares is None) == (found.shares is None)
            if found.shares is not None:
                np.testing.assert_array_equal(again.shares, found.shares)
                assert again.shares is not None and again.shares.dtype == np.float32


def test_older_galleries_have_no_maps(tmp_path: Path) -> None:
    folder = church_gallery(church_results(), images=1).save(tmp_path)
    document = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    for record in document["classes"]:
        assert record.pop("places") == {}
        assert all("why" not in item for side in ("real", "generated") for item in record[side])
    (folder / "gallery.json").write_text(json.dumps(document), encoding="utf-8")
    back = Gallery.load(tmp_path)
    assert [dict(shown.places) for shown in back.classes] == [{}] * len(back.classes)
    assert back.classes[0].real[0].why is None
    pictures = fit_pictures(back)
    assert pictures.places == [None] * len(back.classes)
    assert example_rows(back, pictures, church_results())[0]["places"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"places": {"real": {"images": 41, "showing": 40}}}, "made of 41 of 40"),
        ({"places": {"real": {"images": -1, "showing": 40}}}, "made of -1 of 40"),
        ({"places": {"real": {"images": 2.5, "showing": 40}}}, "made of 2.5 of 40"),
        ({"places": {"real": {"images": True, "showing": 40}}}, "made of True of 40"),
        ({"places": {"real": {"images": 4}}}, "damaged .'showing'"),
        ({"places": {"real": 7}}, "damaged"),
        ({"places": None}, "damaged"),
        ({"real": [{"id": "a", "area": 1.0, "why": "nice"}]}, "is shown for 'nice'"),
        ({"real": [{"id": "a", "area": 1.0, "why": ["most"]}]}, "is shown for"),
        ({"real": ["a"]}, "damaged"),
    ],
)
def test_damaged_records_are_named(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = mapped_gallery().save(tmp_path)
    document = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    document["classes"][0] |= change
    (folder / "gallery.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RunError, match=reason):
        Gallery.load(tmp_path)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((16, 16)), "float64"),
        (np.zeros(16, np.float32), "of shape .rows, columns."),
        (np.zeros((0, 4), np.float32), "of shape .rows, columns."),
        (np.zeros((65, 4), np.float32), "up to 64 cells"),
        (shares([0.5, np.nan]), "not in 0..1"),
        (shares([0.5, 1.01]), "not in 0..1"),
        (shares([-0.01]), "not in 0..1"),
        (None, "0.real.places"),
    ],
)
def test_damaged_maps_are_named(array: np.ndarray | None, reason: str, tmp_path: Path) -> None:
    folder = mapped_gallery().save(tmp_path)
    with np.load(folder / "images.npz") as stored:
        arrays = dict(stored)
    del arrays["0.real.places"]
    if array is not None:
        arrays["0.real.places"] = array
    np.savez(folder / "images.npz", **arrays)
    with pytest.raises(RunError, match=reason):
        Gallery.load(tmp_path)


def test_a_map_without_images_has_no_cells() -> None:
    for images, cells in ((0, shares([0.5])), (3, None)):
        with pytest.raises(UsageError, match="shares go with images"):
            PlaceMap(images, 9, cells)


# --------------------------------------------------------------------------------------------- page


def test_maps_are_part_of_the_budget() -> None:
    gallery = mapped_gallery()
    pictures = fit_pictures(gallery)
    rows = example_rows(gallery, pictures, church_results())
    assert [row["places"] for row in rows] == pictures.places
    assert rows[1]["label"] == HOSTILE and rows[1]["places"].end == "30\u00a0%"
    maps = weight(pictures.places)
    assert 0 < maps < 4000 * len(rows)
    whole = weight(pictures)
    assert whole == maps + weight(pictures.classes)
    smaller = fit_pictures(gallery, budget=whole - 1)
    assert weight(smaller) <= whole - 1 or weight(smaller.places) == maps
    assert smaller.places == pictures.places
