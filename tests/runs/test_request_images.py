"""Numbers of images, and seeds, of edits of generators that translate images."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seeingkit import rewrite
from seeingkit.analyses.rewriting.bench import latent_of
from seeingkit.contracts.given import given_numbers
from seeingkit.contracts.latents import SERIES, Series
from seeingkit.editing.opening import open_desk
from seeingkit.errors import UsageError
from seeingkit.models.editfiles import LatentStart, start_state
from seeingkit.models.loading import load_generator
from seeingkit.runs.painting_models import Wish, open_models
from seeingkit.runs.request_images import check_request_images
from tests.helpers.commands import pictures
from tests.helpers.rewriting import box
from tests.helpers.translators import cyclegan

N, SIZE = 24, 32
PAINTED = SERIES * Series.PAINTING


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requests")
    torch.save(cyclegan(blocks=1).state_dict(), folder / "g.pth")
    pictures(folder / "photos", N, 0)
    return folder


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("SEEINGKIT_CACHE", str(place / "cache"))


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "weights": "g.pth",
        "gan_options": {"source": "photos", "resolution": SIZE},
        **changes,
    }


def generator() -> Any:
    return load_generator("cyclegan", weights="g.pth", source="photos", resolution=SIZE)


def request(index: int, seed: int) -> Any:
    from seeingkit.analyses.rewriting.regions import Region, Request

    mask = np.asarray(box(4, 4, 20, 20, SIZE))
    return Request(Region(index, mask), Region(0, mask), (Region(1, mask),), seed=seed)


def test_an_image_is_numbered_once() -> None:
    made = generator()
    assert latent_of(made, N - 1, 5)["image"].shape == (1, 3, SIZE, SIZE)
    for check in (
        lambda: latent_of(made, N, 5),
        lambda: start_state(LatentStart(seed=5, index=N), made),
        lambda: check_request_images(made, [request(N, 5)], 0, 0),
    ):
        with pytest.raises(UsageError, match=rf"image {N}: cyclegan can translate {N} images"):
            check()
    half = N - N // 2
    latent_of(made, half - 1, PAINTED)
    with pytest.raises(UsageError, match=rf"{half} of {N} images of photos here, numbers 0 to 11"):
        latent_of(made, half, PAINTED)


@pytest.mark.parametrize("seed", [PAINTED, PAINTED + 7, SERIES * Series.KEYS])
def test_further_series_are_images_that_nothing_is_measured_on(seed: int) -> None:
    made, half = generator(), N // 2
    measured = given_numbers(N, range(half), SERIES * Series.REWRITTEN)
    painted = [latent_of(made, k, seed)["image"] for k in range(half)]
    fresh = [made.latents([k], seed=SERIES * Series.REWRITTEN)["image"] for k in range(half)]
    assert len({image.numpy().tobytes() for image in (*painted, *fresh)}) == N
    assert set(measured).isdisjoint(given_numbers(N, range(half), seed))


def test_images_of_the_request_among_the_measured_are_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = generator()
    with caplog.at_level(logging.WARNING):
        check_request_images(made, [request(3, PAINTED)], N // 2, 0)
        check_request_images(made, [request(3, 0)], 0, 0)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        check_request_images(made, [request(3, 0)], N // 2, 0)
    (record,) = caplog.records
    named = [str(made.given.ids[k]) for k in (3, 0, 1)]
    assert ", ".join(named) in record.getMessage() and "no fresh ones" in record.getMessage()
    with pytest.raises(UsageError, match="13 images asked for, 12 can be translated"):
        check_request_images(made, [request(3, 0)], N // 2 + 1, 0)


@pytest.mark.parametrize("seed", [SERIES, SERIES * Series.REWRITTEN])
def test_seeds_of_further_series_are_refused_for_runs(place: Path, seed: int) -> None:
    said = f"--seed {seed}: of a generator that translates images take one below 1,000,000"
    file = place / "request.json"
    file.write_text(json.dumps({"object": [], "paste": [], "key": []}))
    for n in (0, 4):
        with pytest.raises(UsageError, match=said):
            rewrite(
                None,
                file,
                "block0",
                out="e.safetensors",
                n=n,
                **settings(seed=seed, segmenter="upernet:minichurches"),
            )
    with pytest.raises(UsageError, match=said):
        open_desk(seed=seed, **settings())
    with pytest.raises(UsageError, match=said):
        open_models(None, Wish(), **settings(seed=seed, segmenter="upernet:minichurches"))
    assert open_desk(seed=SERIES - 1, **settings()).picture(0)[:4] == b"\x89PNG"
    with pytest.raises(UsageError, match="can translate"):
        open_desk(**settings()).picture(N)
