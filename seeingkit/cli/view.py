"""``seeingkit view``: a page over a folder of runs, for this machine alone."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from seeingkit.errors import ExitCode, RunError, UsageError

from .options import option
from .output import say

Folder = Annotated[Path, typer.Argument(help="A folder of runs, or one run.")]
Port = Annotated[
    int, typer.Option("--port", help="Port on 127.0.0.1; 0: one that is free.", min=0, max=65535)
]
Open = Annotated[
    bool | None,
    option(
        "Open the page in a browser. Default: if there is a screen; the address is always printed.",
        "--open/--no-open",
    ),
]


def view(runs: Folder = Path("runs"), port: Port = 0, browser: Open = None) -> int:
    """Show runs in a browser: list, filter, compare side by side, open reports."""
    if not runs.is_dir():
        fault = "is a file" if runs.exists() else "no such folder"
        raise RunError(f"{runs}: {fault}; name the folder that holds runs: seeingkit view RUNS")
    try:
        import starlette.applications  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"view needs a server, which is an extra ({error}): pip install 'seeingkit[view]'"
        ) from error
    from seeingkit.viewing.server import serve

    def ready(address: str, once: str) -> None:
        say(address)
        sys.stdout.flush()  # also where a program reads it
        say("for you alone: the address holds a secret; Ctrl-C ends it", error=True)
        if _has_screen() if browser is None else browser:
            # A browser of the terminal would hold up the server.
            opened = threading.Thread(
                name="browser", target=webbrowser.open, args=(once,), daemon=True
            )
            opened.start()

    try:
        serve(runs, port=port, ready=ready)
    except KeyboardInterrupt:  # the usual end: nothing is left undone
        return ExitCode.DONE
    return ExitCode.DONE


def _has_screen() -> bool:
    if sys.platform.startswith(("win", "darwin")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
