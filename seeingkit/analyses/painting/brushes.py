"""Units and values of brushes: which units draw a class, and the means they have where it is.

Guarantees: values come from another series of images (``search_seeds``) than those that are
painted; the same arguments give the same brushes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from seeingkit.analyses.dissection.stage import LayerDissection
from seeingkit.analyses.interventions.cells import cell_means
from seeingkit.analyses.interventions.choice import choose_units
from seeingkit.analyses.interventions.subjects import Sample, Subject, pixels_of, search_seeds
from seeingkit.errors import UsageError
from seeingkit.report.painting import Brush
from seeingkit.system.progress import progress_bar

MOST_UNITS = 40
"""Units of a brush at most."""
MOST_BRUSHES = 12
"""Classes that become brushes unasked."""

Ranking = Mapping[str, Sequence[int]]
"""Units of each class, strongest first."""


def units_by_agreement(found: LayerDissection, most: int = MOST_UNITS) -> dict[str, list[int]]:
    """Units of each class that is the label of a unit, by IoU over chance.

    Args:
        found: a dissected layer.
        most: units of each class.

    Returns:
        classes with most labelled units first.

    ::

        units_by_agreement(dissect_layers(source, segmenter, config)[0])["tree"]
    """
    counts = np.bincount(found.labels[found.labels >= 0], minlength=len(found.classes))
    order = [int(column) for column in np.argsort(-counts, kind="stable") if counts[column]]
    excess = found.found.iou - found.found.chance
    return {
        found.classes[column][1].name: _ranked(excess[:, column], most)
        for column in order[:MOST_BRUSHES]
    }


def _ranked(excess: np.ndarray, most: int) -> list[int]:
    order = np.argsort(-excess, kind="stable")[:most]
    return [int(unit) for unit in order if excess[unit] > 0]


def units_by_effect(
    subject: Subject,
    names: Sequence[str],
    *,
    many: int = 20,
    images: int = 200,
    seed: int = 0,
    labels: tuple[int, ...] = (),
) -> dict[str, list[int]]:
    """Units of some classes by their causal effect (``interventions.choice``), a search a class::

        units_by_effect(Subject(generator, segmenter, "r8.conv1"), ["tree"])["tree"]

    Raises:
        UnknownNameError: no such class.
        UsageError: a class that no image shows.
    """
    numbers = {name: subject.label(name) for name in names}
    many = min(many, subject.units)
    found: dict[str, list[int]] = {}
    for name, number in numbers.items():
        choice = choose_units(subject, number, many, images=images, seed=seed, labels=labels)
        found[name] = list(choice.units)
    return found


def class_means(subject: Subject, sample: Sample, labels: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The mean of each unit where each class is, in one pass over a sample.

    Args:
        subject: generator, layer and segmenter.
        sample: the images.
        labels: L numbers of classes.

    Returns:
        means (L, U) float32, each cell weighted by the share of the class in it, and the cells that
        each class fills in all (L,) float64; where that is 0, means are NaN.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> subject = Subject(generator, segmenter, "r8.conv1")
    >>> class_means(subject, Sample(range(2)), [1, 3])[0].shape
    torch.Size([2, 128])
    """
    sums = torch.zeros(len(labels), subject.units, dtype=torch.float64)
    whole = torch.zeros(len(labels), dtype=torch.float64)
    with torch.no_grad(), progress_bar("values of classes", len(sample), "images") as bar:
        for rows, state in subject.states(sample):
            maps = subject.label_maps(subject.images(state))
            for k, label in enumerate(labels):
                shares = cell_means(pixels_of(maps, label).float(), subject.boundary).double()
                sums[k] += (state.x.double() * shares[:, None]).sum((0, 2, 3)).cpu()
                whole[k] += shares.sum().cpu()
            bar.advance(len(rows))
    return (sums / whole[:, None]).float(), whole


def brushes_of(
    subject: Subject,
    ranking: Ranking,
    *,
    images: int = 128,
    seed: int = 0,
    labels: tuple[int, ...] = (),
) -> tuple[Brush, ...]:
    """Brushes of ranked units, whose values are the class's means.

    Args:
        subject: generator, layer and segmenter.
        ranking: units of each class.
        images: of another series, that values come from.
        seed: of the images that are painted.
        labels: classes of a conditional generator, in turn.

    Raises:
        UsageError: units that the layer does not have, or a class that none of the images shows.
        UnknownNameError: no such class.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> segmenter = seeingkit.load_segmenter("upernet:minichurches")
    >>> subject = Subject(generator, segmenter, "r8.conv1")
    >>> [brush.label for brush in brushes_of(subject, {"tree": [112, 13]}, images=4)]
    ['tree']
    """
    checked = {name: subject.checked(units) for name, units in ranking.items()}
    numbers = [subject.label(name) for name in checked]
    means, whole = class_means(
        subject, Sample(range(images), search_seeds(seed)[0], labels), numbers
    )
    made = []
    for (name, units), mean, seen in zip(checked.items(), means, whole, strict=True):
        if not seen:
            raise UsageError(f"none of {images} images shows {name!r}; search more images")
        made.append(Brush(name, units, tuple(mean[list(units)].tolist())))
    return tuple(made)
