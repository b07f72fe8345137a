"""Fetching a file: right, whole and once, whatever server, network and disk do."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from seeingkit.errors import CorruptFileError, MissingWeightsError, WeightsError
from seeingkit.models.hub import connections, consent, downloading
from seeingkit.models.hub.downloading import download
from seeingkit.models.hub.hashes import record_path, verify_file
from seeingkit.models.hub.members import unpack_member, wrapping
from seeingkit.specs import WeightFile
from tests.helpers.http_server import Page, Server, running, sha256

CONTENT = random.Random(0).randbytes(3_000_000)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite is offline; these tests have a server of their own."""
    monkeypatch.delenv("SEEINGKIT_OFFLINE")


@pytest.fixture
def server(shared_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """A server, an empty cache, no proxy, and short pauses."""
    shared_server.pages.clear()
    shared_server.asked.clear()
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(downloading, "PAUSE", 0.001)
    return shared_server


def a_file(server: Server, path: str = "/g.pth", **known: object) -> WeightFile:
    known = known or {"sha256": sha256(CONTENT)}
    return WeightFile(name="g.pth", url=server.url(path), **known)


def folder_of(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


# ------------------------------------------------------------------------------------ right files


@pytest.mark.parametrize(
    "known",
    [
        {"sha256": sha256(CONTENT), "size": len(CONTENT)},
        {"sha256_prefix": sha256(CONTENT)[:8]},
        {"md5": hashlib.md5(CONTENT).hexdigest()},
        {"size": len(CONTENT)},
    ],
    ids=lambda known: "+".join(known),
)
def test_a_right_file_lands_whole_and_alone(
    server: Server, tmp_path: Path, known: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    target = tmp_path / "new" / "folder" / "g.pth"
    download(a_file(server, **known), target, "toy:x")
    assert target.read_bytes() == CONTENT
    assert folder_of(target) == ["g.pth"]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"fetching g.pth (3.0 MB) from 127.0.0.1 into {target.parent}\n"


def test_without_a_length_and_in_chunks(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT, length=False, pause=0.0)
    download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert (tmp_path / "g.pth").read_bytes() == CONTENT


def test_slow_but_steady_is_no_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 0.3)
    server.pages["/g.pth"] = Page(CONTENT[:200_000], block=20_000, pause=0.06)
    started = time.monotonic()
    download(a_file(server, sha256=sha256(CONTENT[:200_000])), tmp_path / "g.pth", "toy:x")
    assert time.monotonic() - started > 0.5  # longer than the patience for one block
    assert len(server.asked) == 1


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    server.pages["/old"] = Page(location="/moved")
    server.pages["/moved"] = Page(location=server.url("/g.pth"))
    download(a_file(server, "/old"), tmp_path / "g.pth", "toy:x")
    assert (tmp_path / "g.pth").read_bytes() == CONTENT


def test_a_mirror_serves_when_the_first_address_does_not(server: Server, tmp_path: Path) -> None:
    server.pages["/mirror"] = Page(CONTENT)
    server.pages["/wrong"] = Page(CONTENT[::-1])
    for first in ("/nothing", "/wrong"):
        file = WeightFile(
            name="g.pth",
            url=server.url(first),
            mirrors=(server.url("/mirror"),),
            sha256=sha256(CONTENT),
        )
        download(file, tmp_path / first.strip("/") / "g.pth", "toy:x")
        assert (tmp_path / first.strip("/") / "g.pth").read_bytes() == CONTENT


# ------------------------------------------------------------------------------------ wrong files


@pytest.mark.parametrize(
    "known",
    [{"sha256": "0" * 64}, {"sha256_prefix": "0" * 8}, {"md5": "0" * 32}],
    ids=lambda known: next(iter(known)),
)
def test_a_wrong_hash_is_refused_and_nothing_is_left(
    server: Server, tmp_path: Path, known: dict[str, object]
) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    target = tmp_path / "new" / "g.pth"
    with pytest.raises(CorruptFileError, match=r"toy:x: .* is not the published file: .*deleted"):
        download(a_file(server, **known), target, "toy:x")
    assert folder_of(target) == []
    assert len(server.asked) == 1  # a wrong file is not fetched again


def test_another_size_is_refused_before_its_bytes_are_fetched(
    server: Server, tmp_path: Path
) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    with pytest.raises(MissingWeightsError, match="3000000 bytes, the published one 17"):
        download(a_file(server, size=17), tmp_path / "new/g.pth", "toy:x")
    assert folder_of(tmp_path / "new/g.pth") == []


def test_more_bytes_than_published_are_not_written_without_end(
    server: Server, tmp_path: Path
) -> None:
    server.pages["/g.pth"] = Page(CONTENT, length=False)
    with pytest.raises(MissingWeightsError, match="more than 1000 bytes"):
        download(a_file(server, size=1000), tmp_path / "new/g.pth", "toy:x")
    part = tmp_path / "new/g.pth.part"
    assert part.stat().st_size < 600_000


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_not_taken_for_the_file(server: Server, tmp_path: Path, kind: str) -> None:
    page = b"  <!DOCTYPE html><html><body>Google Drive cannot scan this file</body></html>"
    server.pages["/g.pth"] = Page(page, kind=kind)
    with pytest.raises(WeightsError, match="web page"):
        download(WeightFile(name="g.pth", url=server.url("/g.pth")), tmp_path / "g.pth", "toy:x")
    assert list(tmp_path.glob("g.pth*")) == []


# ---------------------------------------------------------------------- broken and continued ones


def test_what_was_cut_off_continues_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT, cut_after=[1_000_000, 700_000])
    download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert (tmp_path / "g.pth").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=1000000-", "bytes=1700000-"]


def test_a_truncated_file_is_an_error_after_some_attempts_and_is_kept(
    server: Server, tmp_path: Path
) -> None:
    server.pages["/g.pth"] = Page(CONTENT, cut_after=[500_000] + [0] * 50)
    target = tmp_path / "g.pth"
    with pytest.raises(MissingWeightsError, match=r"ended after 500.0 kB of 3.0 MB.*are kept"):
        download(a_file(server), target, "toy:x")
    assert not target.exists()
    assert (tmp_path / "g.pth.part").read_bytes() == CONTENT[:500_000]
    assert len(server.asked) < 10
    server.pages["/g.pth"].cut_after.clear()
    server.asked.clear()
    download(a_file(server), target, "toy:x")
    assert target.read_bytes() == CONTENT
    assert server.asked == [("/g.pth", "bytes=500000-")]
    assert list(tmp_path.glob("g.pth.*")) == []


def test_a_server_that_falls_silent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 0.2)
    server.pages["/g.pth"] = Page(CONTENT, cut_after=[1_500_000], stall=30)
    started = time.monotonic()
    download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert time.monotonic() - started < 5
    assert (tmp_path / "g.pth").read_bytes() == CONTENT
    server.pages["/g.pth"] = Page(CONTENT, cut_after=[0] * 50, stall=30)
    with pytest.raises(MissingWeightsError, match="nothing came for"):
        download(a_file(server), tmp_path / "other" / "g.pth", "toy:x")


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT, ranges=False, cut_after=[2_000_000])
    download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert (tmp_path / "g.pth").read_bytes() == CONTENT
    server.pages["/g.pth"] = Page(CONTENT, ranges=False, cut_after=[2_000_000] * 50)
    with pytest.raises(MissingWeightsError, match="connection ended"):
        download(a_file(server), tmp_path / "other" / "g.pth", "toy:x")
    assert len(server.asked) < 12  # cut at the same place again and again is no progress


@pytest.mark.parametrize(
    "validators",
    [
        {"etag": '"one"'},
        {"etag": None, "modified": "Mon, 01 Jun 2020 00:00:00 GMT"},
        {"etag": 'W/"one"', "modified": "Mon, 01 Jun 2020 00:00:00 GMT"},
        {"etag": None},  # only the hash tells
    ],
    ids=["strong", "date", "weak and date", "none"],
)
def test_a_file_that_changed_meanwhile_is_not_spliced(
    server: Server, tmp_path: Path, validators: dict[str, str | None]
) -> None:
    other = random.Random(1).randbytes(len(CONTENT))
    target = tmp_path / "g.pth"
    server.pages["/g.pth"] = Page(other, cut_after=[1_000_000] + [0] * 50, **validators)
    with pytest.raises(MissingWeightsError):
        download(a_file(server), target, "toy:x")
    assert (tmp_path / "g.pth.part").stat().st_size == 1_000_000
    changed = {
        k: v.replace("one", "two").replace("2020", "2021") for k, v in validators.items() if v
    }
    server.pages["/g.pth"] = Page(CONTENT, **{**validators, **changed})
    download(a_file(server), target, "toy:x")
    assert target.read_bytes() == CONTENT


def test_a_part_of_another_length_or_unknown_origin_is_dropped(
    server: Server, tmp_path: Path
) -> None:
    target = tmp_path / "g.pth"
    server.pages["/g.pth"] = Page(CONTENT, etag=None)
    (tmp_path / "g.pth.part").write_bytes(b"x" * 5000)  # nobody knows where this came from
    download(a_file(server), target, "toy:x")
    assert target.read_bytes() == CONTENT and server.asked == [("/g.pth", None)]
    target.unlink()
    server.pages["/g.pth"] = Page(CONTENT + b"more", etag=None, cut_after=[1000] + [0] * 50)
    with pytest.raises(MissingWeightsError):
        download(a_file(server, sha256_prefix=sha256(CONTENT)[:8]), target, "toy:x")
    server.pages["/g.pth"] = Page(CONTENT, etag=None)
    download(a_file(server), target, "toy:x")
    assert target.read_bytes() == CONTENT


def test_a_complete_part_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT, cut_after=[1_000_000] + [0] * 50)
    with pytest.raises(MissingWeightsError):
        download(a_file(server), tmp_path / "g.pth", "toy:x")
    (tmp_path / "g.pth.part").write_bytes(CONTENT)  # as if killed between the end and the rename
    download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert (tmp_path / "g.pth").read_bytes() == CONTENT


def test_busy_servers_are_asked_again_and_refusals_are_not(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT, statuses=[503, 429])
    download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert (tmp_path / "g.pth").read_bytes() == CONTENT
    server.asked.clear()
    with pytest.raises(MissingWeightsError) as caught:
        download(a_file(server, "/gone"), tmp_path / "x" / "g.pth", "toy:x")
    message = str(caught.value)
    assert "answered 404" in message and server.url("/gone") in message
    assert sha256(CONTENT) in message and str(tmp_path / "x") in message
    assert len(server.asked) == 1
    server.pages["/broken"] = Page(CONTENT, statuses=[500] * 20)
    with pytest.raises(MissingWeightsError, match="answered 500"):
        download(a_file(server, "/broken"), tmp_path / "x" / "g.pth", "toy:x")


# -------------------------------------------------------------------------------------- redirects


def test_redirects_that_are_not_followed(server: Server, tmp_path: Path) -> None:
    server.pages["/ftp"] = Page(location="ftp://127.0.0.1/g.pth")
    server.pages["/file"] = Page(location="file:///etc/passwd")
    server.pages["/circle"] = Page(location="/circle")
    for path in ("/ftp", "/file", "/circle"):
        with pytest.raises(MissingWeightsError):
            download(a_file(server, path), tmp_path / "g.pth", "toy:x")
    assert len(server.asked) < 20
    file = WeightFile(name="g.pth", url="file:///etc/passwd")
    with pytest.raises(MissingWeightsError, match="only http and https"):
        download(file, tmp_path / "g.pth", "toy:x")
    assert list(tmp_path.glob("g.pth*")) == []


def test_https_never_leads_down_to_http() -> None:
    import urllib.request

    request = urllib.request.Request("https://example.org/g.pth")
    handler = connections._Redirects()
    with pytest.raises(connections.RefusedError, match="from https to http"):
        handler.redirect_request(request, None, 302, "", None, "http://example.org/g.pth")  # type: ignore[arg-type]
    up = handler.redirect_request(request, None, 302, "", None, "https://example.com/g.pth")  # type: ignore[arg-type]
    assert up is not None and up.full_url == "https://example.com/g.pth"


# ------------------------------------------------------------------------------------- no network


def test_offline_asks_nobody(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "1")
    with pytest.raises(MissingWeightsError) as caught:
        download(a_file(server), tmp_path / "g.pth", "toy:x")
    message = str(caught.value)
    assert "SEEINGKIT_OFFLINE" in message and server.url("/g.pth") in message
    assert sha256(CONTENT) in message and str(tmp_path) in message
    assert server.asked == []
    monkeypatch.setenv("SEEINGKIT_OFFLINE", "0")
    download(a_file(server), tmp_path / "g.pth", "toy:x")


def test_nobody_listens_and_no_such_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with running() as server:
        closed = server.url("/g.pth")
    for url in (closed, "http://no-such-host.invalid/g.pth"):
        started = time.monotonic()
        with pytest.raises(MissingWeightsError, match="no connection to .*no published hash"):
            download(WeightFile(name="g.pth", url=url), tmp_path / "g.pth", "toy:x")
        assert time.monotonic() - started < 8
    assert list(tmp_path.glob("g.pth*")) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("SEEINGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    timeouts: list[float] = []

    def silent(address: tuple[str, int], timeout: float, source: object) -> socket.socket:
        timeouts.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    with pytest.raises(MissingWeightsError, match=r"no connection to example.org \(timed out\)"):
        download(WeightFile(name="g", url=f"{scheme}://example.org/g"), tmp_path / "g", "toy:x")
    assert timeouts == [connections.CONNECT_SECONDS]  # once: nobody answers a second time either


# ------------------------------------------------------------------------------------------- disk


def test_no_room_is_known_before(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    usage = type("usage", (), {"free": 1_000_000})
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match=r"needs 3.0 MB more, but 1.0 MB are free in"):
        download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert list(tmp_path.glob("g.pth*")) == []


def test_the_disk_ends_while_writing(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(WeightsError, match=r"g.pth does not fit.*SEEINGKIT_CACHE") as caught:
            download(a_file(server), tmp_path / "g.pth", "toy:x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "g.pth").exists()
    download(a_file(server), tmp_path / "g.pth", "toy:x")  # with room, it goes on from there
    assert (tmp_path / "g.pth").read_bytes() == CONTENT
    assert server.asked[-1][1] is not None


def test_a_full_disk_that_shows_only_when_flushing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/g.pth"] = Page(CONTENT)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(downloading.os, "fsync", full)
    with pytest.raises(WeightsError, match="does not fit"):
        download(a_file(server), tmp_path / "g.pth", "toy:x")
    assert not (tmp_path / "g.pth").exists()


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(WeightsError, match="cannot write to"):
        download(a_file(server), tmp_path / "occupied" / "g.pth", "toy:x")


# -------------------------------------------------------------------------- processes and signals

_FETCH = """
import sys
from pathlib import Path
from seeingkit.specs import WeightFile
from seeingkit.models.hub.downloading import download
url, sha, target = sys.argv[1:]
try:
    download(WeightFile(name="g.pth", url=url, sha256=sha), Path(target), "toy:x")
except KeyboardInterrupt:
    sys.exit(130)
"""


def start(server: Server, target: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", _FETCH, server.url("/g.pth"), sha256(CONTENT), str(target)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def test_two_processes_fetch_once(server: Server, tmp_path: Path) -> None:
    server.pages["/g.pth"] = Page(CONTENT, block=200_000, pause=0.1)
    target = tmp_path / "g.pth"
    both = [start(server, target), start(server, target)]
    said = [process.communicate(timeout=30)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert sum("another process is fetching g.pth" in text for text in said) == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_fetch_goes_on_where_it_stopped(
    server: Server, tmp_path: Path, signum: int
) -> None:
    server.pages["/g.pth"] = Page(CONTENT, block=100_000, pause=0.05)
    target, part = tmp_path / "g.pth", tmp_path / "g.pth.part"
    process = start(server, target)
    started = time.monotonic()
    while not (part.exists() and part.stat().st_size > 500_000):
        assert time.monotonic() - started < 20
        time.sleep(0.01)
    process.send_signal(signum)
    process.communicate(timeout=20)
    assert process.returncode != 0
    reached = part.stat().st_size
    assert 0 < reached < len(CONTENT) and not target.exists()
    server.pages["/g.pth"].pause = 0
    server.asked.clear()
    download(a_file(server), target, "toy:x")  # a lock left behind by the dead does not hold
    assert target.read_bytes() == CONTENT
    assert server.asked == [("/g.pth", f"bytes={reached}-")]


# ---------------------------------------------------------------------------------------- consent


def test_large_files_are_asked_for_on_a_terminal_only(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/g.pth"] = Page(CONTENT)
    questions: list[str] = []

    def refuse(question: str) -> bool:
        questions.append(question)
        return False

    consent.ask_before_large_downloads(refuse)
    try:
        download(a_file(server), tmp_path / "small" / "g.pth", "toy:x")  # 3 MB
        monkeypatch.setattr(consent, "LARGE", 1_000_000)
        download(a_file(server), tmp_path / "job" / "g.pth", "toy:x")  # nobody to ask
        assert questions == []
        for stream in (sys.stdin, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        with pytest.raises(MissingWeightsError, match="declined"):
            download(a_file(server), tmp_path / "large" / "g.pth", "toy:x")
        server.pages["/g.pth"].length = False  # of unknown size
        monkeypatch.setattr(consent, "LARGE", 1 << 40)
        with pytest.raises(MissingWeightsError, match="declined"):
            download(a_file(server), tmp_path / "large" / "g.pth", "toy:x")
    finally:
        consent.ask_before_large_downloads(None)
    assert questions[0].startswith("toy:x: fetch g.pth (3.0 MB) from 127.0.0.1 into ")
    assert "size unknown" in questions[1]


# ------------------------------------------------------------------------------- trust on first use


def test_the_hash_of_the_first_use_is_checked_ever_after(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "g.pth"
    path.write_bytes(CONTENT)
    file = WeightFile(name="g.pth", url="https://example.org/g.pth")
    assert verify_file(path, file, "toy:x") == sha256(CONTENT)
    said = capsys.readouterr().err
    assert "no published hash" in said and sha256(CONTENT) in said
    assert record_path(path).read_text() == f"{sha256(CONTENT)}  g.pth\n"  # as sha256sum -c reads
    verify_file(path, file, "toy:x")
    assert capsys.readouterr().err == ""
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(CorruptFileError, match="not the file of its first use"):
        verify_file(path, file, "toy:x")
    record_path(path).write_text("what?")
    with pytest.raises(CorruptFileError, match="holds no SHA-256"):
        verify_file(path, file, "toy:x")


def test_a_published_md5_is_checked_even_when_a_record_says_otherwise(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "g.pth"
    path.write_bytes(CONTENT)
    record_path(path).write_text(f"{sha256(CONTENT)}  g.pth\n")
    with pytest.raises(CorruptFileError, match="md5 is"):
        verify_file(path, WeightFile(name="g.pth", md5="0" * 32), "toy:x")


def test_a_file_that_did_not_change_is_not_read_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seeingkit.models.hub import hashes

    path = tmp_path / "g.pth"
    path.write_bytes(CONTENT)
    os.utime(path, (1e9, 1e9))
    monkeypatch.setattr("seeingkit.system.digests.SETTLED", -60.0)  # the clock had time to move
    file = WeightFile(name="g.pth", sha256=sha256(CONTENT))
    reads: list[Path] = []
    real = hashes.file_digest
    monkeypatch.setattr(hashes, "file_digest", lambda p, a: (reads.append(p), real(p, a))[1])
    verify_file(path, file, "toy:x")
    verify_file(path, file, "toy:x")
    assert reads == [path]
    path.write_bytes(CONTENT[::-1])  # the same size
    with pytest.raises(CorruptFileError):
        verify_file(path, file, "toy:x")


# --------------------------------------------------------------------------------------- archives


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_member_is_taken_out_of_an_archive(tmp_path: Path) -> None:
    file = WeightFile(name="G_ema.pth", url="https://example.org/get?id=1&x=2#member=G_ema.pth")
    archive = wrapping(file)
    assert archive is not None and archive.member == "G_ema.pth"
    assert archive.file.url == "https://example.org/get?id=1&x=2"
    place = tmp_path / archive.file.name
    place.write_bytes(zipped({"run/G_ema.pth": CONTENT, "D.pth": b"x"}))
    unpack_member(place, "G_ema.pth", tmp_path / "G_ema.pth", "toy:x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["G_ema.pth"]
    assert (tmp_path / "G_ema.pth").read_bytes() == CONTENT
    assert wrapping(WeightFile(name="g", url="https://example.org/g#fragment")) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped({"a/G_ema": b"1"}), "0 files called G_ema.pth"),
        (zipped({"a/G_ema.pth": b"1", "b/G_ema.pth": b"2"}), "2 files called G_ema.pth"),
        (zipped({"G_ema.pth": CONTENT})[:-200], "not an archive"),
        (b"nothing", "not an archive"),
    ],
)
def test_archives_that_cannot_be_unpacked(tmp_path: Path, content: bytes, words: str) -> None:
    place = tmp_path / "x.zip"
    place.write_bytes(content)
    with pytest.raises(CorruptFileError, match=words):
        unpack_member(place, "G_ema.pth", tmp_path / "G_ema.pth", "toy:x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zip"]
