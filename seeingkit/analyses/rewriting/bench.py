"""A generator at one site: keys, linear values and values of its images, each made alone, and of
photos that were inverted.

Guarantees: an image is one row of its own batch, so that nothing depends on which others are asked
for; nothing of the generator is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seeingkit.contracts import Generator, Latent, RewritableGenerator, Site, State
from seeingkit.errors import UsageError

from .regions import PhotoRegion, Region


@dataclass(frozen=True, eq=False)
class Bench:
    """A generator at a site.

    Args:
        generator: of tier 3.
        site: one of its sites.
        seed: of the latents.
        labels: of a conditional generator: image i is of class labels[i % len(labels)];
            default: all classes in turn.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> Bench(generator, generator.site("r16.conv1")).keys(3).shape
    torch.Size([1, 96, 16, 16])
    """

    generator: RewritableGenerator
    site: Site
    seed: int = 0
    labels: tuple[int, ...] = ()

    @property
    def weight(self) -> Tensor:
        """The network's own weight, as stored."""
        return self.generator.weight(self.site)

    @property
    def kernel(self) -> Tensor:
        """The weight as (C_out, C_in, kh, kw), in canonical numbers (``Site.unit``)."""
        return self.site.kernel(self.weight) / self.site.unit

    def stored(self, kernel: Tensor) -> Tensor:
        """The inverse of ``kernel``, for ``params=``."""
        return self.site.stored(kernel * self.site.unit)

    @torch.no_grad()
    def state(self, which: int | Region) -> State:
        """An image at ``site.before``, without history.

        Args:
            which: its number, or a region of it: of a photo its inversion.

        Raises:
            UsageError: a photo that is not inverted, or behind the site.
        """
        if isinstance(which, PhotoRegion):
            begin = state_on(which.found.state, self.weight.device)
            check_behind(self.generator, self.site, begin.at)
        else:
            index = which.index if isinstance(which, Region) else which
            latent = latent_of(self.generator, index, self.seed, self.labels)
            begin = self.generator.begin(latent)
        return self.generator.advance(begin, self.site.before).detach()

    @torch.no_grad()
    def keys(self, which: int | Region) -> Tensor:
        """Keys of an image, (1, C_in, h, w); argument as of ``state``."""
        return self.generator.keys(self.state(which), self.site)

    def values(self, state: State, kernel: Tensor | None = None) -> Tensor:
        """x at ``site.after`` of a state, with a kernel in canonical numbers; differentiable."""
        if kernel is None:
            return self.generator.advance(state, self.site.after).x
        params = {self.site.weight: self.stored(kernel)}
        return self.generator.advance(state, self.site.after, params=params).x

    def linear(self, keys: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Linear values of keys, in stored numbers; differentiable."""
        weight = self.weight if kernel is None else self.stored(kernel)
        return self.generator.linear(keys, self.site, weight)

    @torch.no_grad()
    def image(self, which: int | Region, kernel: Tensor | None = None) -> Tensor:
        """An image, (1, 3, R, R), with another kernel where one is given; of a photo that of its
        inversion."""
        params = None if kernel is None else {self.site.weight: self.stored(kernel)}
        return self.generator.advance(self.state(which), params=params).x

    @torch.no_grad()
    def responses(self, keys: Tensor, kernels: Tensor, marked: Tensor) -> Tensor:
        """Linear values of kernels at some places, (P, J) float64.

        An output channel depends on its own kernel alone, so the layer computes as many at once as
        it has outputs, whatever it does with keys beside (growing, blurring).

        Args:
            keys: (N, C_in, h, w).
            kernels: (J, C_in, kh, kw), in canonical numbers.
            marked: (N, H, W) bool, the places.
        """
        outputs, found = self.site.shape[0], []
        for start in range(0, len(kernels), outputs):
            some = kernels[start : start + outputs]
            filled = torch.zeros_like(self.kernel)
            filled[: len(some)] = some
            linear = self.linear(keys, filled)[:, : len(some)]
            found.append(linear.movedim(1, -1)[marked].double().cpu())
        return torch.cat(found, 1)


def state_on(state: State, device: torch.device) -> State:
    """A state with its tensors on a device.

    >>> state_on(State("r8", torch.zeros(1, 4, 8, 8)), torch.device("cpu")).at
    'r8'
    """
    carry = {name: value.to(device) for name, value in state.carry.items()}
    return replace(state, x=state.x.to(device), carry=carry)


def is_behind(generator: Generator, site: Site, cut: str) -> bool:
    """Whether a site lies at a boundary or behind it, so that states there can be taken to it.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> is_behind(generator, generator.site("r16.conv1"), "r8.conv1")
    True
    """
    return generator.boundary(site.before).index >= generator.boundary(cut).index


def check_behind(generator: Generator, site: Site, cut: str) -> None:
    """Refuse a site in front of the boundary at which photos are inverted.

    Raises:
        UsageError: names both.

    ``check_behind(generator, generator.site("r16.conv1"), "r8.conv1")``
    """
    if not is_behind(generator, site, cut):
        raise UsageError(
            f"site {site.name!r} begins at {site.before!r}, in front of "
            f"{generator.boundary(cut).name!r}, where photos are inverted: name a later site"
        )


def latent_of(
    generator: Generator, index: int, seed: int = 0, labels: tuple[int, ...] = ()
) -> Latent:
    """The latent of one image; seed and labels as of ``Bench``.

    Raises:
        UsageError: a number beyond the images that a generator was given to translate.

    >>> latent_of(seeingkit.load_generator("progan:minichurches"), 3)["z"].shape
    torch.Size([1, 128])
    """
    generator.check_number(index, seed)
    turn = labels or range(len(generator.info.class_names))
    chosen = [turn[index % len(turn)]] if turn else None
    return generator.latents([index], seed=seed, labels=chosen)
