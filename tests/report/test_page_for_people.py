"""The page in a browser: its first screen, its length, keyboard, print, and axe-core's findings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.chromium import Chromium
from tests.report.test_report_inversions import alone, compared, write_run  # noqa: F401  a fixture

pytestmark = pytest.mark.browser

SIZES = [(1280, 800), (390, 844)]


def box(browser: Chromium, selector: str) -> dict[str, float]:
    found = browser.page.locator(selector).first.bounding_box()
    assert found is not None, selector
    return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_first_screen_has_the_answer_a_pair_and_the_figure(
    browser: Chromium,
    compared: Path,  # noqa: F811
    width: int,
    height: int,
) -> None:
    browser.open(compared / "report.html", width=width, height=height)
    for part in (".headline", ".sure", ".lead .pairing", "#chart svg"):
        found = box(browser, part)
        assert found["y"] + found["height"] <= height, part
    sentence = browser.page.locator(".headline").inner_text()
    assert "persons" in sentence and not re.search(r"\d", sentence.replace("<script>", ""))


@pytest.mark.slow
def test_the_findings_are_six_screens_long_at_most(
    browser: Chromium,
    compared: Path,  # noqa: F811
) -> None:
    browser.open(compared / "report.html", height=800)
    assert box(browser, "#appendix")["y"] <= 6 * 800


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "dark"), [(390, True), pytest.param(1280, False, marks=pytest.mark.slow)]
)
def test_axe_finds_nothing(
    browser: Chromium,
    compared: Path,  # noqa: F811
    width: int,
    dark: bool,
) -> None:
    browser.open(compared / "report.html", "?unfold=all", width=width, dark=dark)
    assert browser.violations() == []


def test_axe_finds_nothing_in_a_page_of_inversions_alone(browser: Chromium, tmp_path: Path) -> None:
    write_run(tmp_path, alone(tmp_path))
    browser.open(tmp_path / "report.html", "?unfold=all", width=390, dark=True)
    assert browser.violations() == []


def test_a_bar_opens_its_class_by_mouse(browser: Chromium, compared: Path) -> None:  # noqa: F811
    page = browser.open(compared / "report.html")
    bars = page.locator("#chart .mark-rect.role-mark path[aria-label*='person']")
    bars.first.click(force=True)
    opened = page.locator("details.class[data-label=person]")
    page.wait_for_timeout(100)
    assert opened.get_attribute("open") is not None
    assert page.evaluate("document.activeElement.closest('details').dataset.label") == "person"
    # A class without pictures is a row of the table, also where it had been filtered away.
    page.locator("#only").check()
    grass = page.locator("tr[data-label=grass]")
    assert not grass.is_visible()
    page.evaluate("page.reveal(document.querySelector('tr[data-label=grass]'), true)")
    assert grass.is_visible() and page.locator("#only").is_checked() is False
    assert browser.problems == []


@pytest.mark.slow
def test_names_of_the_answer_lead_to_their_classes_by_keyboard(
    browser: Chromium,
    compared: Path,  # noqa: F811
) -> None:
    page = browser.open(compared / "report.html")
    link = page.locator(".class-link", has_text="persons")
    link.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('details').dataset.label") == "person"
    page.keyboard.press("Enter")  # the summary has the focus: it folds
    assert page.locator("details.class[data-label=person]").get_attribute("open") is None


@pytest.mark.slow
def test_print_shows_everything_and_folds_again(
    browser: Chromium,
    compared: Path,  # noqa: F811
) -> None:
    page = browser.open(compared / "report.html")
    closed = page.locator("details:not([open])").count()
    assert closed > 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print")
    wide = "document.scrollingElement.scrollWidth <= innerWidth"
    assert page.evaluate(wide)
    inner = (
        "[...document.querySelectorAll('.scroll')].every(e => e.scrollHeight <= e.clientHeight + 1)"
    )
    assert page.evaluate(inner)
    assert page.locator("#chart").is_visible() is False and page.locator("#static").is_visible()
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == closed


@pytest.mark.slow
def test_without_scripts_the_page_is_whole(browser: Chromium, compared: Path) -> None:  # noqa: F811
    page = browser.open(compared / "report.html", scripts=False)
    assert page.locator("#static").is_visible()
    assert page.locator(".at-result").first.is_visible()
    assert not page.locator(".compare").first.is_visible()
    assert page.locator("tr.more").first.is_visible()
