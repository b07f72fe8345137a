"""Picks the pictures a report shows, reads them again and labels them again.

Guarantee: beside an area stand the picture and the label map that this area was counted
from (same source, same segmenter), found by its stable id.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from seeingkit.analyses.comparison.compare import Comparison
from seeingkit.contracts import ImageSource
from seeingkit.images.preprocess import quantise
from seeingkit.report.pictures.gallery import Gallery, GalleryClass, GalleryImage, GalleryScene
from seeingkit.report.selection import SIDES, Side, choose_beside, choose_classes, pick_examples
from seeingkit.system.progress import progress_bar
from seeingkit.tallies import Tally
from seeingkit.tallies.counted import CountedSource

from .sides import Sides


def fill_gallery(comparison: Comparison, opened: Sides, *, seed: int = 0) -> Gallery:
    """Examples of the classes worth a look, real beside generated, and of uncovered scenes."""
    vocabulary = opened.shown.vocabulary
    sides: dict[Side, tuple[Tally, ImageSource]] = {
        "real": (comparison.real, opened.real),
        "generated": (comparison.generated, opened.generated),
    }
    places = {
        side: {item: k for k, item in enumerate(source.ids)} for side, (_, source) in sides.items()
    }

    @functools.cache
    def labelled(side: Side, place: int) -> tuple[np.ndarray, np.ndarray]:
        images = sides[side][1].read([place])
        with torch.inference_mode():
            labels = opened.shown.label_maps(images.to(opened.shown.device))[0, 0].cpu().numpy()
        small = np.uint8 if len(vocabulary) <= 256 else np.uint16
        return quantise(images)[0].numpy(), labels.astype(small)

    def examples(index: int, side: Side) -> tuple[GalleryImage, ...]:
        tally = sides[side][0]
        areas = tally.sparse_percent(0)[:, [index]].toarray().ravel()
        rows = pick_examples(areas, seed=seed, side=side)
        found = (picture(side, tally.ids[row], float(areas[row])) for row in rows)
        return tuple(image for image in found if image is not None)

    def picture(side: Side, item: str, *area: float) -> GalleryImage | None:
        place = places[side].get(item)
        if isinstance(sides[side][1], CountedSource) or place is None:
            return None
        return GalleryImage(item, *labelled(side, place), *area)

    chosen = choose_classes(comparison.results)
    numbers = {record.label: record.index for record in comparison.results.classes}
    classes = []
    with progress_bar("examples", len(chosen), "classes") as bar:
        for label in chosen:
            real_ones, generated_ones = (examples(numbers[label], side) for side in SIDES)
            classes.append(GalleryClass(label, numbers[label], real_ones, generated_ones))
            bar.advance(1)
    scenes = tuple(
        GalleryScene(shown, picture("generated", beside))
        for item, beside in choose_beside(comparison.results)
        if (shown := picture("real", item)) is not None
    )
    return Gallery(
        vocabulary.names,
        classes=tuple(classes),
        has_background=vocabulary.has_background,
        scenes=scenes,
    )
