"""How much an edit moves the places that it is to leave as they are: measured on keys of images.

E[a aᵀ], a being the responses of kernels at a place: computed by the layer itself, so that taps of
a kernel, neighbouring keys, the edge of a map and layers that grow count as they are.

Guarantees: which images and places are taken depends on the sample and the site alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seeingkit.images import SamplerSource

from ..interventions.subjects import MOST_KEPT, Sample
from .bench import Bench

LEAST_IMAGES, PLACES, MOST_OF_IMAGE, BATCH = 64, 1 << 15, 1 << 10, 16
"""Images at least, places of all images together, of one image, and images at once."""


@dataclass(frozen=True, eq=False)
class KeptPlaces:
    """Places of images at a site that an edit is to leave as they are.

    Args:
        bench: the generator at the site.
        sample: images, of which some are taken.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> kept = KeptPlaces(Bench(generator, generator.site("r16.conv1")), Sample(range(64)))
    >>> kept.energy(torch.ones(2, 96, 3, 3)).shape
    torch.Size([2, 2])
    """

    bench: Bench
    sample: Sample
    _keys: dict[int, Tensor] = field(default_factory=dict, repr=False)

    @property
    def indices(self) -> list[int]:
        """Numbers of the images that are taken, evenly from the sample."""
        height, width = self.bench.site.values
        each = min(height * width, MOST_OF_IMAGE)
        count = min(len(self.sample), max(LEAST_IMAGES, -(-PLACES // each)))
        return [
            int(self.sample.indices[number * len(self.sample) // count]) for number in range(count)
        ]

    def energy(self, kernels: Tensor) -> Tensor:
        """E[a aᵀ], (J, J) float64, a being linear values of kernels, in stored numbers.

        Args:
            kernels: (J, C_in, kh, kw), in canonical numbers.
        """
        second = torch.zeros(len(kernels), len(kernels), dtype=torch.float64)
        count, marked = 0, self._marked()
        for keys in self._batches():
            rows = self.bench.responses(keys, kernels, marked.expand(len(keys), -1, -1))
            second += rows.T @ rows
            count += len(rows)
        return second / count

    def _marked(self) -> Tensor:
        """The places of an image, (1, H, W) bool: all, or some by an odd step, so that columns of
        even and of odd number are among them."""
        height, width = self.bench.site.values
        step = -(-height * width // MOST_OF_IMAGE) | 1
        marked = torch.zeros(height * width, dtype=torch.bool, device=self.bench.weight.device)
        marked[::step] = True
        return marked.reshape(1, height, width)

    @torch.no_grad()
    def _batches(self) -> Iterator[Tensor]:
        generator, site, indices = self.bench.generator, self.bench.site, self.indices
        labels = self.sample.labels or None
        source = SamplerSource(generator, max(indices) + 1, self.sample.seed, labels)
        size = len(indices) * site.shape[1] * site.keys[0] * site.keys[1] * 4
        for start in range(0, len(indices), BATCH):
            keys = self._keys.get(start)
            if keys is None:
                begin = generator.begin(source.latent(indices[start : start + BATCH]))
                keys = generator.keys(generator.advance(begin, site.before), site)
                if size <= MOST_KEPT:
                    self._keys[start] = keys
            yield keys
