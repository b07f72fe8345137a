"""The site of a suite as people use it: sorting, filtering, keys, themes, phones, no scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from seeingkit.report.suites import write_site
from tests.helpers.chromium import Chromium
from tests.helpers.suite_folders import make_suite

pytestmark = pytest.mark.browser

HOSTILE = "<script>document.title='stolen'</script>"
PAGES = (
    "index.html",
    "classes/person.html",  # with photos
    "generators/far.html",
    "generators/broken.html",
)
FITS = "document.scrollingElement.scrollWidth <= window.innerWidth"
LABELS = (
    "[...document.querySelectorAll('#matrix-table tbody tr')].filter(r => !r.hidden)"
    ".map(r => r.cells[0].textContent)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generators = {
        "near": {},
        "far": {"boat": 1.0, "person": 0.9},
        HOSTILE: {"boat": 0.95},
        **{f"snapshot-{k}": {"boat": 0.1 + k / 10, "person": 0.2} for k in range(5)},
    }
    folder = make_suite(
        tmp_path_factory.mktemp("suite") / "a",
        generators,
        controls=2,
        failed={"broken": "out of memory"},
        waiting=["late"],
        steps={f"snapshot-{k}": ("snapshot-*", 1000.0 * k) for k in range(5)},
        categories={"sky": "stuff", "tree": "stuff"},
        inverted=["far", HOSTILE],
    )
    return write_site(folder, folder.parent / "site").parent


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("look", ["desktop", "phone", "dark"])
def test_pages_fit_and_can_be_used_by_all(
    browser: Chromium, site: Path, page: str, look: str
) -> None:
    width, height = (390, 844) if look == "phone" else (1280, 900)
    browser.open(site / page, width=width, height=height, dark=look == "dark")
    assert browser.evaluate(FITS)
    # What is not near the window yet is not laid out; it counts, too.
    browser.evaluate(
        "document.body.append(Object.assign(document.createElement('style'), "
        "{textContent: '* { content-visibility: visible !important }'}))"
    )
    browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert browser.evaluate(FITS)
    assert browser.violations() == []
    assert browser.problems == [] and browser.evaluate("page.root.dataset.errors") == "0"
    assert all(url.startswith("file://") for url in browser.requests)
    assert "stolen" not in browser.page.title().split("<")[0]


def test_pictures_are_shown(browser: Chromium, site: Path) -> None:
    browser.open(site / "classes" / "person.html")
    browser.wait(
        "[...document.images].length > 0 && [...document.images].slice(0, 5)"
        ".every(i => i.complete && i.naturalWidth > 0)"
    )


def test_the_matrix_sorts(browser: Chromium, site: Path) -> None:
    page = browser.open(site / "index.html")
    assert browser.evaluate(LABELS)[0] == "boat"
    page.select_option("#order", "name")
    found = browser.evaluate(LABELS)
    assert found == sorted(found)
    page.select_option("#order", "area")
    areas = browser.evaluate("page.data.matrix.areas")
    labels = browser.evaluate("page.data.matrix.labels")
    by_area = [label for _, label in sorted(zip(areas, labels, strict=True), reverse=True)]
    assert browser.evaluate(LABELS) == by_area
    page.select_option("#order", label="far")
    column = browser.evaluate("page.data.matrix.columns").index("far")
    values = [row[column] for row in browser.evaluate("page.data.matrix.values")]
    lost = dict(zip(labels, values, strict=True))
    assert browser.evaluate(LABELS) == sorted(labels, key=lambda label: lost[label])


@pytest.mark.slow
def test_the_matrix_filters(browser: Chromium, site: Path) -> None:
    page = browser.open(site / "index.html")
    page.fill("#search", "BO")
    assert browser.evaluate(LABELS) == ["boat"]
    assert page.inner_text("#listed") == "1 of 6 classes."
    page.fill("#search", "")
    page.select_option("#category", "stuff")
    assert set(browser.evaluate(LABELS)) == {"sky", "tree"}
    page.select_option("#category", "")
    page.select_option("#verdict", "o")
    assert set(browser.evaluate(LABELS)) == {"boat", "person"}
    page.fill("#columns", "script")  # that generator alone, which omits boats
    assert browser.evaluate(LABELS) == ["boat"]
    heads = browser.evaluate(
        "[...document.querySelectorAll('#matrix-table thead th')].filter(h => !h.hidden).length"
    )
    assert heads == 3
    assert page.inner_text("#listed") == "1 of 6 classes, 1 of 10 generators."


@pytest.mark.slow
def test_keys_move_through_the_matrix(browser: Chromium, site: Path) -> None:
    page = browser.open(site / "index.html")
    stops = "document.querySelectorAll('#matrix-table [tabindex=\"0\"]').length"
    assert browser.evaluate(stops) == 1  # one stop of the tab key, not one a cell
    page.focus("#matrix-table [tabindex='0']")
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    words = browser.evaluate("page.data.matrix.words[1][1]")
    label = browser.evaluate("page.data.matrix.labels[1]")
    column = browser.evaluate("page.data.matrix.columns[1]")
    assert page.text_content("#detail") == f"{label}, {column}: {words}"
    assert browser.evaluate(stops) == 1
    page.keyboard.press("Home")
    assert browser.evaluate("document.activeElement.textContent") == label
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/classes/boat.html")


def test_a_pointer_and_a_finger_show_the_numbers(browser: Chromium, site: Path) -> None:
    cell = "#matrix-table tbody tr:nth-child(1) td:nth-child(4)"
    page = browser.open(site / "index.html")
    page.hover(cell)
    assert str(page.text_content("#detail")).startswith("boat, ")
    page = browser.open(site / "index.html", width=390, height=844)
    page.tap(cell)
    said = str(page.text_content("#detail"))
    assert said.endswith(browser.evaluate("page.data.matrix.words[0][1]"))


@pytest.mark.slow
def test_the_ranking_sorts(browser: Chromium, site: Path) -> None:
    page = browser.open(site / "index.html")
    names = "[...document.querySelectorAll('#ranking tbody th')].map(h => h.firstChild.textContent)"
    first = browser.evaluate(names)
    page.click("#ranking thead button:has-text('omitted')")
    omitted = (
        "[...document.querySelectorAll('#ranking tbody td:nth-child(7)')].map(c => c.dataset.v)"
    )
    found = [int(x) for x in browser.evaluate(omitted)]
    assert found == sorted(found) and len(found) == 10
    page.click("#ranking thead button:has-text('omitted')")
    assert [int(x) for x in browser.evaluate(omitted)] == sorted(found, reverse=True)
    assert browser.evaluate(names)[-2:] == first[-2:]  # what has no place stays last


@pytest.mark.slow
def test_pages_can_be_read_without_scripts(browser: Chromium, site: Path) -> None:
    page = browser.open(site / "index.html", scripts=False)
    text = page.inner_text("body")
    assert "Sort by" not in text and "Theme" not in text and "Point at a cell" not in text
    assert "▼" in page.inner_text("#matrix-table") and "out of memory" in text
    page = browser.open(site / "classes" / "person.html", scripts=False)
    assert "in fewer images" in page.inner_text("body") or "omitted" in page.inner_text("body")
