"""Who may see the pages: the secret address, and the requests that are refused.

Guarantees: without a secret there is nothing but 403; another site cannot make a browser ask for
a page of ours under a name of its own (DNS rebinding), nor embed one, nor read one by script; a
report, which may be someone else's, stands at an origin of its own and knows no secret but that
of its own files.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

READING = ("GET", "HEAD")
"""Methods of requests that change nothing."""
LONGEST_PATH = 500
"""Bytes of a path; ours are shorter."""

_DATA_ONLY = "img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Of pages of ours: nothing inline, nothing from elsewhere."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    f"style-src 'unsafe-inline'; {_DATA_ONLY}; frame-ancestors 'none'"
)
"""Of a report: an opaque origin, its own inline scripts (its own policy names them), no request."""
FILE_POLICY = (
    f"sandbox; default-src 'none'; style-src 'unsafe-inline'; {_DATA_ONLY}; frame-ancestors 'none'"
)
"""Of any other file of a run: no script."""

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer, errors too."""


class Secrets:
    """The secret that all addresses begin with, and one for the files of each run.

    >>> made = Secrets("t")
    >>> made.is_token("t"), made.is_token("T"), made.key_of("a") == made.key_of("b")
    (True, False, False)
    """

    def __init__(self, token: str | None = None) -> None:
        self.token = secrets.token_urlsafe() if token is None else token
        self._once: str | None = None
        self._lock = threading.Lock()

    def is_token(self, given: str) -> bool:
        """Whether a text is the secret; takes as long for any other of its length."""
        return _same(given, self.token)

    def key_of(self, title: str) -> str:
        """The secret of a run's files: it tells nothing of the token, nor of other runs'."""
        name = os.fsencode(title)
        digest = hmac.new(self.token.encode(), name, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def find(self, given: str, keys: Iterable[str]) -> str | None:
        """The one of some secrets that a text is; all are compared."""
        return next(iter([key for key in keys if _same(given, key)]), None)

    def new_once(self) -> str:
        """A secret that stands for the token once.

        The command line of a browser can be read by everyone on the machine: it gets this one.
        """
        with self._lock:
            self._once = secrets.token_urlsafe()
            return self._once

    def use_once(self, given: str) -> bool:
        """Whether a text is the secret that was made last; it is used up then."""
        with self._lock:
            if self._once is None or not _same(given, self._once):
                return False
            self._once = None
            return True


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def refusal(
    method: str,
    path: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    port: int,
    methods: tuple[str, ...] = READING,
) -> tuple[int, str] | None:
    """Why a request is refused whatever it asks for, as status and words; None where it is not.

    >>> refusal("GET", b"/", [(b"host", b"127.0.0.1:80")], 80)
    >>> refusal("GET", b"/", [(b"host", b"evil.example")], 80)
    (403, 'this host name is not the address of the viewer')

    Args:
        path: as it was sent, percent signs and all.
        headers: names in lower case.
        port: that the server listens to.
        methods: that the application answers.
    """
    given: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        given.setdefault(name.lower(), []).append(value.strip().lower())
    names = (b"127.0.0.1", b"localhost")
    hosts = {b"%s:%d" % (name, port) for name in names}
    hosts |= set(names) if port == 80 else set()
    if len(given.get(b"host", ())) != 1 or given[b"host"][0] not in hosts:
        return 403, "this host name is not the address of the viewer"
    if method not in methods:
        return 405, f"the viewer only shows: {' and '.join(methods)}"
    own = {b"http://" + host for host in hosts}
    if not own.issuperset(given.get(b"origin", ())) or not _is_plain(given):
        return 403, "another site may not ask for this"
    if len(path) > LONGEST_PATH or _is_odd(path):
        return 404, "there is no such page"
    return None


def _is_plain(given: Mapping[bytes, list[bytes]]) -> bool:
    """Whether a request comes from a page of ours, from no page, or goes to a link in the window.

    Browsers say so themselves; a program that is none says nothing, and needs the secret alone.
    """
    sites = given.get(b"sec-fetch-site", [])
    if all(site in (b"same-origin", b"none") for site in sites):
        return True
    to_window = given.get(b"sec-fetch-mode") == [b"navigate"]
    return to_window and given.get(b"sec-fetch-dest") == [b"document"]


def _is_odd(path: bytes) -> bool:
    """Whether a path has what no address of ours has: dots alone, ``%``, backslashes, controls."""
    if not path.startswith(b"/") or any(c in b"\\%" or not 0x20 < c < 0x7F for c in path):
        return True
    return any(part.strip(b".") == b"" for part in path.split(b"/")[1:-1]) or path.endswith(
        (b"/.", b"/..")
    )


def guarded(application: Application, port: int, methods: tuple[str, ...] = READING) -> Application:
    """The application behind ``refusal``, with the headers that every answer has."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError("the viewer answers plain requests alone")
        path = scope.get("raw_path") or scope["path"].encode(errors="replace")
        refused = refusal(scope["method"], path, scope["headers"], port, methods)
        if refused is None:
            await application(scope, receive, _with_headers(send))
            return
        status, words = refused
        body = (words + "\n").encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        headers += [(b"content-length", b"%d" % len(body))]
        headers += [(b"allow", ", ".join(methods).encode())] if status == 405 else []
        own = _with_headers(send)
        await own({"type": "http.response.start", "status": status, "headers": headers})
        await own(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    return guard


async def read_body(request: Request, most: int) -> bytes | None:
    """The body of a request, read no further than ``most`` bytes; None where it is longer.

    ``body = await read_body(request, 1_000_000)``
    """
    parts, length = [], 0
    async for part in request.stream():
        parts.append(part)
        length += len(part)
        if length > most:
            return None
    return b"".join(parts)


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            added = {**HEADERS, "Content-Security-Policy": FILE_POLICY}
            headers += [
                (name.lower().encode(), value.encode())
                for name, value in added.items()
                if name.lower().encode() not in names
            ]
            message = {**message, "headers": headers}
        await send(message)

    return sent
