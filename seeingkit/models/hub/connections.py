"""HTTP connections: short timeouts for connecting, longer ones for reading, safe redirects.

Built on ``urllib`` of the standard library, which also honours the proxies of the environment.
Guarantees: only ``http`` and ``https`` are spoken; a redirect never leads from ``https`` down to
``http``; connecting to an address of the host takes at most ``CONNECT_SECONDS``; a server that
falls silent is a ``BrokenOffError`` after ``READ_SECONDS``.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from typing import IO, Any
from urllib.parse import urlsplit

CONNECT_SECONDS = 5.0
"""Timeout of connecting, for each address that the host has."""

READ_SECONDS = 30.0
"""Timeout of each read."""


class UnreachableError(Exception):
    """No connection to the host: no network, no such name, or nobody answers."""


class RefusedError(Exception):
    """The server answered, and will not give the file (status 0: a redirect was refused)."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class BrokenOffError(Exception):
    """The connection broke, stalled, or ended early; worth another attempt."""


def host_of(url: str) -> str:
    """The host of a URL, for messages."""
    return urlsplit(url).hostname or url


def open_url(url: str, headers: Mapping[str, str]) -> Any:
    """The response of a GET request, after redirects; the caller closes it.

    Returns:
        an ``http.client.HTTPResponse`` with status 200 or 206.

    Raises:
        UnreachableError: no connection.
        RefusedError: any other status, or a redirect that is not followed.
        BrokenOffError: the connection broke before the headers were in, or the server is busy.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise RefusedError(f"{url}: only http and https addresses are fetched")
    request = urllib.request.Request(url, headers={**_HEADERS, **headers})
    opener = urllib.request.build_opener(_Http, _Https, _Redirects)
    try:
        return opener.open(request)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"{host_of(url)} answered {error.code} {error.reason}"
        if error.code in (408, 425, 429) or error.code >= 500:
            raise BrokenOffError(answer) from error
        raise RefusedError(answer, error.code) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, _BROKEN):
            raise BrokenOffError(f"{host_of(url)}: {error.reason}") from error
        raise UnreachableError(f"no connection to {host_of(url)} ({error.reason})") from error
    except (*_BROKEN, TimeoutError) as error:  # connected, and then the headers did not come
        raise BrokenOffError(f"{host_of(url)}: {error or type(error).__name__}") from error
    except ValueError as error:
        raise RefusedError(f"{url}: not an address ({error})") from error
    except OSError as error:
        raise UnreachableError(f"no connection to {host_of(url)} ({error})") from error


# Raised by a connection that stood: its loss is worth another attempt.
_BROKEN = (http.client.HTTPException, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)

_HEADERS = {
    "User-Agent": "seeingkit",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # the bytes of the file, whose length and hash are known
}


def read_some(response: Any, most: int) -> bytes:
    """The bytes that have arrived, at most ``most``; empty at the end.

    Raises:
        BrokenOffError: the connection broke or stalled.
    """
    try:
        found: bytes = response.read1(most)
    except TimeoutError as error:
        raise BrokenOffError(f"nothing came for {READ_SECONDS:.0f} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(f"the connection broke ({type(error).__name__})") from error
    return found


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        self.timeout = CONNECT_SECONDS
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _Encrypted(_Plain, http.client.HTTPSConnection):
    """The same with TLS, whose handshake is part of connecting."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        context = ssl.create_default_context()
        return self.do_open(partial(_Encrypted, context=context), req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 10

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new == "http"):
            way = f"redirects from {old} to {new}, which is not followed"
            raise RefusedError(f"{host_of(req.full_url)} {way}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
