"""Small suites of models of a few operations (``benchmarks.cheap_models``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cheap_models import register_all
from seeingkit.models.registry import registry

TOML = """
n = 40
permutations = 19
sensitivity = "off"

[[data]]
name = "patches"

[[generators]]
name = "plain"
source = "painter"

[[generators]]
name = "training"
source = "painter"
weights = "run/snap-*.txt"
"""


@pytest.fixture
def cheap_models() -> Iterator[None]:
    """The cheap models by name, in this process."""
    registry.cache_clear()
    register_all()
    yield
    registry.cache_clear()


@pytest.fixture
def suite(tmp_path: Path, cheap_models: None) -> Path:
    """The file of a suite of a generator and two snapshots of a training."""
    (tmp_path / "run").mkdir()
    for step in (100, 1000):
        (tmp_path / "run" / f"snap-{step:06}.txt").write_text(f"{step / 2000}")
    path = tmp_path / "suite.toml"
    path.write_text(TOML)
    return path


@pytest.fixture
def entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cheap models in processes that are started, too: an installed package brings them."""
    place = tmp_path / "packages"
    info = place / "cheap_models-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cheap-models\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[seeingkit]\ncheap = benchmarks.cheap_models\n")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{place}:{root}")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
