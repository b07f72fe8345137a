"""A generator with edits as a generator of its own: for tallies, metrics, anything of images.

Guarantees: its images are those of ``models.edits.run`` with the edits; the edits are part of its
identity, so that no stored number of the generator alone is ever taken for one of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Latent, Sampler
from seeingkit.models.edits import UnitEdit, run


class EditedSampler(Sampler):
    """A generator whose units are changed in every image.

    Args:
        generator: of tier 2.
        edits: of units, at its boundaries.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> edited = EditedSampler(generator, [UnitEdit("r8.conv1", (13,))])
    >>> edited(edited.latents([0])).shape
    torch.Size([1, 3, 64, 64])
    """

    def __init__(self, generator: Generator, edits: Sequence[UnitEdit]) -> None:
        self.generator, self.edits = generator, tuple(edits)
        told = [
            [edit.at, list(edit.units), *map(_told, (edit.alpha, edit.value, edit.mask))]
            for edit in self.edits
        ]
        options = {**generator.info.options, "edits": told}
        self.info = generator.info.model_copy(update={"options": options})
        self.given, self.weighted = generator.given, generator.weighted
        self.thread_safe = generator.thread_safe

    @property
    def device(self) -> torch.device:
        """The generator's."""
        return self.generator.device

    def latents(
        self,
        indices: Sequence[int],
        *,
        seed: int = 0,
        labels: Sequence[int] | Tensor | None = None,
    ) -> Latent:
        """See ``Sampler.latents``; the generator's own, which may be cut off."""
        return self.generator.latents(indices, seed=seed, labels=labels)

    def __call__(self, latent: Latent) -> Tensor:
        """See ``Sampler``.

        Raises:
            UsageError: an edit that does not fit the generator.
        """
        return run(self.generator, self.generator.begin(latent), edits=self.edits)[0].x


def _told(given: float | Tensor | None) -> float | str | None:
    """A number as it is; a hash of a tensor's values."""
    if not isinstance(given, Tensor):
        return given
    values = given.detach().cpu().contiguous()
    return hashlib.sha256(f"{tuple(values.shape)}".encode() + values.numpy().tobytes()).hexdigest()
