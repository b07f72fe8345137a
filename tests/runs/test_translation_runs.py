"""Runs of generators that translate images: what stands on the other side, and who says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seeingkit.errors import UsageError
from seeingkit.images import InputImages
from seeingkit.report.words.translation import question_of
from seeingkit.results import Results
from seeingkit.runs.analyze import analysis_config, comparison_config, execute
from seeingkit.runs.config import read_config
from seeingkit.runs.plan import resolve
from seeingkit.runs.sides import open_sides
from tests.helpers.commands import command, pictures
from tests.helpers.translators import cyclegan

N = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, photos to translate, and photos of a target domain."""
    place = tmp_path_factory.mktemp("translation")
    torch.save(cyclegan(blocks=1).state_dict(), place / "latest_net_G.pth")
    pictures(place / "photos", N, 0)
    pictures(place / "zebras", N, 1)
    return place


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "weights": "latest_net_G.pth",
        "gan_options": {"source": "photos", "resolution": 32},
        "segmenter": "upernet:minichurches",
        "permutations": 0,
        "sensitivity": "off",
        **changes,
    }


@pytest.mark.slow
def test_without_data_it_is_pairs_with_what_is_translated() -> None:
    found = execute(analysis_config(None, None, **settings()), out="pairs")
    assert found is not None
    results = found.results
    assert results.paired is not None and results.paired.pairs == N
    assert results.data.name == "photos" and results.generated.details["translates"] == "photos"
    assert "pair by pair" in question_of(results) and not results.inversions
    page = found.report.read_text(encoding="utf-8")
    assert "Asked: what vanishes in translation?" in page
    again = execute(read_config("pairs"), out="again")
    assert again is not None and again.results.paired == results.paired
    stored = Results.model_validate_json(Path("pairs/results.json").read_text(encoding="utf-8"))
    assert question_of(stored) == question_of(results)
    manifest = json.loads(Path("pairs/manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"]["paired"] is True and manifest["config"]["real"] == "photos"


@pytest.mark.slow
def test_with_data_it_is_two_sets() -> None:
    plan = resolve(analysis_config(None, "zebras", **settings()))
    assert not plan.config.paired and plan.inverters and plan.real.name == "zebras"
    found = execute(comparison_config("zebras", "auto", **settings()), out="sets")
    assert found is not None and found.results.paired is None
    assert "no pairs" in question_of(found.results)


def test_pairs_of_compare_are_the_translated_images_alone() -> None:
    sides = open_sides(resolve(comparison_config("photos", "auto", n=5, paired=True, **settings())))
    assert list(sides.real.ids) == list(sides.generated.ids) and len(sides.real.ids) == 5
    assert not isinstance(sides.real, InputImages)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="leave out --data zebras"):
        resolve(analysis_config(None, "zebras", paired=True, **settings()))
    with pytest.raises(UsageError, match="say which images cyclegan translates"):
        resolve(analysis_config(None, None, paired=True, **settings(gan_options={})))
    with pytest.raises(UsageError, match="take one below 1,000,000"):
        resolve(analysis_config(None, "zebras", seed=1_000_000, **settings()))
    with pytest.raises(UsageError, match="no/such") as caught:
        resolve(analysis_config("cyclegan", None, **settings(classes="no/such")))
    assert str(caught.value).count("no/such") == 1
    with pytest.raises(UsageError, match="translates no images"):
        resolve(analysis_config("progan:minichurches", None, paired=True))
    with pytest.raises(UsageError, match="say which with source=PATH"):
        open_sides(resolve(analysis_config(None, "zebras", **settings(gan_options={}))))
    with pytest.raises(UsageError, match="13 images asked for, 12 can be translated"):
        open_sides(resolve(analysis_config(None, None, n=13, **settings())))
    nowhere = settings(gan_options={"source": "nowhere"})
    with pytest.raises(Exception, match="no such path: nowhere"):
        resolve(analysis_config(None, None, **nowhere))


@pytest.mark.slow
def test_the_command_names_the_question_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--weights=latest_net_G.pth", "--gan-option=source=photos", "--permutations=0")
    more = ("--gan-option=resolution=32", "--segmenter=upernet:minichurches", "--sensitivity=off")
    code, out, err = command(
        "analyze", *words, *more, "--out=told", capsys=capsys, monkeypatch=monkeypatch
    )
    assert code == 0, err
    assert out.startswith("Asked: what vanishes in translation? Each image of photos")
    assert out.splitlines()[1].startswith(f"Within {N} pairs")
