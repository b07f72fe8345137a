"""The server itself, on a port of 127.0.0.1, and the command that starts it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seeingkit.errors import UsageError
from seeingkit.viewing import server
from seeingkit.viewing.server import HOST, bound, serve
from tests.helpers.commands import command
from tests.helpers.viewer import OUTSIDE, add_run, serving

REPORT = "<!DOCTYPE html><title>of the run</title>"


class Running(NamedTuple):
    """A server in a thread: its address, in parts, and one that works once."""

    port: int
    token: str
    once: str


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    add_run(tmp_path / "runs" / "a", report=REPORT)
    (tmp_path / "secret.html").write_text(OUTSIDE)
    with serving(tmp_path / "runs") as (address, once):
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{43})/", address)
        assert found is not None
        yield Running(int(found[1]), found[2], once.rpartition("/")[2])


def ask(
    port: int, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request by the usual client; ``Host`` is set as it does it, unless given."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return found


def raw(port: int, text: bytes) -> bytes:
    """The first line of the answer to bytes as they are."""
    with socket.create_connection((HOST, port), timeout=30) as connection:
        connection.sendall(text)
        return connection.makefile("rb").readline()


def test_from_end_to_end(running: Running) -> None:
    port, token, once = running
    status, headers, body = ask(port, f"/{token}/")
    assert status == 200 and b"church_outdoor_train" in body
    assert headers["content-type"] == "text/html; charset=utf-8" and "server" not in headers
    (report,) = re.findall(rb'href="(/[\w-]{43}/report.html)"', body)
    status, headers, body = ask(port, report.decode())
    assert (status, body.decode()) == (200, REPORT)
    assert headers["content-security-policy"].startswith("sandbox allow-scripts")
    status, headers, body = ask(port, f"/{token}/", "HEAD")
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 0
    assert ask(port, "/")[0] == 403
    assert ask(port, f"/{token}/", Host="evil.example")[0] == 403
    assert ask(port, f"/{token}/", "POST")[0] == 405
    assert ask(port, f"/{token}/", Origin="https://evil.example")[0] == 403
    status, headers, _ = ask(port, f"/{once}")
    assert (status, headers["location"]) == (303, f"/{token}/")
    assert ask(port, f"/{once}")[0] == 403


def test_headers_of_proxies_change_nothing(running: Running) -> None:
    port, token, once = running
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert ask(port, f"/{token}/", **forwarded)[0] == 200
    given = {"Host": "evil.example", "X-Forwarded-Host": f"127.0.0.1:{port}"}
    assert ask(port, f"/{token}/", **given)[0] == 403
    assert ask(port, f"/{once}", **forwarded)[1]["location"].startswith("/")


@pytest.mark.parametrize(
    "path",
    [
        *("/{}/../../secret.html", "/{}/%2e%2e/%2e%2e/secret.html", "/{}/..%2f..%2fsecret.html"),
        *("/{}/..\\..\\secret.html", "/{}//etc/passwd", "/{}/%00", "/../../secret.html"),
        *("//evil.example/{}/", "http://evil.example/{}/", "/{}/" + "x" * 5000),
    ],
)
def test_raw_paths(running: Running, path: str) -> None:
    port, token, _ = running
    line = f"GET {path.format(token)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    assert raw(port, line.encode()).split()[1] == b"404"


def test_what_is_no_request_gets_no_page(running: Running) -> None:
    port, token, _ = running
    line = f"GET /{token}/ HTTP/1.1\r\n"
    assert raw(port, f"{line}\r\n".encode()).split()[1] in (b"400", b"403")  # no Host
    host = f"Host: 127.0.0.1:{port}\r\n"
    assert raw(port, f"{line}{host}Host: evil.example\r\n\r\n".encode()).split()[1] in (
        b"400",
        b"403",
    )
    assert raw(port, f"GET /\x01{token}/ HTTP/1.1\r\n{host}\r\n".encode()).split()[1] == b"400"
    assert raw(port, f"GET /{'x' * 200_000} HTTP/1.1\r\n{host}\r\n".encode()).split()[1] in (
        b"400",
        b"404",
    )


def test_no_other_address_of_this_machine_answers(running: Running) -> None:
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", running.port), timeout=5).close()
    with bound(0) as free:
        assert free.getsockname()[0] == "127.0.0.1"
    with pytest.raises(TypeError):
        serve(Path(), host="0.0.0.0")  # type: ignore[call-arg]


# ----------------------------------------------------------------------------------- the command


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    def asked(*words: str) -> tuple[int, str, str]:
        return command("view", *words, capsys=capsys, monkeypatch=monkeypatch)

    return asked


def test_ports_in_use_are_one_line(run: Any, tmp_path: Path) -> None:
    with bound(0) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = run(str(tmp_path), "--port", port, "--no-open")
        with pytest.raises(UsageError, match="is in use"):
            bound(int(port))
    assert (code, out) == (2, "")
    assert err == f"seeingkit: port {port} is in use; name another, or --port 0 for a free one\n"
    code, out, err = run(str(tmp_path), "--port", "70000")
    assert code == 2 and err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may take any port")
def test_ports_of_the_system(run: Any, tmp_path: Path) -> None:
    code, _, err = run(str(tmp_path), "--port", "1", "--no-open")
    assert code == 2 and "cannot be used" in err


def test_the_folder_must_be_there(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, fault in (("nothing", "no such folder"), ("file", "is a file")):
        code, out, err = run(str(tmp_path / name), "--no-open")
        assert (code, out) == (1, "") and err.count("\n") == 1
        assert err.startswith(f"seeingkit: {tmp_path / name}: {fault}; name the folder")


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_extra(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = run(str(tmp_path))
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "pip install 'seeingkit[view]'" in err


def test_there_is_no_option_for_another_address(run: Any, tmp_path: Path) -> None:
    code, _, err = run(str(tmp_path), "--host", "0.0.0.0")
    assert code == 2 and "no option --host" in err
    code, out, err = run("--help")
    assert code == 0 and "--port" in out and "host" not in out.lower()


@pytest.mark.parametrize(
    ("words", "screen", "opened"),
    [
        (["--open"], "", True),
        (["--no-open"], ":0", False),
        ([], ":0", True),
        ([], "", False),
    ],
)
def test_a_browser_gets_the_address_that_works_once(
    run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    screen: str,
    opened: bool,
) -> None:
    seen: list[str] = []

    def serve_nothing(root: Path, *, port: int, ready: Callable[[str, str], None]) -> None:
        assert (root, port) == (tmp_path, 0)
        ready("http://127.0.0.1:1/secret/", "http://127.0.0.1:1/once")
        for thread in threading.enumerate():
            if thread.name == "browser":
                thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", serve_nothing)
    monkeypatch.setattr(webbrowser, "open", lambda address: seen.append(address))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code, out, err = run(str(tmp_path), *words)
    assert (code, out) == (0, "http://127.0.0.1:1/secret/\n")
    assert err.count("\n") == 1 and "Ctrl-C" in err
    assert seen == (["http://127.0.0.1:1/once"] if opened else [])


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    add_run(tmp_path / "runs" / "a", report=REPORT)
    words = [sys.executable, "-m", "seeingkit", "view", "--no-open"]  # runs/ is the default
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", address).groups()  # type: ignore[union-attr]
        kept = http.client.HTTPConnection(HOST, int(port), timeout=30)  # stays open meanwhile
        kept.request("GET", f"/{token}/")
        assert kept.getresponse().read().count(b"data-title=") == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read().splitlines() == [
            "for you alone: the address holds a secret; Ctrl-C ends it"
        ]
        kept.close()
