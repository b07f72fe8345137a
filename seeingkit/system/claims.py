"""Claims: small files by which processes, of one machine or of several, divide work among them.

A process that begins a piece of work (a chunk of a tally, a few inversions, a step of a suite)
creates a file that nobody else can create; a thread touches it every ``BEAT`` seconds, and it goes
when the piece is done. A claim is *stale* when its process is gone from this machine, or when it
was not touched for ``PATIENCE`` seconds by the clock of the process that watches it: clocks of two
machines are never compared. A stale claim is never changed. Whoever is the first to create the file
named by it follows it, and says so once.

Guarantees: exactly one process holds a piece, as long as the file system keeps its promise of
exclusive creation; a process that dies blocks nobody. Where all else fails (a process that was
stopped for longer than ``PATIENCE`` and goes on) a piece is done twice. So claims are for work that
gives the same bytes whoever does it, and whose result is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

from seeingkit.errors import StorageError, one_line

from .addresses import Place, RemotePath, place
from .failures import told
from .heartbeats import BEAT, Beating, OpenFile, RewrittenFile
from .holders import Holder
from .writing import UNTOUCHED, make_folder

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds without a sign of life after which a claim is stale."""

FOLDER = "claims"
"""Name of the folder of claims, beside the work that they are about."""

_NAME = re.compile(r"[0-9a-f]{32}(\.[0-9a-f]{16})*\.claim")
_LONGEST = 4096  # bytes of a claim

assert PATIENCE > 5 * BEAT
_File = tuple[Place, bytes]  # path and content


class Claim:
    """A piece of work that this process holds, until the ``with`` statement ends.

    ``with claim: do_the_work()``.
    """

    def __init__(self, file: Beating | None, *files: _File) -> None:
        self._beating, self._files, self._owner = file, files, os.getpid()

    def release(self) -> None:
        """Let the piece go: the file disappears, and those of the processes it was taken from."""
        if self._beating is None or os.getpid() != self._owner:  # a fork holds nothing
            return
        self._beating.stop()
        self._beating = None
        for path, content in self._files:
            with suppress(OSError, StorageError):
                seen = _look(path)
                if seen is not None and seen.content == content:  # else it is another's by now
                    path.unlink(missing_ok=True)

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(frozen=True)
class _Seen:
    """A claim file as it was looked at.

    Attributes:
        changed: its time of change, as its file system gives it; compared with itself alone.
    """

    path: Place
    content: bytes
    changed: object

    @cached_property
    def holder(self) -> Holder:
        return Holder.read(self.content)

    @property
    def follower(self) -> Place:
        """Where the process that takes it over puts its own claim."""
        digest = hashlib.sha256(self.content).hexdigest()[:16]
        return self.path.with_name(f"{self.path.name.removesuffix('.claim')}.{digest}.claim")


class Claims:
    """The claims in a folder. Many processes, on one machine or on several, share one::

        claims = Claims(store / "claims")
        if claim := claims.take("chunk 7", "counting images 1,024 to 2,047 of church"):
            with claim:
                count()
        else:
            print(claims.holder("chunk 7"))  # rank 1 (host, process 1234)

    Args:
        patience: seconds, as ``PATIENCE``.
    """

    def __init__(self, folder: str | Place, *, patience: float = PATIENCE) -> None:
        self.folder = place(folder)
        self._patience = patience
        self._watched: dict[Place, tuple[_Seen, float]] = {}  # as first seen, and our time of that
        self._named: set[tuple[str, int, str]] = set()

    def take(self, key: str, about: str) -> Claim | None:
        """Claim a piece of work, where nobody living holds it.

        A piece may have been done since it was found undone: look again, once it is claimed.

        Args:
            key: any text that names the piece, and is the same in all processes.
            about: of the work, for people: ``counting images 1 to 9 of church``.

        Returns:
            None where another process holds it, or another thread of this one.

        Raises:
            StorageError: the folder cannot be written.
        """
        if isinstance(self.folder, RemotePath) and not self.folder.is_exclusive:
            return Claim(None)
        if isinstance(self.folder, Path):
            make_folder(self.folder)
        content = _content(Holder.here(key, one_line(about, 300)))
        path, followed = self._first(key), list[_Seen]()
        while True:
            file = _create(path, content)
            if file is not None:
                own = path, content
                if followed and _look(followed[0].path) != followed[0]:
                    # Another has followed it, done the piece, and let it go meanwhile.
                    Claim(file, own).release()
                    return None
                # The first one goes first: while it is there, those that follow it count.
                claim = Claim(file, *((one.path, one.content) for one in followed), own)
                for one in followed:
                    self._tell(one)
                return claim
            seen = _look(path)
            if seen is None:  # let go meanwhile, so that it is done, or another's turn
                return None
            if not self._is_stale(seen):
                return None
            followed.append(seen)
            path = seen.follower

    def holder(self, key: str) -> Holder | None:
        """The process that holds a piece; None where nobody does."""
        path, holder = self._first(key), None
        while (seen := _look(path)) is not None:
            holder = None if self._is_stale(seen) else seen.holder
            path = seen.follower
        return holder

    def holders(self) -> list[Holder]:
        """The processes that hold pieces now, by key: for a page or a command that shows them."""
        found = {}
        for seen in self._all():
            if not self._is_stale(seen) and seen.holder.process:
                found[seen.holder.key] = seen.holder
        return [found[key] for key in sorted(found)]

    def _all(self) -> Iterator[_Seen]:
        paths: list[Place] = []
        if isinstance(self.folder, RemotePath):
            paths += [path for path, _, _ in self.folder.below()]
        else:
            with suppress(FileNotFoundError):
                paths += sorted(self.folder.iterdir())
        for path in paths:
            if _NAME.fullmatch(path.name) and (seen := _look(path)) is not None:
                yield seen

    def _first(self, key: str) -> Place:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.claim"

    def _is_stale(self, seen: _Seen) -> bool:
        if seen.holder.is_gone:
            return True
        now = time.monotonic()
        before, since = self._watched.setdefault(seen.path, (seen, now))
        if before != seen:
            self._watched[seen.path] = seen, now
            return False
        return now - since >= self._patience

    def _tell(self, stale: _Seen) -> None:
        """Name a process whose work is done again, once."""
        holder = stale.holder
        process = holder.machine, holder.process, holder.started
        if process in self._named:
            return
        self._named.add(process)
        what = "ended" if holder.is_gone else f"gave no sign of life for {self._patience:.0f} s"
        log.warning(
            "%s %s while %s; this process does it again",
            holder,
            what,
            one_line(holder.about, 200) or "it began",
            extra={"every_rank": True},
        )


def is_claim(path: Place) -> bool:
    """Whether a file has the name and the place of a claim.

    >>> is_claim(Path("claims") / f"{'0a' * 16}.claim"), is_claim(Path("notes.claim"))
    (True, False)
    """
    return path.parent.name == FOLDER and _NAME.fullmatch(path.name) is not None


def left_by(path: Place, modified: float) -> tuple[Holder, bool]:
    """Whose claim a file is, and whether its process has ended: for lists of files.

    Args:
        modified: when it was touched last; a process elsewhere counts as ended an hour later.
    """
    seen = _look(path)
    holder = Holder() if seen is None else seen.holder
    return holder, holder.is_gone or bool(modified and time.time() - modified > UNTOUCHED)


def _content(holder: Holder) -> bytes:
    # The token makes each claim another, also two of one process for one piece.
    return json.dumps({**vars(holder), "token": secrets.token_hex(8)}).encode()[:_LONGEST]


def _create(path: Place, content: bytes) -> Beating | None:
    """A new file with this content, and the signs of life in it; None where there is a file."""
    if isinstance(path, RemotePath):
        return RewrittenFile(path, content) if path.create(content) else None
    with told(path):
        try:
            number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return None
        try:
            os.write(number, content)
        except OSError:
            os.close(number)
            path.unlink(missing_ok=True)
            raise
    return OpenFile(number)


def _look(path: Place) -> _Seen | None:
    """A claim file as it is now; None where there is none."""
    try:
        if isinstance(path, RemotePath):
            return _Seen(path, path.read_bytes(), path.changed())
        # Opening asks the server of a network drive, where a mere stat answers from memory.
        with told(path, "cannot be read"), suppress(FileNotFoundError), path.open("rb") as stream:
            content = stream.read(_LONGEST)
            return _Seen(path, content, os.fstat(stream.fileno()).st_mtime_ns)
    except FileNotFoundError:
        pass
    return None
