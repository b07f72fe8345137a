"""Generator samples, inverted as photos are: the ground truth of z and r, and losses of classes.

Samples as they are come back far better than photos, so their losses bound nothing in a photo.
Those with a foreign patch (``patches``) are as hard to reach, and ``verdicts`` compares photos with
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from seeingkit.contracts import Generator, Inversion, Inverter, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.results import CalibrationRecord, ClassCalibration
from seeingkit.specs import Preset

from .objectives import correlation
from .patches import PatchedSamples
from .photos import Inverted
from .vanishing import Losses, areas, label_maps

COVERAGE = 0.95
ENOUGH = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)  # 19


def calibrate(
    generator: Generator,
    own: SamplerSource,
    inverted: Inverted,
    inverter: Inverter,
    cut: str,
    segmenter: Segmenter | None,
    preset: Preset,
    patched: Inverted | None = None,
) -> tuple[CalibrationRecord, Losses | None]:
    """Sum up the inversions of generator samples.

    Args:
        own: the source of the samples.
        inverted: the inversions of some of them.
        cut: canonical name of the boundary of r.
        segmenter: None: no class losses.
        preset: how the segmenter sees sample and reconstruction.
        patched: inversions of samples with a foreign patch.

    Returns:
        the record, and the losses of the patched samples.
    """
    labels = class_labels(own, inverted.rows)
    latent = generator.latents(inverted.rows, seed=own.seed, labels=labels)
    with torch.no_grad():
        start = generator.begin({k: v.to(generator.device) for k, v in latent.items()})
        r = generator.advance(start, cut)
    found = Inversion.join(inverted.inversions)
    # Only where z is the method's result: with residuals, z0 is where it began.
    z = None if inverter.target == "r" else found.z
    loss = losses_in(inverted, segmenter, preset)
    hard = None if patched is None else losses_in(patched, segmenter, preset)
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
        classes=_classes(loss, hard),
        patched=0 if patched is None else len(patched.inversions),
        patched_psnr=None if patched is None else _mean_psnr(patched),
    )
    return record, hard


def losses_in(found: Inverted, segmenter: Segmenter | None, preset: Preset) -> Losses | None:
    """Losses of classes in some inverted images; None without segmenter or images."""
    if segmenter is None or not found.inversions:
        return None
    again = torch.cat([one.reconstruction for one in found.inversions])
    vocabulary = segmenter.vocabulary
    before, after = (
        areas(label_maps(images, segmenter, preset), len(vocabulary))
        for images in (found.images, again)
    )
    return Losses.measure(before, after, vocabulary.names, vocabulary.has_background)


def _mean_psnr(found: Inverted) -> float | None:
    values = [float(one.psnr[0]) for one in found.inversions]
    return float(np.mean(values)) if values else None


def _classes(loss: Losses | None, hard: Losses | None) -> list[ClassCalibration]:
    """One record for each class that samples show, most pairs first."""
    if loss is None:
        return []
    records = []
    for label in np.unique(loss.label).tolist():
        lost = loss.of([label]).lost
        patched = None if hard is None else hard.of([label]).vanished
        records.append(
            ClassCalibration(
                label=loss.names[label],
                pairs=len(lost),
                lost_mean=float(lost.mean()),
                lost_high=max(0.0, conformal_bound(lost)),
                patched=0 if patched is None else len(patched),
                patched_vanished=0 if patched is None else int(patched.sum()),
            )
        )
    return sorted(records, key=lambda record: (-record.pairs, record.label))


def conformal_bound(values: NDArray[np.float64], coverage: float = COVERAGE) -> float:
    """The ceil(coverage (k + 1))-th smallest of k values; the largest where k is too small.

    A further value exceeds it with a probability of at most 1 - coverage, given at least
    ``ENOUGH`` values (Vovk et al. 2005; Lei et al. 2018, section 2).
    """
    place = min(math.ceil(coverage * (len(values) + 1) - 1e-9), len(values))
    return float(np.sort(values)[place - 1])


def class_labels(own: SamplerSource | PatchedSamples, rows: Sequence[int]) -> list[int] | None:
    """The class of each of these samples, or None of an unconditional generator."""
    return [own.labels[row % len(own.labels)] for row in rows] if own.labels else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
