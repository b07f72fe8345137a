"""The server of the page, on this machine alone: 127.0.0.1, behind a secret address.

Needs the extra ``view`` (starlette, uvicorn). Guarantees: as ``viewing.access``; a body is refused
before it is read where it is too long; a fault is one line, never a trace of calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seeingkit.errors import SeeingkitError, printable
from seeingkit.viewing.access import Application, Secrets, guarded, read_body
from seeingkit.viewing.server import serve_application

from .desk import BusyError, Desk
from .files import plain_name, request_text
from .requests import LONGEST_BODY
from .templates import ASSETS, asset, page
from .units import changed_pictures, unit_file

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of the page: nothing inline, nothing from elsewhere; it keeps pictures that it has fetched."""

WHICH = {"before": False, "after": True}


def editing_application(desk: Desk, secrets: Secrets, port: int) -> Application:
    """The page and its answers, as an ASGI application::

        editing_application(Desk(Session(generator), "mygan"), Secrets(), 8123)

    Args:
        desk: with the session.
        secrets: the first part of all addresses.
        port: that requests name as ours.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    site = _Site(desk, secrets)
    routes = [
        Route("/{key}", site.enter),
        Route("/{key}/", site.page),
        Route("/{key}/state", site.state),
        Route("/{key}/doing", site.doing),
        Route("/{key}/request.json", site.request_file),
        Route("/{key}/edit/{number:int}", site.edit_file),
        Route("/{key}/image/{which}/{index:int}", site.image),
        Route("/{key}/{name}.{kind}", site.asset),
        Route("/{key}/act", site.act, methods=["POST"]),
        Route("/{key}/matches", site.matches, methods=["POST"]),
        Route("/{key}/units", site.units, methods=["POST"]),
        Route("/{key}/units.json", site.unit_file, methods=["POST"]),
        Route("/{key}/stop", site.stop, methods=["POST"]),
    ]
    made = Starlette(routes=routes)
    made.router.redirect_slashes = False
    return guarded(made, port, methods=("GET", "HEAD", "POST"))


class _Site:
    def __init__(self, desk: Desk, secrets: Secrets) -> None:
        self.desk, self.secrets = desk, secrets
        self.text = page(desk)

    def enter(self, request: Request) -> Response:
        """The address that a browser is opened with, which works once."""
        from starlette.responses import RedirectResponse

        if self.secrets.use_once(request.path_params["key"]):
            return RedirectResponse(f"/{self.secrets.token}/", 303)
        return _said("open the whole address that seeingkit edit has printed", 403)

    async def page(self, request: Request) -> Response:
        """The page."""
        from starlette.responses import HTMLResponse

        headers = {"Content-Security-Policy": POLICY, "Cross-Origin-Opener-Policy": "same-origin"}
        return await self._read(request, lambda: HTMLResponse(self.text, headers=headers))

    async def asset(self, request: Request) -> Response:
        """A script or a style sheet of the page."""
        from starlette.responses import Response

        name = f"{request.path_params['name']}.{request.path_params['kind']}"
        if name not in ASSETS:
            return await self._read(request, lambda: _said("there is no such page", 404))
        return await self._read(request, lambda: Response(asset(name), media_type=ASSETS[name]))

    async def state(self, request: Request) -> Response:
        """The state as JSON."""
        return await self._read(request, lambda: _json(self.desk.state()))

    async def doing(self, request: Request) -> Response:
        """A line about the work of now; empty where there is none."""
        return await self._read(request, lambda: _said(self.desk.doing))

    async def image(self, request: Request) -> Response:
        """A picture as PNG, without the edits or with those of now."""
        from starlette.responses import Response

        which, index = request.path_params["which"], request.path_params["index"]
        if which not in WHICH:
            return await self._read(request, lambda: _said("there is no such picture", 404))

        def drawn() -> Response:
            return Response(self.desk.picture(index, edited=WHICH[which]), media_type="image/png")

        return await self._read(request, drawn)

    async def request_file(self, request: Request) -> Response:
        """The request as a file."""

        def made() -> Response:
            name = f"{plain_name(self.desk.name)}-request.json"
            return _file(request_text(self.desk.session).encode(), name, "application/json")

        return await self._read(request, made)

    async def edit_file(self, request: Request) -> Response:
        """An edit as a file."""
        number = request.path_params["number"]

        def made() -> Response:
            name, data = self.desk.edit_file(number)
            return _file(data, name, "application/octet-stream")

        return await self._read(request, made)

    async def act(self, request: Request) -> Response:
        """An action; the state afterwards."""
        return await self._post(request, lambda body: _json(self.desk.act(body)))

    async def matches(self, request: Request) -> Response:
        """Images that match."""
        return await self._post(request, lambda body: _json(self.desk.search(body)))

    async def units(self, request: Request) -> Response:
        """Pictures with units changed."""
        return await self._post(request, lambda body: _json(changed_pictures(self.desk, body)))

    async def unit_file(self, request: Request) -> Response:
        """The change of units as a file."""

        def made(body: bytes) -> Response:
            return _file(unit_file(self.desk, body).encode(), "units.json", "application/json")

        return await self._post(request, made)

    async def stop(self, request: Request) -> Response:
        """End the work of now."""

        def stopped(_: bytes) -> Response:
            self.desk.stop()
            return _said("")

        return await self._post(request, stopped)

    async def _read(self, request: Request, answer: Callable[[], Response]) -> Response:
        from starlette.concurrency import run_in_threadpool

        if not self.secrets.is_token(request.path_params["key"]):
            return _said("open the whole address that seeingkit edit has printed", 403)
        return await run_in_threadpool(_answered, answer)

    async def _post(self, request: Request, answer: Callable[[bytes], Response]) -> Response:
        if not self.secrets.is_token(request.path_params["key"]):
            return _said("open the whole address that seeingkit edit has printed", 403)
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _said("send JSON", 415)
        body = await read_body(request, LONGEST_BODY)
        if body is None:
            return _said(f"too long: a request has up to {LONGEST_BODY:,} bytes", 413)
        return await self._read(request, lambda: answer(body))


def _answered(answer: Callable[[], Response]) -> Response:
    try:
        return answer()
    except BusyError as error:
        return _said(str(error), 409)
    except SeeingkitError as error:
        return _said(str(error), 400)
    except (OSError, RuntimeError, MemoryError) as error:  # the machine's: memory, disk, torch
        reason = printable(str(error).strip().partition("\n")[0]) or type(error).__name__
        return _said(f"this failed on the machine: {reason}", 500)


def _json(content: Any) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(content)


def _file(content: bytes, name: str, kind: str) -> Response:
    from starlette.responses import Response

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=headers)


def _said(words: str, status: int = 200) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(words + "\n", status)


def serve_desk(
    desk: Desk, *, port: int = 0, ready: Callable[[str, str], None] | None = None
) -> None:
    """Serve the page until the process is interrupted, on 127.0.0.1::

        serve_desk(Desk(Session(generator), "mygan"), ready=print)

    Args:
        desk: with the session.
        port: 0 for one that is free.
        ready: called with the address, and with one that leads to it once.

    Raises:
        UsageError: the port is not free.
        KeyboardInterrupt: as it came.
    """
    serve_application(lambda secrets, own: editing_application(desk, secrets, own), port, ready)
