"""Downloads one published file, so that it appears whole and right, or not at all.

Guarantees: bytes go to ``<name>.part`` beside the target; an interrupted download continues where
it stopped, if the server still has the same file (ETag, Last-Modified, length); size and hash are
checked before the rename; a file with another hash is deleted; two processes never write the same
part. Errors are one line with the address, the hash and the folder for fetching by hand.

Own code over the standard library: pooch, the usual choice, cannot continue a download, and the
files here reach gigabytes.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from seeingkit.errors import (
    CorruptFileError,
    MissingWeightsError,
    StorageError,
    WeightsError,
    printable,
)
from seeingkit.specs import WeightFile
from seeingkit.system.locks import lock_for
from seeingkit.system.progress import progress_bar

from .connections import (
    BrokenOffError,
    RefusedError,
    UnreachableError,
    host_of,
    open_url,
    read_some,
)
from .consent import allowed, readable_size
from .hashes import difference, published
from .members import wrapping
from .partials import Partial, rest_of, version_of

_BLOCK = 1 << 18
_ATTEMPTS = 4  # attempts in a row that get no further
_FURTHER = 1 << 20  # bytes that count as getting further
PAUSE = 0.5  # seconds before the second attempt; doubles
_MEGA = 1_000_000
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def offline() -> bool:
    """Whether ``SEEINGKIT_OFFLINE`` forbids the network."""
    return os.environ.get("SEEINGKIT_OFFLINE", "") not in ("", "0")


def download(file: WeightFile, target: Path, owner: str) -> None:
    """Fetch a file to its place; returns when it is there and its published hash was right::

        download(WeightFile(name="g.pth", url=url), Path("g.pth"), "progan:church")

    Args:
        file: address, mirrors, size, hashes.
        target: where it goes; its folder is made.
        owner: its weights or data set, for messages, such as ``progan:church``.

    Raises:
        MissingWeightsError: it cannot be had (offline, no connection, refused, declined).
        CorruptFileError: the bytes that came are not the published file; they were deleted.
        WeightsError: no room, or the folder cannot be written.
    """
    if offline():
        raise MissingWeightsError(by_hand(file, target, owner, "SEEINGKIT_OFFLINE is set"))
    if not file.url:
        raise MissingWeightsError(by_hand(file, target, owner, "it is published nowhere"))

    busy = f"{owner}: another process is fetching {file.name}; waiting for it"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock_for(target, lambda: _say(busy)):
            if not target.is_file():  # or else the other process has just finished
                _Download(file, target, owner).run()
    except (OSError, StorageError) as error:
        if error.errno in _DISK_FULL:
            raise WeightsError(_full(file, target, owner, None)) from error
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{owner}: cannot write to {target.parent} ({reason}); "
            "SEEINGKIT_CACHE names another folder"
        ) from error


def by_hand(file: WeightFile, target: Path, owner: str, reason: str) -> str:
    """How to fetch a file by hand: address, hash, folder."""
    where = f"get it from {file.url} ({published(file)}) and " if file.url else ""
    if archive := wrapping(file):
        where = f"get it out of the zip {archive.file.url} ({published(file)}) and "
    here = f"{owner}: {file.name} is not on this machine ({reason})"
    return f"{here}; {where}put it in {target.parent}"


class _Download:
    def __init__(self, file: WeightFile, target: Path, owner: str) -> None:
        self.file, self.target, self.owner = file, target, owner
        self.partial = Partial(target)
        self.settled = False  # announced, and allowed

    def run(self) -> None:
        """Try the addresses in turn, check the bytes that came, and rename them."""
        assert self.file.url is not None
        reasons: list[str] = []
        wrong: str | None = None
        for url in dict.fromkeys((self.file.url, *self.file.mirrors)):
            try:
                wrong = self._get_right(url)
            except (UnreachableError, RefusedError, BrokenOffError) as error:
                reasons.append(str(error))
                continue
            if wrong is None:
                self.partial.finish(self.target)
                return
        if wrong is not None:
            raise CorruptFileError(
                f"{self.owner}: the download of {self.file.name} is not the published file: "
                f"{wrong}; it was deleted; try again, or get it from {self.file.url} "
                f"({published(self.file)}) and put it in {self.target.parent}"
            )
        if kept := len(self.partial):
            reasons.append(f"the {readable_size(kept)} that came are kept for the next attempt")
        raise self._missing("; ".join(dict.fromkeys(reasons)))

    def _missing(self, reason: str) -> MissingWeightsError:
        return MissingWeightsError(by_hand(self.file, self.target, self.owner, reason))

    # -------------------------------------------------------------------------------- one address

    def _get_right(self, url: str) -> str | None:
        """Fetch and check; None, or the fault of the file, which was then deleted."""
        resumed = len(self.partial) > 0
        self._get(url)
        wrong = self._wrong()
        if wrong and resumed:  # the two halves may have been of different files
            self._get(url)
            wrong = self._wrong()
        return wrong

    def _wrong(self) -> str | None:
        """The fault of the bytes that came, if there is one; they are then deleted."""
        with self.partial.path.open("rb") as stream:
            head = stream.read(512).lstrip().lower()
        if head.startswith((b"<!doctype html", b"<html")) and not self._wants_html():
            wrong: str | None = "it is a web page"
        else:
            wrong = difference(self.partial.path, self.file, remember=False)[0]
        if wrong:
            self.partial.drop()
        return wrong

    def _get(self, url: str) -> None:
        """Fill the part, continuing as often as it gets further.

        Raises:
            UnreachableError, RefusedError, BrokenOffError: it cannot be filled from this address.
        """
        furthest, attempt = len(self.partial), 0
        while True:
            try:
                self._attempt(url)
                return
            except BrokenOffError:
                reached = len(self.partial)
                attempt = 0 if reached >= furthest + _FURTHER else attempt + 1
                furthest = max(furthest, reached)
                if attempt >= _ATTEMPTS:
                    raise
                time.sleep(PAUSE * 2**attempt)

    def _attempt(self, url: str) -> None:
        known = self.partial.version(url)
        start = len(self.partial) if known else 0
        headers = {}
        if known:
            headers["Range"] = f"bytes={start}-"
            if known.validator:
                headers["If-Range"] = known.validator
        try:
            response = open_url(url, headers)
        except RefusedError as error:
            if error.status != 416 or known is None:
                raise
            if known.total == start:  # nothing is left to fetch: all of it is here
                return
            self.partial.drop()
            raise BrokenOffError("the file changed on the server") from error
        with contextlib.closing(response):
            if response.status == 206:
                version = rest_of(known, response.headers, start) if known else None
                if version is None:
                    self.partial.drop()
                    raise BrokenOffError("the file changed on the server")
            else:
                start, version = 0, version_of(response.headers, url)
            self._refuse_pages(response)
            total, size = version.total, self.file.size
            if None not in (total, size) and total != size:
                wrong = f"the server's file has {total} bytes, the published one {size}"
                raise RefusedError(wrong)
            self._settle(total, url, start)
            if total is not None and shutil.disk_usage(self.target.parent).free < total - start:
                raise WeightsError(_full(self.file, self.target, self.owner, total - start))
            if not start:
                self.partial.drop()  # before the note: old bytes never get a new description
            self.partial.begin(version)
            self._receive(response, start, total)

    # ------------------------------------------------------------------------------------ checks

    def _wants_html(self) -> bool:
        return self.file.name.endswith((".html", ".htm"))

    def _refuse_pages(self, response: Any) -> None:
        """Servers send a page where they want a click: a login, a warning, a quota."""
        if response.headers.get_content_type() == "text/html" and not self._wants_html():
            raise RefusedError(f"{host_of(response.url)} sent a web page instead of the file")

    def _settle(self, total: int | None, url: str, start: int) -> None:
        """Announce the download, and ask for consent if it is large; once."""
        if self.settled:
            return
        size = readable_size(total)
        line = f"{self.file.name} ({size}) from {host_of(url)} into {self.target.parent}"
        if not allowed(f"{self.owner}: fetch {line}?", total):
            raise self._missing("fetching it was declined")
        done = f", continuing at {readable_size(start)}" if start else ""
        _say(f"fetching {line}{done}")
        self.settled = True

    # ------------------------------------------------------------------------------------- bytes

    def _receive(self, response: Any, start: int, total: int | None) -> None:
        done = start
        with (
            self.partial.path.open("ab" if start else "wb") as stream,
            _bar(self.file.name, total, start) as bar,
        ):
            while total is None or done < total:
                most = _BLOCK if total is None else min(_BLOCK, total - done)
                block = read_some(response, most)
                if not block:
                    break
                stream.write(block)
                done += len(block)
                bar(len(block))
                if self.file.size is not None and done > self.file.size:
                    raise RefusedError(f"the server sends more than {self.file.size} bytes")
            stream.flush()
            os.fsync(stream.fileno())
        if total is not None and done < total:
            came = f"{readable_size(done)} of {readable_size(total)}"
            raise BrokenOffError(f"the connection ended after {came}")


def _full(file: WeightFile, target: Path, owner: str, needed: int | None) -> str:
    try:
        free = f"{readable_size(shutil.disk_usage(target.parent).free)} are free"
    except OSError:
        free = "there is no room"
    wants = f"needs {readable_size(needed)} more" if needed else "does not fit"
    return (
        f"{owner}: {file.name} {wants}, but {free} in {target.parent}; make room and repeat (the "
        "part that came is kept), or set SEEINGKIT_CACHE to a folder on another disk"
    )


@contextlib.contextmanager
def _bar(name: str, total: int | None, start: int) -> Any:
    """A function that counts bytes on a bar of megabytes; no bar where the end is unknown."""
    if total is None:
        yield lambda count: None
        return
    with progress_bar(name, math.ceil(total / _MEGA), "MB") as bar:
        done = start
        bar.advance(start // _MEGA, resumed=True)

        def count(more: int) -> None:
            nonlocal done
            before, done = done // _MEGA, done + more
            after = math.ceil(done / _MEGA) if done == total else done // _MEGA
            if after > before:
                bar.advance(after - before)

        yield count


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)
