"""Progress bars: counts, rates and silence."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from seeingkit.system.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def see(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal; not in a fixture, after which pytest sets its own stderr again."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", "120"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


def test_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("work", 10, "images") as bar:
        bar.advance(4, resumed=True)
        bar.advance(6)
    assert capsys.readouterr() == ("", "")


def test_count_and_unit_are_shown_and_brackets_are_no_markup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = see(monkeypatch)
    with progress_bar("hash [red]x", 10, "files") as bar:
        bar.advance(4)
        time.sleep(0.02)
        bar.advance(3)
    last = terminal.getvalue()
    assert "hash [red]x" in last and "7/10" in last
    assert re.search(r"\d+\.\d files/s", last)


def test_resumed_steps_do_not_count_for_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = see(monkeypatch)
    with progress_bar("work", 20_010, "images") as bar:
        bar.advance(10_000, resumed=True)
        bar.advance(10_000, resumed=True)
        time.sleep(0.05)
        bar.advance(1)
    last = terminal.getvalue()
    assert "20001/20010" in last
    rates = [float(rate) for rate in re.findall(r"([\d.]+) images/s", last)]
    assert rates and max(rates) <= 20  # one step in at least 0.05 s
