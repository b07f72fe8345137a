"""An unfinished download: its bytes so far, and the version of the file that they belong to.

Guarantees: a part is only continued with bytes of the same file, as far as the server tells (ETag,
Last-Modified, length); where it tells nothing, or something else, the download begins anew.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path

from .connections import RefusedError, host_of

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Version:
    """The version of a file on a server, as far as its headers identify it."""

    url: str  # as requested, before redirects
    etag: str | None = None
    modified: str | None = None  # the header Last-Modified
    total: int | None = None  # bytes of the whole file

    @property
    def validator(self) -> str | None:
        """The value of ``If-Range``: a strong ETag, else a date (RFC 9110, section 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


def version_of(headers: Message, url: str, start: int = 0) -> Version:
    """The version that a response from byte ``start`` on is of.

    Raises:
        RefusedError: the body is compressed, so that lengths and ranges mean something else.
    """
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusedError(f"{host_of(url)} sends the file compressed")
    length = headers.get("Content-Length") or ""
    total = start + int(length) if length.isdigit() else None
    return Version(url, headers.get("ETag"), headers.get("Last-Modified"), total)


class Partial:
    """``<name>.part`` beside the target, and ``<name>.part.json``, its version."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")

    def __len__(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> Version | None:
        """The version of the bytes; None if there are none, or of another address, or unknown."""
        if not len(self):
            return None
        try:
            found = Version(**json.loads(self._note.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        told = found.validator or found.total is not None
        return found if found.url == url and told else None

    def begin(self, version: Version) -> None:
        """Note the version of the bytes that come."""
        self._note.write_text(json.dumps(asdict(version)), "utf-8")

    def drop(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """The part becomes the file."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)


def rest_of(known: Version, headers: Message, start: int) -> Version | None:
    """The version of a partial response (206) from byte ``start`` on.

    None if it does not continue the known version, which the bytes before are of.
    """
    stated = _RANGE.fullmatch((headers.get("Content-Range") or "").strip())
    if stated is None or int(stated[1]) != start:
        return None
    found = version_of(headers, known.url, start)
    total = found.total if stated[3] == "*" else int(stated[3])
    if None not in (known.total, total) and known.total != total:
        return None
    for before, now in ((known.etag, found.etag), (known.modified, found.modified)):
        if before and now and before != now:
            return None
    return Version(known.url, found.etag, found.modified, total)
