"""Regions, requests and where a clip is put."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seeingkit.analyses.rewriting.plan import request_record
from seeingkit.analyses.rewriting.published import whole_keys
from seeingkit.analyses.rewriting.regions import Region, Request, bounding_box, put_at
from seeingkit.analyses.rewriting.requestfiles import mask_of, read_request
from seeingkit.errors import RunError, UsageError
from tests.helpers.rewriting import box


def uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def test_a_request_is_written_and_read_back(tmp_path: Path) -> None:
    request = Request(Region(3, box(4, 4, 20, 12)), Region(7, box(30, 8, 40, 50)), (), seed=5)
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request_record(request)), encoding="utf-8")
    found = read_request(path)
    assert (found.seed, found.labels) == (5, ())
    with pytest.raises(UsageError, match="its seed is 5, asked for is 3"):
        read_request(path, seed=3)
    labelled = Request(request.copy, request.paste, (), 5, (2, 4))
    path.write_text(json.dumps(request_record(labelled)), encoding="utf-8")
    assert read_request(path).labels == (2, 4) == read_request(path, 5, (2, 4)).labels
    with pytest.raises(UsageError, match=r"its labels is \(2, 4\), asked for is \(1,\)"):
        read_request(path, labels=(1,))
    for own, read in (
        (request.copy, found.copy),
        (request.paste, found.paste),
        (request.paste, found.contexts[0]),
    ):
        assert own.index == read.index and np.array_equal(own.mask, read.mask)


def test_masks_are_the_red_channel_whatever_is_transparent() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[1, 2] = 255, 0, 0, 0
    assert mask_of(uri(Image.fromarray(pixels, "RGBA"))).tolist()[1] == [0, 0, 255, 0]


WRONG = [
    ("{", "no edit as the rewriting notebook saves it"),
    ("[]", "no edit as the rewriting notebook"),
    ('{"object": [1, "data:image/png;base64,AAAA"], "paste": [1, "x"]}', "a mask is no PNG"),
    ('{"object": [true, "x"], "paste": [1, "x"]}', "True is no number of an image"),
    ('{"object": [1, "x"], "paste": [1, "x"]}', "a mask is no data URI"),
    ('{"object": [null, "x"], "paste": [1, "x"]}', "None is no number of an image"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "request.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=message) as caught:
        read_request(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_empty_and_tiny_regions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the mask of image 3 is empty"):
        Region(3, np.zeros((8, 8), np.uint8))
    with pytest.raises(UsageError, match=r"is \(4,\) of uint8"):
        Region(3, np.ones(4, np.uint8))
    with pytest.raises(UsageError, match="numbers of images begin at 0"):
        Region(-1, box(0, 0, 4, 4))
    dot = np.zeros((1024, 1024), np.uint8)
    dot[5, 5] = 255
    with pytest.raises(UsageError, match="image 0 is too small for a map of 8 x 8 cells"):
        Region(0, dot).area((8, 8))
    empty = {"object": [0, uri(Image.new("RGBA", (4, 4)))], "paste": [0, "x"]}
    path = tmp_path / "empty.json"
    path.write_text(json.dumps(empty), encoding="utf-8")
    with pytest.raises(UsageError, match=r"empty\.json: the mask of image 0 is empty"):
        read_request(path)


@given(
    top=st.integers(0, 10),
    left=st.integers(0, 10),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
)
def test_a_clip_put_on_its_own_region_lies_where_it_was(
    top: int, left: int, height: int, width: int
) -> None:
    area = torch.zeros(16, 16)
    area[top : top + height, left : left + width] = 1
    own = bounding_box(area)
    assert own == (top, left, top + height, left + width)
    assert put_at((16, 16), (height, width), area) == own


@given(st.tuples(*[st.integers(0, 15)] * 2), st.integers(1, 8), st.sampled_from([1, 2, 4]))
def test_boxes_grow_to_whole_keys(start: tuple[int, int], side: int, factor: int) -> None:
    size = 32
    values = (start[0], start[1], min(size, start[0] + side), min(size, start[1] + side))
    inner, outer = whole_keys(values, (size // factor,) * 2, (size, size))
    assert [x * factor for x in inner] == list(outer)
    assert outer[0] <= values[0] and outer[1] <= values[1]
    assert outer[2] >= values[2] and outer[3] >= values[3]
    assert values[0] - outer[0] < factor and outer[2] - values[2] < factor
