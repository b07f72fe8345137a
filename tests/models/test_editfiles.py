"""Files of painted edits: the same edits and pixels back, and hostile files refused."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seeingkit.contracts import State
from seeingkit.errors import SeeingkitError
from seeingkit.models.editfiles import (
    edit_file,
    edited_generator,
    mask_uri,
    replay,
    start_state,
    state_text,
    to_edits,
)
from seeingkit.models.edits import UnitEdit, run
from seeingkit.results.edits import EditFile, LatentStart, PhotoStart, edits_json, parse_edits
from tests.helpers.painted import SIDE, UNITS, enlarged, toy_generator

TOY = toy_generator(enlarged)
FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


@st.composite
def unit_edits(draw: st.DrawFn) -> UnitEdit:
    units = tuple(draw(st.lists(st.integers(0, UNITS - 1), min_size=1, unique=True)))
    many = {"min_size": len(units), "max_size": len(units)}
    value = draw(FLOATS | st.lists(FLOATS, **many).map(torch.tensor))
    shares = st.floats(0, 1, width=32)
    alpha = draw(shares | st.lists(shares, **many).map(torch.tensor))
    levels = st.lists(st.integers(0, 255), min_size=SIDE**2, max_size=SIDE**2)
    mask = draw(st.none() | levels.map(lambda v: torch.tensor(v).reshape(SIDE, SIDE).float() / 255))
    return UnitEdit("map", units, alpha, value, mask)


@given(st.lists(unit_edits(), max_size=3), st.integers(0, 2**31))
@settings(max_examples=40)
def test_what_is_saved_is_replayed_to_the_same_pixels(edits: list[UnitEdit], index: int) -> None:
    file = edit_file(TOY, LatentStart(seed=3, index=index), edits)
    again = parse_edits(edits_json(file))
    assert again == file
    x = torch.rand(1, UNITS, SIDE, SIDE)
    for one, other in zip(edits, to_edits(again, TOY), strict=True):
        assert torch.equal(one(x), other(x))
    wanted = run(TOY, TOY.begin(TOY.latents([index], seed=3)), edits=edits)[0].x
    assert torch.equal(replay(again, TOY), wanted)


def test_a_photo_s_state_is_in_the_file() -> None:
    state = State("map", torch.rand(1, UNITS, SIDE, SIDE))
    start = PhotoStart(
        photo_sha256=64 * "b",
        layer="map",
        method="layered+r",
        cut="map",
        psnr=30.0,
        state=state_text(state),
    )
    file = edit_file(TOY, start, [UnitEdit("map", (1,))])
    edited = state.with_x(UnitEdit("map", (1,))(state.x))
    assert torch.equal(replay(parse_edits(edits_json(file)), TOY), TOY.advance(edited).x)


def test_edits_of_another_generator_or_other_options_are_refused() -> None:
    file = edit_file(TOY, LatentStart(index=0), [])
    other = toy_generator(enlarged)
    other.info = TOY.info.model_copy(update={"options": {"truncation": 0.5}})
    with pytest.raises(SeeingkitError, match="edits of toy, loaded with other options"):
        to_edits(file, other)
    other.info = TOY.info.model_copy(update={"weights_sha256": 64 * "c"})
    with pytest.raises(SeeingkitError, match=r"of family toy, weights aaaa.*--gan"):
        to_edits(file, other)
    other.info = TOY.info.model_copy(update={"code": "2-later", "licence": "MIT"})
    assert to_edits(file, other) == []


def png(width: int, height: int, kind: int = 0, depth: int = 8, body: bytes | None = None) -> str:
    """A PNG with any header, and rows of zeros unless a body is given."""

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * height)) if body is None else body
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(whole).decode()


def changed(**edit: Any) -> str:
    """A good file with other fields in its edit."""
    good = edit_file(TOY, LatentStart(index=0), [UnitEdit("map", (1, 2), mask=torch.ones(4, 4))])
    content = json.loads(edits_json(good))
    content["edits"][0] |= edit
    return json.dumps(content)


def with_fields(**fields: Any) -> str:
    return json.dumps({**json.loads(changed()), **fields})


LONG = "data:image/png;base64," + "A" * 2_000_000
HOSTILE = {
    "layer": (changed(layer="nowhere"), "no boundary named 'nowhere'"),
    "image": (changed(layer="image", mask=None), "no units"),
    "unit": (changed(units=[0, UNITS]), "no unit 6 at 'map', whose last is 5"),
    "negative unit": (changed(units=[-1]), "units.0"),
    "no unit": (changed(units=[]), "units"),
    "unit twice": (changed(units=[1, 1]), "named twice"),
    "values": (changed(value=[1.0]), "1 numbers of value for 2 units"),
    "NaN": (changed().replace('"value": 0.0', '"value": NaN'), "value"),
    "huge": (changed(value=1e39), "value"),
    "alpha": (changed(alpha=1.5), "alpha"),
    "size": (changed(mask=png(5, 4)), "5 x 4 pixels; the map of 'map' has 4 x 4"),
    "bomb": (changed(mask=png(60_000, 60_000, body=b"")), "60000 x 60000 pixels"),
    "damaged": (changed(mask=png(4, 4, body=b"xx")), "damaged PNG"),
    "cut off": (changed(mask=png(4, 4)[:60]), "mask"),
    "colour": (changed(mask=png(4, 4, kind=2)), "8 bits of grey"),
    "16 bits": (changed(mask=png(4, 4, depth=16)), "8 bits of grey"),
    "no PNG": (changed(mask="data:image/png;base64,AAAA"), "8 bits of grey"),
    "no base64": (changed(mask="data:image/png;base64,a?b"), "no base64"),
    "address": (changed(mask="https://evil.example/mask.png"), "a mask begins with"),
    "file": (changed(mask="file:///etc/passwd"), "a mask begins with"),
    "long mask": (changed(mask=LONG), "mask"),
    "further key": (changed(code="import os"), "code"),
    "version": (with_fields(version=2), "version"),
    "kind": (with_fields(kind="marks"), "kind"),
    "start": (with_fields(start={"kind": "pickle"}), "start"),
    "label": (with_fields(start={"kind": "latent", "index": 0, "label": 3}), "not conditional"),
    "index": (with_fields(start={"kind": "latent", "index": -1}), "index"),
    "many": (with_fields(edits=[{"layer": "map", "units": [0]}] * 10_001), "edits"),
    "list": ("[]", "no file of edits"),
    "text": ("no JSON at all", "no file of edits"),
    "deep": ("[" * 100_000, "no file of edits"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line(name: str) -> None:
    text, words = HOSTILE[name]
    with pytest.raises(SeeingkitError) as raised:
        replay(parse_edits(text, "bad\x1b.json"), TOY)
    said = str(raised.value)
    assert words in said and "\n" not in said and "\x1b" not in said and len(said) < 500


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"x": torch.zeros(1, UNITS, SIDE, SIDE + 1)},
        {"x": torch.full((1, UNITS, SIDE, SIDE), torch.nan)},
        {"x": torch.zeros(1, UNITS, SIDE, SIDE, dtype=torch.float64)},
        {"x": torch.zeros(1, UNITS, SIDE, SIDE), "more": torch.zeros(1)},
    ],
)
def test_a_state_that_does_not_fit_is_refused(tensors: dict[str, torch.Tensor]) -> None:
    import safetensors.torch

    text = base64.b64encode(safetensors.torch.save(tensors)).decode()
    start = PhotoStart(
        photo_sha256=64 * "b", layer="map", method="z", cut="map", psnr=1.0, state=text
    )
    with pytest.raises(SeeingkitError, match="the state of the photo has"):
        start_state(start, TOY)
    damaged = start.model_copy(update={"state": "AAAA"})
    with pytest.raises(SeeingkitError, match="no safetensors"):
        start_state(damaged, TOY)


def test_what_eight_bits_do_not_hold_is_refused_when_saved() -> None:
    for mask in (torch.full((4, 4), 0.3), torch.full((4, 4), 2.0), torch.ones(1, 1, 4, 4)):
        with pytest.raises(SeeingkitError, match="multiples of 1/255"):
            mask_uri(mask)
    with pytest.raises(SeeingkitError, match="not one for each image"):
        edit_file(TOY, LatentStart(index=0), [UnitEdit("map", (1,), value=torch.zeros(2, 1))])
    with pytest.raises(SeeingkitError, match="of one image, not of 2"):
        state_text(State("map", torch.zeros(2, 1, 1, 1)))


def test_identity_is_of_what_changes_images() -> None:
    assert edited_generator(TOY).identity == edited_generator(toy_generator(enlarged)).identity
    assert isinstance(EditFile.model_json_schema(), dict)
