"""Feature maps and label maps of the same generated images.

Guarantees: one forward of generator and segmenter an image, however many layers are looked at; a
picture that is segmented is the picture its PNG would be, prepared as for a tally; images are made
in groups of ``GROUP`` consecutive numbers, so that no count depends on a batch size or on which
process made it; an image with NaN or Inf is named and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, Generator, Segmenter, Skipped
from seeingkit.errors import UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.edits import run
from seeingkit.models.geometry import to_image_grid

from .counting import lattice
from .responses import Response

GROUP = 16
"""Images generated at once, and within which maps and label maps are exchanged for the null."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Directions in the feature space of a layer: its channels unless others are given.

    Attributes:
        name: ``units``, or another for people.
        matrix: (K, C) float32: unit k is the sum of channels weighted by row k; None: the channels.

    >>> Basis().of(torch.ones(1, 3, 2, 2)).shape
    torch.Size([1, 3, 2, 2])
    """

    name: str = "units"
    matrix: Tensor | None = None

    def of(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, K, h, w)."""
        if self.matrix is None:
            return maps
        return torch.einsum("kc,nchw->nkhw", self.matrix.to(maps), maps)


@dataclass(frozen=True)
class Layer:
    """What is looked at: a boundary with a map, in some basis; or channels without a map.

    Attributes:
        boundary: where the maps lie; of channels without a map, their responses.
        basis: of the maps.
        response: of channels without a map.

    >>> Layer(Boundary("r8", 2, (512, 8, 8), "feature", (8, 8))).units
    512
    """

    boundary: Boundary
    basis: Basis = Basis()
    response: Response | None = None

    @property
    def name(self) -> str:
        """Of the boundary, and of the basis where that is not its channels."""
        own = self.basis.matrix is None
        return self.boundary.name if own else f"{self.boundary.name}/{self.basis.name}"

    @property
    def units(self) -> int:
        """How many."""
        return self.boundary.shape[0] if self.basis.matrix is None else len(self.basis.matrix)

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of the units at the boundary: all of a map, or the channels that were chosen."""
        return range(self.units) if self.response is None else self.response.units


@dataclass(frozen=True, eq=False)
class Observation:
    """A group of images.

    Attributes:
        indices: numbers of the M images that could be used.
        maps: (M, units, H, W) float32 of each layer, by its name, at the pixels that are counted.
        labels: (M, planes, H, W) int64, there.
        skipped: the others.
        size: (H, W) of the whole label maps.
    """

    indices: list[int]
    maps: Mapping[str, Tensor]
    labels: Tensor | None
    skipped: list[Skipped]
    size: tuple[int, int] = (0, 0)


def layers_of(generator: Generator, names: Sequence[str] = ()) -> list[Boundary]:
    """The boundaries of these names; none: the default cut; ``all``: every feature map.

    Raises:
        UnknownNameError: no such boundary.
        UsageError: one that is neither a feature map nor a style.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> [layer.name for layer in layers_of(generator, ["all"])][:2]
    ['r4.conv0', 'r4.conv1']
    """
    chosen = list(names) or [generator.default_cut]
    if chosen == ["all"]:
        maps = [b for b in generator.boundaries if b.kind == "feature" and b.extent is not None]
        if not maps:
            raise UsageError(f"{generator.info.family} has no feature map to dissect")
        return maps
    found = [generator.boundary(name) for name in chosen]
    for boundary in found:
        if boundary.kind != "style" and (boundary.extent is None or boundary.kind != "feature"):
            known = ", ".join(b.name for b in layers_of(generator, ["all"]))
            raise UsageError(f"{boundary.name} is no feature map; take one of {known}")
    return sorted(dict.fromkeys(found), key=lambda boundary: boundary.index)


def layer_maps(
    source: SamplerSource, layers: Sequence[Layer], indices: Sequence[int]
) -> tuple[dict[str, Tensor], Tensor]:
    """Feature maps (N, units, h, w) of each layer by its name, and the images, of one batch.

    Raises:
        UsageError: a generator that gives images only.

    >>> source = SamplerSource(seeingkit.load_generator("progan:minichurches"), 2)
    >>> layers = [Layer(source.sampler.boundary("r8.conv1"))]
    >>> layer_maps(source, layers, [0, 1])[0]["r8.conv1"].shape
    torch.Size([2, 128, 8, 8])
    """
    generator = source.sampler
    if not isinstance(generator, Generator):
        raise UsageError(f"{generator.info.family} gives images only, so it has no layers")
    names = list(dict.fromkeys(one.boundary.name for one in layers if one.response is None))
    maps: dict[str, Tensor] = {}
    with torch.no_grad():
        start = generator.begin(source.latent(indices))
        end, kept = run(generator, start, keep=names)
        for layer in layers:
            if layer.response is None:
                maps[layer.name] = layer.basis.of(kept[layer.boundary.name])
            else:
                key = source.seed, tuple(indices)
                maps[layer.name] = layer.response.maps(generator, start, end.x, key)
    return maps, end.x


@dataclass(frozen=True)
class Observer:
    """Looks at a generator's images.

    Attributes:
        source: its images; their ``sampler`` is the generator.
        segmenter: labels them.
        layers: where to look.
        side: pixels of a label map that are counted, a side at most; None: all.
    """

    source: SamplerSource
    segmenter: Segmenter
    layers: Sequence[Layer]
    side: int | None = None

    @property
    def made_by(self) -> dict[str, str]:
        """Names and code of the models, for those who look after stored files."""
        generator, segmenter = self.source.sampler.info, self.segmenter.info
        return {
            "of": self.source.name,
            "gan": generator.family,
            "gan_code": generator.code,
            "segmenter": segmenter.family,
            "segmenter_code": segmenter.code,
        }

    def maps(self, indices: Sequence[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Maps of each layer, and the images, without segmenting them."""
        return layer_maps(self.source, self.layers, indices)

    def observe(self, indices: Sequence[int]) -> Observation:
        """The images of these numbers, all at once."""
        with torch.no_grad():
            maps, images = self.maps(indices)
            pictures, good, skipped = self.source.prepare(images, indices)
            if pictures is None:
                return Observation([], {}, None, skipped)
            rows = [k for k, index in enumerate(indices) if index in set(good)]
            labels = self.segmenter.label_maps(pictures.to(self.segmenter.device))
            size = (int(labels.shape[2]), int(labels.shape[3]))
            pixels = lattice(size, self.side)
            if pixels is not None:
                labels = labels[:, :, pixels[0]][:, :, :, pixels[1]]
            if len(rows) < len(indices):
                maps = {name: found[rows] for name, found in maps.items()}
            labels = labels.to(next(iter(maps.values())).device)
            return Observation(good, self._at_pixels(maps, size), labels, skipped, size)

    def again(self, indices: Sequence[int], size: tuple[int, int]) -> dict[str, Tensor]:
        """The maps of images that were observed, at the same pixels, without segmenting."""
        with torch.no_grad():
            return self._at_pixels(self.maps(indices)[0], size)

    def _at_pixels(self, maps: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        pixels = lattice(size, self.side)
        return {
            layer.name: to_image_grid(maps[layer.name], layer.boundary, size, pixels)
            for layer in self.layers
        }

    def groups(self, start: int, stop: int) -> Iterator[Observation]:
        """The images start … stop - 1, a group at a time."""
        for first in range(start, stop, GROUP):
            yield self.observe(range(first, min(first + GROUP, stop)))
