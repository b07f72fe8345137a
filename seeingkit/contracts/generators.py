"""Contract of generators: tier 1, latents in and images out; tier 2, named boundaries.

Guarantees: those of ``seeingkit.contracts``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import field_validator
from torch import Tensor

from seeingkit.errors import ModelError, UnknownNameError, UsageError, one_line

from .base import ModelInfo, OnDevice
from .given import GivenImages, check_number, given_numbers, read_given, series_length
from .latents import Latent, LatentSpec, draw_latents
from .states import Boundary, State


class GeneratorInfo(ModelInfo):
    """Description of a loaded generator. Everything that changes its images is in here.

    Attributes:
        resolution: height and width of the images in pixels.
        channels: colour channels of the images.
        value_range: nominal range of the images; no other than -1 to 1 can be used.
        latent: its random inputs.
        class_names: names of the classes of a conditional model, else empty; a name becomes one
            line of printable characters.
        options: resolved options (truncation, noise policy, latent convention, …).
        images_sha256: hash of a few images, for a model whose code is part of it (any
            ``nn.Module``, a user's program); None where family and weights say all.

    >>> info = GeneratorInfo(family="mygan", resolution=64, latent=(LatentSpec(shape=(128,)),))
    >>> info.latent[0].name
    'z'
    """

    resolution: int
    channels: int = 3
    value_range: tuple[float, float] = (-1.0, 1.0)
    latent: tuple[LatentSpec, ...]
    class_names: tuple[str, ...] = ()
    images_sha256: str | None = None

    @field_validator("class_names")
    @classmethod
    def _printable(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(one_line, names))

    def identity(self) -> dict[str, Any]:
        """See ``ModelInfo.identity``."""
        found = {**super().identity(), "latent": [part.identity() for part in self.latent]}
        if self.images_sha256 is None:
            del found["images_sha256"]
        return found


class OwnEncoder(NamedTuple):
    """Where the encoder lies that was trained together with a generator and came with it.

    Attributes:
        name: of a registered encoder.
        weights: its file, which may be the generator's own.
        options: of that encoder.

    >>> OwnEncoder("mygan", Path("netE.pth")).options
    {}
    """

    name: str
    weights: Path
    options: Mapping[str, Any] = {}


def check_images(images: object, info: GeneratorInfo, rows: int) -> None:
    """Refuse images that are not float32 RGB of the size that the generator declares.

    Their values are not looked at: single images may hold NaN, which is told of each.

    Raises:
        ModelError: names the generator and the fault.

    >>> info = GeneratorInfo(family="mygan", resolution=64, latent=(LatentSpec(shape=(128,)),))
    >>> check_images(torch.zeros(2, 3, 64, 64), info, 2)
    """
    if not isinstance(images, Tensor):
        raise ModelError(f"{info.family} gave a {type(images).__name__} instead of images")
    shape, expected = tuple(images.shape), (rows, 3, info.resolution, info.resolution)
    if shape != expected:
        raise ModelError(
            f"{info.family} gave images of shape {shape}; expected {expected}, as many as were "
            f"asked for and as large as it declares ({info.resolution} pixels)"
        )
    if images.dtype != torch.float32:
        raise ModelError(f"{info.family} gave images of {images.dtype}; expected torch.float32")
    if info.value_range != (-1.0, 1.0):
        low, high = info.value_range
        raise ModelError(
            f"{info.family} declares images from {low:g} to {high:g}; expected -1 to 1: scale them "
            "in its adapter"
        )


class Sampler(OnDevice, ABC):
    """Tier 1: latents in, images out. Enough for class statistics and FSD.

    Attributes:
        given: the images that a model translates (``LatentSpec.distribution``: ``image``); None
            where none were named, and of a model that draws its latents.
        weighted: whether the model takes ``c`` (N, classes) in place of ``label``: one weight a
            class, as of attributes of which several may hold at once.
        thread_safe: whether two threads may ask for images at once, without ``params``: nothing
            that a pass leaves behind is read by another. On a CPU two batches may then be made at
            once, which is faster; the conformance kit tries it.
    """

    info: GeneratorInfo
    given: GivenImages | None = None
    weighted: bool = False
    thread_safe: bool = False

    def latents(
        self,
        indices: Sequence[int],
        *,
        seed: int = 0,
        labels: Sequence[int] | Tensor | None = None,
    ) -> Latent:
        """Latents of the given image numbers; row k depends on (seed, indices[k]) only.

        Args:
            indices: image numbers, not negative.
            seed: of the series.
            labels: one class an image; of a model that is ``weighted`` also (N, classes) weights.

        Returns:
            each of ``info.latent`` by name, such as ``{"z": (N, D) float32}``, on the CPU, and
            ``label`` (N,) int64, or ``c`` (N, classes) float32, if conditional.

        Raises:
            UsageError: labels missing, too few or out of range; images to translate that were not
                given.
            ImageError: an image to translate that cannot be read.
        """
        convention = str(self.info.options.get("latents", "seeds"))
        drawn = [part for part in self.info.latent if part.distribution != "image"]
        latent = draw_latents(drawn, indices, seed=seed, convention=convention)
        for part in self.info.latent:
            if part.distribution == "image":
                latent[part.name] = read_given(part, self.given, indices, seed)
        if self.info.class_names:
            latent |= self._conditions(labels, len(indices))
        return latent

    def _conditions(self, labels: Sequence[int] | Tensor | None, rows: int) -> dict[str, Tensor]:
        """``label`` or ``c`` of a conditional model."""
        family, classes = self.info.family, len(self.info.class_names)
        if labels is None:
            raise UsageError(f"{family} is conditional: give labels")
        if isinstance(labels, Tensor) and labels.ndim == 2:
            if not self.weighted:
                raise UsageError(f"{family} takes one class an image, no weights of classes")
            if tuple(labels.shape) != (rows, classes) or not bool(torch.isfinite(labels).all()):
                raise UsageError(f"{family}: weights of classes are ({rows}, {classes}), finite")
            return {"c": labels.to("cpu", torch.float32)}
        given = torch.as_tensor(labels, dtype=torch.int64).flatten()
        if len(given) != rows or not bool(((given >= 0) & (given < classes)).all()):
            raise UsageError(
                f"{family}: give one label from 0 to {classes - 1} for each of the {rows} images"
            )
        return {"label": given}

    @property
    def translates(self) -> bool:
        """Whether one of its inputs is an image, given and not drawn."""
        return any(part.distribution == "image" for part in self.info.latent)

    def images_at_most(self, seed: int = 0) -> int | None:
        """How many different images the series of a seed has; None: as many as are asked for."""
        if not self.translates:
            return None
        return 0 if self.given is None else series_length(len(self.given), seed)

    def check_number(self, index: int, seed: int = 0) -> None:
        """Image ``index`` of a series is another one than those before it.

        Raises:
            UsageError: a model that translates images was given fewer.
        """
        check_number(self.info.family, self.given, index, seed, translates=self.translates)

    def given_ids(self, indices: Sequence[int], seed: int = 0) -> list[str] | None:
        """Names of the images that image numbers are translations of; None where none are given."""
        if not self.translates or self.given is None:
            return None
        return [self.given.ids[k] for k in given_numbers(len(self.given), indices, seed)]

    @abstractmethod
    def __call__(self, latent: Latent) -> Tensor:
        """Images (N, 3, H, W) float32, nominal [-1, 1], RGB, as the original gives them."""

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors of this model, and a JSON-able config of everything else that rebuilds it.

        ``seeingkit weights convert`` writes them; the family's target reads them back.

        Raises:
            UsageError: the family has no such form.
        """
        raise UsageError(f"{self.info.family} cannot be written as safetensors")


class Generator(Sampler):
    """Tier 2: a generator that can be entered and left at named boundaries.

    Attributes:
        boundaries: in the order of computation.
        inverted_with: carried tensors that belong to r: where x alone does not determine the image
            (styles, a skip image), layer inversion optimises them too, wherever they are carried.
        own_encoder: where the encoder lies that came with it, or None.
    """

    boundaries: tuple[Boundary, ...]
    inverted_with: tuple[str, ...] = ()
    own_encoder: OwnEncoder | None = None

    def boundary(self, name: str) -> Boundary:
        """The boundary of that name or alias.

        Raises:
            UnknownNameError: lists the boundaries that exist.
        """
        for boundary in self.boundaries:
            if name == boundary.name or name in boundary.aliases:
                return boundary
        raise UnknownNameError("boundary", name, [b.name for b in self.boundaries])

    @property
    def default_cut(self) -> str:
        """Where layer inversion cuts unless told otherwise; adapters may know better.

        The last feature map of at most max(4, R / 32) pixels a side. For a ProGAN of 256 pixels
        that is the paper's r, the fourth layer's 8x8 map (Bau et al. 2019, section 4.2).
        """
        most = max(4, self.info.resolution // 32)
        inner = [b for b in self.boundaries[1:-1] if b.kind != "style"]
        small = [b for b in inner if b.extent and max(b.extent) <= most]
        if not inner:
            raise UsageError(f"{self.info.family} has no boundary between input and image to cut")
        return (small[-1] if small else inner[len(inner) // 2]).name

    @abstractmethod
    def begin(self, latent: Latent) -> State:
        """The state at boundary 0 (``input``)."""

    @abstractmethod
    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        """The state at a later boundary. Pure; differentiable in ``state.x`` and ``params``.

        Args:
            state: where to start.
            to: name or alias of the boundary to stop at, not before ``state.at``.
            params: replacements for some of the network's own tensors, by name.
        """

    def __call__(self, latent: Latent) -> Tensor:
        """Images (N, 3, H, W) of the latents, without history."""
        with torch.no_grad():
            return self.advance(self.begin(latent)).x
