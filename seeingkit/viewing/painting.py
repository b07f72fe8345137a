"""The local page to paint on: the page of ``paint``, with pictures drawn on this machine.

Guarantees: 127.0.0.1 alone, behind a secret address, as ``server``; a body is refused before it is
read where it is too long, and checked as a file of edits is.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seeingkit.contracts.generators import check_images
from seeingkit.errors import RunError, SeeingkitError, UsageError, first_fault
from seeingkit.images.preprocess import quantise
from seeingkit.models.editfiles import to_edits
from seeingkit.models.edits import run
from seeingkit.report.painting import render_painting
from seeingkit.results.edits import MOST_EDITS, EditFile, PaintedEdit
from seeingkit.runs.easel import Easel

from .access import Application, Secrets, guarded, read_body
from .server import serve_application

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LONGEST_BODY = 16_000_000
"""Bytes of a request for a picture."""
_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')


class Wanted(BaseModel):
    """A request for a picture: which image, and its edits."""

    model_config = ConfigDict(extra="forbid")

    start: int = Field(ge=0)
    edits: list[PaintedEdit] = Field(max_length=MOST_EDITS)


def easel_application(easel: Easel, secrets: Secrets, port: int) -> Application:
    """The page and its pictures, as an ASGI application.

    Args:
        easel: generator, brushes, images.
        secrets: the first part of all addresses.
        port: that requests name as ours.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    site = _Site(easel, secrets)
    routes = [
        Route("/{key}", site.enter),
        Route("/{key}/", site.page),
        Route("/{key}/image", site.image, methods=["POST"]),
    ]
    made = Starlette(routes=routes)
    made.router.redirect_slashes = False
    return guarded(made, port, methods=("GET", "HEAD", "POST"))


class _Site:
    def __init__(self, easel: Easel, secrets: Secrets) -> None:
        self.easel, self.secrets = easel, secrets
        self.text = render_painting(easel.page)
        self.lock = threading.Lock()  # one picture at a time: all cores work on it
        found = _POLICY.search(self.text)
        assert found is not None
        self.policy = found[1].replace("&#39;", "'")

    def enter(self, request: Request) -> Response:
        """The address that a browser is opened with, which works once."""
        from starlette.responses import RedirectResponse

        if self.secrets.use_once(request.path_params["key"]):
            return RedirectResponse(f"/{self.secrets.token}/", 303)
        return _refused()

    def page(self, request: Request) -> Response:
        """The page."""
        from starlette.responses import HTMLResponse

        if not self.secrets.is_token(request.path_params["key"]):
            return _refused()
        policy = f"{self.policy}; frame-ancestors 'none'"
        return HTMLResponse(self.text, headers={"Content-Security-Policy": policy})

    async def image(self, request: Request) -> Response:
        """A picture with edits: its colours, three bytes a pixel, row by row."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import PlainTextResponse, Response

        if not self.secrets.is_token(request.path_params["key"]):
            return _refused()
        if not request.headers.get("content-type", "").startswith("application/json"):
            return PlainTextResponse("send JSON\n", 415)
        body = await read_body(request, LONGEST_BODY)
        if body is None:
            return PlainTextResponse("too many edits\n", 413)
        try:
            colours = await run_in_threadpool(self.draw, body)
        except SeeingkitError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return Response(colours, media_type="application/octet-stream")

    def draw(self, body: bytes) -> bytes:
        """The colours of the picture that a request asks for.

        Raises:
            UsageError, RunError: a request that cannot be right.
        """
        try:
            wanted = Wanted.model_validate_json(body)
        except ValidationError as error:
            fault = first_fault(error)
            raise RunError(
                f"this is no request for a picture: {fault.where}: {fault.reason}"
            ) from error
        page, generator = self.easel.page, self.easel.generator
        if wanted.start >= len(page.canvases):
            raise UsageError(f"no image {wanted.start}; the last is {len(page.canvases) - 1}")
        start = page.canvases[wanted.start].start
        file = EditFile(generator=page.generator, start=start, edits=wanted.edits)
        edits = to_edits(file, generator)
        with self.lock, torch.no_grad():
            image = run(generator, self.easel.states[wanted.start], edits=edits)[0].x
        check_images(image, generator.info, 1)
        if not bool(torch.isfinite(image).all()):
            raise UsageError("the picture has NaN or Inf: insert smaller values")
        return quantise(image)[0].cpu().numpy().tobytes()


def _refused() -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse("open the whole address that seeingkit paint has printed\n", 403)


def serve_easel(
    easel: Easel, *, port: int = 0, ready: Callable[[str, str], None] | None = None
) -> None:
    """Serve a page to paint on until the process is interrupted, on 127.0.0.1.

    Args:
        easel: generator, brushes, images.
        port: 0 for one that is free.
        ready: called with the address, and with one that leads to it once.

    Raises:
        UsageError: the port is not free.
        KeyboardInterrupt: as it came.
    """
    serve_application(lambda secrets, own: easel_application(easel, secrets, own), port, ready)
