"""Replay of a part of an observed pass: from one boundary to a later one, or to the image.

Guarantees: nothing is computed of a call that is skipped, and no tensor is handed out that is
shared (values are cloned when recorded and again when injected, because the next thing a
network does with them may well be an in-place ReLU).

A boundary is the moment one call ends. At that moment the calls around it are still open, so the
calls that are complete and not inside another complete one are exactly the children of open calls:
skipping those, and running the open forwards again, repeats all functional code as it is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seeingkit.contracts import Latent
from seeingkit.errors import ModelError

from .calltree import Call, Leaf, intercepted
from .sites import check_params

_POISONS = (0.0, float("nan"), 1e6)  # a value is dead if none of these in its place shows


@dataclass(frozen=True)
class Cut:
    """A boundary at the end of one call, and how a pass is taken up there again."""

    target: Call  # its output is x
    live: frozenset[str]  # names of the values that the rest of the pass needs
    strict: bool = False  # calls that change their arguments in place are run again, not skipped
    dense: bool = False  # values nobody needs take real memory: they are written to in place

    def skips(self, call: Call) -> bool:
        """Whether a pass entered here takes the call's output as recorded."""
        return call.end < self.target.end and call.carried and not (self.strict and call.mutates)

    def skipped(self, within: Call) -> Iterator[Call]:
        """The calls that are skipped and lie in no other skipped call."""
        for call in within.children:
            if call is self.target:
                continue
            if self.skips(call):
                yield call
            else:
                yield from self.skipped(call)


class Reached(BaseException):
    """Ends a pass at its boundary; no ``Exception``, so that no forward can catch it unawares."""


class Replay:
    """Handler for ``intercepted``: enters a pass at one cut and leaves it at a later one.

    The pass begins at ``enter`` (None: the beginning) with x and the live values there, and
    ``fill`` in place of the others; at ``leave`` (None: the end) it raises ``Reached``.
    """

    def __init__(
        self,
        tree: Call,
        enter: Cut | None,
        leave: Cut | None,
        x: Tensor,
        carry: Mapping[str, Tensor],
        fill: float = 0.0,
    ) -> None:
        self.enter, self.leave = enter, leave
        self.given, self.carry, self.fill = x, carry, fill
        self.frames: list[tuple[Call, Iterator[Call]]] = [(tree, iter(tree.children))]
        self.passed = enter is None
        self.x: Tensor | None = None
        self.kept: dict[str, Tensor] = {}

    def __call__(
        self, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        if self.passed and self.leave is None:
            return forward(*args, **kwargs)
        parent, calls = self.frames[-1]
        if not parent.children:  # with gradients, torch's layers call modules that they else fuse
            return forward(*args, **kwargs)
        call = next(calls, None)
        if call is None or call.module is not module:
            raise ModelError(
                f"inside {parent.path or 'the network'!r} the pass calls a "
                f"{type(module).__name__} where it called "
                f"{repr(call.path) if call else 'nothing'} when it was observed: a network whose "
                "calls depend on its input cannot be staged by recording"
            )
        if self.enter is not None and call is self.enter.target:
            output: Any = self.given.clone()
            self.passed = True
        elif self.enter is not None and self.enter.skips(call):
            output = self._recorded(call)
        else:
            self.frames.append((call, iter(call.children)))
            try:
                output = forward(*args, **kwargs)
            finally:
                self.frames.pop()
        if self.leave is not None:
            self._keep(call, output)
            if call is self.leave.target:
                if not isinstance(output, Tensor):
                    raise ModelError(f"{call.path!r} gave a {type(output).__name__}, not a tensor")
                self.x = output.clone()
                raise Reached
        return output

    def _recorded(self, call: Call) -> Any:
        assert self.enter is not None
        rows, device, cut = len(self.given), self.given.device, self.enter

        def value(leaf: Leaf) -> Any:
            if leaf.shape is None:
                return leaf.constant
            if call.key(leaf) in cut.live:
                return self.carry[call.key(leaf)].clone()
            return leaf.filled(rows, self.fill, device, cut.dense)

        return pytree.tree_unflatten([value(leaf) for leaf in call.leaves], call.tree)

    def _keep(self, call: Call, output: Any) -> None:
        assert self.leave is not None
        keys = [call.key(leaf) for leaf in call.leaves]
        if self.leave.live.isdisjoint(keys):
            return
        values = zip(keys, pytree.tree_leaves(output), strict=True)
        self.kept |= {key: value.clone() for key, value in values if key in self.leave.live}


@dataclass(frozen=True, eq=False)
class Passes:
    """Passes of one network between boundaries.

    ``root`` takes a latent and gives images; it holds the network as ``root.network``. ``paths``
    are the network's modules, ``tree`` the observed pass, ``layouts`` those of the latents, of
    which the first is x at the beginning.
    """

    family: str
    root: nn.Module
    paths: Mapping[nn.Module, str]
    tree: Call
    layouts: Mapping[str, Leaf]

    @property
    def names(self) -> list[str]:
        """Of the latents, in their order."""
        return list(self.layouts)

    def plain(self, latent: Latent, params: Mapping[str, Tensor] | None = None) -> Tensor:
        """The whole pass, with some of the network's tensors replaced."""
        if not params:
            return cast("Tensor", self.root(latent))
        network = self.root.get_submodule("network")
        owned = dict(network.named_parameters()) | dict(network.named_buffers())
        check_params(self.family, params, owned)
        swapped = {f"network.{name}": value for name, value in params.items()}
        return cast("Tensor", torch.func.functional_call(self.root, swapped, (latent,)))

    def run(
        self,
        enter: Cut | None,
        leave: Cut | None,
        x: Tensor,
        carry: Mapping[str, Tensor],
        params: Mapping[str, Tensor] | None = None,
        fill: float = 0.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """From ``enter`` (None: the beginning) to ``leave`` (None: the image): x and carry."""
        known = {**carry, self.names[0]: x} if enter is None else carry
        latent = {
            name: known[name].clone()
            if enter is None or name in enter.live
            else layout.filled(len(x), fill, x.device, enter.dense)
            for name, layout in self.layouts.items()
        }
        replay = Replay(self.tree, enter, leave, x, carry, fill)
        modules = () if enter is None and leave is None else self.paths
        image: Tensor | None = None
        with contextlib.suppress(Reached), intercepted(modules, replay):
            image = self.plain(latent, params)
        if leave is None:
            assert image is not None
            return image, {}
        if replay.x is None:
            raise ModelError(f"{self.family}: the pass never reached {leave.target.path!r}")
        kept = {name: known[name] for name in self.names if name in leave.live}
        return replay.x, {**kept, **replay.kept}

    def find_cut(self, call: Call, first: Latent, other: Latent, image: Tensor) -> Cut:
        """The cut at the end of a call, checked, and carrying only what is live.

        ``image`` is the plain pass's for the latents ``first``; ``other`` are other latents.

        Raises:
            ModelError: going on from the cut does not give the same image, or the image does not
                depend on x.
        """
        trials: list[tuple[float, Cut, Tensor, dict[str, Tensor], Tensor]] = []
        for strict in (False, True):
            cut, x, carry, exact = self._recorded(call, strict, first, other)
            error = float(torch.nan_to_num((exact - image).abs(), nan=torch.inf).max())
            trials.append((error, cut, x, carry, exact))
            if not error:
                break
        error, cut, x, carry, exact = min(trials, key=lambda trial: trial[0])
        # zero, but for kernels that do not repeat themselves to the last bit
        if error > 64 * torch.finfo(image.dtype).eps * float(image.abs().max()):
            raise ModelError(
                f"{self.family}: going on from {call.path!r} gives another image than the plain "
                "pass; some module passes values on other than by its output (an attribute, or a "
                "tensor changed in place)"
            )
        dead = cut.live - self._reached(cut, x, carry)

        def unseen(keys: frozenset[str], dense: bool) -> bool:
            trial = replace(cut, live=cut.live - keys, dense=dense)
            try:
                return all(
                    torch.equal(self.run(trial, None, x, carry, fill=poison)[0], exact)
                    for poison in _POISONS
                )
            except Exception:  # whatever a network makes of such values, it looks at them
                return False

        if not unseen(dead, True):
            dead = frozenset(key for key in dead if unseen(frozenset([key]), True))
            dead = dead if unseen(dead, True) else frozenset()
        dense = bool(dead) and not unseen(dead, False)
        return replace(cut, live=cut.live - dead, dense=dense)

    def _recorded(
        self, call: Call, strict: bool, first: Latent, other: Latent
    ) -> tuple[Cut, Tensor, dict[str, Tensor], Tensor]:
        """A cut that carries everything, with the state there and the image made from it."""
        cut = Cut(call, frozenset(), strict)
        skipped = [(c, leaf) for c in cut.skipped(self.tree) for leaf in c.leaves]
        keys = [c.key(leaf) for c, leaf in skipped if leaf.shape is not None]
        cut = replace(cut, live=frozenset([*self.names, *keys]))
        x, carry = self.run(None, cut, first[self.names[0]], first)
        self.plain({k: v.clone() for k, v in other.items()})  # whatever modules kept is stale now
        return cut, x, carry, self.run(cut, None, x, carry)[0]

    def _reached(self, cut: Cut, x: Tensor, carry: Mapping[str, Tensor]) -> frozenset[str]:
        """Carried values that get a gradient from the image; x must be one."""
        with torch.enable_grad():
            inputs = {k: v.detach().clone() for k, v in carry.items()}
            real = {k: v.requires_grad_() for k, v in inputs.items() if v.is_floating_point()}
            x = x.detach().clone().requires_grad_()
            image, _ = self.run(cut, None, x, inputs)
            wanted: Sequence[Tensor] = [x, *real.values()]
            if not image.requires_grad:
                gradients: Sequence[Tensor | None] = [None] * len(wanted)
            else:
                gradients = torch.autograd.grad(image.sum(), wanted, allow_unused=True)
        if gradients[0] is None:
            raise ModelError(
                f"{self.family}: no gradient leads from the image back to {cut.target.path!r}; "
                "name a module on the way to the image, and do not switch gradients off in forward"
            )
        return frozenset(k for k, g in zip(real, gradients[1:], strict=True) if g is not None)
