"""Sides of unequal size, whatever made them so, and generators looked at as they are opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seeingkit.analyses.comparison.compare import compare
from seeingkit.contracts import Skipped
from seeingkit.errors import TallyError
from seeingkit.runs.analyze import comparison_config
from seeingkit.runs.plan import resolve
from seeingkit.runs.sides import Sides, equally_many, open_sides
from seeingkit.tallies import Tally, tally
from tests.helpers.commands import pictures
from tests.helpers.toys import LevelSegmenter, Noise


def sides(tmp_path: Path) -> tuple[Tally, Tally]:
    """30 usable images of 30, and 20 of 30."""
    segmenter = LevelSegmenter()
    real = tally(Noise(30), segmenter, store=tmp_path)
    generated = tally(Noise(30, bad=range(10), name="other"), segmenter, store=tmp_path)
    return real, generated


def test_sides_made_unequal_by_skips_are_refused_like_others(tmp_path: Path) -> None:
    real, generated = sides(tmp_path)
    with pytest.raises(TallyError, match=r"of 30 and 20 images \(10 could not be used\), and FSD"):
        compare(real, generated, permutations=0)
    assert compare(real, generated, permutations=0, force=True).results.n_generated == 20
    equal = compare(real.take(range(20)), generated, permutations=0)
    assert (equal.results.n_real, equal.results.n_generated) == (20, 20)


@pytest.mark.parametrize("n", [None, 30])
def test_the_commands_draw_as_many_with_or_without_n(n: int | None, tmp_path: Path) -> None:
    for k, name in enumerate(("a", "b")):
        pictures(tmp_path / name, 2, k)
    real, generated = sides(tmp_path)
    names = (str(tmp_path / "a"), str(tmp_path / "b"))
    plan = resolve(comparison_config(*names, segmenter="upernet:minichurches", preset="native"))
    plan = replace(plan, config=plan.config.model_copy(update={"n": n}))
    fewer, same, note = equally_many(real, generated, plan)
    assert len(fewer) == len(same) == 20 and same is generated
    assert note is not None and "(10 could not be used there)" in note
    assert equally_many(real, real, plan) == (real, real, None)
    forced = replace(plan, config=plan.config.model_copy(update={"force": True}))
    assert equally_many(real, generated, forced)[2] is None
    assert Skipped("noise-0", "broken on purpose") in same.skipped


GENERATOR = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, scale, shift):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.scale, self.shift = nn.ConvTranspose2d(4, 3, 8), scale, shift

    def forward(self, z):
        return self.scale * torch.tanh(9 * self.layer(z.reshape(-1, 4, 1, 1))) + self.shift


def right():
    return Net(1.0, 0.0)


def zero_to_one():
    return Net(0.5, 0.5)


def grey():
    return Net(0.4, 0.0)
"""


def opened(name: str, tmp_path: Path) -> Sides:
    pictures(tmp_path / "a", 20, 0, side=8)
    (tmp_path / "gen.py").write_text(GENERATOR)
    made = f"module:{tmp_path}/gen.py:{name}"
    settings = {"segmenter": "upernet:minichurches", "preset": "native", "n": 20}
    config = comparison_config(str(tmp_path / "a"), made, gan_options={"latent": [4]}, **settings)
    return open_sides(resolve(config))


def test_a_generator_of_another_range_is_refused_as_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"the range 0\.\.1: none of 16 images has a dark pixel"):
        opened("zero_to_one", tmp_path)


@pytest.mark.parametrize(("name", "doubts"), [("right", 0), ("grey", 1)])
def test_doubts_about_a_range_become_warnings(name: str, doubts: int, tmp_path: Path) -> None:
    found = opened(name, tmp_path)
    assert len(found.doubts) == doubts
    assert all("no pixel is dark or bright" in doubt for doubt in found.doubts)
    found.close()
