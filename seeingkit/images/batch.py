"""Images that a program holds, such as a batch of a training, as a source of pictures.

Guarantees: picture k is what would be read back had image k been saved as PNG, to the bit, as of a
generator's images (``sampler``); images of another range than was said are refused; one with NaN or
Inf in it is refused by name. Images that have the preset's size stay on their device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seeingkit.contracts import Skipped
from seeingkit.contracts.ranges import ENOUGH, ValueRange
from seeingkit.errors import ModelError, SourceError
from seeingkit.specs import Preset

from .preprocess import apply, quantise, to_tensor
from .stored import Loaded, PreparedImages, in_threads

Range = Literal["-1..1", "0..1", "0..255"]
"""Range of floating-point images."""

_SCALES: dict[Range, tuple[float, float]] = {
    "-1..1": (1.0, 0.0),
    "0..1": (2.0, -1.0),
    "0..255": (1 / 127.5, -1.0),
}
_STRAY = 1e-3  # share of values that a network without an output function may have far outside
_FEW = (0, 1, 255)  # levels of floats in [0, 1] or [-1, 1] that became whole numbers too early

NOT_FINITE = "it has NaN or Inf in it"
"""Why an image of a batch cannot be used."""


class PixelRange:
    """The range of images that come in batches: said by the user, and checked on the first ones.

    Args:
        said: of floating-point images; uint8 images are levels from 0 to 255.
        name: of the images, for messages.

    >>> PixelRange("0..1").scaled(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)).flatten()
    tensor([-1.,  1.])
    """

    def __init__(self, said: Range = "-1..1", name: str = "images") -> None:
        if said not in _SCALES:
            known = ", ".join(_SCALES)
            raise SourceError(f"{name}: no range {said!r}; images are in one of {known}")
        self.said, self.name, self._seen = said, name, 0
        self._watched = ValueRange(name, "say which range they have (range='0..1' or '0..255')")
        self._levels = np.zeros(256, np.bool_)

    def scaled(self, images: Tensor) -> Tensor:
        """Floating-point images (N, 3, H, W) of the range that was said, to [-1, 1].

        Raises:
            ModelError: they are of another range.
        """
        factor, offset = _SCALES[self.said]
        if self._seen < ENOUGH:  # one look at the first images; later ones cost nothing
            self._look(images)
        found = images.to(torch.float32)
        found = found if self.said == "-1..1" else found.mul(factor).add_(offset)
        if self._seen < ENOUGH:
            self._watched.add(found)
        self._seen += len(images)
        return found

    def levels(self, images: Tensor) -> Tensor:
        """Images (N, H, W, 3) uint8, as they are.

        Raises:
            ModelError: the first ones have no levels but 0, 1 and 255.
        """
        if self._seen < ENOUGH:
            self._levels[torch.unique(images[:ENOUGH]).cpu().numpy()] = True
            self._seen += len(images)
            used = np.flatnonzero(self._levels)
            if self._levels[1] and set(used) <= set(_FEW):
                raise ModelError(
                    f"{self.name}: they have no levels but {', '.join(map(str, used))}, as images "
                    "in [-1, 1] or [0, 1] that became whole numbers; give these as they were"
                )
        return images

    def doubt(self) -> str | None:
        """A sentence about a range that may be wrong, or None."""
        if self._levels.any() and not self._levels[1:255].any():
            return (
                f"{self.name}: the first ones are black and white alone. Check that they were not "
                "in [-1, 1] or [0, 1] before they became whole numbers."
            )
        return self._watched.doubt()

    def _look(self, images: Tensor) -> None:
        """Refuse floating-point images that are of one of the other ranges.

        Raises:
            ModelError: says which.
        """
        flat = images.detach()[:ENOUGH].flatten(1).to(torch.float32)
        flat = flat[torch.isfinite(flat).all(1)]
        if not flat.numel() or self.said == "-1..1":
            return
        low, high = (float(end) for end in torch.aminmax(flat))
        whole = 1.0 if self.said == "0..1" else 255.0
        negative = float((flat < -0.25 * whole).sum()) > _STRAY * flat.numel()
        other = None
        if negative or (self.said == "0..255" and low < 0 and high <= 1.5):
            other = "-1..1"
        elif self.said == "0..1" and high > 8:
            other = "0..255"
        elif self.said == "0..255" and 0 < high <= 1.5:
            other = "0..1"
        if other is not None:
            raise ModelError(
                f"{self.name}: values go from {low:.3g} to {high:.3g}, which is no range "
                f"{self.said}; say range={other!r}"
            )


class BatchImages(PreparedImages):
    """The images of one batch.

    Args:
        images: a tensor (N, 3, H, W), floating point in the range or uint8, or an array
            (N, H, W, 3) of uint8.
        ids: a name for each.
        preset: what happens to each picture.
        range: of floating-point images, with what was seen of earlier ones; default [-1, 1].

    Raises:
        SourceError: no images, of another shape or kind.
        ModelError: values of another range.

    >>> source = BatchImages(torch.zeros(1, 3, 64, 64), ["a"], find_preset("native"))
    >>> source.read([0]).shape
    torch.Size([1, 3, 64, 64])
    """

    kind = "batch"

    def __init__(
        self,
        images: Tensor | NDArray[np.uint8],
        ids: Sequence[str],
        preset: Preset,
        range: PixelRange | None = None,
    ) -> None:
        self.preset, self.ids = preset, tuple(ids)
        seen = range or PixelRange()
        self.name = seen.name
        found = _checked(images, self.name)
        if len(found) != len(self.ids):
            raise SourceError(f"{self.name}: {len(found)} images and {len(self.ids)} ids")
        self._whole: Tensor | None = None  # which images have a number everywhere
        if found.dtype == torch.uint8:
            self.pictures = seen.levels(found)
        else:
            self._whole = torch.isfinite(found.flatten(1)).all(1)
            self.pictures = quantise(seen.scaled(found).nan_to_num())

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """Hash of the pictures and the preset."""
        text = repr((self.ids, tuple(self.pictures.shape), self.preset.identity()))
        data = self.pictures.contiguous().cpu().numpy().tobytes()
        return hashlib.sha256(text.encode() + data).hexdigest()

    def load(self, indices: Sequence[int]) -> Loaded:
        """Images of these indices; those with NaN or Inf are named instead.

        Returns:
            images (M, 3, H, W) float32 in [-1, 1], on the device of the batch, or None when M = 0,
            the indices they belong to, and the rest.
        """
        good, bad = list(indices), []
        if self._whole is not None:
            whole = self._whole.cpu().numpy()
            bad = [k for k in indices if not whole[k]]
            good = [k for k in indices if whole[k]]
        skipped = [Skipped(self.ids[k], NOT_FINITE) for k in bad]
        if not good:
            return None, [], skipped
        chosen = self.pictures[good] if len(good) < len(self.ids) else self.pictures
        return to_tensor(self._sized(chosen, good)), good, skipped

    def _sized(self, pictures: Tensor, indices: Sequence[int]) -> Tensor:
        """Pictures (M, H, W, 3) uint8 after the preset."""
        size = self.preset.size
        if size is None or tuple(pictures.shape[1:3]) == (size, size):
            return pictures

        def prepared(pair: tuple[int, NDArray[np.uint8]]) -> Any:
            index, picture = pair
            return apply(Image.fromarray(picture), self.preset, self.ids[index])

        pairs = zip(indices, pictures.cpu().numpy(), strict=True)
        return torch.from_numpy(np.stack(list(in_threads(prepared, pairs))))


def _checked(images: Any, name: str) -> Tensor:
    """Images as a tensor: (N, 3, H, W) floating point, or (N, H, W, 3) uint8.

    Raises:
        SourceError: another kind or shape.
    """
    if isinstance(images, np.ndarray):
        shape, kind = images.shape, str(images.dtype)
        if images.ndim == 4 and shape[3] == 3 and images.size and images.dtype == np.uint8:
            return torch.from_numpy(np.ascontiguousarray(images))
        expected = "an array is (N, H, W, 3) uint8"
    elif isinstance(images, Tensor):
        shape, kind = tuple(images.shape), str(images.dtype)
        if images.ndim == 4 and shape[1] == 3 and images.numel():
            if images.dtype == torch.uint8:
                return images.detach().permute(0, 2, 3, 1)
            if images.dtype.is_floating_point:
                return images.detach()
        expected = "a tensor is (N, 3, H, W), floating point or uint8"
    else:
        raise SourceError(f"{name}: a {type(images).__name__} holds no images; give a tensor")
    raise SourceError(f"{name}: {kind} of shape {tuple(shape)}; {expected}")
