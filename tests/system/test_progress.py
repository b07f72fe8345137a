"""Progress bars: counts, rates and silence."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from seeingkit.system import progress
from seeingkit.system.progress import Lines, progress_bar


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


def test_lines_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a single step takes longer than the time between lines."""
    monkeypatch.setattr(progress, "PERIOD", 0.01)
    with progress_bar("tally church", 1000, "images") as bar:
        bar.advance(500, resumed=True)
        bar.advance(100)
        printed = ""
        while printed.count("\n") < 2:
            printed += capsys.readouterr().err
    line = r"tally church: 600 of 1,000 images \(60 %\), [\d,.]+ (images/s|s each), 0:\d\d left\n"
    assert re.fullmatch(f"({line})+", printed)
    assert capsys.readouterr().out == ""


def test_a_title_cannot_steer_a_terminal() -> None:
    assert "\x1b" not in Lines("tally \x1b[2Jchurch", 3, "images").line()


def test_a_line_has_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines = Lines("invert", 30, "images")
    now += 45
    assert lines.line() == "invert: 0 of 30 images (0 %), 0:45 so far"
    lines.advance(10, resumed=True)  # and the rate is measured from here on
    now += 100
    lines.advance(5)
    assert lines.line() == "invert: 15 of 30 images (50 %), 20.0 s each, 5:00 left"
    now += 0.0
    lines.advance(14)
    now -= 98.1
    assert lines.line() == "invert: 29 of 30 images (97 %), 10.0 images/s, 0:00 left"


def test_processes_above_rank_0_are_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(progress, "PERIOD", 0.001)
    with progress_bar("work", 10, "images"):
        time.sleep(0.02)
    assert capsys.readouterr() == ("", "")


def test_a_short_task_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
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
