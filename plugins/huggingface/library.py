"""Opens data sets by the library ``datasets``: what is fetched, when, and what is said if not.

Guarantees: with ``SEEINGKIT_OFFLINE=1`` nothing is fetched; a data set that is not on this machine
is announced on stderr with size and host before its files are fetched, and asked for as any large
download is; one that was fetched before is taken from the library's own cache. A name is never
taken for a folder, nor a folder for a name: folders begin with ``.``, ``/`` or ``~``. Data sets are
files only: the library runs no programs of theirs.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from seeingkit.errors import (
    MissingWeightsError,
    SourceError,
    UnknownNameError,
    UsageError,
    one_line,
)
from seeingkit.models.hub import offline
from seeingkit.models.hub.consent import allowed, readable_size

HOST = "huggingface.co"
_LONGEST = 300
_SAVED = ("dataset_info.json", "dataset_dict.json", "state.json")
"""Files that ``save_to_disk`` leaves."""


class Reference(NamedTuple):
    """A data set by its name or folder.

    Attributes:
        name: ``owner/name``, or the path of the folder.
        configuration: of the data set, or None.
        folder: it is on this machine.
    """

    name: str
    configuration: str | None
    folder: bool

    @classmethod
    def read(cls, text: str) -> Reference:
        """The reference that stands after ``hf:``.

        Raises:
            UsageError: neither a name on the hub nor a folder.
        """
        if text.startswith((".", "~")) or os.path.isabs(text):
            path = os.path.expanduser(text)
            if os.path.isdir(path):
                return cls(path, None, True)
            before, colon, after = path.rpartition(":")
            return (
                cls(before, after, True)
                if colon and os.path.isdir(before)
                else cls(path, None, True)
            )
        name, colon, configuration = text.partition(":")
        parts = name.split("/")
        if len(parts) > 2 or not all(parts) or (colon and not configuration):
            raise UsageError(
                f"hf:{text}: a data set is owner/name or owner/name:configuration; a folder "
                "begins with ./ or /"
            )
        return cls(name, configuration or None, False)


def library() -> ModuleType:
    """The library ``datasets``.

    Raises:
        SourceError: it is not installed.
    """
    try:
        found = importlib.import_module("datasets")
    except ImportError as error:
        raise SourceError(
            "hf: data sets of the hub need the library datasets: pip install 'seeingkit[datasets]'"
        ) from error
    if not sys.stderr.isatty():
        found.disable_progress_bars()
    return found


def open_table(text: str, split: str | None, revision: str | None) -> tuple[Any, str]:
    """The ``datasets.Dataset`` of a reference and split, and the split's name (``all``: none).

    Raises:
        SourceError: not here and not to be had, or it cannot be read.
        UsageError: a split or configuration has to be named.
        UnknownNameError: no such split.
    """
    reference = Reference.read(text)
    datasets = library()
    name = f"hf:{text}"
    if reference.folder and revision is not None:
        raise UsageError(f"{name}: revision is for data sets on the hub, not for a folder")
    if reference.folder and not os.path.isdir(reference.name):
        raise SourceError(f"{name}: no such folder: {reference.name}")
    with _told(name, reference):
        if reference.folder and any(Path(reference.name, file).is_file() for file in _SAVED):
            found = datasets.load_from_disk(reference.name)
        else:
            found = _built(datasets, name, reference, revision)
    if isinstance(found, dict):
        one = _one_split(name, list(found), split)
        return found[one], one
    own = str(found.split or "")
    if split is not None and not own:
        raise UsageError(f"{name} is not divided into splits; leave out split={split}")
    if split is not None and split != own:
        raise UnknownNameError(f"split of {name}", split, [own])
    return found, own or "all"


def _built(datasets: ModuleType, name: str, reference: Reference, revision: str | None) -> Any:
    """All splits of a data set, prepared by its builder."""
    path = reference.name if reference.folder else f"hf://datasets/{reference.name}"
    online = not offline() and not reference.folder
    if online:
        print(f"asking {_host(datasets)} for {one_line(name)}", file=sys.stderr, flush=True)
    with _network(online):
        builder = datasets.load_dataset_builder(path, reference.configuration, revision=revision)
        if not reference.folder and not Path(builder.cache_dir).is_dir():
            _ask(name, builder)
        builder.download_and_prepare()
        return builder.as_dataset()


def _ask(name: str, builder: Any) -> None:
    """Announce a download, and ask for consent if it is large."""
    if offline():
        raise MissingWeightsError(_not_here(name, "SEEINGKIT_OFFLINE is set"))
    size = builder.info.download_size or None
    line = f"{readable_size(size)} from {_host(library())} into {Path(builder.cache_dir).parent}"
    if not allowed(f"{name}: fetch {line}?", size):
        raise MissingWeightsError(_not_here(name, "fetching it was declined"))
    print(one_line(f"fetching {name}: {line}"), file=sys.stderr, flush=True)


def _host(datasets: ModuleType) -> str:
    return urlsplit(datasets.config.HF_ENDPOINT).hostname or HOST


@contextlib.contextmanager
def _network(wanted: bool) -> Iterator[None]:
    """Switch the libraries' network off while inside, also where they were imported before."""
    constants = [
        importlib.import_module("huggingface_hub.constants"),
        importlib.import_module("datasets.config"),
    ]
    before = [module.HF_HUB_OFFLINE for module in constants]
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # or each try would be two lines
        if not wanted:
            for module in constants:
                module.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
        yield
    finally:
        logger.setLevel(level)
        for module, value in zip(constants, before, strict=True):
            module.HF_HUB_OFFLINE = value  # type: ignore[attr-defined]


@contextlib.contextmanager
def _told(name: str, reference: Reference) -> Iterator[None]:
    """The library's errors, which share no base, as ours."""
    try:
        yield
    except (SourceError, UsageError):
        raise
    except MissingWeightsError as error:
        raise SourceError(str(error)) from error
    except Exception as error:
        said = one_line(error, _LONGEST) or type(error).__name__
        if "config name is missing" in said.lower() or "BuilderConfig" in said:
            raise UsageError(
                f"{name}: name a configuration, hf:NAME:CONFIGURATION: {said}"
            ) from error
        if reference.folder:
            raise SourceError(
                f"{name}: not a data set that the library can read ({said})"
            ) from error
        reason = "SEEINGKIT_OFFLINE is set" if offline() else said
        missing = MissingWeightsError(_not_here(name, reason))
        raise SourceError(str(missing)) from missing


def _not_here(name: str, reason: str) -> str:
    reference = Reference.read(name.removeprefix("hf:"))
    return (
        f"{name} is not on this machine and was not fetched ({reason}); get the files of "
        f"https://{HOST}/datasets/{reference.name} and give their folder: as a path where they are "
        "Parquet, else as hf:./FOLDER"
    )


def _one_split(name: str, splits: list[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in splits:
            raise UnknownNameError(f"split of {name}", wanted, splits)
        return wanted
    if len(splits) != 1:
        raise UsageError(
            f"{name} has the splits {', '.join(splits)}; name one: --data-option split={splits[0]}"
            if splits
            else f"{name} has no splits"
        )
    return splits[0]
