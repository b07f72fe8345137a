"""The page to rewrite by hand in a browser: paint, execute, undo, save; units; fits and themes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import seeingkit
from seeingkit.analyses.rewriting.requestfiles import read_request
from seeingkit.analyses.rewriting.session import Session
from seeingkit.editing.desk import Desk
from seeingkit.editing.server import serve_desk
from seeingkit.models.loading import load_generator
from seeingkit.models.weightedits import WeightEdit, rewritable
from seeingkit.runs.easel import png_bytes
from tests.helpers.chromium import Chromium
from tests.helpers.viewer import in_thread

pytestmark = pytest.mark.browser
NAME, SITE = "progan:minichurches", "r16.conv1"
TREE, TOWER, OTHER = 9, 9, 5
"""Images of seed 10,000,000 with a tree at the left edge, and with towers."""


@pytest.fixture(scope="module")
def desk() -> Desk:
    generator = rewritable(load_generator(NAME))
    session = Session(generator, seed=10_000_000, key_seed=0, key_images=16)
    return Desk(session, NAME, units={"r8.conv1": {"tree": [13, 112, 35]}})


@pytest.fixture(scope="module")
def address(desk: Desk) -> Iterator[str]:
    with in_thread(lambda ready: serve_desk(desk, ready=ready)) as (found, _):
        yield found


def idle(browser: Chromium) -> None:
    browser.page.wait_for_timeout(20)
    browser.wait("document.documentElement.dataset.busy === 'false'")


def choose(browser: Chromium, kind: str, index: int) -> None:
    browser.page.check(f"input[name=kind][value={kind}]")
    browser.page.click(f"#samples button[data-index='{index}']")
    idle(browser)


def stroke(browser: Chromium, *places: tuple[float, float]) -> None:
    browser.page.locator("#frame").scroll_into_view_if_needed()
    box = browser.page.locator("#frame").bounding_box()
    assert box is not None
    for k, (x, y) in enumerate(places):
        browser.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
        if not k:
            browser.page.mouse.down()
    browser.page.mouse.up()
    idle(browser)


def after(browser: Chromium, index: int) -> str:
    """The pixels of an image as the page shows it now, as a PNG in base64."""
    found = f"document.querySelector(`#samples button[data-index='{index}'] img`)"
    browser.wait(f"{found}.complete && {found}.naturalWidth > 0")
    script = """((image) => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      canvas.getContext("2d").drawImage(image, 0, 0);
      return canvas.toDataURL();
    })"""
    return str(browser.evaluate(f"{script}({found})"))


def saved(browser: Chromium, link: str, path: Path) -> Path:
    with browser.page.expect_download() as found:
        browser.page.click(link)
    found.value.save_as(path)
    return path


def said(browser: Chromium) -> str:
    return browser.page.inner_text("#status")


def test_a_rule_is_rewritten_undone_and_saved(
    browser: Chromium, address: str, desk: Desk, tmp_path: Path
) -> None:
    page = browser.open(address)
    assert page.is_disabled("#execute")
    choose(browser, "copy", TREE)
    stroke(browser, (0.12, 0.7), (0.15, 0.85), (0.1, 0.8))
    assert "pasted to" in said(browser)
    choose(browser, "paste", TOWER)
    stroke(browser, (0.42, 0.3), (0.6, 0.3), (0.6, 0.38))
    choose(browser, "context", OTHER)
    stroke(browser, (0.12, 0.2), (0.2, 0.3))
    browser.page.focus("#frame")
    for key in ("ArrowDown", "ArrowLeft", " "):
        browser.page.keyboard.press(key)
    idle(browser)
    painted = desk.session.contexts[0].mask
    stroke(browser, (0.8, 0.8), (0.9, 0.9))
    browser.page.click("#unstroke")
    idle(browser)
    assert np.array_equal(desk.session.contexts[0].mask, painted)
    before, first = after(browser, TOWER), desk.picture(TOWER)
    assert len(desk.session.contexts) == 1 and desk.session.contexts[0].index == OTHER

    page.click("#match")
    idle(browser)
    assert page.locator("#matches canvas").count() == 12
    page.fill("#rank", "3")
    page.click("#execute")
    idle(browser)
    assert "along 3 of 96 directions" in said(browser)
    edited = after(browser, TOWER)
    assert edited != before and page.locator("#pairs figure").count() >= 12

    path = saved(browser, "#edits a", tmp_path / "tree.safetensors")
    assert WeightEdit.load(path).rank == 3
    generator = seeingkit.load_generator(NAME, edits=[str(path)])
    assert png_bytes(generator(generator.latents([TOWER], seed=10_000_000))) == desk.picture(TOWER)
    request = read_request(saved(browser, "#save-request", tmp_path / "request.json"))
    assert (request.seed, request.copy.index, len(request.contexts)) == (10_000_000, TREE, 2)

    page.fill("#strength", "0")
    idle(browser)
    assert after(browser, TOWER) == before
    page.click("#undo")
    idle(browser)
    desk._kept.clear()  # drawn anew, not remembered
    assert after(browser, TOWER) == before and desk.picture(TOWER) == first
    page.click("#redo")
    idle(browser)
    page.fill("#strength", "1")
    idle(browser)
    assert after(browser, TOWER) == edited

    page.click("#clear")
    idle(browser)
    assert page.locator("#regions canvas").count() == 0 and page.is_disabled("#execute")
    page.set_input_files("#load", tmp_path / "request.json")
    browser.wait("document.querySelectorAll('#regions canvas').length === 3")
    idle(browser)
    page.fill("#rank", "97")
    page.click("#execute")
    idle(browser)
    assert "rank 97" in said(browser) and page.get_attribute("#status", "class") == "fault"
    assert len(desk.session.edits) == 1
    assert [one for one in browser.problems if "400" not in one] == []
    assert browser.violations() == []
    start = address.rstrip("/").rpartition("/")[0]
    assert all(asked.startswith((start, "data:", "blob:")) for asked in browser.requests)


@pytest.mark.slow
def test_units_are_changed_where_it_is_painted(
    browser: Chromium, address: str, tmp_path: Path
) -> None:
    page = browser.open(address, width=390, height=800, dark=True)
    page.click("#tab-units")
    assert page.is_hidden("#rule") and page.input_value("#layer") == "r8.conv1"
    page.select_option("#known", "tree")
    assert page.input_value("#numbers") == "13,112,35"
    page.fill("#numbers", "13, x")
    page.click("#show-units")
    idle(browser)
    assert "no number of a unit" in said(browser)
    page.fill("#numbers", "13,112-113")
    page.click("#show-units")
    idle(browser)
    assert page.locator("#pairs figure").count() == 12
    stroke(browser, (0.3, 0.7), (0.5, 0.8))
    page.check("input[name=value][value=insert]")
    page.fill("#value", "3")
    page.click("#show-units")
    idle(browser)
    assert page.locator("#pairs figure").count() == 1
    file = json.loads(saved(browser, "#save-units", tmp_path / "units.json").read_text())
    assert file["edits"][0]["units"] == [13, 112, 113] and file["edits"][0]["mask"]
    assert browser.violations() == [] and browser.problems == []
    widths = browser.evaluate("[document.scrollingElement.scrollWidth, window.innerWidth]")
    assert widths == [390, 390]
