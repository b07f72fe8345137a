"""The rest of a generator after a layer as a list of plain operations, for other interpreters.

Guarantees: what does not depend on the inputs is computed once, here; a program is checked against
the generator on another image before it is handed out; randomness, tensors of whole numbers and
operations that are not in ``OPERATIONS`` are refused by name.

A page of a browser runs such a program with typed arrays (``report/templates/painting_worker.js``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx

from seeingkit.contracts import Generator, Latent, State
from seeingkit.errors import ModelError

_NAMES = """
    abs add addcmul addmm alias bmm cat clamp clone constant_pad_nd contiguous convolution detach
    div exp expand flip hardtanh leaky_relu maximum mean minimum mm mul neg permute pow reciprocal
    relu rsqrt rsub select sigmoid slice sqrt squeeze sub sum t tanh transpose unsqueeze
    upsample_nearest2d view
"""
OPERATIONS = frozenset(_NAMES.split())
"""Operations of ATen that a program may have, by their names without overload."""
_SAME = {"_unsafe_view": "view", "reshape": "view", "_reshape_copy": "view", "view_copy": "view"}
_TOLERANCE = 1e-4
"""Largest difference of a program's image from the generator's, which lie in [-1, 1]."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: one of ``OPERATIONS``.
        args: as ATen takes them: numbers, None, lists, and values as ``{"value": k}`` (k counts
            inputs, then operations) or ``{"constant": k}``.
        shape: of the result, for one image: (1, …).
    """

    name: str
    args: tuple[Any, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A generator from a layer on, for one image.

    Attributes:
        layer: canonical name of the boundary where it begins.
        inputs: names of the inputs with their shapes (1, …): ``x`` first, then what is carried.
        operations: in order; the last one gives the image (1, 3, R, R).
        constants: float32.
    """

    layer: str
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    operations: tuple[Operation, ...]
    constants: tuple[Tensor, ...]

    @property
    def numbers(self) -> int:
        """How many numbers the constants are."""
        return sum(constant.numel() for constant in self.constants)

    @property
    def multiplications(self) -> int:
        """Multiplications in its convolutions: most of its cost."""
        made = 0
        for one in self.operations:
            if one.name == "convolution":
                weight = self.constants[one.args[1]["constant"]].shape if _fixed(one) else (0,)
                made += _product(weight[1:]) * _product(one.shape)
        return made


def _fixed(operation: Operation) -> bool:
    return isinstance(operation.args[1], Mapping) and "constant" in operation.args[1]


def _product(numbers: Sequence[int]) -> int:
    made = 1
    for number in numbers:
        made *= int(number)
    return made


def program_of(generator: Generator, layer: str, latents: tuple[Latent, Latent]) -> Program:
    """The operations of a generator from a layer to the image.

    Args:
        generator: of tier 2.
        layer: name or alias of a boundary.
        latents: of one image each: the operations are recorded with the first and checked with the
            second.

    Raises:
        ModelError: an operation that no page can do, or a network whose operations depend on the
            image.
        UnknownNameError: no such layer.

    >>> generator = seeingkit.load_generator("progan:minichurches")
    >>> program = program_of(generator, "r32", (generator.latents([0]), generator.latents([1])))
    >>> program.inputs, program.operations[-1].name
    ((('x', (1, 48, 32, 32)),), 'clamp')
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    with torch.no_grad():
        states = [generator.advance(generator.begin(one), layer) for one in latents]
    first, family = states[0], generator.info.family
    names = tuple(first.carry)
    if any(not _is_float(tensor) for tensor in (first.x, *first.carry.values())):
        raise ModelError(_refusal(family, "it carries whole numbers"))

    def rest(x: Tensor, *carried: Tensor) -> Tensor:
        return generator.advance(State(first.at, x, dict(zip(names, carried, strict=True)))).x

    try:
        with torch.no_grad():
            traced = make_fx(torch.func.functionalize(rest), _decompositions())(
                first.x, *first.carry.values()
            )
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ModelError(
            _refusal(family, f"its operations depend on the image: {error}")
        ) from error
    _check(traced, states[1], generator)
    shapes = [("x", first.x), *first.carry.items()]
    inputs = tuple((name, tuple(tensor.shape)) for name, tensor in shapes)
    operations, constants = _Recorder(family, traced).record()
    return Program(first.at, inputs, operations, constants)


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32


def _refusal(family: str, reason: str) -> str:
    return f"{family} cannot run inside a page ({reason}); use the local page, with --serve"


def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    """Operations that are written as plainer ones: batch norms, splits."""
    from torch._decomp import get_decompositions

    aten = torch.ops.aten
    return get_decompositions(
        [
            aten._native_batch_norm_legit_no_training,
            aten._native_batch_norm_legit,
            aten.native_batch_norm,
            aten.native_group_norm,
            aten.native_layer_norm,
            aten.split,
            aten.split_with_sizes,
            aten.unbind,
            aten.chunk,
            aten.silu,
            aten.lerp,
            aten.baddbmm,
            aten.var_mean,
            aten.linear,
        ]
    )


def _check(traced: fx.GraphModule, state: State, generator: Generator) -> None:
    """Refuse a recording that draws another image otherwise than the generator."""
    with torch.no_grad():
        made = traced(state.x, *state.carry.values())
        wanted = generator.advance(state).x
    if not torch.allclose(made, wanted, rtol=0, atol=_TOLERANCE, equal_nan=True):
        reason = "its operations depend on the image, or on chance"
        raise ModelError(_refusal(generator.info.family, reason))


class _Recorder:
    """Turns a traced graph into operations; what depends on no input becomes a constant."""

    def __init__(self, family: str, traced: fx.GraphModule) -> None:
        traced.graph.eliminate_dead_code()
        self.family, self.traced = family, traced
        self.fixed: dict[fx.Node, Any] = {}
        self.numbers: dict[fx.Node, int] = {}
        self.operations: list[Operation] = []
        self.constants: list[Tensor] = []
        self.known: dict[fx.Node, int] = {}

    def record(self) -> tuple[tuple[Operation, ...], tuple[Tensor, ...]]:
        """The operations and constants of the graph."""
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                self.numbers[node] = len(self.numbers)
            elif node.op == "get_attr":
                self.fixed[node] = getattr(self.traced, str(node.target)).detach()
            elif node.op == "call_function":
                self._call(node)
        if not self.operations:
            raise ModelError(_refusal(self.family, "there is nothing behind this layer"))
        return tuple(self.operations), tuple(self.constants)

    def _call(self, node: fx.Node) -> None:
        function = cast("Any", node.target)
        if torch.Tag.nondeterministic_seeded in getattr(function, "tags", ()):
            raise ModelError(_refusal(self.family, "it draws random numbers"))
        if all(one in self.fixed for one in node.all_input_nodes):
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), self.fixed.__getitem__)
            with torch.no_grad():
                self.fixed[node] = function(*args, **kwargs)
            return
        made = node.meta.get("val")
        name = str(function).removeprefix("aten.").partition(".")[0]
        name = _SAME.get(name, name)
        known = name in OPERATIONS and _is_plain(name, node)
        if not known or not isinstance(made, Tensor) or not _is_float(made):
            raise ModelError(_refusal(self.family, f"operation {name}"))
        self.numbers[node] = len(self.numbers)
        args = tuple(self._encoded(argument) for argument in _in_order(node))
        self.operations.append(Operation(name, args, tuple(int(side) for side in made.shape)))

    def _encoded(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            if argument in self.numbers:
                return {"value": self.numbers[argument]}
            return {"constant": self._constant(argument)}
        if isinstance(argument, (list, tuple)):
            return [self._encoded(one) for one in argument]
        if argument is None or isinstance(argument, (bool, int, float)):
            return argument
        if isinstance(argument, (torch.memory_format, torch.dtype, torch.device, torch.layout)):
            return None
        raise ModelError(_refusal(self.family, f"an argument of type {type(argument).__name__}"))

    def _constant(self, node: fx.Node) -> int:
        if node not in self.known:
            value = torch.as_tensor(self.fixed[node], dtype=torch.float32).cpu().contiguous()
            self.known[node] = len(self.constants)
            self.constants.append(value)
        return self.known[node]


def _is_plain(name: str, node: fx.Node) -> bool:
    """Whether a call is of the form of its operation that interpreters know."""
    args = _in_order(node)
    if name in ("clamp", "div"):  # bounds that are tensors, and rounding
        plain = (int, float, type(None))
        return all(isinstance(one, plain) for one in args[1 if name == "clamp" else 2 :])
    if name == "constant_pad_nd":
        return len(args[1]) in (2, 4)
    if name == "convolution":
        return len(node.meta["val"].shape) == 4
    if name == "upsample_nearest2d":  # others are rounded otherwise by each library
        sides = zip(node.meta["val"].shape[2:], args[0].meta["val"].shape[2:], strict=True)
        return all(large % small == 0 for large, small in sides)
    return True


def _in_order(node: fx.Node) -> list[Any]:
    """All arguments of a call in the order of the operation's schema, defaults filled in."""
    given = list(node.args)
    schema = cast("Any", node.target)._schema.arguments
    for argument in schema[len(given) :]:
        given.append(node.kwargs.get(argument.name, argument.default_value))
    return given
