"""Finds the pictures that a user means by a name, a path or a pattern.

A name that a data set registered means that data set, unless it has a path separator in it (write
``./churches`` for a folder of that name), or begins with the name of one that takes a reference
(``hf:owner/name``). Everything else is a path: a folder, a ``.zip``, a ``.tar``, a ``.parquet``, an
lmdb (folder or file), a ``.txt`` list, a ``.npy`` or ``.npz`` array, one picture; or a pattern with
``*``, ``?``, ``[`` or braces (``{00..09}``, ``{a,b}``).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from seeingkit.contracts import ImageSource
from seeingkit.errors import PluginError, SourceError, UnknownNameError, UsageError, first_fault
from seeingkit.models.code import code_of
from seeingkit.models.loading import data_spec, with_reference
from seeingkit.models.registry import check_options, find_preset, import_target, registry
from seeingkit.specs import DataSpec, Preset

from .archive import ZipImages
from .arrays import ArrayImages
from .decode import Limits
from .files import open_file, open_list, walk
from .formats import HEAD, SUFFIXES, is_image_name, is_lmdb, kind_by_content
from .lmdb import LmdbImages
from .selection import select
from .shardnames import has_braces, is_shard
from .shards import ShardOptions, open_among, open_pattern, open_shards
from .tars import is_tar


def open_images(
    name_or_path: str | os.PathLike[str],
    *,
    resolution: int | None = None,
    preset: str | Preset | None = None,
    n: int | None = None,
    seed: int | None = None,
    data_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> ImageSource:
    """The pictures that a name, path or pattern stands for.

    Args:
        name_or_path: see this module.
        resolution: shorter side after resizing, instead of the preset's.
        preset: name of a preset, or one; default ``paper``, or the data set's own.
        n: take only this many (``select``).
        seed: of that choice; default 1, the paper's.
        data_options: options of the data set whose names are taken here (``n``, ``seed``).
        options: of the data set, or for paths those of ``Limits`` (``max_pixels``, ``min_side``,
            ``max_bytes``) and, for shards, of ``ShardOptions`` (``column``, ``label``, ``member``).

    Raises:
        SourceError: nothing is there, or nothing that can be used.
        UnknownNameError: no such preset.
        UsageError: an option that does not exist or does not fit.

    >>> open_images("minichurches", n=4).read([0, 1]).shape
    torch.Size([2, 3, 64, 64])
    """
    options = {**options, **(data_options or {})}
    wanted = os.path.expanduser(os.fspath(name_or_path))
    if not wanted:
        raise UsageError("an empty name is no image source; give a path, a pattern or a data set")
    plain = isinstance(name_or_path, str)
    spec, unknown = _data_set(wanted) if plain else (None, None)
    if spec is not None:
        prepared = find_preset(preset or spec.preset, resolution)
        chosen = check_options(spec, with_reference(spec, wanted, options))
        source = open_data_set(spec, prepared, chosen)
    else:
        source = _open_path(wanted, unknown, find_preset(preset, resolution), options)
    try:
        return select(source, n, 1 if seed is None else seed)
    except BaseException:
        source.close()
        raise


def _has_separator(text: str) -> bool:
    return "/" in text or os.sep in text


def _data_set(name: str) -> tuple[DataSpec | None, UnknownNameError | None]:
    found = data_spec(name)
    before, colon, _ = name.partition(":")
    if found is not None or _has_separator(before):
        return found, None
    if colon and registry().find("data", before) is None:
        name = before  # mistaken for one that takes a reference
    try:
        return cast(DataSpec, registry().resolve("data", name)), None
    except UnknownNameError as error:
        return None, error


def open_data_set(spec: DataSpec, preset: Preset, options: BaseModel) -> ImageSource:
    """The images of a registered data set, with options that ``check_options`` validated.

    Raises:
        PluginError: its target gives no ImageSource.
        SourceError: its files are not here or cannot be used.
    """
    source = import_target(spec)(options, preset)
    if not isinstance(source, ImageSource):
        given = f"{spec.target} gave a {type(source).__name__}"
        raise PluginError(f"data set {spec.name!r}: {given}, not an ImageSource")
    with suppress(AttributeError):  # of a class that sets its own
        object.__setattr__(source, "code", code_of(spec))
    return with_preset(source, preset)


def with_preset(source: ImageSource, preset: Preset) -> ImageSource:
    """A source that says which preset it was opened with, where it did not say so itself.

    Raises:
        PluginError: its class does not let the preset be set.
    """
    if source.preset is None:
        try:
            object.__setattr__(source, "preset", preset)  # also of a frozen dataclass
        except AttributeError as error:
            raise PluginError(
                f"{source.name}: the preset of a {type(source).__name__} cannot be set; make it an "
                "attribute, or give the preset it was opened with"
            ) from error
    return source


def check_there(name: str) -> None:
    """A path or pattern that is no data set leads somewhere; nothing is opened.

    Raises:
        SourceError: nothing is there; lists near data sets.
    """
    path = os.path.expanduser(name)
    if not path:
        raise UsageError("an empty name is no image source; give a path, a pattern or a data set")
    if not os.path.exists(path) and not is_pattern(path):
        raise _not_there(path, _data_set(path)[1])


def is_pattern(path: str) -> bool:
    """Whether a path has wildcards, or braces that stand for several paths.

    >>> is_pattern("train-{00..11}.tar"), is_pattern("train.tar")
    (True, False)
    """
    return glob.has_magic(path) or has_braces(path)


def _not_there(path: str, unknown: UnknownNameError | None) -> SourceError:
    near = ""
    if unknown is not None:  # all names of data sets would hide that it is a path
        told = "did you mean" in str(unknown)
        near = f", and {unknown}" if told else ", and no data set (see 'seeingkit ls data')"
    error = SourceError(f"no such path: {path}{near}")
    error.__cause__ = unknown
    return error


_BY_SUFFIX = {".zip": ZipImages, ".npy": ArrayImages, ".npz": ArrayImages, ".txt": open_list}


def _open_path(
    path: str, unknown: UnknownNameError | None, preset: Preset, given: Mapping[str, Any]
) -> ImageSource:
    """The images that a path or pattern leads to."""
    shards, limits = _path_options(given)
    common: dict[str, Any] = {"options": shards, "preset": preset, "limits": limits}
    if os.path.isdir(path) and not os.path.isfile(os.path.join(path, "data.mdb")):
        return open_among(path, path, walk(path), where=f"the folder {path}", **common)
    if os.path.isfile(path) and (is_shard(path) or is_tar(path)):
        folder, name = os.path.split(path)
        return open_shards(path, folder, [name], **common)
    if not os.path.exists(path) and is_pattern(path):
        return open_pattern(path, **common)
    if wrong := shards.model_dump(exclude_none=True):
        raise UsageError(f"{path}: option {next(iter(wrong))!r} is for tar shards or Parquet files")
    return _opener(path, unknown)(path, preset=preset, limits=limits)


def _opener(path: str, unknown: UnknownNameError | None) -> Callable[..., ImageSource]:
    """The function or class that opens a path that leads to no shards."""
    if not os.path.exists(path):
        raise _not_there(path, unknown)
    if os.path.isdir(path):
        return LmdbImages
    head = _head(path)
    found = LmdbImages if is_lmdb(head) else _BY_SUFFIX.get(os.path.splitext(path)[1].lower())
    if found is None and head.startswith(b"PAR1"):
        raise SourceError(f"{path}: a Parquet file by its content; rename it to end in .parquet")
    if found is None and not is_image_name(path) and kind_by_content(head) is None:
        raise SourceError(
            f"{path}: not a folder, .zip, .tar, .parquet, lmdb, .txt list, .npy, .npz or picture "
            f"({', '.join(SUFFIXES)})"
        )
    return found or open_file


def _head(path: str) -> bytes:
    try:
        if os.path.isfile(path):  # a pipe would hang
            with open(path, "rb") as stream:
                return stream.read(HEAD)
    except OSError:
        pass  # whoever opens it says why it cannot be read
    return b""


def _path_options(options: Mapping[str, Any]) -> tuple[ShardOptions, Limits]:
    """The options of a path, divided.

    Raises:
        UsageError: an option that does not exist or does not fit.
    """
    of_shards = {key: options[key] for key in ShardOptions.model_fields if key in options}
    others = {key: value for key, value in options.items() if key not in of_shards}
    try:
        return ShardOptions.model_validate(of_shards), Limits.model_validate(others)
    except ValidationError as error:
        fault = first_fault(error)
        raise UsageError(
            f"option {fault.where!r} of an image source: {fault.reason}; "
            f"options: {', '.join((*Limits.model_fields, *ShardOptions.model_fields))}"
        ) from error
