"""The part of the report on inversions: its words, order, pictures, pages, and a browser."""

from __future__ import annotations

import functools
import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from seeingkit.errors import RunError
from seeingkit.report import page as page_module
from seeingkit.report import rebuild_report, summarise_inversions, write_report
from seeingkit.report.figures.charts import chart_svg
from seeingkit.report.figures.depth import build_depth_chart, depth_rows
from seeingkit.report.page import render_page
from seeingkit.report.pictures import fit_pictures, weight
from seeingkit.report.pictures.colours import class_colour
from seeingkit.report.pictures.files import read_labels, resolve
from seeingkit.report.pictures.inversions import FRAMES, difference_map, encode_cards
from seeingkit.report.pictures.marks import KEPT, LOST, mark_places, vanished_uri
from seeingkit.report.pictures.uris import LEVELS, Level
from seeingkit.report.words.inversions import loss, rate_sentence, seconds, usual_note
from seeingkit.report.words.losses import group_photos, key_order, method_rows, sweep_rows
from seeingkit.report.words.numbers import NBSP
from seeingkit.results import (
    CalibrationRecord,
    ClassCalibration,
    ClassVanishing,
    InversionRecord,
    InversionResults,
    InversionSettings,
    LostClass,
    ReferenceRate,
    SkippedItem,
)
from tests.helpers.chromium import Chromium
from tests.helpers.church_report import (
    HOSTILE,
    check_self_contained,
    church_manifest,
    church_results,
    decoded,
    read_page,
    save_results,
)

NAMES = ["-", "person", "car", "sky", HOSTILE]
SIZE = 16
STEPS = [0, 10, 40]


def lost(label: str, photo: float, after: float, **changes: Any) -> LostClass:
    """The loss of a class in a photo."""
    values: dict[str, Any] = {
        "label": label,
        "photo_area": photo,
        "reconstruction_area": after,
        "lost": (photo - after) / photo,
        "usual": 0.25,
        "usual_pairs": 20,
    }
    return LostClass(**{**values, **changes})


def rate(label: str = "person", vanished: int = 8, photos: int = 8, **changes: Any) -> Any:
    """A class that vanishes more often than drawn ones, unless ``changes`` say otherwise."""
    values: dict[str, Any] = {
        "method": "layered+r",
        "cut": "r8",
        "label": label,
        "photos": photos,
        "vanished": vanished,
        "in_photos": ReferenceRate(vanished=12, pairs=50, rate=0.24, p_value=0.001),
        "in_samples": ReferenceRate(vanished=4, pairs=40, rate=0.1, p_value=0.0005),
        "p_value": 0.001,
        "q_value": 0.004,
        "verdict": "more often",
    }
    return ClassVanishing(**{**values, **changes})


def record(image: str = "a", method: str = "layered+r", cut: str = "r8", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "image": image,
        "method": method,
        "cut": cut,
        "psnr": 20.0,
        "lost": {},
        "reconstruction": "r.png",
        "photo": "p.png",
        "steps": 100,
        "converged": True,
    }
    return InversionRecord(**{**values, **changes})


def calibration(method: str = "layered+r", cut: str = "r8", **changes: Any) -> CalibrationRecord:
    values: dict[str, Any] = {
        "method": method,
        "cut": cut,
        "n": 48,
        "psnr": 31.0,
        "psnr_low": 28.0,
        "pixel_correlation": 0.98,
        "seconds": 2.5,
        "steps": 90.0,
    }
    return CalibrationRecord(**{**values, **changes})


def plain(
    records: list[InversionRecord],
    known: list[CalibrationRecord],
    rates: Sequence[ClassVanishing] = (),
) -> list[str]:
    return [line.replace(NBSP, " ") for line in summarise_inversions(records, known, rates)]


# ------------------------------------------------------------------------------ pixels and order


def test_difference_map_in_closed_form() -> None:
    before = np.array([[1, 1, 0, 2], [4, 3, 0, 4]], np.uint8)
    after = np.array([[1, 0, 1, 2], [4, 4, 0, 3]], np.uint16)
    expected = [[2, 1, 3, 0], [2, 3, 0, 1]]  # 1 lost, 2 kept, 3 new
    np.testing.assert_array_equal(difference_map(before, after, [1, 4]), expected)


maps = arrays(np.uint8, (5, 7), elements=st.integers(0, 4))


@given(maps, maps, st.lists(st.integers(0, 4), min_size=1, unique=True))
def test_difference_map_adds_up(
    before: NDArray[np.uint8], after: NDArray[np.uint8], numbers: list[int]
) -> None:
    _, gone, kept, new = np.bincount(difference_map(before, after, numbers).ravel(), minlength=4)
    assert gone + kept == np.isin(before, numbers).sum()
    assert kept + new == np.isin(after, numbers).sum()


def test_photos_come_by_the_area_that_vanished() -> None:
    records = [
        record("little", classes=[lost("person", 2, 1)]),
        record("much", classes=[lost("person", 10, 4), lost("car", 2, 0)]),
        record("shrunk", classes=[lost("sky", 40, 30)]),  # more area, but the class is still there
        record("grown", classes=[lost("sky", 40, 50)]),
    ]
    groups = group_photos(records)
    assert [g.image for g in groups] == ["much", "little", "shrunk", "grown"]
    assert (groups[0].vanished_area, groups[0].vanished) == (8, ("person", "car"))
    assert groups[2].vanished == () and groups[2].lost_area == 10


def test_the_last_listed_complete_method_comes_first() -> None:
    keys = [("layered+r", "r4"), ("z", ""), ("layered+r", "r8"), ("encoder", "")]
    records = [record(image, *key) for image in "ab" for key in keys]
    assert key_order(records) == [keys[2], keys[0], keys[1], keys[3]]
    assert [(r.method, r.cut) for r in group_photos(records)[1].records] == key_order(records)
    without = [record("a", "z", "", psnr=20), record("a", "encoder", "", psnr=14)]
    assert key_order(without[::-1])[0] == ("z", "")
    assert key_order([]) == []


def test_a_photo_picked_for_two_classes_is_one_card() -> None:
    twice = [record("a", picked_for="person"), record("a", picked_for="car"), record("b")]
    groups = group_photos(twice)
    assert [(g.image, g.picked, len(g.records)) for g in groups] == [
        ("a", ("person", "car"), 1),
        ("b", (), 1),
    ]


def test_means_of_methods_in_closed_form() -> None:
    def both(person: float, car: float) -> list[LostClass]:
        return [lost("person", 10, person), lost("car", 4, car)]

    records = [
        record("a", picked_for="person", classes=both(2, 4), psnr=20, perceptual=0.2),
        record("b", picked_for="car", classes=both(9, 1), psnr=24),
        record("a", "z", "", picked_for="person", classes=both(10, 4), psnr=12),
    ]
    classes = [
        ClassCalibration(label="person", pairs=30, lost_mean=0.1, lost_high=0.3),
        ClassCalibration(label="car", pairs=10, lost_mean=0.5, lost_high=0.9),
        ClassCalibration(label="sky", pairs=90, lost_mean=0.9, lost_high=0.9),
    ]
    rows = method_rows(group_photos(records), records, [calibration(classes=classes)])
    layered, z = rows
    assert (layered.key, layered.photos, layered.psnr) == (("layered+r", "r8"), 2, 22.0)
    assert layered.perceptual == 0.2
    assert layered.lost == pytest.approx((0.8 + 0.75) / 2)
    assert layered.samples_lost == pytest.approx((30 * 0.1 + 10 * 0.5) / 40)
    assert (z.photos, z.calibration, z.samples_lost, z.lost) == (1, None, None, 0.0)
    assert sweep_rows(rows, records) == []


def test_sweep_over_cuts_keeps_the_order_of_calibrations() -> None:
    cuts = ["r4", "r8", "r16"]
    known = [calibration(cut=cut, psnr=20.0 + k) for k, cut in enumerate(cuts)]
    records = [record("a", cut=cut) for cut in ("r4", "r16", "r8")] + [record("a", "z", "")]
    rows = method_rows(group_photos(records), records, known)
    sweep = sweep_rows(rows, records)
    assert [row.key[1] for row in sweep] == cuts
    found = depth_rows(sweep)
    assert [row["psnr"] for row in found if row["series"] != "photos"] == [20.0, 21.0, 22.0]
    spec = build_depth_chart(found).to_dict()  # validated against Vega-Lite's schema
    assert len(spec["hconcat"]) == 1  # no class areas, no panel of them
    found[0]["lost"] = 12.0
    assert len(build_depth_chart(found).to_dict()["hconcat"]) == 2
    assert len(build_depth_chart(found, layout="narrow").to_dict()["vconcat"]) == 2


def test_figure_of_a_sweep_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"cut": cut, "series": "photos", "psnr": 17.125, "lost": None} for cut in ("a", "b")]
    figures = iter("12")
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", lambda *_, **__: next(figures))
    charts = [build_depth_chart(rows, layout) for layout in ("wide", "narrow", "wide")]
    assert [chart_svg(chart) for chart in charts] == ["1", "2", "1"]


# ----------------------------------------------------------------------------------------- words


def test_headline_has_both_rates_and_the_verdict() -> None:
    gone = [record(f"p{k}", classes=[lost("person", 4, 0.5)]) for k in range(8)]
    lines = plain(gone, [calibration(patched=40, patched_psnr=20.5)], [rate()])
    assert lines[0] == (
        "person vanishes in 8 of 8 photos; classes of this size that the generator draws, in 24 % "
        "there; in its own samples with a foreign patch, such classes in 10 %: more often than "
        "classes that it draws (q = 0.004)."
    )
    assert lines[1] == (
        "By layered+r at r8, photos are reconstructed at a mean PSNR of 20.0 dB; 48 generator "
        "samples at 31.0 dB, 40 with a foreign patch at 20.5 dB."
    )
    assert "The rates here are for the cut at r8; later layers can draw more." in lines[2]
    assert "--cut default,next" in lines[2] and len(lines) == 3


def test_rates_at_other_cuts_stand_beside_the_first() -> None:
    gone = [record("a", cut=cut, classes=[lost("person", 4, 0)]) for cut in ("r16", "r8")]
    later = rate(cut="r16", vanished=3, verdict="no evidence", q_value=0.4)
    other = rate("car", cut="r16", vanished=2)
    lines = plain(gone, [], [later, other, rate()])
    assert lines[0].startswith("person vanishes in 8 of 8 photos")
    assert (
        "Of the classes that vanish more often: person in 3 of 8 photos at r16" in lines[-1]
        and "car" not in lines[-1]
    )


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        (
            {"verdict": "no evidence", "q_value": 0.2},
            "no evidence that this is more often (q = 0.20).",
        ),
        ({"verdict": "too few", "q_value": None}, "in 10 %: too little to tell."),
        (
            {"verdict": "not compared", "q_value": None, "p_value": None, "in_samples": None},
            "in 24 % there: not compared, for no samples with a foreign patch were inverted.",
        ),
        ({"vanished": 0, "verdict": "no evidence", "q_value": 1.0}, "such classes in 10 %."),
    ],
)
def test_a_class_that_photos_were_picked_for_has_its_rates(
    changes: dict[str, Any], end: str
) -> None:
    one = [record(picked_for="person", classes=[lost("person", 4, 0)])]
    line = plain(one, [], [rate(**changes)])[0]
    assert line.endswith(end) and not re.search("omi", line)


def test_references_are_named() -> None:
    itself = ReferenceRate(same_class=True, vanished=11, pairs=20, rate=0.55, p_value=0.02)
    none = ReferenceRate(vanished=0, pairs=0, rate=None, p_value=1.0)
    line = rate_sentence(rate(in_samples=itself)).replace(NBSP, " ")
    assert "in its own samples with a foreign patch, person itself in 55 %" in line
    alone = rate_sentence(rate(in_photos=none, verdict="too few", q_value=None))
    assert "no class of this size that the generator draws is in these photos" in alone


def test_at_most_four_classes_are_named() -> None:
    one = [record(classes=[lost("person", 4, 0)])]
    many = [rate(f"class {k}") for k in range(6)]
    lines = plain(one, [], many)
    assert lines[4] == "The table of rates shows 2 more classes."
    assert [line.split(" vanishes")[0] for line in lines[:4]] == [f"class {k}" for k in range(4)]


def test_headline_without_a_claim() -> None:
    gone = [record("a", classes=[lost("person", 4, 0), lost("car", 3, 2)]), record("b")]
    unsure = rate(verdict="no evidence", q_value=0.3)
    assert plain(gone, [], [unsure])[0] == (
        "person vanishes from some of the 2 photos, none more often than classes of its size that "
        "the generator draws, as far as these photos can show."
    )
    few = rate(verdict="too few", q_value=None)
    assert plain(gone[:1], [], [few])[0] == (
        "person vanishes from the one photo; the photos are too few to tell whether the generator "
        "can draw it."
    )
    assert plain(gone[:1], [])[0] == (
        "person vanishes from the one photo; no rates were compared, so nothing is said about the "
        "generator."
    )


def test_one_photo_in_which_nothing_is_smaller_has_lost_nothing() -> None:
    grown = [record("a", classes=[lost("sky", 40, 45), lost("car", 4, 4)])]
    assert plain(grown, [])[0] == "No class vanishes from the one photo."
    assert "less room" not in "".join(plain(grown, [calibration()], [rate("sky", 0, 1)]))
    shrunk = [record("a", classes=[lost("sky", 40, 35)]), record("b")]
    assert plain(shrunk, [])[0] == "No class vanishes from the 2 photos."
    assert plain([record("a"), record("b")], [])[0].startswith("2 photos were inverted; no area")
    assert plain([], []) == []


def test_cautions_and_comparison_in_words() -> None:
    records = [
        record("a", picked_for="car", classes=[lost("car", 4, 0)], unlike=True, unfamiliar=1.8),
        record("b", converged=False),
        record("a", "encoder", "", steps=0, converged=False),
    ]
    lines = plain(records, [calibration(), calibration("encoder", "", psnr=17.0)])
    text = "\n".join(lines)
    assert "Of 2 ways of inversion, layered+r at r8 comes closest" in text
    assert "1 of 2 photos is out of distribution" in text
    assert "1 of 2 photos stopped at the limit of steps" in text
    calm = plain([record(picked_for="car", classes=[lost("car", 4, 0)])], [])
    assert not re.search("distribution|limit of steps", "\n".join(calm))


def test_words_of_a_row() -> None:
    assert usual_note(lost("car", 4, 0)).startswith("of 20 pairs of photo and drawn class")
    assert usual_note(lost("car", 4, 0, usual=None)).startswith("no drawn class")
    assert loss(0.9999).replace(NBSP, " ") == "99.9 %"
    assert loss(-0.12).replace(NBSP, " ") == "none (+12 %)"
    assert [seconds(x).replace(NBSP, " ") for x in (0.02, 3.2, 72)] == [
        "0.020 s",
        "3.2 s",
        "1 min 12 s",
    ]


# ---------------------------------------------------------------------------------------- a run


def save(path: Path, pixels: NDArray[Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return f"{path.parent.name}/{path.name}"


def labels_of(k: int, *, persons: bool) -> NDArray[np.uint8]:
    """Sky above, a car, a hostile class, and a person that the reconstruction may lack."""
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[:4] = 3
    labels[10:12, 2:8] = 2
    labels[14:, 12:] = 4
    if persons:
        labels[6 : 8 + k % 6, 10:12] = 1
    return labels


KEYS = (("encoder", ""), ("layered+r", "r4"), ("layered+r", "r8"))


def make_records(folder: Path, photos: int, keys: Any = KEYS) -> list[InversionRecord]:
    """Photos with a person that ``layered+r at r8`` loses; files and records."""
    found = []
    inside = folder / "inversions"
    for k in range(photos):
        dice = np.random.default_rng(k)
        picture = dice.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        before = labels_of(k, persons=True)
        photo = save(inside / f"{k}.png", picture)
        marked = save(inside / f"{k}-labels.png", before)
        for j, (method, cut) in enumerate(keys):
            after = labels_of(k, persons=cut != "r8")
            after[11, 2:8] = 0  # half of the car
            names = [("person", 1), ("car", 2), ("sky", 3), (HOSTILE, 4)]
            areas = {n: [100 * float((m == i).mean()) for m in (before, after)] for n, i in names}
            classes = [lost(name, *pair) for name, pair in areas.items()]
            strip = dice.integers(0, 256, (SIZE, SIZE * len(STEPS), 3), dtype=np.uint8)
            stem = f"{k}-{j}"
            found.append(
                record(
                    f"{HOSTILE}/{k}",
                    method,
                    cut,
                    photo=photo,
                    photo_labels=marked,
                    reconstruction=save(inside / f"{stem}.png", (255 - picture) ^ np.uint8(j)),
                    # A reconstruction's labels as 16 bits, the photo's as 8.
                    reconstruction_labels=save(
                        inside / f"{stem}-labels.png", after.astype(np.uint16)
                    ),
                    frames=save(inside / f"{stem}-frames.png", strip) if cut else None,
                    frame_steps=STEPS if cut else [],
                    picked_for="person" if k % 2 == 0 else HOSTILE,
                    classes=sorted(classes, key=lambda c: -c.gone),
                    unlike=k == 1,
                    unfamiliar=1.75,
                    perceptual=0.25,
                )
            )
    return found


def make_settings(**changes: Any) -> InversionSettings:
    return InversionSettings(
        preset="fast",
        labels=NAMES,
        reference=HOSTILE,
        options={HOSTILE: HOSTILE},
        encoders=[{"kind": HOSTILE, "items": 3}],
        **changes,
    )


def make_calibrations(keys: Any = KEYS) -> list[CalibrationRecord]:
    classes = [
        ClassCalibration(label="person", pairs=20, lost_mean=0.1, lost_high=0.3),
        ClassCalibration(label=HOSTILE, pairs=0, lost_mean=0.0, lost_high=0.0),
    ]
    return [calibration(*key, classes=classes, psnr=20.0 + k) for k, key in enumerate(keys)]


def write_run(folder: Path, results: Any) -> Path:
    save_results(folder, results)
    return rebuild_report(folder)


def alone(folder: Path, photos: int = 2, **changes: Any) -> InversionResults:
    """Results of the command ``invert``."""
    whole = church_results()
    assert whole.generator is not None
    values: dict[str, Any] = {
        "generator": whole.generator,
        "segmenter": whole.segmenter,
        "data": whole.data,
        "inversion": make_settings(),
        "calibrations": make_calibrations(),
        "inversions": make_records(folder, photos),
        "vanishing": [rate(), rate(HOSTILE, verdict="too few", q_value=None), rate(cut="r4")],
        "skipped": [SkippedItem(source="photo", item=HOSTILE, reason=HOSTILE)],
        "warnings": [HOSTILE],
    }
    return InversionResults(**{**values, **changes})


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison with inversions, hostile names in every place, and its report."""
    folder = tmp_path_factory.mktemp("compared")
    results = church_results(
        inversion=make_settings(),
        calibrations=make_calibrations(),
        inversions=make_records(folder, 4),
        vanishing=[rate(), rate(cut="r4", vanished=2, verdict="no evidence")],
    )
    write_run(folder, results)
    return folder


@pytest.fixture(scope="module")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command ``invert``, and its report."""
    folder = tmp_path_factory.mktemp("inverted")
    write_run(folder, alone(folder))
    return folder


# ------------------------------------------------------------------------------------- pictures


def one_card(folder: Path, level: Level = LEVELS[0], **changes: Any) -> Any:
    records = [r.model_copy(update=changes) for r in make_records(folder, 1, KEYS[2:])]
    return encode_cards(folder, group_photos(records), make_settings(), level)[0]


def test_pictures_of_a_card(tmp_path: Path) -> None:
    card = one_card(tmp_path)
    picture = np.asarray(decoded(card.photo).convert("RGB"))
    np.testing.assert_array_equal(picture, np.asarray(Image.open(tmp_path / "inversions/0.png")))
    shown = card.reconstructions[0]
    np.testing.assert_array_equal(np.asarray(decoded(shown.picture).convert("RGB")), 255 - picture)
    before, after = labels_of(0, persons=True), labels_of(0, persons=False)
    after[11, 2:8] = 0
    for uri, labels in ((card.labels, before), (shown.labels, after)):
        pixels = np.asarray(decoded(uri).convert("RGBA"))
        assert pixels.shape[:2] == (512, 512)
        pixels = pixels[16::32, 16::32]  # between the lines
        np.testing.assert_array_equal(pixels[..., 3] > 0, labels > 0)
        for number in range(1, 5):
            assert (pixels[labels == number][:, :3] == class_colour(NAMES[number])).all()
    areas = {name: (a, b) for name, _, a, b in shown.legend}
    assert areas["person"] == (100 * 4 / 256, 0.0) and areas["car"] == (
        100 * 12 / 256,
        100 * 6 / 256,
    )
    colours = {name: colour for name, colour, _, _ in shown.legend}
    assert {row[0]: row[2] for row in card.legend} == {n: a for n, (a, _) in areas.items() if a}
    assert all(colours[name] == colour for name, colour, _ in card.legend)
    assert card.pixelated and weight(card) > len(card.photo) + len(shown.picture)


def test_difference_pictures_say_what_they_show(tmp_path: Path) -> None:
    shown = one_card(tmp_path).reconstructions[0]
    assert [d.label for d in shown.differences] == ["person", "car"]  # both lose half
    person, car = shown.differences
    assert (person.lost, person.kept, person.new) == (100 * 4 / 256, 0, 0)
    assert (car.lost, car.kept, car.new) == (100 * 6 / 256, 100 * 6 / 256, 0)
    assert Counter(car.places.ravel().tolist()) == {0: 256 - 12, LOST: 6, KEPT: 6}
    assert car.picture == mark_places(car.places)
    photo = np.asarray(Image.open(tmp_path / "inversions/0.png"))
    before = weight(car)
    assert car.marked == vanished_uri(photo, car.places == LOST)
    assert weight(car) == before + len(car.marked)  # counts where a page has asked for it


def test_two_labels_of_one_name_are_one_class(tmp_path: Path) -> None:
    records = make_records(tmp_path, 1, KEYS[2:])
    settings = InversionSettings(preset="fast", labels=["-", "person", "person", "sky", "x"])
    card = encode_cards(tmp_path, group_photos(records), settings, LEVELS[0])[0]
    person = card.reconstructions[0].differences[0]
    assert person.label == "person" and person.lost == 100 * (4 + 6) / 256


def test_filmstrip(tmp_path: Path) -> None:
    strip = one_card(tmp_path).reconstructions[0].strip
    assert strip.steps == tuple(STEPS) and strip.pixelated
    assert decoded(strip.picture).size == (2 * SIZE * 3, 2 * SIZE)
    many = list(range(0, 500, 5))
    pixels = np.zeros((SIZE, SIZE * len(many), 3), np.uint8)
    pixels[:, -SIZE:] = 255
    name = save(tmp_path / "inversions" / "many.png", pixels)
    strip = one_card(tmp_path, frames=name, frame_steps=many).reconstructions[0].strip
    assert len(strip.steps) == FRAMES and (strip.steps[0], strip.steps[-1]) == (0, 495)
    shown = np.asarray(decoded(strip.picture).convert("L"))
    assert shown[:, -SIZE:].min() > 240 and shown[:, : -3 * SIZE].max() < 16
    none = one_card(tmp_path, Level(96, 50, "none")).reconstructions[0]
    assert none.strip is None and none.strip_left_out


def test_large_pictures_shrink(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    changes = {
        "photo": save(tmp_path / "inversions" / "large.png", pixels),
        "photo_labels": None,
    }
    card = one_card(tmp_path, Level(128, 60), **changes)
    assert decoded(card.photo).size == (128, 96)
    assert (card.width, card.height, card.pixelated, card.labels) == (400, 300, False, None)
    assert card.reconstructions[0].differences == ()


@pytest.mark.parametrize(
    "name", ["../outside.png", "/etc/hostname", "", ".", "inversions/../../x.png", "a\0b", "link"]
)
def test_paths_stay_inside_the_run(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    (run / "link").symlink_to(tmp_path / "outside.png")
    with pytest.raises(RunError, match="results.json"):
        resolve(run, name)
    for field in ("photo", "reconstruction", "photo_labels", "reconstruction_labels", "frames"):
        with pytest.raises(RunError, match="results.json"):
            one_card(run, **{field: name})
    assert resolve(run, "inversions/0.png").name == "0.png"


@pytest.mark.parametrize("name", ["0.png", "0-labels.png", "0-0.png", "0-0-frames.png"])
def test_missing_and_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    records = make_records(tmp_path, 1, KEYS[2:])
    results = alone(tmp_path, inversions=records, calibrations=[])
    path = tmp_path / "inversions" / name
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:30], b"GIF89a", b""):
        path.write_bytes(content)
        with pytest.raises(RunError, match=rf"inversions/{re.escape(name)} cannot be read"):
            write_report(tmp_path, results, church_manifest())
    path.unlink()
    with pytest.raises(RunError, match=rf"inversions/{re.escape(name)} is missing"):
        write_report(tmp_path, results, church_manifest())
    path.mkdir()
    with pytest.raises(RunError, match=re.escape(name)):
        write_report(tmp_path, results, church_manifest())
    assert not (tmp_path / "report.html").exists()


def test_pictures_that_do_not_fit_are_named(tmp_path: Path) -> None:
    inside = tmp_path / "inversions"
    high = save(inside / "high.png", np.full((SIZE, SIZE), 300, np.uint16))
    with pytest.raises(RunError, match=r"high\.png has label number 300.* has 5 labels"):
        one_card(tmp_path, reconstruction_labels=high)
    assert read_labels(tmp_path, high, 301).max() == 300
    colour = save(inside / "colour.png", np.zeros((SIZE, SIZE, 3), np.uint8))
    with pytest.raises(RunError, match=r"colour\.png is of mode RGB"):
        one_card(tmp_path, photo_labels=colour)
    small = save(inside / "small.png", np.zeros((8, SIZE), np.uint8))
    with pytest.raises(RunError, match=r"small\.png is 16 × 8 pixels.*16 × 16"):
        one_card(tmp_path, reconstruction_labels=small)
    with pytest.raises(RunError, match=r"frames\.png is 48 × 16 pixels.*not 2 square frames"):
        one_card(tmp_path, frame_steps=[0, 5])


# ------------------------------------------------------------------------------------------ page


def test_both_pages_are_closed_and_escaped(compared: Path, inverted: Path) -> None:
    for folder, scripts in ((compared, 3), (inverted, 2)):
        page = read_page(folder)
        check_self_contained(page, scripts)
        for tag, attributes in page.elements:
            assert tag != "img" or "alt" in attributes
            assert tag != "button" or attributes.get("type") == "button"
        policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
        assert policy.count("'sha256-") == scripts - 1 and "unsafe-eval" not in policy
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        pointed = [a["href"][1:] for tag, a in page.elements if tag == "a"]
        pointed += [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
        assert set(pointed) <= set(ids) and {"appendix", "inversion"} <= set(pointed)
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_sections_have_their_place(compared: Path, inverted: Path) -> None:
    def sections(folder: Path) -> list[str]:
        return [a["id"] for tag, a in read_page(folder).elements if tag == "section"]

    start, end = ["summary", "cautions"], ["inversion", "method"]
    assert sections(compared) == [*start, "missing", "classes", "appendix", "words", *end]
    assert sections(inverted) == [*start, "vanishes", "appendix", *end]
    text = (inverted / "report.html").read_text(encoding="utf-8")
    assert "<title>progan:church on church_outdoor_train: what vanishes</title>" in text
    assert "permutation" not in text and len(text) < 500_000  # no charting library
    assert (inverted / "figures" / "inversion-depth.svg").is_file()
    assert not (inverted / "figures" / "classes.svg").exists()


def test_card_content(compared: Path) -> None:
    elements = read_page(compared).elements
    cards = [a for tag, a in elements if tag == "details" and a.get("class") == "vanish"]
    assert len(cards) == 4
    # Two photos of each class: the first is open, the second folded away.
    assert [("open" in a) for a in cards] == [True, False, True, False]
    tabs = [a for _, a in elements if a.get("name") == "vanish-0" and a.get("type") == "radio"]
    assert len(tabs) == 3 and [("checked" in a) for a in tabs] == [True, False, False]
    text = (compared / "report.html").read_text(encoding="utf-8")
    assert text.count("out of distribution (1.8×)") == 1
    assert "person vanishes in 8 of 8 photos; classes of this size that the generator" in text
    assert "more often: person in 2 of 8 photos at r4" in text
    rates = text.split('id="rates"')[1].split("</table>")[0]
    assert rates.count("<tr>") == 3 and "2 of 8" in rates
    rows = re.findall(r"<th scope=\"row\">(.*?)</th>", text.split('id="methods"')[1])
    assert rows[:3] == ["encoder", "layered+r at r4", "layered+r at r8 (shown first)"]


def test_a_bound_of_19_of_20_never_stands_beside_few_samples(tmp_path: Path) -> None:
    few = [record.model_copy(update={"n": 4}) for record in make_calibrations(KEYS[2:])]
    classes = [ClassCalibration(label="car", pairs=4, lost_mean=0.1, lost_high=0.3)]
    few = [record.model_copy(update={"classes": classes}) for record in few]
    results = alone(tmp_path, calibrations=few, inversions=make_records(tmp_path, 1, KEYS[2:]))
    text = render_page(results, church_manifest(), None, run_dir=tmp_path)
    assert "19 of 20" not in text and "by all 4" in text
    many = [record.model_copy(update={"n": 19}) for record in few]
    more = results.model_copy(update={"calibrations": many})
    assert "19 of 20 at least" in render_page(more, church_manifest(), None, run_dir=tmp_path)


def test_rebuild_decides_by_kind(inverted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(inverted, copy)
    (copy / "report.html").unlink()
    assert rebuild_report(copy).read_bytes() == (inverted / "report.html").read_bytes()
    assert {p.name for p in copy.iterdir()} == {p.name for p in inverted.iterdir()}
    document = json.loads((copy / "results.json").read_text(encoding="utf-8"))
    document["inversions"][0]["psnr"] = "loud"
    (copy / "results.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RunError, match=r"results\.json does not fit at inversions\.0\.psnr"):
        rebuild_report(copy)
    for text in ("[]", "{", '"inversion"', "[" * 100_000):
        (copy / "results.json").write_text(text, encoding="utf-8")
        with pytest.raises(RunError, match=r"results\.json does not fit"):
            rebuild_report(copy)


def test_pages_without_photos_segmenter_or_settings(tmp_path: Path) -> None:
    nothing = alone(tmp_path, inversions=[], calibrations=[])
    text = render_page(nothing, church_manifest(), None, run_dir=tmp_path)
    assert "No photo was inverted." in text and 'id="vanishes"' not in text
    only_own = alone(tmp_path, inversions=[])
    text = render_page(only_own, church_manifest(), None, run_dir=tmp_path)
    assert "No photo was inverted." in text and 'id="inversion"' in text
    records = [
        r.model_copy(update={"classes": [], "photo_labels": None, "reconstruction_labels": None})
        for r in make_records(tmp_path, 1, KEYS[:1])
    ]
    bare = alone(
        tmp_path,
        inversions=records,
        calibrations=[],
        segmenter=None,
        inversion=InversionSettings(preset="paper"),
        warnings=[],
        skipped=[],
        vanishing=[],
    )
    text = render_page(bare, church_manifest(), None, run_dir=tmp_path)
    assert (
        "No generator sample was inverted" in text
        and "No rates were compared" in text
        and 'class="compare' not in text.split("<script")[0]
    )
    assert text.count('class="vanish"') == 1 and "difference in" not in text
    with pytest.raises(RunError, match="not how they were made"):
        render_page(church_results(inversions=records), church_manifest(), None, run_dir=tmp_path)
    with pytest.raises(RunError, match="needs the run directory"):
        render_page(bare, church_manifest(), None)


@pytest.mark.slow
def test_everything_fits_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = alone(tmp_path, photos=8, calibrations=[])
    whole = len(render_page(results, church_manifest(), None, run_dir=tmp_path))
    least = encode_cards(
        tmp_path, group_photos(results.inversions), results.inversion, Level(96, 50, "none", 6)
    )
    fit = functools.partial(fit_pictures, budget=weight(least))
    monkeypatch.setattr(page_module, "fit_pictures", fit)
    text = render_page(results, church_manifest(), None, run_dir=tmp_path)
    assert len(text) < whole and text.count('class="vanish"') == 6
    assert "Shown are 6 of 8 photos" in text and "The filmstrip is left out" in text


# --------------------------------------------------------------------------------------- browser


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_pages_in_a_browser(browser: Chromium, compared: Path, inverted: Path, width: int) -> None:
    for folder in (compared, inverted):
        browser.open(folder / "report.html", "?theme=dark", width=width)
        state = browser.evaluate("({...document.documentElement.dataset})")
        assert int(state["scrollWidth"]) <= int(state["innerWidth"]) == width
        assert browser.problems == [] and state["errors"] == "0"
        assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []
        assert "stolen" not in browser.evaluate("document.title")
        box = "document.querySelector('.compare').getBoundingClientRect()"
        assert browser.evaluate(f"{box}.width") >= 100
        assert browser.evaluate(f"{box}.width - {box}.height") == pytest.approx(0, abs=0.6)


@pytest.mark.browser
def test_slider_by_mouse_and_keyboard(browser: Chromium, inverted: Path) -> None:
    browser.open(inverted / "report.html", width=1280)
    browser.evaluate("document.querySelector('.compare').scrollIntoView({block: 'center'})")
    at = "document.querySelector('.compare').style.getPropertyValue('--at')"
    assert browser.evaluate(at) == "0%"  # the reconstruction alone
    left, top, width = browser.evaluate(
        "(() => { const b = document.querySelector('.compare').getBoundingClientRect();"
        "return [b.x, b.y + b.height / 2, b.width] })()"
    )
    mouse = browser.page.mouse
    mouse.move(left + 2, top)
    mouse.down()
    mouse.move(left + 0.8 * width, top)
    mouse.up()
    dragged = float(browser.evaluate(at).rstrip("%"))
    assert dragged == pytest.approx(80, abs=5)
    for _ in range(3):
        browser.page.keyboard.press("ArrowLeft")
    assert float(browser.evaluate(at).rstrip("%")) == dragged - 3
    over = "getComputedStyle(document.querySelector('.compare .over')).clipPath"
    assert browser.evaluate(over) == f"inset(0px {100 - (dragged - 3):g}% 0px 0px)"
    spoken = "document.querySelector('.compare input').getAttribute('aria-valuetext')"
    assert browser.evaluate(spoken) == f"{dragged - 3:g} % photo"
    assert browser.problems == []


@pytest.mark.slow
@pytest.mark.browser
def test_tabs_differences_and_film(browser: Chromium, compared: Path) -> None:
    browser.open(compared / "report.html", width=1280)
    card = "document.querySelector('.vanish')"
    same = (
        f"{card}.querySelector('.copy-result').src === "
        f"{card}.querySelector('.at-result:not([hidden]) img').src"
    )
    visible = f"[...{card}.querySelectorAll('[data-variant]')].filter(p => p.offsetParent !== null)"
    variants = f"[...new Set({visible}.map(p => p.dataset.variant))]"
    assert browser.evaluate(same) and browser.evaluate(variants) == ["0"]
    first = browser.evaluate(f"{card}.querySelector('.copy-result').src")
    browser.evaluate(f"{card}.querySelectorAll('.tabs input')[2].click()")
    assert browser.evaluate(same) and browser.evaluate(variants) == ["2"]
    browser.evaluate(
        "(() => { const s = document.getElementById('vanish-method'); s.value = '1';"
        "s.dispatchEvent(new Event('change', {bubbles: true})) })()"
    )
    assert browser.evaluate(variants) == ["1"] and browser.evaluate(same)
    assert browser.evaluate(f"{card}.querySelector('.copy-result').src") != first
    chosen = "[...document.querySelectorAll('.vanish')].map(c => c.dataset.chosen)"
    assert browser.evaluate(chosen) == ["1", None, "1", None]  # folded ones are not yet made ready
    for folded in browser.page.locator("details.rest > summary").all():
        folded.click()
    browser.page.wait_for_timeout(100)
    assert browser.evaluate(chosen) == ["1"] * 4
    browser.evaluate(f"{card}.querySelectorAll('.tabs input')[0].click()")

    figure = f"{card}.querySelector('.at-difference:not([hidden])')"
    shown = f"[...{figure}.querySelectorAll('[data-difference]')].filter(p => p.offsetParent)"
    assert browser.evaluate(f"{shown}.map(p => p.dataset.difference)") == ["0", "0"]
    browser.evaluate(
        f"(() => {{ const s = {figure}.querySelector('select'); s.value = '1';"
        "s.dispatchEvent(new Event('change', {bubbles: true})) })()"
    )
    assert browser.evaluate(f"{shown}.map(p => p.dataset.difference)") == ["1", "1"]

    browser.evaluate(f"{card}.querySelector('.vanish-facts:not([hidden]) summary').click()")
    film = f"{card}.querySelector('.vanish-facts:not([hidden]) .film')"
    browser.evaluate(f"{film}.querySelector('summary').click()")
    browser.wait(f"{film}.querySelector('.frame').style.backgroundPosition === '100% 0px'")
    browser.evaluate(f"{film}.querySelector('button').click()")
    assert browser.evaluate(f"{film}.querySelector('output').textContent") == "step 0"
    browser.wait(f"{film}.querySelector('button').textContent === '▶ Play'")
    assert browser.evaluate(f"{film}.querySelector('output').textContent") == "step 40"
    assert browser.problems == []


@pytest.mark.slow
@pytest.mark.browser
def test_photos_stand_under_their_classes(browser: Chromium, compared: Path) -> None:
    page = browser.open(compared / "report.html", width=1280)
    person = page.locator("details.class[data-label=person]")
    assert person.locator("details.vanish").count() == 2
    folded = person.locator("details.rest", has=page.locator(".vanish"))
    assert not folded.locator("details.vanish").is_visible()
    folded.locator("> summary").click()
    card = folded.locator("details.vanish")
    assert card.is_visible() and not card.locator(".views").is_visible()
    card.locator("> summary").focus()
    page.keyboard.press("Enter")
    assert card.locator(".views").is_visible()
    assert browser.problems == []


@pytest.mark.slow
@pytest.mark.browser
def test_the_pair_on_the_first_screen_leads_to_its_card(browser: Chromium, compared: Path) -> None:
    page = browser.open(compared / "report.html", width=1280, height=800)
    pair = page.locator(".lead .pairing")
    box = pair.bounding_box()
    assert box is not None and box["y"] + box["height"] < 800
    target = (pair.get_attribute("href") or "").removeprefix("#")
    pair.click()
    assert page.locator(f"details[id={target}]").is_visible()
    assert page.locator(f"details[id={target}]").get_attribute("open") is not None
    assert "person" in page.locator(".lead figcaption").inner_text()
