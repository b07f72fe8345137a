"""Figures for a paper: their size on paper, text, marks and pictures in closed form, and errors."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seeingkit import Tally, compare_generators
from seeingkit.errors import RunError, UnknownNameError, UsageError
from seeingkit.report import summarise_generators, write_paper_figure
from seeingkit.report.figures.panel import choose_pairs, text_width, wrapped
from seeingkit.report.figures.printing import MARKER, PrintSize, figure_paths
from seeingkit.report.pictures.marks import BRIGHT, DARK, DOT, GROUND, PLAIN
from seeingkit.report.words.captions import lost_words, rate_words
from seeingkit.report.words.losses import group_photos
from seeingkit.report.words.numbers import NBSP
from seeingkit.results import InversionResults, LostClass, ModelRecord, ReferenceRate
from tests.helpers.church_report import HOSTILE, church_results, class_result, decoded, save_results
from tests.helpers.paper_runs import AREAS, SIDE, comparison, inverted, photo, rates, samples

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
POINT = 25.4 / 72


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of a person, and the classes of ``AREAS``."""
    return inverted(tmp_path_factory.mktemp("paper") / "run")


def drawn(run: Any, kind: str, folder: Path, **options: Any) -> ET.Element:
    """The figure as SVG, parsed."""
    write_paper_figure(run, kind, folder / "figure.svg", **options)
    return ET.fromstring((folder / "figure.svg").read_bytes())


def texts(svg: ET.Element) -> list[str]:
    return ["".join(found.itertext()).replace(NBSP, " ") for found in svg.iter(f"{SVG}text")]


def marks(svg: ET.Element, role: str, **fields: str) -> Iterator[ET.Element]:
    """The marks of Vega whose description has these fields."""
    for found in svg.iter():
        said = found.get("aria-label", "")
        wanted = all(f"{name}: {value}" in said.split("; ") for name, value in fields.items())
        if found.get("aria-roledescription") == role and wanted:
            yield found


def bar(svg: ET.Element, **fields: str) -> tuple[float, float, float]:
    """Left end, top and signed height of the only bar with these fields."""
    (found,) = marks(svg, "bar", **fields)
    x, y, _, height = map(float, re.findall(r"[-\d.]+", found.get("d", ""))[:4])
    return x, y, height


# ---------------------------------------------------------------------------------- size on paper


@pytest.mark.slow
@pytest.mark.parametrize(("width", "points", "dpi"), [(174.0, 8.0, 300), (84.0, 6.5, 150)])
@pytest.mark.parametrize("kind", ["pair", "overview"])
def test_files_have_the_size_that_is_asked_for(
    kind: str, width: float, points: float, dpi: int, run: Path, tmp_path: Path
) -> None:
    figure = write_paper_figure(run, kind, tmp_path, width=width, font_size=points, dpi=dpi)
    assert [path.name for path in figure.files] == [f"{kind}.{x}" for x in ("svg", "pdf", "png")]
    svg, pdf, png = (path.read_bytes() for path in figure.files)
    top = ET.fromstring(svg)
    assert top.get("width") == f"{width:g}mm"
    height = float(top.get("height", "").removesuffix("mm"))
    _, _, *box = map(float, top.get("viewBox", "").split())
    assert height / width == pytest.approx(box[1] / box[0], rel=1e-5)
    # The text of axes and captions has the size in points.
    sizes = {x.get("font-size", "").removesuffix("px") for x in top.iter() if x.get("font-size")}
    unit = width / POINT / box[0]
    assert "11" in sizes and 11 * unit == pytest.approx(points, rel=1e-5)
    page = re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert page is not None
    assert float(page[1]) == pytest.approx(width / POINT, abs=0.01)
    assert float(page[2]) == pytest.approx(height / POINT, abs=0.01)
    assert b"/FontFile2" in pdf  # embedded
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.info["dpi"] == pytest.approx((dpi, dpi), abs=0.1)
        wanted = np.array([width, height]) / 25.4 * dpi
        np.testing.assert_allclose(picture.size, wanted, atol=1)


def test_nothing_of_a_chart_is_outside_the_page(run: Path, tmp_path: Path) -> None:
    for width in (60, 84, 174):  # with a legend in two lines, in one, and in one that is wide
        top = drawn(run, "classes", tmp_path, width=width)
        page, chart, *_ = (float(x.get("width", "")) for x in top.iter(f"{SVG}rect"))
        assert page == float(top.get("viewBox", "").split()[2])
        assert 0 <= page - chart <= 3.0


@pytest.mark.parametrize("kind", ["classes", "overview"])
def test_the_same_run_gives_the_same_bytes(kind: str, run: Path, tmp_path: Path) -> None:
    first, second = (write_paper_figure(run, kind, tmp_path / name).files for name in "ab")
    assert [x.read_bytes() for x in first] == [x.read_bytes() for x in second]


def test_sizes_out_of_bounds_are_refused() -> None:
    for options in ({"width": 0}, {"width": float("nan")}, {"font_size": 1}, {"dpi": 10_000}):
        with pytest.raises(UsageError, match=r": give \d"):
            PrintSize(**options)  # type: ignore[arg-type]
    assert PrintSize(width=88.9, font_size=11).units == pytest.approx(252)


def test_a_png_of_too_many_pixels_is_refused_before_anything_is_written(
    run: Path, tmp_path: Path
) -> None:
    huge = {"width": 2000.0, "font_size": 20.0, "dpi": 2400}
    with pytest.raises(UsageError, match=r"188,976 × [\d,]+ pixels are too many for a PNG"):
        write_paper_figure(run, "pair", tmp_path / "out", **huge)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    figure = write_paper_figure(run, "pair", tmp_path / "out", formats=["svg"], **huge)  # type: ignore[arg-type]
    assert figure.files[0].stat().st_size < 100_000


@pytest.mark.slow
def test_a_page_too_narrow_for_its_labels_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a larger --width"):
        write_paper_figure(run, "classes", tmp_path, width=25)
    with pytest.raises(UsageError, match="three pictures with their names do not fit 50 mm at 8"):
        write_paper_figure(run, "pair", tmp_path, width=50)
    two = [run, comparison(tmp_path / "other")]
    name = "a name that is so long that nothing else has any room beside it " * 2
    with pytest.raises(UsageError, match="shorter names with --name"):
        write_paper_figure(two, "compare", tmp_path, width=70, names=["x", name])


# ------------------------------------------------------------------------------------------ areas


def test_bars_stand_by_decades(run: Path, tmp_path: Path) -> None:
    svg = drawn(run, "classes", tmp_path)
    tall = [bar(svg, key=label, bottom="0.002") for label, *_ in AREAS]
    heights = [height for *_, height in tall]
    decade = heights[0] - heights[1]
    # The axis ends at 0.002 %, a 5000th of its top.
    wanted = [decade * np.log10(real / 0.002) for _, real, _ in AREAS]
    assert heights == pytest.approx(wanted, rel=1e-6)
    lefts = [x for x, *_ in tall]
    assert lefts == sorted(lefts)
    below = {
        x.get("aria-label", "").split("; ")[0]: x for x in marks(svg, "bar", verdict="omitted")
    }
    assert below.keys() >= {"key: person"}
    deep, half = (bar(svg, key=k, shown=v)[2] for k, v in (("person", "−1"), ("tree", "−0.5")))
    assert abs(deep) == pytest.approx(2 * abs(half))
    omitted = [label for label, _, change in AREAS if change <= -0.5]
    assert len(list(marks(svg, "point", at="0.12"))) == len(omitted)
    words = texts(svg)
    assert [x for x in words if x in dict.fromkeys(a for a, *_ in AREAS)] == [a for a, *_ in AREAS]
    assert "+300 %" in words and "area, % of image" in words


@pytest.mark.slow
def test_classes_are_chosen_by_name_or_number(run: Path, tmp_path: Path) -> None:
    few = texts(drawn(run, "classes", tmp_path, limit=2))
    assert "tree" in few and "person" not in few
    figure = write_paper_figure(run, "classes", tmp_path / "a.svg", limit=2)
    assert figure.notes == ("omitted and not in the figure: person",)
    named = texts(drawn(run, "classes", tmp_path, classes=["rock", "person"]))
    assert [x for x in named if x in ("sky", "person", "rock")] == ["person", "rock"]
    with pytest.raises(UnknownNameError, match="did you mean 'person'"):
        write_paper_figure(run, "classes", tmp_path, classes=["persn"])
    with pytest.raises(UsageError, match="give at least 1"):
        write_paper_figure(run, "classes", tmp_path, limit=0)


@pytest.mark.slow
def test_as_many_classes_as_have_room(tmp_path: Path) -> None:
    many = [class_result(f"class {k}", k + 1, 10.0 / (k + 1), -0.1) for k in range(40)]
    wide = comparison(tmp_path / "run", classes=many)
    figure = write_paper_figure(wide, "classes", tmp_path / "a.svg")
    assert figure.notes[0].startswith("the 30 of 40 classes with the largest real area are shown")
    assert "Mean area of the 30 classes" in figure.caption
    narrow = write_paper_figure(wide, "classes", tmp_path / "a.svg", width=84)
    assert narrow.notes[0].startswith("the 16 of 40 classes")
    assert write_paper_figure(wide, "classes", tmp_path / "a.svg", limit=7).notes == ()
    with pytest.raises(UsageError, match="16 classes can stand side by side in 84 mm at 8 points"):
        write_paper_figure(wide, "classes", tmp_path / "a.svg", width=84, limit=30)


@pytest.mark.slow
def test_hostile_names_are_text(tmp_path: Path) -> None:
    names = [HOSTILE, "wall\x1b[31m", "a\u202eb", "]]>", "seeingkit-sha256:" + "0" * 64]
    classes = [class_result(name, k + 1, 1.0, -0.9) for k, name in enumerate(names)]
    folder = comparison(tmp_path / "run", HOSTILE, classes=classes)
    other = comparison(tmp_path / "other", "\x1b]0;" + HOSTILE, classes=classes)
    for kind in ("classes", "compare"):
        figure = write_paper_figure([folder, other], kind, tmp_path)
        text = figure.files[0].read_text(encoding="utf-8")
        svg = ET.fromstring(text)
        assert not [x for x in svg.iter() if x.tag.rpartition("}")[2] == "script"]
        assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
        assert "wall\ufffd[31m" in texts(svg)
        write_paper_figure([folder, other], kind, tmp_path)  # its files are still known


# ------------------------------------------------------------------------------ several generators


@pytest.mark.slow
def test_each_run_is_a_facet_or_a_series(run: Path, tmp_path: Path) -> None:
    other = comparison(tmp_path / "other", "progan:church2")
    facets = drawn([run, other], "classes", tmp_path)
    bars = len(AREAS) * 2
    assert len(list(marks(facets, "bar"))) == 2 * bars
    assert {"progan:church", "progan:church2"} <= set(texts(facets))
    assert texts(facets).count("person") == 1  # classes are named once, below
    series = drawn([run, other], "compare", tmp_path, names=["A", "B"])
    assert len(list(marks(series, "bar"))) == len(AREAS)
    assert {"A", "B", "real images"} <= set(texts(series))
    assert len(list(marks(series, "point", key="person", generator="B"))) == 3  # area, change, mark
    assert texts(series).count("+300 %") == 2


def test_two_runs_of_one_generator_are_told_apart(run: Path, tmp_path: Path) -> None:
    again = comparison(tmp_path / "again")
    assert {"progan:church (run)", "progan:church (again)"} <= set(
        texts(drawn([run, again], "compare", tmp_path))
    )


@pytest.mark.slow
def test_a_run_of_several_generators_is_one_figure(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    real, *made = (
        Tally.from_fractions(rng.dirichlet([6, 3, 1], 40), ("sky", "tree", "person"))
        for _ in range(4)
    )
    found = compare_generators(real, dict(zip("abc", made, strict=True)), permutations=19)
    folder = tmp_path / "run"
    folder.mkdir()
    save_results(folder, found.results)
    figure = write_paper_figure(folder, "compare", tmp_path / "a.svg")
    assert figure.caption.endswith(summarise_generators(found.results).headline)
    svg = drawn(folder, "compare", tmp_path)
    assert {"a", "b", "c", "sky", "tree", "person"} <= set(texts(svg))
    facets = drawn(folder, "classes", tmp_path)
    assert len(list(marks(facets, "bar"))) == 3 * 2 * 3
    with pytest.raises(RunError, match="no photos were inverted"):
        write_paper_figure(folder, "pair", tmp_path)


WHOLE = church_results()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": WHOLE.data.model_copy(update={"fingerprint": "99" * 32})}, "real images"),
        ({"n_real": 9_999}, "numbers of real images.*10,000; 9,999"),
        ({"preset": {"name": "paper", "resolution": 128}}, "preprocessing"),
        (
            {"segmenter": WHOLE.segmenter.model_copy(update={"weights_sha256": "ee" * 32})},
            r"segmenters.*\(eeeeeeeeeeee\)",
        ),
        (
            {"segmenter": WHOLE.segmenter.model_copy(update={"options": {"scale": 2}})},
            "segmenters.*scale",
        ),
        ({"classes": [class_result("sky", 1, 9.0, 0.0)]}, "classes: 0 is '-' and none"),
    ],
)
def test_runs_that_do_not_fit_are_refused(
    changes: dict[str, Any], said: str, run: Path, tmp_path: Path
) -> None:
    other = comparison(tmp_path / "other", **changes)
    for kind in ("classes", "compare"):
        with pytest.raises(RunError, match=f"have other {said}"):
            write_paper_figure([run, other], kind, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_images_of_the_same_data_are_refused(run: Path, tmp_path: Path) -> None:
    moved = [class_result("-", 0, 80.0, 0.0)]
    moved += [class_result(name, k + 1, 1.01 * real, x) for k, (name, real, x) in enumerate(AREAS)]
    other = comparison(tmp_path / "other", classes=moved)
    with pytest.raises(RunError, match="of the same data: sky has 10.0"):
        write_paper_figure([run, other], "compare", tmp_path / "out")


def test_numbers_of_generators_and_names_must_fit(run: Path, tmp_path: Path) -> None:
    others = [comparison(tmp_path / f"r{k}", f"g{k}") for k in range(6)]
    with pytest.raises(UsageError, match="7 generators in one figure: give at most 6"):
        write_paper_figure([run, *others], "compare", tmp_path)
    with pytest.raises(UsageError, match="1 name for 2: progan:church, g0"):
        write_paper_figure([run, others[0]], "compare", tmp_path, names=["x"])
    with pytest.raises(UsageError, match="the same name"):
        write_paper_figure([run, others[0]], "compare", tmp_path, names=["x", "x"])
    with pytest.raises(UsageError, match="--kind compare shows several generators"):
        write_paper_figure(run, "compare", tmp_path)


# ----------------------------------------------------------------------------------------- photos


def uris(svg: ET.Element) -> list[Image.Image]:
    return [decoded(x.get(LINK, "")).convert("RGB") for x in svg.iter(f"{SVG}image")]


def photos_of(svg: ET.Element) -> list[ET.Element]:
    """Its pictures without the boxes of the legend."""
    return [x for x in svg.iter(f"{SVG}image") if x.get("width") != "10.0"]


def test_a_panel_shows_photo_reconstruction_and_what_vanished(run: Path, tmp_path: Path) -> None:
    svg = drawn(run, "pair", tmp_path)
    before, after, marked, *boxes = (np.asarray(picture) for picture in uris(svg))
    assert len(boxes) == 3  # of the legend
    assert (before == 100).all() and (after == 200).all() and before.shape == (SIDE, SIDE, 3)
    side = len(marked) // SIDE  # pixels of the figure along one of the map

    def colours(row: int, column: int) -> set[tuple[int, ...]]:
        cell = marked[row * side : (row + 1) * side, column * side : (column + 1) * side]
        inner = cell[side // 4 : -side // 4, side // 4 : -side // 4].reshape(-1, 3)
        return {tuple(int(channel) for channel in pixel) for pixel in inner}

    # Photo b comes first, for it lost all four pixels; one is new, none is kept.
    for column in range(2, 6):
        assert colours(2, column) <= {BRIGHT, DARK}
    assert colours(0, 0) <= {DOT, GROUND}
    assert colours(6, 0) == {(int(0.45 * 100 + 0.55 * 255),) * 3}
    said = texts(svg)
    assert said[:3] == ["photo", "reconstruction", "what vanished"]
    assert said[3:7] == [
        "person",
        "75 % of it lost (6.25 % of the photo)",
        "vanishes in 7 of 8 photos; classes of this size that it draws: 24 %",
        "more often than classes that it draws (q = 0.004)",
    ]
    assert said[7:] == ["lost", "kept", "new"]
    (note,) = write_paper_figure(run, "pair", tmp_path / "a.svg").notes
    assert "The rates here are for the cut at r8; later layers can draw more." in note
    two = drawn(run, "pair", tmp_path, limit=2)
    second = np.asarray(uris(two)[5])
    side = len(second) // SIDE
    found = second[2 * side + side // 2, 5 * side + side // 2]
    np.testing.assert_allclose(found, PLAIN, atol=3)  # it was made smaller
    assert "".join(texts(two)).count("vanishes in") == 1  # of both photos once


def test_pictures_lie_side_by_side_in_equal_columns(run: Path, tmp_path: Path) -> None:
    svg = drawn(run, "pair", tmp_path, width=84)
    box = float(svg.get("viewBox", "").split()[2])
    places = [float(x.get("x", "")) for x in photos_of(svg)]
    sizes = {(x.get("width"), x.get("height")) for x in photos_of(svg)}
    ((width, height),) = sizes
    assert width == height
    assert np.diff(places) == pytest.approx([float(str(width)) + 4] * 2, abs=0.01)
    assert places[-1] + float(str(width)) == pytest.approx(box, abs=0.01)


def test_classes_of_a_panel_come_worst_first() -> None:
    def lost(label: str, gone: float) -> LostClass:
        return LostClass(label=label, photo_area=10, reconstruction_area=10 - gone, lost=gone / 10)

    base = {"method": "layered+r", "cut": "r8", "psnr": 20.0, "lost": {}, "reconstruction": "r.png"}
    records = [
        {"image": "1", "classes": [lost("car", 9), lost("tree", 8)], "picked_for": "car"},
        {"image": "2", "classes": [lost("car", 10), lost("wall", 5), lost("sky", 1)]},
        {"image": "3", "classes": [lost("door", 6)], "picked_for": "door"},
    ]
    made = [photo_record(**base, **record) for record in records]
    rate = [
        rates("tree"),
        rates("car", verdict="no evidence"),
        rates("door", cut="r4"),
        rates("wall", verdict="too few", vanished=8),
    ]

    def chosen(**options: Any) -> list[tuple[str, str, bool]]:
        pairs = choose_pairs(group_photos(made), rate, ("layered+r", "r8"), **options)
        return [(pair.label, pair.group.image, pair.first) for pair in pairs]

    # More often first; then those that photos were picked for, by rate; sky has not vanished. The
    # photo that was picked comes before the one that lost more.
    assert chosen() == [
        ("tree", "1", True),
        ("car", "1", True),
        ("door", "3", True),
        ("wall", "2", True),
    ]
    assert chosen(limit=2) == [("tree", "1", True), ("car", "1", True)]
    assert chosen(named=["car"]) == [("car", "1", True)]
    assert chosen(named=["car", "sky"], limit=4) == [
        ("car", "1", True),
        ("car", "2", False),
        ("sky", "2", True),
    ]
    with pytest.raises(UnknownNameError, match="did you mean 'door'"):
        chosen(named=["dor"])


def photo_record(**values: Any) -> Any:
    from seeingkit.results import InversionRecord

    return InversionRecord(**values)


def test_words_below_a_photo_have_both_rates_and_the_verdict() -> None:
    entry = LostClass(label="car", photo_area=4.0, reconstruction_area=0.5, lost=0.875)
    assert lost_words(entry).replace(NBSP, " ") == "88 % of it lost (4.00 % of the photo)"
    unsure = rates(verdict="no evidence").model_copy(update={"q_value": 0.3})
    assert rate_words(unsure)[1] == "no evidence that this is more often (q = 0.30)"
    none = rates(in_photos=ReferenceRate(vanished=0, pairs=0, rate=None, p_value=1.0))
    assert rate_words(none)[0].endswith("; no class of this size that it draws is in these photos")
    assert rate_words(None) == ["no rates were compared"]
    assert len(rate_words(rates(vanished=0, verdict="no evidence"))) == 1


def test_a_run_of_invert_has_pairs_and_no_areas(tmp_path: Path) -> None:
    folder = inverted(tmp_path / "run", kind=InversionResults)
    assert len(photos_of(drawn(folder, "pair", tmp_path))) == 3
    with pytest.raises(RunError, match="a run of invert compares no areas"):
        write_paper_figure(folder, "classes", tmp_path)


def test_without_label_maps_a_panel_has_two_columns(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record = photo(folder, "a", photo_labels=None, reconstruction_labels=None)
    svg = drawn(inverted(folder, [record]), "pair", tmp_path)
    assert len(uris(svg)) == 2 and "what vanished" not in texts(svg)


def test_large_photos_are_as_fine_as_the_print(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record = photo(folder, "a")
    Image.new("RGB", (900, 900), (1, 2, 3)).save(folder / record.photo)
    svg = drawn(inverted(folder, [record]), "pair", tmp_path, width=76.2, dpi=100)
    image = next(svg.iter(f"{SVG}image"))
    inches = float(image.get("width", "")) / float(svg.get("viewBox", "").split()[2]) * 3
    assert uris(svg)[0].size == (round(100 * inches),) * 2
    assert uris(svg)[0].getpixel((3, 3)) == (1, 2, 3)
    assert image.get("image-rendering") is None
    assert [*svg.iter(f"{SVG}image")][1].get("image-rendering") == "optimizeSpeed"  # exact pixels


@pytest.mark.parametrize(
    ("name", "said"),
    [("../secret.png", "does not name a file inside"), ("inversions/no.png", "is missing")],
)
def test_pictures_come_from_the_run_alone(name: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    run = inverted(folder, [photo(folder, "a", photo=name)])
    with pytest.raises(RunError, match=said):
        write_paper_figure(run, "pair", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_maps_that_do_not_fit_each_other_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record = photo(folder, "a")
    Image.new("L", (4, 4)).save(folder / str(record.reconstruction_labels))
    with pytest.raises(RunError, match="is 4 × 4 pixels, the labels of its photo 8 × 8"):
        write_paper_figure(inverted(folder, [record]), "pair", tmp_path / "out")


def test_nothing_that_vanishes_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kept = inverted(folder, [photo(folder, "a", lost=0)])
    with pytest.raises(RunError, match="no class vanishes from its photos; name one with --class"):
        write_paper_figure(kept, "pair", tmp_path)
    assert len(photos_of(drawn(kept, "pair", tmp_path, classes=["car"]))) == 3
    bare = inverted(tmp_path / "bare", [photo(tmp_path / "bare", "a", classes=[])])
    with pytest.raises(RunError, match="invert with a segmenter"):
        write_paper_figure(bare, "pair", tmp_path)
    two = [kept, bare]
    with pytest.raises(UsageError, match="--kind pair shows one run, and 2 are named"):
        write_paper_figure(two, "pair", tmp_path)


def test_lines_are_wrapped_by_their_width() -> None:
    assert text_width("wide") > text_width("wi") > text_width("i") > 0
    lines = wrapped("one two three", text_width("one two") + 0.01)
    assert lines == ["one two", "three"]
    (cut,) = wrapped("x" * 5000, 100)
    assert cut.endswith("…") and text_width(cut) <= 100
    assert text_width("木木") == pytest.approx(2 * text_width("木"))


# ------------------------------------------------------------------------------------------ depth


def test_depth_has_a_point_for_each_cut_and_side(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    records = [photo(folder, "a", cut=cut, psnr=psnr) for cut, psnr in (("r4", 18), ("r8", 24))]
    run = inverted(folder, records, calibrations=[samples("r4", 21.0), samples("r8", 27.0)])
    svg = drawn(run, "depth", tmp_path)
    points = [
        x.get("transform", "") for x in marks(svg, "point") if "psnr" in x.get("aria-label", "")
    ]
    places = [tuple(map(float, re.findall(r"[-\d.]+", p)[:2])) for p in points]
    (x4, y18), (x8, y24) = places[0], places[2]
    assert x4 < x8 and len(places) == 4
    assert y18 - places[1][1] == pytest.approx(places[1][1] - y24)  # 18, 21, 24 dB
    narrow = drawn(run, "depth", tmp_path, width=84)
    assert float(narrow.get("height", "0mm")[:-2]) > float(svg.get("height", "0mm")[:-2])


def test_depth_needs_several_cuts(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"several cuts \(its cuts: r8\)"):
        write_paper_figure(run, "depth", tmp_path)
    for options, name in (({"classes": ["a"]}, "class"), ({"limit": 1}, "limit")):
        with pytest.raises(UsageError, match=f"--kind depth has no --{name}"):
            write_paper_figure(run, "depth", tmp_path, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ files


@pytest.mark.slow
def test_files_of_others_stay_and_ours_are_replaced(run: Path, tmp_path: Path) -> None:
    figure = write_paper_figure(run, "classes", tmp_path, limit=2)
    before = [path.read_bytes() for path in figure.files]
    assert all(MARKER.encode() in data for data in before)
    write_paper_figure(run, "classes", tmp_path)
    assert all(p.read_bytes() != b for p, b in zip(figure.files, before, strict=True))
    svg, pdf, _ = figure.files
    for path in (svg, pdf):
        ours = path.read_bytes()
        edited = ours.replace(b"0", b"1", 1)
        path.write_bytes(edited)
        with pytest.raises(RunError, match="has been edited, so it is not replaced"):
            write_paper_figure(run, "classes", tmp_path)
        assert path.read_bytes() == edited
        path.write_bytes(ours)
    svg.write_text("<svg/>")
    with pytest.raises(RunError, match="is not a figure of this command, so it is not replaced"):
        write_paper_figure(run, "classes", tmp_path)
    assert svg.read_text() == "<svg/>"


def test_figures_of_a_run_stand_beside_those_of_its_report(tmp_path: Path) -> None:
    run = comparison(tmp_path / "run")
    figure = write_paper_figure(run, "classes", formats=["png"])
    assert figure.files == (run / "figures" / "paper-classes.png",)
    two = [run, comparison(tmp_path / "other")]
    with pytest.raises(UsageError, match="2 runs: name a file or folder for the figure with --out"):
        write_paper_figure(two, "compare")


def test_a_folder_that_is_no_run_gets_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run"):
        write_paper_figure(tmp_path, "classes")
    assert list(tmp_path.iterdir()) == []


def test_formats_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    assert figure_paths(tmp_path, "pair", ["PNG", "svg", "png"]) == [
        tmp_path / "pair.png",
        tmp_path / "pair.svg",
    ]
    assert figure_paths(tmp_path / "a.PDF", "pair", ()) == [tmp_path / "a.PDF"]
    dotted = tmp_path / "v1.5"
    dotted.mkdir()
    assert figure_paths(dotted, "pair", ["svg"]) == [dotted / "pair.svg"]
    with pytest.raises(UnknownNameError, match="no format named 'eps'"):
        figure_paths(tmp_path / "a.eps", "pair", ())
    with pytest.raises(UnknownNameError, match="did you mean 'svg'"):
        figure_paths(tmp_path, "pair", ["svgz"])
    with pytest.raises(UsageError, match="is one pdf file, not svg: give a folder"):
        figure_paths(tmp_path / "a.pdf", "pair", ["pdf", "svg"])


def test_figures_need_no_torch(run: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from seeingkit.report import write_paper_figure as draw; "
        "draw(sys.argv[1], 'overview', sys.argv[2]); print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(run), str(tmp_path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "False\n"


def test_generated_images_without_a_generator_have_the_name_of_their_source(tmp_path: Path) -> None:
    made = church_results().generated.model_copy(update={"name": "samples/"})
    run = comparison(tmp_path / "a", generator=None, generated=made)
    other = comparison(tmp_path / "b", generator=ModelRecord(name="g", family="progan"))
    assert {"samples/", "g"} <= set(texts(drawn([run, other], "compare", tmp_path)))
