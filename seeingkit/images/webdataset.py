"""Pictures in tar shards, in the layout of WebDataset, read in place: nothing is unpacked to disk.

Guarantees: a picture is read by itself, from its place in its shard; shards come in the order given
and members in the order in which they lie; an id is ``shard.tar/path/in/it.jpg``, whatever else was
opened with it. Every member is accounted for as every file of a folder is (``listing``); links,
devices and sparse files are never followed or read, and no name is taken for a path. Label files
give classes (``samplelabels``). Any plain tar of pictures is read so too.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seeingkit.contracts import Skipped
from seeingkit.errors import ImageError, SourceError
from seeingkit.specs import Preset
from seeingkit.system.digests import Stamp, file_stamp
from seeingkit.system.progress import progress_bar

from .archive import member_id
from .classfiles import CLASS_FILE, LARGEST, read_class_files
from .decode import Limits, check_bytes
from .files import is_hidden, stable_id
from .formats import ARCHIVES, HEAD, TEXTS, is_image_name, suffix
from .listedfiles import ListedFiles
from .listing import Listing, counted, list_pictures, nothing_in
from .samplelabels import FIELDS, MOST_TEXT, GivenClasses, SampleLabels, sample_key
from .stored import StoredImages
from .tars import Member, TarWalk


class _Place(NamedTuple):
    """Where a member lies."""

    shard: int
    offset: int
    size: int


class TarImages(StoredImages):
    """The pictures of tar shards.

    Args:
        name: for people.
        root: folder that the shards are relative to.
        shards: the archives, relative to ``root``; not compressed.
        member: take only members with this ending behind the first dot of their name, such as
            ``input.png``, where samples hold several pictures.

    Raises:
        SourceError: a shard is missing, damaged, cut off or compressed, or there is no picture.

    >>> TarImages("photos", ".", ["photos.tar"]).ids
    ('photos.tar/1.png', 'photos.tar/2.png')
    """

    kind = "tar shards"

    def __init__(
        self,
        name: str,
        root: str | os.PathLike[str],
        shards: Sequence[str],
        *,
        member: str | None = None,
        preset: Preset | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root, self.shards = os.fspath(root), tuple(shards)
        self._listed = ListedFiles([self.path(number) for number in range(len(self.shards))])
        found = _Contents(self, f"the tar shards {name}", member)
        with progress_bar(f"list {name}", len(self.shards), "shards") as bar:
            for number in range(len(self.shards)):
                found.add_shard(number)
                bar.advance(1)
        ids = found.pictures()
        given = found.classes(ids)
        self.classes, self.class_names, self.classes_by = given.classes, given.names, given.by
        self.left_out, self.notes = tuple(found.left_out), (*found.notes, *given.notes)
        places = [found.places[item] for item in ids]
        self._shard = np.array([place.shard for place in places], np.int32)
        self._offset = np.array([place.offset for place in places], np.int64)
        self._size = np.array([place.size for place in places], np.int64)
        super().__init__(name, ids, preset=preset, limits=limits, place=root or ".")

    def path(self, shard: int) -> str:
        """Where one shard lies."""
        return os.path.join(self.root, self.shards[shard])

    def fetch(self, index: int) -> bytes:
        """The bytes of one member."""
        place = _Place(*(int(a[index]) for a in (self._shard, self._offset, self._size)))
        check_bytes(place.size, self.ids[index], self.limits)
        if not self.is_hashed(index):
            self._listed.check(place.shard)
        return self.read_place(place, self.ids[index])

    def read_place(self, place: _Place, item: str) -> bytes:
        """The bytes at a place of a shard.

        Raises:
            ImageError: the shard cannot be read, or ends before them.
        """
        try:
            with open(self.path(place.shard), "rb", buffering=0) as stream:
                stream.seek(place.offset)
                parts, left = [], place.size
                while left and (part := stream.read(left)):  # one read gives at most 2 GiB
                    parts.append(part)
                    left -= len(part)
        except FileNotFoundError:
            raise ImageError(item, "its shard is no longer there") from None
        except OSError as error:
            raise ImageError(item, f"cannot be read ({error.strerror or error})") from error
        if left:
            raise ImageError(item, "its shard is now cut off before it")
        return b"".join(parts)

    def encoded_size(self, index: int) -> int:
        """See ``StoredImages.encoded_size``."""
        return int(self._size[index])

    def stamp(self, index: int) -> Stamp | None:
        """The shard's size, times and inode, and the member's place in it."""
        stamp = file_stamp(self.path(int(self._shard[index])))
        return stamp and (*stamp, int(self._offset[index]), int(self._size[index]))


class _Contents:
    """The members of all shards, sorted into pictures, label files, and what is left out."""

    def __init__(self, source: TarImages, where: str, member: str | None) -> None:
        self.source, self.where = source, where
        self.member = None if member is None else member.lower().removeprefix(".")
        self.places: dict[str, _Place] = {}
        self.left_out: list[Skipped] = []
        self.notes: list[str] = []
        self._labels = SampleLabels(where)
        self._others: Counter[str] = Counter()
        self._label_files = 0
        self._replaced = 0

    def add_shard(self, number: int) -> None:
        """List one shard."""
        shard = stable_id(self.source.shards[number])
        walk = TarWalk(self.source.path(number))
        for member in walk:
            inside = _text(member_id(member.name))
            if member.other == "a folder" or not inside or is_hidden(inside):
                continue
            item = f"{shard}/{inside}"
            if member.other:
                if is_image_name(inside):
                    self.left_out.append(Skipped(item, member.other))
                else:
                    self._others["that are no plain files"] += 1
                continue
            of_classes = inside.rpartition("/")[2].lower() == CLASS_FILE
            if sample_key(inside)[1] in FIELDS and not of_classes:
                self._label_files += 1
                self._labels.add(item, _whole(walk, member))
            elif suffix(inside) in TEXTS and not of_classes:
                self._others[suffix(inside)] += 1
            else:
                self._replaced += item in self.places
                self.places[item] = _Place(number, member.offset, member.size)
        self.left_out += [Skipped(shard, fault) for fault in walk.faults]

    def pictures(self) -> list[str]:
        """Ids of the pictures, in the order in which they lie."""
        listing = list_pictures(list(self.places), self._head)
        pictures = listing.pictures
        if self._others:
            self.notes.append(f"left out, no pictures: {counted(self._others)}")
        if self._replaced:
            self.notes.append(
                f"{self._replaced:,} members have the name of a later one, which counts alone"
            )
        if self.member is not None:
            pictures = self._of_member(pictures)
        if not pictures:
            left_out = (*self.left_out, *listing.left_out)
            notes = (*self.notes, *listing.notes)
            raise SourceError(nothing_in(self.where, Listing([], left_out, notes)))
        self.left_out += self._without_fields(listing.left_out, pictures)
        self.notes += listing.notes
        self._say_several(pictures)
        return pictures

    def _without_fields(
        self, left_out: Sequence[Skipped], pictures: Sequence[str]
    ) -> list[Skipped]:
        """The files that are left out but for arrays beside pictures (``0001.npy``): a count."""
        samples = {sample_key(item)[0] for item in pictures}
        kept, fields = [], Counter[str]()
        for one in left_out:
            if suffix(one.item) in ARCHIVES and sample_key(one.item)[0] in samples:
                fields[suffix(one.item)] += 1
            else:
                kept.append(one)
        if fields:
            self.notes.append(f"left out, beside the pictures of their samples: {counted(fields)}")
        return kept

    def _of_member(self, pictures: list[str]) -> list[str]:
        """The pictures with the ending that was asked for.

        Raises:
            SourceError: there are none.
        """
        endings = Counter(sample_key(item)[1] for item in pictures)
        if pictures and self.member not in endings:
            raise SourceError(
                f"{self.where}: no picture ends in .{self.member}; there are: {counted(endings)}"
            )
        kept = [item for item in pictures if sample_key(item)[1] == self.member]
        if others := len(pictures) - len(kept):
            self.notes.append(f"left out: {others:,} pictures that do not end in .{self.member}")
        return kept

    def _say_several(self, pictures: Sequence[str]) -> None:
        """Say where samples hold more than one picture."""
        samples: dict[str, list[str]] = defaultdict(list)
        for item in pictures:
            samples[sample_key(item)[0]].append(item)
        several = [items for items in samples.values() if len(items) > 1]
        if several:
            shown = ", ".join(item.rpartition("/")[2] for item in several[0][:3])
            self.notes.append(
                f"{len(several):,} samples hold several pictures, each of which is an image here "
                f"({shown}); member={sample_key(several[0][0])[1]} would take one of them"
            )

    def classes(self, pictures: Sequence[str]) -> GivenClasses:
        """The classes by ``dataset.json``, else by the label files."""
        classes, notes = read_class_files(list(self.places), pictures, self._class_file, self.where)
        if classes is None:
            given = self._labels.classes(pictures)
            return given._replace(notes=(*notes, *given.notes))
        if self._label_files:
            notes.append(f"{self._label_files:,} label files of samples are not used beside it")
        return GivenClasses(classes, (), CLASS_FILE, tuple(notes))

    def _class_file(self, item: str) -> bytes:
        place = self.places[item]
        return self._read(place._replace(size=min(place.size, LARGEST + 1)), item)

    def _read(self, place: _Place, item: str) -> bytes:
        try:
            return self.source.read_place(place, item)
        except ImageError as error:
            raise SourceError(f"{self.where}: {error}") from error

    def _head(self, item: str) -> bytes:
        place = self.places[item]
        return self._read(place._replace(size=min(place.size, HEAD)), item)


def _whole(walk: TarWalk, member: Member) -> bytes | None:
    return walk.read(member) if member.size <= MOST_TEXT else None


def _text(name: str) -> str:
    """A name from a header as valid text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
