"""Tar shards and Parquet files by a path, a folder or a pattern; braces in patterns.

Guarantees: ``{0000..0009}`` and ``{a,b}`` stand for exactly the files that they name, each of which
must be there; a folder, or what a pattern matches, is read as shards where pictures lie in shards
alone, and what else lies there is named or counted. Where names say that shards are missing, or are
of several splits, that is said.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence

from seeingkit.errors import SourceError, UsageError
from seeingkit.specs import Options, Preset

from .decode import Limits
from .files import matches, open_listed, split_pattern, stable_id
from .formats import HEAD, suffix
from .listing import list_pictures
from .parquet import ParquetImages, holds_pictures
from .shardnames import (
    expand_braces,
    has_braces,
    is_shard,
    missing_parts,
    several_splits,
)
from .stored import StoredImages
from .webdataset import TarImages


class ShardOptions(Options):
    """Options of tar shards and Parquet files.

    Attributes:
        column: of the pictures in Parquet files.
        label: column of their classes; ``none`` for no classes.
        member: ending of the members to take from tar shards, such as ``input.png``.

    >>> ShardOptions(column="image").label is None
    True
    """

    column: str | None = None
    label: str | None = None
    member: str | None = None


def open_shards(
    name: str,
    root: str,
    paths: Sequence[str],
    *,
    options: ShardOptions,
    preset: Preset | None = None,
    limits: Limits | None = None,
) -> StoredImages:
    """The pictures in shards, all tar archives or all Parquet files.

    Args:
        name: for people.
        root: folder that the shards are relative to.
        paths: the shards.

    Raises:
        SourceError: both sorts, or shards that cannot be used.
        UsageError: an option of the other sort.
    """
    tars = [path for path in paths if suffix(path) != ".parquet"]
    if tars and len(tars) < len(paths):
        raise SourceError(
            f"{name}: pictures in tar shards and in Parquet files; give one of the two by a "
            f"pattern, such as {os.path.join(root, '*.tar')!r}"
        )
    _refuse_options(options, ("column", "label") if tars else ("member",), name)
    found: StoredImages
    if tars:
        found = TarImages(name, root, paths, member=options.member, preset=preset, limits=limits)
    else:
        found = ParquetImages(
            name,
            root,
            paths,
            column=options.column,
            label=options.label,
            preset=preset,
            limits=limits,
        )
    found.notes = (*found.notes, *missing_parts(paths), *several_splits(paths))
    return found


def open_among(
    name: str,
    root: str,
    paths: Sequence[str],
    *,
    where: str,
    options: ShardOptions,
    preset: Preset | None = None,
    limits: Limits | None = None,
) -> StoredImages:
    """The pictures among some files: in shards where they lie in shards alone, else by themselves.

    Args:
        where: the place, for messages.

    Raises:
        SourceError: there are none, or not all in one sort of file.
    """
    shards = [path for path in paths if is_shard(path)]
    others = [path for path in paths if not is_shard(path)]
    if not shards:
        return _of_pictures(name, root, paths, where, options, preset, limits)
    listing = list_pictures([stable_id(path) for path in others], _head_of(root, others))
    if listing.pictures:
        return _of_pictures(name, root, paths, where, options, preset, limits)
    tables = [path for path in shards if suffix(path) == ".parquet"]
    notes: list[str] = []
    if tables and len(tables) < len(shards):  # img2dataset lays a table beside each shard
        bare = {path for path in tables if not holds_pictures(os.path.join(root, path))}
        shards = [path for path in shards if path not in bare]
        if bare:
            notes.append(f"left out, no pictures: {len(bare):,} .parquet beside the tar shards")
    found = open_shards(name, root, shards, options=options, preset=preset, limits=limits)
    found.left_out = (*found.left_out, *listing.left_out)
    found.notes = (*found.notes, *notes, *listing.notes)
    return found


def _of_pictures(
    name: str,
    root: str,
    paths: Sequence[str],
    where: str,
    options: ShardOptions,
    preset: Preset | None,
    limits: Limits | None,
) -> StoredImages:
    _refuse_options(options, tuple(ShardOptions.model_fields), name)
    return open_listed(name, root, paths, where, preset, limits)


def open_pattern(
    pattern: str,
    *,
    options: ShardOptions,
    preset: Preset | None = None,
    limits: Limits | None = None,
) -> StoredImages:
    """The pictures in the files, or in the shards, that a pattern with wildcards or braces names.

    Raises:
        SourceError: nothing matches, or a file that braces name is not there.
    """
    root, rest = split_pattern(pattern, lambda part: glob.has_magic(part) or has_braces(part))
    found: dict[str, None] = {}
    missing = []
    alternatives = expand_braces(rest)
    for one in alternatives:
        if glob.has_magic(one):
            found.update(dict.fromkeys(matches(root, one)))
        elif os.path.isfile(os.path.join(root, one)):
            found[one] = None
        else:
            missing.append(one)
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise SourceError(
            f"{pattern}: {len(missing):,} of the {len(alternatives):,} files that the braces name "
            f"are not there: {shown}"
        )
    where = f"what {pattern!r} matches"
    return open_among(
        pattern, root, list(found), where=where, options=options, preset=preset, limits=limits
    )


def _head_of(root: str, paths: Sequence[str]) -> Callable[[str], bytes]:
    files = {stable_id(path): path for path in paths}

    def head(item: str) -> bytes:
        try:
            with open(os.path.join(root, files[item]), "rb") as stream:
                return stream.read(HEAD)
        except OSError:
            return b""

    return head


def _refuse_options(options: ShardOptions, names: Sequence[str], where: str) -> None:
    sorts = {"column": "Parquet files", "label": "Parquet files", "member": "tar shards"}
    for name in names:
        if getattr(options, name) is not None:
            raise UsageError(f"{where}: option {name!r} is for {sorts[name]} alone")
