"""The pages as documents: structure, contrast, what each says of a run."""

from __future__ import annotations

import itertools
import re
from html import unescape
from pathlib import Path

import pytest

import seeingkit.viewing
from seeingkit.report import summarise, summarise_generators, summarise_inversions
from seeingkit.viewing.templates import environment
from tests.helpers.church_report import church_results
from tests.helpers.viewer import Cells, Viewer, add_run

from .test_comparing import other_results, several_results
from .test_listing import inversion_results

TEMPLATES = Path(seeingkit.viewing.__file__).parent / "templates"


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Viewer:
    root = tmp_path_factory.mktemp("runs")
    add_run(root / "first", report="<p>", finished=None)
    add_run(root / "second", other_results())
    add_run(root / "several", several_results())
    add_run(root / "inverted", inversion_results())
    (root / "unfinished").mkdir()
    (root / "broken").mkdir()
    (root / "broken" / "results.json").write_text("{")
    return Viewer(root)


def addresses(viewer: Viewer) -> list[str]:
    titles = ("first", "second", "several", "inverted", "broken")
    both = f"run={viewer.key('first')}&run={viewer.key('second')}"
    runs = [f"run/{viewer.key(title)}" for title in titles]
    return ["", "?q=nothing", *runs, f"compare?{both}", f"compare?{both}&label=x%22y", "nothing"]


def test_pages_are_accessible(viewer: Viewer) -> None:
    for rest in addresses(viewer):
        elements = Cells(viewer.page(rest).text).elements
        tags = [tag for tag, _ in elements]
        assert dict(elements)["html"]["lang"] == "en-GB"
        assert ("meta", {"name": "color-scheme", "content": "light dark"}) in elements
        levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), rest
        assert tags.count("main") == tags.count("header") == 1
        ids = [found["id"] for _, found in elements if "id" in found]
        assert len(ids) == len(set(ids))
        for tag, found in elements:
            assert tag != "img" or found["alt"]
            assert tag != "svg" or found["aria-label"]
            assert tag != "button" or found["type"] in ("button", "submit")
            assert tag != "form" or found["method"] == "get"
            assert found.get("href", "#")[0] in "/#"
            assert "target" not in found


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme: str) -> None:
    style = (TEMPLATES / "view.css").read_text(encoding="utf-8")
    start = ":root {" if theme == "light" else ':root[data-theme="dark"] {'
    block = style.split(start)[1].split("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    texts = ("ink", "muted", "link", "text-omitted", "text-reduced", "text-excess")
    pairs = [(text, ground, 4.5) for text in texts for ground in ("paper", "raised", "caution")]
    pairs += [("ink", ground, 4.5) for ground in ("no", "yes")]
    pairs += [("text-omitted", "no", 4.5), ("on-link", "link", 4.5)]
    pairs += [(line, "paper", 3.0) for line in ("control", "generated", "floor", "no-line")]
    for one, other, least in pairs:
        low, high = sorted([luminance(colours[one]), luminance(colours[other])])
        assert (high + 0.05) / (low + 0.05) >= least, (theme, one, other)
    if theme == "dark":  # without scripts the system's choice gives the same colours
        own = style.split(":root:not([data-theme]) {")[1].split("}")[0]
        assert dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", own)) == colours


def test_signs_of_verdicts_are_those_of_reports() -> None:
    from seeingkit.report import templates

    assert environment().globals["marks"] == templates.MARKS


@pytest.mark.parametrize("title", ["first", "second", "several", "inverted"])
def test_a_run_says_what_its_report_says(viewer: Viewer, title: str) -> None:
    if title == "several":
        words = [*summarise_generators(several_results()).details]
    elif title == "inverted":
        found = inversion_results()
        words = list(summarise_inversions(found.inversions, found.calibrations, found.vanishing))
    else:
        summary = summarise(church_results() if title == "first" else other_results())
        words = [summary.headline, *summary.details, *summary.cautions]
    text = unescape(viewer.page(f"run/{viewer.key(title)}").text)
    assert words and all(word in text for word in words)


def test_files_of_a_run_are_offered_where_they_are(viewer: Viewer) -> None:
    def links(title: str) -> set[str]:
        elements = Cells(viewer.page(f"run/{viewer.key(title)}").text).elements
        start = f"/{viewer.key(title)}/"
        found = [a.get("href") or a.get("src") or "" for _, a in elements]
        return {link.removeprefix(start) for link in found if link.startswith(start)}

    assert links("first") == {
        "report.html",
        "results.json",
        "manifest.json",
        "figures/classes.svg",
    }
    assert links("second") == {"results.json", "manifest.json"}
    assert links("broken") == {"results.json"}
    for title in ("first", "second", "broken"):
        for name in links(title):
            assert viewer.ask(f"/{viewer.key(title)}/{name}").status == 200


def test_a_run_that_went_away_between_list_and_click(viewer: Viewer, tmp_path: Path) -> None:
    page = viewer.page("run/" + "x" * 43)
    assert page.status == 404 and "the run is not there any more" in page.text
    run = add_run(tmp_path / "a")
    other = Viewer(tmp_path)
    assert other.page().status == 200
    (run / "results.json").write_text("{}")
    text = other.page(f"run/{other.key('a')}").text
    assert "does not fit at fsd" in text and "Findings" not in text
