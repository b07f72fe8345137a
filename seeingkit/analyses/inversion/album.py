"""``Album``: the pictures of inverted photos in a run directory, and the records that name them.

Guarantees: ``inversions/`` of the run directory holds a PNG of every photo, reconstruction, label
map and filmstrip that a record names, and the state that was found; numbers are of those pictures;
every file appears whole or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import Inversion, Segmenter
from seeingkit.contracts.inverters import SHOWN
from seeingkit.contracts.pictures import photo_rows
from seeingkit.errors import UnknownNameError
from seeingkit.images.preprocess import quantise
from seeingkit.report.pictures.files import read_photo
from seeingkit.results import InversionRecord, LostClass
from seeingkit.specs import Preset
from seeingkit.system.tensors import write_tensors
from seeingkit.system.writing import atomic_write

from .distance_to_data import DistanceToData
from .photos import Inverted
from .vanishing import areas, label_maps, lost_classes

FOLDER = "inversions"


@dataclass(frozen=True, eq=False)
class _Photo:
    """A photo in the album: paths of its picture and label map (None without segmenter).

    Attributes:
        stem: beginning of its files' names.
        areas: (L,) percent of it with each label.
    """

    stem: str
    path: str
    labels: str | None
    areas: NDArray[np.float64] | None


@dataclass(eq=False)
class Album:
    """Writes the pictures of a run and makes the records that name them.

    Attributes:
        segmenter: None: no label maps and no class areas.
        preset: how the segmenter sees photo and reconstruction.
        distance: marks photos outside the reference images.
        picked_for: the omitted class each photo was picked for, by id.
    """

    run_dir: Path
    segmenter: Segmenter | None
    preset: Preset
    distance: DistanceToData | None = None
    picked_for: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.run_dir / FOLDER
        self.names: Sequence[str] = self.segmenter.vocabulary.names if self.segmenter else ()
        self._seen: dict[str, _Photo] = {}

    def records(self, found: Inverted) -> list[InversionRecord]:
        """Write the pictures of photos inverted by one method at one cut; one record each."""
        if not found.inversions:
            return []
        maps = self._maps(torch.cat([one.reconstruction for one in found.inversions]))
        ratios = self.distance.ratio(found.images).tolist() if self.distance else None
        records = []
        for k, (item, one) in enumerate(zip(found.ids, found.inversions, strict=True)):
            photo = self._photo(item, found.images[k : k + 1])
            labels, ratio = maps[k] if maps else None, ratios[k] if ratios else None
            records.append(self._record(item, one, photo, labels, ratio))
        return records

    def _record(
        self,
        item: str,
        one: Inversion,
        photo: _Photo,
        labels: NDArray[np.int64] | None,
        ratio: float | None,
    ) -> InversionRecord:
        stem = f"{photo.stem}.{one.method}.{one.cut}"
        classes: list[LostClass] = []
        if labels is not None and self.segmenter is not None and photo.areas is not None:
            after = areas(labels[None], len(self.names))[0]
            background = self.segmenter.vocabulary.has_background
            classes = lost_classes(photo.areas, after, self.names, background)
        return InversionRecord(
            image=item,
            method=one.method,
            cut=one.cut,
            psnr=float(one.psnr[0]),
            lost={record.label: record.lost for record in classes},
            reconstruction=self._write(f"{stem}.png", _picture(one.reconstruction)),
            photo=photo.path,
            photo_labels=photo.labels,
            reconstruction_labels=self._write_map(f"{stem}.labels.png", labels),
            frames=self._frames(stem, one),
            frame_steps=list(one.frames[0][0]),
            state=self._state(stem, one),
            picked_for=self.picked_for.get(item),
            classes=classes,
            perceptual=None if one.perceptual is None else float(one.perceptual[0]),
            loss=float(one.loss[0]),
            steps=int(one.steps[0]),
            converged=bool(one.converged[0]),
            unfamiliar=ratio,
            unlike=ratio is not None and ratio > 1,
        )

    def _maps(self, images: Tensor) -> list[NDArray[np.int64]] | None:
        """Label maps (H, W) of images, or None without segmenter."""
        if self.segmenter is None:
            return None
        return list(label_maps(images, self.segmenter, self.preset))

    def _photo(self, item: str, image: Tensor) -> _Photo:
        """A photo and its label map; written once."""
        if item not in self._seen:
            stem = _slug(item)
            maps = self._maps(image)
            self._seen[item] = _Photo(
                stem,
                self._write(f"{stem}.photo.png", _picture(image)),
                self._write_map(f"{stem}.photo.labels.png", maps[0] if maps else None),
                areas(maps[0][None], len(self.names))[0] if maps else None,
            )
        return self._seen[item]

    def _frames(self, stem: str, one: Inversion) -> str | None:
        """The filmstrip of the optimisation, from left to right."""
        frames = one.frames[0][1]
        if len(frames) < 2:
            return None
        strip = np.concatenate(list(quantise(frames).cpu().numpy()), axis=1)
        return self._write(f"{stem}.frames.png", strip)

    def _state(self, stem: str, one: Inversion) -> str:
        """The state at the cut as safetensors: ``r``, ``carry.NAME``, and ``z`` if there is one."""
        tensors = {"r": one.state.x, **{f"carry.{k}": v for k, v in one.state.carry.items()}}
        if one.z is not None:
            tensors["z"] = one.z
        path = write_tensors(self.folder / f"{stem}.safetensors", tensors, {"cut": one.cut})
        return f"{FOLDER}/{path.name}"

    def _write_map(self, name: str, labels: NDArray[np.int64] | None) -> str | None:
        if labels is None:
            return None
        kind = np.uint8 if len(self.names) <= 256 else np.uint16
        return self._write(name, labels.astype(kind))

    def _write(self, name: str, pixels: NDArray[Any]) -> str:
        with atomic_write(self.folder / name) as stream:
            Image.fromarray(pixels).save(stream, "PNG")
        return f"{FOLDER}/{name}"


def show_records(
    run_dir: Path,
    records: Sequence[InversionRecord],
    images: Sequence[str] | None = None,
    *,
    gain: float = 1.0,
) -> Image.Image:
    """Photo | reconstruction | difference of photos in a run directory, as ``Inversion.show``.

    Args:
        images: ids of photos; default: those of the first ``SHOWN`` records.
        gain: of the difference.

    Raises:
        UnknownNameError: no such photo.
        UsageError: nothing to show.
        RunError: a file that is missing or damaged.
    """
    known = {record.image for record in records}
    for item in images or ():
        if item not in known:
            raise UnknownNameError("photo", item, known)
    chosen = [r for r in records if images is None or r.image in images]
    shown = chosen[:SHOWN] if images is None else chosen
    left = len(chosen) - len(shown)
    return photo_rows(
        [read_photo(run_dir, record.photo) for record in shown],
        [read_photo(run_dir, record.reconstruction) for record in shown],
        [f"{r.image}: {r.method} at {r.cut}, {r.psnr:.1f} dB" for r in shown],
        gain=gain,
        footer=f"{left:,} more; show(images) shows others" if left else "",
    )


def _picture(image: Tensor) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", quantise(image)[0].cpu().numpy())


def _slug(item: str) -> str:
    """A file name for an id: readable, and different for different ids."""
    kept = "".join(c if c.isalnum() else "-" for c in item)[-40:].strip("-")
    return f"{kept or 'image'}-{hashlib.sha256(item.encode()).hexdigest()[:6]}"
