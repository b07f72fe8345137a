"""Regions of one's own photos in place of those of samples: object, place and contexts."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

import seeingkit
from seeingkit.analyses.interventions.subjects import Sample
from seeingkit.analyses.rewriting.assess import targets_of
from seeingkit.analyses.rewriting.candidates import fitting_sites
from seeingkit.analyses.rewriting.goals import pasted
from seeingkit.analyses.rewriting.matching import matcher_of
from seeingkit.analyses.rewriting.moments import key_moments
from seeingkit.analyses.rewriting.outcomes import copied_classes
from seeingkit.analyses.rewriting.photos import nearness, photo_values
from seeingkit.analyses.rewriting.plan import (
    bench_of,
    plan,
    region_pair,
    request_record,
    usual_moments,
)
from seeingkit.analyses.rewriting.published import PublishedSettings
from seeingkit.analyses.rewriting.regions import InvertedPhoto, PhotoRegion, Region, Request
from seeingkit.analyses.rewriting.requestfiles import request_of
from seeingkit.analyses.rewriting.session import Session
from seeingkit.errors import SeeingkitError, SourceError, UsageError
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit, edit_of
from seeingkit.runs.request_photos import (
    photo_hashes,
    target_with_photos,
    told_nearness,
    with_photos,
)
from tests.helpers.rewriting import box, small
from tests.helpers.spotted import Reds, spots, spotted


@cache
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
    with pytest.raises(SeeingkitError, match="is no SHA-256 of the photo 'spot.png'"):
        request_of({**record, "photos": {"spot.png": "abc"}}, "request.json")
    with pytest.raises(SeeingkitError, match="no edit as the rewriting notebook saves it"):
        request_of({**record, "paste": [None, record["object"][1]]}, "request.json")
    session = Session(spotted())
    with pytest.raises(UsageError, match="are for seeingkit rewrite"):
        session.load_request(json.dumps(record))


def test_the_published_solver_has_no_photos() -> None:
    with pytest.raises(UsageError, match="take solver closed for photos"):
        plan(spotted(), asked(), "r16", solver="published", published=PublishedSettings(steps=1))


def test_a_photo_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    generator = spotted()
    request = request_of(request_record(asked()), "request.json")
    with pytest.raises(UsageError, match="in front of 'r16', where photos are inverted"):
        with_photos(request, [tmp_path], generator, ["r16"])
    trained = seeingkit.load_generator("progan:minichurches")
    with pytest.raises(SourceError, match=r"spot\.png: there is no such photo"):
        with_photos(request, [tmp_path], trained, ["r16.conv1"])
    (tmp_path / "spot.png").mkdir()
    with pytest.raises(SourceError, match=r"spot\.png: there is no such photo"):
        with_photos(request, [tmp_path], trained)
    (tmp_path / "list.txt").write_text("a.png\nb.png\n")
    for name in "ab":
        Image.fromarray(np.zeros((70, 70, 3), np.uint8)).save(tmp_path / f"{name}.png")
    listed = replace(request, copy=PhotoRegion(0, box(0, 0, 9, 9), "list.txt"))
    with pytest.raises(UsageError, match="2 pictures; name the file of one photo"):
        with_photos(listed, [tmp_path], trained)
    wide = PhotoRegion(0, np.full((8, 16), 255, np.uint8), "a.png")
    with pytest.raises(UsageError, match="the mask of a.png has 16 x 8 pixels: paint it on the"):
        with_photos(replace(request, copy=wide), [tmp_path], trained)
    other = PhotoRegion(0, box(0, 0, 9, 9), "a.png", None, 64 * "0")
    with pytest.raises(UsageError, match="a.png: not the photo that the request was made for"):
        with_photos(replace(request, copy=other), [tmp_path], trained)
    with pytest.raises(UsageError, match="the region of a.png is too small for a map of 16 x 16"):
        PhotoRegion(0, box(0, 0, 1, 1) // 64, "a.png").area((16, 16))


def test_contexts_of_photos_are_those_of_their_inversions() -> None:
    """The inversions are exactly the samples here, so that both requests ask for one edit."""
    request, generator = asked(), spotted()
    latent = generator.latents(range(40), seed=0)
    before = generator.advance(generator.begin(latent), "r16.place")

    def of_photo(region: Region) -> PhotoRegion:
        state = before[[region.index]]
        photo = InvertedPhoto(generator.advance(state).x, state)
        return PhotoRegion(0, region.mask, f"{region.index}.png", photo, 64 * "a")

    contexts = tuple(map(of_photo, request.contexts))
    photos = replace(request, paste=contexts[0], context=contexts)
    own, other = (plan(generator, each, "r16", rank=1, keep=0.01) for each in (request, photos))
    assert torch.equal(own.factors, other.factors)
    assert other.request is not None
    assert other.request["photos"] == {region.name: 64 * "a" for region in contexts}
    again = request_of(dict(other.request), "edit.safetensors").contexts
    assert [region.name for region in again] == [region.name for region in contexts]
    moments = usual_moments(generator, generator.site("r16"))
    levels = [matcher_of(generator, "r16", each, moments).level for each in (request, photos)]
    assert levels[0] == levels[1]
    for solver in ({"erase": 0}, {"erase": 1}):
        few = PublishedSettings(steps=2, tight=False)
        given: dict[str, Any] = {"solver": "published", "published": few, **solver}
        pasted = [
            plan(generator, replace(each, copy=request.contexts[1]), "r16", **given)
            for each in (request, photos)
        ]
        assert torch.equal(pasted[0].factors, pasted[1].factors)


@settings(max_examples=30)
@drawn(st.integers(0, 12), st.integers(0, 12), st.integers(1, 4), st.booleans())
def test_a_region_of_a_photo_pasted_onto_itself_changes_nothing(
    top: int, left: int, side: int, soft: bool
) -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[top : top + side, left : left + side] = 100 if soft else 255
    request, generator = asked(), spotted()
    assert isinstance(request.copy, PhotoRegion)
    same = replace(request.copy, mask=mask)
    again = Request(same, same, (replace(same, mask=mask.copy()),), 0)
    bench = bench_of(generator, generator.site("r16"), again)
    wanted = pasted(bench, same, again.contexts, values_of_the_photo())
    assert not bool(wanted.change.any()) and float(wanted.share.sum()) > 0


@cache
def values_of_the_photo() -> torch.Tensor:
    request, generator = asked(), spotted()
    assert isinstance(request.copy, PhotoRegion)
    return photo_values(bench_of(generator, generator.site("r16"), request), request.copy)


@pytest.mark.parametrize("site", ["r8.up", "r8"])
def test_an_edit_of_a_photo_pasted_onto_itself_is_nothing(site: str) -> None:
    generator = small()
    latent = generator.latents([1, 2])
    state = generator.advance(generator.begin(latent), "r4")[[0]]
    photo = InvertedPhoto(generator(latent)[[1]], state)  # another image: far from its inversion
    same = PhotoRegion(0, box(4, 4, 12, 12, 16), "own.png", photo)
    moments = key_moments(generator, generator.site(site), Sample(range(30), 9))
    edit = plan(generator, Request(same, same), site, rank=1, moments=moments)
    assert not bool(edit.factors.any())
    again = replace(same, photo="./own.png", sha256=64 * "a")
    request = Request(replace(same, sha256=64 * "a"), again)
    assert not bool(plan(generator, request, site, rank=1, moments=moments).factors.any())
    other = replace(same, photo="other.png", sha256=64 * "b")
    edit = plan(generator, Request(same, other), site, rank=1, moments=moments)
    assert bool(edit.factors.any())


def test_sites_in_front_of_an_inverted_photo_are_left_out() -> None:
    generator = spotted()
    copy = asked().copy
    assert isinstance(copy, PhotoRegion)
    state = generator.advance(copy.found.state, "r16")
    behind = replace(copy, inverted=InvertedPhoto(copy.found.image, state))
    for request in (replace(asked(), copy=behind), replace(asked(), context=(behind,))):
        with pytest.raises(UsageError, match="site 'r16' begins at 'r16.place', in front of 'r16'"):
            fitting_sites(generator, request, ["r16"])
        with pytest.raises(UsageError, match="no site fits the regions"):
            fitting_sites(generator, request, "all")


def test_a_photo_is_said_to_be_near_or_far(caplog: pytest.LogCaptureFixture) -> None:
    request, generator = asked(), spotted()
    assert isinstance(request.copy, PhotoRegion)
    with caplog.at_level("INFO"):
        far = told_nearness(generator, request)
    assert far["spot.png"] > 0.4 and "spot.png: its inversion differs from it by" in caplog.text
    assert caplog.records[-1].levelname == "WARNING"
    near = InvertedPhoto(generator.advance(request.copy.found.state).x, request.copy.found.state)
    with caplog.at_level("INFO"):
        assert told_nearness(generator, replace(request, copy=replace(request.copy, inverted=near)))
    assert caplog.records[-1].levelname == "INFO"
    assert nearness(generator, replace(request.copy, inverted=near)).error == 0


def test_an_edit_asks_for_the_photos_that_it_was_planned_for(tmp_path: Path) -> None:
    trained = seeingkit.load_generator("progan:minichurches")
    site = trained.site("r16.conv1")
    photo = PhotoRegion(0, box(4, 24, 20, 40), "photo.png", None, 64 * "0")
    samples = Request(Region(1, box(20, 20, 40, 36)), Region(2, box(8, 24, 24, 40)))
    for request, needed in ((replace(samples, copy=photo), False), (Request(photo, photo), True)):
        record = request_record(request)
        edit = edit_of(trained, site, torch.zeros(96, 9), torch.ones(1, 96), request=record)
        (target,) = targets_of(RewrittenGenerator(trained, [edit]), ["edit"])
        with pytest.raises(SourceError, match=r"photo\.png: there is no such photo"):
            target_with_photos(target, tmp_path)
        if not needed:
            assert target_with_photos(target, tmp_path, wanted=True) is target
            assert photo_hashes([target]) == {}
            continue
        with pytest.raises(SourceError, match=r"photo\.png: there is no such photo"):
            target_with_photos(target, tmp_path, wanted=True)
        session = Session(RewrittenGenerator(trained, [edit]), key_images=4)
        session.copy(samples.copy)
        session.paste(samples.paste)
        with pytest.raises(UsageError, match="execute without protecting earlier edits"):
            session.execute("r16.conv1")


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
    assert 0 < done.photos["photo.png"] == found.about["photos"]["photo.png"] < 0.4
    (target,) = targets_of(RewrittenGenerator(generator, [found]), ["edit"])
    told = target_with_photos(target, tmp_path, wanted=True).request
    assert told is not None and told.photos[0].inverted is not None
    request["key"] = [["photo.png", uri]]
    request["paste"] = ["photo.png", uri]
    (tmp_path / "request.json").write_text(json.dumps(request))
    same = seeingkit.rewrite(
        "progan:minichurches",
        tmp_path / "request.json",
        "r16.conv1",
        out=tmp_path / "same.safetensors",
        n=0,
        key_images=40,
    )
    assert not bool(same.edit.factors.any())
