"""``AutoStaged``: any ``nn.Module`` as a staged generator, with nothing written for its family.

Guarantees: the pass through a boundary and on to the image equals the plain forward bit for bit at
equal batch size (checked on construction at every boundary); work before a boundary is really
skipped; a state carries only what the rest of the pass needs; the module's forwards are always put
back; the identity covers the code too, by a hash of a few images. See ``seeingkit.models.replay``
for how.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.errors import ModelError, UnknownNameError, UsageError

from .calltree import Call, Leaf, check_repeats, classify, paired, trace
from .probe import code_digest, identify, labels_in_turn
from .replay import Passes
from .staged import ModuleGenerator

CallModule = Callable[[nn.Module, Latent], Tensor]

_ROWS = 2  # of the observed passes; one more tells batch axes from others


class _Root(nn.Module):
    """The whole pass as one module, so that replaced parameters reach it."""

    def __init__(self, network: nn.Module, call: CallModule) -> None:
        super().__init__()
        self.network = network
        self.call = call

    def forward(self, latent: Latent) -> Tensor:
        return self.call(self.network, latent)


class AutoStaged(ModuleGenerator):
    """A generator made of a module and the paths of some of its submodules.

    Boundaries are ``input``, one per stage (x is the output of that submodule), and ``image``, in
    the order observed. Construction runs a few small passes on the module's device.

    Args:
        module: the network; put in eval mode and frozen.
        stages: path of a submodule (as in ``named_modules``) for each boundary name.
        info: description of the model; derived when None (the weights' hash is then one of
            their values, not of a file).
        latent: when ``info`` is None, the random input: its size, its shape without the batch
            axis, or several specs.
        class_names: when ``info`` is None, the classes of a conditional model.
        options: when ``info`` is None, whatever else changes the images (they are part of the
            identity).
        call: how images come from the module and a latent; the default is ``module(z)``, with
            further latents and then the label, if any, as further positional arguments.

    Raises:
        UsageError: ``latent`` missing, or names that clash.
        UnknownNameError: a path that is no submodule; lists near ones.
        ModelError: a stage that is never called, called twice, gives no single batch-first tensor
            or does not reach the image; a pass that changes from call to call; images that are
            not finite float32 (N, 3, R, R).

    >>> network = nn.Sequential(nn.ConvTranspose2d(4, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 5))
    >>> [b.name for b in AutoStaged(network, {"r4": "1"}, latent=(4, 1, 1)).boundaries]
    ['input', 'r4', 'image']
    """

    def __init__(
        self,
        module: nn.Module,
        stages: Mapping[str, str],
        *,
        info: GeneratorInfo | None = None,
        latent: int | Sequence[int] | Sequence[LatentSpec] | None = None,
        class_names: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        call: CallModule | None = None,
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.family = info.family if info else type(module).__name__
        if info is None:
            info = GeneratorInfo(
                family=self.family,
                resolution=0,
                latent=_latent_specs(self.family, latent),
                class_names=tuple(class_names),
                weights_sha256=_values_sha256(module),
                options={**({"call": code_digest(call)} if call else {}), **(options or {})},
                parameters=sum(p.numel() for p in module.parameters()),
            )
        elif latent is not None or class_names or options:
            raise UsageError(f"{self.family}: latent, class_names and options are part of info")
        self.info = info
        self._names = [part.name for part in info.latent] + ["label"] * bool(info.class_names)
        self._root = _Root(module, call or self._call)
        self._paths = {m: path for path, m in module.named_modules() if path}
        targets = self._targets(stages)
        self._prepare(targets)
        identify(self)

    # ------------------------------------------------------------------------------ the contract

    def begin(self, latent: Latent) -> State:
        """x = the first latent; others, and the label, are carried.

        Raises:
            UsageError: a latent is missing, unknown, or of another shape.
        """
        for name in sorted(latent.keys() ^ set(self._names)):
            what = "needs a" if name in self._names else "takes no"
            raise UsageError(f"{self.family} {what} latent {name!r}")
        values = {name: latent[name].to(self.device) for name in self._names}
        for part in self.info.latent:
            if (shape := tuple(values[part.name].shape[1:])) != part.shape:
                rows = f"latent {part.name!r} has rows of shape {shape}"
                raise UsageError(f"{self.family}: {rows}, expected {part.shape}")
        return State("input", values.pop(self._names[0]), values)

    def advance(
        self, state: State, to: str = "image", *, params: Mapping[str, Tensor] | None = None
    ) -> State:
        """See ``Generator.advance``.

        Raises:
            UnknownNameError: no such boundary or parameter.
            UsageError: a step backwards, or a state that does not belong to this generator.
            ModelError: the pass made other calls than when it was observed.
        """
        start, stop = self.way(state, to)
        if (shape := tuple(state.x.shape[1:])) != start.shape:
            rows = f"x at {start.name!r} has rows of shape {shape}"
            raise UsageError(f"{rows}, expected {start.shape}")
        if stop.index == start.index:
            return replace(state, at=stop.name)
        enter = self._cuts.get(start.name)
        needed = enter.live if enter else set(self._names[1:])
        for name in sorted(needed - state.carry.keys()):
            raise UsageError(f"the state at {start.name!r} lacks {name!r}; start from begin()")
        for name in needed:
            if len(state.carry[name]) != len(state):
                raise UsageError(f"the state at {start.name!r}: {name!r} and x differ in rows")
        leave = self._cuts.get(stop.name)
        return State(stop.name, *self._passes.run(enter, leave, state.x, state.carry, params))

    def _call(self, module: nn.Module, latent: Latent) -> Tensor:
        image: Tensor = module(*(latent[name] for name in self._names))
        return image

    # ------------------------------------------------------------------------------ construction

    def _targets(self, stages: Mapping[str, str]) -> dict[nn.Module, str]:
        """Boundary name of each stage's module."""
        known = [path for path, _ in self.module.named_modules(remove_duplicate=False) if path]
        targets: dict[nn.Module, str] = {}
        taken = {"input", "image"}
        for name, path in stages.items():
            if path not in known:
                raise UnknownNameError("module", path, known, f"(stage {name!r})")
            module = self.module.get_submodule(path)
            if module in targets:
                raise UsageError(f"stages {targets[module]!r} and {name!r} are one module, {path}")
            if clash := taken & {name, path}:
                raise UsageError(f"stage {name!r}: the name {min(clash)!r} is taken")
            taken |= {name, path}
            targets[module] = name
        return targets

    def _prepare(self, targets: Mapping[nn.Module, str]) -> None:
        """Observe the pass, then find and check the boundaries."""
        on_gpu = [self.device] if self.device.type == "cuda" else []
        with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(on_gpu):
            first, other = self._draw(range(_ROWS)), self._draw(range(_ROWS, 2 * _ROWS))
            tree, image = self._observe(first)
            self._check_image(image)
            again, _ = self._observe(first)
            check_repeats(self.family, [*paired(tree, again), (tree, again)])
            larger, _ = self._observe(self._draw(range(_ROWS + 1)))
            classify(paired(tree, larger), _ROWS, _ROWS + 1)
            calls = self._stage_calls(tree, targets)
            layouts = {name: Leaf.of("", value) for name, value in first.items()}
            self._passes = Passes(self.family, self._root, self._paths, tree, layouts)
            find = self._passes.find_cut
            self._cuts = {name: find(call, first, other, image) for name, call in calls.items()}
        size, declared = int(image.shape[-1]), self.info.resolution
        if declared not in (0, size):
            raise ModelError(f"{self.family}: images are {size} pixels wide, info says {declared}")
        self.info = self.info.model_copy(update={"resolution": size})
        cuts = [Boundary("input", 0, self.info.latent[0].shape, "latent")]
        cuts += [_boundary(name, k, call) for k, (name, call) in enumerate(calls.items(), 1)]
        cuts.append(Boundary("image", len(cuts), (3, size, size), "image", (size, size)))
        self.boundaries = tuple(cuts)

    def _draw(self, indices: range) -> dict[str, Tensor]:
        drawn = self.latents(indices, labels=labels_in_turn(self, indices))
        return {name: drawn[name].to(self.device) for name in self._names}

    def _observe(self, latent: Latent) -> tuple[Call, Tensor]:
        fresh = {name: value.clone() for name, value in latent.items()}
        return trace(self._paths, lambda: self._root(fresh))

    def _check_image(self, image: object) -> None:
        shape = tuple(image.shape) if isinstance(image, Tensor) else ()
        if len(shape) != 4 or shape[:2] != (_ROWS, 3) or shape[2] != shape[3]:
            given = f"the output for {_ROWS} latents is {shape or type(image).__name__}"
            wanted = f"expected ({_ROWS}, 3, R, R); convert it in call="
            raise ModelError(f"{self.family}: {given}, {wanted}")
        assert isinstance(image, Tensor)
        if image.dtype != torch.float32 or not bool(torch.isfinite(image).all()):
            given = f"{image.dtype} with {int((~torch.isfinite(image)).sum())} NaN or Inf"
            raise ModelError(f"{self.family}: images are {given}, expected finite float32")

    def _stage_calls(self, tree: Call, targets: Mapping[nn.Module, str]) -> dict[str, Call]:
        """The call of each stage, in the order they ended."""
        found: dict[str, Call] = {}
        for module, name in targets.items():
            path = self._paths[module]
            calls = [call for call in tree.inside() if call.module is module]
            where = f"{self.family}: stage {name!r}: module {path!r} ({type(module).__name__})"
            if len(calls) != 1:
                times = f"called {len(calls)} times" if calls else "never called"
                raise ModelError(f"{where} is {times} in a pass; name one that is called once")
            leaves = calls[0].leaves
            if len(leaves) != 1 or leaves[0].where or leaves[0].shape is None:
                given = ", ".join(f"{x.where or 'output'}: {x.shape}" for x in leaves[:4])
                raise ModelError(f"{where} does not give one tensor but ({given}); name one inside")
            if not calls[0].carried:
                raise ModelError(
                    f"{where} gives {leaves[0].shape} for {_ROWS} latents, so its first axis is "
                    "not the batch; name a later one"
                )
            found[name] = calls[0]
        return dict(sorted(found.items(), key=lambda item: item[1].end))


def _boundary(name: str, index: int, call: Call) -> Boundary:
    """Maps are features; vectors, and one vector per layer, are latents."""
    shape = (call.leaves[0].shape or ())[1:]
    aliases = (call.path,) if call.path != name else ()
    if len(shape) == 3:
        return Boundary(name, index, shape, "feature", (shape[1], shape[2]), aliases)
    return Boundary(name, index, shape, "latent", None, aliases)


def _latent_specs(
    family: str, latent: int | Sequence[int] | Sequence[LatentSpec] | None
) -> tuple[LatentSpec, ...]:
    parts = (latent,) if isinstance(latent, int) else tuple(latent or ())
    if not parts:
        raise UsageError(f"{family}: give latent=, the size or shape of z, or info=")
    specs = tuple(part for part in parts if isinstance(part, LatentSpec))
    shape = tuple(part for part in parts if isinstance(part, int))
    return specs or (LatentSpec(shape=shape),)


def _values_sha256(module: nn.Module) -> str:
    """Hash of the names, types, shapes and bytes of a module's tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
