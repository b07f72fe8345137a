"""Parts of a dissection on disk: the sums of ``PART`` groups of images; resumable and shared.

Beside the sums lie the numbers of each group at the candidate pairs (``series``), which say how
much the counts of units would vary.

Guarantees: a file is named by the hash of everything that changes its numbers (generator, latents,
segmenter, preset, layers with their bases, levels, classes, range, rules of counting); it appears
whole or not at all and holds a digest of its bytes and its range, which reading checks; one that is
damaged is named, set aside and made again. Any number of processes may share the work.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from seeingkit.errors import ModelError
from seeingkit.models.code import identity_of
from seeingkit.system.addresses import Place, place
from seeingkit.system.cache import cache_folder
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.digests import key_of
from seeingkit.system.progress import Bar, progress_bar
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import read_or_set_aside, tensor_digest, write_sealed_tensors

from .candidates import LayerLevels
from .grouping import GROUP, groups_of
from .moments import SHIFTS, STRONGEST, Moments, group_moments, nothing
from .observation import Layer, Observer
from .responses import RESPONSES
from .series import GroupRows, GroupSeries, SeriesSums, rows_of, stacked

PART = 16
"""Groups of images in one file."""

Groups = Sequence[Sequence[int]]

DISSECTION_SCHEMA = 3
"""Version of the files and of the rules of counting."""

KEY = "seeingkit_dissection"

_Part = tuple[Moments, GroupRows]
"""The numbers of a layer in a part."""


def observer_identity(observer: Observer) -> dict[str, Any]:
    """Everything of an observer that changes what it sees.

    ``observer_identity(observer)["schema"]``.
    """
    return {
        "schema": [DISSECTION_SCHEMA, GROUP, *SHIFTS, STRONGEST],
        "source": observer.source.identity(),
        "segmenter": identity_of(observer.segmenter),
        "side": observer.side,
        "layers": [_layer_identity(layer) for layer in observer.layers],
    }


def _layer_identity(layer: Layer) -> list[Any]:
    found = [layer.boundary.name, tensor_digest(layer.basis.matrix)]
    if (response := layer.response) is None:
        return found
    spread = tensor_digest(response.spread)
    return [*found, RESPONSES, layer.boundary.extent, response.units, spread]


@dataclass(frozen=True, eq=False)
class Parts:
    """The work of a dissection, in parts.

    Attributes:
        observer: makes the images.
        levels: of the units of each layer, in the order of the observer's.
        folder: where parts are stored; default: the cache.
    """

    observer: Observer
    levels: Sequence[LayerLevels]
    folder: Place

    @classmethod
    def stored(
        cls, observer: Observer, levels: Sequence[LayerLevels], folder: str | Place | None = None
    ) -> Parts:
        """In a store, by default the cache folder."""
        return cls(observer, levels, dissection_folder(folder))

    @property
    def claims(self) -> Claims:
        """Of processes that work now."""
        return Claims(self.folder / CLAIMS)

    @functools.cached_property
    def _identity(self) -> list[Any]:
        """Everything but the range that changes the numbers of a part."""
        levels = [
            [
                *map(tensor_digest, (*found.levels[:2], found.columns)),
                found.levels.even,
                tensor_digest(torch.from_numpy(found.candidates)),
            ]
            for found in self.levels
        ]
        return [observer_identity(self.observer), levels]

    def path(self, groups: Groups) -> Place:
        """The file of these groups of images."""
        key = key_of(*self._identity, groups)
        return self.folder / key[:2] / f"{key}.safetensors"

    def counted(self, n: int) -> list[tuple[Moments, GroupSeries]]:
        """Sums and series of images 0 to n - 1 of each layer: what is there is read, else made.

        Raises:
            ModelError: the generator or the segmenter broke its contract.
            StorageError: a file cannot be written or read.
        """
        name = self.observer.source.name
        groups = groups_of(n, self.observer.source.labels)
        spans = [groups[k : k + PART] for k in range(0, len(groups), PART)]
        sizes = [sum(map(len, span)) for span in spans]
        paths = [self.path(span) for span in spans]
        about = [f"dissecting {_range_of(span)} of {name}" for span in spans]
        pieces = [Piece(p.stem, text) for p, text in zip(paths, about, strict=True)]
        totals = [nothing(*found.levels.places.shape) for found in self.levels]
        series = [SeriesSums(found.candidates, len(groups)) for found in self.levels]
        done: set[int] = set()  # sums are whole numbers, so they may be added in any order

        def add(k: int, made: Sequence[_Part]) -> None:
            totals[:] = [total + part for total, (part, _) in zip(totals, made, strict=True)]
            for own, (_, rows) in zip(series, made, strict=True):
                own.add(rows)
            done.add(k)

        def is_done(k: int) -> bool:
            if k not in done and (there := self._read(paths[k], spans[k])) is not None:
                self._check(there, spans[k])
                add(k, there)
                bar.advance(sizes[k], resumed=True)
            return k in done

        with progress_bar(f"dissect {name}", n, "images") as bar:
            for (number,) in shared(pieces, self.claims, is_done):
                made = self._make(spans[number], number * PART, bar)
                self._write(paths[number], spans[number], made)
                add(number, made)
        self.observer.source.range.say()
        if totals and not totals[0].images:
            raise ModelError(f"{name}: none of {n} images can be used")
        return [(total, own.series()) for total, own in zip(totals, series, strict=True)]

    def _make(self, groups: Groups, first: int = 0, bar: Bar | None = None) -> list[_Part]:
        """Sums and rows of some groups; ``first``: the number of the first of them."""
        layers = list(zip(self.observer.layers, self.levels, strict=True))
        totals = [nothing(layer.units, levels.classes) for layer, levels in layers]
        rows: list[list[GroupRows]] = [[rows_of([], levels.candidates)] for _, levels in layers]
        for number, seen in enumerate(self.observer.groups(groups), first):
            for k, (layer, levels) in enumerate(layers):
                made = group_moments(seen, layer, levels.levels, levels.columns, levels.classes)
                totals[k] = totals[k] + made
                rows[k].append(rows_of([(number, made)], levels.candidates))
            if bar is not None:
                bar.advance(len(groups[number - first]))
        return [(total, stacked(own)) for total, own in zip(totals, rows, strict=True)]

    def _check(self, made: Sequence[_Part], groups: Groups) -> None:
        """Of a part that another run made: where images are missing and must not, say which."""
        whole = sum(len(group) for group in groups if len(group) > 1)
        if self.observer.on_bad == "fail" and made and made[0][0].images < whole:
            self._make(groups)

    def _write(self, path: Place, span: Groups, made: Sequence[_Part]) -> None:
        tensors = {
            f"{k}.{field.name}": torch.as_tensor(getattr(sums, field.name))
            for k, (sums, _) in enumerate(made)
            for field in fields(Moments)
        }
        for k, (_, rows) in enumerate(made):
            for name, values in rows._asdict().items():
                tensors[f"{k}.series.{name}"] = torch.as_tensor(values)
        about = {"name": path.stem, "span": list(_ends(span)), "schema": DISSECTION_SCHEMA}
        about["made_by"] = self.observer.made_by
        write_sealed_tensors(path, tensors, KEY, about)

    def _read(self, path: Place, span: Groups) -> list[_Part] | None:
        def made_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> list[_Part]:
            if tuple(about["span"]) != _ends(span):
                raise ValueError("it is of other images than its name says")
            layers = zip(self.observer.layers, self.levels, strict=True)
            return [
                (_moments(tensors, k, *layer), _rows(tensors, k, layer[1]))
                for k, layer in enumerate(layers)
            ]

        return read_or_set_aside(path, KEY, made_of)


def _range_of(groups: Groups) -> str:
    (first, end), count = _ends(groups), sum(map(len, groups))
    some = "" if end - first == count else f"{count} of the "
    return f"{some}images {first + 1:,} to {end:,}"


def _ends(groups: Groups) -> tuple[int, int]:
    """The first number, and the one after the last."""
    numbers = [number for group in groups for number in group]
    return min(numbers), max(numbers) + 1


def _moments(tensors: dict[str, Tensor], number: int, layer: Layer, levels: LayerLevels) -> Moments:
    values: dict[str, Any] = {}
    for field in fields(Moments):
        found = tensors[f"{number}.{field.name}"]
        values[field.name] = int(found) if field.name in _NUMBERS else found.numpy()
    shape = (layer.units, levels.classes)
    if any(values[name].shape != shape for name in ("both", "union", "excess2")):
        raise ValueError("its numbers are of other units or classes")
    return Moments(**values)


def _rows(tensors: dict[str, Tensor], number: int, levels: LayerLevels) -> GroupRows:
    found = GroupRows(*(tensors[f"{number}.series.{name}"].numpy() for name in GroupRows._fields))
    shape = (len(found.groups), int(levels.candidates.sum()))
    if any(values.shape != shape for values in found[1:]):
        raise ValueError("its groups are of other pairs")
    return found


_NUMBERS = ("groups", "images", "pixels")


def dissection_folder(folder: str | Place | None = None) -> Place:
    """Where parts and levels are stored: below the cache folder, or in another folder.

    >>> dissection_folder("/data/store").name
    'store'
    """
    return place(cache_folder() / "dissections" if folder is None else folder)
