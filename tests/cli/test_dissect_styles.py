"""Styles of the embedded StyleGAN2, dissected by their responses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seeingkit
from seeingkit.analyses.dissection.observation import Layer, Observer
from seeingkit.analyses.dissection.presets import rule_of
from seeingkit.analyses.dissection.responses import response_of
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset
from seeingkit.results import Manifest
from seeingkit.runs.dissect import Dissection
from tests.helpers.commands import command

pytestmark = pytest.mark.slow

STYLE, UNITS, N = "r32.conv1.style", (5, 40), 32


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Dissection:
    """By a rule that labels nearly anything, so that there are pictures of few images."""
    place = tmp_path_factory.mktemp("styles")
    return seeingkit.dissect(
        "stylegan2:minichurches",
        layers=STYLE,
        units=UNITS,
        n=N,
        level_images=32,
        rule="pnas",
        gan_options={"styles": True},
        out=place / "run",
        store=place / "store",
    )


def test_the_masks_of_channels_are_those_that_were_counted(done: Dissection) -> None:
    assert [unit.unit for unit in done.results.units] == list(UNITS)
    (layer,) = done.results.layers
    assert layer.responses and layer.extent == (32, 32) and layer.units == 2
    generator = seeingkit.load_generator("stylegan2:minichurches", styles=True)
    segmenter = seeingkit.load_segmenter("upernet:minichurches")
    preset = find_preset("native")
    levels = SamplerSource(generator, 32, 1_000_000, preset=preset)
    response = response_of(levels, generator.boundary(STYLE), UNITS)  # type: ignore[attr-defined]
    observer = Observer(
        SamplerSource(generator, N, preset=preset),
        segmenter,  # type: ignore[arg-type]
        [Layer(response.grid(64), response=response)],
        rule_of("pnas").side,
    )
    unit = next(one for one in done.results.units if one.masks)
    assert unit.step == pytest.approx(float(response.spread[unit.unit]), rel=1e-6)
    with Image.open(done.run.path / str(unit.masks)) as picture:
        strip = np.asarray(picture.convert("L")) > 0
    seen = [observer.observe(range(first, first + 16)) for first in (0, 16)]
    for k, image in enumerate(unit.shown):
        values = seen[image // 16].maps[STYLE][image % 16, UNITS.index(unit.unit)].numpy()
        side = values.shape[1]
        assert values.max() == np.float32(unit.peaks[k])
        assert unit.level is not None
        assert np.array_equal(strip[:, k * side : (k + 1) * side], values > np.float32(unit.level))


def test_page_and_manifest_say_what_was_looked_at(done: Dissection) -> None:
    page = done.report.read_text()
    assert "moving the channel alone by one standard deviation" in page
    text = (done.run.path / "manifest.json").read_text()
    said = Manifest.model_validate_json(text).command
    assert f"--layers {STYLE} --units 5,40" in said and "styles=true" in said.lower()


def test_a_channel_that_is_not_there_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("dissect", "--gan", "stylegan2:minichurches", "--gan-option", "styles=true")
    words = (*words, "--layers", STYLE, "--units", "3,48")
    code, _, err = command(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2 and "no channel 48 at r32.conv1.style; there are 0 to 47" in err
    assert not list(tmp_path.iterdir())
