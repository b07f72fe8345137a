"""The images that a model translates, seen as the source that its translations are paired with.

Guarantees: picture k belongs to picture k of the translations, by its name; it is the 8-bit picture
that the model was given, prepared as translations are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from seeingkit.contracts import Sampler
from seeingkit.contracts.ranges import ValueRange
from seeingkit.errors import UsageError
from seeingkit.specs import Preset

from .sampler import QUANTISE, SamplerSource
from .stored import PreparedImages


class InputImages(SamplerSource):
    """The images that a model translates, as it is given them: the other half of each pair.

    Picture k has the name of the translation's picture k and the same size, so that the two differ
    by the model alone, and not by the size of what it was given.

    Args:
        sampler, n, seed, labels, preset, batch: as of the ``SamplerSource`` of the translations.

    Raises:
        UsageError: a generator that translates nothing.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> InputImages(generator, 4)
    Traceback (most recent call last):
    seeingkit.errors.UsageError: progan draws its images, it translates none
    """

    kind = "images that were translated"

    def __init__(
        self,
        sampler: Sampler,
        n: int,
        seed: int = 0,
        labels: Sequence[int] | Tensor | int | None = None,
        preset: Preset | None = None,
        batch: int = 8,
    ) -> None:
        if not sampler.translates:
            raise UsageError(f"{sampler.info.family} draws its images, it translates none")
        super().__init__(sampler, n, seed, labels, preset, batch)
        if sampler.given is not None:
            self.name = sampler.given.name
        self.generator, self.range = None, ValueRange(self.name)

    def condition(self, index: int) -> None:
        """None: what a translation was asked for says nothing of the image it was made of."""

    def generate(self, indices: Sequence[int]) -> Tensor:
        """The images given for one batch: (N, 3, R, R) float32 in [-1, 1]."""
        latent = self.latent(indices)
        part = next(p for p in self.sampler.info.latent if p.distribution == "image")
        images = latent[part.name]
        return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images

    def identity(self) -> dict[str, Any]:
        """What changes the pixels: the images and their size, and nothing of the model."""
        assert self.sampler.given is not None
        shapes = [list(p.shape) for p in self.sampler.info.latent if p.distribution == "image"]
        return {
            "quantise": QUANTISE,
            "given": self.sampler.given.fingerprint,
            "shapes": shapes,
            "seed": self.seed,
            "preset": self.preset.identity(),
        }

    def describe(self) -> dict[str, Any]:
        """See ``ImageSource.describe``."""
        return PreparedImages.describe(self)
