"""Calibration of a method on generator samples, whose z and r are known.

Guarantee: samples are treated exactly as photos: 8 bits, the same method, the same segmenter. So
their losses are the losses of inversion alone.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from seeingkit.contracts import Generator, Inverter, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.results import CalibrationRecord
from seeingkit.specs import Preset

from .objectives import correlation
from .photos import Inverted
from .vanishing import LossCalibration, areas, label_maps


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
        own: the source of the samples, whose latents are known.
        inverted: the inversions of some of them, by ``invert_source``.
        cut: canonical name of the boundary of r.
        segmenter: None: no class losses.
        preset: how the segmenter sees sample and reconstruction.
    """
    labels = own.labels
    chosen = [labels[i % len(labels)] for i in inverted.rows] if labels else None
    latent = generator.latents(inverted.rows, seed=own.seed, labels=chosen)
    with torch.no_grad():
        start = generator.begin({k: v.to(generator.device) for k, v in latent.items()})
        r = generator.advance(start, cut)
    found = torch.cat([one.reconstruction for one in inverted.inversions])
    states = torch.cat([one.state.x for one in inverted.inversions])
    latents = [one.z for one in inverted.inversions if one.z is not None]
    perceptual = [float(o.perceptual[0]) for o in inverted.inversions if o.perceptual is not None]
    values = np.array([float(one.psnr[0]) for one in inverted.inversions])
    # Only where z is the method's result: with residuals, z0 is where it began.
    ends_in_z = inverter.target != "r" and len(latents) == len(found)
    loss = None if segmenter is None else _losses(inverted, segmenter, preset)
    record = CalibrationRecord(
        method=inverter.name,
        cut=cut,
        n=len(found),
        psnr=float(values.mean()),
        psnr_low=float(np.quantile(values, 0.05)),
        perceptual=float(np.mean(perceptual)) if perceptual else None,
        z_correlation=_number(correlation(start.x, torch.cat(latents))) if ends_in_z else None,
        r_correlation=_number(correlation(r.x, states)),
        pixel_correlation=correlation(inverted.images, found.clamp(-1, 1)),
        steps=float(np.mean([int(one.steps[0]) for one in inverted.inversions])),
        seconds=inverted.seconds,
        classes=loss.classes() if loss is not None else [],
    )
    return record, loss


def _losses(inverted: Inverted, segmenter: Segmenter, preset: Preset) -> LossCalibration:
    """Losses of classes, from areas of samples and of their reconstructions."""
    vocabulary = segmenter.vocabulary
    found = torch.cat([one.reconstruction for one in inverted.inversions])
    before, after = (
        areas(label_maps(images, segmenter, preset), len(vocabulary))
        for images in (inverted.images, found)
    )
    return LossCalibration.measure(before, after, vocabulary.names, vocabulary.has_background)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
