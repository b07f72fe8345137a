"""``StagedAdapter``: a generator written as a list of named stages.

Guarantees that a subclass cannot get the engine's rules wrong: stages run in order, from any
boundary to any later one, with the network's own tensors or with replacements, and the state handed
out is the state the next stage takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from seeingkit.contracts import (
    Boundary,
    GeneratorInfo,
    Latent,
    RewritableGenerator,
    Site,
    State,
)
from seeingkit.errors import ModelError, UsageError

from .sites import ModuleSites, check_params

Carry = Mapping[str, Tensor]
StageFunction = Callable[[Tensor, Carry], tuple[Tensor, Carry]]


def without_styles(
    boundaries: Sequence[Boundary], stages: Sequence[StageFunction]
) -> tuple[list[Boundary], list[StageFunction]]:
    """The same way without stops at styles: the stages around each of them run as one.

    Args:
        boundaries: n + 1, neither the first nor the last of kind ``style``.
        stages: the n between them.

    Returns:
        the boundaries that are left, counted anew, and the stages between these.

    >>> cuts = [Boundary("input", 0, (3,), "latent"), Boundary("r1.style", 1, (3,), "style")]
    >>> cuts += [Boundary("image", 2, (3, 1, 1), "image")]
    >>> [b.name for b in without_styles(cuts, [lambda x, carry: (x, carry)] * 2)[0]]
    ['input', 'image']
    """
    kept = [k for k, boundary in enumerate(boundaries) if boundary.kind != "style"]
    joined = [
        stages[first] if after == first + 1 else partial(_in_turn, tuple(stages[first:after]))
        for first, after in itertools.pairwise(kept)
    ]
    return [replace(boundaries[k], index=place) for place, k in enumerate(kept)], joined


def _in_turn(stages: Sequence[StageFunction], x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    for stage in stages:
        x, carry = stage(x, carry)
    return x, carry


def _rows(shape: Sequence[int]) -> str:
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"


class _Segment(nn.Module):
    """Runs stages inside ``functional_call``, so that replaced parameters reach them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.network = module

    def forward(
        self, stages: Sequence[StageFunction], x: Tensor, carry: Carry
    ) -> tuple[Tensor, Carry]:
        return _in_turn(stages, x, carry)


class ModuleGenerator(RewritableGenerator):
    """A generator that computes with one module; base of ``StagedAdapter`` and ``AutoStaged``."""

    module: nn.Module
    _sites: ModuleSites | None = None

    def way(self, state: State, to: str) -> tuple[Boundary, Boundary]:
        """The boundaries that a state is at and is to reach.

        Raises:
            UnknownNameError: no such boundary.
            UsageError: a step backwards.
        """
        start, stop = self.boundary(state.at), self.boundary(to)
        if stop.index < start.index:
            raise UsageError(f"cannot go back from boundary {start.name!r} to {stop.name!r}")
        return start, stop

    @property
    def device(self) -> torch.device:
        """Where the network's tensors are."""
        tensors = itertools.chain(self.module.parameters(), self.module.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    def to(self, device: str | torch.device) -> Self:
        """Move the network; returns itself."""
        self.module.to(device)
        return self

    # ------------------------------------------------------------------------------------- sites

    def sites(self) -> tuple[Site, ...]:
        """See ``RewritableGenerator.sites``; found by a few passes, once."""
        return self._known().all()

    def weight(self, site: Site) -> Tensor:
        """See ``RewritableGenerator.weight``."""
        return self._known().weight(site)

    def keys(
        self, state: State, site: Site, *, params: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """See ``RewritableGenerator.keys``."""
        return self._known().keys(state, site, params)

    def linear(self, keys: Tensor, site: Site, weight: Tensor) -> Tensor:
        """See ``RewritableGenerator.linear``."""
        return self._known().linear(keys, site, weight)

    def finish(
        self,
        state: State,
        site: Site,
        linear: Tensor,
        weight: Tensor | None = None,
        *,
        params: Mapping[str, Tensor] | None = None,
    ) -> State:
        """See ``RewritableGenerator.finish``."""
        own = {} if weight is None else {site.weight: weight}
        return self._known().finish(state, site, linear, {**(params or {}), **own})

    def unfinish(
        self,
        state: State,
        site: Site,
        value: Tensor,
        *,
        params: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See ``RewritableGenerator.unfinish``."""
        return self._known().unfinish(state, site, value, params)

    def _known(self) -> ModuleSites:
        if self._sites is None:
            self._sites = ModuleSites(self, self.module)
        return self._sites


class StagedAdapter(ModuleGenerator):
    """A generator given by its network and one function per stage.

    Args:
        module: the network that owns every tensor the stages use; put in eval mode and frozen.
        info: its description.
        boundaries: the n + 1 cuts, ``input`` first and ``image`` last, indices 0..n.
        stages: the n functions ``(x, carry) -> (x, carry)``; stage k goes from cut k to cut k + 1.
            They keep nothing: two threads may run them at once (else say ``thread_safe = False``).

    Attributes:
        config: JSON-able; with the module's tensors, all that rebuilds the model (user's options
            aside). None: the family cannot be exported.

    >>> info = GeneratorInfo(family="flat", resolution=1, latent=(LatentSpec(shape=(3, 1, 1)),))
    >>> cuts = [Boundary("input", 0, (3, 1, 1), "latent"), Boundary("image", 1, (3, 1, 1), "image")]
    >>> generator = StagedAdapter(nn.Identity(), info, cuts, [lambda x, carry: (x.tanh(), carry)])
    >>> generator(generator.latents([0, 1])).shape
    torch.Size([2, 3, 1, 1])
    """

    config: Mapping[str, Any] | None = None
    thread_safe = True

    def __init__(
        self,
        module: nn.Module,
        info: GeneratorInfo,
        boundaries: Sequence[Boundary],
        stages: Sequence[StageFunction],
    ) -> None:
        if (n := len(boundaries)) != len(stages) + 1:
            needed = f"{n} boundaries need {n - 1} stages, there are {len(stages)}"
            raise ModelError(f"{info.family}: {needed}")
        if [b.index for b in boundaries] != list(range(len(boundaries))):
            raise ModelError(f"{info.family}: boundary indices must count 0, 1, 2, …")
        if boundaries[-1].name != "image":
            raise ModelError(f"{info.family}: the last boundary must be named 'image'")
        names = [name for b in boundaries for name in (b.name, *b.aliases)]
        if len(set(names)) != len(names):
            raise ModelError(f"{info.family}: two boundaries share a name or alias")
        self.module, self.info = module.eval().requires_grad_(False), info
        self.boundaries, self.stages = tuple(boundaries), tuple(stages)
        self._segment = _Segment(self.module)

    def begin(self, latent: Latent) -> State:
        """x = z; a label, if any, is carried."""
        for part in self.info.latent:
            shape = tuple(latent[part.name].shape[1:]) if part.name in latent else None
            if shape != tuple(part.shape):
                found = "missing" if shape is None else f"of shape {_rows(shape)}"
                given = f"latent {part.name!r} is {found}, expected {_rows(part.shape)}"
                raise UsageError(f"{self.info.family}: {given}")
        first = self.info.latent[0].name
        rest = {k: v.to(self.device) for k, v in latent.items() if k != first}
        return State(self.boundaries[0].name, latent[first].to(self.device), rest)

    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        """See ``Generator.advance``."""
        start, stop = self.way(state, to)
        stages = self.stages[start.index : stop.index]
        if params:
            known = dict(self.module.named_parameters()) | dict(self.module.named_buffers())
            check_params(self.info.family, params, known)
            swapped = {f"network.{name}": value for name, value in params.items()}
            given = stages, state.x, state.carry
            x, carry = torch.func.functional_call(self._segment, swapped, given)
        else:
            x, carry = self._segment(stages, state.x, state.carry)
        return State(stop.name, x, carry)

    def export(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The network's tensors by name, and ``config``."""
        if self.config is None:
            return super().export()
        return dict(self.module.state_dict()), dict(self.config)
