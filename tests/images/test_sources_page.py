"""Each source that docs/sources.md names is opened as it is written there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from seeingkit.cli.options import parse_options
from seeingkit.images import open_images
from tests.helpers.shards import image_rows, picture, write_parquet, write_tar

PAGE = Path(__file__).parents[2] / "docs" / "sources.md"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the page names."""
    for k in range(3):
        path = tmp_path / "photos" / "deep" / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(k, "JPEG"))
    shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "photos")
    (tmp_path / "list.txt").write_text("photos/deep/1.jpg\n")
    np.savez(tmp_path / "samples.npz", np.zeros((2, 16, 16, 3), np.uint8))
    for k in range(2):
        write_tar(tmp_path / "shards" / f"train-{k:04d}.tar", {f"{k}.png": picture(k)})
    pairs = {f"{k}.{side}.png": picture(k) for k in range(2) for side in ("input", "target")}
    write_tar(tmp_path / "pairs.tar", pairs)
    rows = {"image": image_rows(range(3)), "label": [0, 1, 2]}
    write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands() -> list[str]:
    (block,) = re.findall(r"```\n(seeingkit tally.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(block).splitlines()


@pytest.mark.parametrize("command", commands())
def test_sources_of_the_page(command: str, places: Path) -> None:
    name, *rest = shlex.split(command)[2:]
    assert rest[::2] == ["--data-option"] * (len(rest) // 2)
    if name.startswith("hf:"):
        datasets = pytest.importorskip("datasets")
        whole = datasets.Dataset.from_dict(
            {"image": image_rows(range(2))},
            features=datasets.Features({"image": datasets.Image()}),
        )
        datasets.DatasetDict({"train": whole, "test": whole}).save_to_disk(places / "saved")
    source = open_images(name, data_options=parse_options(rest[1::2]))
    assert len(source) in (1, 2, 3) and source.left_out == ()
    assert len(source.load(range(len(source)))[1]) == len(source)
    source.close()


def test_the_code_of_the_page_runs(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(code.replace("n=100", "n=2"), {})
    assert capsys.readouterr().out.startswith("2 train-000")


def test_kinds_of_sources_are_all_on_the_page() -> None:
    from seeingkit.images.opening import _BY_SUFFIX

    page = PAGE.read_text("utf-8")
    for suffix in (*_BY_SUFFIX, ".tar", ".parquet", "data.mdb", "hf:"):
        assert suffix in page, suffix
