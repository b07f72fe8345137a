"""The local page to paint on, asked without a network."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from seeingkit.images.preprocess import quantise
from seeingkit.models.editfiles import edited_generator, mask_uri, replay
from seeingkit.report.painting import Brush, Canvas, PaintingPage
from seeingkit.results.edits import EditFile, LatentStart, PaintedEdit
from seeingkit.runs.easel import Easel, png_bytes
from seeingkit.viewing.access import Secrets
from seeingkit.viewing.painting import LONGEST_BODY, easel_application
from tests.helpers.painted import enlarged, toy_generator
from tests.helpers.viewer import PORT, Answer, ask_application

TOY = toy_generator(enlarged)
SECRETS = Secrets("secret")
EDIT = {"layer": "map", "units": [1, 2], "value": [0.5, 1.0], "mask": mask_uri(torch.eye(4))}


def easel() -> Easel:
    starts = [LatentStart(index=k) for k in range(2)]
    states = tuple(TOY.advance(TOY.begin(TOY.latents([k])), "map") for k in range(2))
    canvases = [
        Canvas(str(k), str(k), start, png_bytes(TOY.advance(state).x))
        for k, (start, state) in enumerate(zip(starts, states, strict=True))
    ]
    page = PaintingPage(
        generator=edited_generator(TOY),
        layer="map",
        extent=(4, 4),
        span=(0.0, 0.0, 1.0, 1.0),
        size=8,
        seed=0,
        brushes=(Brush("tree", (1, 2), (0.5, 1.0)),),
        canvases=tuple(canvases),
    )
    return Easel(TOY, "map", page, states)


@pytest.fixture(scope="module")
def app() -> Any:
    return easel_application(easel(), SECRETS, PORT)


def ask(app: Any, body: object = None, path: str = "/secret/image", **given: Any) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | given.pop("headers", {})
    return ask_application(app, path, method="POST", headers=headers, body=data, **given)


def test_the_page_asks_its_own_server_alone(app: Any) -> None:
    answer = ask_application(app, "/secret/")
    policy = answer.headers["content-security-policy"]
    assert answer.status == 200 and "tree" in answer.text
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert "worker-src" not in policy and "&#39;" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_a_picture_has_the_pixels_of_the_replayed_file(app: Any) -> None:
    answer = ask(app, {"start": 1, "edits": [EDIT]})
    file = EditFile(
        generator=edited_generator(TOY),
        start=LatentStart(index=1),
        edits=[PaintedEdit.model_validate(EDIT)],
    )
    wanted = quantise(replay(file, TOY))[0].numpy()
    found = np.frombuffer(answer.body, np.uint8).reshape(8, 8, 3)
    assert answer.status == 200 and np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"start": 2, "edits": []}, 400, "no image 2; the last is 1"),
        ({"start": 0, "edits": [{**EDIT, "units": [1, 6]}]}, 400, "no unit 6"),
        ({"start": 0, "edits": [{**EDIT, "layer": "nowhere"}]}, 400, "nowhere"),
        ({"start": 0, "edits": [], "code": 1}, 400, "no request for a picture: code"),
        (b"\xff\xfe", 400, "no request for a picture"),
        (b" " * (LONGEST_BODY + 1), 413, "too many edits"),
    ],
)
def test_requests_that_cannot_be_right(app: Any, body: object, status: int, words: str) -> None:
    answer = ask(app, body)
    assert answer.status == status and words in answer.text and answer.text.count("\n") == 1


def test_without_the_secret_there_is_nothing(app: Any) -> None:
    good = {"start": 0, "edits": []}
    for path in ("/other/image", "/Secret/image"):
        assert ask(app, good, path).status == 403
    assert ask_application(app, "/other/").status == 403
    assert ask_application(app, "/other").status == 403
    assert ask(app, good, host="evil.example").status == 403
    assert ask(app, good, headers={"origin": "https://evil.example"}).status == 403
    assert ask(app, good, headers={"sec-fetch-site": "cross-site"}).status == 403
    assert ask(app, good, headers={"content-type": "text/plain"}).status == 415
    assert ask(app, good, "/secret/").status == 405


def test_a_browser_s_first_address_works_once(app: Any) -> None:
    once = SECRETS.new_once()
    assert ask_application(app, f"/{once}").headers["location"] == "/secret/"
    assert ask_application(app, f"/{once}").status == 403
