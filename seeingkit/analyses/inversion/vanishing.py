"""Losses of class area from photo to reconstruction, against the losses by inversion alone.

Guarantees: photo and reconstruction are segmented in the same way (8 bits, the same preset, the
same segmenter); a loss is called an omission only where it exceeds the loss of that class in 19 of
20 generator samples. The bound is the conformal one: the ceil(0.95 (k + 1))-th smallest of k
losses, which a further sample exceeds with probability at most 5 % (Vovk et al. 2005; Lei et al.
2018, section 2), so it needs at least 19 of them. Samples, whose z and r are known, are treated
exactly as photos.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import Generator, Inversion, Inverter, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.images.preprocess import apply, quantise, to_tensor
from seeingkit.results import CalibrationRecord, ClassCalibration, LostClass
from seeingkit.specs import Preset

from .objectives import correlation
from .photos import Inverted

MIN_AREA = 0.25
"""Area threshold in percent of the image, below which a class does not count as present."""
OMITTED = 0.5
"""Share of the area that must be gone, as for classes of a distribution."""
COVERAGE = 0.95
ENOUGH = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)  # 19


def label_maps(
    images: Tensor, segmenter: Segmenter, preset: Preset, batch_size: int = 16
) -> NDArray[np.int64]:
    """Object labels (N, H, W) of images (N, 3, R, R) in [-1, 1], seen as the PNGs they would be."""
    maps = []
    for batch in images.split(batch_size):
        pictures = quantise(batch).cpu().numpy()
        prepared = np.stack([apply(Image.fromarray(picture), preset) for picture in pictures])
        with torch.inference_mode():
            labels = segmenter.segment(to_tensor(prepared).to(segmenter.device))[:, 0]
        maps.append(labels.cpu().numpy())
    return np.concatenate(maps)


def areas(maps: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
    """Percent of each image with each label, (N, L), of maps (N, H, W)."""
    flat = maps.reshape(len(maps), -1)
    counts = np.stack([np.bincount(row, minlength=labels) for row in flat])
    return counts.astype(np.float64) * (100 / flat.shape[1])


@dataclass(frozen=True, eq=False)
class LossCalibration:
    """Losses of classes by inversion alone, from generator samples.

    Attributes:
        names: label names by number.
        label: (P,) number of the class of each (sample, class) pair.
        area: (P,) percent of the sample that the class covers, at least ``MIN_AREA``.
        lost: (P,) share of that area that is missing in the reconstruction.
    """

    names: tuple[str, ...]
    label: NDArray[np.int64]
    area: NDArray[np.float64]
    lost: NDArray[np.float64]

    @staticmethod
    def measure(
        photo: NDArray[np.float64],
        reconstruction: NDArray[np.float64],
        names: Sequence[str],
        has_background: bool,
    ) -> LossCalibration:
        """From areas (N, L), in percent, of samples and of their reconstructions."""
        counted = photo >= MIN_AREA
        if has_background:
            counted[:, 0] = False
        rows, labels = np.nonzero(counted)
        before, after = photo[rows, labels], reconstruction[rows, labels]
        return LossCalibration(tuple(names), labels, before, (before - after) / before)

    def bound(self, label: int, area: float) -> tuple[float | None, int, bool]:
        """Upper bound of the loss by inversion alone of a class of this area.

        From the pairs of that class if there are at least 19, else from those of all classes of
        half to twice this area, else from all pairs. Never below 0.

        Returns:
            the share of area that 19 of 20 samples stay below (None with fewer than 19 pairs in
            all), the number of pairs, and whether they are of several classes.
        """
        own = self.label == label
        near = (self.area >= area / 2) & (self.area <= area * 2)
        for chosen, pooled in ((own, False), (near, True), (np.ones_like(own), True)):
            if int(chosen.sum()) >= ENOUGH:
                return max(0.0, conformal_bound(self.lost[chosen])), int(chosen.sum()), pooled
        return None, len(self.lost), True

    def classes(self) -> list[ClassCalibration]:
        """One record per class that samples show, most pairs first."""
        records = []
        for label in np.unique(self.label):
            own = self.label == label
            lost = self.lost[own]
            bound, pairs, _ = self.bound(int(label), float(self.area[own].mean()))
            records.append(
                ClassCalibration(
                    label=self.names[label],
                    pairs=len(lost) if pairs else 0,
                    lost_mean=float(lost.mean()),
                    lost_high=max(0.0, float(lost.max())) if bound is None else bound,
                )
            )
        return sorted(records, key=lambda record: (-record.pairs, record.label))


def conformal_bound(values: NDArray[np.float64], coverage: float = COVERAGE) -> float:
    """The ceil(coverage (k + 1))-th smallest of k values; infinity if there are too few."""
    place = math.ceil(coverage * (len(values) + 1) - 1e-9)
    return float(np.sort(values)[place - 1]) if place <= len(values) else math.inf


def lost_classes(
    photo: NDArray[np.float64],
    reconstruction: NDArray[np.float64],
    names: Sequence[str],
    has_background: bool,
    calibration: LossCalibration | None,
) -> list[LostClass]:
    """Losses of one photo by class, most beyond the calibration first.

    Args:
        photo, reconstruction: (L,) percent of area with each label.
        names: of the labels.
        has_background: label 0 is no object.
        calibration: None: losses are given, and none is called an omission.
    """
    records = []
    for label in np.nonzero(photo >= MIN_AREA)[0].tolist():
        if has_background and label == 0:
            continue
        before, after = float(photo[label]), float(reconstruction[label])
        lost = (before - after) / before
        bound, pairs, pooled = calibration.bound(label, before) if calibration else (None, 0, False)
        records.append(
            LostClass(
                label=names[label],
                photo_area=before,
                reconstruction_area=after,
                lost=lost,
                calibrated=bound,
                pairs=pairs,
                pooled=pooled,
                beyond=None if bound is None else max(0.0, before * (lost - bound)),
                omitted=bound is not None and lost > bound and lost >= OMITTED,
            )
        )
    return sorted(records, key=lambda record: (-(record.beyond or 0.0), -record.photo_area))


def calibrate(
    generator: Generator,
    own: SamplerSource,
    inverted: Inverted,
    inverter: Inverter,
    cut: str,
    segmenter: Segmenter | None,
    preset: Preset,
) -> tuple[CalibrationRecord, LossCalibration | None]:
    """Sum up the inversions of generator samples.

    Args:
        own: the source of the samples.
        inverted: the inversions of some of them.
        cut: canonical name of the boundary of r.
        segmenter: None: no class losses.
        preset: how the segmenter sees sample and reconstruction.
    """
    labels = class_labels(own, inverted.rows)
    latent = generator.latents(inverted.rows, seed=own.seed, labels=labels)
    with torch.no_grad():
        start = generator.begin({k: v.to(generator.device) for k, v in latent.items()})
        r = generator.advance(start, cut)
    found = Inversion.join(inverted.inversions)
    # Only where z is the method's result: with residuals, z0 is where it began.
    z = None if inverter.target == "r" else found.z
    loss = None
    if segmenter is not None:
        vocabulary = segmenter.vocabulary
        before, after = (
            areas(label_maps(images, segmenter, preset), len(vocabulary))
            for images in (inverted.images, found.reconstruction)
        )
        loss = LossCalibration.measure(before, after, vocabulary.names, vocabulary.has_background)
    perceptual = None if found.perceptual is None else found.perceptual.double().numpy()
    record = CalibrationRecord(
        method=inverter.name,
        cut=cut,
        n=len(found),
        psnr=float(found.psnr.numpy().mean()),
        psnr_low=float(np.quantile(found.psnr.numpy(), 0.05)),
        perceptual=None if perceptual is None else float(perceptual.mean()),
        z_correlation=None if z is None else _number(correlation(start.x, z)),
        r_correlation=_number(correlation(r.x, found.state.x)),
        pixel_correlation=correlation(inverted.images, found.reconstruction.clamp(-1, 1)),
        steps=float(found.steps.numpy().mean()),
        seconds=inverted.seconds,
        classes=loss.classes() if loss is not None else [],
    )
    return record, loss


def class_labels(own: SamplerSource, rows: Sequence[int]) -> list[int] | None:
    """The class of each of these samples, or None of an unconditional generator."""
    return [own.labels[row % len(own.labels)] for row in rows] if own.labels else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
