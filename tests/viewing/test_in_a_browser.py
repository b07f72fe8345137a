"""The pages and reports of ``seeingkit view`` in a browser, and a report that means harm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
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
        visit(browser, once)  # as the command opens it
        assert browser.evaluate("location.href") == address
        keys = browser.evaluate(
            "Object.fromEntries([...document.querySelectorAll('tr[data-title]')]"
            ".map((row) => [row.dataset.title, row.id]))"
        )
        yield Place(address, keys)
        visit(browser, "about:blank", ready="true")


def visit(
    browser: Chromium,
    address: str,
    *,
    width: int = 1280,
    dark: bool = False,
    ready: str = "document.documentElement?.dataset.ready === 'true'",
) -> None:
    browser.problems.clear()
    browser.requests.clear()
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=844 if width < 600 else 800,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    browser.call("Page.navigate", url=address)
    browser.wait(f"document.readyState === 'complete' && ({ready})")


def report(place: Place, title: str) -> str:
    start = "/".join(place.address.split("/")[:3])
    return f"{start}/{place.keys[title]}/report.html"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
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
        visit(browser, place.address + rest, width=width, dark=dark)
        state = browser.evaluate("({...document.documentElement.dataset})")
        assert int(state["scrollWidth"]) <= int(state["innerWidth"]) == width
        assert (state["errors"], state["theme"]) == ("0", "dark" if dark else "light")
        expected = [] if rest != "nothing" else [p for p in browser.problems if "404" in p]
        assert browser.problems == expected
        start = "/".join(place.address.split("/")[:3]) + "/"
        assert browser.requests and all(asked.startswith(start) for asked in browser.requests)


def test_choosing_and_comparing(browser: Chromium, place: Place) -> None:
    visit(browser, place.address)
    assert browser.evaluate("document.getElementById('compare').disabled")
    for title, disabled in (("church", True), ("other", False)):
        browser.evaluate(f"document.querySelector('[value=\"{place.keys[title]}\"]').click()")
        assert browser.evaluate("document.getElementById('compare').disabled") == disabled
    assert browser.evaluate("document.getElementById('chosen').textContent") == "2 chosen"
    browser.evaluate(
        "{ const order = document.querySelector('[name=order]'); order.value = 'name';"
        " order.dispatchEvent(new Event('change', {bubbles: true})); }"
    )
    browser.wait("location.search.includes('order=name')")
    browser.wait("document.documentElement.dataset.ready === 'true'")
    assert browser.evaluate("document.querySelectorAll('input:checked').length") == 2
    browser.evaluate("document.getElementById('compare').click()")
    browser.wait("document.querySelector('h1')?.textContent.startsWith('Side by side')")
    assert browser.evaluate("document.querySelector('h2').textContent") == "Comparable in part"
    assert browser.evaluate("document.querySelectorAll('.bars li').length") == 2
    assert browser.problems == []


def test_the_theme_is_kept_and_told_to_reports(browser: Chromium, place: Place) -> None:
    visit(browser, place.address)
    click = "document.getElementById('theme').click()"
    browser.evaluate(f"{click}; {click}")
    visit(browser, place.address)
    assert browser.evaluate("document.documentElement.dataset.theme") == "dark"
    link = browser.evaluate("document.querySelector('a.report').href")
    assert link.endswith("/report.html?theme=dark")
    visit(browser, report(place, "church") + "?theme=dark")
    assert browser.evaluate("document.documentElement.dataset.theme") == "dark"
    visit(browser, place.address)
    browser.evaluate(click)
    assert browser.evaluate("localStorage.getItem('seeingkit-theme')") == "auto"


def follow(browser: Chromium, place: Place, title: str, until: str) -> None:
    """Click on a report in the list."""
    visit(browser, place.address)
    browser.evaluate(f"document.querySelector('a.report[href*=\"{place.keys[title]}\"]').click()")
    browser.wait(f"document.documentElement?.dataset.ready === 'true' && ({until})")


def test_a_report_works_at_an_origin_of_its_own(
    browser: Chromium, place: Place, tmp_path: Path
) -> None:
    follow(browser, place, "church", "!!document.querySelector('#chart svg')")
    assert browser.evaluate("[window.origin, document.referrer]") == ["null", ""]
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate("document.documentElement.dataset.theme") == "light"
    assert browser.evaluate("document.getElementById('theme').textContent") == "Theme: light"
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.evaluate("document.getElementById('save').click()")
    end = time.monotonic() + 30
    while not (saved := list(tmp_path.glob("*.svg"))) and time.monotonic() < end:
        time.sleep(0.05)
    assert saved and saved[0].read_text().startswith("<svg")
    assert browser.evaluate("document.documentElement.dataset.errors") == "0"
    assert browser.problems == []
    start = place.address.split(place.address.split("/")[3])[0]
    assert all(asked.startswith(("data:", start)) for asked in browser.requests)


def test_a_report_that_means_harm_learns_nothing(browser: Chromium, place: Place) -> None:
    follow(browser, place, "harmful", "!!window.found")
    found = browser.evaluate("window.found")
    assert (found["origin"], found["referrer"], found["opener"]) == ("null", "", "null")
    assert found["cookie"] == found["storage"] == "SecurityError"
    assert set(found["fetched"].split()) == {"refused"}
    token = place.address.split("/")[3]
    assert not any(token in value for value in found.values())
