"""The server of the pages, on this machine alone: 127.0.0.1, never another address.

``application`` needs the extra ``view`` (starlette), ``serve`` also uvicorn; both import them.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from seeingkit.errors import RunError, UsageError

from .access import FILE_POLICY, PAGE_POLICY, REPORT_POLICY, Application, Secrets, guarded
from .files import TYPES, read_inside, served_files
from .library import Library
from .pages import compare_page, message_page, run_page, runs_page
from .templates import ASSETS, asset

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HOST = "127.0.0.1"
"""The only address; there is no option for another."""


def application(root: Path, secrets: Secrets, port: int) -> Application:
    """The pages over a folder of runs, as an ASGI application.

    Args:
        root: an existing folder.
        port: that requests name as ours.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    site = _Site(Library(root, secrets))
    routes = [Route("/", site.answer), Route("/{key}", site.answer)]
    routes.append(Route("/{key}/{rest:path}", site.answer))
    made = Starlette(routes=routes)
    made.router.redirect_slashes = False
    return guarded(made, port)


class _Site:
    """Answers: the first part of an address is a secret, and decides what the rest can name."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.secrets = library.secrets
        self.base = f"/{self.secrets.token}/"

    def answer(self, request: Request) -> Response:
        """The page or file that a request asks for."""
        from starlette.responses import PlainTextResponse, RedirectResponse

        key, rest = request.path_params.get("key", ""), request.path_params.get("rest", "")
        if self.secrets.is_token(key):
            return self._page(request, rest)
        if not rest and self.secrets.use_once(key):
            return RedirectResponse(self.base, 303)
        for run in self.library.find(key).values():
            return self._file(run.folder, rest)
        words = "open the whole address that seeingkit view has printed: it holds a secret\n"
        return PlainTextResponse(words, 403)

    def _page(self, request: Request, rest: str) -> Response:
        from starlette.responses import Response

        asked, ticked = request.query_params, request.query_params.getlist("run")
        if rest in ASSETS:
            return Response(asset(rest), media_type=ASSETS[rest])
        if rest == "":
            listing = self.library.listing()
            return self._html(runs_page(listing, self.library.root, self.base, asked, ticked))
        if rest == "compare":
            status, text = compare_page(self.library, self.base, asked, ticked)
            return self._html(text, status)
        kind, _, key = rest.partition("/")
        found = self.library.find(key) if kind == "run" else {}
        for own, run in found.items():
            return self._html(run_page(self.library, own, run, self.base))
        return self._missing("There is no such page, or the run is not there any more.")

    def _file(self, run: Path, name: str) -> Response:
        """A file of a run: one that a listing finds now, whatever the name says."""
        from starlette.responses import Response

        path = served_files(run, self.library.root).get(name)
        try:
            if path is None:
                raise RunError("there is no such file")
            content = read_inside(path, run, self.library.root)
        except RunError as error:
            return Response(f"{error}\n", 404, media_type="text/plain")
        policy = REPORT_POLICY if path.suffix == ".html" else FILE_POLICY
        headers = {"Content-Security-Policy": policy}
        return Response(content, media_type=TYPES[path.suffix], headers=headers)

    def _missing(self, words: str) -> Response:
        return self._html(message_page(self.base, "Nothing here", [words]), 404)

    def _html(self, text: str, status: int = 200) -> Response:
        from starlette.responses import HTMLResponse

        headers = {
            "Content-Security-Policy": PAGE_POLICY,
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        return HTMLResponse(text, status, headers=headers)


def bound(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1.

    Args:
        port: 0 for one that is free.

    Raises:
        UsageError: another program listens there, or the system does not allow it.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # Windows: no other may share it
    found.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
        found.listen(128)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            reason = "is in use; name another, or --port 0 for a free one"
        else:
            reason = f"cannot be used ({error.strerror}); --port 0 takes a free one"
        raise UsageError(f"port {port} {reason}") from error
    return found


def serve(root: Path, *, port: int = 0, ready: Callable[[str, str], None] | None = None) -> None:
    """Serve the pages over a folder of runs until the process is interrupted.

    Args:
        root: an existing folder.
        port: 0 for one that is free.
        ready: called with the address, and with one that leads to it once, before the first
            request is answered; requests wait until then.

    Raises:
        UsageError: the port is not free.
        KeyboardInterrupt: as it came.
    """
    serve_application(lambda secrets, own: application(root, secrets, own), port, ready)


def serve_application(
    make: Callable[[Secrets, int], Application],
    port: int,
    ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve an application on 127.0.0.1, behind a secret address.

    Args:
        make: of its secrets and the port that requests name.
        port, ready: as ``serve``.

    Raises:
        UsageError: the port is not free.
        KeyboardInterrupt: as it came.
    """
    import uvicorn

    with bound(port) as listening:
        port = listening.getsockname()[1]
        secrets = Secrets()
        config = uvicorn.Config(
            make(secrets, port),
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        if ready is not None:
            start = f"http://{HOST}:{port}/"
            ready(f"{start}{secrets.token}/", f"{start}{secrets.new_once()}")
        uvicorn.Server(config).run(sockets=[listening])
