"""A generator seen as a source of pictures.

Guarantees: picture k is what would be read back had image k been saved as PNG, to the bit
(quantised to 8 bits, then the same preset as a file); it depends on (seed, k, label) only, so a
larger n keeps the first pictures and the fingerprint; an image with NaN or Inf in it is refused by
name. Of a model that translates images, picture k has the name of the image it was made of, no
image is translated twice, and one that cannot be read is skipped.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import Latent, Sampler
from seeingkit.contracts.generators import check_images
from seeingkit.contracts.ranges import ENOUGH, ValueRange
from seeingkit.errors import ImageError, UsageError
from seeingkit.models.code import identity_of
from seeingkit.specs import PRESETS, Preset
from seeingkit.system.devices import fetched, sent

from .given import check_enough
from .preprocess import apply, quantise
from .stored import Loaded, PreparedImages, collected, in_threads

QUANTISE = 1
"""Version of how images become 8-bit pictures; part of the fingerprint."""


class SeedIds(Sequence[str]):
    """``seed0-000000``, ``seed0-000001``, …: made when asked for, so a million cost nothing."""

    def __init__(self, seed: int, numbers: range) -> None:
        self._seed = seed
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> SeedIds: ...
    def __getitem__(self, index: int | slice) -> str | SeedIds:
        if isinstance(index, slice):
            return SeedIds(self._seed, self._numbers[index])
        return f"seed{self._seed}-{self._numbers[index]:06d}"

    def __iter__(self) -> Iterator[str]:
        return (f"seed{self._seed}-{k:06d}" for k in self._numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class SamplerSource(PreparedImages):
    """Images 0 to n - 1 of a generator.

    Args:
        sampler: the generator.
        n: how many images.
        seed: of the latents.
        labels: for a conditional model, the class of every image, or a list of classes that is
            gone through again and again; by default all classes in turn.
        preset: what happens to each picture; default ``paper``.
        batch: images generated at once.

    Raises:
        UsageError: n or batch below 1, a label that the model does not have, or more images than a
            model that translates images was given.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> SamplerSource(generator, 4, preset=find_preset("native")).read([3]).shape
    torch.Size([1, 3, 64, 64])
    """

    kind = "generator"
    seed: int

    def __init__(
        self,
        sampler: Sampler,
        n: int,
        seed: int = 0,
        labels: Sequence[int] | Tensor | int | None = None,
        preset: Preset | None = None,
        batch: int = 8,
    ) -> None:
        if n < 1:
            raise UsageError(f"n = {n}: ask for at least one image")
        if batch < 1:
            raise UsageError(f"batch = {batch}: generate at least one image at a time")
        self.sampler, self.batch, self.seed = sampler, batch, int(seed)
        self.preset = preset or PRESETS["paper"]
        self.name, self.generator = sampler.info.family, sampler.info
        check_enough(sampler, n, self.seed)
        given = sampler.given_ids(range(n), self.seed)
        self.ids: Sequence[str] = SeedIds(self.seed, range(n)) if given is None else given
        self.labels = _labels(sampler, labels)
        self.range = ValueRange(sampler.info.family)

    def first(self, n: int) -> SamplerSource:
        """Images 0 to n - 1 of the same generator, with the same seed, labels and preset."""
        found = type(self)(
            self.sampler, n, self.seed, self.labels or None, preset=self.preset, batch=self.batch
        )
        found.name, found.range = self.name, self.range
        return found

    def condition(self, index: int) -> int | None:
        """The class of image ``index``, or None for an unconditional generator."""
        return self.labels[index % len(self.labels)] if self.labels else None

    @property
    def every_class(self) -> int:
        """Fewest images, from the first on, that have every class; 1 without classes."""
        return 1 + max((self.labels.index(label) for label in set(self.labels)), default=0)

    # ------------------------------------------------------------------------------------ images

    def latent(self, indices: Sequence[int]) -> Latent:
        """The latents of these images, with their classes, on the generator's device."""
        labels = [self.labels[i % len(self.labels)] for i in indices] if self.labels else None
        latent = self.sampler.latents(indices, seed=self.seed, labels=labels)
        return {key: sent(value, self.sampler.device) for key, value in latent.items()}

    def generate(self, indices: Sequence[int]) -> Tensor:
        """Images of one batch as the generator gives them: (N, 3, H, W) float32.

        Raises:
            ModelError: the generator gave something else, or values of another range.
        """
        with torch.no_grad():
            images = self.sampler(self.latent(indices))
        check_images(images, self.sampler.info, len(indices))
        self.range.add(images)
        return images

    def examine(self) -> str | None:
        """Draw the first images, of which a wrong range is seen, before any are needed.

        Returns:
            a sentence about a range that may be wrong, or None.

        Raises:
            ModelError: as ``generate``.
        """
        count = min(len(self), ENOUGH)
        for start in range(0, count, self.batch):
            self.generate(range(start, min(start + self.batch, count)))
        return self.range.say()

    def quantised(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8] | ImageError]:
        """The 8-bit picture (H, W, 3) of each index, as a PNG would hold it, or why there is none.

        Pictures come in the order asked for; ``batch`` of them are generated at a time.
        """
        for start in range(0, len(indices), self.batch):
            chosen = [int(i) for i in indices[start : start + self.batch]]
            try:
                images = self.generate(chosen)
            except ImageError:  # an image to translate that cannot be read
                yield from self._one_by_one(chosen)
            else:
                yield from self._levels(images, chosen)

    def _one_by_one(self, indices: Sequence[int]) -> Iterator[NDArray[np.uint8] | ImageError]:
        for index in indices:
            try:
                images = self.generate([index])
            except ImageError as error:
                yield error
            else:
                yield from self._levels(images, [index])

    def _levels(
        self, images: Tensor, indices: Sequence[int]
    ) -> Iterator[NDArray[np.uint8] | ImageError]:
        """As ``quantised``, of images that are there."""
        flat, levels = images.flatten(1), quantise(images.nan_to_num())
        faults = torch.stack([flat.isnan().any(1), flat.isinf().any(1)], 1).to(torch.uint8)
        read = fetched(torch.cat([faults, levels.flatten(1)], 1)).numpy()
        nan, inf = read[:, 0], read[:, 1]
        pictures = read[:, 2:].reshape(levels.shape)
        for row, index in enumerate(indices):
            fault = "NaN" if nan[row] else "Inf" if inf[row] else None
            item = self.ids[index]
            yield ImageError(item, f"generator gave {fault}") if fault else pictures[row]

    def load(self, indices: Sequence[int]) -> Loaded:
        """Images of these indices; those with NaN or Inf are named instead.

        Returns:
            images (M, 3, H, W) float32 in [-1, 1] or None when M = 0, the indices they belong
            to, and the rest.
        """
        return self._finished(indices, self.quantised(indices))

    def prepare(self, images: Tensor, indices: Sequence[int]) -> Loaded:
        """As ``load``, of images (N, 3, H, W) that are there: the generator's own or edited ones.

        Raises:
            ModelError: they are no images of this generator, or values of another range.

        >>> generator = seeingkit.load_generator("progan:minichurches")
        >>> source = SamplerSource(generator, 4)
        >>> source.prepare(source.generate([0, 3]), [0, 3])[1]
        [0, 3]
        """
        check_images(images, self.sampler.info, len(indices))
        self.range.add(images)
        return self._finished(indices, self._levels(images, indices))

    def _finished(
        self, indices: Sequence[int], pictures: Iterator[NDArray[np.uint8] | ImageError]
    ) -> Loaded:
        def finish(pair: tuple[int, NDArray[np.uint8] | ImageError]) -> Any:
            index, picture = pair
            if isinstance(picture, ImageError):
                return picture
            return apply(Image.fromarray(picture), self.preset, self.ids[index])

        pairs = zip(indices, pictures, strict=True)
        return collected(indices, in_threads(finish, pairs))

    def stored_side(self, index: int) -> int:
        """The generator's resolution."""
        return self.sampler.info.resolution

    def describe(self) -> dict[str, Any]:
        """See ``ImageSource.describe``; with the images that were translated, if any were."""
        given = self.sampler.given
        translated = {} if given is None else {"translates": given.name}
        return {**super().describe(), **translated}

    # ------------------------------------------------------------------------------- fingerprint

    def identity(self) -> dict[str, Any]:
        """What changes the pixels; n is not part of it."""
        return {
            "quantise": QUANTISE,
            "generator": identity_of(self.sampler),
            "seed": self.seed,
            "labels": list(self.labels),
            "preset": self.preset.identity(),
        }

    @functools.cached_property
    def fingerprint(self) -> str:  # type: ignore[override]
        """Hash of the generator's identity, the seed, the labels and the preset."""
        text = json.dumps(self.identity(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _labels(sampler: Sampler, labels: Sequence[int] | Tensor | int | None) -> tuple[int, ...]:
    classes, family = len(sampler.info.class_names), sampler.info.family
    if not classes:
        if labels is not None:
            raise UsageError(f"{family} is not conditional: give no labels")
        return ()
    if labels is None:
        return tuple(range(classes))
    given = [labels] if isinstance(labels, int) else labels
    found = tuple(int(label) for label in given)
    if not found:
        raise UsageError(f"{family}: an empty list of labels; give at least one")
    for label in found:
        if not 0 <= label < classes:
            raise UsageError(f"{family}: no class {label}; its classes are 0 to {classes - 1}")
    return found
