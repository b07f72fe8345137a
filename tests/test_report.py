"""The report: its words, its figure, its gallery, and the page itself in a browser."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import itertools
import json
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import seeingkit.report
from seeingkit.errors import RunError, UsageError
from seeingkit.report import (
    Gallery,
    GalleryClass,
    GalleryImage,
    Section,
    choose_classes,
    pick_examples,
    rebuild_report,
    summarise,
    summary_html,
    write_report,
)
from seeingkit.report import wording as words
from seeingkit.report.figure import (
    HIGH,
    area_domain,
    build_chart,
    figure_rows,
    figure_svg,
    write_figures,
)
from seeingkit.report.galleries import label_colours
from seeingkit.report.page import render_page
from seeingkit.report.pictures import encode_gallery
from seeingkit.results import (
    ClassResult,
    FSDResult,
    Manifest,
    ModelRecord,
    Results,
    SkippedItem,
    SourceRecord,
)

HOSTILE = "<script>document.title='stolen'</script>\"'&amp;"

# Label, real area in percent, relative difference: the church figure of Bau et al. 2019, read off
# the published picture; areas that the picture does not give are filled in between.
CHURCH: tuple[tuple[str, float, float], ...] = (
    ("building", 45.0, 0.01), ("sky", 33.0, 0.0), ("tree", 8.0, 0.03), ("grass", 3.0, 0.08),
    ("road", 2.4, -0.05), ("plant", 1.5, -0.12), ("person", 0.97, -0.63),
    ("sidewalk", 0.9, -0.09), ("earth", 0.8, 0.55), ("wall", 0.7, 0.08), ("mountain", 0.6, 0.05),
    ("house", 0.52, -0.25), ("water", 0.45, 0.01), ("step", 0.35, -0.14), ("path", 0.28, -0.01),
    ("car", 0.21, -0.44), ("fence", 0.205, -0.54), ("forecourt", 0.18, 0.31),
    ("tower", 0.15, -0.2), ("sea", 0.119, -0.18), ("palm", 0.113, -0.92),
    ("stairway", 0.09, -0.37), ("river", 0.085, 0.42), ("signboard", 0.08, -0.77),
    ("rock", 0.07, 1.06), ("fountain", 0.06, -0.06), ("boat", 0.055, -0.63),
    ("ceiling", 0.05, 0.97), ("floor", 0.048, 0.4), ("field", 0.045, -0.19),
    ("bulletin board", 0.049, 2.05), ("traffic light", 0.02, -0.8), ("bench", 0.015, 0.1),
)  # fmt: skip


def class_result(
    label: str, index: int, real: float, relative: float, **changes: Any
) -> ClassResult:
    wide = 0.07 + 0.02 / max(real, 0.02)
    clear = abs(relative) > wide
    verdict = "no evidence"
    if clear:
        verdict = "omitted" if relative <= -0.5 else "reduced" if relative < 0 else "excess"
    values: dict[str, Any] = {
        "label": label, "category": "object", "index": index, "real_area": real,
        "generated_area": real * (1 + relative), "relative_difference": relative,
        "ci_low": max(-1.0, relative - wide), "ci_high": relative + wide,
        "real_presence": min(1.0, 0.05 + real / 10),
        "generated_presence": min(1.0, (0.05 + real / 10) * (1 + relative)),
        "p_value": 1e-9 if clear else 0.31, "q_value": 4e-8 if clear else 0.52,
        "omitted": verdict == "omitted", "verdict": verdict,
    }  # fmt: skip
    return ClassResult(**{**values, **changes})


def church_classes() -> list[ClassResult]:
    classes = [class_result(label, i + 1, *numbers) for i, (label, *numbers) in enumerate(CHURCH)]
    classes.insert(2, class_result("-", 0, 12.0, -0.2))
    classes.insert(4, class_result("brick", 40, 6.0, -0.6, category="material"))
    classes.insert(9, class_result(HOSTILE, 41, 0.75, -0.7, category="<b>odd</b>"))
    classes.append(class_result("wall", 42, 0.012, -0.1, ci_low=None, ci_high=None))
    classes.append(
        class_result("sofa", 43, 0.0, 0.0, generated_area=0.02, relative_difference=None,
                     ci_low=None, ci_high=None, verdict="excess", q_value=0.01)
    )  # fmt: skip
    return classes


def church_results(**changes: Any) -> Results:
    values: dict[str, Any] = {
        "fsd": FSDResult(value=31.2, mean_term=12.1, cov_term=19.1, floor=4.3, bias_reduced=26.9,
                      p_value=0.001, permutations=999, floor_halves=5000),
        "n_real": 10000, "n_generated": 10000,
        "segmenter": ModelRecord(name="upernet", family="upernet", weights_sha256="ab" * 32,
                              licence="BSD-3-Clause", parameters=74_200_000, resolution=256),
        "generator": ModelRecord(name="progan:church", family="progan", weights_sha256="cd" * 32,
                              parameters=18_300_000, resolution=256,
                              options={"truncation": 1.0, "latents": "sequence"}),
        "data": SourceRecord(name="church_outdoor_train", kind="lmdb", images=126_227,
                          fingerprint="12" * 32, seed=1),
        "generated": SourceRecord(name="progan:church", kind="generator", images=10_000,
                               fingerprint="34" * 32, seed=1, details={"note": HOSTILE}),
        "preset": {"name": "paper", "resolution": 256, "crop": "centre"},
        "classes": church_classes(),
        "skipped": [SkippedItem(source="real", item=f"a/{HOSTILE}.jpg", reason="cut " + HOSTILE)],
        "warnings": ["the segmenter has not been checked on this domain", HOSTILE],
    }  # fmt: skip
    return Results(**{**values, **changes})


def church_manifest() -> Manifest:
    return Manifest(
        seeingkit="0.1.0",
        command="seeingkit analyze --gan progan --data 'churches & \"towers\"' --n 10000",
        config={"n": 10000, "seed": 1, "level": 0.05, "data": HOSTILE},
        versions={"python": "3.12.3", "torch": "2.13.0", "numpy": "2.4.0"},
        hashes={"results.json": "ef" * 32},
        timings={"real tally": 7412.3, "generated tally": 8011.0, "comparison": 21.4},
        started="2026-01-12T09:14:03Z",
        finished="2026-01-12T13:31:40Z",
    )


def scene(index: int, seed: int, size: int = 48) -> GalleryImage:
    """A random picture with a rectangle of one label in it, id and all."""
    dice = np.random.default_rng(seed)
    image = dice.integers(0, 256, (size, size, 3), dtype=np.uint8)
    labels = np.zeros((size, size), np.uint16)
    labels[: size // 3] = 2
    labels[size // 2 : size // 2 + 5 + seed % 7, 4:30] = index
    share = 100 * float((labels == index).mean())
    return GalleryImage(f"{HOSTILE}/{seed}.png", image, labels, share)


def church_gallery(results: Results, images: int = 3) -> Gallery:
    names = {record.label: record.index for record in results.classes}
    labels = ["-", *(f"label {k}" for k in range(1, 45))]
    for label, index in names.items():
        labels[index] = label
    classes = tuple(
        GalleryClass(
            label,
            names[label],
            tuple(scene(names[label], k) for k in range(images)),
            tuple(scene(names[label], 50 + k) for k in range(images)),
        )
        for label in choose_classes(results)
    )
    return Gallery(tuple(labels), classes=classes)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with hostile names in every place, and its report."""
    folder = tmp_path_factory.mktemp("run")
    results = church_results()
    gallery = church_gallery(results)
    gallery.save(folder)
    (folder / "results.json").write_text(results.model_dump_json(), encoding="utf-8")
    (folder / "manifest.json").write_text(church_manifest().model_dump_json(), encoding="utf-8")
    write_report(folder, results, church_manifest(), gallery)
    return folder


# ----------------------------------------------------------------------------------------- words


def test_import_is_light() -> None:
    heavy = "torch altair vl_convert jinja2"
    code = f"import seeingkit.report, sys; print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.63, "−63 %"), (0.042, "+4.2 %"), (-0.997, "−99.7 %"), (-0.99999, "−99.9 %"),
        (-1.0, "−100 %"), (12.3, "+1,230 %"), (0.0, "0 %"), (-0.0001, "0 %"), (0.05, "+5 %"),
        (None, "–"),
    ],
)  # fmt: skip
def test_change(value: float | None, text: str) -> None:
    assert words.change(value) == text.replace(" ", words.NBSP)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (words.area(45.23), "45.2 %"), (words.area(0.97), "0.97 %"),
        (words.area(0.0123), "0.012 %"),
        (words.area(0), "0 %"), (words.area(4.2e-5), "4.2e−5 %"), (words.number(31.24), "31.2"),
        (words.number(1234.4), "1,234"), (words.number(-0.5), "−0.50"), (words.number(0), "0"),
        (words.probability(1e-88), "1.0e−88"), (words.probability(0.0421), "0.042"),
        (words.probability(0), "< 1e−300"), (words.share(0.9999), "99.9 %"),
        (words.share(1.0), "100 %"), (words.share(0.054), "5.4 %"), (words.count(0, "class",
        "classes"), "no classes"), (words.count(1, "image"), "1 image"),
        (words.count(1300, "image"), "1,300 images"),
        (words.listing([]), ""), (words.listing(["a"]), "a"),
        (words.listing(["a", "b", "c"]), "a, b and c"),
        (words.listing(list("abcdef"), 4), "a, b, c and 3 more"),
        (words.interval(-0.7, -0.55), "−70 to −55 %"), (words.interval(None, None), "unbounded"),
        (words.interval(None, -0.2), "up to −20 %"), (words.interval(-0.2, None), "from −20 %"),
        (words.duration(7412.3), "2 h 3 min"), (words.duration(59.7), "1 min 0 s"),
        (words.duration(0.25), "0.2 s"),
    ],
)  # fmt: skip
def test_quantities(call: str, text: str) -> None:
    assert call.replace(words.NBSP, " ") == text


@settings(deadline=None)
@given(st.floats(min_value=1e-12, max_value=100), st.floats(min_value=-1, max_value=1e6))
def test_rounding_reaches_no_bound(percent: float, relative: float) -> None:
    assert float(words.area(percent).split(words.NBSP)[0].replace("−", "-")) > 0
    assert (words.change(relative) == f"−100{words.NBSP}%") == (relative == -1)


def plain(results: Results) -> str:
    return summarise(results).text.replace(words.NBSP, " ")


def test_summary_of_the_church_figure() -> None:
    text = plain(church_results())
    assert text.startswith(
        "The generator leaves out 6 of 35 classes that the real images show: "
        "person (−63 %, 95 % interval −72 to −54 %), "
    )
    assert "brick" not in text  # a material
    assert "5 further classes are reduced, by less than half: plant (−12 %)" in text
    assert "One class that no real image has is drawn: sofa (0.020 %)." in text
    assert (
        "FSD 31.2 percent² (mean 12.1 + covariance 19.1) against a floor of 4.3 for two real "
        "samples of this size (measured on disjoint halves of 5,000 images), permutation "
        "p = 0.001, the smallest that 999 permutations can give; with the sampling bias reduced, "
        "26.9." in text
    )
    assert "1 image could not be used and was skipped (1 real)." in text
    assert text.endswith(HOSTILE)


LOST = class_result("person", 1, 1.0, -0.7)
KEPT = class_result("sky", 2, 30.0, 0.01)


@pytest.mark.parametrize(
    ("classes", "start"),
    [
        ([LOST], "The generator leaves out the only class that the real images show: person"),
        ([LOST, KEPT], "The generator leaves out 1 of 2 classes that the real images show: person"),
        ([LOST, class_result("car", 3, 1, -0.8)], "The generator leaves out all 2 classes that"),
        ([KEPT], "Nothing is found to be left out: the one class that the real images show, sky,"),
        ([KEPT, class_result("car", 3, 1, 0.1)], "Nothing is found to be left out: of the 2 "
         "classes that the real images show, none has lost at least half of its area at a false "
         "discovery rate of 5 %."),
        ([], "The real images show none of the classes that the segmenter knows"),
        ([class_result("-", 0, 90.0, -0.9)], "The real images show none of the classes"),
    ],
)  # fmt: skip
def test_headline_counts(classes: list[ClassResult], start: str) -> None:
    assert plain(church_results(classes=classes)).startswith(start)


def test_summary_of_folders_and_single_changes() -> None:
    classes = [LOST, class_result("car", 3, 1.0, -0.3), class_result("rock", 4, 1.0, 0.9)]
    text = plain(church_results(classes=classes, generator=None))
    assert text.startswith("The set of generated images leaves out 1 of 3")
    assert "A further class is reduced, by less than half: car (−30 %)." in text
    assert "One class takes more room than in the real images: rock (+90 %)." in text


def test_cautions() -> None:
    few = plain(church_results(n_real=13, n_generated=13))
    assert "With 13 images per side only large losses can be seen" in few
    uneven = plain(church_results(n_real=13, n_generated=1))
    assert "With 13 real and 1 generated image only large losses" in uneven
    noisy = {"value": 31.0, "mean_term": 12.0, "cov_term": 19.0}
    half = plain(church_results(fsd=FSDResult(**noisy, floor=28.0, p_value=0.4)))
    assert "More than half of the FSD (28.0 of 31.0)" in half
    assert "(p = 0.40) does not tell" in half
    above = plain(church_results(fsd=FSDResult(**noisy, floor=40.0)))
    assert "is no larger than its floor of 40.0" in above
    bare = plain(church_results(fsd=FSDResult(**noisy)))
    assert "floor of the FSD is not known" in bare and "permutation p" not in bare
    assert "floor" not in plain(church_results()).split("Read")[0].split("26.9.")[1]
    skipped = [SkippedItem(source=s, item="x", reason="y") for s in ("real", "generated", "real")]
    assert "3 images could not be used and were skipped (2 real and 1 generated)." in plain(
        church_results(skipped=skipped)
    )


def test_notebook_summary_is_escaped() -> None:
    text = summary_html(church_results(), rows=5)
    assert "<script" not in text and "&lt;script&gt;" in text
    assert text.count("<tr>") == 6  # the heading and five classes
    assert "and 31 more classes" in text
    assert "<svg" in summary_html(church_results(), figure=True)


# ---------------------------------------------------------------------------------------- figure


def test_figure_rows_follow_the_paper() -> None:
    rows = figure_rows(church_results())
    labels = [row["label"] for row in rows]
    assert labels[:4] == ["building", "sky", "tree", "grass"]
    assert not {"-", "brick", "sofa"} & set(labels)
    assert [row["real"] for row in rows] == sorted((row["real"] for row in rows), reverse=True)
    assert len({row["key"] for row in rows}) == len(rows)  # two labels are called "wall"
    board = next(row for row in rows if row["label"] == "bulletin board")
    assert board["shown"] == HIGH and board["note"] == f"+205{words.NBSP}%"
    unbounded = next(row for row in rows if row["key"] == "wall (42)")
    assert unbounded["low"] is None and unbounded["text_interval"] == "unbounded"
    half_open = figure_rows(church_results(classes=[class_result("a", 1, 1, -0.2, ci_high=None)]))
    assert half_open[0]["high"] == HIGH and half_open[0]["open"]


def test_area_axis() -> None:
    rows = figure_rows(church_results())
    assert area_domain(rows[:30]) == pytest.approx((0.01, 50))
    small = figure_rows(church_results(classes=[KEPT, class_result("a", 1, 1e-3, 0.0)]))
    assert area_domain(small) == pytest.approx((0.001, 50))
    assert area_domain([]) == pytest.approx((0.01, 50))


@pytest.mark.parametrize("layout", ["wide", "narrow"])
def test_spec(layout: Any) -> None:
    rows = figure_rows(church_results())[:30]
    spec = build_chart(rows, layout=layout).to_dict()  # validated against Vega-Lite's schema
    panels = spec["vconcat" if layout == "wide" else "hconcat"]
    assert len(panels) == 2
    assert spec["datasets"]["classes"] == rows
    text = json.dumps(panels)
    assert '"type": "log"' in text and '"type": "rule"' in text and "datum.omitted" in text


def test_static_figure(tmp_path: Path) -> None:
    svg, png = write_figures(church_results(), tmp_path / "figures")
    tree = ET.fromstring(svg.read_text(encoding="utf-8"))
    kinds = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert "script" not in kinds and "image" not in kinds
    texts = [element.text or "" for element in tree.iter() if element.tag.endswith("text")]
    assert {"building", "palm", "omitted", "real images", f"+205{words.NBSP}%"} <= set(texts)
    assert any(text.startswith("<script>") for text in texts)
    width, height = float(tree.attrib["width"]), float(tree.attrib["height"])
    with Image.open(png) as picture:
        assert picture.size == (round(2 * width), round(2 * height))
        corner = np.asarray(picture.convert("RGB"))[:3, :3]
    assert (corner == 255).all()


def test_figure_without_classes() -> None:
    assert "<svg" in figure_svg(church_results(classes=[]))


# --------------------------------------------------------------------------------------- gallery


def test_gallery_comes_back_equal(tmp_path: Path) -> None:
    gallery = church_gallery(church_results())
    gallery.save(tmp_path)
    back = Gallery.load(tmp_path)
    assert (back.names, back.colours, back.has_background) == (
        gallery.names, gallery.colours, gallery.has_background
    )  # fmt: skip
    for one, two in zip(gallery.classes, back.classes, strict=True):
        assert (one.label, one.index) == (two.label, two.index)
        for a, b in zip(one.real + one.generated, two.real + two.generated, strict=True):
            assert (a.id, a.area) == (b.id, b.area)
            assert a.labels.dtype == b.labels.dtype
            np.testing.assert_array_equal(a.image, b.image)
            np.testing.assert_array_equal(a.labels, b.labels)
    assert sorted(p.name for p in (tmp_path / "gallery").iterdir()) == [
        "gallery.json", "images.npz"
    ]  # fmt: skip


def test_damaged_gallery_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gallery\.json is missing"):
        Gallery.load(tmp_path)
    gallery = church_gallery(church_results(), images=1)
    folder = gallery.save(tmp_path)
    whole = (folder / "images.npz").read_bytes()
    (folder / "images.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="damaged"):
        Gallery.load(tmp_path)
    (folder / "images.npz").write_bytes(whole)
    document = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    document["names"] = document["names"][:3]
    document["colours"] = document["colours"][:3]
    (folder / "gallery.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RunError, match="vocabulary has 3"):
        Gallery.load(tmp_path)


def test_gallery_refuses_wrong_arrays() -> None:
    good = scene(1, 0)
    with pytest.raises(UsageError, match="give uint8 of shape"):
        GalleryImage("a", good.image.astype(np.float32), good.labels, 1.0)
    with pytest.raises(UsageError, match="labels of 'a'"):
        GalleryImage("a", good.image, good.labels.astype(np.int64), 1.0)
    with pytest.raises(UsageError, match="1 colours"):
        Gallery(("-", "a"), ((0, 0, 0),))


def test_choice_of_classes() -> None:
    assert choose_classes(church_results())[:3] == ["person", HOSTILE, "fence"]
    assert choose_classes(church_results(), limit=2) == ["person", HOSTILE]
    calm = [class_result("a", 1, 9, 0.01), class_result("b", 2, 8, -0.04)]
    assert choose_classes(church_results(classes=calm)) == ["b", "a"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, 7.0]), max_size=40),
    st.integers(0, 14),
    st.integers(0, 5),
)
def test_choice_of_examples(areas: list[float], count: int, seed: int) -> None:
    values = np.array(areas)
    having = int((values > 0).sum())
    real = pick_examples(values, count, seed)
    assert len(real) == len(set(real.tolist())) == min(count, having)
    assert (values[real] > 0).all()
    most = (count + 1) // 2
    np.testing.assert_array_equal(values[real[:most]], np.sort(values)[::-1][: len(real[:most])])
    generated = pick_examples(values, count, seed, side="generated")
    assert len(set(generated.tolist())) == min(count, len(values))
    np.testing.assert_array_equal(values[generated], np.sort(values)[::-1][: len(generated)])
    np.testing.assert_array_equal(real, pick_examples(values, count, seed))


def decoded(uri: str) -> Image.Image:
    assert uri.startswith(("data:image/png;base64,", "data:image/webp;base64,"))
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_small_pictures_are_exact() -> None:
    item = scene(3, 5)
    gallery = Gallery(("-", "a", "b", "c"), classes=(GalleryClass("c", 3, (item,)),))
    picture = encode_gallery(gallery)[0]["real"][0]
    np.testing.assert_array_equal(np.asarray(decoded(picture.photo).convert("RGB")), item.image)
    assert picture.pixelated
    overlay = np.asarray(decoded(picture.overlay).convert("RGBA"))
    np.testing.assert_array_equal(overlay[..., 3] == 0, item.labels == 0)
    for number in (2, 3):
        assert (overlay[item.labels == number][:, :3] == gallery.colours[number]).all()
    only = np.asarray(decoded(picture.only).convert("RGBA"))
    np.testing.assert_array_equal(only[..., 3] > 0, item.labels == 3)
    assert [name for name, _, _ in picture.legend] == ["b", "c"]
    assert picture.legend[1][2] == pytest.approx(item.area)


def test_label_zero_counts_where_it_is_a_class() -> None:
    item = scene(1, 5)
    shown = (GalleryClass("wall", 0, (item,)),)
    picture = encode_gallery(Gallery(("wall", "a", "b"), classes=shown, has_background=False))
    overlay = np.asarray(decoded(picture[0]["real"][0].overlay).convert("RGBA"))
    assert (overlay[..., 3] == 255).all()


def test_large_pictures_keep_to_the_budget() -> None:
    items = tuple(scene(1, k, size=600) for k in range(3))
    gallery = Gallery(("-", "a", "b"), classes=(GalleryClass("a", 1, items),))
    pictures = encode_gallery(gallery, budget=150_000)[0]["real"]
    assert sum(len(p.photo) + len(p.overlay) + len(p.only) for p in pictures) <= 150_000
    assert max(decoded(pictures[0].photo).size) < 512
    assert (pictures[0].width, pictures[0].pixelated) == (600, False)


def test_colours_are_distinct() -> None:
    assert len(set(label_colours(336))) == 336
    assert label_colours(10) == label_colours(336)[:10]


# ------------------------------------------------------------------------------------------ page


class PageReader(HTMLParser):
    """Elements and script texts of a page, as a parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def page(run_dir: Path) -> PageReader:
    return PageReader((run_dir / "report.html").read_text(encoding="utf-8"))


def test_page_is_self_contained_and_escaped(page: PageReader) -> None:
    kinds = [tag for tag, _ in page.elements]
    assert kinds.count("script") == 3
    assert not {"link", "iframe", "object", "embed", "base", "b"} & set(kinds)
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), (tag, attributes)
    rows = [attributes for tag, attributes in page.elements if tag == "tr"]
    assert HOSTILE in [attributes.get("data-label") for attributes in rows]
    # Skipped images with heading, classes with heading, and the details of each class.
    assert len(rows) == 1 + 1 + 1 + 2 * 37


def test_policy_allows_its_own_scripts_only(page: PageReader) -> None:
    policy = next(
        a["content"] for tag, a in page.elements
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )  # fmt: skip
    hashes = re.findall(r"'sha256-([^']+)'", policy)
    digests = [hashlib.sha256(text.encode()).digest() for text in page.scripts[1:]]
    assert hashes == [base64.b64encode(digest).decode() for digest in digests]
    assert policy.startswith("default-src 'none';")
    assert "unsafe-eval" not in policy and "http" not in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_embedded_data_comes_back(page: PageReader) -> None:
    assert "<" not in page.scripts[0]
    data = json.loads(page.scripts[0])
    assert HOSTILE in [row["label"] for row in data["rows"]]
    assert any(name == HOSTILE for legend in data["legends"].values() for name, _, _ in legend)


def test_page_is_accessible(page: PageReader) -> None:
    attributes = dict(page.elements)
    assert attributes["html"]["lang"] == "en-GB"
    assert any(a.get("name") == "viewport" for tag, a in page.elements if tag == "meta")
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    for tag, a in page.elements:
        assert tag != "img" or "alt" in a
        assert tag != "button" or a.get("type") == "button"
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for tag, a in page.elements if tag == "a"]
    assert set(targets) <= set(ids)
    named = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert set(named) <= set(ids)


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme: str) -> None:
    style = (Path(seeingkit.report.__file__).parent / "style.css").read_text(encoding="utf-8")
    block = style.split(":root {" if theme == "light" else ':root[data-theme="dark"] {')[1]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block.split("}")[0]))
    for name in ("ink", "muted", "link", "text-omitted", "text-reduced", "text-excess"):
        for ground in ("paper", "raised") + (("caution",) if name in ("ink", "link") else ()):
            pair = sorted([luminance(colours[name]), luminance(colours[ground])])
            ratio = (pair[1] + 0.05) / (pair[0] + 0.05)
            assert ratio >= 4.5, (theme, name, ground, ratio)


def test_rebuild_from_files_alone(run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("results.json", "manifest.json", "gallery"):
        source = run_dir / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    again = rebuild_report(copy)
    assert again.read_bytes() == (run_dir / "report.html").read_bytes()
    assert (copy / "figures" / "classes.png").is_file()
    assert not list(copy.glob("*.part"))


def test_sections_of_other_stages() -> None:
    from markupsafe import Markup

    few = church_results(classes=[LOST, KEPT], warnings=[], skipped=[])
    section = Section("photos", "Photos & twins", Markup("<p>one</p>"))
    text = render_page(few, church_manifest(), None, sections=[section], svg="<svg/>")
    assert '<a href="#photos">Photos &amp; twins</a>' in text and "<p>one</p>" in text
    assert 'id="examples"' not in text


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run directory"):
        write_report(tmp_path / "nowhere", church_results(), church_manifest())
    with pytest.raises(RunError, match=r"cannot read .*results\.json"):
        rebuild_report(tmp_path)
    (tmp_path / "results.json").write_text('{"fsd": 3}', encoding="utf-8")
    with pytest.raises(RunError, match=r"results\.json does not fit at fsd"):
        rebuild_report(tmp_path)


# --------------------------------------------------------------------------------------- browser


class Chromium:
    """A headless browser driven through its debugging pipe, with its own empty profile."""

    def __init__(self, program: str, profile: Path) -> None:
        out, self._write = os.pipe()
        self._read, back = os.pipe()
        # Above 9, so that neither is overwritten when descriptors 3 and 4 are set.
        to_read, to_write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (out, back))
        os.close(out)
        os.close(back)
        flags = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
            "--disable-background-networking --disable-component-update --disable-sync "
            f"--hide-scrollbars --remote-debugging-pipe --user-data-dir={profile}"
        )
        # The browser reads from descriptor 3 and writes to 4; the shell puts them there.
        command = f"exec {shlex.quote(program)} {flags} 3<&{to_read} 4>&{to_write}"
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], 60)
            assert ready, "the browser does not answer"
            data = os.read(self._read, 1 << 16)
            assert data, "the browser has ended"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        event: dict[str, Any] = json.loads(text)
        method = event.get("method", "")
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(event["params"]["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            if event["params"]["type"] in ("error", "warning"):
                self.problems.append(json.dumps(event["params"]["args"]))
        elif method == "Log.entryAdded" and event["params"]["entry"]["level"] != "verbose":
            self.problems.append(event["params"]["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        return event

    def open(self, page: Path, query: str = "", *, width: int = 1280, height: int = 900) -> None:
        self.problems.clear()
        self.requests.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.call("Page.navigate", url=page.as_uri() + query)
        self.wait("document.documentElement?.dataset.ready === 'true'")

    def evaluate(self, script: str) -> Any:
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never true: {condition}; {self.problems}"
            time.sleep(0.05)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on the PATH")
    chromium = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 768, 390, 320])
def test_page_in_a_browser(browser: Chromium, run_dir: Path, width: int) -> None:
    browser.open(run_dir / "report.html", width=width)
    state = browser.evaluate("({...document.documentElement.dataset})")
    assert int(state["scrollWidth"]) <= int(state["innerWidth"]) == width
    assert (state["plotted"], state["listed"], state["first"]) == ("30", "37", "building")
    svg = browser.evaluate(
        "(() => { const s = document.querySelector('#chart svg').getBoundingClientRect();"
        "return [s.width, document.getElementById('chart').clientWidth,"
        "document.querySelectorAll('#chart svg .mark-rect.role-mark path').length] })()"
    )
    assert svg[0] <= svg[1] + 1
    assert svg[2] == 60  # bars of both panels
    hidden = browser.evaluate("getComputedStyle(document.querySelector('.static')).display")
    assert hidden == "none"
    assert browser.problems == [] and state["errors"] == "0"
    assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []


@pytest.mark.browser
def test_choices_from_the_address(browser: Chromium, run_dir: Path) -> None:
    query = "?sort=relative&only=omitted&theme=dark&overlay=all"
    browser.open(run_dir / "report.html", query, width=1280)
    state = browser.evaluate("({...document.documentElement.dataset})")
    assert (state["theme"], state["overlay"], state["first"]) == ("dark", "all", "palm")
    assert (state["plotted"], state["listed"]) == ("6", "7")
    first = "[...document.querySelectorAll('#table tbody tr')].filter(r => !r.hidden)"
    assert browser.evaluate(first + "[0].dataset.label") == "palm"
    overlay = "getComputedStyle(document.querySelector('.overlay.all')).display"
    assert browser.evaluate(overlay) == "block"
    paper = "getComputedStyle(document.body).backgroundColor"
    assert browser.evaluate(paper) == "rgb(20, 23, 26)"
    assert browser.problems == []


@pytest.mark.browser
def test_controls(browser: Chromium, run_dir: Path) -> None:
    browser.open(run_dir / "report.html", width=1280)
    browser.evaluate(
        "(() => { const s = document.getElementById('search'); s.value = 'STAIR';"
        "s.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )
    browser.wait("document.documentElement.dataset.plotted === '1'")
    assert browser.evaluate("document.documentElement.dataset.listed") == "1"
    browser.evaluate(
        "(() => { const s = document.getElementById('search'); s.value = 'nothing has this';"
        "s.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )
    assert "No class matches" in browser.evaluate("document.getElementById('chart').textContent")
    browser.evaluate(
        "(() => { document.getElementById('search').value = '';"
        "const s = document.getElementById('sort'); s.value = 'name';"
        "s.dispatchEvent(new Event('change', {bubbles: true})) })()"
    )
    browser.wait("document.documentElement.dataset.plotted === '30'")
    head = "document.querySelector('#table th[data-key=relative]')"
    browser.evaluate(head + ".querySelector('button').click()")
    assert browser.evaluate(head + ".getAttribute('aria-sort')") == "ascending"
    column = (
        "[...document.querySelectorAll('#table tr[data-label]')].map(r => r.cells[4].dataset.v)"
    )
    values = browser.evaluate(column)
    numbers = [float(value) for value in values if value]
    assert numbers == sorted(numbers) and values[-1] == ""  # what has no value comes last
    # Each class keeps its details behind it, closed until they are asked for.
    after = "[...document.querySelectorAll('#table tr[data-label]')].every(r => {ok})"
    pairs = "r.nextElementSibling.id === r.querySelector('.unfold').getAttribute('aria-controls')"
    assert browser.evaluate(after.format(ok=pairs))
    assert browser.evaluate(after.format(ok="r.nextElementSibling.hidden"))
    browser.evaluate("document.querySelector('.unfold').click()")
    assert browser.evaluate("document.querySelectorAll('#table tr.more:not([hidden])').length") == 1
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate("document.documentElement.dataset.theme") == "light"
    assert browser.problems == []


@pytest.mark.browser
def test_examples_and_tooltips(browser: Chromium, run_dir: Path) -> None:
    browser.open(run_dir / "report.html", "?q=script", width=1280)
    browser.evaluate("document.querySelector('.picture').click()")
    assert browser.evaluate("document.getElementById('viewer').open")
    assert browser.evaluate("document.querySelectorAll('#viewer .labels li').length") == 2
    title = browser.evaluate("document.getElementById('viewer-title').textContent")
    assert title.startswith("person, real: <script>")
    browser.evaluate("document.getElementById('next').click()")
    assert browser.evaluate("document.getElementById('viewer-title').textContent") != title
    browser.evaluate("document.getElementById('close').click()")
    browser.evaluate("document.getElementById('chart').scrollIntoView({block: 'center'})")
    x, y = browser.evaluate(
        "(() => { const b = document.querySelector('#chart .mark-rect.role-mark path')"
        ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x - 2, y=y)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.wait("document.querySelector('#vg-tooltip-element.visible') !== null")
    tip = browser.evaluate("document.getElementById('vg-tooltip-element').textContent")
    assert "<script>" in tip and "−80 to −60" in tip
    assert "stolen" not in browser.evaluate("document.title")
    assert browser.evaluate("document.scripts.length") == 3
    assert browser.problems == []
