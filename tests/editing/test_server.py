"""The page to rewrite by hand, asked without a network."""

from __future__ import annotations

import base64
import io
import json
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seeingkit.analyses.rewriting.plan import region_pair, request_record
from seeingkit.analyses.rewriting.regions import Region
from seeingkit.analyses.rewriting.session import Session
from seeingkit.editing.desk import Desk
from seeingkit.editing.records import usual_site
from seeingkit.editing.requests import LONGEST_BODY
from seeingkit.editing.server import editing_application
from seeingkit.models.editfiles import replay
from seeingkit.models.weightedits import RewrittenGenerator, WeightEdit
from seeingkit.report.painting import PNG_URI
from seeingkit.results.edits import parse_edits
from seeingkit.runs.easel import png_bytes
from seeingkit.viewing.access import Secrets
from tests.helpers.rewriting import box, request, small
from tests.helpers.viewer import PORT, Answer, ask_application

SITE = "r8"
SECRETS = Secrets("secret")
SIZE = 16


def uri(top: int, left: int, bottom: int, right: int) -> str:
    return str(region_pair(Region(0, box(top, left, bottom, right, SIZE)))[1])


REGIONS = (
    {"action": "paint", "kind": "copy", "index": 1, "mask": uri(5, 5, 10, 9)},
    {"action": "paint", "kind": "paste", "index": 2, "mask": uri(2, 6, 6, 10)},
    {"action": "paint", "kind": "context", "index": 3, "mask": uri(8, 4, 12, 8)},
)
EXECUTE = {"action": "execute", "site": SITE, "rank": 2}


def new_desk(folder: Path | None = None) -> Desk:
    return Desk(Session(small(), key_images=8), "my gan/1", folder=folder)


class Asked:
    """An application of a desk, and requests to it."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.app = desk, editing_application(desk, SECRETS, PORT)

    def get(self, rest: str, **given: Any) -> Answer:
        return ask_application(self.app, f"/secret/{rest}", **given)

    def post(self, body: object, rest: str = "act", **given: Any) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"} | given.pop("headers", {})
        path = given.pop("path", f"/secret/{rest}")
        return ask_application(self.app, path, method="POST", headers=headers, body=data, **given)

    def state(self, body: object) -> dict[str, Any]:
        answer = self.post(body)
        assert answer.status == 200, answer.text
        found: dict[str, Any] = json.loads(answer.text)
        return found

    def fault(self, body: object, rest: str = "act", status: int = 400) -> str:
        answer = self.post(body, rest)
        assert answer.status == status and answer.text.count("\n") == 1, answer.text
        return answer.text


@pytest.fixture
def asked() -> Asked:
    return Asked(new_desk())


@pytest.fixture
def painted(asked: Asked) -> Asked:
    for body in REGIONS:
        asked.state(body)
    return asked


def test_the_page_asks_its_own_server_alone(asked: Asked) -> None:
    answer = asked.get("")
    policy = answer.headers["content-security-policy"]
    assert answer.status == 200 and "my gan/1" in answer.text
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert "unsafe" not in policy and answer.headers["cache-control"] == "no-store"
    assert not [one for one in answer.text.split('"') if one.startswith(("http", "//"))]
    for name in ("page.js", "png.js", "brush.js", "edit.css", "icon.svg"):
        assert asked.get(name).status == 200
    for name in ("edit.html.j2", "__init__.py", "painting.js", "..%2fdesk.py"):
        assert asked.get(name).status == 404


def test_without_the_secret_there_is_nothing(asked: Asked) -> None:
    app, good = asked.app, {"action": "clear"}
    for rest in ("", "state", "doing", "request.json", "edit/1", "image/after/0", "page.js"):
        assert ask_application(app, f"/other/{rest}").status == 403
        assert ask_application(app, f"/secret/{rest}", host="evil.example").status == 403
        assert asked.get(rest, headers={"origin": "https://evil.example"}).status == 403
    for rest in ("act", "matches", "units", "units.json", "stop"):
        assert asked.post(good, path=f"/other/{rest}").status == 403
        assert asked.post(good, rest, host="evil.example").status == 403
        assert asked.post(good, rest, headers={"origin": "https://evil.example"}).status == 403
        assert asked.post(good, rest, headers={"sec-fetch-site": "cross-site"}).status == 403
        assert asked.post(good, rest, headers={"content-type": "text/plain"}).status == 415
        assert asked.get(rest).status in (404, 405)
    once = SECRETS.new_once()
    assert ask_application(app, f"/{once}").headers["location"] == "/secret/"
    assert ask_application(app, f"/{once}").status == 403


def test_an_edit_step_by_step(painted: Asked) -> None:
    before = painted.get("image/after/2").body
    done = painted.state(EXECUTE)
    assert (len(done["edits"]), done["edits"][0]["images"]) == (1, [1, 2, 3])
    assert "along 2 of 8 directions" in done["said"]
    edited = painted.get("image/after/2").body
    assert edited != before and painted.get("image/before/2").body == before
    file = painted.get("edit/1")
    assert file.headers["content-disposition"] == (
        'attachment; filename="my-gan-1-1-r8.safetensors"'
    )
    assert painted.state({"action": "strength", "value": 0.5})["edits"][0]["strength"] == 0.5
    assert painted.get("image/after/2").body not in (before, edited)
    painted.state({"action": "strength", "value": 1.0})
    undone = painted.state({"action": "undo"})
    assert undone["edits"] == [] and undone["undone"] == 1
    painted.desk._kept.clear()  # drawn anew, not remembered
    assert painted.get("image/after/2").body == before
    painted.state({"action": "redo"})
    painted.desk._kept.clear()
    assert painted.get("image/after/2").body == edited


def test_files_are_those_of_the_commands(painted: Asked, tmp_path: Path) -> None:
    painted.state(EXECUTE)
    path = tmp_path / "edit.safetensors"
    path.write_bytes(painted.get("edit/1").body)
    generator = RewrittenGenerator(small(), [WeightEdit.load(path)])
    drawn = png_bytes(generator(generator.latents([2])))
    assert painted.get("image/after/2").body == drawn
    text = painted.get("request.json").text
    other = Asked(new_desk())
    loaded = other.state({"action": "load", "text": text})
    assert [loaded["copy"]["index"], loaded["paste"]["index"]] == [1, 2]
    assert other.get("request.json").text == text
    assert other.state({**EXECUTE})["version"] == painted.desk.state()["version"]


def test_a_request_of_the_notebook_is_of_other_images(asked: Asked) -> None:
    record = request_record(request(seed=7))
    state = asked.state({"action": "load", "text": json.dumps(record)})
    assert state["seed"] == 7 and state["version"] == "7"


def test_regions_come_and_go(painted: Asked) -> None:
    further = {**REGIONS[2], "index": 4}
    assert [one["index"] for one in painted.state(further)["contexts"]] == [3, 4]
    changed = painted.state({**further, "index": 5, "number": 0})
    assert [one["index"] for one in changed["contexts"]] == [5, 4]
    removed = painted.state({"action": "remove", "kind": "context", "number": 0})
    assert [one["index"] for one in removed["contexts"]] == [4]
    assert painted.state({"action": "remove", "kind": "paste"})["paste"] is None
    assert painted.state({"action": "clear"})["copy"] is None


def test_steps_out_of_order(asked: Asked) -> None:
    for body, words in (
        (EXECUTE, "nothing is copied yet"),
        ({"action": "undo"}, "no edit to undo"),
        ({"action": "redo"}, "no edit was undone"),
        ({"action": "strength", "value": 0.5}, "no edit whose strength"),
        ({"action": "save", "name": "edit"}, "no folder was given"),
        ({"action": "remove", "kind": "context", "number": 3}, "no context 3"),
    ):
        assert words in asked.fault(body)
    assert "nothing to match yet" in asked.fault({"site": SITE}, "matches")
    answer = asked.get("edit/1")
    assert answer.status == 400 and "no edit 1" in answer.text
    assert "nothing is copied yet" in asked.get("request.json").text
    asked.state(REGIONS[0])
    assert "no place to change yet" in asked.fault(EXECUTE)


def bomb(width: int, height: int) -> str:
    """A small PNG whose header promises many pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9)))
    return PNG_URI + base64.b64encode(data + chunk(b"IEND", b"")).decode()


def jpeg() -> str:
    stream = io.BytesIO()
    Image.new("L", (SIZE, SIZE), 255).save(stream, "JPEG")
    return PNG_URI + base64.b64encode(stream.getvalue()).decode()


def empty() -> str:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(stream, "PNG")
    return PNG_URI + base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mask": bomb(60_000, 60_000)}, "60000 x 60000 pixels"),
        ({"mask": bomb(SIZE, SIZE)}, "cannot be read"),
        ({"mask": bomb(1, SIZE)}, "cannot be read|has 1 x 16"),
        ({"mask": jpeg()}, "cannot be read"),
        ({"mask": empty()}, "is empty"),
        ({"mask": "data:image/png;base64,%%%"}, "no PNG"),
        ({"mask": "file:///etc/passwd"}, "no data URI"),
        ({"index": -1}, "index"),
        ({"index": 2**31}, "index"),
        ({"kind": "all"}, "kind"),
        ({"path": "/etc/passwd"}, "path"),
        ({"number": 5, "kind": "context"}, "no context 5"),
    ],
)
def test_bad_regions(asked: Asked, change: dict[str, Any], words: str) -> None:
    said = asked.fault({**REGIONS[0], **change})
    assert any(word in said for word in words.split("|")), said
    assert asked.desk.session.copied is None


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"\xff\xfe", 400, "no request that is known here"),
        ({"action": "exec"}, 400, "no request that is known here"),
        ({**EXECUTE, "rank": 0}, 400, "rank"),
        ({**EXECUTE, "keep": float("inf")}, 400, "no request"),
        ({**EXECUTE, "site": "nowhere"}, 400, "nowhere"),
        ({**EXECUTE, "rank": 9}, 400, "rank 9"),
        ({"action": "strength", "value": 1e9}, 400, "strength"),
        ({"action": "load", "text": "[" * 100_000}, 400, "no edit as the rewriting notebook"),
        ({"action": "save", "name": "../evil"}, 400, "name"),
        (b" " * (LONGEST_BODY + 1), 413, "too long"),
    ],
)
def test_requests_that_cannot_be_right(
    painted: Asked, body: object, status: int, words: str
) -> None:
    before = painted.desk.state()["version"]
    assert words in painted.fault(body, status=status)
    assert painted.desk.state()["version"] == before


def test_masks_of_loaded_requests_are_not_too_large(asked: Asked) -> None:
    record = {"object": [1, bomb(4000, 4000)], "paste": [2, uri(0, 0, 4, 4)], "seed": 1}
    said = asked.fault({"action": "load", "text": json.dumps(record)})
    assert "a mask of 4000 x 4000 pixels" in said


def test_two_actions_at_once(painted: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, end, real = threading.Event(), threading.Event(), painted.desk.session.execute

    def slow(*args: Any, **given: Any) -> WeightEdit:
        begun.set()
        assert end.wait(30)
        return real(*args, **given)

    monkeypatch.setattr(painted.desk.session, "execute", slow)
    found: list[Answer] = []
    first = threading.Thread(target=lambda: found.append(painted.post(EXECUTE)))
    first.start()
    assert begun.wait(30)
    assert "planning the edit" in painted.get("doing").text
    assert "still busy (planning the edit)" in painted.fault(EXECUTE, status=409)
    assert "still busy" in painted.fault({"action": "undo"}, status=409)
    assert painted.get("state").status == 200  # seen while it works
    drawn: list[bytes] = []
    picture = threading.Thread(target=lambda: drawn.append(painted.get("image/after/2").body))
    picture.start()
    picture.join(0.1)
    assert drawn == []  # waits for the action
    end.set()
    first.join(30)
    picture.join(30)
    assert drawn == [painted.get("image/after/2").body]
    assert found[0].status == 200 and len(painted.desk.session.edits) == 1
    assert painted.get("doing").text == "\n"


def test_work_is_stopped_and_changes_nothing(painted: Asked) -> None:
    desk, lines = painted.desk, []
    told = desk._told

    def stops(line: str) -> None:
        lines.append(line)
        assert painted.post({}, "stop").status == 200
        told(line)

    desk._told = stops  # type: ignore[method-assign]
    assert "stopped; nothing was changed" in painted.fault(EXECUTE)
    assert lines[0].startswith("keys of r8: 0 of 8 images")
    assert desk.session.edits == () and desk.doing == ""
    desk._told = told  # type: ignore[method-assign]
    assert len(painted.state(EXECUTE)["edits"]) == 1


def test_faults_of_the_machine_are_one_line(
    painted: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory\nat a place")

    monkeypatch.setattr(painted.desk.session, "execute", fails)
    said = painted.fault(EXECUTE, status=500)
    assert said == "this failed on the machine: out of memory\n"


def test_matches_are_places_of_images(painted: Asked) -> None:
    answer = json.loads(painted.post({"site": SITE}, "matches").text)
    assert (answer["rows"], answer["columns"], len(answer["matches"])) == (8, 8, 12)
    assert all(0 <= cell < 64 for one in answer["matches"] for cell in one["cells"])


def test_units_beside_the_edits(painted: Asked) -> None:
    painted.state(EXECUTE)
    change = {"layer": SITE, "units": [1, 4], "value": 2.0, "indices": [2, 0]}
    answer = json.loads(painted.post(change, "units").text)
    assert [one["index"] for one in answer["images"]] == [2, 0] and answer["values"] == [2.0]
    shown = base64.b64decode(answer["images"][0]["picture"].removeprefix(PNG_URI))
    assert shown != painted.get("image/after/2").body
    file = parse_edits(painted.post(change, "units.json").text)
    assert png_bytes(replay(file, painted.desk.session.generator)) == shown
    copied = json.loads(painted.post({**change, "value": None}, "units").text)
    assert len(copied["values"]) == 2
    local = {**change, "mask": uri(0, 0, 16, 8), "indices": [2]}
    left = json.loads(painted.post(local, "units").text)["images"][0]["picture"]
    whole, half, plain = (
        np.asarray(Image.open(io.BytesIO(data))).astype(int)
        for data in (
            shown,
            base64.b64decode(left.removeprefix(PNG_URI)),
            painted.get("image/after/2").body,
        )
    )
    assert np.array_equal(half[:, :4], whole[:, :4]) and np.array_equal(half[:, 12:], plain[:, 12:])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"units": [6]}, "units of 'r8' are 0 to 5"),
        ({"units": [1, 1]}, "named twice"),
        ({"units": []}, "units"),
        ({"layer": "input"}, "has no map of units"),
        ({"layer": "nowhere"}, "nowhere"),
        ({"value": None}, "nothing is copied yet"),
        ({"value": 1e39}, "NaN or Inf|value"),
        ({"mask": bomb(999, 999)}, "999 x 999"),
        ({"indices": list(range(49))}, "indices"),
        ({"strength": 2}, "strength"),
    ],
)
def test_bad_units(asked: Asked, change: dict[str, Any], words: str) -> None:
    good = {"layer": SITE, "units": [1], "value": 0.0, "indices": [0]}
    said = asked.fault({**good, **change}, "units")
    assert any(word in said for word in words.split("|")), said


def test_files_are_saved_in_the_folder_alone(tmp_path: Path) -> None:
    asked = Asked(new_desk(tmp_path))
    for body in REGIONS:
        asked.state(body)
    assert "no edit to save" in asked.fault({"action": "save", "name": "tree"})
    asked.state(EXECUTE)
    said = asked.state({"action": "save", "name": "tree"})["said"]
    assert said == "Saved tree.safetensors, tree.json."
    WeightEdit.load(tmp_path / "tree.safetensors")
    Session(small()).load_request((tmp_path / "tree.json").read_text())
    assert "tree.json is there already" in asked.fault({"action": "save", "name": "tree"})
    (tmp_path / "other.safetensors").write_text("of mine")
    assert "no edit of a weight" in asked.fault({"action": "save", "name": "other"})
    assert (tmp_path / "other.safetensors").read_text() == "of mine"
    for name in ("", ".", "a/b", "a.b", "x" * 81, "-x"):
        assert "name" in asked.fault({"action": "save", "name": name})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other.safetensors",
        "tree.json",
        "tree.safetensors",
    ]


def test_the_first_site_has_places_of_some_pixels() -> None:
    assert usual_site(small().sites(), SIZE) == "r8"
