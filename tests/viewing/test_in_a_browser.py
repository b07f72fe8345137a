"""The pages and reports of ``seeingkit view`` in a browser, and a report that means harm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.helpers.chromium import Chromium
from tests.helpers.church_report import HOSTILE, church_gallery, church_results, write_run
from tests.helpers.viewer import add_run, serving

from .test_comparing import other_results, several_results

pytestmark = pytest.mark.browser

HARMFUL = """<!DOCTYPE html><html data-ready="true"><body><script>
const found = {};
const attempt = (name, work) => {
  try { found[name] = String(work()); } catch (error) { found[name] = error.name; }
};
attempt("origin", () => window.origin);
attempt("cookie", () => document.cookie);
attempt("storage", () => localStorage.length);
attempt("referrer", () => document.referrer);
attempt("opener", () => window.opener);
attempt("address", () => location.href);
attempt("entries", () => navigation.entries().map((entry) => entry.url).join(" "));
const addresses = ["/", location.href, "results.json", "../", "https://evil.example/"];
const fetched = (address) => fetch(address).then(() => "answered", () => "refused");
const framed = document.createElement("iframe");
framed.src = "results.json";
const script = document.createElement("script");
script.src = "results.json";
const loaded = new Promise((done) => {
  script.onload = () => done("answered");
  script.onerror = () => done("refused");
});
document.body.append(framed, script);
Promise.all([...addresses.map(fetched), loaded]).then((all) => {
  found.fetched = all.join(" ");
  window.found = found;
});
</script></body></html>"""


class Place(NamedTuple):
    address: str
    keys: dict[str, str]

    @property
    def start(self) -> str:
        """The address without the secret."""
        return self.address.rstrip("/").rpartition("/")[0] + "/"

    @property
    def token(self) -> str:
        return self.address.removeprefix(self.start).rstrip("/")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, browser: Chromium) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("runs")
    results = church_results()
    (root / "church").mkdir()
    write_run(root / "church", results, church_gallery(results))
    add_run(root / "other", other_results(n_real=200, n_generated=200))
    add_run(root / "several", several_results())
    add_run(root / "harmful", report=HARMFUL)
    add_run(root / HOSTILE.replace("/", "\u2044"))
    (root / "unfinished").mkdir()
    with serving(root) as (address, once):
        browser.open(once)  # as the command opens it
        assert browser.evaluate("location.href") == address
        keys = browser.evaluate(
            "Object.fromEntries([...document.querySelectorAll('tr[data-title]')]"
            ".map((row) => [row.dataset.title, row.id]))"
        )
        yield Place(address, keys)
        browser.page.goto("about:blank")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_pages_fit_and_ask_for_nothing_else(
    browser: Chromium, place: Place, width: int, dark: bool
) -> None:
    keys = place.keys
    for rest in (
        "",
        "?q=nothing",
        f"run/{keys['church']}",
        f"run/{keys['several']}",
        f"compare?run={keys['church']}&run={keys['other']}&run={keys['several']}&show=all",
        "nothing",
    ):
        browser.open(place.address, rest, width=width, dark=dark)
        browser.wait("!!document.documentElement.dataset.scrollWidth")
        state = browser.evaluate("({...document.documentElement.dataset})")
        assert int(state["scrollWidth"]) <= int(state["innerWidth"]) == width
        assert (state["errors"], state["theme"]) == ("0", "dark" if dark else "light")
        expected = [] if rest != "nothing" else [p for p in browser.problems if "404" in p]
        assert browser.problems == expected
        assert browser.violations() == []
        assert browser.requests
        assert all(asked.startswith(place.start) for asked in browser.requests)


@pytest.mark.slow
def test_pages_work_without_scripts(browser: Chromium, place: Place) -> None:
    page = browser.open(place.address, scripts=False, dark=True)
    for title in ("church", "other"):
        page.check(f"[value='{place.keys[title]}']")
    page.wait_for_selector("#theme", state="hidden")
    page.click("#compare")
    page.wait_for_selector(".bars")
    assert page.inner_text("h1").startswith("Side by side")
    page.click("text=← all runs")
    page.wait_for_selector("#compare")
    assert page.locator("input:checked").count() == 2


def test_choosing_and_comparing(browser: Chromium, place: Place) -> None:
    page = browser.open(place.address)
    assert page.is_disabled("#compare")
    for title, disabled in (("church", True), ("other", False)):
        page.check(f"[value='{place.keys[title]}']")
        assert page.is_disabled("#compare") == disabled
    assert page.inner_text("#chosen") == "2 chosen"
    page.select_option("[name=order]", "name")
    page.wait_for_url("**order=name**")
    page.wait_for_selector("html[data-ready=true]")
    assert page.locator("input:checked").count() == 2
    page.click("#compare")
    page.wait_for_selector(".bars")
    assert page.inner_text("h1").startswith("Side by side")
    assert page.inner_text(".verdict-box h2") == "Comparable in part"
    assert page.locator(".bars li").count() == 2
    assert browser.problems == []


@pytest.mark.slow
def test_a_run_is_chosen_by_keys_alone(browser: Chromium, place: Place) -> None:
    page = browser.open(place.address)
    page.focus("#compare")  # disabled: focus stays where it was
    page.focus(f"[value='{place.keys['several']}']")
    page.keyboard.press("Space")
    assert page.inner_text("#chosen") == "1 chosen"
    page.focus("#compare")
    page.keyboard.press("Enter")
    page.wait_for_selector(".bars")
    assert page.locator(".bars li").count() == 2


@pytest.mark.slow
def test_the_theme_is_kept_and_told_to_reports(browser: Chromium, place: Place) -> None:
    page = browser.open(place.address)
    page.click("#theme")
    page.click("#theme")
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    assert browser.evaluate("document.documentElement.dataset.theme") == "dark"
    page.click(f"a.report[href*='{place.keys['church']}']")
    page.wait_for_url("**/report.html?theme=dark")
    page.wait_for_selector("html[data-ready=true]")
    assert browser.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.slow
def test_a_report_works_at_an_origin_of_its_own(browser: Chromium, place: Place) -> None:
    page = browser.open(place.address)
    page.click(f"a.report[href*='{place.keys['church']}']")
    page.wait_for_selector("#chart svg")
    assert browser.evaluate("[window.origin, document.referrer]") == ["null", ""]
    page.click("#theme")
    assert browser.evaluate("document.documentElement.dataset.theme") == "light"
    with page.expect_download() as saving:
        page.click("#save")
    assert saving.value.path().read_text().startswith("<svg")
    assert browser.evaluate("document.documentElement.dataset.errors") == "0"
    assert browser.problems == []
    assert all(asked.startswith(("data:", place.start)) for asked in browser.requests)
    page.go_back()
    page.wait_for_selector("#compare")
    assert page.url == place.address


def test_a_report_that_means_harm_learns_nothing(browser: Chromium, place: Place) -> None:
    page = browser.open(place.address)
    page.click(f"a.report[href*='{place.keys['harmful']}']")
    browser.wait("!!window.found")
    found = browser.evaluate("window.found")
    assert (found["origin"], found["referrer"], found["opener"]) == ("null", "", "null")
    assert found["cookie"] == found["storage"] == "SecurityError"
    assert set(found["fetched"].split()) == {"refused"}
    assert not any(place.token in value for value in found.values())
