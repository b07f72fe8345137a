"""Rates of this machine: what ``doctor --bench`` prints.

Guarantees: only what the default data set names is measured, and nothing is kept; each rate is the
best of some rounds, which another program on the machine disturbs least.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from seeingkit.analyses.inversion import invert
from seeingkit.contracts import Annotator, Generator
from seeingkit.errors import UsageError
from seeingkit.images import open_images
from seeingkit.images.preprocess import quantise, to_tensor
from seeingkit.models.loading import load_annotator, load_generator
from seeingkit.models.registry import registry
from seeingkit.specs import DataSpec
from seeingkit.system.devices import resolve_device
from seeingkit.tallies import tally

ROUNDS, IMAGES, BATCH, STEPS, PHOTOS, SIDE = 3, 64, 16, 20, 4, 256


@dataclass(frozen=True)
class Rate:
    """How fast one stage is.

    Attributes:
        stage: what is done, and with what.
        rate: how often it is done in a second.
        unit: what is counted.
    """

    stage: str
    rate: float
    unit: str = "images a second"


def measure(device: str = "auto") -> Iterator[Rate]:
    """Measure stage by stage; half a minute on two cores.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``.

    Raises:
        UsageError: the default data set names no generator that has layers, or no segmenter.
    """
    place = resolve_device(device)
    name = registry().default("data")
    spec = registry().resolve("data", name)
    assert isinstance(spec, DataSpec)
    if spec.gan is None or spec.segmenter is None:
        raise UsageError(f"data set {name} names no generator or no segmenter to measure with")
    generator = load_generator(spec.gan, device=place)
    annotator = load_annotator(spec.segmenter, device=place)
    if not isinstance(generator, Generator):
        raise UsageError(f"{spec.gan} has no layers to invert")
    with _files() as read:
        yield Rate(f"read PNG files of {SIDE} x {SIDE} pixels", _best(BATCH, read))
    latent = generator.latents(range(BATCH))
    images = to_tensor(quantise(generator(latent)))
    yield Rate(f"generate: {spec.gan}", _best(BATCH, lambda: generator(latent), place))
    counted = _best(BATCH, lambda: annotator.statistics(images), place)
    yield Rate(f"count classes: {spec.segmenter}", counted)
    both = _best(IMAGES, lambda: _tallied(generator, annotator))
    yield Rate("tally of generated images, both at once", both)
    photos = images[:PHOTOS].clone()
    options: dict[str, Any] = {"perceptual": "none", "encoder": "none", "steps": STEPS, "frames": 0}
    steps = _best(PHOTOS * STEPS, lambda: invert(generator, photos, **options), place)
    yield Rate("invert, by pixels alone", steps, "steps of one image a second")


def _best(units: int, work: Callable[[], object], device: str = "cpu") -> float:
    """The highest rate of some rounds, after one to warm up; a device is waited for."""
    seconds = []
    for _ in range(1 + ROUNDS):
        started = time.perf_counter()
        with torch.no_grad():
            work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return units / min(seconds[1:])


@contextmanager
def _files() -> Iterator[Callable[[], object]]:
    """Reads files of noise, which PNG does not make smaller, all at once."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for k in range(BATCH):
            Image.fromarray(np.roll(pixels, k, 0)).save(Path(folder) / f"{k:02}.png")
        source = open_images(folder)

        yield lambda: source.read(range(BATCH))


def _tallied(sampler: Generator, annotator: Annotator) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tally(sampler, annotator, n=IMAGES, store=folder, batch_size=BATCH)
