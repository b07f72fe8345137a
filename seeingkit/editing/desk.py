"""The session behind the page: one action at a time, images, and the state as JSON.

Guarantees: an action that comes while another works is refused, never mixed with it; one that fails
or is stopped leaves the session as it was; faults are one line each.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seeingkit.analyses.rewriting.draft import LAST_IMAGE
from seeingkit.analyses.rewriting.requestfiles import MOST_PIXELS
from seeingkit.analyses.rewriting.session import Session
from seeingkit.contracts.generators import check_images
from seeingkit.errors import UsageError
from seeingkit.runs.easel import png_bytes
from seeingkit.system.progress import progress_told

from . import requests as r
from .files import edit_bytes, plain_name, save_files
from .records import Answer, state_record, usual_site

KEPT_BYTES = 128_000_000
"""Of pictures that are kept, as if they were not compressed."""
LARGEST_MASK = min(MOST_PIXELS, 1 << 22)
"""Pixels of a mask in a request that is loaded."""


class BusyError(UsageError):
    """An action while another one works."""


class Desk:
    """A session, and what the page may ask of it.

    Args:
        session: that is edited.
        name: of the generator, as it was asked for.
        site: name of the site that is chosen at first; empty: ``usual_site``.
        folder: where files may be saved; None: they are downloaded only.
        units: names of units of layers, strongest first: {layer: {class: units}}.

    >>> desk = Desk(Session(seeingkit.load_generator("progan:minichurches")), "progan")
    >>> desk.state()["edits"], desk.picture(3)[:4]
    ([], b'\\x89PNG')
    """

    def __init__(
        self,
        session: Session,
        name: str,
        *,
        site: str = "",
        folder: Path | None = None,
        units: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    ) -> None:
        self.session, self.name, self.folder = session, name, folder
        self.units = units or {}
        self.size = session.base.info.resolution
        self.sites = session.base.sites()
        self.site = session.base.site(site).name if site else usual_site(self.sites, self.size)
        self._acting = threading.Lock()
        self._computing = threading.Lock()  # passes change layers' calls while they last
        self._quiet = threading.Event()  # no action waits for pictures
        self._quiet.set()
        self._doing, self._stopped = "", False
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._saved = {edit.digest() for edit in session.edits}

    # -------------------------------------------------------------------------------------- state

    @property
    def doing(self) -> str:
        """What works now, in words; empty: nothing."""
        return self._doing

    def state(self) -> Answer:
        """Everything that the page shows, but for pictures."""
        return state_record(self.session)

    @property
    def unsaved(self) -> int:
        """How many of the edits are in no file yet."""
        return sum(edit.digest() not in self._saved for edit in self.session.edits)

    def edit_file(self, number: int) -> tuple[str, bytes]:
        """Name and content of the file of an edit, which counts as saved; see ``edit_bytes``."""
        edits = self.session.edits
        site, data = edit_bytes(self.session, number)
        self._saved.add(edits[number - 1].digest())
        return f"{plain_name(self.name, str(number), site)}.safetensors", data

    # ------------------------------------------------------------------------------------ actions

    def act(self, body: bytes) -> Answer:
        """Do an action (``requests.Action``); returns the state afterwards.

        Raises:
            SeeingkitError: it cannot be done; ``BusyError``: another one works.
        """
        asked = r.parsed_action(body)
        said = self.alone(lambda: self._done(asked), _WORDS[asked.action])
        return {**self.state(), "said": said}

    def alone(self, work: Callable[[], Any], words: str) -> Any:
        """Work while no other action can come between; ``words`` say what it is.

        Raises:
            BusyError: another one works.
        """
        if not self._acting.acquire(blocking=False):
            raise BusyError(f"still busy ({self._doing or 'another step'}): wait, or stop it")
        try:
            self._doing, self._stopped = words, False
            self._quiet.clear()
            with self._computing, progress_told(self._told):
                return work()
        finally:
            self._quiet.set()
            self._doing = ""
            self._acting.release()

    def stop(self) -> None:
        """End the work of now at its next step; the session stays as it was before it."""
        self._stopped = True

    def _told(self, line: str) -> None:
        if self._stopped:
            raise UsageError("stopped; nothing was changed")
        self._doing = line

    def _done(self, asked: Any) -> str:
        one = self.session
        if isinstance(asked, r.Paint):
            region = r.region_of(asked.index, asked.mask, self.size)
            if asked.kind == "context":
                one.context(region, asked.number)
            else:
                (one.copy if asked.kind == "copy" else one.paste)(region)
        elif isinstance(asked, r.Remove):
            one.remove(asked.kind, asked.number)
        elif isinstance(asked, r.Execute):
            edit = one.execute(asked.site, asked.rank, asked.keep, protect=asked.protect)
            return f"An edit of {edit.site} along {edit.rank} of {edit.shape[1]} directions."
        elif isinstance(asked, r.Strength):
            one.strength(asked.value)
        elif isinstance(asked, r.Load):
            one.load_request(asked.text, "the request", most=LARGEST_MASK)
        elif isinstance(asked, r.Save):
            said = save_files(one, self.folder, asked.name)
            self._saved |= {edit.digest() for edit in one.edits}
            return said
        else:
            {"undo": one.undo, "redo": one.redo, "clear": one.clear}[asked.action]()
        return ""

    def search(self, body: bytes) -> Answer:
        """Images that match (``requests.Search``).

        Raises:
            SeeingkitError: there is nothing to match, or no such site.
        """
        asked = r.parsed_search(body)

        def work() -> Answer:
            found = self.session.matches(asked.site, kind=asked.kind)
            rows, columns = found[0].cells.shape
            matches = [
                {
                    "index": one.match.index,
                    "score": one.match.score,
                    "cells": one.cells.flatten().nonzero()[0].tolist(),
                }
                for one in found
            ]
            return {"rows": rows, "columns": columns, "matches": matches}

        answer: Answer = self.alone(work, f"matches at {asked.site}")
        return answer

    # ----------------------------------------------------------------------------------- pictures

    def picture(self, index: int, *, edited: bool = True) -> bytes:
        """The PNG of an image, with the edits or without.

        Raises:
            UsageError: a number that is too large, or an image that is not finite.
        """
        if not 0 <= index <= LAST_IMAGE:
            raise UsageError(f"image {index}: numbers of images are 0 to {LAST_IMAGE}")
        with self._drawing():
            one = self.session
            edits = tuple(edit.digest() for edit in one.edits) if edited else ()
            key = (edits, one.seed, one.labels, index)
            if key not in self._kept:
                self._kept[key] = self.png(one.image(index, edited=bool(edits)))
            self._kept.move_to_end(key)
            while len(self._kept) > max(24, KEPT_BYTES // (3 * self.size**2)):
                self._kept.popitem(last=False)
            return self._kept[key]

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """One picture at a time, and none before an action that waits."""
        while True:
            self._quiet.wait()
            with self._computing:
                if self._quiet.is_set():
                    yield
                    return

    def png(self, image: Tensor) -> bytes:
        """An image (1, 3, R, R) as PNG.

        Raises:
            UsageError: NaN or Inf in it.
        """
        check_images(image, self.session.base.info, 1)
        if not bool(torch.isfinite(image).all()):
            raise UsageError("the picture has NaN or Inf: take a smaller strength or value")
        return png_bytes(image)


_WORDS = {
    "paint": "taking the region",
    "remove": "removing the region",
    "execute": "planning the edit",
    "strength": "setting the strength",
    "undo": "undoing",
    "redo": "redoing",
    "clear": "clearing",
    "load": "loading the request",
    "save": "saving",
}
