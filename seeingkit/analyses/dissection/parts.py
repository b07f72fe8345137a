"""Parts of a dissection on disk: the sums of ``PART`` images of each layer, resumable and shared.

Guarantees: a file is named by the hash of everything that changes its numbers (generator, latents,
segmenter, preset, layers with their bases, levels, classes, range, rules of counting); it appears
whole or not at all and holds a digest of its bytes and its range, which reading checks; one that is
damaged is named, set aside and made again. Any number of processes may share the work.
"""

from __future__ import annotations

import functools
import hashlib
import json
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
from seeingkit.system.progress import progress_bar
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import read_or_set_aside, write_sealed_tensors

from .candidates import LayerLevels
from .moments import SHIFTS, STRONGEST, Moments, group_moments, nothing, summed
from .observation import GROUP, Layer, Observer
from .responses import RESPONSES

PART = 16 * GROUP
"""Images in one file."""

DISSECTION_SCHEMA = 1
"""Version of the files and of the rules of counting."""

KEY = "seeingkit_dissection"


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
    found = [layer.boundary.name, _digest(layer.basis.matrix)]
    if (response := layer.response) is None:
        return found
    return [*found, RESPONSES, layer.boundary.extent, response.units, _digest(response.spread)]


def _digest(tensor: Tensor | None) -> str:
    if tensor is None:
        return ""
    data = tensor.detach().cpu().contiguous()
    text = f"{data.dtype} {tuple(data.shape)}".encode()
    return hashlib.sha256(text + data.numpy().tobytes()).hexdigest()


def key_of(*identity: object) -> str:
    """Hash of an identity, 32 hex digits.

    >>> len(key_of({"n": 1}, "part"))
    32
    """
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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
            [*map(_digest, (*found.levels[:2], found.columns)), found.levels.even]
            for found in self.levels
        ]
        return [observer_identity(self.observer), levels]

    def path(self, start: int, stop: int) -> Place:
        """The file of the images start … stop - 1."""
        key = key_of(*self._identity, start, stop)
        return self.folder / key[:2] / f"{key}.safetensors"

    def moments(self, n: int) -> list[Moments]:
        """The sums of images 0 to n - 1 of each layer: what is there is read, the rest is made.

        Raises:
            ModelError: the generator or the segmenter broke its contract.
            StorageError: a file cannot be written or read.
        """
        name = self.observer.source.name
        spans = [(s, min(s + PART, n)) for s in range(0, n, PART)]
        paths = [self.path(*span) for span in spans]
        about = [f"dissecting images {a + 1:,} to {b:,} of {name}" for a, b in spans]
        pieces = [Piece(p.stem, text) for p, text in zip(paths, about, strict=True)]
        totals = [nothing(*found.levels.places.shape) for found in self.levels]
        done: set[int] = set()  # sums are whole numbers, so they may be added in any order

        def add(k: int, made: Sequence[Moments]) -> None:
            totals[:] = [total + part for total, part in zip(totals, made, strict=True)]
            done.add(k)

        def is_done(k: int) -> bool:
            if k not in done and (there := self._read(paths[k], spans[k])) is not None:
                add(k, there)
                bar.advance(spans[k][1] - spans[k][0], resumed=True)
            return k in done

        with progress_bar(f"dissect {name}", n, "images") as bar:
            for (number,) in shared(pieces, self.claims, is_done):
                made = self._make(*spans[number])
                self._write(paths[number], spans[number], made)
                add(number, made)
                bar.advance(spans[number][1] - spans[number][0])
        self.observer.source.range.say()
        if totals and not totals[0].images:
            raise ModelError(f"{name}: none of {n} images can be used")
        return totals

    def _make(self, start: int, stop: int) -> list[Moments]:
        layers = self.observer.layers
        parts: list[list[Moments]] = [[] for _ in layers]
        for seen in self.observer.groups(start, stop):
            for k, (layer, levels) in enumerate(zip(layers, self.levels, strict=True)):
                made = group_moments(seen, layer, levels.levels, levels.columns, levels.classes)
                parts[k].append(made)
        return [
            summed(part, layer.units, levels.classes)
            for part, layer, levels in zip(parts, layers, self.levels, strict=True)
        ]

    def _write(self, path: Place, span: tuple[int, int], made: Sequence[Moments]) -> None:
        tensors = {
            f"{k}.{field.name}": torch.as_tensor(getattr(sums, field.name))
            for k, sums in enumerate(made)
            for field in fields(Moments)
        }
        about = {"name": path.stem, "span": list(span), "schema": DISSECTION_SCHEMA}
        about["made_by"] = self.observer.made_by
        write_sealed_tensors(path, tensors, KEY, about)

    def _read(self, path: Place, span: tuple[int, int]) -> list[Moments] | None:
        def made_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> list[Moments]:
            if tuple(about["span"]) != span:
                raise ValueError("it is of other images than its name says")
            layers = zip(self.observer.layers, self.levels, strict=True)
            return [_moments(tensors, k, *layer) for k, layer in enumerate(layers)]

        return read_or_set_aside(path, KEY, made_of)


def _moments(tensors: dict[str, Tensor], number: int, layer: Layer, levels: LayerLevels) -> Moments:
    values: dict[str, Any] = {}
    for field in fields(Moments):
        found = tensors[f"{number}.{field.name}"]
        values[field.name] = int(found) if field.name in _NUMBERS else found.numpy()
    shape = (layer.units, levels.classes)
    if any(values[name].shape != shape for name in ("both", "union", "excess2")):
        raise ValueError("its numbers are of other units or classes")
    return Moments(**values)


_NUMBERS = ("groups", "images", "pixels")


def dissection_folder(folder: str | Place | None = None) -> Place:
    """Where parts and levels are stored: below the cache folder, or in another folder.

    >>> dissection_folder("/data/store").name
    'store'
    """
    return place(cache_folder() / "dissections" if folder is None else folder)
