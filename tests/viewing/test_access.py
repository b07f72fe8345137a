"""What is served to whom: each rule of ``viewing.access`` and ``viewing.files``, one at a time."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seeingkit.errors import RunError
from seeingkit.viewing.access import REPORT_POLICY, Secrets, refusal
from seeingkit.viewing.files import is_inside, read_inside, served_files
from seeingkit.viewing.records import read_run
from tests.helpers.viewer import OUTSIDE, PORT, Viewer, add_run

REPORT = "<!DOCTYPE html><title>report</title>"


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Viewer:
    """Two runs with reports, and files that are no one's business, inside and outside."""
    place = tmp_path_factory.mktemp("place")
    runs = place / "runs"
    for name in ("a", "b"):
        run = add_run(runs / name, report=REPORT)
        for secret in (".env", "weights.pkl", "notes.html", "figures/notes.txt"):
            (run / secret).write_text(OUTSIDE)
    for path in (place / "secret.html", runs / "loose.html", runs / "results.txt"):
        path.write_text(OUTSIDE)
    return Viewer(runs)


# ----------------------------------------------------------------------------------- the secret


def test_with_the_secret_there_are_pages(viewer: Viewer) -> None:
    assert viewer.page().status == 200
    assert viewer.page("view.css").headers["content-type"] == "text/css; charset=utf-8"
    assert viewer.ask(f"/{viewer.secrets.token}").status == 200


@pytest.mark.parametrize("path", ["/", "/view.css", "/compare", "/a/report.html", "/favicon.ico"])
def test_without_it_there_is_nothing(viewer: Viewer, path: str) -> None:
    answer = viewer.ask(path)
    assert answer.status == 403
    assert viewer.secrets.token not in answer.text


def test_a_part_of_the_secret_is_not_it(viewer: Viewer) -> None:
    token = viewer.secrets.token
    swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
    for given_token in (token[:-1], token + "A", swapped, token.swapcase(), "é" * 43):
        assert viewer.ask(f"/{given_token}/".encode()).status in (403, 404)
        assert not viewer.secrets.is_token(given_token)


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Secrets("the secret")
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: one == b"told")
    assert made.is_token("told") and not made.is_token("the secret")
    assert made.find("told", ["x", "y"]) == "x" and made.find("x", ["x", "y"]) is None


def test_every_viewer_has_a_secret_of_its_own() -> None:
    made = {Secrets().token for _ in range(50)}
    assert len(made) == 50 and min(map(len, made)) >= 43


def test_the_secret_of_a_run_opens_its_files_alone(viewer: Viewer) -> None:
    a, b = viewer.key("a"), viewer.key("b")
    assert a != b and viewer.secrets.token not in (a, b)
    assert viewer.ask(f"/{a}/report.html").text == REPORT
    assert viewer.ask(f"/{a}/").status == 404
    for path in (f"/{a}/view.css", f"/{a}/run/{b}", f"/{a}/compare", f"/{a}/b/report.html"):
        assert viewer.ask(path).status == 404
    assert Viewer(viewer.root).ask(f"/{a}/report.html").status == 403  # of another viewer


def test_the_address_for_the_browser_works_once(viewer: Viewer) -> None:
    once = viewer.secrets.new_once()
    answer = viewer.ask(f"/{once}")
    assert (answer.status, answer.headers["location"]) == (303, f"/{viewer.secrets.token}/")
    assert viewer.ask(f"/{once}").status == 403


# ----------------------------------------------------------------- hosts, methods, other sites


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LocalHost:{PORT}"])
def test_our_own_names_are_answered(viewer: Viewer, host: str) -> None:
    assert viewer.page(host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "127.0.0.1",
        "localhost",
        "evil.example",
        f"evil.example:{PORT}",
        f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1:{PORT}.evil.example",
        f"127.0.0.1.evil.example:{PORT}",
        f"user@127.0.0.1:{PORT}",
        f"[::1]:{PORT}",
        f"0.0.0.0:{PORT}",
        f"localhost.:{PORT}",
    ],
)
def test_other_host_names_are_refused(viewer: Viewer, host: str | None) -> None:
    assert viewer.page(host=host).status == 403


def test_two_host_names_are_refused() -> None:
    own = (b"host", b"127.0.0.1:80")
    assert refusal("GET", b"/", [own], 80) is None
    assert refusal("GET", b"/", [own, own], 80) is not None
    assert refusal("GET", b"/", [(b"host", b"127.0.0.1")], 80) is None  # browsers leave out 80


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
def test_nothing_but_get_and_head(viewer: Viewer, method: str) -> None:
    answer = viewer.page(method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert viewer.page(method="HEAD").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": f"http://127.0.0.1:{PORT}"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),  # a report's
        ({"Origin": f"http://127.0.0.1:{PORT + 1}"}, 403),
        ({"Origin": f"https://127.0.0.1:{PORT}"}, 403),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),  # another port
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
        (
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
            },
            200,
        ),
        (
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "iframe",
            },
            403,
        ),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "anything"}, 403),
    ],
)
def test_what_other_sites_may_ask_for(viewer: Viewer, headers: dict[str, str], status: int) -> None:
    assert viewer.page(headers=headers).status == status
    assert viewer.ask(f"/{viewer.key('a')}/report.html", headers=headers).status == status


# --------------------------------------------------------------------------------------- headers


def test_every_answer_has_the_headers(viewer: Viewer) -> None:
    key = viewer.key("a")
    answers = [
        viewer.page(),
        viewer.page("view.js"),
        viewer.page("nothing"),
        viewer.page(f"run/{key}"),
        viewer.page(f"compare?run={key}"),
        viewer.ask("/"),
        viewer.page(method="POST"),
        viewer.page(host="evil.example"),
        viewer.ask(f"/{viewer.secrets.new_once()}"),
        *(
            viewer.ask(f"/{key}/{name}")
            for name in ("report.html", "results.json", "figures/classes.svg", "nothing")
        ),
    ]
    for answer in answers:
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert not any(name.startswith("access-control-") for name in headers)
        assert "set-cookie" not in headers
    policies = [answer.headers["content-security-policy"] for answer in answers]
    assert "script-src 'self'" in policies[0] and "unsafe" not in policies[0]
    assert answers[0].headers["cross-origin-opener-policy"] == "same-origin"


def test_files_of_runs_stand_at_an_origin_of_their_own(viewer: Viewer) -> None:
    key = viewer.key("a")
    report = viewer.ask(f"/{key}/report.html").headers["content-security-policy"]
    assert report == REPORT_POLICY
    allowed = report.split(";")[0].split()
    assert allowed == ["sandbox", "allow-scripts", "allow-downloads"]  # and never same-origin
    assert "connect-src" not in report and "default-src 'none'" in report
    for name, kind in (
        ("results.json", "application/json"),
        ("figures/classes.svg", "image/svg+xml"),
    ):
        answer = viewer.ask(f"/{key}/{name}")
        assert (answer.status, answer.headers["content-type"]) == (200, kind)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox;") and "script" not in policy


# ----------------------------------------------------------------------------------------- paths

SERVED = {"report.html", "results.json", "manifest.json", "figures/classes.svg"}
PIECES = st.sampled_from(
    [
        *("..", ".", "", "%2e%2e", "%2E.", "..%2f", "%5c", "\\", "%00", "\x00", "\n", "\x7f", "~"),
        *("report.html", "figures", "secret.html", "runs", "a", "b", "loose.html", ".env", "C:"),
        *("etc", "passwd", "file:", "figures/notes.txt", "weights.pkl", "notes.html", "é", "…"),
        *("classes.svg", "results.json", "//127.0.0.1", "report.html%20", "report.html;x", "%"),
    ]
)
PATHS = st.one_of(
    st.lists(PIECES, min_size=1, max_size=8).map("/".join), st.text(max_size=40), st.text()
)


@given(rest=PATHS, page=st.booleans(), escaped=st.booleans())
@example(rest="../../secret.html", page=False, escaped=False)
@example(rest="%2e%2e/%2e%2e/secret.html", page=False, escaped=False)
@example(rest="..\\..\\secret.html", page=False, escaped=False)
@example(rest="/etc/passwd", page=False, escaped=False)
@example(rest="figures/../../b/report.html", page=False, escaped=False)
@example(rest="report.html\x00.png", page=False, escaped=True)
@example(rest="x" * 100_000, page=True, escaped=False)
@example(rest="run/" + "x" * 100_000, page=True, escaped=False)
def test_no_path_leads_anywhere_else(viewer: Viewer, rest: str, page: bool, escaped: bool) -> None:
    raw = rest.encode(errors="surrogatepass")
    raw = b"".join(b"%%%02x" % c for c in raw) if escaped else raw.replace(b"?", b"")
    first = viewer.secrets.token if page else viewer.key("a")
    answer = viewer.ask(f"/{first}/".encode() + raw)
    assert OUTSIDE not in answer.text and "root:" not in answer.text
    known = {"", "view.css", "view.js", "icon.svg"} if page else SERVED
    if raw.decode(errors="replace") not in known:
        assert answer.status == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/%s/..", "/%s/../%s/", "/%s/./", "/%s//", "//%s/", "/%s/%%2e%%2e/", "/%s/%%2E%%2E%%2F"),
        *(
            "/%s/\\",
            "/%s/%%5c",
            "/%s/%%00",
            "/%s/a\tb",
            "/%s/%%0d%%0a",
            "%s/",
            "http://127.0.0.1/%s/",
        ),
    ],
)
def test_odd_paths_are_refused_before_anything_is_looked_up(viewer: Viewer, path: str) -> None:
    token = viewer.secrets.token
    asked = path % ((token,) * path.replace("%%", "").count("%s"))
    headers = [(b"host", b"127.0.0.1:%d" % PORT)]
    assert refusal("GET", asked.encode(), headers, PORT) == (404, "there is no such page")
    assert viewer.ask(asked).status == 404


def test_very_long_paths_are_refused(viewer: Viewer) -> None:
    headers = [(b"host", b"127.0.0.1:%d" % PORT)]
    assert refusal("GET", b"/" + b"a" * 499, headers, PORT) is None
    assert refusal("GET", b"/" + b"a" * 500, headers, PORT) is not None


def test_of_a_run_only_the_files_of_the_list_are_served(viewer: Viewer) -> None:
    run = viewer.root / "a"
    there = [path.relative_to(run).as_posix() for path in run.rglob("*")]
    found = {name: viewer.ask(f"/{viewer.key('a')}/{name}").status for name in there}
    assert {name for name, status in found.items() if status == 200} == SERVED
    assert set(found.values()) == {200, 404} and len(found) > len(SERVED) + 4


# ----------------------------------------------------------------------------------------- links


@pytest.fixture
def linked(tmp_path: Path) -> Viewer:
    """A run whose every file is a link to the outside, and a run that is itself such a link."""
    outside = add_run(tmp_path / "outside", report=OUTSIDE)
    runs = tmp_path / "runs"
    run = runs / "links"
    run.mkdir(parents=True)
    for name in ("report.html", "results.json", "manifest.json", "figures"):
        (run / name).symlink_to(outside / name)
    (runs / "away").symlink_to(outside)
    half = add_run(runs / "half", report=REPORT)
    (half / "figures" / "classes.svg").unlink()
    (half / "figures" / "classes.svg").symlink_to(outside / "report.html")
    (half / "figures" / "other.svg").symlink_to(half / "report.html")  # stays inside
    return Viewer(runs)


def test_links_that_lead_outside_are_not_followed(linked: Viewer) -> None:
    for title in ("links", "away"):
        for name in SERVED:
            answer = linked.ask(f"/{linked.key(title)}/{name}")
            assert answer.status in (403, 404) and OUTSIDE not in answer.text
    assert served_files(linked.root / "links", linked.root) == {}
    half = linked.key("half")
    assert linked.ask(f"/{half}/figures/classes.svg").status == 404
    assert linked.ask(f"/{half}/figures/other.svg").status == 200
    listed = linked.page().text
    assert "results.json is a link that leads out of the folder" in listed
    assert "Links to folders, which are not followed: away." in listed
    assert "church_outdoor_train" in listed  # of the run that is no link
    assert listed.count('<tr role="row" id=') == 2


def test_a_run_cannot_show_the_files_of_another(tmp_path: Path) -> None:
    add_run(tmp_path / "mine", report=OUTSIDE)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("report.html", "results.json", "figures"):
        (theirs / name).symlink_to(tmp_path / "mine" / name)
    viewer = Viewer(tmp_path)
    for name in SERVED:
        assert viewer.ask(f"/{viewer.key('theirs')}/{name}").status == 404
    assert read_run(theirs, tmp_path).state == "unreadable"


def test_a_file_that_becomes_a_link_after_it_was_listed(linked: Viewer) -> None:
    run = linked.root / "half"
    path = served_files(run, linked.root)["report.html"]
    path.unlink()
    path.symlink_to(linked.root.parent / "outside" / "report.html")
    with pytest.raises(RunError, match="leads out of the folder"):
        read_inside(path, linked.root)


def test_pipes_folders_and_huge_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"12345")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name in ("pipe", "folder", "circle", "nothing", "nu\x00l"):
        assert not is_inside(tmp_path / name, tmp_path)
    for name, fault in (("pipe", "no regular file"), ("circle", "cannot be read")):
        with pytest.raises(RunError, match=fault):  # and no waiting for a writer
            read_inside(tmp_path / name, tmp_path)
    with pytest.raises(RunError, match="5 bytes, more than is read"):
        read_inside(tmp_path / "large", tmp_path, most=4)
    with pytest.raises(RunError, match="cannot be read"):
        read_inside(tmp_path / "nu\x00l", tmp_path)


def test_a_pipe_in_the_place_of_results_holds_nothing_up(tmp_path: Path) -> None:
    run = add_run(tmp_path / "runs" / "a")
    (run / "results.json").unlink()
    os.mkfifo(run / "results.json")
    assert "results.json is no regular file" in Viewer(tmp_path / "runs").page().text


def test_other_kinds_of_requests_are_no_concern(viewer: Viewer) -> None:
    import asyncio

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is received or sent")

    with pytest.raises(ValueError, match="plain requests"):
        asyncio.run(viewer.app({"type": "websocket"}, nothing, nothing))
