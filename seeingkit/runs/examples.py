"""Picks the pictures a report shows, reads them again and labels them again.

Guarantee: beside an area stand the picture and the label map that this area was counted
from (same source, same segmenter), found by its stable id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.contracts import ImageSource, Segmenter
from seeingkit.report.pictures.gallery import Gallery, GalleryClass, GalleryImage, GalleryScene
from seeingkit.report.pictures.places import PlaceMap
from seeingkit.report.selection import (
    EXAMPLES,
    MAPPED_IN_ALL,
    Pick,
    Side,
    Why,
    choose_beside,
    choose_classes,
    pick_examples,
    pick_mapped,
)
from seeingkit.statistics.compositions import roots
from seeingkit.system.addresses import Place
from seeingkit.system.progress import Bar, progress_bar
from seeingkit.tallies import Tally
from seeingkit.tallies.counted import CountedSource

from .labelling import Labelled, Wanted, label_images
from .shown_labels import keeping_labels
from .sides import Sides

COMPARED = 128
"""Real images with a class that generated ones without it are compared with, at most."""
PART_MAPPED = 8
"""Maps of places are made of at most one image in so many of a side, …"""
FEW = 64
"""… or of so many images, if that is more."""
_ROWS = 8192
"""Rows of a tally that are compared at a time."""


def fill_gallery(
    comparison: Comparison,
    opened: Sides,
    *,
    seed: int = 0,
    batch_size: int = 16,
    kept: Place | None = None,
) -> Gallery:
    """Examples of the classes worth a look, real beside generated, and of uncovered scenes.

    Each class comes with maps of where it is in the images of each side.

    Args:
        comparison: with both tallies.
        opened: the images, and the segmenter.
        seed: of what is drawn at random.
        batch_size: images segmented at once.
        kept: folder of label maps of real pictures (``shown_labels``); None: nothing is kept.
    """
    vocabulary = opened.shown.vocabulary
    located = isinstance(opened.segmenter, Segmenter)  # a classifier says nothing of places
    numbers = {record.label: record.index for record in comparison.results.classes}
    chosen = {label: numbers[label] for label in choose_classes(comparison.results)}
    beside = choose_beside(comparison.results)
    real = _Examples("real", comparison.real, opened.real)
    generated = _Examples("generated", comparison.generated, opened.generated)
    distances = {
        index: nearest_compositions(real.areas, generated.areas, index, seed=seed)
        for index in chosen.values()
        if generated.shown and len(generated.showing(index)) < EXAMPLES
    }
    real.choose(chosen.values(), [item for item, _ in beside], seed)
    generated.choose(chosen.values(), [item for _, item in beside], seed, distances)
    with progress_bar("examples", len(real) + len(generated), "images") as bar:
        with keeping_labels(opened.shown, opened.real, kept if real.shown else None) as labelling:
            real.read(labelling, batch_size, bar)
        generated.read(opened.shown, batch_size, bar)
    return Gallery(
        vocabulary.names,
        classes=tuple(
            GalleryClass(
                label,
                index,
                real=real.pictures(index),
                generated=generated.pictures(index),
                places={s.side: s.maps[index] for s in (real, generated) if s.shown and located},
            )
            for label, index in chosen.items()
        ),
        has_background=vocabulary.has_background,
        scenes=tuple(
            GalleryScene(shown, generated.scene(twin))
            for item, twin in beside
            if (shown := real.scene(item)) is not None
        ),
    )


class _Examples:
    """The images of one side that a gallery shows: chosen, then read.

    Args:
        side, tally, source: the images and their areas.

    Attributes:
        areas: (N, L) percent.
        shown: whether there are pictures; none of a tally that was counted elsewhere.
        maps: of places, by label number, once they are made.
    """

    def __init__(self, side: Side, tally: Tally, source: ImageSource) -> None:
        self.side, self.source, self.ids = side, source, tally.ids
        self.areas = tally.sparse_percent(0)
        self.shown = not isinstance(source, CountedSource)
        self.maps: dict[int, PlaceMap] = {}
        self._columns = sparse.csc_array(self.areas)
        self._places = {item: k for k, item in enumerate(source.ids)} if self.shown else {}
        self._picks: dict[int, list[Pick]] = {}
        self._wanted = Wanted()
        self._labelled: dict[int, Labelled] = {}

    def __len__(self) -> int:
        return len(self._wanted.images)

    def showing(self, index: int) -> NDArray[np.int64]:
        """Rows of the images that show a class, ascending."""
        return np.flatnonzero(self._column(index) > 0)

    def _column(self, index: int) -> NDArray[np.float64]:
        return np.asarray(self._columns[:, [index]].toarray().ravel())

    def choose(
        self,
        indices: Iterable[int],
        scenes: Sequence[str],
        seed: int,
        distances: Mapping[int, NDArray[np.float64]] | None = None,
    ) -> None:
        """Choose the examples and the images of the maps of some classes.

        Args:
            indices: label numbers; scenes: ids of further images.
            seed: of what is drawn.
            distances: of some of the classes, as for ``pick_examples``.
        """
        if not self.shown:
            return
        near = distances or {}
        for index in indices:
            areas = self._column(index)
            picked = pick_examples(areas, seed=seed, side=self.side, distances=near.get(index))
            self._picks[index] = [p for p in picked if self.ids[p.row] in self._places]
        showing = {index: self.showing(index) for index in self._picks}
        n = len(self.ids)
        in_all = min(MAPPED_IN_ALL, max(FEW, n // PART_MAPPED))
        rows = pick_mapped(list(showing.values()), n, seed, in_all=in_all)
        ids = [*scenes, *(self.ids[p.row] for picks in self._picks.values() for p in picks)]
        self._wanted = Wanted(
            pictures=frozenset(self._placed(ids)),
            mapped={
                index: self._placed(self.ids[row] for row in found)
                for index, found in zip(showing, rows, strict=True)
            },
            showing={index: len(found) for index, found in showing.items()},
        )

    def _placed(self, ids: Iterable[str]) -> list[int]:
        """Numbers in the source of the images that are there."""
        return [self._places[item] for item in ids if item in self._places]

    def read(self, segmenter: Segmenter, batch_size: int, bar: Bar) -> None:
        """Read and label the chosen images."""
        self._labelled, self.maps = label_images(
            self.source, segmenter, self._wanted, batch_size=batch_size, bar=bar
        )

    def pictures(self, index: int) -> tuple[GalleryImage, ...]:
        """The examples of a class."""
        areas = self._column(index)
        return tuple(
            self._picture(self.ids[pick.row], float(areas[pick.row]), pick.why)
            for pick in self._picks.get(index, ())
        )

    def scene(self, item: str) -> GalleryImage | None:
        """An image by its id; None if it is not there."""
        return self._picture(item) if item in self._places else None

    def _picture(self, item: str, area: float = 0.0, why: Why | None = None) -> GalleryImage:
        return GalleryImage(item, *self._labelled[self._places[item]], area, why)


def nearest_compositions(
    real: sparse.csr_array, generated: sparse.csr_array, index: int, *, seed: int = 0
) -> NDArray[np.float64]:
    """How far each generated image without a class is from the real scenes that have it.

    The distance is Hellinger's of the other classes, each image's as shares of their sum, to the
    nearest of at most ``COMPARED`` real images that show the class, drawn at random. Memory does
    not grow with the number of images, apart from the result.

    >>> real, generated = np.array([[40, 60, 0], [0, 0, 100]]), np.array([[0, 100, 0], [0, 50, 50]])
    >>> nearest_compositions(*map(sparse.csr_array, (real, generated)), 0).round(3).tolist()
    [0.0, 0.765]

    Args:
        real, generated: (N, L), (M, L) areas.
        index: of the class.
        seed: of the draw.

    Returns:
        (M,) distances in 0..√2; infinite for images that show the class, and for all where no
        real image shows it beside something else.
    """
    having = np.flatnonzero(real[:, [index]].toarray().ravel() > 0)
    if len(having) > COMPARED:
        having = np.sort(np.random.default_rng(seed).choice(having, COMPARED, replace=False))
    scenes = _others(real[having], index)
    scenes = scenes[np.diff(scenes.indptr) > 0].toarray().T
    found = np.full(generated.shape[0], np.inf)
    if not scenes.shape[1]:
        return found
    for start in range(0, len(found), _ROWS):
        part = generated[start : start + _ROWS]
        alike = np.asarray(_others(part, index) @ scenes).max(axis=1)
        lacking = part[:, [index]].toarray().ravel() == 0
        found[start : start + _ROWS][lacking] = np.sqrt(np.maximum(2 - 2 * alike[lacking], 0))
    return found


def _others(areas: sparse.csr_array, index: int) -> sparse.csr_array:
    """Square roots of the shares of all other classes, which sum to 1 or are none."""
    kept = np.ones(areas.shape[1])
    kept[index] = 0
    rest = sparse.csr_array(areas @ sparse.diags_array(kept))
    whole = np.asarray(rest.sum(axis=1)).ravel()
    scale = np.divide(100.0, whole, out=np.zeros_like(whole), where=whole > 0)
    found = sparse.csr_array(sparse.diags_array(scale) @ rest)
    found.eliminate_zeros()
    return roots(found)
