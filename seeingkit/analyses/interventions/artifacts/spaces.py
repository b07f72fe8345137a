"""Rows of pictures, between which distances are taken: areas of classes, or features of a network.

Guarantees: row k depends on picture k alone; real and generated pictures go the same way (8 bits,
then the preset); the directions that features are projected on come from real images of the search
alone, which no test sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from seeingkit.contracts import Features, ImageSource, Segmenter
from seeingkit.contracts.annotators import label_counts
from seeingkit.contracts.features import check_features
from seeingkit.errors import TallyError
from seeingkit.models.code import identity_of
from seeingkit.system.progress import progress_bar
from seeingkit.system.tensors import tensor_digest

from ..effects import Floats, Intervention
from ..subjects import Sample, Starts, Subject

COMPONENTS = 24
"""Principal components of features; more would need more images for a covariance."""


class Space(Protocol):
    """What rows are made of.

    Attributes:
        name: for people; unit: of a distance between two sets of rows.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...

    def identity(self) -> list[object]:
        """Everything that changes rows, as JSON."""

    def rows(self, pictures: Tensor) -> Floats:
        """(N, 3, H, W) in [-1, 1] to (N, D)."""


@dataclass(frozen=True)
class AreaSpace:
    """Areas of classes in percent of the picture: distances are FSD, percent².

    >>> AreaSpace(seeingkit.load_segmenter("upernet:minichurches")).name
    'areas of classes'
    """

    segmenter: Segmenter
    name: str = "areas of classes"
    unit: str = "percent²"

    def identity(self) -> list[object]:
        """The segmenter."""
        return ["areas", identity_of(self.segmenter)]

    def rows(self, pictures: Tensor) -> Floats:
        """Areas of the labels of the object plane, (N, labels)."""
        with torch.no_grad():
            maps = self.segmenter.label_maps(pictures)[:, :1]
        counts = label_counts(maps, len(self.segmenter.vocabulary)).cpu().numpy()
        return np.asarray(100.0 * counts / (maps.shape[-2] * maps.shape[-1]))


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """Features of a network, averaged over the picture, in their main directions among real images.

    Attributes:
        features: of a registered family.
        mean: (D,) of real images; directions: (D, K) orthonormal.
    """

    features: Features
    mean: Floats
    directions: Floats
    unit: str = "squared units of the features"

    @property
    def name(self) -> str:
        """Family and number of directions."""
        return f"{self.features.name}, {self.directions.shape[1]} main directions of real images"

    @classmethod
    def of(cls, features: Features, real: Floats) -> FeatureSpace:
        """Directions of the largest variance in pooled features (N, D) of real images.

        Raises:
            TallyError: fewer real images than two.
        """
        if len(real) < 2:
            raise TallyError(f"directions of features need at least 2 real images, not {len(real)}")
        mean = real.mean(axis=0)
        _, scales, directions = np.linalg.svd(real - mean, full_matrices=False)
        kept = int((scales[:COMPONENTS] > scales[0] * 1e-6).sum())
        found = directions[: max(kept, 1)].T
        signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
        return cls(features, mean, found * signs)

    def identity(self) -> list[object]:
        """The network and the directions."""
        given = (torch.from_numpy(each) for each in (self.mean, self.directions))
        return ["features", identity_of(self.features), *(tensor_digest(each) for each in given)]

    def rows(self, pictures: Tensor) -> Floats:
        """(N, K) along the directions."""
        return self.along(pooled(self.features, pictures))

    def along(self, values: Floats) -> Floats:
        """Pooled features (N, D) along the directions: (N, K)."""
        return np.asarray((values - self.mean) @ self.directions)


def pooled(features: Features, pictures: Tensor) -> Floats:
    """Features of pictures, averaged over places: (N, D).

    Raises:
        ModelError: features that are none.
    """
    with torch.no_grad():
        found = check_features(features(pictures), len(pictures), features.name)
    parts = [x.flatten(2).mean(2) if x.ndim > 2 else x for x in found]
    return torch.cat(parts, 1).double().cpu().numpy()


def real_features(
    features: Features, source: ImageSource, batch: int = 16
) -> tuple[list[int], Floats]:
    """Numbers of all real images that can be read, increasing, and their pooled features (N, D).

    Raises:
        TallyError: none can be read.
    """
    rows, read = [], []
    with progress_bar(f"features of {source.name}", len(source), "images") as bar:
        for start in range(0, len(source), batch):
            part = range(start, min(start + batch, len(source)))
            pictures, good, _ = source.load(part)
            if pictures is not None:
                rows.append(pooled(features, pictures.to(features.device)))
                read += good
            bar.advance(len(part))
    if not rows:
        raise TallyError(f"{source.name}: none of {len(source)} images can be used")
    return read, np.concatenate(rows)


def edited_rows(
    subject: Subject,
    starts: Starts,
    rows: Sequence[int],
    space: Space,
    change: Intervention | None = None,
) -> Floats:
    """Rows of some images of a sample, without an edit or with one: (len(rows), D).

    ::

        edited_rows(subject, Starts(subject, sample), range(8), space, Intervention.ablation([3]))
    """
    found = []
    with torch.no_grad():
        for start in range(0, len(rows), subject.batch):
            part = list(rows[start : start + subject.batch])
            state = starts[part]
            edits = () if change is None else (change.edit(subject.layer, range(len(part))),)
            images = subject.images(state, edits)
            subject.check(images, [starts.sample.named(row) for row in part])
            found.append(space.rows(subject.pictures(images)))
    return np.concatenate(found)


def sample_rows(
    subject: Subject, sample: Sample, space: Space, changes: Sequence[Intervention], title: str
) -> list[Floats]:
    """Rows of all images of a sample, without an edit first and then with each.

    ::

        own, edited = sample_rows(subject, sample, space, [Intervention.ablation([3])], "units")
    """
    parts: list[list[Floats]] = [[] for _ in range(1 + len(changes))]
    with torch.no_grad(), progress_bar(title, len(sample), "images") as bar:
        for rows, state in subject.states(sample):
            names = [sample.named(row) for row in rows]
            for found, change in zip(parts, (None, *changes), strict=True):
                edits = () if change is None else (change.edit(subject.layer, rows),)
                images = subject.images(state, edits)
                subject.check(images, names)
                found.append(space.rows(subject.pictures(images)))
            bar.advance(len(rows))
    return [np.concatenate(found) for found in parts]
