"""Small versions of ``benchmarks.damage`` and the comparison of ``benchmarks.kills``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.damage import CASES, TALLY, Spoil, Work, flip, outcomes, stale
from benchmarks.kills import content
from seeingkit.tallies import counting


@pytest.fixture(autouse=True)
def _chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "CHUNK", counting.CHUNK)  # the benchmark sets its own


@pytest.mark.parametrize(("name", "work", "spoil", "number"), CASES, ids=lambda v: str(v)[:20])
def test_damage_is_found_and_mended(name: str, work: Work, spoil: Spoil, number: int) -> None:
    assert list(outcomes(work, spoil, 2, seed=1)) == ["found"] * 2


def test_an_effect_without_a_word_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from seeingkit.tallies import reading

    monkeypatch.setattr(reading, "check_seal", lambda data: None)
    assert set(outcomes(TALLY, flip, 12, seed=1)) - {"found"}
    assert stale() == "found"


def test_what_differs_between_runs_is_seen(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    record = {"loss": 1.0, "seconds": 2.0, "inner": [{"train_seconds": 3.0}]}
    path = tmp_path / "work" / "results.json"
    path.write_text(json.dumps(record))
    before = content(tmp_path)
    path.write_text(json.dumps(record | {"seconds": 9.0, "inner": [{"train_seconds": 1.0}]}))
    assert content(tmp_path) == before
    path.write_text(json.dumps(record | {"loss": 2.0}))
    assert content(tmp_path) != before
