"""The report: its words, its figure, its gallery, and the page itself in a browser."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
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
from seeingkit.report.figures.charts import write_figure
from seeingkit.report.figures.classes import (
    HIGH,
    area_domain,
    build_chart,
    figure_rows,
    figure_svg,
)
from seeingkit.report.page import render_page
from seeingkit.report.pictures import fit_pictures
from seeingkit.report.selection import Pick
from seeingkit.report.words import numbers as words
from seeingkit.results import ClassResult, FSDResult, Results, SkippedItem
from tests.helpers.chromium import Chromium
from tests.helpers.church_report import (
    HOSTILE,
    PageReader,
    check_self_contained,
    church_gallery,
    church_manifest,
    church_results,
    class_result,
    decoded,
    read_page,
    scene,
    write_run,
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with hostile names in every place, and its report."""
    folder = tmp_path_factory.mktemp("run")
    results = church_results()
    write_run(folder, results, church_gallery(results))
    return folder


# ----------------------------------------------------------------------------------------- words


def test_import_is_light() -> None:
    heavy = "torch altair vl_convert jinja2"
    code = f"import seeingkit.report, sys; print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_end_of_an_interval_is_rounded_onto_zero() -> None:
    assert words.interval(-0.76, -1e-6).replace(words.NBSP, " ") == "−76 % to below 0"
    assert words.interval(1e-6, 0.053).replace(words.NBSP, " ") == "above 0 to +5.3 %"
    assert words.interval(-0.2, 0.0).replace(words.NBSP, " ") == "−20 to 0 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.63, "−63 %"),
        (0.042, "+4.2 %"),
        (-0.997, "−99.7 %"),
        (-0.99999, "−99.9 %"),
        (-1.0, "−100 %"),
        (12.3, "+1,230 %"),
        (0.0, "0 %"),
        (-0.0001, "0 %"),
        (0.05, "+5 %"),
        (None, "–"),
    ],
)
def test_change(value: float | None, text: str) -> None:
    assert words.change(value) == text.replace(" ", words.NBSP)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (words.area(45.23), "45.2 %"),
        (words.area(0.97), "0.97 %"),
        (words.area(0.0123), "0.012 %"),
        (words.area(0), "0 %"),
        (words.area(4.2e-5), "4.2e−5 %"),
        (words.number(31.24), "31.2"),
        (words.number(1234.4), "1,234"),
        (words.number(-0.5), "−0.50"),
        (words.number(0), "0"),
        (words.probability(1e-5), "1.0e−5"),
        (words.probability(0.0421), "0.042"),
        (words.probability(1e-88), "< 1e−6"),
        (words.share(0.9999), "99.9 %"),
        (words.share(1.0), "100 %"),
        (words.share(0.054), "5.4 %"),
        (words.count(0, "class", "classes"), "no classes"),
        (words.count(1, "image"), "1 image"),
        (words.count(1300, "image"), "1,300 images"),
        (words.listing([]), ""),
        (words.listing(["a"]), "a"),
        (words.listing(["a", "b", "c"]), "a, b and c"),
        (words.listing(list("abcdef"), 4), "a, b, c and 3 more"),
        (words.interval(-0.7, -0.55), "−70 to −55 %"),
        (words.interval(None, None), "unbounded"),
        (words.interval(None, -0.2), "up to −20 %"),
        (words.interval(-0.2, None), "from −20 %"),
        (words.duration(7412.3), "2 h 3 min"),
        (words.duration(59.7), "1 min 0 s"),
        (words.duration(0.25), "0.2 s"),
    ],
)
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
        "6 of 35 classes that the real images show are omitted, by at least half of their area: "
        "person (−63 %, −72 to −54 %), "
    )
    assert "brick" not in text  # a material
    assert "5 further classes have less area, by less than half: plant (−12 %)" in text
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
        ([LOST], "The only class that the real images show is omitted, by at least half of"),
        ([LOST, KEPT], "1 of 2 classes that the real images show is omitted, by at least half of"),
        (
            [LOST, class_result("car", 3, 1, -0.8)],
            "All 2 classes that the real images show are omitted",
        ),
        ([KEPT], "Nothing is found to be left out: the one class that the real images show, sky,"),
        (
            [KEPT, class_result("car", 3, 1, 0.1)],
            "Nothing is found to be left out: of the 2 "
            "classes that the real images show, none has lost at least half of its area at a false "
            "discovery rate of 5 %.",
        ),
        ([], "The real images show none of the classes that the segmenter knows"),
        ([class_result("-", 0, 90.0, -0.9)], "The real images show none of the classes"),
    ],
)
def test_headline_counts(classes: list[ClassResult], start: str) -> None:
    assert plain(church_results(classes=classes)).startswith(start)


def test_summary_of_folders_and_single_changes() -> None:
    classes = [LOST, class_result("car", 3, 1.0, -0.3), class_result("rock", 4, 1.0, 0.9)]
    text = plain(church_results(classes=classes, generator=None))
    assert text.startswith("1 of 3 classes that the real images show is omitted")
    assert "A further class has less area, by less than half: car (−30 %)." in text
    assert "One class takes more room than in the real images: rock (+90 %)." in text


def test_cautions() -> None:
    few = plain(church_results(n_real=13, n_generated=13))
    assert "With 13 images per side only large losses can be seen" in few
    uneven = plain(church_results(n_real=13, n_generated=1))
    assert "With 13 real and 1 generated image only large losses" in uneven
    noisy = {"value": 31.0, "mean_term": 12.0, "cov_term": 19.0}
    half = plain(church_results(fsd=FSDResult(**noisy, floor=28.0, p_value=0.4)))
    assert "More than half of the FSD (28.0 of 31.0)" in half
    assert "the value reflects the sample size more than the generator" in half
    assert "(p = 0.40) finds no difference" in half
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
    chart = build_chart(figure_rows(church_results())[:30])
    svg, png = write_figure(chart, tmp_path / "figures", "classes")
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
        gallery.names,
        gallery.colours,
        gallery.has_background,
    )
    for one, two in zip(gallery.classes, back.classes, strict=True):
        assert (one.label, one.index) == (two.label, two.index)
        for a, b in zip(one.real + one.generated, two.real + two.generated, strict=True):
            assert (a.id, a.area) == (b.id, b.area)
            assert a.labels.dtype == b.labels.dtype
            np.testing.assert_array_equal(a.image, b.image)
            np.testing.assert_array_equal(a.labels, b.labels)
    assert sorted(p.name for p in (tmp_path / "gallery").iterdir()) == [
        "gallery.json",
        "images.npz",
    ]


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
    (folder / "gallery.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RunError, match="vocabulary has 3"):
        Gallery.load(tmp_path)


def test_gallery_refuses_wrong_arrays() -> None:
    good = scene(1, 0)
    with pytest.raises(UsageError, match="give uint8 of shape"):
        GalleryImage("a", good.image.astype(np.float32), good.labels, 1.0)
    with pytest.raises(UsageError, match="labels of 'a'"):
        GalleryImage("a", good.image, good.labels.astype(np.int64), 1.0)


def test_choice_of_classes() -> None:
    assert choose_classes(church_results())[:3] == ["person", HOSTILE, "fence"]
    assert choose_classes(church_results(), limit=2) == ["person", HOSTILE]
    calm = [class_result("a", 1, 9, 0.01), class_result("b", 2, 8, -0.04)]
    assert choose_classes(church_results(classes=calm)) == ["b", "a"]


def test_classes_are_in_the_order_of_the_evidence() -> None:
    def lost(label: str, index: int, area: float, q: float, p: float = 1e-5) -> ClassResult:
        return class_result(label, index, area, -0.9, q_value=q, p_value=p)

    classes = [
        lost("all of a little", 1, 0.5, 0.04),
        lost("sure and small", 2, 0.4, 1e-6),
        lost("sure and large", 3, 9.0, 1e-6),
        lost("surer by p", 4, 0.3, 1e-6, p=1e-8),
        class_result("reduced", 5, 20.0, -0.3, q_value=1e-9),
        class_result("fewer", 6, 20.0, 0.0, verdict="in fewer images", q_value=1e-9),
    ]
    expected = ["surer by p", "sure and large", "sure and small", "all of a little"]
    assert choose_classes(church_results(classes=classes)) == [*expected, "reduced", "fewer"]
    # Where nothing is lost, a small difference that is sure comes before a large one that is not.
    calm = [
        class_result("large", 1, 5.0, -0.4, q_value=0.9, p_value=0.3, verdict="no evidence"),
        class_result("sure", 2, 5.0, 0.2, q_value=0.01, verdict="excess"),
        class_result("less", 3, 0.1, 0.01, q_value=0.9, p_value=0.2),
    ]
    assert choose_classes(church_results(classes=calm)) == ["sure", "less", "large"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, 7.0]), max_size=40),
    st.integers(0, 14),
    st.integers(0, 5),
)
def test_choice_of_examples(areas: list[float], count: int, seed: int) -> None:
    values = np.array(areas)
    having = int((values > 0).sum())
    picked = pick_examples(values, count, seed)
    real = np.array([pick.row for pick in picked], dtype=int)
    assert len(real) == len(set(real.tolist())) == min(count, having)
    assert (values[real] > 0).all()
    most = min((count + 1) // 2, having)
    np.testing.assert_array_equal(values[real[:most]], np.sort(values)[::-1][: len(real[:most])])
    assert [p.why for p in picked] == ["most"] * most + ["random"] * (len(picked) - most)
    picked = pick_examples(values, count, seed, side="generated")
    generated = np.array([pick.row for pick in picked], dtype=int)
    assert len(set(generated.tolist())) == min(count, len(values))
    np.testing.assert_array_equal(values[generated], np.sort(values)[::-1][: len(generated)])
    assert [p.why for p in picked] == ["most" if values[p.row] > 0 else "random" for p in picked]
    assert [pick.row for pick in pick_examples(values, count, seed)] == real.tolist()


def test_examples_that_lack_the_class_are_the_nearest() -> None:
    areas = np.array([0.0, 0, 3, 0, 0, 0])
    distances = np.array([0.5, 0.2, 0.0, 0.2 + 1e-15, np.inf, np.inf])
    found = pick_examples(areas, 5, side="generated", distances=distances)
    assert found[:4] == [
        Pick(2, "most"),
        *(Pick(row, "nearest composition") for row in (1, 3, 0)),
    ]
    assert found[4].why == "random" and found[4].row in (4, 5)
    enough = pick_examples(areas, 1, side="generated", distances=distances)
    assert enough == [Pick(2, "most")]
    for wrong in (distances[:3], -distances, np.full(6, np.nan)):
        with pytest.raises(UsageError, match="distances of compositions"):
            pick_examples(areas, 5, side="generated", distances=wrong)


def test_small_pictures_are_exact() -> None:
    item = scene(3, 5)
    gallery = Gallery(("-", "a", "b", "c"), classes=(GalleryClass("c", 3, (item,)),))
    picture = fit_pictures(gallery).classes[0]["real"][0]
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
    picture = fit_pictures(Gallery(("wall", "a", "b"), classes=shown, has_background=False))
    overlay = np.asarray(decoded(picture.classes[0]["real"][0].overlay).convert("RGBA"))
    assert (overlay[..., 3] == 255).all()


def test_large_pictures_keep_to_the_budget() -> None:
    items = tuple(scene(1, k, size=600) for k in range(3))
    gallery = Gallery(("-", "a", "b"), classes=(GalleryClass("a", 1, items),))
    pictures = fit_pictures(gallery, budget=150_000).classes[0]["real"]
    assert sum(len(p.photo) + len(p.overlay) + len(p.only) for p in pictures) <= 150_000
    assert max(decoded(pictures[0].photo).size) < 512
    assert (pictures[0].width, pictures[0].pixelated) == (600, False)


# ------------------------------------------------------------------------------------------ page


@pytest.fixture(scope="module")
def page(run_dir: Path) -> PageReader:
    return read_page(run_dir)


def test_page_is_self_contained_and_escaped(page: PageReader) -> None:
    check_self_contained(page)
    assert "b" not in [tag for tag, _ in page.elements]
    rows = [attributes for tag, attributes in page.elements if tag == "tr"]
    assert HOSTILE in [attributes.get("data-label") for attributes in rows]
    # Skipped images with heading, classes with heading, and the details of each class.
    assert len(rows) == 1 + 1 + 1 + 2 * 37


def test_policy_allows_its_own_scripts_only(page: PageReader) -> None:
    policy = next(
        a["content"]
        for tag, a in page.elements
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
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
    style = (Path(seeingkit.report.__file__).parent / "templates" / "style.css").read_text(
        encoding="utf-8"
    )
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
    assert {path.name for path in copy.iterdir()} == {path.name for path in run_dir.iterdir()}


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
    with pytest.raises(RunError, match=r"not a run, for it holds no results\.json"):
        rebuild_report(tmp_path)
    (tmp_path / "manifest.json").write_text('{"config": {"command": "invert"}}', encoding="utf-8")
    with pytest.raises(RunError, match=r"has not finished.*seeingkit invert --config"):
        rebuild_report(tmp_path)
    (tmp_path / "results.json").write_text('{"fsd": 3}', encoding="utf-8")
    with pytest.raises(RunError, match=r"results\.json does not fit at fsd"):
        rebuild_report(tmp_path)


# --------------------------------------------------------------------------------------- browser


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 768, 390, 320])
def test_page_in_a_browser(browser: Chromium, run_dir: Path, width: int) -> None:
    browser.open(run_dir / "report.html", width=width)
    state = browser.evaluate("({...document.documentElement.dataset})")
    assert int(state["scrollWidth"]) <= int(state["innerWidth"]) == width
    few = width < 640  # what fits the first screen of a phone
    bars = 12 if few else 30
    assert (state["plotted"], state["listed"]) == (str(bars), "37")
    assert state["first"] == "building"
    svg = browser.evaluate(
        "(() => { const s = document.querySelector('#chart svg').getBoundingClientRect();"
        "return [s.width, document.getElementById('chart').clientWidth,"
        "document.querySelectorAll('#chart svg .mark-rect.role-mark path').length] })()"
    )
    assert svg[0] <= svg[1] + 1
    assert svg[2] == 2 * bars  # in both panels
    hidden = browser.evaluate("getComputedStyle(document.querySelector('.static')).display")
    assert hidden == "none"
    assert browser.problems == [] and state["errors"] == "0"
    assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.browser
def test_examples_and_tooltips(browser: Chromium, run_dir: Path) -> None:
    browser.open(run_dir / "report.html", "?q=script", width=1280)
    browser.evaluate("document.querySelector('[data-class=person].picture').click()")
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
    browser.page.mouse.move(x - 2, y)
    browser.page.mouse.move(x, y)
    browser.wait("document.querySelector('#vg-tooltip-element.visible') !== null")
    tip = browser.evaluate("document.getElementById('vg-tooltip-element').textContent")
    assert "<script>" in tip and "−80 to −60" in tip
    assert "stolen" not in browser.evaluate("document.title")
    assert browser.evaluate("document.scripts.length") == 3
    assert browser.problems == []
