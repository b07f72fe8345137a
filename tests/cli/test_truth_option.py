"""``--truth``: label maps that do not fit end the run before any image is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seeingkit.images import open_images
from seeingkit.images.preprocess import quantise
from tests.helpers.commands import command


def test_shifted_label_maps_end_the_run_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    source = open_images("minichurches", preset="native")
    pixels, maps = quantise(source.read(range(6))).numpy(), source.read_labels(range(6)).numpy()
    for folder in ("photos", "maps"):
        Path(folder).mkdir()
    for k in range(6):
        Image.fromarray(pixels[k]).save(f"photos/{k}.png")
        Image.fromarray(maps[k].astype(np.uint8)).save(f"maps/{k}.png")
    words = ["compare", "photos", "photos", "--segmenter", "upernet:minichurches"]
    words += ["--preset", "native", "--truth", "maps", "--permutations", "0", "--out", "run"]

    def run(names: list[str]) -> tuple[int, str]:
        Path("maps/labels.txt").write_text("\n".join(names))
        code, _, err = command(*words, capsys=capsys, monkeypatch=monkeypatch)
        return code, err

    names = list(source.label_names)
    code, err = run([*names[1:], "void"])  # each number means the name after its own
    assert code == 1 and not Path("run").exists()
    line = err.strip().splitlines()[-1]
    assert "the label maps in maps: the numbers seem shifted by one (each one too high" in line
    assert "instead of 0." in line and f"(void, {names[1]}, {names[2]}, …)" in line
    assert run(names)[0] == 0
