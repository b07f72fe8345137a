"""``Tally``: for each image, its id and a number for each label (sparse rows), such as pixels.

Guarantees: rows are in the order of the source, ids are unique, an image that could not be read has
no row (it is listed in ``skipped``), and areas are exact integers over exact pixel totals. A tally
of a million images with ten labels each is read in 240 MB (``benchmarks/memory.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from seeingkit.contracts import Label, Skipped, Vocabulary
from seeingkit.errors import RunError, TallyError, printable
from seeingkit.results import Column, Frame, table
from seeingkit.system.failures import told
from seeingkit.system.writing import refuse_special

from .chunks import describe, rows_schema, write_table
from .identity import TallyIdentity
from .reading import joined, read_tally_file
from .record import TallyRecord

MEANS = {
    "pixels": ("mean area", " %"),
    "probability": ("mean probability", " %"),
    "count": ("mean count", ""),
    "class": ("share of images", " %"),
}
"""How the mean of a column is called, and the sign behind it, by unit."""


_COLUMNS = {
    "label": Column(str, "name of the label"),
    "category": Column(str, "its category in the vocabulary"),
    "plane": Column(str, "the plane of labels that it is counted in"),
    "index": Column(int, "its number in the vocabulary"),
}
_IMAGES = Column(int, "number of images that show any of it")


@dataclass(frozen=True)
class Tally:
    """Areas of labels in a set of images, or other numbers of an annotator.

    Attributes:
        ids: one stable id per row.
        counts: (N, planes x labels) sparse, plane-major, in the unit of the vocabulary: pixels of
            each label, its probability, or a count.
        pixels: (N,) pixels in each label map; 1 where the unit is another.
        vocabulary: of the columns.
        identity: where the numbers come from, or None for rows from elsewhere.
        skipped: images that have no row, and why.
        record: the images and models behind the numbers.
        conditions: (N,) int64, the class that a conditional generator drew for each image, or that
            its data set lists (-1: it has none), or None.
    """

    ids: tuple[str, ...]
    counts: sparse.csr_array
    pixels: NDArray[np.float64]
    vocabulary: Vocabulary
    identity: TallyIdentity | None = None
    skipped: tuple[Skipped, ...] = ()
    record: TallyRecord = field(default_factory=TallyRecord)
    conditions: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        columns = len(self.vocabulary) * len(self.vocabulary.planes)
        if self.counts.shape != (n, columns):
            raise TallyError(f"a tally of {n} images needs {n} x {columns} counts")
        if self.pixels.shape != (n,) or (n and not (self.pixels > 0).all()):
            raise TallyError("each image of a tally needs a positive number of pixels")
        if len(set(self.ids)) != n:
            raise TallyError("a tally holds two images with the same id")
        if self.conditions is not None and self.conditions.shape != (n,):
            raise TallyError(f"a tally of {n} images needs {n} conditions, or none")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> Frame:
        """A table of the labels that any image shows, of every plane, most of it first.

        A ``pandas.DataFrame``, or a ``Table`` of the same columns where pandas is not installed;
        ``classes.attrs`` explains them. Each image by itself: ``percent()`` with ``ids``.

        >>> Tally.from_fractions([[0.7, 0.3], [1.0, 0.0]], ["sky", "tree"]).classes.to_dict("list")
        {'label': ['sky', 'tree'], ..., 'mean': [85.0, 15.0], 'images': [2, 1]}
        """
        rows = [
            {**row, "mean": row["area"], "images": round(row["presence"] * len(self))}
            for row in self.to_dict()["classes"]
        ]
        what, sign = MEANS[self.vocabulary.unit]
        mean = Column(float, f"{what} over all images" + (", percent" if sign else ""))
        return table(rows, {**_COLUMNS, "mean": mean, "images": _IMAGES})

    @property
    def left_out(self) -> tuple[Skipped, ...]:
        """Pictures beside the images that were not used, and why (``ImageSource.left_out``)."""
        source = self.record.source
        return () if source is None else tuple(Skipped(*one) for one in source.left_out)

    def sparse_percent(
        self, plane: int = 0, rows: slice | Sequence[int] | NDArray[np.intp] | None = None
    ) -> sparse.csr_array:
        """(N, L) areas or probabilities of one plane in percent, or counts: sparse float64.

        Args:
            plane: of labels.
            rows: only of these images.

        >>> tally = Tally.from_fractions([[0.7, 0.3], [1.0, 0.0]], ["sky", "tree"])
        >>> tally.sparse_percent(rows=[1]).toarray()
        array([[100.,   0.]])
        """
        size, counts, pixels = len(self.vocabulary), self.counts, self.pixels
        if rows is not None:
            counts, pixels = counts[rows], pixels[rows]
        if len(self.vocabulary.planes) > 1:
            counts = counts[:, plane * size : (plane + 1) * size]
        whole = 1.0 if self.vocabulary.unit == "count" else 100.0
        data = counts.data * np.repeat(whole / pixels, np.diff(counts.indptr))
        places = counts.indices.copy(), counts.indptr.copy()
        found = sparse.csr_array((data, *places), shape=counts.shape)
        found.sum_duplicates()
        found.eliminate_zeros()
        return found

    def percent(self, plane: int = 0) -> NDArray[np.float64]:
        """As ``sparse_percent``, dense."""
        areas: NDArray[np.float64] = self.sparse_percent(plane).toarray()
        return areas

    def fractions(self, plane: int = 0) -> NDArray[np.float64]:
        """(N, L) areas of one plane as fractions in [0, 1].

        Raises:
            TallyError: counts, which are no parts of a whole.
        """
        if self.vocabulary.unit == "count":
            raise TallyError("counts are no fractions of an image; use percent(), which keeps them")
        return self.percent(plane) / 100

    @classmethod
    def from_fractions(
        cls,
        rows: ArrayLike,
        vocabulary: Vocabulary | Sequence[str] | None = None,
        *,
        ids: Sequence[str] | None = None,
    ) -> Tally:
        """A tally of any (N, L) array of area fractions, for data from elsewhere.

        Raises:
            TallyError: not two-dimensional, negative, NaN, or a row that sums to more than 1.

        >>> tally = Tally.from_fractions([[0.7, 0.3], [1.0, 0.0]], ["sky", "tree"])
        >>> tally.percent().mean(axis=0)
        array([85., 15.])
        """
        fractions = np.asarray(rows, dtype=np.float64)
        if fractions.ndim != 2:
            raise TallyError(f"area fractions must be (N, L), not {fractions.ndim}-dimensional")
        n, size = fractions.shape
        if not np.isfinite(fractions).all() or (fractions < 0).any():
            raise TallyError("area fractions must be finite and not negative")
        if n and fractions.sum(axis=1).max() > 1 + 1e-6:
            raise TallyError("area fractions of an image sum to more than 1; percent given?")
        if vocabulary is None:
            vocabulary = tuple(f"label {k}" for k in range(size))
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary(
                tuple(Label(str(name)) for name in vocabulary),
                has_background=bool(len(vocabulary)) and vocabulary[0] == "-",
            )
        names = tuple(ids) if ids is not None else tuple(f"row {k}" for k in range(n))
        return cls(names, sparse.csr_array(fractions), np.ones(n), vocabulary)

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Tally:
        """The tally of some of the images."""
        picked = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            ids=tuple(self.ids[k] for k in picked),
            counts=sparse.csr_array(self.counts[picked]),
            pixels=self.pixels[picked],
            conditions=None if self.conditions is None else self.conditions[picked],
        )

    def to_dict(self) -> dict[str, Any]:
        """Summary: n, mean area and presence of each label, skipped images."""
        columns = []
        for plane, category in enumerate(self.vocabulary.planes):
            areas = self.sparse_percent(plane)
            mean = np.asarray(areas.mean(axis=0)).ravel() if len(self) else np.zeros(0)
            present = np.diff(sparse.csc_array(areas).indptr)
            for k in np.argsort(-mean, kind="stable"):
                if mean[k] > 0:
                    columns.append(
                        {
                            "label": self.vocabulary.labels[k].name,
                            "category": self.vocabulary.labels[k].category,
                            "plane": category,
                            "index": int(k),
                            "area": float(mean[k]),
                            "presence": float(present[k] / len(self)),
                        }
                    )
        return {
            "n": len(self),
            "unit": self.vocabulary.unit,
            **self.record.to_dict(),
            "classes": columns,
            "skipped": [{"item": s.item, "reason": s.reason} for s in self.skipped],
        }

    def __repr__(self) -> str:
        source = self.record.source
        name = f"{printable(source.name)}, " if source is not None else ""
        labels = f"{len(self.vocabulary):,} labels in {self.vocabulary.unit}"
        skipped = f", {len(self.skipped):,} skipped" if self.skipped else ""
        return f"Tally({name}{len(self):,} images, {labels}{skipped})"

    def _repr_html_(self) -> str:
        from html import escape

        head, sign = MEANS[self.vocabulary.unit]
        rows = "".join(
            f"<tr><td>{escape(printable(c['label']))}</td><td>{c['area']:.3g}{sign}</td>"
            f"<td>{100 * c['presence']:.1f} %</td></tr>"
            for c in self.to_dict()["classes"][:30]
        )
        return (
            f"<table><caption>{len(self)} images</caption>"
            f"<tr><th>class</th><th>{head}</th><th>in images</th></tr>{rows}</table>"
        )

    def save(self, path: str | Path) -> Path:
        """Write the whole tally as one Parquet file (same columns as a chunk).

        Raises:
            RunError: something is there that is not a tally of ours.
        """
        target = refuse_other_file(Path(path))
        n, skipped = len(self), [None] * len(self.skipped)
        ends = np.append(self.counts.indptr, [self.counts.indptr[-1]] * len(skipped))
        known = [] if self.conditions is None else self.conditions.tolist()
        columns: list[Any] = [
            np.arange(n + len(skipped)),
            [*self.ids, *(s.item for s in self.skipped)],
            np.append(self.pixels, np.zeros(len(skipped))),
            (ends, self.counts.indices),
            (ends, self.counts.data),
            [*(known or [None] * n), *skipped],
            [*[None] * n, *(s.reason for s in self.skipped)],
        ]
        schema = rows_schema(
            describe(self.vocabulary, self.identity, self.record),
            whole=bool(np.issubdtype(self.counts.dtype, np.integer)),
        )
        arrays = []
        for column, kind in zip(columns, schema.types, strict=True):
            if isinstance(column, tuple):
                offsets, values = column
                values = pa.array(values).cast(kind.value_type)
                arrays.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values))
            else:
                arrays.append(pa.array(column).cast(kind))
        write_table(target, pa.table(arrays, schema=schema))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Tally:
        """Read a tally written by ``save``; every byte and number is checked.

        Raises:
            TallyError: not a tally, or a damaged one.
        """
        return cls(**joined([read_tally_file(Path(path))]))


def refuse_other_file(path: Path) -> Path:
    """Where a tally may be written: behind a link, which stays one.

    Raises:
        RunError: something is there that is not a tally of ours.

    >>> refuse_other_file(Path("new.parquet")).name
    'new.parquet'
    """
    with told(path):
        target = path.resolve() if path.is_symlink() else path
        refuse_special(target)
        if not target.exists():
            return target
    try:
        found = pq.read_schema(target)
    except (OSError, pa.ArrowException):
        found = pa.schema([])
    if found.names != rows_schema({}, whole=True).names:
        raise RunError(f"{path}: is not a tally, so it is not replaced; name another file")
    return target
