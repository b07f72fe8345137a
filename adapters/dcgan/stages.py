"""A plain stack of layers as a generator: its boundaries and the stages between them.

Guarantees two boundaries a layer, after its linear part and after what follows it, and that a class
is checked before it meets z.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Literal

from torch import Tensor

from seeingkit.contracts import Boundary, GeneratorInfo, Latent, LatentSpec, State
from seeingkit.models.staged import Carry, StagedAdapter, StageFunction

from ..catalog.dcgan import DCGANOptions, MLPGANOptions
from ..class_names import class_names
from ..labels import attribute_vectors, checked_class
from .network import Layer, Stack
from .plan import Plan


class StackGenerator(StagedAdapter):
    """A generator that is a plain stack of layers.

    Args:
        family: ``dcgan`` or ``mlp-gan``.
        module: the network.
        plan: of the network; becomes ``config``.
        options: as given; ``info.options`` holds them as resolved, with ``strides`` and so on.
        weights_sha256: hash of the file.
        licence: licence of the weights.
    """

    def __init__(
        self,
        family: Literal["dcgan", "mlp-gan"],
        module: Stack,
        plan: Plan,
        options: DCGANOptions | MLPGANOptions,
        *,
        weights_sha256: str | None = None,
        licence: str = "unknown",
    ) -> None:
        channels, resolution, _ = plan.image_shape
        info = GeneratorInfo(
            family=family,
            resolution=resolution,
            channels=channels,
            latent=(LatentSpec(name="z", shape=(plan.latent,)),),
            class_names=_class_names(plan, options),
            weights_sha256=weights_sha256,
            licence=licence,
            options={
                **options.model_dump(mode="json", exclude={"plain", "classes", "condition"}),
                **resolved(plan, options),
            },
            parameters=sum(p.numel() for p in module.parameters()),
            assumptions=plan.assumptions,
        )
        stages: list[StageFunction] = []
        for layer in module.layers:
            assert isinstance(layer, Layer)
            stages += [partial(_linear, layer), partial(_finish, layer)]
        stages[0] = partial(_first, module)
        super().__init__(module, info, _boundaries(plan), stages)
        self.config = plan.model_dump(mode="json")
        self.condition = plan.condition

    def begin(self, latent: Latent) -> State:
        """The state at ``input``: x = z (N, D), and the class is carried as ``class``.

        Raises:
            UsageError: z or the class is missing, of another shape or type, or out of range.
        """
        state = super().begin({key: value for key, value in latent.items() if key == "z"})
        if self.condition is None:
            return state
        family, rows = self.info.family, len(state.x)
        if self.condition.width:
            given = checked_class(family, self.condition.classes, latent, rows)
        else:
            label, c = latent.get("label"), latent.get("c")
            given = attribute_vectors(family, self.condition.sizes, rows, label=label, c=c)
        return state.with_carry(**{"class": given.to(state.x.device)})


def _class_names(plan: Plan, options: DCGANOptions | MLPGANOptions) -> tuple[str, ...]:
    if plan.condition is not None and plan.condition.names and options.classes is None:
        return plan.condition.names
    return class_names(plan.condition.classes if plan.condition else 0, options.classes)


def _first(stack: Stack, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    layer = stack.layers[0]
    assert isinstance(layer, Layer)
    return layer.linear(stack.joined(x, carry.get("class"))), {}


def _linear(layer: Layer, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer.linear(x), carry


def _finish(layer: Layer, x: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    return layer.finish(x), carry


def resolved(plan: Plan, options: DCGANOptions | MLPGANOptions) -> dict[str, Any]:
    """The options as resolved, by name."""
    found: dict[str, Any] = {
        "activation": plan.activation,
        "slope": plan.slope if plan.activation == "leaky" else None,
        "final": plan.final,
        "eps": plan.eps,
    }
    if plan.condition is not None:
        found["condition"] = plan.condition.kind
    maps = [layer for layer in plan.layers if layer.kind != "linear"]
    if isinstance(options, MLPGANOptions):
        found["shape"] = list(plan.shape or ())
    else:
        found["strides"] = [layer.stride for layer in maps]
        found["paddings"] = [layer.padding for layer in maps]
        found["output_paddings"] = [layer.output_padding for layer in maps]
        found["kinds"] = [layer.kind for layer in maps]
        found["upsample"] = [layer.upsample for layer in maps]
    return found


def _boundaries(plan: Plan) -> list[Boundary]:
    """Two cuts a layer; the second of the last layer is the image."""
    cuts = [Boundary("input", 0, (plan.latent,), "latent", aliases=("z",))]
    taken: Counter[str] = Counter()
    last_at: dict[int, int] = {}
    for k, (layer, size) in enumerate(zip(plan.layers, plan.sizes, strict=True)):
        linear = layer.kind == "linear"
        stem = "fc" if linear else f"r{size}.conv"
        name = f"{stem}{taken[stem]}"
        taken[stem] += 1
        shape = (layer.outputs,) if linear else (layer.outputs, size, size)
        cuts.append(_cut(len(cuts), name, shape, layer.name))
        if k == len(plan.layers) - 1:
            break
        after = f"{name}.act" if linear else name.replace("conv", "act")
        last_at[size] = len(cuts)
        shape = (layer.channels, size, size) if size else (layer.outputs,)
        cuts.append(_cut(len(cuts), after, shape, layer.native))
    for size in plan.sizes:
        if size and size not in last_at:
            last_at[size] = len(cuts) - 1  # only the last layer's convolution has this size
    own = {cut.name for cut in cuts} | {"image", "z"}
    named: list[Boundary] = []
    for cut in cuts:
        aliases = [*cut.aliases, *(f"r{s}" for s, at in last_at.items() if s and at == cut.index)]
        fresh = tuple(dict.fromkeys(a for a in aliases if a not in own))
        own.update(fresh)
        named.append(cut if not cut.index else _with_aliases(cut, fresh))
    _, r, _ = plan.image_shape
    named.append(Boundary("image", len(named), (3, r, r), "image", (r, r)))
    return named


def _cut(index: int, name: str, shape: tuple[int, ...], alias: str | None) -> Boundary:
    kind: Literal["feature", "latent"] = "feature" if len(shape) == 3 else "latent"
    extent = (shape[1], shape[2]) if len(shape) == 3 else None
    return Boundary(name, index, shape, kind, extent, (alias,) if alias else ())


def _with_aliases(cut: Boundary, aliases: tuple[str, ...]) -> Boundary:
    return Boundary(cut.name, cut.index, cut.shape, cut.kind, cut.extent, aliases)
