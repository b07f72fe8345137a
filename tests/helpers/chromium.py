"""A headless browser for pages that are opened as files, driven by Playwright."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import ConsoleMessage, Page, sync_playwright


class Chromium:
    """One browser with one page at a time.

    Attributes:
        page: Playwright's page, for clicks and keys.
        problems: errors and warnings of the page since it was opened; requests: what it asked for.
    """

    page: Page

    def __init__(self, program: str) -> None:
        self._driver = sync_playwright().start()
        self._browser = self._driver.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        self.problems: list[str] = []
        self.requests: list[str] = []

    def open(
        self,
        page: Path | str,
        query: str = "",
        *,
        width: int = 1280,
        height: int = 900,
        scripts: bool = True,
        dark: bool = False,
    ) -> Page:
        """Open a page as a person would with a window of this size in CSS pixels."""
        if hasattr(self, "page"):
            self.page.context.close()
        self.problems.clear()
        self.requests.clear()
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=width < 600,
            is_mobile=width < 600,
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        self.page = context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((page.as_uri() if isinstance(page, Path) else page) + query)
        if scripts:
            self.page.wait_for_selector("html[data-ready=true]", timeout=40_000)
        return self.page

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(script)

    def wait(self, condition: str, seconds: float = 40.0) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + seconds
        while not self.evaluate(condition):  # the page's policy forbids Playwright's own way
            assert time.monotonic() < end, f"never true: {condition}; {self.problems}"
            self.page.wait_for_timeout(50)

    def violations(self) -> list[str]:
        """What axe-core (Deque) finds wrong for people who use other senses or tools."""
        source = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text("utf-8")
        found = self.evaluate(f"(async () => {{ {source}\n; return await axe.run() }})()")
        return [
            f"{one['id']}: {node['html'][:160]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def close(self) -> None:
        self._browser.close()
        self._driver.stop()
