"""The authors' tallies of 10,000 training photos, as ganseeing stores them.

A ``.npy`` array of shape (images, labels), float64: row i is the histogram of the object labels of
image i at 256x256, divided by the number of pixels, so that it sums to 1; column k is object k of
the segmenter's ``labels.json``, 0 being "-" (``fsd.py`` of ganseeing; the factor 100 of FSD is
applied later). The photos are the first 10,000 of ``random.Random(1)``'s shuffle of LSUN's
training set, so a prefix of the rows is a fair sample too. Which photos they are is not in the
file.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seeingkit.contracts import Vocabulary
from seeingkit.errors import SourceError, TallyError, UsageError, WeightsError
from seeingkit.models.hub import data_file
from seeingkit.models.hub.hashes import verify_file
from seeingkit.specs import Options, Preset
from seeingkit.tallies import Tally
from seeingkit.tallies.counted import CountedSource
from seeingkit.tallies.record import TallyRecord, source_record

from .catalog import data_files

SUM_TOLERANCE = 1e-6


def read_areas(path: Path) -> NDArray[np.float64]:
    """The rows of a stored tally as area fractions, (N, L) float64.

    Rows that sum to 100 are percent and are divided; nothing else is guessed.

    Raises:
        TallyError: not a numpy array of numbers (N, L), or a row that is no distribution (a short
            run of the original leaves rows of zeros at the end, and counts them).
    """
    try:
        rows = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise TallyError(f"{path}: not a numpy array that can be read ({error})") from error
    if not isinstance(rows, np.ndarray):
        rows.close()
        raise TallyError(f"{path}: several arrays; a tally is one array in a .npy file")
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating) or 0 in rows.shape:
        raise TallyError(
            f"{path}: {rows.dtype} of shape {rows.shape}; a tally is (images, labels) of fractions"
        )
    areas = np.array(rows, dtype=np.float64)
    if not np.isfinite(areas).all() or (areas < 0).any():
        raise TallyError(f"{path}: areas must be finite and not negative")
    sums = areas.sum(axis=1)
    whole = 100.0 if abs(sums[0] - 100) <= 100 * SUM_TOLERANCE else 1.0
    wrong = np.flatnonzero(np.abs(sums - whole) > whole * SUM_TOLERANCE)
    if len(wrong):
        raise TallyError(
            f"{path}: row {wrong[0]} sums to {sums[wrong[0]]:.6g}, not {whole:g} "
            f"({len(wrong)} of {len(areas)} rows); not a whole tally"
        )
    return areas / whole


def import_tally(path: str | Path, vocabulary: Vocabulary) -> Tally:
    """A tally stored by ganseeing, as a ``Tally`` of that vocabulary.

    Args:
        path: the ``.npy`` file.
        vocabulary: of the segmenter it was made with; one plane, as many labels as columns.

    Raises:
        TallyError: unreadable, or another number of labels.
    """
    return _as_tally(Path(path), read_areas(Path(path)), vocabulary)


def _as_tally(path: Path, areas: NDArray[np.float64], vocabulary: Vocabulary) -> Tally:
    if len(vocabulary.planes) != 1 or len(vocabulary) != areas.shape[1]:
        planes = " x ".join(str(n) for n in (len(vocabulary.planes), len(vocabulary)))
        raise TallyError(
            f"{path.name} has {areas.shape[1]} labels of objects, the segmenter {planes}; "
            "use the segmenter it was made with (upernet:upp, planes=object)"
        )
    return Tally.from_fractions(areas, vocabulary, ids=_ids(len(areas)))


def _ids(n: int) -> tuple[str, ...]:
    return tuple(f"training-{k:05d}" for k in range(n))


class TallyOnly(CountedSource):
    """The areas of photos that ganseeing counted.

    Args:
        name: for people.
        path: the stored tally.
        sha256: hash of the file.
        areas: its rows, as ``read_areas`` gives them.
    """

    def __init__(self, name: str, path: Path, sha256: str, areas: NDArray[np.float64]) -> None:
        self.name, self.path, self.sha256, self.areas = name, path, sha256, areas
        self.ids = _ids(len(areas))
        text = f"stored tally {sha256} {len(areas)}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def first(self, n: int) -> TallyOnly:
        """The first n rows, which are as fair a sample as all.

        Raises:
            UsageError: there are fewer.
        """
        if not 1 <= n <= len(self):
            raise UsageError(f"{self.name} has {len(self)} images, not {n}; ask for fewer")
        return TallyOnly(self.name, self.path, self.sha256, self.areas[:n])

    def stored_tally(self, vocabulary: Vocabulary) -> Tally:
        """The areas as a tally of a segmenter's vocabulary; see ``import_tally``."""
        tally = _as_tally(self.path, self.areas, vocabulary)
        record = TallyRecord(source=source_record(self), counted=True)
        return replace(tally, record=record)

    def describe(self) -> dict[str, Any]:
        """See ``ImageSource.describe``; with the name of the file."""
        return {**super().describe(), "counted": True, "file": self.path.name}


def churches(options: Options, preset: Preset) -> TallyOnly:
    """The tally of church photos, as the registry calls it."""
    return _stored("churches-tally", preset)


def bedrooms(options: Options, preset: Preset) -> TallyOnly:
    """The tally of bedroom photos, as the registry calls it."""
    return _stored("bedrooms-tally", preset)


def _stored(name: str, preset: Preset) -> TallyOnly:
    if preset.name != "paper":
        raise UsageError(f"{name} was counted with preset paper, not {preset.name}")
    (file,) = data_files(name)
    try:
        path = data_file(file, name)
        sha256 = verify_file(path, file, name)
    except WeightsError as error:
        raise SourceError(str(error)) from error
    return TallyOnly(name, path, sha256, read_areas(path))
