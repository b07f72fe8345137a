"""From the layers of a file to their plans: what no file holds, by rule, by option, or asked for.

Guarantees that nothing absent from a file is guessed in silence: strides and paddings follow from
kernels only where one choice is usual (format notes, section 7), and are then among the plan's
assumptions, else the message names the option to give; a place where the keys leave room for more
than an activation (``hidden``) is refused unless an option says what is there, and so is a map that
never grows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seeingkit.errors import StateMismatchError, UsageError
from seeingkit.weights import Network

from ..catalog.dcgan import DCGANOptions, MLPGANOptions
from .chain import FoundLayer
from .hidden import mark_hidden
from .layouts import known_layout
from .plan import LayerPlan

_USUAL = {2: (2, 0), 4: (2, 1)}  # stride and padding of later transposed kernels: they double
_TRANSPOSED = re.compile(r"(?i)conv_?t|convtrans|deconv|t_?conv|transp|dcv")
OWN_CODE = "load it by its own code with --gan module:FILE.py:FUNCTION and --weights"
_LISTS = ("strides", "paddings", "output_paddings", "kinds", "upsample")


def read_stack(
    path: Path,
    found: Sequence[FoundLayer],
    options: DCGANOptions | MLPGANOptions,
    network: Network,
) -> dict[str, Any]:
    """The values of a ``Plan`` for the layers found in a network of a file.

    Raises:
        StateMismatchError: the keys leave room for parts that have no tensors, and no option says
            whether there are any; or a class table stands beside the stack.
        UsageError: names the layer whose stride, padding or kind the file leaves open, or an
            option of the wrong length.
    """
    known = known_layout(path, found, network, options)
    if known is not None:
        plans = [
            layer.plan(**(known.layers[k] if known.layers else {})) for k, layer in enumerate(found)
        ]
        return {
            "layers": plans,
            **known.settings,
            "layout": known.name,
            "condition": known.condition,
            "notes": known.notes,
        }
    if tables := found[0].tables:
        raise StateMismatchError(
            f"{path}: {tables[0].path}.weight of shape {tables[0].shape} looks like a table of "
            "classes (an embedding), and how it meets z is not in the file; a class-conditional "
            f"generator of this kind: {OWN_CODE}"
        )
    mark_hidden(found)
    if isinstance(options, DCGANOptions):
        plans = convolutions(path, found, options)
    else:
        for layer in found:
            _check_doubts(path, layer, options.plain)
        plans = [layer.plan() for layer in found]
    return {"layers": plans, "assumed": _assumed(found, plans, options)}


def _assumed(
    found: Sequence[FoundLayer],
    plans: Sequence[LayerPlan],
    options: DCGANOptions | MLPGANOptions,
) -> list[str]:
    """Names of the settings that neither the file nor an option gives."""
    geometry = any(plan.kind != "linear" for plan in plans[1:])
    told = isinstance(options, DCGANOptions) and options.strides and options.paddings
    asked = {
        "activation": any(plan.active and not plan.slopes for plan in plans[:-1]),
        "final": True,
        "eps": any(plan.norm for plan in plans),
        "geometry": geometry and not told,
        "between": not options.plain and len(plans) > 1,
        "reshape": any(plan.side for plan in plans),
    }
    return [name for name, is_assumed in asked.items() if is_assumed]


def convolutions(path: Path, found: Sequence[FoundLayer], options: DCGANOptions) -> list[LayerPlan]:
    """The layers with their strides and paddings.

    The rules, each overruled by ``options``: the first convolution turns the 1x1 latent into a map
    as large as its kernel; later transposed kernels of 4x4 and 2x2 double the map; a convolution
    that is not transposed keeps it; a transposed 1x1 keeps it too, but the last one to a single
    channel at 32 pixels crops it to 28 (padding 2, csinva's MNIST network; the grey CIFAR-100
    network of the same author has the same keys and needs ``paddings``). With strides given,
    paddings make a map grow by the stride, exactly.
    """
    maps = [layer for layer in found if layer.kind != "linear"]
    lists = {name: getattr(options, name) for name in _LISTS}
    for name, values in lists.items():
        if values is not None and len(values) != len(maps):
            raise UsageError(
                f"{path}: {name} has {len(values)} numbers, the file {len(maps)} convolutions "
                f"({', '.join(layer.main.path for layer in maps)})"
            )
    plans: list[LayerPlan] = []
    sizes: list[int] = []
    for i, layer in enumerate(found):
        if layer.kind == "linear":
            _check_doubts(path, layer, options.plain)
            plans.append(layer.plan())
        else:
            k = sum(plan.kind != "linear" for plan in plans)
            given = {name: values[k] for name, values in lists.items() if values is not None}
            enlarged = given.get("upsample", 1) > 1
            _check_doubts(path, layer, options.plain, enlarged, len(maps))
            if enlarged and i and found[i - 1].gap == 1:  # the one module between them
                plans[-1] = plans[-1].model_copy(update={"active": False, "native": None})
            before = sizes[-1] if sizes else 0
            plans.append(_convolution(path, layer, before, found, given, i == len(found) - 1))
            hides = plans[-1].kind == "conv" and i and not layer.shown
            if hides and not options.plain and options.upsample is None:
                raise StateMismatchError(
                    f"{path}: {layer.main.path} is a convolution that does not enlarge its map, "
                    "and an upsampling before it would leave no tensor in the file; "
                    f"{_remedy(len(maps))}"
                )
        sizes.append(plans[-1].size(sizes[-1] if sizes else 0))
        if sizes[-1] < (layer.kind != "linear"):
            raise UsageError(f"{path}: {layer.main.path}: no pixel is left; check the paddings")
    first = next(size for size in sizes if size)
    if sizes[-1] <= first and not options.plain and options.upsample is None:
        raise StateMismatchError(
            f"{path}: the map never grows: it has {first} pixels a side after the first layer and "
            f"{sizes[-1]} after the last, so an upsampling may be missing; {_remedy(len(maps))}"
        )
    return plans


def _check_doubts(
    path: Path, layer: FoundLayer, plain: bool, enlarged: bool = False, maps: int = 0
) -> None:
    """Refuse a layer beside which the keys leave room for parts without tensors.

    Args:
        enlarged: an option says that the map is enlarged before it, which fills the room of one.
        maps: number of convolutions, for the message.
    """
    doubts = [*layer.doubts, *(layer.room if not enlarged or len(layer.room) > 1 else ())]
    if doubts and not plain:
        raise StateMismatchError(f"{path}: {doubts[0]}; {_remedy(maps)}")


def _remedy(maps: int) -> str:
    """The options with which a user can say what is there."""
    upsample = ""
    if maps:
        example = ",".join(["1", *["2"] * min(maps - 1, 3)])
        more = "…" if maps > 4 else ""
        upsample = f"upsample={example}{more} (the factor before each of the {maps} convolutions), "
    return (
        f"say what is there with --gan-option {upsample}or plain=true if nothing is, or {OWN_CODE}"
    ).replace("--gan-option or", "--gan-option")


def _convolution(
    path: Path,
    layer: FoundLayer,
    size: int,
    found: Sequence[FoundLayer],
    given: dict[str, Any],
    last: bool,
) -> LayerPlan:
    kernel, name = layer.main.shape[2], layer.main.path
    kind = given.get("kinds") or (_kind(path, layer, found) if layer.kind == "open" else layer.kind)
    if layer.kind not in ("open", kind):
        raise UsageError(f"{path}: {name} is of kind {layer.kind} by its shape, not {kind}")
    stride, padding, extra = given.get("strides"), given.get("paddings"), None
    upsample = given.get("upsample", 1)
    if kind == "conv":
        stride = stride or 1
        if padding is None and kernel % 2 == 0:
            raise UsageError(f"{path}: {name} is a {kernel}x{kernel} convolution; give paddings")
        padding = (kernel - 1) // 2 if padding is None else padding
    elif not size:
        stride, padding = stride or 1, padding or 0
    elif kernel == 1 and stride in (None, 1):
        crop = last and layer.outputs == 1 and size == 32
        stride, padding = 1, (2 if crop else 0) if padding is None else padding
    else:
        if stride is None and kernel not in _USUAL:
            raise UsageError(
                f"{path}: {name} is a transposed {kernel}x{kernel} convolution, whose stride and "
                "padding are not in the file; give strides= (and paddings=), one number for each "
                f"of the {sum(f.kind != 'linear' for f in found)} convolutions, first to last"
            )
        stride = stride or _USUAL[kernel][0]
        if padding is None:
            padding = max(0, -((stride - kernel) // 2))
            extra = 2 * padding + stride - kernel
    chosen = given.get("output_paddings")
    return layer.plan(
        kind=kind,
        stride=stride,
        padding=padding,
        output_padding=(extra or 0) if chosen is None else chosen,
        upsample=upsample,
    )


def _kind(path: Path, layer: FoundLayer, found: Sequence[FoundLayer]) -> str:
    """Whether a layer of equally many channels in and out is transposed: by kernel and name."""
    kernel, word = layer.main.shape[2], _word(layer)
    if kernel % 2 == 0:
        return "up"  # an even kernel that is not transposed would not keep the map
    known = {kind: {_word(f) for f in found if f.kind == kind} for kind in ("up", "conv")}
    if word and (word in known["up"]) != (word in known["conv"]):
        return "up" if word in known["up"] else "conv"
    if _TRANSPOSED.search(word):
        return "up"
    if "conv" in word.lower() and any(_TRANSPOSED.search(other) for other in known["up"]):
        return "conv"
    raise UsageError(
        f"{path}: {layer.main.path} has as many channels in as out, so the file leaves open "
        "whether it is a transposed convolution; give kinds=, up or conv for each convolution"
    )


def _word(layer: FoundLayer) -> str:
    """The last part of a name without its numbers; empty where modules are just numbered."""
    return re.sub(r"[\d_]+", "", layer.main.path.rpartition(".")[2])
