"""Contract of generators, tier 3: linear layers that can be rewritten as associative memories.

Guarantees: those of ``seeingkit.contracts``; and for every site

* ``finish(state, site, linear(keys(state, site), site, W0))`` is ``advance(state, site.after)``, W0
  being the network's own weight;
* ``linear`` is linear in the keys and in the weight;
* ``unfinish`` inverts ``finish`` where the site is ``elementwise``.

After Bau et al., Rewriting a Deep Generative Model, ECCV 2020, section 3.1: a layer with weight W
stores pairs of keys k and values v ≈ W k, one pair at each place of its map.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from seeingkit.errors import UnknownNameError, UsageError

from .generators import Generator
from .states import State


@dataclass(frozen=True)
class Site:
    """A linear layer between two neighbouring boundaries of a generator.

    Attributes:
        name: that of the boundary after it, ``r16.conv1``; where several layers lie before that
            boundary, with the layer's own name behind it: ``r16.b0.conv2``.
        before: name of the boundary in front of it.
        after: name of the boundary behind it.
        weight: name of the weight among the network's tensors, as ``params=`` takes it.
        shape: (C_out, C_in, kh, kw) of the kernel; kh = kw = 1 for a fully connected layer.
        layout: axes of the stored weight: ``convolution`` (C_out, C_in, kh, kw), ``transposed``
            (C_in, C_out, kh, kw), ``dense`` (C_out, C_in).
        keys: (height, width) of the map of keys; (1, 1) of a vector.
        values: (height, width) of the map of linear values.
        unit: the stored weight of a kernel whose canonical form has numbers around ±1 is ``unit``
            times that form. Steps of an optimiser and norms of an edit are in canonical numbers.
        nonlinear: whether the weight also changes how the values are finished (demodulation).
        elementwise: whether each number at ``after`` depends on the linear value at the same
            channel and place alone, so that ``unfinish`` exists.

    >>> Site("r8.conv1", "r8.conv0", "r8.conv1", "layer4.conv.weight", (128, 128, 3, 3)).rank
    128
    """

    name: str
    before: str
    after: str
    weight: str
    shape: tuple[int, int, int, int]
    layout: Literal["convolution", "transposed", "dense"] = "convolution"
    keys: tuple[int, int] = (1, 1)
    values: tuple[int, int] = (1, 1)
    unit: float = 1.0
    nonlinear: bool = False
    elementwise: bool = True

    @property
    def rank(self) -> int:
        """Channels of a key: an edit cannot have more directions."""
        return self.shape[1]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Of the weight among the network's tensors."""
        outputs, inputs, *kernel = self.shape
        if self.layout == "dense":
            return outputs, inputs
        return (
            (outputs, inputs, *kernel)
            if self.layout == "convolution"
            else (inputs, outputs, *kernel)
        )

    def kernel(self, stored: Tensor) -> Tensor:
        """A stored weight as (C_out, C_in, kh, kw), a view.

        Raises:
            UsageError: a weight of another shape.
        """
        if tuple(stored.shape) != self.stored_shape:
            found = tuple(stored.shape)
            raise UsageError(f"{self.weight} has shape {self.stored_shape}, given is {found}")
        if self.layout == "dense":
            return stored[:, :, None, None]
        return stored if self.layout == "convolution" else stored.transpose(0, 1)

    def stored(self, kernel: Tensor) -> Tensor:
        """The inverse of ``kernel``.

        Raises:
            UsageError: a kernel of another shape.
        """
        if tuple(kernel.shape) != self.shape:
            found = tuple(kernel.shape)
            raise UsageError(f"a kernel of {self.name!r} has shape {self.shape}, given is {found}")
        if self.layout == "dense":
            return kernel[:, :, 0, 0]
        return kernel if self.layout == "convolution" else kernel.transpose(0, 1)


class RewritableGenerator(Generator):
    """Tier 3: a generator whose linear layers can be taken apart and edited.

    An edit is a replacement of one weight by ``params=``; the network's tensors stay as they are.
    """

    @abstractmethod
    def sites(self) -> tuple[Site, ...]:
        """All sites, in the order of computation; possibly none."""

    @abstractmethod
    def weight(self, site: Site) -> Tensor:
        """The generator's own weight at a site, as stored; without history."""

    @abstractmethod
    def keys(
        self, state: State, site: Site, *, params: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The layer's input (N, C_in, h, w), differentiable, of a state at ``site.before``.

        Args:
            state: there.
            site: of this generator.
            params: replacements for some of the network's tensors, as of ``advance``.
        """

    @abstractmethod
    def linear(self, keys: Tensor, site: Site, weight: Tensor) -> Tensor:
        """Linear values (N, C_out, H, W) of keys of any height and width, with zeros around.

        Args:
            keys: (N, C_in, h, w).
            site: of this generator.
            weight: as stored, (``site.stored_shape``).
        """

    @abstractmethod
    def finish(
        self,
        state: State,
        site: Site,
        linear: Tensor,
        weight: Tensor | None = None,
        *,
        params: Mapping[str, Tensor] | None = None,
    ) -> State:
        """The state at ``site.after`` for given linear values.

        Args:
            state: at ``site.before``.
            site: of this generator.
            linear: (N, C_out, H, W).
            weight: as stored; matters where the site is ``nonlinear``. None: the network's own.
            params: replacements for other tensors of the network.
        """

    @abstractmethod
    def unfinish(
        self,
        state: State,
        site: Site,
        value: Tensor,
        *,
        params: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The linear values behind an x at ``site.after``, and the slope there.

        Where a value cannot be reached (below 0 after a ReLU), the nearest one that can is taken.

        Args:
            state: at ``site.before``; the noise, styles and so on of the same image.
            site: ``elementwise``.
            value: x at ``site.after``.
            params: replacements for some of the network's tensors.

        Returns:
            linear values (N, C_out, H, W), and d value / d linear of the same shape.

        Raises:
            UsageError: the site is not elementwise.
        """

    def site(self, name: str) -> Site:
        """The site of that name, or of a boundary's alias that has one site before it.

        Raises:
            UnknownNameError: lists the sites that there are.
        """
        found = self.sites()
        for site in found:
            if site.name == name:
                return site
        try:
            after = self.boundary(name).name
        except UnknownNameError:
            after = ""
        near = [site for site in found if site.after == after]
        if len(near) == 1:
            return near[0]
        raise UnknownNameError("site", name, [site.name for site in near or found])
