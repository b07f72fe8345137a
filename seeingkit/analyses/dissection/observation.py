"""Feature maps and label maps of the same generated images.

Guarantees: one forward of generator and segmenter an image, however many layers are looked at; a
picture that is segmented is the picture its PNG would be, prepared as for a tally; images are made
in groups (``grouping``), so that no count depends on a batch size or on which process made it; an
image with NaN or Inf is named and left out. Maps are laid over the image when they are asked for,
some units at a time, so that memory does not grow with layers times pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seeingkit.contracts import Boundary, Generator, Segmenter, Skipped
from seeingkit.errors import ModelError, UsageError
from seeingkit.images import SamplerSource
from seeingkit.models.edits import run
from seeingkit.models.geometry import to_image_grid

from .counting import lattice
from .grouping import GROUP
from .responses import Response

MAPS = 1 << 26
"""Values of feature maps of all layers that are held at once (256 MiB): of a large network, images
are made fewer than ``GROUP`` at a time."""


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


class PixelMaps(Mapping[str, Tensor]):
    """Feature maps at the pixels that are counted, laid over the image when they are asked for.

    Args:
        maps: (M, units, h, w) of each layer, by its name.
        layers: where they lie.
        size: (H, W) of a whole label map.
        pixels: of it, rows and columns that are counted; None: all.

    >>> layer = Layer(Boundary("r1", 1, (3, 1, 1), "feature", (1, 1)))
    >>> PixelMaps({"r1": torch.ones(2, 3, 1, 1)}, [layer], (8, 8)).of("r1", 0, 2).shape
    torch.Size([2, 2, 8, 8])
    """

    def __init__(
        self,
        maps: Mapping[str, Tensor],
        layers: Sequence[Layer],
        size: tuple[int, int],
        pixels: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._size, self._pixels = size, pixels
        self._maps, self._laid = dict[str, Tensor](), set[str]()
        counted = None if pixels is None else len(pixels[0]) * len(pixels[1])
        for name, found in maps.items():
            self._maps[name] = found
            if counted is not None and found.shape[2] * found.shape[3] > counted:
                self._maps[name] = self.of(name)  # fewer values than the map itself has
                self._laid.add(name)

    @classmethod
    def joined(cls, parts: Sequence[PixelMaps]) -> PixelMaps:
        """The images of all parts, which have the same layers, in this order."""
        first = parts[0]
        if len(parts) == 1:
            return first
        found = cls({}, list(first._layers.values()), first._size, first._pixels)
        found._laid = first._laid
        found._maps = {name: torch.cat([part._maps[name] for part in parts]) for name in first}
        return found

    def of(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """(M, stop - start, H, W) of some units of a layer."""
        maps = self._maps[name][:, start:stop]
        if name in self._laid:
            return maps
        return to_image_grid(maps, self._layers[name].boundary, self._size, self._pixels)

    def __getitem__(self, name: str) -> Tensor:
        return self.of(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)


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

    def values(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """(M, stop - start, H, W): the maps of some units of a layer at the pixels."""
        if isinstance(self.maps, PixelMaps):
            return self.maps.of(name, start, stop)
        return self.maps[name][:, start:stop]


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
        on_bad: ``fail``: the first image with NaN or Inf is an error; ``skip``: it is left out.
    """

    source: SamplerSource
    segmenter: Segmenter
    layers: Sequence[Layer]
    side: int | None = None
    on_bad: str = "skip"

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

    @property
    def at_once(self) -> int:
        """Images made at once: ``GROUP``, or half of it and so on by ``MAPS``."""
        values = sum(_values_of(layer) for layer in self.layers)
        rows = GROUP
        while rows > 1 and rows * values > MAPS:
            rows //= 2
        return rows

    def maps(self, indices: Sequence[int]) -> tuple[dict[str, Tensor], Tensor]:
        """Maps of each layer, and the images, without segmenting them."""
        made = [layer_maps(self.source, self.layers, some) for some in self._some(indices)]
        if len(made) == 1:
            return made[0]
        joined = {name: torch.cat([maps[name] for maps, _ in made]) for name in made[0][0]}
        return joined, torch.cat([images for _, images in made])

    def observe(self, indices: Sequence[int]) -> Observation:
        """The images of these numbers.

        Raises:
            ModelError: an image with NaN or Inf, with ``on_bad="fail"``; models that break their
                contract.
        """
        seen = [self._observe(some) for some in self._some(indices)]
        skipped = [one for part in seen for one in part.skipped]
        used = [part for part in seen if part.labels is not None]
        if not used:
            return Observation([], {}, None, skipped)
        maps = [part.maps for part in used if isinstance(part.maps, PixelMaps)]
        labels = [part.labels for part in used if part.labels is not None]
        numbers = [index for part in used for index in part.indices]
        joined = PixelMaps.joined(maps)
        return Observation(numbers, joined, torch.cat(labels), skipped, used[0].size)

    def _observe(self, indices: Sequence[int]) -> Observation:
        with torch.no_grad():
            maps, images = layer_maps(self.source, self.layers, indices)
            pictures, good, skipped = self.source.prepare(images, indices)
            if skipped and self.on_bad == "fail":
                raise ModelError(f"{skipped[0].item}: {skipped[0].reason}")
            if pictures is None:
                return Observation([], {}, None, skipped)
            labels = self.segmenter.label_maps(pictures.to(self.segmenter.device))
            size = (int(labels.shape[2]), int(labels.shape[3]))
            pixels = lattice(size, self.side)
            if pixels is not None:
                labels = labels[:, :, pixels[0]][:, :, :, pixels[1]]
            if len(good) < len(indices):
                rows = [k for k, index in enumerate(indices) if index in set(good)]
                maps = {name: found[rows] for name, found in maps.items()}
            labels = labels.to(next(iter(maps.values())).device)
            found = PixelMaps(maps, self.layers, size, pixels)
            return Observation(good, found, labels, skipped, size)

    def again(self, indices: Sequence[int], size: tuple[int, int]) -> PixelMaps:
        """The maps of images that were observed, at the same pixels, without segmenting."""
        found, pixels = list[PixelMaps](), lattice(size, self.side)
        with torch.no_grad():
            for some in self._some(indices):
                maps, _ = layer_maps(self.source, self.layers, some)
                found.append(PixelMaps(maps, self.layers, size, pixels))
        return PixelMaps.joined(found)

    def _some(self, indices: Sequence[int]) -> list[Sequence[int]]:
        rows = self.at_once
        return [indices[start : start + rows] for start in range(0, len(indices), rows)]

    def groups(self, groups: Sequence[Sequence[int]]) -> Iterator[Observation]:
        """The images of each group (``grouping.groups_of``), a group at a time."""
        for group in groups:
            yield self.observe(group)


def _values_of(layer: Layer) -> int:
    extent = layer.boundary.extent or (1, 1)
    return max(math.prod(layer.boundary.shape), layer.units * extent[0] * extent[1])
