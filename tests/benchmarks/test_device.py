"""The quick form of ``benchmarks/device.py``, on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_quick_form_measures_and_writes_one_json(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "device.json"
    command = [sys.executable, "benchmarks/device.py", "--quick", "--device", "cpu"]
    done = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text(encoding="utf-8"))
    assert record["device"] == "cpu" and record["quick"] and not record["left_out"]
    assert [model["family"] for model in record["models"]] == ["dcgan", "stylegan2"]
    for model in record["models"]:
        assert model["right"] and model["difference"] == model["labels_differ"] == 0
    rates = record["rates"]
    assert len(rates) == 4 and all(rate["ratio"] > 0 for rate in rates.values()), rates
    assert rates["tally ÷ loop of 2019, upernet-336"]["pixels_differ"] == 0
    losses = rates["inversion, batched ÷ one at a time"]["loss"]
    assert abs(losses["batched"] - losses["alone"]) < 1e-4
