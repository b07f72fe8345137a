"""Inversions of the sets, kept in a folder: areas of classes before and after, and PSNR.

Guarantee: what is in the folder is never made again, so that the table is rewritten in seconds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seeingkit import load_generator, load_inverter, load_segmenter
from seeingkit.analyses.inversion.patches import PatchedSamples, squares
from seeingkit.analyses.inversion.vanishing import areas, label_maps
from seeingkit.contracts import Generator, Segmenter
from seeingkit.images import SamplerSource
from seeingkit.models.registry import find_preset

from .sets import SERIES, SIZES, Truth, build, measure_truth

NETWORKS = ("progan:minichurches", "stylegan2:minichurches")
CUTS = ("r4.conv1", "r8.conv1")
SECOND = ("patched", "clean", "omitted")
"""The sets that are inverted at the second cut too."""
STEPS = 120
"""Of preset fast, whose default is at most 250: half the time, and 1.5 dB less."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One set, inverted.

    Attributes:
        names: classes by number, 0 for nothing.
        before, after: (N, L) percent of each image with each class; inside: of ``before``, the
            part in the foreign square (zero in all other sets).
        psnr: (N,) in dB.
        planted: the omitted class that was put into each image, "" for none.
    """

    names: tuple[str, ...]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    inside: NDArray[np.float64]
    psnr: NDArray[np.float64]
    planted: tuple[str, ...]


class Bench:
    """The sets of one network; everything is made once and kept."""

    def __init__(self, network: str, folder: Path) -> None:
        self.network, self.folder = network, folder
        self._loaded: tuple[Generator, Segmenter] | None = None

    @property
    def models(self) -> tuple[Generator, Segmenter]:
        """Generator and segmenter, loaded when first needed."""
        if self._loaded is None:
            generator = load_generator(self.network)
            assert isinstance(generator, Generator)
            self._loaded = generator, load_segmenter("upernet:minichurches")
        return self._loaded

    def truth(self) -> Truth:
        """The classes that the network draws."""
        path = self._path("truth", "")
        if not path.exists():
            found = measure_truth(*self.models)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps([found.real, found.generated]))
        return Truth(*json.loads(path.read_text()))

    def measured(self, name: str, cut: str) -> Measured:
        """A set inverted at a cut."""
        path = self._path(name, cut)
        if not path.exists():
            self._measure(name, cut, path)
        with np.load(path) as file:
            names, planted = (tuple(str(x) for x in file[key]) for key in ("names", "planted"))
            rest = (file[key] for key in ("before", "after", "inside", "psnr"))
            return Measured(names, *rest, planted)

    def has(self, name: str, cut: str) -> bool:
        """Whether a set was inverted at a cut."""
        return self._path(name, cut).exists()

    def _path(self, name: str, cut: str) -> Path:
        key = json.dumps([self.network, name, cut, STEPS, SIZES.get(name), SERIES])
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        stem = f"{self.network.split(':')[0]}-{name}" + (f"-{cut}" if cut else "")
        return self.folder / f"{stem}-{digest}.{'npz' if cut else 'json'}"

    def _measure(self, name: str, cut: str, path: Path) -> None:
        generator, segmenter = self.models
        images, planted = build(name, generator, self.truth())
        inverter = load_inverter(
            "layered+r", cut=cut, encoder="found", perceptual="none", frames=0, steps=STEPS
        )
        found = inverter.invert(generator, images, batch_size=8)
        names, native = segmenter.vocabulary.names, find_preset("native")
        maps = [label_maps(x, segmenter, native) for x in (images, found.reconstruction)]
        before, after = (areas(m, len(names)) for m in maps)
        inside = np.zeros_like(before)
        if name == "patched":
            own = SamplerSource(generator, len(images), SERIES + 7, preset=native)
            mask = squares(PatchedSamples(own), range(len(images)), images.shape[-1]).numpy()
            inside = areas(np.where(mask, maps[0], 0), len(names))
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".part"), "wb") as file:
            np.savez(
                file,
                names=np.array(names),
                planted=np.array(planted),
                before=before,
                after=after,
                inside=inside,
                psnr=found.psnr.double().numpy(),
            )
        path.with_suffix(".part").rename(path)


def measure_all(folder: Path) -> None:
    """Make everything that is not there yet, the first cut first."""
    torch.set_num_threads(1)
    for cut in CUTS:
        for network in NETWORKS:
            bench = Bench(network, folder)
            for name in SIZES if cut == CUTS[0] else SECOND:
                bench.measured(name, cut)
                print(network, cut, name, flush=True)
