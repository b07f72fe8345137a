"""Preset ``paper``: stand-in features do not swamp the pixels, and every difference is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seeingkit.analyses.inversion import load_inverter
from seeingkit.analyses.inversion.differences import paper_differences
from seeingkit.analyses.inversion.encoders.files import encoder_path
from seeingkit.analyses.inversion.encoders.recipes import FAST, PAPER, RECIPES
from seeingkit.analyses.inversion.encoders.training import train_encoder
from seeingkit.analyses.inversion.prepared import LayerPrepared
from seeingkit.analyses.inversion.presets import STAND_IN_WEIGHT
from seeingkit.contracts import FeaturesInfo, Generator, State
from seeingkit.models.loading import load_generator
from tests.helpers.inversion_toys import (
    RECIPE,
    SIDE,
    Mirror,
    exchange_features,
    linear_generator,
    noise,
    styled_generator,
    tiny_progan,
)

TRAINED = replace(RECIPE, layer_steps=1, image_steps=1, tune_steps=1, batch=4)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes ``Mirror`` of that layer the perceptual features."""
    mirror = Mirror()
    mirror.info = FeaturesInfo(family="mirror", layer=request.param)
    exchange_features(monkeypatch, mirror)
    return str(request.param)


def prepared(generator: Generator, method: str = "layered+r", **options: Any) -> LayerPrepared:
    """Of preset paper, from the average image unless the options say otherwise."""
    given = {"preset": "paper", "encoder": "none", **options}
    found = load_inverter(method, **given).prepare(generator)
    assert isinstance(found, LayerPrepared)
    return found


def said(one: LayerPrepared, *cuts: str) -> list[str]:
    return paper_differences([one], cuts or [one.cut])


def with_encoder(one: LayerPrepared, recipe: dict[str, Any], tmp_path: Path) -> LayerPrepared:
    """The same with a (hardly trained) encoder whose file says that recipe."""
    path = tmp_path / "encoder.safetensors"
    encoder = train_encoder(one.generator, "layered", one.cut, TRAINED, path=path)
    encoder = replace(encoder, record={**encoder.record, "recipe": recipe})
    return replace(one, encoder=encoder, start="encoder")


# ------------------------------------------------------------------------- features that stand in


@pytest.mark.parametrize("layer", ["glass"], indirect=True)
def test_features_that_stand_in_are_relative_and_small(layer: str) -> None:
    generator, images = linear_generator(), noise(2)
    chosen = load_inverter("layered+r", preset="paper", encoder="none", steps=0)
    init = State("b", torch.zeros(2, 3, SIDE, SIDE))
    found = chosen.invert(generator, images, init=init)
    pixel = images.abs().flatten(1).mean(1)
    # An image of zeros is all of the photo's features away: their relative difference is 1.
    torch.testing.assert_close(found.loss, (pixel + STAND_IN_WEIGHT).double())
    settings = chosen.prepare(generator).settings
    assert settings["perceptual_weight"] == STAND_IN_WEIGHT and settings["relative_features"]
    sentence = said(prepared(generator))[0]
    assert "mirror stands in for VGG-16's relu4_2, relative to the photo's" in sentence
    assert "with weight 0.2" in sentence and "the paper: weight 1" in sentence


@pytest.mark.parametrize("layer", ["relu4_2"], indirect=True)
def test_the_papers_own_features_have_its_weight(layer: str) -> None:
    one = prepared(linear_generator())
    assert (one.preset.perceptual_weight, one.preset.relative_features) == (1.0, False)
    assert not any("VGG" in sentence for sentence in said(one))


@pytest.mark.parametrize("layer", ["glass"], indirect=True)
def test_a_weight_that_is_given_stays_and_is_named(layer: str) -> None:
    one = prepared(linear_generator(), perceptual_weight=3.0)
    assert (one.preset.perceptual_weight, one.preset.relative_features) == (3.0, False)
    assert "as they are and with weight 3 (the paper" in said(one)[0]
    assert said(one)[-1] == "by its options the run has perceptual weight 3.0 (the paper: 1.0)"
    fast = load_inverter("layered+r", encoder="none").prepare(linear_generator())
    assert isinstance(fast, LayerPrepared) and fast.preset.perceptual_weight == 0.1
    assert paper_differences([fast], [fast.cut]) == []


# -------------------------------------------------------------------------------- the differences


def test_nothing_is_named_where_nothing_but_the_training_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VGG-16, the paper's cut and recipe: what is left is how its encoder was trained."""
    mirror = Mirror()
    mirror.info = FeaturesInfo(family="mirror", layer="relu4_2")
    exchange_features(monkeypatch, mirror)
    one = with_encoder(prepared(tiny_progan(), cut="r8.conv1"), PAPER.record(), tmp_path)
    assert len(said(one)) == 1 and "cosine over channels" in said(one)[0]


def test_the_cut_names_the_residuals_that_are_optimised(tmp_path: Path) -> None:
    one = prepared(tiny_progan(), perceptual="none")
    assert any("no encoder, so inversion starts from the average r" in s for s in said(one))
    one = with_encoder(one, TRAINED.record(), tmp_path)
    at = {cut: said(one, cut)[-1] for cut in ("r4.conv0", "r4.conv1", "r8.conv0")}
    assert "after 1 layer, 4x4, so that δ_1 is optimised; the paper cuts" in at["r4.conv0"]
    assert "after 2 layers, 4x4, so that δ_1 is optimised; the paper cuts" in at["r4.conv1"]
    assert "after 3 layers, 8x8, so that δ_1 … δ_2 is optimised" in at["r8.conv0"]
    assert "r is at" not in " ".join(said(one, "r8.conv1"))
    assert len(said(one, "r4.conv0", "r4.conv1")) == len(said(one)) + 1  # the others said once


def test_another_recipe_is_named_with_its_steps(tmp_path: Path) -> None:
    one = with_encoder(prepared(linear_generator()), TRAINED.record(), tmp_path)
    assert any(
        "trained by recipe 'toy' (1 steps of all together), not by the paper's (100,000)" in s
        for s in said(one)
    )


def test_options_and_carried_tensors_are_named() -> None:
    one = prepared(styled_generator(), steps=7, residuals="all", carry=["style"])
    assert said(one)[-1] == (
        "by its options the run has steps 7 (the paper: 3000), residuals all (the paper: before)"
    )
    assert any(s.startswith("style of the state are optimised along with r") for s in said(one))
    z = prepared(linear_generator(), "z", perceptual="none")
    assert any("L-BFGS" in s for s in said(z)) and not any("δ" in s for s in said(z))


# -------------------------------------------------------------------------------- the recipe


def test_the_papers_rates_are_those_of_its_scripts() -> None:
    """e_i: epochs 20 and 60 of 100; e_f: constant; E: epochs 50, 150 and 350 of 1,000."""
    assert [PAPER.rate_factor(k, 100) for k in (0, 19, 20, 59, 60, 99)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )
    assert {PAPER.rate_factor(k, 100, "image") for k in range(100)} == {1.0}
    assert [PAPER.rate_factor(k, 1000, "tune") for k in (0, 49, 50, 149, 150, 349, 350)] == [
        *(1, 1, 0.5, 0.5, 0.25, 0.25, 0.125)
    ]
    assert [FAST.rate_factor(k, 10, "tune") for k in range(10)] == [
        FAST.rate_factor(k, 10) for k in range(10)
    ]


def test_recipes_without_rates_of_their_own_keep_their_key() -> None:
    """Encoders that were trained before stay found."""
    assert RECIPES["fast"].key() == "0c83d194"
    assert "tune_decay" not in FAST.record() and PAPER.record()["tune_milestones"] == [
        *(0.05, 0.15, 0.35)
    ]


@pytest.mark.slow
def test_the_papers_preset_takes_its_own_recipe_before_a_shipped_encoder() -> None:
    generator = load_generator("progan:minichurches")
    assert isinstance(generator, Generator)
    cut = generator.default_cut
    options: dict[str, Any] = {"encoder": "found", "perceptual": "none"}
    shipped = prepared(generator, **options)
    assert any("trained by recipe 'minichurches'" in s for s in said(shipped))
    path = encoder_path(generator, "layered", cut, PAPER.key())
    train_encoder(generator, "layered", cut, TRAINED, path=path)
    own = prepared(generator, **options)
    assert own.encoder is not None and getattr(own.encoder, "path", None) == path
    fast = load_inverter("layered+r", **options).prepare(generator)
    assert fast.encoder is not None and shipped.encoder is not None
    assert fast.encoder.sha256 == shipped.encoder.sha256 != own.encoder.sha256
