"""``seeingkit edit``: a page to rewrite a generator by hand."""

from __future__ import annotations

import sys
import threading
import webbrowser
from contextlib import suppress
from functools import partial
from typing import Annotated

from seeingkit.errors import ExitCode, UsageError

from . import options as o
from .options import REWRITING, generator_options, option
from .output import say
from .view import Port, _has_screen

edited = partial(option, panel=REWRITING)

Site = Annotated[str, edited("Layer that is chosen at first, as r16.conv1.")]
KeyImages = Annotated[int, edited("Images whose keys an edit leaves as they are.")]
Run = Annotated[o.File, edited("Take names of units from this run of dissect.", "--dissection")]
Out = Annotated[o.File, o.running("Folder to save edits in; without it they are downloaded.")]
Browser = Annotated[
    bool | None,
    option(
        "Open the page in a browser. Default: if there is a screen; the address is always printed.",
        "--open/--no-open",
        "--browser/--no-browser",
    ),
]


def edit(
    gan: o.Gan = None,
    *,
    weights: o.Weights = None,
    gan_option: o.GanOption = None,
    edit: o.Edit = None,
    labels: o.Labels = None,
    site: Site = "",
    key_images: KeyImages = 400,
    dissection: Run = None,
    seed: o.Seed = None,
    device: o.Device = "auto",
    out: Out = None,
    port: Port = 0,
    browser: Browser = None,
) -> int:
    """Rewrite a generator by hand: a page to copy, paste, execute, undo and save edits."""
    try:
        import starlette.applications  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"edit needs a server, which is an extra ({error}): pip install 'seeingkit[view]'"
        ) from error
    if key_images < 1:
        raise UsageError(f"--key-images {key_images}: at least one is needed")
    from seeingkit.editing.opening import open_desk
    from seeingkit.editing.server import serve_desk

    desk = open_desk(
        gan,
        site=site,
        out=out,
        dissection=dissection,
        weights=None if weights is None else str(weights),
        gan_options=generator_options(gan_option, edit),
        labels=labels,
        seed=seed or 0,
        key_images=key_images,
        device=device,
    )

    def ready(address: str, once: str) -> None:
        say(address)
        sys.stdout.flush()  # also where a program reads it
        say("for you alone: the address holds a secret; Ctrl-C ends it", error=True)
        if _has_screen() if browser is None else browser:
            threading.Thread(target=webbrowser.open, args=(once,), daemon=True).start()

    with suppress(KeyboardInterrupt):  # the usual end
        serve_desk(desk, port=port, ready=ready)
    if desk.unsaved:
        say(f"{desk.unsaved} of the edits were saved in no file", error=True)
    return ExitCode.DONE
