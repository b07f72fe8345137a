"""Edits and requests as files: downloads, and a folder that was given at the start.

Guarantees: a name is a plain one inside that folder; nothing but edits of weights is replaced.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from seeingkit.analyses.rewriting.plan import request_record
from seeingkit.analyses.rewriting.session import Session
from seeingkit.errors import RunError, UsageError
from seeingkit.models.weightedits import WeightEdit
from seeingkit.system.writing import json_text, refuse_special, write_text


def request_text(session: Session) -> str:
    """The request as the text of a file.

    Raises:
        UsageError: it is not whole yet.

    ``request_text(session)``
    """
    return json_text(request_record(session.request)) + "\n"


def edit_bytes(session: Session, number: int) -> tuple[str, bytes]:
    """Name of the site, and content of the file, of an edit; ``number``: from 1 on.

    Raises:
        UsageError: no such edit.

    ``edit_bytes(session, 1)[1]``
    """
    edits = session.edits
    if not 1 <= number <= len(edits):
        raise UsageError(f"no edit {number}; there are {len(edits)}")
    edit = edits[number - 1]
    with TemporaryDirectory() as folder:
        return edit.site, edit.save(Path(folder) / "edit.safetensors").read_bytes()


def plain_name(*parts: str) -> str:
    """Names as one part of the name of a file.

    >>> plain_name("my gan/1", "r8.conv1")
    'my-gan-1-r8.conv1'
    """
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.")[:80] for part in parts)


def save_files(session: Session, folder: Path | None, name: str) -> str:
    """Write the edits, and the request of the last one; returns words about it.

    Args:
        session: with edits.
        folder: that was given at the start.
        name: of the files, without an ending; checked by the caller to be plain.

    Raises:
        UsageError: no folder, or no edit.
        RunError: something else is there.

    ``save_files(session, Path("edits"), "tower2tree")``
    """
    if folder is None:
        raise UsageError("no folder was given: start seeingkit edit with --out FOLDER")
    edits, request = folder / f"{name}.safetensors", folder / f"{name}.json"
    files = [edits, *(folder / f"{name}-{k + 1}.safetensors" for k in range(len(session.edits)))]
    for path in (*files, request):
        refuse_special(path)
    for path in files:
        if path.exists():
            WeightEdit.load(path)  # nothing else is replaced
    if request.exists():
        raise RunError(f"{request.name} is there already; take another name")
    written = session.save(edits)
    record = session.edits[-1].request
    if record is not None:
        written.append(write_text(request, json_text(dict(record)) + "\n"))
    return f"Saved {', '.join(path.name for path in written)}."
