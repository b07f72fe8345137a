"""Sweeps: a generator where one layer and rank is right, and requests that none can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seeingkit.analyses.rewriting.sweep import Sweep, sweep
from seeingkit.analyses.rewriting.sweep_settings import SweepSettings
from tests.helpers.rewriting import blocks, blocks_request
from tests.helpers.toys import LevelSegmenter

SETTINGS = SweepSettings(
    sites=("signs", "mark", "image"), ranks=(1, 2), keeps=(5.0, 0.1), images=40, fresh=60,
    key_images=60,
)  # fmt: skip


def swept(seed: int = 0, *, dark: bool = True, **more: object) -> Sweep:
    given = replace(SETTINGS, **more)  # type: ignore[arg-type]
    wanted = blocks_request(seed, dark=dark)
    return sweep(blocks(), wanted, LevelSegmenter("thirds"), given, wanted=["bright"], seed=seed)


@pytest.fixture(scope="module")
def found() -> Sweep:
    return swept()


def test_the_one_right_layer_and_rank_is_found(found: Sweep) -> None:
    assert found.edit is not None and found.results.found
    assert (found.edit.site, found.edit.rank) == ("mark", 1)
    assert found.results.matching_site == "mark" and found.results.separation > 0.99
    chosen = found.results.chosen
    assert chosen is not None and chosen.beyond.low is not None
    assert chosen.success.value is not None and chosen.success.value > 0.5
    assert chosen.beyond.low > 0.05 and chosen.beyond.low > 0.3
    rows = found.results.edits
    assert len(rows) == 12 and sum(row.chosen for row in rows) == 1
    assert (found.results.contexts, found.results.held_out) == (6, 2)
    (best,) = (row for row in rows if row.chosen)
    assert best.unbeaten and best.held_out is not None and best.held_out > 0.5


def test_a_sweep_is_repeatable_and_resumes(tmp_path: Path, found: Sweep) -> None:
    for _ in range(2):
        again = sweep(
            blocks(), blocks_request(), LevelSegmenter("thirds"), SETTINGS, wanted=["bright"],
            folder=tmp_path,
        )  # fmt: skip
        assert again.results == found.results and again.edit is not None
        assert found.edit is not None and again.edit.digest() == found.edit.digest()
