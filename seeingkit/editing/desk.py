"""The session behind the page: one action at a time, images, and the state as JSON.

Guarantees: an action that comes while another works is refused, never mixed with it; one that fails
or is stopped leaves the session as it was; faults are one line each.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from seeingkit.analyses.rewriting.draft import LAST_IMAGE
from seeingkit.analyses.rewriting.plan import region_pair, request_record
from seeingkit.analyses.rewriting.regions import MOST_PIXELS, Region
from seeingkit.analyses.rewriting.session import Session
from seeingkit.contracts import Site
from seeingkit.contracts.generators import check_images
from seeingkit.errors import RunError, UsageError, printable
from seeingkit.models.weightedits import WeightEdit
from seeingkit.runs.easel import png_bytes
from seeingkit.system.progress import progress_told
from seeingkit.system.writing import json_text, refuse_special

from . import requests as r

Answer = dict[str, Any]

PIXELS = 4
"""Pixels a side of a place of the site that is chosen at first, at least."""
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
        self._doing, self._stopped = "", False
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    # -------------------------------------------------------------------------------------- state

    @property
    def doing(self) -> str:
        """What works now, in words; empty: nothing."""
        return self._doing

    @property
    def version(self) -> str:
        """Changes with every image: digests of the edits, seed and classes."""
        one = self.session
        series = [str(one.seed), *map(str, one.labels)]
        return "-".join([edit.digest()[:12] for edit in one.edits] + series)

    def state(self) -> Answer:
        """Everything that the page shows, but for pictures."""
        one = self.session
        return {
            "version": self.version,
            "seed": one.seed,
            "labels": list(one.labels),
            "copy": _record(one.copied),
            "paste": _record(one.pasted),
            "pasteCounts": one.paste_counts,
            "contexts": [_record(region) for region in one.contexts],
            "edits": [self._edit(edit) for edit in one.edits],
            "undone": len(one.undone),
        }

    def _edit(self, edit: WeightEdit) -> Answer:
        given = edit.request or {}
        used = [pair[0] for pair in (given.get("object"), given.get("paste")) if pair]
        used += [pair[0] for pair in given.get("key") or []]
        own = given.get("seed") == self.session.seed
        return {
            "site": edit.site,
            "rank": edit.rank,
            "keep": edit.about.get("keep"),
            "strength": edit.strength,
            "images": list(dict.fromkeys(used)) if own else [],
        }

    def site_record(self, site: Site) -> Answer:
        """A site as the page lists it."""
        layer = self.session.base.boundary(site.after)
        return {
            "name": site.name,
            "keys": list(site.keys),
            "values": list(site.values),
            "shape": list(site.shape),
            "layer": layer.name,
            "units": layer.shape[0] if layer.kind == "feature" and layer.extent else 0,
            "grows": site.keys[0] <= site.values[0] and site.keys[1] <= site.values[1],
        }

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
            with self._computing, progress_told(self._told):
                return work()
        finally:
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
            return self._saved(asked.name)
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
        with self._computing:
            one = self.session
            edits = tuple(edit.digest() for edit in one.edits) if edited else ()
            key = (edits, one.seed, one.labels, index)
            if key not in self._kept:
                self._kept[key] = self.png(one.image(index, edited=bool(edits)))
            self._kept.move_to_end(key)
            while len(self._kept) > max(24, KEPT_BYTES // (3 * self.size**2)):
                self._kept.popitem(last=False)
            return self._kept[key]

    def png(self, image: Tensor) -> bytes:
        """An image (1, 3, R, R) as PNG.

        Raises:
            UsageError: NaN or Inf in it.
        """
        check_images(image, self.session.base.info, 1)
        if not bool(torch.isfinite(image).all()):
            raise UsageError("the picture has NaN or Inf: take a smaller strength or value")
        return png_bytes(image)

    # -------------------------------------------------------------------------------------- files

    def request_text(self) -> str:
        """The request as the text of a file.

        Raises:
            UsageError: it is not whole yet.
        """
        return json_text(request_record(self.session.request)) + "\n"

    def edit_file(self, number: int) -> tuple[str, bytes]:
        """Name and content of the file of an edit; ``number``: from 1 on.

        Raises:
            UsageError: no such edit.
        """
        edits = self.session.edits
        if not 1 <= number <= len(edits):
            raise UsageError(f"no edit {number}; there are {len(edits)}")
        edit = edits[number - 1]
        with TemporaryDirectory() as folder:
            data = edit.save(Path(folder) / "edit.safetensors").read_bytes()
        return f"{self.file_name}-{number}-{_plain(edit.site)}.safetensors", data

    @property
    def file_name(self) -> str:
        """The first part of the names of files."""
        return _plain(self.name) or "edit"

    def _saved(self, name: str) -> str:
        if self.folder is None:
            raise UsageError("no folder was given: start seeingkit edit with --out FOLDER")
        edits, request = self.folder / f"{name}.safetensors", self.folder / f"{name}.json"
        many = len(self.session.edits)
        files = [edits] + [edits.with_name(f"{name}-{k + 1}.safetensors") for k in range(many)]
        for path in (*files, request):
            refuse_special(path)
        for path in files:
            if path.exists():
                WeightEdit.load(path)  # nothing else is replaced
        if request.exists():
            raise RunError(f"{printable(request.name)} is there already; take another name")
        written = self.session.save(edits)
        record = self.session.edits[-1].request
        if record is not None:
            request.write_text(json_text(dict(record)) + "\n", encoding="utf-8")
            written.append(request)
        return f"Saved {', '.join(path.name for path in written)}."


def usual_site(sites: Sequence[Site], size: int) -> str:
    """The last site that keeps the size of its map and has a place for 4 pixels at least.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> usual_site(generator.sites(), 64)
    'r16.conv1'
    """
    kept = [site for site in sites if site.keys == site.values] or list(sites)
    found = [site for site in kept if max(site.keys) <= max(size // PIXELS, 4)]
    return (found or kept[:1])[-1].name


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


def _record(region: Region | None) -> Answer | None:
    if region is None:
        return None
    index, mask = region_pair(region)
    return {"index": index, "mask": mask}


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:80]
