"""Label maps of the real pictures of a page, kept for the page of the next generator.

An analysis of a data set that was counted before has its tally, and no label maps: the pictures of
its page, some two hundred, would be segmented again for each generator.

Guarantees: a map is found by the pixels and the segmenter; a damaged file is set aside and its maps
are made again; a file is never larger than ``MOST_BYTES``; where several runs write, one wins; a
folder that cannot be written costs time and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seeingkit.contracts import ImageSource, Segmenter
from seeingkit.errors import StorageError
from seeingkit.models.code import identity_of
from seeingkit.models.remembered import KeptMap, RememberedSegmenter
from seeingkit.system.addresses import Place
from seeingkit.system.digests import key_of
from seeingkit.system.tensors import read_or_set_aside, read_sealed_tensors, write_sealed_tensors

log = logging.getLogger(__name__)

SHOWN_LABELS_SCHEMA = 1
"""Version of the files."""
KEY = "seeingkit_shown_labels"
MOST_BYTES = 64 * 2**20
"""Of the maps of one data set by one segmenter."""


@contextmanager
def keeping_labels(
    segmenter: Segmenter, source: ImageSource, folder: Place | None
) -> Iterator[Segmenter]:
    """The segmenter, on a CPU with the label maps of earlier pages; new ones are kept at the end::

        with keeping_labels(segmenter, source, folder) as labelling:
            labelling.label_maps(source.read(range(16)))

    Args:
        segmenter: as pictures show its labels.
        source: of the pictures.
        folder: of the files; None: nothing is kept.
    """
    if folder is None or segmenter.device.type != "cpu":  # on a GPU segmenting again is cheap
        yield segmenter
        return
    key = key_of(SHOWN_LABELS_SCHEMA, identity_of(segmenter), source.name)
    path, size = folder / key[:2] / f"{key}.safetensors", len(segmenter.vocabulary)
    known = read_or_set_aside(path, KEY, lambda tensors, _: _maps(tensors, size)) or {}
    labelling = RememberedSegmenter(segmenter, MOST_BYTES, known)
    yield labelling
    if len(labelling.maps) > len(known):
        try:
            _write(path, labelling.maps, source, segmenter)
        except StorageError as error:  # the page is there without them
            log.warning("label maps for the next page were not kept: %s", error)


def check_shown_labels_file(path: Place) -> None:
    """Read a stored file of label maps and check its bytes and its name::

        check_shown_labels_file(folder / "0a" / "0a….safetensors")

    Raises:
        ValueError, LookupError, OSError: its bytes are not those that were written.
        StorageError: it is not named by what it holds.
    """
    tensors, about = read_sealed_tensors(path, KEY)
    if about["name"] != path.stem:
        raise StorageError(f"{path}: it is of another data set than its name says")
    _maps(tensors, int(about["labels"]))


def _write(
    path: Place, maps: Mapping[bytes, KeptMap], source: ImageSource, segmenter: Segmenter
) -> None:
    kept = [(key, maps[key]) for key in sorted(maps)]
    tensors = {
        "keys": _bytes(b"".join(key for key, _ in kept)).reshape(len(kept), -1),
        "shapes": torch.tensor([each.shape for _, each in kept]),
        "lengths": torch.tensor([len(each.packed) for _, each in kept]),
        "packed": _bytes(b"".join(each.packed for _, each in kept)),
    }
    made = {"segmenter": segmenter.info.family, "segmenter_code": segmenter.info.code}
    about = {"name": path.stem, "schema": SHOWN_LABELS_SCHEMA, "labels": len(segmenter.vocabulary)}
    write_sealed_tensors(path, tensors, KEY, about | {"of": source.name, "made_by": made})


def _maps(tensors: Mapping[str, Tensor], labels: int) -> dict[bytes, KeptMap]:
    """The maps of a file; each can be unpacked.

    Raises:
        ValueError, LookupError: they are of another vocabulary, or not as they were written.
    """
    keys, shapes, lengths, packed = (
        tensors[name].numpy() for name in ("keys", "shapes", "lengths", "packed")
    )
    if len({len(keys), len(shapes), len(lengths)}) > 1 or lengths.sum() != len(packed):
        raise ValueError("its label maps are not as many as it says")
    ends = np.cumsum(lengths)
    found: dict[bytes, KeptMap] = {}
    for key, shape, start, end in zip(keys, shapes, ends - lengths, ends, strict=True):
        kept = KeptMap(packed[start:end].tobytes(), tuple(int(length) for length in shape))
        kept.labels(labels)
        found[key.tobytes()] = kept
    return found


def _bytes(data: bytes) -> Tensor:
    values: np.ndarray[Any, np.dtype[np.uint8]] = np.frombuffer(data, np.uint8).copy()
    return torch.from_numpy(values)
