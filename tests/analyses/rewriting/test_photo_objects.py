"""An object of one's own photo in place of one of a sample."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import seeingkit
from seeingkit.analyses.rewriting.outcomes import copied_classes
from seeingkit.analyses.rewriting.plan import bench_of, plan, region_pair, request_record
from seeingkit.analyses.rewriting.published import PublishedSettings
from seeingkit.analyses.rewriting.regions import (
    InvertedPhoto,
    PhotoRegion,
    Region,
    Request,
    request_of,
)
from seeingkit.analyses.rewriting.session import Session
from seeingkit.errors import SeeingkitError, UsageError
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit
from seeingkit.runs.request_photos import with_photo
from tests.helpers.rewriting import box
from tests.helpers.spotted import Reds, spots, spotted


def asked() -> Request:
    """Copy the spot of a photo to the places of spots, which the generator leaves grey."""
    real, generator = spotted(drawn=True), spotted()
    latent = generator.latents(range(40), seed=0)
    masks = [(mask.numpy() * 255).astype(np.uint8) for mask in spots(latent["z"])]
    having = [k for k, mask in enumerate(masks) if mask.any()][:5]
    first, *others = having
    image = real.advance(real.begin(latent)).x[[first]]
    state = generator.advance(generator.begin(latent), "r16.place")[[first]]
    copy = PhotoRegion(0, masks[first], "spot.png", InvertedPhoto(image, state))
    contexts = tuple(Region(k, masks[k]) for k in others)
    return Request(copy, contexts[0], contexts, 0)


def test_what_a_photo_shows_is_drawn_where_the_context_is() -> None:
    request, generator = asked(), spotted()
    edit = plan(generator, request, "r16", rank=1, keep=0.01)
    edited = RewrittenGenerator(generator, [edit])
    latent = generator.latents(range(40, 80), seed=0)
    truth = spots(latent["z"]) > 0
    red = Reds().segment(edited(latent))[:, 0] == 2
    assert not (Reds().segment(generator(latent)) == 2).any()
    assert bool(red[truth].float().mean() > 0.9) and bool(red[~truth].float().mean() < 0.05)
    site = generator.site("r16")
    assert copied_classes(bench_of(generator, site, request), request.copy, Reds()) == ("spot",)


def test_a_record_names_the_photo_and_holds_no_pixels(tmp_path: Path) -> None:
    request = asked()
    record = json.loads(json.dumps(request_record(request)))
    assert record["object"][0] == "spot.png"
    again = request_of(record, "edit.safetensors")
    assert isinstance(again.copy, PhotoRegion) and again.copy.photo == "spot.png"
    with pytest.raises(UsageError, match="name its classes with --wanted"):
        _ = again.copy.found
    with pytest.raises(UsageError, match="name its classes with --wanted"):
        plan(spotted(), again, "r16", rank=1)
    with pytest.raises(SeeingkitError, match="no edit as the rewriting notebook saves it"):
        request_of({**record, "paste": record["object"]}, "request.json")
    session = Session(spotted())
    with pytest.raises(UsageError, match="are for seeingkit rewrite"):
        session.load_request(json.dumps(record))


def test_the_published_solver_has_no_photos() -> None:
    with pytest.raises(UsageError, match="take solver closed for photos"):
        plan(spotted(), asked(), "r16", solver="published", published=PublishedSettings(steps=1))


def test_a_photo_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    generator = spotted()
    request = request_of(request_record(asked()), "request.json")
    with pytest.raises(UsageError, match="lies in front of 'r16', where the photo is inverted"):
        with_photo(request, tmp_path, generator, "r16")
    with pytest.raises(SeeingkitError, match=r"spot\.png"):
        with_photo(request, tmp_path, seeingkit.load_generator("progan:minichurches"), "r16.conv1")


@pytest.mark.slow
def test_a_photo_file_becomes_an_edit(tmp_path: Path) -> None:
    generator = seeingkit.load_generator("progan:minichurches")
    (image,) = generator(generator.latents([3], seed=5))
    levels = ((image.movedim(0, -1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    Image.fromarray(levels.numpy()).save(tmp_path / "photo.png")
    stream = io.BytesIO()
    Image.fromarray(box(24, 4, 56, 24)).save(stream, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    context = region_pair(Region(9, box(4, 24, 20, 40)))
    request = {"object": ["photo.png", uri], "paste": context, "key": [context], "seed": 1}
    (tmp_path / "request.json").write_text(json.dumps(request))
    done = seeingkit.rewrite(
        "progan:minichurches",
        tmp_path / "request.json",
        "r16.conv1",
        out=tmp_path / "edit.safetensors",
        n=0,
        key_images=40,
    )
    found = WeightEdit.load(done.path)
    assert found.request is not None and found.request["object"][0] == "photo.png"
    assert float(found.change().abs().max()) > 0
