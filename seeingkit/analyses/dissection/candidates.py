"""Levels of the units of a layer, and the classes worth testing, from images of their own.

Guarantees: the images are of another series of latents than those that are reported, so nothing
that is chosen here biases a number there; their number is fixed, so memory and time do not grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import Skipped, Vocabulary
from seeingkit.errors import ModelError
from seeingkit.system.addresses import Place
from seeingkit.system.claims import FOLDER as CLAIMS
from seeingkit.system.claims import Claims
from seeingkit.system.progress import Bar, progress_bar
from seeingkit.system.sharing import Piece, shared
from seeingkit.system.tensors import read_or_set_aside, write_sealed_tensors

from .agreement import Floats, iou
from .counting import Ranks
from .grouping import GROUP
from .levels import chosen_levels
from .moments import Levels, units_at_once
from .observation import Observer
from .presets import Preset

VALUES = 1 << 26
"""Values of units that are kept to take quantiles of, in all layers together (256 MiB)."""
PAIRS = 1 << 20
"""Units times levels times classes whose scores are computed at once."""
LEAST_VALUES = 16
"""Pixels of each image of which the values are kept, at least."""

KEY = "seeingkit_levels"


@dataclass(frozen=True, eq=False)
class LayerLevels:
    """What the sample of the levels says of a layer.

    Attributes:
        levels: of each unit and class.
        columns: (planes, labels) int64: the column of each label of each plane; -1: left out.
        classes: C, how many columns there are.
        quality: (U, C) the score by which each level was chosen, on this sample.
        candidates: (U, C) pairs that are worth a test.
        skipped: images of the sample that could not be used.
    """

    levels: Levels
    columns: Tensor
    classes: int
    quality: Floats
    candidates: NDArray[np.bool_]
    skipped: tuple[Skipped, ...] = ()


def classes_of(columns: Tensor) -> list[tuple[int, int]]:
    """Plane and label of each column.

    >>> classes_of(torch.tensor([[-1, 1, 0]]))
    [(0, 2), (0, 1)]
    """
    places = (columns >= 0).nonzero().tolist()
    found = sorted((int(columns[plane, label]), plane, label) for plane, label in places)
    return [(plane, label) for _, plane, label in found]


def columns_for(areas: NDArray[np.int64], vocabulary: Vocabulary, rule: Preset) -> Tensor:
    """The column of each label of each plane.

    Args:
        areas: (planes, labels) pixels on the sample of the levels.
        vocabulary: of the segmenter.
        rule: which labels take part.
    """
    found = torch.full(areas.shape, -1, dtype=torch.int64)
    least = max(rule.least_area * float(areas[0].sum()), 1.0)
    count = 0
    for plane in range(areas.shape[0]):
        for label in range(areas.shape[1]):
            nothing = label == 0 and vocabulary.has_background and not rule.background
            if areas[plane, label] >= least and not nothing:
                found[plane, label] = count
                count += 1
    if not count:
        raise ModelError("the segmenter finds no class in the images that levels come from")
    return found


def stored_levels(
    observer: Observer, n: int, rule: Preset, least_iou: float, path: Place
) -> list[LayerLevels]:
    """``find_levels``, done once for all processes and runs that share a store.

    Args:
        path: of the file, whose name says all that changes it.
    """
    claims, found = Claims(path.parent.parent / CLAIMS), list[LayerLevels]()
    piece = Piece(path.stem, f"levels of {observer.source.name}")

    def is_done(_: int) -> bool:
        found[:] = _read(path, len(observer.layers)) or found
        return bool(found)

    for _ in shared([piece], claims, is_done):
        found[:] = find_levels(observer, n, rule, least_iou)
        _write(path, found, observer.made_by)
    if found[0].skipped and observer.on_bad == "fail":  # made by a run that skipped it
        raise ModelError("{}: {}".format(*found[0].skipped[0]))
    return found


def find_levels(observer: Observer, n: int, rule: Preset, least_iou: float) -> list[LayerLevels]:
    """The levels of each layer, from images 0 to n - 1 of the observer's source.

    Args:
        observer: of the sample of the levels.
        n: its images.
        rule: how levels are chosen and which classes take part.
        least_iou: pairs of a greater IoU on this sample are candidates.

    Raises:
        ModelError: the segmenter finds nothing in these images.
    """
    title = f"levels of {observer.source.name}"
    with progress_bar(title, 2 * n, "images") as bar:
        values, groups, areas, size, skipped = _values(observer, n, bar)
        columns = columns_for(areas, observer.segmenter.vocabulary, rule)
        classes, total = len(classes_of(columns)), int(areas[0].sum())
        levels = [rule.level.levels_of(v) for v in values]
        del values
        kind = np.int32 if total < 1 << 31 else np.int64
        both = [np.zeros((*x.shape, classes), kind) for x in levels]
        active = [np.zeros(x.shape, np.int64) for x in levels]
        for indices, labels in groups:
            maps = observer.again(indices, size)
            for k, layer in enumerate(observer.layers):
                for some in _spans(layer.units, labels):
                    here = maps.of(layer.name, some.start, some.stop)
                    above = Ranks.of(here, levels[k][some], even=rule.level.even > 0)
                    of_class, in_all = above.counts(labels.to(here.device), columns, classes)
                    both[k][some] += of_class.cpu().numpy().astype(kind)
                    active[k][some] += in_all.cpu().numpy()
            bar.advance(len(indices))
    area = np.array([areas[where] for where in classes_of(columns)], np.int64)
    found = [
        _layer_levels(levels[k], both[k], active[k], area, total, columns, rule, least_iou)
        for k in range(len(levels))
    ]
    return [replace(layer, skipped=skipped) for layer in found]


_Groups = list[tuple[list[int], Tensor]]
"""Numbers and label maps (int32, on the CPU) of the images of each group."""


def _values(
    observer: Observer, n: int, bar: Bar
) -> tuple[list[Tensor], _Groups, NDArray[np.int64], tuple[int, int], tuple[Skipped, ...]]:
    """Values of each unit at pixels of all images, (U, M) of each layer; labels; their areas; the
    size of a whole label map; images that could not be used."""
    units = sum(layer.units for layer in observer.layers)
    vocabulary = observer.segmenter.vocabulary
    areas = np.zeros((len(vocabulary.planes), len(vocabulary)), np.int64)
    kept: list[list[Tensor]] = [[] for _ in observer.layers]
    groups: _Groups = []
    size, skipped = (0, 0), list[Skipped]()
    draw = torch.Generator().manual_seed(0)
    for start in range(0, n, GROUP):
        seen = observer.observe(range(start, min(start + GROUP, n)))
        bar.advance(min(GROUP, n - start))
        skipped += seen.skipped
        if seen.labels is None:
            continue
        groups.append((seen.indices, seen.labels.to("cpu", torch.int32)))
        for plane in range(areas.shape[0]):
            found = torch.bincount(seen.labels[:, plane].flatten(), minlength=areas.shape[1])
            areas[plane] += found.cpu().numpy()
        size = seen.size
        each = max(LEAST_VALUES, VALUES // (n * units))
        for k, layer in enumerate(observer.layers):
            places = None
            if each < (pixels := seen.labels[0, 0].numel()):
                places = torch.randperm(pixels, generator=draw)[:each]
            parts = []
            for some in _spans(layer.units, seen.labels):
                flat = seen.values(layer.name, some.start, some.stop).flatten(2)
                flat = flat if places is None else flat[:, :, places.to(flat.device)]
                parts.append(flat.transpose(0, 1).flatten(1))
            kept[k].append(torch.cat(parts))
    if not groups:
        raise ModelError(f"{observer.source.name}: no image can be used")
    values = [torch.cat(parts, 1) for parts in kept]
    return values, groups, areas, size, tuple(skipped)


def _spans(units: int, labels: Tensor) -> list[slice]:
    """Units whose values are at the pixels of these label maps at once."""
    step = units_at_once(labels)
    return [slice(start, min(start + step, units)) for start in range(0, units, step)]


def _layer_levels(
    levels: Tensor,
    both: NDArray[np.integer[Any]],
    active: NDArray[np.int64],
    area: NDArray[np.int64],
    total: int,
    columns: Tensor,
    rule: Preset,
    least_iou: float,
) -> LayerLevels:
    values = levels.double().cpu().numpy()
    step = max(1, PAIRS // (both.shape[1] * both.shape[2]))  # for the memory of the formulas
    chosen = [
        chosen_levels(
            np.asarray(both[k : k + step], np.int64),
            active[k : k + step],
            area,
            total,
            values[k : k + step],
            rule.level,
        )
        for k in range(0, len(both), step)
    ]
    places, quality = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
    there = np.clip(places, 0, None)
    wide = np.take_along_axis(active, there, 1)
    joint = np.take_along_axis(both, there[:, None], 1)[:, 0]
    candidates = (iou(joint, wide, area) >= least_iou) & (places >= 0)
    found = Levels(levels.cpu().float(), torch.from_numpy(places), rule.level.even > 0)
    return LayerLevels(found, columns, both.shape[2], quality, candidates)


def _write(path: Place, found: Sequence[LayerLevels], made_by: dict[str, str]) -> None:
    tensors: dict[str, Tensor] = {}
    for k, layer in enumerate(found):
        tensors[f"{k}.values"], tensors[f"{k}.places"] = layer.levels[:2]
        tensors[f"{k}.columns"] = layer.columns
        tensors[f"{k}.quality"] = torch.from_numpy(layer.quality)
        tensors[f"{k}.candidates"] = torch.from_numpy(layer.candidates)
    about = {
        "name": path.stem,
        "layers": len(found),
        "even": found[0].levels.even,
        "skipped": [list(one) for one in found[0].skipped],
        "made_by": made_by,
    }
    write_sealed_tensors(path, tensors, KEY, about)


def _read(path: Place, layers: int) -> list[LayerLevels] | None:
    def made_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> list[LayerLevels]:
        if about["layers"] != layers:
            raise ValueError("it is of other layers than its name says")
        skipped = tuple(Skipped(*one) for one in about["skipped"])
        found = [_layer_of(tensors, k, bool(about["even"])) for k in range(layers)]
        return [replace(layer, skipped=skipped) for layer in found]

    return read_or_set_aside(path, KEY, made_of)


def _layer_of(tensors: dict[str, Tensor], number: int, even: bool) -> LayerLevels:
    columns = tensors[f"{number}.columns"]
    return LayerLevels(
        Levels(tensors[f"{number}.values"], tensors[f"{number}.places"], even),
        columns,
        int(columns.max()) + 1,
        tensors[f"{number}.quality"].numpy(),
        tensors[f"{number}.candidates"].numpy(),
    )
