"""Stored work: what lies in the cache, whether it is whole, and what of it nobody needs.

Guarantees: only files that seeingkit made are listed, and only those that it keeps for itself are
ever removed, never a tally file or weights that somebody saved or fetched; checking
reads every byte; a file that another process is writing is left alone.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from seeingkit.analyses.comparison.checks.labelled_pixels import (
    CONFUSION_SCHEMA,
    check_confusion_file,
)
from seeingkit.analyses.comparison.checks.labelled_pixels import KEY as CONFUSION_KEY
from seeingkit.analyses.dissection.bases import GIVEN
from seeingkit.analyses.dissection.files import KEYS as DISSECTION_KEYS
from seeingkit.analyses.dissection.files import check_dissection_file, is_of_this_version
from seeingkit.analyses.interventions.parts import INTERVENTION_SCHEMA, check_counts_file
from seeingkit.analyses.interventions.parts import KEY as INTERVENTION_KEY
from seeingkit.analyses.inversion.encoders.files import KEY as ENCODER_KEY
from seeingkit.analyses.inversion.encoders.files import check_encoder_file
from seeingkit.analyses.inversion.store import INVERSION_SCHEMA, read_inversion
from seeingkit.analyses.inversion.store import KEY as INVERSION_KEY
from seeingkit.analyses.rewriting.outcome_parts import REWRITING_SCHEMAS, check_rewriting_file
from seeingkit.errors import SeeingkitError, TallyError
from seeingkit.models.code import code_of
from seeingkit.models.hub import is_here, verify_weights, weights_folder
from seeingkit.models.registry import registry
from seeingkit.specs import Kind, WeightsSpec, _Loadable
from seeingkit.system.addresses import Place, RemotePath
from seeingkit.system.cache import cache_folder
from seeingkit.system.claims import is_claim, left_by
from seeingkit.system.seals import SET_ASIDE, check_seal, read_whole
from seeingkit.system.writing import is_abandoned, is_temporary
from seeingkit.tallies.identity import TALLY_SCHEMA
from seeingkit.tallies.reading import read_tally_file

from .shown_labels import KEY as SHOWN_KEY
from .shown_labels import SHOWN_LABELS_SCHEMA, check_shown_labels_file

_NAMED = re.compile(r"[0-9a-f]{32}")  # files that are named by the hash of their identity
_GIVEN = re.compile(r"given-[0-9a-f]{16}")  # directions of Python, by the hash of their numbers
_CODE = re.compile(r"-(\d+-[0-9a-f]{12})-")  # version of the generator's code in an encoder's name
_DAY = 86_400


@dataclass(frozen=True)
class StoredFile:
    """One file of stored work.

    Attributes:
        kind: ``tally``, ``inversion``, ``dissection``, ``directions`` (given from Python),
            ``intervention``, ``rewriting``, ``confusion``, ``shown labels``,
            ``encoder``, ``hashes``, ``weights``,
            ``data``, ``claim``, ``leftover``; ``tally file``: one that a user saved.
        about: what it belongs to.
        unneeded: why nothing will ever read it, or empty.
        size: in bytes.
        modified: time of the last change, in seconds.
    """

    path: Place
    kind: str
    about: str
    unneeded: str
    size: int
    modified: float


def stored_files(folder: Place | None = None) -> Iterator[StoredFile]:
    """The stored work below a folder (default: the cache), by path; contents are not checked."""
    folder = folder or cache_folder()
    for path, size, modified in _files(folder):
        with suppress(OSError):  # gone meanwhile
            if found := _described(path, folder, modified):
                yield StoredFile(path, *found, size, modified)


def _files(folder: Place) -> Iterator[tuple[Place, int, float]]:
    """All files below a folder, by path: size, and time of the last change."""
    if isinstance(folder, RemotePath):
        yield from folder.below()
        return
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):
            if path.is_file():
                status = path.stat()
                yield path, status.st_size, status.st_mtime


def check_stored(folder: Place | None = None) -> Iterator[tuple[StoredFile, str]]:
    """Read and check all stored work: each file, and its fault (empty where there is none).

    Of weights those that are registered are checked, and only in the cache itself.
    """
    weights = {} if folder is not None else _wrong_weights()
    for file in stored_files(folder):
        fault = ""
        if file.kind == "weights":
            fault = weights.get(file.path.parent, "")
        elif file.kind not in ("leftover", "claim"):
            try:
                _CHECKS.get(file.kind, lambda path: None)(file.path)
            except (SeeingkitError, ValueError, LookupError, TypeError, OSError) as error:
                fault = str(error).removeprefix(f"{file.path}: ")
        yield file, fault


def remove_unneeded(
    folder: Place | None = None, *, older_than: float | None = None
) -> Iterator[tuple[StoredFile, str]]:
    """Remove leftovers and work that nothing will ever read; each file and why it went.

    Args:
        folder: default: the cache.
        older_than: days; tallies, inversions, dissections, interventions, encoders and hashes that
            are older go as well.
    """
    now = time.time()
    for file in stored_files(folder):
        old = older_than is not None and now - file.modified > older_than * _DAY
        kept = file.kind in ("weights", "data", "claim", "leftover", "tally file", "directions")
        reason = file.unneeded or ("" if kept or not old else f"older than {older_than:g} days")
        if not reason:
            continue
        with suppress(FileNotFoundError):
            file.path.unlink()
            yield file, reason
        if isinstance(file.path, Path) and file.path.parent != (folder or cache_folder()):
            with suppress(OSError):  # a folder that is not empty stays
                file.path.parent.rmdir()


# ------------------------------------------------------------------------------------- one file


def _described(path: Place, folder: Place, modified: float) -> tuple[str, str, str] | None:
    """Kind, owner, and why it is not needed; None for a file that is none of ours."""
    if is_claim(path):
        holder, ended = left_by(path, modified)
        return "claim", f"{holder}: {holder.about}", "of a process that has ended" if ended else ""
    if is_temporary(path):
        if is_abandoned(path, modified):
            return "leftover", "a write that was killed", "a write that was killed"
        return "leftover", "a write in progress", ""
    home = path.parent
    if home.name == SET_ASIDE and _is_stored(path, home.parent.name):
        return "leftover", "set aside as damaged", "set aside as damaged"
    if home.name == "digests" and _is_stored(path, home.name):
        place = ""
        with suppress(OSError, ValueError, LookupError, TypeError):
            place = str(json.loads(path.read_bytes())["place"])
        return "hashes", place or "unknown", "" if place else "of an older version"
    if _is_stored(path, home.name):
        if home.name == GIVEN:
            return "directions", _directions(path), ""  # no run can make them again
        if path.suffix == ".seconds":
            alone = not path.with_suffix(".safetensors").exists()
            return "inversion", "times", "of an inversion that is gone" if alone else ""
        return _tally(path) if path.suffix == ".parquet" else _tensors(path)
    room, *below = _parts(path, folder)
    if room in ("weights", "data") and len(below) > 1:
        return room, ":".join(below[:-1]), ""
    if path.suffix == ".parquet" and (found := _tally(path)):
        return "tally file", found[1], ""  # it is somebody's, so it is always needed
    return None


def _parts(path: Place, folder: Place) -> Sequence[str]:
    """The names of the folders from one on, and of the file."""
    if isinstance(path, RemotePath):
        return path.relative_to(folder).parts if isinstance(folder, RemotePath) else ()
    return path.relative_to(folder).parts if isinstance(folder, Path) else ()


def _is_stored(path: Place, home: str) -> bool:
    """Whether a file has a name that only stored work has, in a folder called ``home``."""
    if home == "encoders":
        return path.suffix == ".safetensors"
    if home == "digests":
        return path.suffix == ".json" and len(path.stem) == 64
    if home == GIVEN:
        return path.suffix == ".safetensors" and _GIVEN.fullmatch(path.stem) is not None
    known = path.suffix in (".parquet", ".safetensors", ".seconds")
    return known and _NAMED.fullmatch(path.stem) is not None and path.stem[:2] == home


def _tally(path: Place) -> tuple[str, str, str] | None:
    try:
        with _opened(path) as stream:
            metadata = pq.read_metadata(stream).metadata or {}
        about = json.loads(metadata[b"seeingkit"])
        record, identity = about["record"], about["identity"]
        source, segmenter = record.get("source") or {}, identity["segmenter"]
    except (OSError, pa.ArrowException, LookupError, ValueError, TypeError):
        return ("tally", "unknown", "") if _NAMED.fullmatch(path.stem) else None
    name = f"{source.get('name', 'images')} by {segmenter.get('family')}"
    old = "of an older version"
    if identity["schema_version"] != TALLY_SCHEMA or b"digest" not in metadata:
        return "tally", name, old
    made_by = (record.get("generator") or {}).get("family"), record.get("generator_code")
    models: list[tuple[Kind, Any, Any]] = [
        ("segmenter", segmenter.get("family"), segmenter.get("code")),
        ("gan", *made_by),
    ]
    return "tally", name, "" if all(_is_current(*model) for model in models) else old


def _opened(path: Place) -> BinaryIO:
    """A stored file to be read; of an address all of it is fetched: one request, and little."""
    return io.BytesIO(path.read_bytes()) if isinstance(path, RemotePath) else path.open("rb")


def _tensors(path: Place) -> tuple[str, str, str]:
    """An inversion, a part or the levels of a dissection, or an encoder."""
    try:
        header = _header(path)["__metadata__"]
        if own := [key for key in DISSECTION_KEYS if key in header]:
            return _dissection(json.loads(header[own[0]]))
        if INTERVENTION_KEY in header:
            return _intervention(json.loads(header[INTERVENTION_KEY]))
        if CONFUSION_KEY in header:
            return _of_images("confusion", json.loads(header[CONFUSION_KEY]), CONFUSION_SCHEMA)
        if SHOWN_KEY in header:
            about = json.loads(header[SHOWN_KEY])
            return _of_images("shown labels", about, SHOWN_LABELS_SCHEMA)
        if own := [key for key in REWRITING_SCHEMAS if key in header]:
            return _rewriting(json.loads(header[own[0]]), REWRITING_SCHEMAS[own[0]])
        key = INVERSION_KEY if INVERSION_KEY in header else ENCODER_KEY
        about = json.loads(header[key])
        if key == ENCODER_KEY:
            family = about["record"].get("family", "")
            code = _CODE.search(path.name)
            old = not _is_current("gan", family, code and code[1])
            name = f"{about['kind']} of {family or about['generator']} at {about['cut']}"
            return "encoder", name, "of an older version" if old else ""
        made = about.get("made_by", {})
        current = (
            about.get("schema_version") == INVERSION_SCHEMA
            and _is_current("gan", made.get("gan"), made.get("gan_code"))
            and _is_current("inverter", made.get("inverter"), made.get("code"))
        )
        name = f"{about['method']} at {about['cut']} of {made.get('gan', 'unknown')}"
        return "inversion", name, "" if current else "of an older version"
    except (OSError, LookupError, ValueError, TypeError, AttributeError):
        return ("inversion" if _NAMED.fullmatch(path.stem) else "encoder"), "unknown", ""


def _header(path: Place) -> dict[str, Any]:
    """The header of a file of tensors."""
    with _opened(path) as stream:
        length = int.from_bytes(stream.read(8), "little")
        found: dict[str, Any] = json.loads(stream.read(min(length, 1 << 24)))
    return found


def _directions(path: Place) -> str:
    """Directions that somebody gave in Python, in words."""
    try:
        rows, channels = _header(path)["directions"]["shape"]
    except (OSError, LookupError, ValueError, TypeError):
        return "unknown"
    return f"{rows:,} of {channels:,} channels, {path.stem}"


def _dissection(about: dict[str, Any]) -> tuple[str, str, str]:
    """Parts, which know images, or levels and components, which every part of their run needs."""
    made = about.get("made_by", {})
    known = is_of_this_version(about) if "span" in about else True
    current = known and _are_current(made, "gan", "segmenter")
    what = "levels"
    if "span" in about:
        start, stop = about["span"]
        what = f"images {start + 1:,} to {stop:,}"
    name = f"{what} of {made.get('of', 'unknown')} by {made.get('segmenter', 'unknown')}"
    if "layer" in about:  # components of its maps, for which nothing is segmented
        name = f"components of {about['layer']} of {made.get('of', 'unknown')}"
    return "dissection", name, "" if current else "of an older version"


def _intervention(about: dict[str, Any]) -> tuple[str, str, str]:
    """Counts of edited pictures, or units and values that were searched once."""
    made = about.get("made_by", {})
    current = about.get("schema") == INTERVENTION_SCHEMA and _are_current(made, "gan", "segmenter")
    what = about.get("what", "counts")
    name = f"{what} of {made.get('of', 'unknown')} by {made.get('segmenter', 'unknown')}"
    return "intervention", name, "" if current else "of an older version"


def _rewriting(about: dict[str, Any], schema: int) -> tuple[str, str, str]:
    """Counts of images with an edit of a weight, or moments of keys."""
    made = about.get("made_by", {})
    current = about.get("schema") == schema and _are_current(made, "gan", "segmenter")
    name = "moments of keys"
    if "span" in about:
        name = f"edits of {made.get('of', 'unknown')} by {made.get('segmenter', 'unknown')}"
    return "rewriting", name, "" if current else "of an older version"


def _of_images(kind: str, about: dict[str, Any], schema: int) -> tuple[str, str, str]:
    """What a segmenter gave for images: pixels by true and predicted label, or label maps."""
    made = about.get("made_by", {})
    current = about.get("schema") == schema and _are_current(made, "segmenter")
    name = f"{about.get('of', 'images')} by {made.get('segmenter', 'unknown')}"
    return kind, name, "" if current else "of an older version"


def _are_current(made: dict[str, Any], *kinds: Kind) -> bool:
    """Whether the code of all models of these kinds that made a file is the one there is now."""
    return all(_is_current(kind, made.get(kind), made.get(f"{kind}_code")) for kind in kinds)


def _is_current(kind: Kind, name: str | None, code: str | None) -> bool:
    """Whether the code of a registered model is the one there is now; true where nobody knows."""
    now = _current_code(kind, name or "")
    return now is None or not code or code == now


def _current_code(kind: Kind, name: str) -> str | None:
    spec = registry().find(kind, name)
    return code_of(spec) if isinstance(spec, _Loadable) else None


# -------------------------------------------------------------------------------------- checks


def _check_tally(path: Place) -> None:
    found = read_tally_file(path)
    if found.span is None or found.identity is None:
        return
    start, stop = found.span.start, found.span.stop
    if _NAMED.fullmatch(path.stem) and found.identity.key(start, stop) != path.stem:
        raise TallyError(f"{path}: it is of another tally than its name says")
    if list(found.places) != list(range(start, stop)):
        raise TallyError(f"{path}: its rows are not those of its range")


def _check_inversion(path: Place) -> None:
    if path.suffix == ".seconds":
        check_seal(read_whole(path))
    else:
        read_inversion(path)


def _check_hashes(path: Place) -> None:
    check_seal(read_whole(path))


_CHECKS: dict[str, Callable[[Place], None]] = {
    "tally": _check_tally,
    "tally file": _check_tally,
    "inversion": _check_inversion,
    "dissection": check_dissection_file,
    "directions": check_dissection_file,
    "intervention": check_counts_file,
    "rewriting": check_rewriting_file,
    "confusion": check_confusion_file,
    "shown labels": check_shown_labels_file,
    "encoder": check_encoder_file,
    "hashes": _check_hashes,
}


def _wrong_weights() -> dict[Place, str]:
    """Folders of registered weights in the cache that are not what was published, and why."""
    wrong: dict[Place, str] = {}
    for spec in registry().specs("weights"):
        if isinstance(spec, WeightsSpec) and not spec.files[0].resource and is_here(spec):
            try:
                verify_weights(spec)
            except SeeingkitError as error:
                wrong[weights_folder(spec)] = str(error)
    return wrong
