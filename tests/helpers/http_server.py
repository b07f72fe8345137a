"""A small web server for tests: serves bytes, and misbehaves on request."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """One address of the server.

    Attributes:
        content: the whole file.
        ranges: whether ``Range`` is honoured.
        etag, modified: validators that are sent.
        length: whether ``Content-Length`` is sent.
        cut_after: the connection is closed after so many bytes of each answer in this list, one
            entry an answer; answers after the last are whole.
        stall: seconds of silence after the bytes of ``cut_after`` instead of closing at once.
        pause: seconds between blocks of ``block`` bytes.
        status: answer with this status instead; ``statuses`` for one after the other.
        location: where a redirect leads.
        kind: Content-Type.
    """

    content: bytes = b""
    ranges: bool = True
    etag: str | None = '"v1"'
    modified: str | None = None
    length: bool = True
    cut_after: list[int] = field(default_factory=list)
    stall: float = 0.0
    pause: float = 0.0
    block: int = 1 << 16
    statuses: list[int] = field(default_factory=list)
    location: str | None = None
    kind: str = "application/octet-stream"


class Server:
    """The running server and what it was asked.

    Attributes:
        pages: by path, to be changed at will.
        asked: (path, Range header or None) of every request, in order.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        """The full address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def running() -> Iterator[Server]:
    """A server on a port of the system's choice, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            server.asked.append((path, self.headers.get("Range")))
            page = server.pages.get(path)
            self.close_connection = True
            if page is None:
                self.send_error(404)
                return
            if page.statuses:
                self.send_error(page.statuses.pop(0))
                return
            if page.location:
                self.send_response(302)
                self.send_header("Location", page.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(page)

        def _send(self, page: Page) -> None:
            start = 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            condition = self.headers.get("If-Range")
            fresh = condition is None or condition in (page.etag, page.modified)
            if page.ranges and asked and fresh:
                start = int(asked[1])
                if start >= len(page.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                whole = len(page.content)
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            else:
                self.send_response(200)
            body = page.content[start:]
            for name, value in (("ETag", page.etag), ("Last-Modified", page.modified)):
                if value:
                    self.send_header(name, value)
            if page.length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", page.kind)
            self.send_header("Connection", "close")
            self.end_headers()
            most = page.cut_after.pop(0) if page.cut_after else len(body)
            try:
                for place in range(0, most, page.block):
                    self.wfile.write(body[place : min(place + page.block, most)])
                    self.wfile.flush()
                    time.sleep(page.pause)
                if most < len(body) and page.stall:
                    stopped.wait(page.stall)
            except OSError:
                pass  # the client has gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    stopped = threading.Event()
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server = Server(listening.server_address[1])
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stopped.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
