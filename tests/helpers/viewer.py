"""The pages of ``seeingkit view`` asked without a network, and runs for them to show."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import uvicorn
from pydantic import BaseModel

from seeingkit.viewing.access import Secrets
from seeingkit.viewing.server import application, serve

from .church_report import church_manifest, church_results, save_results

PORT = 8123
OUTSIDE = "lies outside the folder"
"""What the files say that must never be served."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask_application(
    app: Any,
    path: str | bytes,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    host: str | None = f"127.0.0.1:{PORT}",
    body: bytes = b"",
) -> Answer:
    """The answer of an ASGI application to a request, as a server passes it on."""
    raw, _, query = (path.encode() if isinstance(path, str) else path).partition(b"?")
    given = {**({} if host is None else {"host": host}), **(headers or {})}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(raw).decode(errors="replace"),
        "raw_path": raw,
        "query_string": query,
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
        "server": ("127.0.0.1", PORT),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    asyncio.run(app(scope, receive, send))
    found = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:]))


@dataclass
class Viewer:
    """An application over a folder, and requests to it as a server passes them on."""

    root: Path
    secrets: Secrets = field(default_factory=Secrets)

    def __post_init__(self) -> None:
        self.app = application(self.root, self.secrets, PORT)

    def ask(
        self,
        path: str | bytes,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        host: str | None = f"127.0.0.1:{PORT}",
    ) -> Answer:
        """Ask for a path as it is written, nothing tidied up."""
        return ask_application(self.app, path, method=method, headers=headers, host=host)

    def page(self, rest: str = "", **kinds: Any) -> Answer:
        """A page of ours: what stands behind the secret."""
        return self.ask(f"/{self.secrets.token}/{rest}", **kinds)

    def key(self, title: str) -> str:
        return self.secrets.key_of(title)


def add_run(
    folder: Path, results: BaseModel | None = None, report: str = "", **manifest: Any
) -> Path:
    """A run with results of these kind, a report of this text, a manifest with these changes."""
    folder.mkdir(parents=True)
    save_results(folder, church_results() if results is None else results)
    changed = json.loads(church_manifest().model_dump_json()) | manifest
    (folder / "manifest.json").write_text(json.dumps(changed))
    if report:
        (folder / "report.html").write_text(report)
        (folder / "figures").mkdir()
        (folder / "figures" / "classes.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder


def serving(root: Path) -> AbstractContextManager[tuple[str, str]]:
    """A server of the pages over a folder of runs, in a thread."""
    return in_thread(lambda ready: serve(root, ready=ready))


@contextmanager
def in_thread(
    start: Callable[[Callable[[str, str], None]], None],
) -> Iterator[tuple[str, str]]:
    """A server in a thread: its address, and one that leads there once."""
    made: list[uvicorn.Server] = []
    told: list[str] = []
    begun = threading.Event()

    class Kept(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            made.append(self)
            begun.set()

    def ready(*addresses: str) -> None:
        told.extend(addresses)

    work = threading.Thread(target=start, args=(ready,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn, "Server", Kept)
        work.start()
        assert begun.wait(30)
    yield told[0], told[1]
    made[0].should_exit = True
    work.join(30)
    assert not work.is_alive()


class Cells(HTMLParser):
    """Table rows of a page: attributes of the row, and attributes and text of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[tuple[dict[str, str], list[tuple[dict[str, str], str]]]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag == "tr":
            self.rows.append((found, []))
        elif tag in ("td", "th") and self.rows:
            self.rows[-1][1].append((found, ""))
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, text = self.rows[-1][1][-1]
            self.rows[-1][1][-1] = attributes, _tidied(text + " " + data)

    def row(self, name: str) -> list[tuple[dict[str, str], str]]:
        """The cells behind the head that begins with this name."""
        return next(cells[1:] for _, cells in self.rows if cells[0][1].startswith(name))

    def run(self, title: str) -> list[str]:
        """The texts of a run in the list."""
        return next(
            [text for _, text in cells]
            for attributes, cells in self.rows
            if attributes.get("data-title") == title
        )


def _tidied(text: str) -> str:
    return re.sub("[ \n]+", " ", text).strip(" \n")
