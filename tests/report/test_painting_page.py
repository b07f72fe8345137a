"""The page to paint on in a browser: strokes, saved files, and the same pixels as seeingkit's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from seeingkit.analyses.interventions.artifacts.marks import check_marks
from seeingkit.analyses.interventions.subjects import Sample, Subject
from seeingkit.errors import UsageError
from seeingkit.models.editfiles import to_edits
from seeingkit.report.painting import Brush, render_painting
from seeingkit.results import read_marks
from seeingkit.runs.easel import Easel, prepare_easel
from seeingkit.runs.paint import offline_page, read_edits, replay_edits
from seeingkit.runs.painting_models import PaintingModels, Wish, open_models
from tests.analyses.artifacts.test_marks import uri
from tests.helpers.chromium import Chromium

pytestmark = pytest.mark.browser
TREE = (13, 112, 35, 21, 68, 92, 31, 43)


WISH = Wish(units={"tree": TREE, "sky": (50, 51)}, indices=(1, 4), search=4)


@pytest.fixture(scope="module")
def models() -> PaintingModels:
    return open_models("progan:minichurches", WISH)


@pytest.fixture(scope="module")
def easel(models: PaintingModels) -> Easel:
    return prepare_easel(models, WISH)


@pytest.fixture(scope="module")
def page(easel: Easel, models: PaintingModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("painting") / "painting.html"
    path.write_text(offline_page(easel, models.program()), encoding="utf-8")
    return path


def stroke(browser: Chromium, *places: tuple[float, float]) -> None:
    box = browser.page.locator("#frame").bounding_box()
    assert box is not None
    for k, (x, y) in enumerate(places):
        browser.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if not k:
            browser.page.mouse.down()
    browser.page.mouse.up()
    settle(browser)


def settle(browser: Chromium) -> None:
    browser.wait("!busy && !waiting && shown !== null")


def saved(browser: Chromium, button: str, path: Path) -> Path:
    with browser.page.expect_download() as found:
        browser.page.click(f"#{button}")
    found.value.save_as(path)
    return path


@pytest.mark.slow
def test_a_painted_tree_is_replayed_within_one_level(
    browser: Chromium, page: Path, tmp_path: Path
) -> None:
    browser.open(page)
    assert browser.evaluate("document.documentElement.dataset.difference") in ("0", "1")
    stroke(browser, (0.1, 0.7), (0.5, 0.7))
    stroke(browser, (0.8, 0.8))
    browser.page.locator("label", has_text="Erase").first.click()
    stroke(browser, (0.2, 0.2), (0.4, 0.3))
    edits = saved(browser, "save-edits", tmp_path / "edits.json")
    drawn = saved(browser, "save-picture", tmp_path / "drawn.png")
    replayed = replay_edits(edits, "progan:minichurches", out=tmp_path / "replayed.png")
    file = read_edits(edits)
    assert [(one.label, len(one.units)) for one in file.edits] == [
        ("draw tree", 8),
        ("erase tree", 8),
    ]
    assert browser.evaluate("strokes[start].length") == 3
    found, wanted = (np.asarray(Image.open(path)).astype(int) for path in (drawn, replayed))
    assert abs(found - wanted).max() <= 1
    assert all(url.startswith(("file:", "blob:")) for url in browser.requests)
    assert browser.problems == [] and browser.violations() == []


@pytest.mark.slow
def test_cells_are_those_under_the_brush(
    browser: Chromium, page: Path, easel: Easel, tmp_path: Path
) -> None:
    browser.open(page)
    browser.page.fill("#size", "10")
    stroke(browser, (0.31, 0.56))  # the middle of cell (4, 2) of 8 x 8
    edits = read_edits(saved(browser, "save-edits", tmp_path / "edits.json"))
    mask = to_edits(edits, easel.generator)[0].mask
    assert mask is not None
    touched = [tuple(cell) for cell in (mask > 0).nonzero().tolist()]
    assert touched == [(4, 2)] and 0.5 < float(mask.max()) <= 1


def test_undo_reset_original_and_keys(browser: Chromium, page: Path) -> None:
    opened = browser.open(page)
    before = browser.evaluate("Array.from(shown)")
    opened.focus("#frame")
    for key in ("ArrowDown", "ArrowLeft", " ", "ArrowRight", " "):
        opened.keyboard.press(key)
    settle(browser)
    assert browser.evaluate("strokes[start].length") == 2
    assert browser.evaluate("Array.from(shown)") != before
    opened.click("#undo")
    settle(browser)
    opened.click("#reset")
    settle(browser)
    assert browser.evaluate("Array.from(shown)") == before
    assert opened.is_disabled("#undo") and opened.is_disabled("#save-edits")
    opened.click("#starts button:nth-of-type(2)")
    browser.wait("start === 1 && originals[1] !== null")
    assert browser.problems == []


@pytest.mark.slow
def test_marks_are_kept_by_image_and_change_nothing(
    browser: Chromium, page: Path, easel: Easel, models: PaintingModels, tmp_path: Path
) -> None:
    import base64
    import io
    import json

    opened = browser.open(page)
    opened.locator("label", has_text="Mark").first.click()
    stroke(browser, (0.25, 0.25), (0.5, 0.25))
    assert browser.evaluate("editsOf(0).length") == 0 and opened.is_disabled("#save-edits")
    found = json.loads(saved(browser, "save-marks", tmp_path / "marks.json").read_text())
    assert (found["kind"], found["seed"]) == ("marks", 10_000_000)
    assert found["generator"] == easel.page.generator.model_dump(mode="json")
    marks = read_marks(tmp_path / "marks.json")
    subject = Subject(easel.generator, models.subject.segmenter, easel.layer)
    with pytest.raises(UsageError, match="two or more"):  # all else of one image's marks is right
        check_marks(subject, Sample(range(300)), marks)
    blank = uri(np.zeros((64, 64), np.uint8))
    two = [*marks.images, marks.images[0].model_copy(update={"index": 4, "mask": blank})]
    check_marks(subject, Sample(range(300)), marks.model_copy(update={"images": two}))
    (one,) = found["images"]
    data = base64.b64decode(one["mask"].removeprefix("data:image/png;base64,"))
    mask = np.asarray(Image.open(io.BytesIO(data)))
    assert one["index"] == 1 and mask.shape == (64, 64) and set(np.unique(mask)) == {0, 255}
    assert mask[16, 24] == 255 and mask[40, 24] == 0


@pytest.mark.slow
def test_it_fits_a_phone_and_the_dark(browser: Chromium, page: Path) -> None:
    for given in ({"width": 390, "height": 844}, {"dark": True}):
        browser.open(page, **given)  # type: ignore[arg-type]
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.violations() == [] and browser.problems == []


def altered(change: Callable[[dict[str, Any]], None], page: Path, path: Path) -> Path:
    import json

    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition('id="data">')
    data, _, tail = rest.partition("</script>")
    content = json.loads(data)
    change(content)
    path.write_text(f'{head}id="data">{json.dumps(content)}</script>{tail}', encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_page_that_draws_otherwise_says_so(browser: Chromium, page: Path, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["starts"][0]["inputs"] = content["starts"][1]["inputs"]

    browser.open(altered(change, page, tmp_path / "other.html"))
    assert "otherwise than seeingkit does" in browser.page.inner_text("#status")


def test_names_are_text_and_nothing_else(browser: Chromium, easel: Easel, tmp_path: Path) -> None:
    bad = '</script><script>document.title="x"</script><b>\u202e'
    brush = Brush(bad, (1,), (0.5,))
    page = easel.page.__class__(**{**vars(easel.page), "brushes": (brush,), "program": None})
    path = tmp_path / "bad.html"
    path.write_text(render_painting(page), encoding="utf-8")
    browser.open(path, scripts=False)
    assert "document.title" in browser.page.inner_text(".brush")
    assert browser.page.locator(".brush b").count() == 0


def test_a_page_that_would_be_too_large_is_refused(
    models: PaintingModels, easel: Easel, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = models.program()
    monkeypatch.setattr("seeingkit.report.painting.LARGEST_PAGE", 1_500_000)
    with pytest.raises(UsageError, match="2 MB; paint fewer .* --serve"):
        offline_page(easel, program)
    monkeypatch.setattr("seeingkit.report.painting.LARGEST_PAGE", 1_000_000)
    with pytest.raises(UsageError, match="1 MB"):
        models.program()


def test_values_are_the_class_s_means(easel: Easel) -> None:
    assert easel.page.brushes[0].units == TREE
    values = torch.tensor(easel.page.brushes[0].values)
    assert bool((values > 0).all())  # units of trees are active where trees are
