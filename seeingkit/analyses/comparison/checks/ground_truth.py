"""True labels of real images, and how a segmenter errs on them: its confusion matrix.

Guarantees: a true label stands on the pixel of the prepared image that it belongs to (the preset's
geometry, nearest neighbour, so that labels are never mixed); labels are matched to the segmenter's
by name; a pixel without a known label is never counted; a label map that cannot be read, does not
fit its picture or holds unknown numbers is an error that names the file; labels that fit far better
with other numbers (shifted by one, or in another order) are refused.

True labels come from the source itself (``ImageSource.read_labels``) or from a folder of label
maps: grey or palette PNG files of numbers, not colours. A file ``labels.txt`` (one name a line, the
first is number 0) or ``classes.json`` (a list of names, or an object ``{"0": name}`` or
``{name: 0}``) in the folder says what the numbers mean; without it they are the segmenter's own.
Unlabelled: 255; 65535 in 16 bits; a name like "unlabelled", "void" or "-"; and, without a file of
names, the number just beyond the segmenter's last.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from seeingkit.contracts import ImageSource, Segmenter, Vocabulary
from seeingkit.errors import SourceError, UsageError
from seeingkit.images.labelmaps import UNKNOWN, LabelFolder
from seeingkit.results import Results, SegmenterShare
from seeingkit.statistics.confusion import Confusion, segmenter_share_by_labels
from seeingkit.statistics.renumbering import folded
from seeingkit.system.addresses import Place
from seeingkit.tallies import Tally
from seeingkit.tallies.counted import CountedSource
from seeingkit.tallies.vocabularies.merging import MappedSegmenter

from .label_numbers import numbering
from .labelled_pixels import KeptPixels, TrueLabels, drawn_images, labelled_pixels

_PROBED = 16
"""Images that are looked at before long work."""


def own_labels(source: ImageSource) -> TrueLabels | None:
    """The true labels that a source knows itself, or None."""
    if not source.label_names:
        return None
    return TrueLabels(
        source.label_names,
        tuple(range(len(source))),
        f"the labels that {source.name} has itself",
        source.read_labels,
        fingerprint=lambda _: source.labels_fingerprint,
    )


def folder_labels(
    path: str | os.PathLike[str], source: ImageSource, vocabulary: Vocabulary
) -> TrueLabels:
    """True labels from the label maps in a folder.

    A label map belongs to the image whose id it has, apart from the ending; else to the one image
    whose file name it has. Images without one are left out.

    Args:
        vocabulary: what the numbers mean where the folder does not say it.

    Raises:
        SourceError: no such folder, no PNG in it, none that belongs to an image, or a file of names
            that cannot be used.
    """
    folder = LabelFolder(path, source, vocabulary.names)
    against = f"the label maps in {folder.name}"
    return TrueLabels(
        folder.names,
        folder.indices,
        against,
        folder.read,
        beyond=folder.beyond,
        fingerprint=folder.fingerprint,
    )


def confusion_of(
    labels: TrueLabels,
    source: ImageSource,
    segmenter: Segmenter,
    *,
    images: int = 1000,
    seed: int = 0,
    batch_size: int = 16,
    kept: KeptPixels | None = None,
) -> Confusion:
    """What the segmenter calls the pixels of each true label.

    Args:
        labels: of images of ``source``.
        segmenter: plane 0 is compared. With a class list (``MappedSegmenter``) the true labels are
            merged by it too.
        images: at most so many, drawn with ``seed`` from those with labels.
        batch_size: halved when memory runs out.
        kept: where counts are kept for the next time; None: nowhere.

    Raises:
        UsageError: no true label has the name of one of the segmenter's.
        SourceError: none of the images can be read, no pixel of them has a known label, a number
            has no name, or other numbers fit far better (``statistics.renumbering``).
        ModelError: memory ran out with a single image.
    """
    if images < 1 or batch_size < 1:
        raise UsageError(f"ask for at least one image and one a batch, not {images}, {batch_size}")
    numbers, unmatched = numbering(labels.names, segmenter)
    chosen = drawn_images(labels, images, seed)
    pixels = labelled_pixels(labels, source, segmenter, numbers, chosen, batch_size, kept)
    counts = folded(pixels.counts, (*numbers, UNKNOWN))
    if not counts.sum():
        raise SourceError(
            f"{source.name}: no pixel of {pixels.images} images has a known true label"
        )
    known = np.zeros(len(segmenter.vocabulary), dtype=np.bool_)
    known[[k for k in numbers if k >= 0]] = True
    return Confusion(counts, known, pixels.shown, pixels.images, labels.against, unmatched)


def probe_labels(
    real: ImageSource,
    segmenter: Segmenter,
    truth: str | os.PathLike[str],
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> None:
    """Look at a few labelled images before long work; takes and refuses what ``share_by_labels``
    does.
    """
    labels = find_labels(real, segmenter, truth)
    numbers, _ = numbering(labels.names, segmenter)
    chosen = drawn_images(labels, _PROBED, seed)
    labelled_pixels(labels, real, segmenter, numbers, chosen, batch_size)


def share_by_labels(
    real: ImageSource,
    segmenter: Segmenter,
    results: Results,
    real_tally: Tally,
    generated_tally: Tally,
    *,
    truth: str | os.PathLike[str] | None = None,
    images: int = 1000,
    seed: int = 0,
    batch_size: int = 16,
    store: Place | None = None,
) -> SegmenterShare | None:
    """How far the segmenter's errors on labelled real images could make the differences.

    Args:
        segmenter: with the vocabulary that was compared (``in_classes``).
        results: of the comparison of the two tallies.
        truth: folder of label maps (``./data`` for one of that name); ``data``: the source's own
            labels; ``none``: no labels; None: the source's own, if it has any that fit.
        images, seed, batch_size: as ``confusion_of``.
        store: folder of counts of labelled pixels, found again where images, segmenter and labels
            are the same; None: nothing is kept.

    Returns:
        None where no labels are wanted, or none were asked for and the source has none that the
        segmenter knows by name.

    Raises:
        UsageError: tallies of another vocabulary; otherwise as ``find_labels``, ``confusion_of``.
        SourceError: label maps that are missing, unreadable or do not fit.
    """
    if truth == "none":
        return None
    if truth is None:
        try:
            numbering(find_labels(real, segmenter, "data").names, segmenter)
        except UsageError:
            return None
    if segmenter.vocabulary.names != real_tally.vocabulary.names:
        raise UsageError("the tallies have other labels than the segmenter; merge both alike")
    labels = find_labels(real, segmenter, truth or "data")
    identity = real_tally.identity
    kept = None
    if store is not None and identity is not None:
        kept = KeptPixels(store, {"source": identity.source, "preset": identity.preset})
    confusion = confusion_of(
        labels, real, segmenter, images=images, seed=seed, batch_size=batch_size, kept=kept
    )
    areas = (_mean_areas(tally) for tally in (real_tally, generated_tally))
    return segmenter_share_by_labels(confusion, results.classes, *areas)


def find_labels(
    real: ImageSource, segmenter: Segmenter, truth: str | os.PathLike[str]
) -> TrueLabels:
    """The labels that ``truth`` means, a folder or ``data``; arguments as of ``share_by_labels``.

    Raises:
        UsageError: a side without pictures, or without labels of its own.
        SourceError: label maps that are missing, unreadable or do not fit.
    """
    if isinstance(real, CountedSource):
        raise UsageError(f"{real.name} has no pictures to segment; leave --truth out")
    if truth == "data":
        labels = own_labels(real)
        if labels is None:
            raise UsageError(f"{real.name} has no labels of its own; give --truth a folder")
        return labels
    inner = segmenter
    while isinstance(inner, MappedSegmenter):
        inner = inner.segmenter
    return folder_labels(truth, real, inner.vocabulary)


def _mean_areas(tally: Tally) -> NDArray[np.float64]:
    """(L,) percent; what a class list dropped is "nothing", as in the segmenter's label maps."""
    areas = np.asarray(tally.sparse_percent(0).mean(axis=0), dtype=np.float64).ravel()
    if tally.vocabulary.has_background:
        areas[0] += max(0.0, 100 - float(areas.sum()))
    return areas
