"""Pixels of labelled images, counted by true and by predicted label, and kept for the next time.

Guarantees: every image is segmented once; numbers of labels that cannot be right are refused, also
where counts are found again; counts are kept only of labels that have a fingerprint, under
everything that changes them, and checked when they are read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seeingkit.contracts import ImageSource, Segmenter
from seeingkit.errors import SourceError
from seeingkit.images.labelmaps import UNKNOWN
from seeingkit.models.code import identity_of
from seeingkit.statistics.accuracy import confusion
from seeingkit.statistics.renumbering import Counts
from seeingkit.system.addresses import Place
from seeingkit.system.devices import in_batches
from seeingkit.system.digests import key_of
from seeingkit.system.progress import progress_bar
from seeingkit.system.tensors import (
    read_or_set_aside,
    read_sealed_tensors,
    write_sealed_tensors,
)

from .label_numbers import check_numbers, check_range

CONFUSION_SCHEMA = 1
"""Version of the files and of the rules of counting."""
KEY = "seeingkit_confusion"


@dataclass(frozen=True)
class TrueLabels:
    """True labels of some images of a source (``indices``).

    Attributes:
        names: of the labels, by number.
        against: in words: whose labels.
        read: indices to (N, H, W) int64, ``UNKNOWN`` where a pixel has no known label.
        beyond: the number just beyond the last name is used, and means unlabelled too.
        fingerprint: indices to what changes with their labels; None: nobody knows it.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...]
    against: str
    read: Callable[[Sequence[int]], Tensor]
    beyond: bool = False
    fingerprint: Callable[[Sequence[int]], str | None] | None = None


@dataclass(frozen=True)
class Pixels:
    """Counts (T + 1, L) by number and predicted label, images that show each label, and images."""

    counts: Counts
    shown: NDArray[np.int64]
    images: int


@dataclass(frozen=True)
class KeptPixels:
    """Where counts are kept.

    Attributes:
        folder: of the files.
        images: JSON-able identity of the images and of how they are prepared.
    """

    folder: Place
    images: dict[str, Any]

    def path(
        self,
        labels: TrueLabels,
        segmenter: Segmenter,
        numbers: Sequence[int],
        chosen: Sequence[int],
        ids: Sequence[str],
    ) -> Place | None:
        """The file of the counts of some images, by index and id.

        None where their labels may change unseen.
        """
        fingerprint = None if labels.fingerprint is None else labels.fingerprint(chosen)
        if fingerprint is None:
            return None
        own = [fingerprint, labels.names, labels.beyond, list(numbers)]
        key = key_of(CONFUSION_SCHEMA, self.images, identity_of(segmenter), own, list(ids))
        return self.folder / key[:2] / f"{key}.safetensors"


def drawn_images(labels: TrueLabels, images: int, seed: int) -> list[int]:
    """At most so many of the images that have labels, ascending.

    >>> drawn_images(TrueLabels(("sky",), (3, 5, 9), "these", torch.zeros), 2, seed=0)
    [3, 9]
    """
    order = list(labels.indices)
    random.Random(seed).shuffle(order)
    return sorted(order[:images])


def labelled_pixels(
    labels: TrueLabels,
    source: ImageSource,
    segmenter: Segmenter,
    numbers: Sequence[int],
    chosen: Sequence[int],
    batch_size: int,
    kept: KeptPixels | None = None,
) -> Pixels:
    """Segment images and count their pixels by number; refuses numbers that seem to be others.

    Args:
        numbers: for each true label the segmenter's, or ``UNKNOWN``.
        chosen: indices of images that have labels.
        kept: where counts are found again and kept; None: nowhere.

    ::

        labelled_pixels(labels, source, segmenter, [0, 1], range(16), 16)

    Raises:
        SourceError: labels that do not fit, or whose numbers seem to be others.
        ModelError: memory ran out with a single image.
    """
    ids = [str(source.ids[k]) for k in chosen]
    path = None if kept is None else kept.path(labels, segmenter, numbers, chosen, ids)
    shape = (len(numbers) + 1, len(segmenter.vocabulary))
    found = None if path is None else _read(path, shape)
    if found is None:
        found = _counted(labels, source, segmenter, numbers, chosen, batch_size)
        if path is not None and found.images == len(chosen):  # else some may be read next time
            _write(path, found, source, segmenter)
    check_numbers(
        found.counts,
        (*numbers, UNKNOWN),
        found.shown,
        names=labels.names,
        vocabulary=segmenter.vocabulary,
        whose=labels.against,
    )
    return found


def _counted(
    labels: TrueLabels,
    source: ImageSource,
    segmenter: Segmenter,
    numbers: Sequence[int],
    chosen: Sequence[int],
    batch_size: int,
) -> Pixels:
    table = torch.tensor([*numbers, UNKNOWN, UNKNOWN])  # -1 points at the last entry
    size, rows, whose = len(segmenter.vocabulary), len(numbers) + 1, labels.against
    counts = torch.zeros(rows, size, dtype=torch.int64)
    shown = np.zeros(size, dtype=np.int64)
    used = 0

    def segmented(pictures: Tensor) -> Tensor:  # plane 0
        return segmenter.label_maps(pictures.to(segmenter.device))[:, 0].cpu()

    with progress_bar("true labels", len(chosen), "images") as bar:
        for start in range(0, len(chosen), batch_size):
            batch = chosen[start : start + batch_size]
            pictures, good, _ = source.load(batch)
            if pictures is not None:
                truth = labels.read(good)
                _check_size(truth, pictures, whose)
                check_range(
                    truth, labels.names, labels.beyond, [source.ids[k] for k in good], whose
                )
                parts, _ = in_batches(segmented, pictures, len(pictures), "use a smaller preset")
                predicted = torch.cat(parts)
                truth = _resampled(truth, predicted.shape[-2:])
                counts += confusion(predicted, truth, max(rows, size), UNKNOWN)[:rows, :size]
                for row in table[truth]:
                    present = row.unique()
                    shown[present[present >= 0].numpy()] += 1
                used += len(good)
            bar.advance(len(batch))
    return Pixels(counts.numpy(), shown, used)


def _check_size(truth: Tensor, pictures: Tensor, against: str) -> None:
    (rows, columns), (height, width) = truth.shape[-2:], pictures.shape[-2:]
    if (rows, columns) != (height, width):
        raise SourceError(
            f"{against}: {columns}x{rows} pixels after the preset, but the "
            f"images have {width}x{height}; label maps have the pictures' size"
        )


def _resampled(truth: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest neighbour, for segmenters whose label maps have another size than the image."""
    rows, columns = (
        ((torch.arange(new) + 0.5) * (old / new)).floor().long()
        for new, old in zip(size, truth.shape[-2:], strict=True)
    )
    return truth[:, rows][:, :, columns]


# ------------------------------------------------------------------------------------------- files


def check_confusion_file(path: Place) -> None:
    """Read a stored file of counts and check its bytes and its name.

    ::

        check_confusion_file(cache_folder() / "confusions" / "0a" / "0a….safetensors")

    Raises:
        ValueError, LookupError, OSError: its bytes are not those that were written, or it is not
            named by what it holds.
    """
    if read_sealed_tensors(path, KEY)[1]["name"] != path.stem:
        raise ValueError("it is of other images than its name says")


def _write(path: Place, found: Pixels, source: ImageSource, segmenter: Segmenter) -> None:
    tensors = {"counts": torch.from_numpy(found.counts), "shown": torch.from_numpy(found.shown)}
    made = {"segmenter": segmenter.info.family, "segmenter_code": segmenter.info.code}
    about = {"name": path.stem, "schema": CONFUSION_SCHEMA, "images": found.images}
    write_sealed_tensors(path, tensors, KEY, about | {"of": source.name, "made_by": made})


def _read(path: Place, shape: tuple[int, int]) -> Pixels | None:
    def made_of(tensors: dict[str, Tensor], about: dict[str, Any]) -> Pixels:
        counts, shown = (tensors[name].numpy() for name in ("counts", "shown"))
        if counts.shape != shape or shown.shape != shape[1:] or (counts < 0).any():
            raise ValueError("its numbers are of other labels than its name says")
        return Pixels(counts, shown, int(about["images"]))

    return read_or_set_aside(path, KEY, made_of)
