"""Sites of a generator that computes with one module: its linear layers, found by observing passes.

Guarantees: a site is a layer that one pass calls once, whose input depends on x at the boundary
before it, and whose output was seen to be ``linear`` plus its bias; nothing of the module is
changed, but for its layers' ``forward`` while a call lasts (so one thread at a time).

Layers of torch (``Conv2d``, ``ConvTranspose2d``, ``Linear``) are found as they are. A network that
computes with functions and weights of its own calls a ``LinearMap`` in the place of the function.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seeingkit.contracts import Boundary, Generator, Site, State
from seeingkit.errors import ModelError, UnknownNameError, UsageError

from .calltree import intercepted
from .probe import trial_latents
from .roots import Root, root_of

TOLERANCE = 1e-4
"""Of the largest number: by how much a layer may differ from its linear map plus bias."""

CLOSE = 1e-6
"""How near to a value (times the largest number of all) ``unfinish`` has to come."""

Params = Mapping[str, Tensor] | None
Operation = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Layout = Literal["convolution", "transposed", "dense"]


class LinearMap(nn.Module):
    """A linear operation on a map, with a weight that its parent owns; has no tensors itself.

    Args:
        operation: of (keys (N, C_in, h, w), weight (C_out, C_in, kh, kw), bias (C_out,) or None) to
            values (N, C_out, H, W); linear in keys and weight.
        weight: name of the weight among the parent's tensors.
        unit: see ``Site.unit``; None: the root mean square of the weight.

    >>> convolution = LinearMap(partial(F.conv2d, padding=1))
    >>> convolution(torch.ones(1, 2, 4, 4), torch.ones(5, 2, 3, 3), gain=0.5).shape
    torch.Size([1, 5, 4, 4])
    """

    def __init__(
        self, operation: Operation, weight: str = "weight", unit: float | None = None
    ) -> None:
        super().__init__()
        self.operation, self.owned, self.unit = operation, weight, unit

    def forward(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, gain: float | Tensor = 1.0
    ) -> Tensor:
        """Values of x: ``gain`` times those of the weight, plus the bias."""
        scaled = weight if isinstance(gain, float) and gain == 1.0 else weight * gain
        return self.operation(x, scaled, bias)


def check_params(family: str, params: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> None:
    """Refuse replacements of tensors that are not there, or of another shape.

    Raises:
        UnknownNameError: no such tensor.
        UsageError: another shape; torch would lay it along the own one's axes.

    >>> check_params("mygan", {"w": torch.ones(2)}, {"w": torch.zeros(2)})
    """
    for name, value in params.items():
        if name not in known:
            raise UnknownNameError("parameter", name, known, f"in {family}")
        if value.shape != known[name].shape:
            found, own = tuple(value.shape), tuple(known[name].shape)
            raise UsageError(f"{family}: parameter {name!r} has shape {own}, given is {found}")


@dataclass(frozen=True)
class Place:
    """A site, and the path of the module that computes it."""

    site: Site
    path: str


class ModuleSites:
    """The sites of a generator that computes with one module.

    Args:
        generator: any.
        module: that all its stages compute with.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> [site.name for site in ModuleSites(generator, generator.module).all()][:2]
    ['r4.conv0', 'r4.conv1']
    """

    def __init__(self, generator: Generator, module: nn.Module) -> None:
        self.generator, self.module = generator, module
        self.places: dict[str, Place] = {}
        self.places = self._found()

    @property
    def owned(self) -> dict[str, Tensor]:
        """Weights by name as they are now, but for those that several modules share."""
        every = list(self.module.named_parameters(remove_duplicate=False))
        times = Counter(id(value) for _, value in every)
        return {name: value for name, value in every if times[id(value)] == 1}

    def all(self) -> tuple[Site, ...]:
        """In the order of computation."""
        return tuple(place.site for place in self.places.values())

    def place(self, site: Site) -> Place:
        """Where a site is computed.

        Raises:
            UnknownNameError: no such site.
        """
        if site.name not in self.places:
            raise UnknownNameError("site", site.name, self.places, f"in {self._family}")
        return self.places[site.name]

    # ------------------------------------------------------------------- the four steps of a site

    def weight(self, site: Site) -> Tensor:
        """See ``RewritableGenerator.weight``."""
        return self.module.get_parameter(self.place(site).site.weight).detach()

    def keys(self, state: State, site: Site, params: Params = None) -> Tensor:
        """See ``RewritableGenerator.keys``."""
        return self._keys(state, self.place(site), params)

    def linear(self, keys: Tensor, site: Site, weight: Tensor) -> Tensor:
        """See ``RewritableGenerator.linear``."""
        site.kernel(weight)  # refuses other shapes
        module = self._layer(self.place(site))
        operation = _operation(module)
        assert operation is not None
        if isinstance(module, nn.Linear):
            return operation(keys[:, :, 0, 0], weight, None)[:, :, None, None]
        return operation(keys, weight, None)

    def finish(self, state: State, site: Site, linear: Tensor, params: Params = None) -> State:
        """See ``RewritableGenerator.finish``."""
        return self._finished(state, self.place(site), linear, params)

    def unfinish(
        self, state: State, site: Site, value: Tensor, params: Params = None
    ) -> tuple[Tensor, Tensor]:
        """See ``RewritableGenerator.unfinish``: Newton's method for each number by itself."""
        place = self.place(site)
        if not place.site.elementwise:
            raise UsageError(
                f"site {site.name!r}: numbers of the map are mixed between the layer and "
                f"{site.after!r}, so values there have no linear values behind them"
            )
        state, value = self._checked(state, site).detach(), value.detach()
        with torch.no_grad():
            weight = (params or {}).get(site.weight, self.weight(site))
            linear = self.linear(self._keys(state, place, params), site, weight)
        near = CLOSE * float(value.abs().max()) + torch.finfo(value.dtype).tiny

        def tried(there: Tensor) -> Root:
            found, slope = self._slope(state, place, there, params)
            return Root(there, value - found, slope)

        best = root_of(tried, linear, _spread(linear), near)
        return best.x, best.slope

    # ------------------------------------------------------------------------------------- passes

    @property
    def _family(self) -> str:
        return self.generator.info.family

    def _layer(self, place: Place) -> nn.Module:
        return self.module.get_submodule(place.path)

    def _checked(self, state: State, site: Site) -> State:
        if self.generator.boundary(state.at).name != site.before:
            raise UsageError(f"site {site.name!r} begins at {site.before!r}, not at {state.at!r}")
        return state

    def _keys(self, state: State, place: Place, params: Params = None) -> Tensor:
        def handler(
            module: nn.Module, forward: Callable[..., Any], *given: Any, **more: Any
        ) -> Any:
            raise _Captured(given[0] if given else more["input"])

        state, after = self._checked(state, place.site), place.site.after
        try:
            with intercepted([self._layer(place)], handler):
                self.generator.advance(state, after, params=params or None)
        except _Captured as captured:
            keys: Tensor = captured.args[0]
            return keys if keys.ndim == 4 else keys[:, :, None, None]
        raise ModelError(f"{self._family}: the pass never reached {place.path!r}")

    def _finished(self, state: State, place: Place, linear: Tensor, params: Params) -> State:
        def handler(
            module: nn.Module, forward: Callable[..., Any], *given: Any, gain: Any = 1.0, **_: Any
        ) -> Tensor:
            if isinstance(module, nn.Linear):
                rows = linear[:, :, 0, 0]
                return rows if module.bias is None else rows + module.bias
            scaled: Tensor = linear * gain
            if isinstance(module, LinearMap):
                offset = _offset(module, linear, *given)
            else:
                bias: Any = module.bias
                offset = None if bias is None else bias[:, None, None]
            return scaled if offset is None else scaled + offset

        state, after = self._checked(state, place.site), place.site.after
        with intercepted([self._layer(place)], handler):
            return self.generator.advance(state, after, params=params or None)

    def _slope(
        self, state: State, place: Place, linear: Tensor, params: Params
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            given = linear.detach().requires_grad_()
            value = self._finished(state, place, given, params).x
            (slope,) = torch.autograd.grad(value.sum(), given)
        return value.detach(), slope

    # ---------------------------------------------------------------------------------- discovery

    @torch.no_grad()
    def _found(self) -> dict[str, Place]:
        """All sites by name, in the order of computation. Runs a few passes of one image."""
        generator = self.generator
        paths = {layer: path for path, layer in self.module.named_modules() if _operation(layer)}
        found: dict[str, Place] = {}
        state = generator.begin(trial_latents(generator, [0]))
        times = Counter(call.path for call in self._calls(paths, state, "image"))
        for boundary in generator.boundaries[1:]:
            moved = state.with_x(state.x + 0.5 * _spread(state.x))
            others = {call.path: call.given[0] for call in self._calls(paths, moved, boundary.name)}
            here: dict[str, dict[str, Any]] = {}
            for call in self._calls(paths, state, boundary.name):
                keys, other = call.given[0], others.get(call.path)
                moves = other is not None and not torch.equal(keys, other)
                shown = self._shown(call) if moves and times[call.path] == 1 else None
                if shown is not None:
                    here[call.path] = shown
            for path, name in _names(boundary, here).items():
                site = Site(name=name, before=state.at, after=boundary.name, **here[path])
                found[name] = place = Place(site, path)
                self.places = {**found}
                found[name] = self._measured(state, place)
            state = generator.advance(state, boundary.name)
        return found

    def _calls(self, paths: Mapping[nn.Module, str], state: State, to: str) -> list[_Call]:
        calls: list[_Call] = []

        def handler(
            module: nn.Module, forward: Callable[..., Any], *given: Any, **more: Any
        ) -> Any:
            output = forward(*given, **more)
            keys = given or (more.get("input"),)
            known = more.keys() <= ({"gain"} if isinstance(module, LinearMap) else {"input"})
            if known and isinstance(output, Tensor) and isinstance(keys[0], Tensor):
                kept = (keys[0].clone(), *keys[1:])  # what comes next may well be in place
                calls.append(_Call(paths[module], kept, output.clone()))
            return output

        with intercepted(paths, handler):
            self.generator.advance(state, to)
        return calls

    def _shown(self, call: _Call) -> dict[str, Any] | None:
        """The attributes of a site that one call shows; None where it is none."""
        layer = self.module.get_submodule(call.path)
        keys, output, owned = call.given[0], call.output, self.owned
        layout: Layout = "convolution"
        if isinstance(layer, LinearMap):
            name = ".".join([*call.path.split(".")[:-1], layer.owned])
            if name not in owned:
                return None  # several modules compute with it
            if owned[name] is not call.given[1]:
                raise ModelError(f"{call.path!r} computes with another weight than {name!r}")
            unit = layer.unit
        else:
            name, unit = f"{call.path}.weight", None
            if isinstance(layer, nn.Linear):
                layout = "dense"
            elif isinstance(layer, nn.ConvTranspose2d):
                layout = "transposed"
            operation = _operation(layer)
            if name not in owned or keys.ndim != (2 if layout == "dense" else 4):
                return None  # a weight that is computed, or a layer on rows of vectors
            assert operation is not None
            bias: Any = layer.bias
            plain = operation(keys, owned[name], bias)
            if plain.shape != output.shape or not _near(plain, output):
                return None  # a class of its own, with another forward
        weight = owned[name]
        shape = weight.transpose(0, 1).shape if layout == "transposed" else weight.shape
        return {
            "weight": name,
            "shape": (*shape, 1, 1) if layout == "dense" else tuple(shape),
            "layout": layout,
            "unit": unit or float(weight.double().square().mean().sqrt()) or 1.0,
            "keys": tuple(keys.shape[2:]) or (1, 1),
            "values": tuple(output.shape[2:]) or (1, 1),
        }

    def _measured(self, state: State, place: Place) -> Place:
        """With ``nonlinear`` and ``elementwise`` as passes show them."""
        site = place.site
        weight = self.weight(site)
        linear = self.linear(self._keys(state, place), site, weight)
        plain = self._finished(state, place, linear, None).x
        factors = torch.linspace(0.5, 2.0, site.shape[1], device=weight.device)
        scaled = site.stored(site.kernel(weight) * factors[:, None, None])
        other = self._finished(state, place, linear, {site.weight: scaled}).x
        nonlinear = not torch.equal(other, plain)
        elementwise = plain.shape == linear.shape
        if elementwise:
            moved, kept = linear.clone(), torch.ones_like(linear, dtype=torch.bool)
            row, column = (side // 2 for side in linear.shape[2:])
            moved[:, ::2, row, column] += 3 * _spread(linear)
            kept[:, ::2, row, column] = False
            after = self._finished(state, place, moved, None).x
            elementwise = torch.equal(after[kept], plain[kept])
        return replace(place, site=replace(site, nonlinear=nonlinear, elementwise=elementwise))


@dataclass(frozen=True)
class _Call:
    path: str
    given: tuple[Any, ...]
    output: Tensor


class _Captured(BaseException):
    """Ends a pass with the keys; no ``Exception``, so that no forward can catch it unawares."""


def _operation(layer: nn.Module) -> Operation | None:
    """The linear operation of a layer, with the bias that it is given."""
    if isinstance(layer, LinearMap):
        return layer.operation
    if isinstance(layer, nn.Linear):
        return F.linear
    if isinstance(layer, nn.ConvTranspose2d) and layer.groups == 1:
        return partial(_transposed, layer)
    if isinstance(layer, nn.Conv2d) and layer.groups == 1:
        return layer._conv_forward
    return None


def _transposed(
    layer: nn.ConvTranspose2d, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    sizes: Any = (layer.stride, layer.padding, layer.output_padding, 1, layer.dilation)
    return F.conv_transpose2d(x, weight, bias, *sizes)


def _offset(
    layer: LinearMap, linear: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor | None:
    """What a bias adds to values: the same at all places, unless a filter comes behind it."""
    if bias is None:
        return None
    added = layer.operation(torch.zeros_like(x[:1]), weight, bias)
    return added if added.shape[2:] == linear.shape[2:] else bias[:, None, None]


def _near(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= TOLERANCE * (float(b.abs().max()) + 1e-12)


def _names(after: Boundary, here: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Names by path of the sites before a boundary: its own for the only one that makes its map."""
    made = [path for path, shown in here.items() if shown["shape"][0] in _outputs(after)]
    maps = [path for path in made if here[path]["keys"] != (1, 1)]
    alone = maps if len(maps) == 1 else made if len(here) == 1 else []
    owners = {path: shown["weight"].split(".")[:-1] for path, shown in here.items()}
    return {
        path: after.name
        if path in alone
        else f"{after.name}.{_shortest(own, list(owners.values()))}"
        for path, own in owners.items()
    }


def _outputs(after: Boundary) -> tuple[int, int]:
    """Outputs of a layer that makes the map: its channels, or all of its numbers."""
    return after.shape[0], math.prod(after.shape)


def _shortest(own: list[str], others: list[list[str]]) -> str:
    """The shortest end of a path that no other path has and that does not begin with a number."""
    for length in range(1, len(own)):
        end = own[-length:]
        if not end[0].isdigit() and sum(other[-length:] == end for other in others) == 1:
            return ".".join(end)
    return ".".join(own)


def _spread(x: Tensor) -> Tensor:
    return x.std() + 1e-3 if x.numel() > 1 else x.abs().sum() + 1.0
