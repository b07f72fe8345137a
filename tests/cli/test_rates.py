"""``doctor --bench``: rates of this machine."""

from __future__ import annotations

import json

import pytest

from seeingkit.cli import rates
from seeingkit.errors import ExitCode, UsageError
from seeingkit.models.registry import registry
from tests.helpers.commands import command


@pytest.mark.slow
def test_each_stage_has_a_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, small in (("ROUNDS", 1), ("IMAGES", 4), ("BATCH", 2), ("STEPS", 2), ("PHOTOS", 1)):
        monkeypatch.setattr(rates, name, small)
    words = ("doctor", "--bench", "--device", "cpu", "--json")
    code, out, err = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == ExitCode.DONE, err
    stages = json.loads(out)
    assert [stage["stage"].split()[0] for stage in stages] == [
        "read",
        "generate:",
        "count",
        "tally",
        "invert,",
    ]
    assert all(stage["rate"] > 0 for stage in stages)


def test_the_best_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 9.0, 10.0, 14.0, 20.0, 22.0, 30.0, 33.0])
    monkeypatch.setattr(rates.time, "perf_counter", lambda: next(times))
    assert rates._best(8, lambda: None) == 4.0


def test_a_data_set_without_models_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry().resolve("data", registry().default("data"))
    bare = spec.model_copy(update={"gan": None})
    monkeypatch.setattr(type(registry()), "resolve", lambda *_: bare)
    with pytest.raises(UsageError, match="names no generator or no segmenter"):
        next(rates.measure("cpu"))
