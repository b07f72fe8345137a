"""Colours of classes by their names, and marks that no class has, as everyone sees them.

Colour blindness is simulated by colorspacious after Machado, Oliveira and Fernandes, "A
Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15 (6), 2009, in
full severity. Distances are CIE76: Euclidean in CIE L*a*b*.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colorspacious import cspace_convert
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seeingkit.report import templates
from seeingkit.report.pictures import marks
from seeingkit.report.pictures.colours import class_colour, conventional, lab, synonyms
from seeingkit.report.pictures.encoding import label_legend, label_map_uri
from seeingkit.report.pictures.gallery import Gallery
from seeingkit.report.pictures.marks import KEPT, LOST, NEW
from seeingkit_adapters.espnet.labels import CAMVID, CITYSCAPES, VOC
from seeingkit_adapters.semseg.labels import ADE20K
from seeingkit_plugins.minichurches.palette import OBJECTS, PARTS
from tests.helpers.church_report import decoded

DEFICIENCIES = ("protanomaly", "deuteranomaly", "tritanomaly")
CHURCHES = (*OBJECTS[1:], *PARTS[1:])
VOCABULARIES = {
    "ADE20K": ADE20K,
    "Cityscapes": CITYSCAPES,
    "CamVid": CAMVID,
    "VOC": VOC[1:],
    "minichurches": CHURCHES,
}

# Classes that touch in most pictures, and others that often do.
MOSTLY = (
    "sky-building sky-tree tree-grass grass-path road-sidewalk road-car water-boat building-window "
    "building-door person-road person-grass person-building mountain-sky tree-building water-sky "
    "grass-road"
)
NEIGHBOURS = {
    "sky": "building tree mountain hill water sea snow house tower skyscraper roof spire dome pole "
    "signboard airplane bird palm field grass bridge streetlight flag person boat sand road",
    "tree": "building grass road path sidewalk earth person car fence water wall rock plant snow "
    "house roof river lake sea mountain window pole bench",
    "grass": "path road building person earth plant animal horse cow sheep dog fence sidewalk",
    "plant": "building earth person window road sidewalk path fence house rock",
    "field": "mountain hill animal horse cow sheep road fence house earth",
    "road": "sidewalk car bus truck van person building bicycle motorcycle rider fence wall curb",
    "sidewalk": "building person car bicycle fence pole",
    "path": "earth building person rock",
    "building": "window door person stairway roof car fence water signboard column balcony clock",
    "house": "window door roof fence car person",
    "wall": "window door floor ceiling painting curtain person mirror cabinet bed chair sofa lamp",
    "floor": "rug bed table chair sofa cabinet door person",
    "bed": "pillow cushion blanket",
    "table": "chair food bottle",
    "water": "boat ship bridge person sand rock",
    "sea": "boat ship sand rock person",
    "person": "car bicycle horse bus chair stairway bench",
    "car": "truck bus",
}
OFTEN = " ".join(f"{a}-{b}" for a, others in NEIGHBOURS.items() for b in others.split())


def seen(colours: Any, deficiency: str | None = None) -> NDArray[np.float64]:
    """CIE Lab of RGB colours in 0..255 as somebody sees them, by the library."""
    shares = np.asarray(colours, dtype=np.float64) / 255
    if deficiency is not None:
        space = {"name": "sRGB1+CVD", "cvd_type": deficiency, "severity": 100}
        shares = np.clip(cspace_convert(shares, space, "sRGB1"), 0, 1)
    found: NDArray[np.float64] = cspace_convert(shares, "sRGB1", "CIELab")
    return found


def distances(pairs: str, deficiency: str | None = None) -> dict[str, float]:
    """How far the two classes of each pair are apart."""
    names = [pair.split("-") for pair in pairs.split()]
    one, two = (seen([class_colour(both[k]) for both in names], deficiency) for k in (0, 1))
    return dict(zip(pairs.split(), np.linalg.norm(one - two, axis=1).tolist(), strict=True))


# ------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("name", "hue"),
    [
        ("sky", "light blue"),
        ("tree", "green"),
        ("grass", "light green"),
        ("plant", "green"),
        ("water", "blue"),
        ("sea", "blue"),
        ("person", "red"),
        ("building", "brown"),
        ("house", "brown"),
        ("road", "grey"),
        ("snow", "white"),
    ],
)
def test_colours_are_those_of_convention(name: str, hue: str) -> None:
    lightness, a, b = seen([class_colour(name)])[0]
    assert {
        "light blue": lightness > 75 and b < -15,
        "blue": 30 < lightness < 60 and b < -30,
        "green": lightness < 75 and a < -30 and b > 0,
        "light green": lightness > 75 and a < -30 and b > 30,
        "red": 30 < lightness < 60 and a > 50,
        "brown": 40 < lightness < 65 and a > 15 and b > 25,
        "grey": 40 < lightness < 60 and abs(a) + abs(b) < 10,
        "white": lightness > 95,
    }[hue]


def test_known_colours_stay() -> None:
    assert class_colour("sky") == (155, 211, 254)
    assert class_colour("tree") == (4, 99, 55)
    assert class_colour("forecourt") == class_colour("forecourt, apron") != class_colour("apron")


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("person; individual", "person"),
        ("person, individual, someone, somebody", "person"),
        ("Pedestrian", "person"),
        ("sidewalk, pavement", "sidewalk"),
        ("Pavement", "sidewalk"),
        ("signboard, sign", "signboard"),
        ("SignSymbol", "signboard"),
        ("potted-plant", "plant"),
        ("potted_plant", "plant"),
        ("pottedplant", "plant"),
        ("tv/monitor", "television"),
        ("Column_Pole", "pole"),
        ("bed ", "bed"),
        ("windowpane", "window"),
        ("an unheard-of word; sofa", "sofa"),
        ("aeroplane", "airplane"),
        ("vegetation", "tree"),
        ("Zyx  Q", "zyx-q"),
    ],
)
def test_synonyms_have_one_colour(name: str, same: str) -> None:
    assert class_colour(name) == class_colour(same)


def test_names_are_normalised() -> None:
    assert synonyms("Sign, sign-board ;traffic_Sign / x") == [
        "sign",
        "sign board",
        "traffic sign",
        "x",
    ]
    assert synonyms("-") == ["-"] and synonyms(" ,") == [" ,"] and synonyms("") == [""]


def test_a_class_has_one_colour_in_every_vocabulary() -> None:
    one, two = Gallery(("-", "tree", "sky", "zyx")), Gallery(("zyx", "sky", "door", "tree"))
    assert one.colours[1:] == tuple(two.colours[k] for k in (3, 1, 0))
    labels = np.array([[1, 2, 2]], np.uint8)
    assert [row[1] for row in label_legend(labels, one)] == [
        marks.css_colour(class_colour(name)) for name in ("sky", "tree")
    ]


def test_colours_that_an_older_run_stored_are_not_read(tmp_path: Path) -> None:
    Gallery(("-", "tree")).save(tmp_path)
    path = tmp_path / "gallery" / "gallery.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | {"colours": [[1, 2, 3], [4, 5, 6]]}), encoding="utf-8")
    assert Gallery.load(tmp_path).colours[1] == class_colour("tree")


@given(st.text(max_size=20))
def test_every_name_has_a_colour(name: str) -> None:
    colour = class_colour(name)
    assert len(colour) == 3 and all(0 <= channel <= 255 for channel in colour)


def test_colours_depend_on_nothing_but_the_name() -> None:
    names = ["zyx", "class 0", "sky", "straße"]
    code = (
        "import sys; from seeingkit.report.pictures.colours import class_colour; "
        f"print([class_colour(name) for name in {names!r}])"
    )
    for seed in "12":
        environment = {"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
        run = [sys.executable, "-c", code]
        said = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
        assert said.stdout.strip() == str([class_colour(name) for name in names])


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_no_two_classes_of_a_vocabulary_look_the_same(vocabulary: str) -> None:
    places = seen([class_colour(name) for name in VOCABULARIES[vocabulary]])
    apart = np.linalg.norm(places[:, None] - places, axis=2) + 99 * np.eye(len(places))
    assert apart.min() > 1


def test_names_without_convention_are_distinct() -> None:
    colours = [class_colour(f"thing {k}") for k in range(500)]
    assert len(set(colours)) == 500


def test_nothing_unknown_looks_like_the_outdoors() -> None:
    unknown = seen([class_colour(f"thing {k}") for k in range(300)])
    for name in ("sky", "tree", "grass", "plant", "water", "snow"):
        assert np.linalg.norm(unknown - seen([class_colour(name)]), axis=1).min() > 17, name
    assert np.hypot(unknown[:, 1], unknown[:, 2]).max() < 63


# ----------------------------------------------------------------------------------------- vision


def test_lab_is_that_of_the_library() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (500, 3))
    np.testing.assert_allclose(lab(colours), seen(colours), atol=0.05)
    np.testing.assert_allclose(lab((255, 255, 255)), (100, 0, 0), atol=1e-9)


@pytest.mark.parametrize("deficiency", [None, *DEFICIENCIES])
def test_neighbours_are_told_apart(deficiency: str | None) -> None:
    for pairs, normal, deficient in ((MOSTLY, 30, 15), (OFTEN, 20, 13)):
        least = normal if deficiency is None else deficient
        assert not {pair: d for pair, d in distances(pairs, deficiency).items() if d < least}


def test_simulation_can_fail() -> None:
    """Red and green of one lightness are one to some: the bounds above say something."""
    red, green = (200, 80, 60), (116, 130, 40)
    normal, deficient = (seen([red, green], d) for d in (None, "deuteranomaly"))
    assert np.linalg.norm(normal[0] - normal[1]) > 50
    assert np.linalg.norm(deficient[0] - deficient[1]) < 20


# ------------------------------------------------------------------------------------------ marks


def test_no_class_has_a_colour_of_the_marks() -> None:
    named = [*conventional(), *(f"thing {k}" for k in range(1000)), *ADE20K]
    classes = seen([class_colour(name) for name in named])
    for colour in marks.RESERVED:
        assert np.linalg.norm(classes - seen([colour]), axis=1).min() > 20, colour
    assert classes[:, 0].min() > 25  # lines between areas stay visible


def test_marks_are_told_apart_without_colours() -> None:
    """What is lost is light and dark, what is kept one grey between, what is new mostly white."""
    for mark in (LOST, KEPT, NEW):
        uri = marks.mark_places(np.full((64, 64), mark, np.uint8))
        grey = np.asarray(decoded(uri).convert("RGBA").convert("L"))[40:-40, 40:-40]
        dark, light = (grey < 90).mean(), (grey > 190).mean()
        expected = {LOST: (0.5, 0.5), KEPT: (0.0, 0.0), NEW: (0.3, 0.7)}[mark]
        assert (dark, light) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_stripes_are_told_apart_with_any_vision(deficiency: str) -> None:
    bright, dark = seen([marks.BRIGHT, marks.DARK], deficiency)
    assert bright[0] - dark[0] > 60


def test_hatching_is_where_a_class_is_lost() -> None:
    places = np.zeros((64, 64), np.uint8)
    places[16:32, 16:32] = LOST
    pixels = np.asarray(decoded(marks.mark_places(places)).convert("RGBA"))
    assert pixels.shape == (512, 512, 4)
    inside = pixels[128:256, 128:256]
    colours = {tuple(p) for p in inside.reshape(-1, 4).tolist()}
    assert colours == {(*marks.DARK, 255), (*marks.BRIGHT, 255)}
    outline = 4
    assert not pixels[: 128 - outline, :, 3].any() and not pixels[:, 256 + outline :, 3].any()
    assert (pixels[127, 128:256, :3] == marks.BRIGHT).all()
    np.testing.assert_array_equal(inside[1:, :-1], inside[:-1, 1:])  # at 45°


def test_small_losses_have_outlines() -> None:
    places = np.zeros((64, 64), np.uint8)
    places[10, 20] = LOST
    pixels = np.asarray(decoded(marks.mark_places(places)).convert("RGBA"))
    marked = pixels[..., 3] > 0
    assert marked.sum() == (8 + 2 * 4) ** 2 and marked[80 - 4 : 88 + 4, 160 - 4 : 168 + 4].all()


def test_vanished_is_marked_on_the_photo() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    lost = np.zeros((24, 32), np.bool_)  # covers the same field in fewer pixels
    lost[4:12, 8:16] = True
    uri = marks.vanished_uri(photo, lost)
    pixels = np.asarray(decoded(uri).convert("RGB"))
    plain = photo.repeat(8, 0).repeat(8, 1)
    assert pixels.shape == plain.shape
    changed = (pixels != plain).any(axis=2)
    assert not changed[: 64 - 4].any() and not changed[:, 256 + 4 :].any()
    assert 0.3 < changed[64:192, 128:256].mean() < 0.5  # the photo shows between the stripes
    assert {tuple(p) for p in pixels[changed].tolist()} == {marks.DARK, marks.BRIGHT}
    assert uri == marks.vanished_uri(photo, lost)
    nothing = decoded(marks.vanished_uri(photo, np.zeros_like(lost))).convert("RGB")
    np.testing.assert_array_equal(np.asarray(nothing), plain)


def test_large_photos_are_marked_at_their_size() -> None:
    photo = np.full((600, 900, 3), 128, np.uint8)
    lost = np.zeros((600, 900), np.bool_)
    lost[:, :450] = True
    picture = decoded(marks.vanished_uri(photo, lost)).convert("L")
    assert picture.size == (512, 341)
    shown = np.asarray(picture).astype(int)
    assert shown[:, :250].std() > 40 and abs(shown[:, 270:] - 128).max() < 4
    assert decoded(marks.vanished_uri(photo[:200, :200], lost)).size == (400, 400)


def test_legend_boxes_have_the_marks() -> None:
    """The style sheet repeats the patterns of the pictures."""
    style = templates.asset("inversions.css")
    for name, mark in (("lost", LOST), ("kept", KEPT), ("new", NEW)):
        assert re.search(rf"--{name}: {re.escape(marks.mark_background(mark))};", style)
        assert f".box.{name} {{ background: var(--{name}); }}" in style


# ------------------------------------------------------------------------------------------ lines


def test_lines_lie_between_areas_alone() -> None:
    labels = np.array([[1, 1, 2, 2]] * 4, np.uint8)
    gallery = Gallery(("-", "sky", "tree"))
    pixels = np.asarray(decoded(label_map_uri(labels, gallery, lines=40)).convert("RGBA"))
    assert pixels.shape[:2] == (40, 40)
    columns = [tuple(p) for p in pixels[0].tolist()]
    assert columns[:20] == [(*class_colour("sky"), 255)] * 20
    assert columns[20:22] == [(*marks.DARK, 255)] * 2
    assert columns[22:] == [(*class_colour("tree"), 255)] * 18
    assert (pixels == pixels[0]).all()
    overlay = np.asarray(decoded(label_map_uri(labels, gallery)).convert("RGB"))
    assert overlay.shape[:2] == (4, 4) and not (overlay == marks.DARK).all(axis=2).any()


def test_thin_areas_keep_their_colour_between_lines() -> None:
    labels = np.array([[1, 1, 2, 1, 1]] * 5, np.uint8)
    uri = label_map_uri(labels, Gallery(("-", "sky", "pole")), lines=10)
    pixels = np.asarray(decoded(uri).convert("RGB"))
    assert [tuple(p) for p in pixels[0, 3:7].tolist()] == [
        class_colour("sky"),
        marks.DARK,
        class_colour("pole"),
        marks.DARK,
    ]


def test_a_map_of_many_labels_is_drawn() -> None:
    labels = np.arange(320, dtype=np.uint16).reshape(16, 20)
    gallery = Gallery(tuple(f"thing {k}" for k in range(320)), has_background=False)
    for lines in (0, 100):
        pixels = np.asarray(decoded(label_map_uri(labels, gallery, lines=lines)).convert("RGBA"))
        shown = pixels if not lines else pixels[2::5, 2::5]
        assert (shown[..., 3] > 0).sum() == 254
        assert tuple(shown[0, 3, :3]) == class_colour("thing 3")
