"""The static site of a suite: what stands on its pages, and that it is safe and complete."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

from seeingkit.errors import RunError
from seeingkit.report import Gallery, GalleryClass
from seeingkit.report.suites import read_suite, write_site
from seeingkit.report.suites import site as site_module
from seeingkit.report.words.numbers import change, number
from seeingkit.results import RankingResults, SuiteResults
from tests.helpers.church_report import scene
from tests.helpers.suite_folders import LABELS, make_suite

HOSTILE = "<script>document.title='stolen'</script>\"'|&amp;\u202e"
LOSSES = {
    "near": {},
    "middle": {"boat": 0.9},
    "far": {"boat": 1.0, "person": 0.9},
    HOSTILE: {"boat": 0.95, "person": 0.3},
}


class PageParts(HTMLParser):
    """What a page holds: links, pictures, ids, scripts and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.ids: set[str] = set()
        self.scripts: list[dict[str, str | None]] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._inside = tag
        self.attributes |= set(values)
        if tag == "a":
            self.links.append(values["href"] or "")
        if tag == "img":
            self.pictures.append(values["src"] or "")
        if tag == "script":
            self.scripts.append(values)
        if values.get("id"):
            self.ids.add(values["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def parts(page: Path) -> PageParts:
    return PageParts(page.read_text(encoding="utf-8"))


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def check_links(site: Path) -> None:
    """Every link and picture of every page leads to a file of the site, or an id of the page."""
    for page in pages(site):
        found = parts(page)
        for address in (*found.links, *found.pictures):
            split = urlsplit(address)
            assert not split.scheme and not split.netloc, address
            target = (page.parent / unquote(split.path)).resolve() if split.path else page.resolve()
            assert target.is_file() and target.is_relative_to(site.resolve()), (page, address)
            if split.fragment:
                assert unquote(split.fragment) in parts(target).ids, (page, address)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps = {"middle": ("snap-*.pkl", 2000.0), "far": ("snap-*.pkl", 1000.0)}
    return make_suite(
        tmp_path_factory.mktemp("suite") / "a",
        LOSSES,
        failed={"broken": f"WeightsError: {HOSTILE}"},
        waiting=["late"],
        steps=steps,
        inverted=["middle", "far", HOSTILE],
        title=f"Made up {HOSTILE}",
    )


@pytest.fixture(scope="module")
def site(suite: Path) -> Path:
    return write_site(suite, suite.parent / "site").parent


@pytest.fixture(scope="module")
def ranked(suite: Path) -> RankingResults:
    text = (suite / "rankings" / "photos" / "results.json").read_text(encoding="utf-8")
    return RankingResults.model_validate_json(text)


def test_the_folder_has_a_page_for_everything(site: Path) -> None:
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert names == set((site / "files.txt").read_text(encoding="utf-8").splitlines())
    assert {f"classes/{label}.html" for label in LABELS} <= names
    assert {"index.html", "generators/broken.html", "generators/late.html"} <= names
    assert {"reports/photos/near.html", "generators/near.html"} <= names
    assert not any(name.startswith("rankings/") for name in names)  # one ranking: the index


def test_all_links_lead_somewhere(site: Path) -> None:
    check_links(site)


def test_the_first_page_has_the_numbers_of_the_record(site: Path, ranked: RankingResults) -> None:
    text = parts(site / "index.html").text
    for member in ranked.members:
        assert member.fsd.bias_reduced is not None
        assert number(member.fsd.bias_reduced) in text and member.letters in text
    data = page_data(site / "index.html")["matrix"]
    assert set(data["labels"]) == set(LABELS)
    boat = data["labels"].index("boat")
    record = next(one for one in ranked.classes if one.label == "boat")
    assert data["omitted"][boat] == 3 and boat == 0  # first, for most generators omit it
    for k, member in enumerate(ranked.members):
        column = data["columns"].index(shown(member.name))
        relative = (record.area.values[k] - record.real_area) / record.real_area
        assert data["values"][boat][column] == pytest.approx(relative, abs=6e-5)
        assert change(relative) in data["words"][boat][column]
        assert data["words"][boat][column].startswith(record.verdicts[k])


def page_data(page: Path) -> dict[str, dict[str, list[object]]]:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>',
        page.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert found is not None
    data: dict[str, dict[str, list[object]]] = json.loads(found[1])
    return data


def shown(name: str) -> str:
    return name.replace("\u202e", "\ufffd")


def test_the_answer_comes_first(site: Path, ranked: RankingResults) -> None:
    text = parts(site / "index.html").text
    leader = next(member for member in ranked.members if member.rank == 1)
    assert text.index(leader.name) < text.index("Classes × generators")
    assert "Omitted by most of the 4 generators: boats (3)" in text
    assert "The control of real images against real images has a distance of" in text
    assert "1 generator failed (broken) and 1 generator is not in the ranking yet." in text


def test_failures_have_their_reasons(site: Path) -> None:
    for page in ("index.html", "generators/broken.html"):
        assert "WeightsError: <script>" in parts(site / page).text
    assert "not run yet" in parts(site / "generators/late.html").text


def test_a_class_has_its_numbers_and_photos(site: Path, ranked: RankingResults) -> None:
    found = parts(site / "classes" / "person.html")
    record = next(one for one in ranked.classes if one.label == "person")
    for k in range(len(ranked.members)):
        relative = (record.area.values[k] - record.real_area) / record.real_area
        assert " ".join(change(relative).split()) in found.text
    assert found.text.count("vanishes") == 4  # from two photos, by two of three generators
    assert "No reconstruction of this photo by near, broken and late" in found.text
    # Two photos, and of each three reconstructions and three photos with what is lost.
    assert len(found.pictures) == 2 + 2 * 3 * 2
    with Image.open(site / "classes" / found.pictures[0]) as photo:
        assert photo.size == (64, 64)
    assert "No photo that shows boat was inverted" in parts(site / "classes" / "boat.html").text


def test_a_class_without_inverted_photos_has_real_examples(tmp_path: Path) -> None:
    folder = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, n=60)
    images = tuple(scene(3, seed) for seed in range(2))
    shown = Gallery(("-", *LABELS), (GalleryClass("building", 3, images, ()),))
    shown.save(folder / "cells" / "photos" / "b")
    site = write_site(folder, tmp_path / "site").parent
    check_links(site)
    found = parts(site / "classes" / "building.html")
    assert "No photo that shows building was inverted" in found.text
    with Image.open(site / "classes" / found.pictures[0]) as picture:
        assert len(found.pictures) == 2
        assert (np.asarray(picture.convert("RGB")) == images[0].image).all()
    assert not parts(site / "classes" / "boat.html").pictures


def test_the_same_photo_is_stored_once(site: Path) -> None:
    pictures = list((site / "pictures").iterdir())
    contents = {hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures}
    assert len(contents) == len(pictures)
    for path in pictures:
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(path.stem)


def test_snapshots_have_their_curve(site: Path, ranked: RankingResults) -> None:
    text = parts(site / "index.html").text
    distance = {m.name: float(m.fsd.bias_reduced or 0) for m in ranked.members}
    first, last = number(distance["far"]), number(distance["middle"])
    assert f"From 1,000 kimg to 2,000 kimg the distance goes from {first} to {last}" in text
    content = (site / "index.html").read_text(encoding="utf-8")
    assert content.count('class="curve wide"') == content.count('class="curve narrow"') == 1


def test_reports_lead_back(site: Path) -> None:
    found = parts(site / "reports" / "photos" / "near.html")
    assert found.links == ["../../index.html"] and "A made-up report." in found.text


def test_names_are_text_and_nothing_else(site: Path) -> None:
    for page in pages(site):
        found = parts(page)
        content = page.read_text(encoding="utf-8")
        assert "\u202e" not in content
        if page.is_relative_to(site / "reports"):
            continue
        assert [s.get("type") for s in found.scripts] == ["application/json", None]
        assert not any(name.startswith("on") for name in found.attributes)
        assert "default-src &#39;none&#39;" in content and "http" not in urls(content)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", page.name)


def urls(content: str) -> str:
    return " ".join(re.findall(r"\b(?:src|href)=\"([^\"]*)\"", content))


def test_the_same_suite_gives_the_same_bytes(suite: Path, site: Path, tmp_path: Path) -> None:
    again = write_site(suite, tmp_path / "again").parent
    for path in site.rglob("*"):
        if path.is_file():
            assert (again / path.relative_to(site)).read_bytes() == path.read_bytes(), path


def test_a_site_is_written_over_a_former_one_and_nothing_else(tmp_path: Path) -> None:
    folder = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, n=60, inverted=["a"])
    site = write_site(folder, tmp_path / "site").parent
    (site / "mine.txt").write_text("kept")
    old = (site / "generators" / "b.html", site / "reports" / "photos" / "b.html")
    assert all(path.is_file() for path in old) and list((site / "pictures").iterdir())
    make_suite(folder, {"a": {}, "c": {}}, n=60, labels=LABELS[:5])
    write_site(folder, site)
    assert not any(path.exists() for path in (*old, site / "pictures"))
    assert (site / "mine.txt").read_text() == "kept"
    check_links(site)
    with pytest.raises(RunError, match="is not empty and holds no site"):
        write_site(folder, folder)
    with pytest.raises(RunError, match="is no folder"):
        write_site(folder, folder / "results.json")


def test_a_list_that_leads_out_of_the_site_removes_nothing(tmp_path: Path) -> None:
    folder = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, n=60)
    site = write_site(folder, tmp_path / "site").parent
    mine = tmp_path / "mine.txt"
    mine.write_text("kept")
    with (site / "files.txt").open("a") as stream:
        stream.write("../mine.txt\n")
    with pytest.raises(RunError, match="not inside"):
        write_site(folder, site)
    assert mine.read_text() == "kept"


@pytest.mark.parametrize(
    ("generators", "changes", "said"),
    [
        ({"only": {}}, {}, "only is the only generator that has been compared."),
        ({}, {"waiting": ["a"]}, "Nothing has been compared yet."),
        ({}, {"failed": {"a": "no file", "b": "no memory"}}, "Nothing has been compared yet."),
        ({"a": {}, "b": {}}, {"controls": 0}, "cannot be told apart"),
    ],
)
def test_edges(
    tmp_path: Path, generators: dict[str, dict[str, float]], changes: dict[str, object], said: str
) -> None:
    folder = make_suite(tmp_path / "suite", generators, n=60, **changes)  # type: ignore[arg-type]
    site = write_site(folder, tmp_path / "site").parent
    check_links(site)
    text = parts(site / "index.html").text
    assert said in text
    for reason in dict(changes.get("failed", {})).values():  # type: ignore[call-overload]
        assert reason in text
    if generators and changes:
        assert "real images, one half against the other" in text


def test_a_ranking_that_failed_has_its_reason(tmp_path: Path) -> None:
    folder = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, n=60)
    path = folder / "results.json"
    found = SuiteResults.model_validate_json(path.read_text(encoding="utf-8"))
    change = {"state": "failed", "reason": "no memory left", "generators": []}
    changed = found.model_copy(update={"rankings": [found.rankings[0].model_copy(update=change)]})
    path.write_text(changed.model_dump_json(), encoding="utf-8")
    site = write_site(folder, tmp_path / "site").parent
    check_links(site)
    text = parts(site / "index.html").text
    assert "the ranking itself failed no memory left" in text
    assert (
        "compared with the real images, but not yet ranked"
        in parts(site / "generators" / "a.html").text
    )


def test_several_rankings_have_a_page_each(tmp_path: Path) -> None:
    generators = {"a": {}, "b": {"boat": 1.0, "building": 1.0}}
    folder = make_suite(
        tmp_path / "suite", generators, rankings=["day/one", "day two"], n=80, failed={"c": "why"}
    )
    site = write_site(folder, tmp_path / "site").parent
    check_links(site)
    index = parts(site / "index.html").text
    assert "Among the nearest to the real images: a in both rankings" in index
    assert "2 comparisons failed" in index
    words = page_data(site / "index.html")["matrix"]
    boat = words["labels"].index("boat")
    assert str(words["words"][boat]).count("omitted in 2 of 2 rankings") == 1
    for name in ("day-one", "day-two"):
        page = parts(site / "rankings" / f"{name}.html")
        assert "why" in page.text and "../index.html" in page.links
    tables = (site / "classes" / "boat.html").read_text(encoding="utf-8").count("<table")
    assert tables == 2


def test_a_run_that_is_gone_is_said(tmp_path: Path) -> None:
    folder = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, n=60, inverted=["a"])
    shutil.rmtree(folder / "cells" / "photos" / "a")
    site = write_site(folder, tmp_path / "site").parent
    text = parts(site / "index.html").text
    assert "cells/photos/a is not there, so its pictures are not shown." in text
    check_links(site)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    folder = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, n=60, inverted=["a"])
    (folder / "cells" / "photos" / "a" / "inversions" / "0-made.png").write_bytes(b"no picture")
    with pytest.raises(RunError, match=r"0-made\.png cannot be read as a PNG"):
        write_site(folder, tmp_path / "site")


def test_two_classes_of_one_name_have_a_page_each(tmp_path: Path) -> None:
    labels = ("wall", "tree", "wall")
    folder = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, labels=labels, n=60)
    keys = [head.key for head in read_suite(folder).rankings[0].classes]
    assert sorted((key.label, key.twin) for key in keys) == [("tree", 0), ("wall", 0), ("wall", 1)]
    site = write_site(folder, tmp_path / "site").parent
    assert (site / "classes" / "wall.html").is_file() and (
        site / "classes" / "wall-2.html"
    ).is_file()


@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_site_whose_writing_was_killed_is_written_again(
    written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = make_suite(tmp_path / "suite", {"a": {}, "b": {}}, n=60)
    whole = write_site(suite, tmp_path / "whole").parent
    out, left = tmp_path / "site", written
    write = site_module._write

    def killed(folder: Path, path: str, content: str | bytes) -> None:
        nonlocal left
        if not left:
            (folder / ".index.html.host.1.1.tmp").write_text("half")
            raise KeyboardInterrupt
        left -= 1
        write(folder, path, content)

    monkeypatch.setattr(site_module, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        write_site(suite, out)
    monkeypatch.undo()
    write_site(suite, out)
    (out / ".index.html.host.1.1.tmp").unlink()
    found, right = ({path.relative_to(f) for path in f.rglob("*")} for f in (out, whole))
    assert found == right
